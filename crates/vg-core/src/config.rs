//! Model configurations: presets, a user's TOML on top, `--set a.b=v` on top of that.
//!
//! A configuration is a tree of structs with `#[serde(deny_unknown_fields)]`; variants are enums without data, written in
//! kebab case. There are no `Option` fields, so that the tree of a preset shows every key that may be set.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// A typed configuration with named presets.
pub trait ModelConfig: Clone + Serialize + DeserializeOwned + 'static {
    /// The first is the paper's main setting; `tiny` takes under a second a step on one CPU core.
    const PRESETS: &'static [Preset<Self>];

    /// Checks values against each other.
    ///
    /// # Errors
    /// [`Error::Config`] that names the key, the accepted values and the one found.
    fn validate(&self) -> Result<()>;

    /// Builds a preset.
    ///
    /// # Errors
    /// [`Error::Unknown`] that lists the presets.
    fn preset(name: &str) -> Result<Self> {
        Self::PRESETS
            .iter()
            .find(|p| p.name == name)
            .map(|p| (p.build)())
            .ok_or_else(|| Error::unknown("preset", name, Self::PRESETS.iter().map(|p| p.name)))
    }
}

/// Holds a value to a condition, for [`ModelConfig::validate`]: `accepted` says what it must be.
///
/// # Errors
/// [`Error::Config`] that names `key`, the accepted values and the one found.
pub fn require(holds: bool, key: &str, accepted: &str, found: impl std::fmt::Display) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::config(key, format!("must be {accepted}, got {found}"))) }
}

/// Holds whole numbers to a range: a smaller one makes no network, a larger one more than a machine holds.
///
/// # Errors
/// As [`require`], for the first that lies outside.
pub fn within<'a>(
    range: std::ops::RangeInclusive<usize>,
    values: impl IntoIterator<Item = (&'a str, usize)>,
) -> Result<()> {
    let accepted = format!("{} to {}", range.start(), range.end());
    values.into_iter().try_for_each(|(key, value)| require(range.contains(&value), key, &accepted, value))
}

/// A named configuration.
pub struct Preset<C> {
    /// Name on the command line.
    pub name: &'static str,
    /// Where its numbers come from, and what it costs.
    pub source: &'static str,
    /// Makes it.
    pub build: fn() -> C,
}

/// Where a configuration comes from; later parts win.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource<'a> {
    /// Preset to start from; the first one when nothing else names one.
    pub preset: Option<&'a str>,
    /// A complete configuration to start from instead, as in a run's `config.json`.
    pub json: Option<&'a str>,
    /// A user's TOML: `preset = "..."` and the differences.
    pub toml: Option<&'a str>,
    /// `key=value` pairs, such as `train.lr=1e-4`.
    pub sets: &'a [String],
}

/// Resolves a configuration and checks it.
///
/// # Errors
/// [`Error::Unknown`] for a preset or key that does not exist (with the nearest name), [`Error::Config`] for a value of the wrong
/// type or range.
pub fn resolve<C: ModelConfig>(source: &ConfigSource<'_>) -> Result<C> {
    let mut overlay = source.toml.map(parse_overlay).transpose()?;
    let named = overlay.as_mut().and_then(|t| t.remove("preset"));
    let named = match named {
        Some(Value::String(name)) => Some(name),
        Some(other) => return Err(Error::config("preset", format!("expected a name, got {other}"))),
        None => None,
    };
    let mut tree = match (source.json, source.preset.or(named.as_deref())) {
        (Some(json), _) => {
            serde_json::from_str(json).map_err(|e| Error::config("config.json", e.to_string()))?
        }
        (None, Some(name)) => to_tree(&C::preset(name)?),
        (None, None) => to_tree(&(C::PRESETS[0].build)()),
    };
    if let Some(overlay) = overlay {
        merge(&mut tree, Value::Object(overlay), "")?;
    }
    for set in source.sets {
        apply_set(&mut tree, set)?;
    }
    let config: C = serde_json::from_value(tree).map_err(|e| Error::config("file", e.to_string()))?;
    config.validate()?;
    Ok(config)
}

fn to_tree<C: Serialize>(config: &C) -> Value {
    serde_json::to_value(config).expect("a configuration is plain data with string keys")
}

fn parse_overlay(text: &str) -> Result<serde_json::Map<String, Value>> {
    let table: toml::Table =
        text.parse().map_err(|e: toml::de::Error| Error::config("file", e.to_string()))?;
    match to_tree(&table) {
        Value::Object(map) => Ok(map),
        _ => unreachable!("a TOML document is a table"),
    }
}

fn apply_set(tree: &mut Value, set: &str) -> Result<()> {
    let Some((key, text)) = set.split_once('=') else {
        return Err(Error::config(set, "expected key=value, such as train.lr=1e-4"));
    };
    let value = parse_value(text.trim());
    let nested = key
        .trim()
        .rsplit('.')
        .fold(value, |inner, name| Value::Object(serde_json::Map::from_iter([(name.to_owned(), inner)])));
    merge(tree, nested, "")
}

/// A TOML value; anything that is none is taken as a string, so that names need no quotes.
fn parse_value(text: &str) -> Value {
    format!("v = {text}")
        .parse::<toml::Table>()
        .ok()
        .filter(|t| t.len() == 1)
        .and_then(|mut t| t.remove("v"))
        .map_or_else(|| Value::String(text.to_owned()), |v| to_tree(&v))
}

fn merge(base: &mut Value, change: Value, path: &str) -> Result<()> {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (name, value) in change {
                let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let known: Vec<String> = base.keys().cloned().collect();
                let Some(slot) = base.get_mut(&name) else {
                    return Err(unknown_key(&full, path, &known));
                };
                merge(slot, value, &full)?;
            }
            Ok(())
        }
        (slot, value) => {
            if same_kind(slot, &value) {
                *slot = value;
                Ok(())
            } else {
                Err(Error::config(path, format!("expected {}, got {value}", kind(slot))))
            }
        }
    }
}

fn unknown_key(full: &str, path: &str, known: &[String]) -> Error {
    let prefix = |k: &String| if path.is_empty() { k.clone() } else { format!("{path}.{k}") };
    let known: Vec<String> = known.iter().map(prefix).collect();
    Error::unknown("configuration key", full, known.iter().map(String::as_str))
}

fn same_kind(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old.is_f64() || !new.is_f64(),
        (Value::Array(old), Value::Array(new)) => {
            old.first().is_none_or(|o| new.iter().all(|n| same_kind(o, n)))
        }
        (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(n) if n.is_f64() => format!("a number (such as {n})"),
        Value::Number(n) => format!("a whole number (such as {n})"),
        Value::String(s) => format!("a name (such as {s:?})"),
        Value::Array(_) => format!("a list (such as {value})"),
        Value::Object(map) => {
            format!("a table with the keys {}", map.keys().cloned().collect::<Vec<_>>().join(", "))
        }
        Value::Null => "nothing".to_owned(),
    }
}

/// Lines `key: old -> new` for every leaf in which two configurations differ.
pub fn diff(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    diff_into("", old, new, &mut lines);
    lines
}

fn diff_into(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                diff_into(&full, old.get(key).unwrap_or(&Value::Null), value, lines);
            }
        }
        _ if old != new => lines.push(format!("{path}: {old} -> {new}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Toy {
        widths: Vec<usize>,
        train: Train,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Train {
        lr: f64,
        batch: usize,
        loss: Loss,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Loss {
        Wgan,
        Vanilla,
    }

    impl ModelConfig for Toy {
        const PRESETS: &'static [Preset<Self>] = &[
            Preset { name: "paper", source: "test", build: || toy(8) },
            Preset { name: "tiny", source: "test", build: || toy(2) },
        ];
        fn validate(&self) -> Result<()> {
            if self.train.batch == 0 {
                return Err(Error::config("train.batch", "must be at least 1, got 0"));
            }
            Ok(())
        }
    }

    fn toy(batch: usize) -> Toy {
        Toy { widths: vec![4, 2], train: Train { lr: 5e-5, batch, loss: Loss::Wgan } }
    }

    fn with(sets: &[&str]) -> Result<Toy> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() })
    }

    #[test]
    fn sets_change_single_values_and_keep_types() {
        let c = with(&["train.lr=1", "train.loss=vanilla", "widths=[3, 1]"]).unwrap();
        assert_eq!((c.train.lr, c.train.loss, c.widths), (1.0, Loss::Vanilla, vec![3, 1]));
    }

    #[test]
    fn mistakes_are_named_with_the_way_out() {
        let text = |sets: &[&str]| with(sets).unwrap_err().to_string();
        assert!(text(&["train.lrr=1"]).contains(r#"did you mean "train.lr""#), "{}", text(&["train.lrr=1"]));
        assert!(text(&["train.batch=0.5"]).contains("expected a whole number"));
        assert!(text(&["train.batch=many"]).contains("train.batch"));
        assert!(text(&["train.loss=hinge"]).contains("hinge"));
        assert!(text(&["train=3"]).contains("table with the keys lr, batch, loss"));
        assert!(text(&["train.batch=0"]).contains("at least 1"));
        assert!(text(&["nonsense"]).contains("key=value"));
        let bad = resolve::<Toy>(&ConfigSource { preset: Some("papper"), ..Default::default() });
        assert!(bad.unwrap_err().to_string().contains(r#"did you mean "paper""#));
    }

    #[test]
    fn toml_picks_a_preset_and_changes_it() {
        let toml = "preset = \"tiny\"\n[train]\nlr = 0.5\n";
        let c: Toy = resolve(&ConfigSource { toml: Some(toml), ..Default::default() }).unwrap();
        assert_eq!((c.train.lr, c.train.batch), (0.5, 2));
        assert_eq!(diff(&to_tree(&toy(2)), &to_tree(&c)), ["train.lr: 0.00005 -> 0.5"]);
    }
}
