//! Tensor names of the public port.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use vg_core::{Error, Result};

use crate::config::Config;

/// Ends of names that differ: (the port's, ours).
const ENDS: &[(&str, &str)] = &[
    ("lstm.weight_ih_l0", "lstm.weight_ih"),
    ("lstm.weight_hh_l0", "lstm.weight_hh"),
    ("lstm.bias_ih_l0", "lstm.bias_ih"),
    ("lstm.bias_hh_l0", "lstm.bias_hh"),
];
/// Heads of the port's attribute classifier, in the order of the label groups.
const HEADS: [&str; 2] = ["attr_net.fc_act.", "attr_net.fc_id."];

/// Names a state dict of the port's whole model as ours, whatever the names of the label groups are: action and identity are the first and
/// second. Counters of batches (`num_batches_tracked`) are left out. Frequencies of classes, which the port does not keep, are put in as 0,
/// so that classes nobody chose are drawn with equal probability.
///
/// # Errors
/// [`Error::Unsupported`] for more than two label groups.
pub fn from_state_dict(
    config: &Config,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let mut named = renamed(config, tensors)?;
    for group in config.groups() {
        let zeros = Tensor::zeros(group.classes, DType::F32, &candle_core::Device::Cpu)?;
        named.insert(format!("frequencies.{}", group.name), zeros);
    }
    Ok(named)
}

/// Names the two state dicts of the port's stage 1 as ours: those of its keys `encoder` and `attr_net`, whose names lack the network's.
///
/// # Errors
/// As [`from_state_dict`].
pub fn from_stage_1(
    config: &Config,
    encoder: impl IntoIterator<Item = (String, Tensor)>,
    attributes: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let encoder = encoder.into_iter().map(|(name, t)| (format!("enc.{name}"), t));
    let attributes = attributes.into_iter().map(|(name, t)| (format!("attr_net.{name}"), t));
    renamed(config, encoder.chain(attributes))
}

/// Reads a checkpoint of the port, `{epoch, model, optimizer}` in PyTorch's ZIP container, under our names.
///
/// # Errors
/// [`Error::Format`] for a file that is no such checkpoint, and those of [`from_state_dict`].
pub fn from_pth(path: &Path, config: &Config) -> Result<BTreeMap<String, Tensor>> {
    from_state_dict(config, read(path, "model")?)
}

/// Reads a checkpoint of the port's stage 1, `{encoder, attr_net}`, under our names.
///
/// # Errors
/// As [`from_pth`].
pub fn from_stage_1_pth(path: &Path, config: &Config) -> Result<BTreeMap<String, Tensor>> {
    from_stage_1(config, read(path, "encoder")?, read(path, "attr_net")?)
}

/// The tensors under their names in the port, without the frequencies.
///
/// # Errors
/// As [`from_state_dict`].
pub fn to_state_dict(
    config: &Config,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>> {
    let heads = heads(config)?;
    let kept = tensors.iter().filter(|(name, _)| !name.starts_with("frequencies."));
    let theirs = |name: &str| {
        let head = heads.iter().find_map(|(port, ours)| Some(format!("{port}{}", name.strip_prefix(ours)?)));
        let end = || ENDS.iter().find(|(_, ours)| *ours == name).map(|(port, _)| (*port).to_owned());
        head.or_else(end).unwrap_or_else(|| name.to_owned())
    };
    Ok(kept.map(|(name, t)| (theirs(name), t.clone())).collect())
}

fn renamed(
    config: &Config,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let heads = heads(config)?;
    let ours = |name: &str| {
        let head = heads.iter().find_map(|(port, ours)| Some(format!("{ours}{}", name.strip_prefix(port)?)));
        let end = || ENDS.iter().find(|(port, _)| *port == name).map(|(_, ours)| (*ours).to_owned());
        head.or_else(end).unwrap_or_else(|| name.to_owned())
    };
    let kept = tensors.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    Ok(kept.map(|(name, t)| (ours(&name), t)).collect())
}

/// Starts of the heads' names: (the port's, ours).
fn heads(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let names = &config.attributes.names;
    if names.len() > HEADS.len() {
        let problem =
            format!("the public port has two label groups, not {}: {}", names.len(), names.join(", "));
        return Err(Error::Unsupported(problem));
    }
    Ok(HEADS.into_iter().zip(names.iter().map(|name| format!("attr_net.fc_{name}."))).collect())
}

fn read(path: &Path, key: &str) -> Result<Vec<(String, Tensor)>> {
    std::fs::File::open(path).map_err(Error::io("reading", path))?;
    candle_core::pickle::read_all_with_key(path, Some(key)).map_err(|e| {
        let hint = format!("expected state dicts in PyTorch's ZIP container, with the key {key:?}");
        Error::format(path, format!("{hint} ({e})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use vg_core::config::ModelConfig;

    fn tensors(names: &[&str]) -> Vec<(String, Tensor)> {
        let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        names.iter().map(|name| ((*name).to_owned(), zero.clone())).collect()
    }

    #[test]
    fn names_map_both_ways() {
        let config = Config::preset("paper").unwrap();
        let port = [
            "enc.conv1.conv1.weight",
            "enc.conv1.bn1.num_batches_tracked",
            "attr_net.fc1.bias",
            "attr_net.fc_act.weight",
            "attr_net.fc_id.bias",
            "post_dy.fc22.weight",
            "dec.convt3.convt1.bias",
            "lstm.weight_ih_l0",
            "lstm.bias_hh_l0",
        ];
        let ours = from_state_dict(&config, tensors(&port)).unwrap();
        for name in [
            "attr_net.fc_class.weight",
            "attr_net.fc_identity.bias",
            "lstm.weight_ih",
            "lstm.bias_hh",
            "frequencies.class",
            "frequencies.identity",
        ] {
            assert!(ours.contains_key(name), "{name}: {ours:?}");
        }
        let back: Vec<String> = to_state_dict(&config, &ours).unwrap().into_keys().collect();
        let mut want: Vec<&str> = port.into_iter().filter(|n| !n.ends_with("tracked")).collect();
        want.sort_unstable();
        assert_eq!(back, want);
    }

    #[test]
    fn stage_1_has_names_without_its_networks() {
        let config = Config::preset("weizmann-classifier").unwrap();
        let ours = from_stage_1(&config, tensors(&["fc5.weight"]), tensors(&["fc1.weight", "fc_act.bias"]));
        let names: Vec<String> = ours.unwrap().into_keys().collect();
        assert_eq!(names, ["attr_net.fc1.weight", "attr_net.fc_class.bias", "enc.fc5.weight"]);
    }

    #[test]
    fn what_cannot_be_converted_is_named() {
        let error = from_state_dict(&Config::preset("shapes").unwrap(), []).unwrap_err().to_string();
        assert!(error.contains("two label groups"), "{error}");
        let config = Config::preset("paper").unwrap();
        let path = std::env::temp_dir().join(format!("vg-videovae-{}", std::process::id()));
        std::fs::write(&path, b"not a container").unwrap();
        let error = from_pth(&path, &config).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("ZIP container"), "{error}");
        let error = from_stage_1_pth(Path::new("/nowhere.pth"), &config).unwrap_err().to_string();
        assert!(error.contains("reading"), "{error}");
    }
}
