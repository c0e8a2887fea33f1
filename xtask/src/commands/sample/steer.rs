//! From the arguments that steer clips to requests.

use std::collections::BTreeMap;
use std::str::FromStr;

use vg_core::sample::{Attribute, ClassNames, ClassSwitch, Noise, SampleRequest, evenly_chosen};

/// `STREAM=NUMBER`: a seed of a random stream, or a number of seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub stream: String,
    pub number: u64,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(stream, _)| !stream.trim().is_empty());
        let named = parts.and_then(|(stream, number)| {
            Some(Self { stream: stream.trim().to_owned(), number: number.trim().parse().ok()? })
        });
        named.ok_or_else(|| format!("expected STREAM=NUMBER, such as content=4, got {text:?}"))
    }
}

/// `ROWS,COLUMNS`, each `STREAM=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub rows: Named,
    pub columns: Named,
}

impl FromStr for Grid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "expected STREAM=ROWS,STREAM=COLUMNS, such as content=4,motion=6";
        let (rows, columns) = text.split_once(',').ok_or_else(|| format!("{example}, got {text:?}"))?;
        let (rows, columns): (Named, Named) = (rows.parse()?, columns.parse()?);
        if rows.stream == columns.stream {
            return Err(format!("rows and columns need two different streams, got {:?} twice", rows.stream));
        }
        match [rows.number, columns.number].iter().all(|n| (1..=64).contains(n)) {
            true => Ok(Self { rows, columns }),
            false => Err(format!("a grid has 1 to 64 rows and columns, got {text:?}")),
        }
    }
}

impl Grid {
    /// Number of clips.
    pub fn clips(&self) -> u64 {
        self.rows.number * self.columns.number
    }
}

/// A class by its number, or by a name that the weights know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    Number(usize),
    Name(String),
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("", _) => Err("expected the number or the name of a class".to_owned()),
            (_, Ok(number)) => Ok(Self::Number(number)),
            (name, Err(_)) => Ok(Self::Name(name.to_owned())),
        }
    }
}

impl Class {
    fn number(&self, names: &ClassNames, group: &str) -> vg_core::Result<usize> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => names.find(group, name),
        }
    }
}

/// `FRAME:CLASS` or `FRAME:NAME=CLASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    pub frame: usize,
    pub attribute: Option<String>,
    pub class: Class,
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(frame, class)| {
            let frame = frame.trim().parse().ok()?;
            let (attribute, class) = match class.split_once('=') {
                Some((name, _)) if name.trim().is_empty() => return None,
                Some((name, class)) => (Some(name.trim().to_owned()), class),
                None => (None, class),
            };
            Some(Self { frame, attribute, class: class.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            format!("expected FRAME:CLASS, such as 8:2, or FRAME:NAME=CLASS, such as 8:kind=1, got {text:?}")
        })
    }
}

/// `NAME=CLASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfAttribute {
    pub name: String,
    pub class: Class,
}

impl FromStr for OfAttribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        let parsed = parts.and_then(|(name, class)| {
            Some(Self { name: name.trim().to_owned(), class: class.parse().ok()? })
        });
        parsed
            .ok_or_else(|| format!("expected NAME=CLASS, such as identity=4 or identity=moshe, got {text:?}"))
    }
}

/// Changes to the clips that a request asks for
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Steer {
    /// Frames a clip; the model's own length when absent
    #[arg(long, value_name = "T")]
    pub(super) frames: Option<usize>,
    /// Class of all clips, by its number or its name, for models with classes; drawn from the seed when absent
    #[arg(long, value_name = "CLASS", conflicts_with = "classes")]
    class: Option<Class>,
    /// Class of each clip, such as 0,0,1 or red,blue; from the start again where there are more clips
    #[arg(long, value_name = "CLASS,CLASS", value_delimiter = ',')]
    classes: Vec<Class>,
    /// Clips of each class with the same seeds, a row a class; of more than ten classes, ten that are chosen evenly. Also writes a page
    /// OUT.html with the classes' names beside the rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64),
        conflicts_with_all = ["class", "classes", "grid", "data", "context", "parts"])]
    pub per_class: Option<u64>,
    /// Class of all clips in a label group by its name, such as identity=4, for models that have several; may be repeated
    #[arg(long = "attribute", value_name = "NAME=CLASS")]
    attributes: Vec<OfAttribute>,
    /// Another class from frame FRAME on, such as 8:2, or in a label group by its name, such as 8:kind=1; may be repeated
    #[arg(long = "switch", value_name = "FRAME:CLASS")]
    switches: Vec<Switch>,
    /// How fast clips move: 0.5 is half as fast, 2 twice
    #[arg(long, value_name = "S")]
    speed: Option<f64>,
    /// Standard deviation of the latents, for models that leave it open: less than 1 makes clips more typical and less various
    #[arg(long, value_name = "S", conflicts_with = "truncation")]
    sigma: Option<f64>,
    /// Latents from a normal distribution cut off at -2 and 2, times T, for the same models
    #[arg(long, value_name = "T")]
    truncation: Option<f64>,
    /// Seed of one random stream of all clips, such as content=7; may be repeated. MoCoGAN has content, motion and class, DVD-GAN noise and class
    #[arg(long = "fix", value_name = "STREAM=SEED")]
    fixed: Vec<Named>,
    /// Clips in rows that share the seed of one random stream and columns that share that of another, such as
    /// content=4,motion=6; seeds count from SEED. Writes two files: an animation and a PNG picture
    #[arg(long, value_name = "STREAM=N,STREAM=N")]
    pub grid: Option<Grid>,
}

/// Classes that are shown of a model with more.
const ROWS: usize = 10;

/// The classes that a [`Steer`] asks for, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    class: Option<usize>,
    each: Vec<usize>,
    attributes: BTreeMap<String, Vec<usize>>,
    switches: Vec<ClassSwitch>,
    /// With `--per-class`, the class of each row and its name.
    pub rows: Vec<(usize, String)>,
}

impl Steer {
    /// The classes that are asked for, of a model with `count` classes in its first label group.
    ///
    /// # Errors
    /// As [`ClassNames::find`].
    pub fn classes(&self, names: &ClassNames, known: &[Attribute], count: usize) -> vg_core::Result<Classes> {
        let first = names.first_group(known);
        let of_first = |class: &Class| class.number(names, &first);
        let attribute = |a: &OfAttribute| Ok((a.name.clone(), vec![a.class.number(names, &a.name)?]));
        let switch = |s: &Switch| {
            let class = s.class.number(names, s.attribute.as_ref().unwrap_or(&first))?;
            Ok(ClassSwitch { frame: s.frame, attribute: s.attribute.clone(), class })
        };
        let rows = if self.per_class.is_some() { evenly_chosen(count, ROWS) } else { Vec::new() };
        Ok(Classes {
            class: self.class.as_ref().map(of_first).transpose()?,
            each: self.classes.iter().map(of_first).collect::<vg_core::Result<_>>()?,
            attributes: self.attributes.iter().map(attribute).collect::<vg_core::Result<_>>()?,
            switches: self.switches.iter().map(switch).collect::<vg_core::Result<_>>()?,
            rows: rows.into_iter().map(|class| (class, names.name(&first, class))).collect(),
        })
    }

    /// Number of clips, where a grid or the classes say so.
    pub fn clips(&self, asked: u64, classes: &Classes) -> u64 {
        match (&self.grid, self.per_class) {
            (Some(grid), _) => grid.clips(),
            (None, Some(columns)) => columns * classes.rows.len() as u64,
            (None, None) => asked,
        }
    }

    /// The request for clips `range` of those that start at `seed`.
    pub fn request(&self, classes: &Classes, seed: u64, range: std::ops::Range<u64>) -> SampleRequest {
        let n = range.clone().count();
        let mut streams: BTreeMap<String, Vec<u64>> =
            self.fixed.iter().map(|f| (f.stream.clone(), vec![f.number; n])).collect();
        let mut seeds: Vec<u64> = range.clone().map(|k| seed.saturating_add(k)).collect();
        if let Some(Grid { rows, columns }) = &self.grid {
            let of = |place: fn(u64, u64) -> u64| -> Vec<u64> {
                range.clone().map(|k| seed.saturating_add(place(k, columns.number))).collect()
            };
            // Streams that are in neither go with the columns.
            seeds = of(|k, n| k % n);
            streams.insert(columns.stream.clone(), seeds.clone());
            streams.insert(rows.stream.clone(), of(|k, n| k / n));
        }
        let mut each = Vec::new();
        if let Some(columns) = self.per_class {
            seeds = range.clone().map(|k| seed.saturating_add(k % columns)).collect();
            each = range.map(|k| classes.rows[(k / columns) as usize].0).collect();
        } else if !classes.each.is_empty() {
            each = range.map(|k| classes.each[k as usize % classes.each.len()]).collect();
        }
        let noise = match (self.sigma, self.truncation) {
            (Some(sigma), _) => Noise::Normal(sigma),
            (None, Some(factor)) => Noise::Truncated(factor),
            (None, None) => Noise::default(),
        };
        SampleRequest {
            noise,
            frames: self.frames,
            class: classes.class,
            classes: each,
            streams,
            speed: self.speed,
            attributes: classes.attributes.clone(),
            switches: classes.switches.clone(),
            ..SampleRequest::seeds(seeds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ClassNames {
        ClassNames::new([("kind".to_owned(), ["red", "green", "blue"].map(str::to_owned).to_vec())])
    }

    fn known() -> [Attribute; 2] {
        [("kind", 3), ("identity", 9)].map(|(name, classes)| Attribute { name: name.to_owned(), classes })
    }

    #[test]
    fn each_class_has_a_row_of_the_same_seeds() {
        let steer = Steer { per_class: Some(2), ..Steer::default() };
        let classes = steer.classes(&names(), &[], 3).unwrap();
        assert_eq!(classes.rows[1], (1, "green".to_owned()));
        assert_eq!(steer.clips(16, &classes), 6);
        let request = steer.request(&classes, 5, 1..5);
        assert_eq!((request.classes, request.seeds), (vec![0, 1, 1, 2], vec![6, 5, 6, 5]));
        assert_eq!(steer.classes(&names(), &[], 600).unwrap().rows.len(), 10);
    }

    #[test]
    fn unknown_names_are_errors() {
        let steer = Steer { class: Some("gren".parse().unwrap()), ..Steer::default() };
        let error = steer.classes(&names(), &[], 3).unwrap_err().to_string();
        assert!(error.contains("near it: \"green\""), "{error}");
        let error = steer.classes(&ClassNames::default(), &[], 3).unwrap_err().to_string();
        assert!(error.contains("give a number"), "{error}");
        assert!("".parse::<Class>().is_err());
    }

    #[test]
    fn grids_share_seeds_along_rows_and_columns() {
        let steer = Steer { grid: Some("content=2, motion=3".parse().unwrap()), ..Steer::default() };
        let none = Classes::default();
        assert_eq!(steer.clips(16, &none), 6);
        let request = steer.request(&none, 10, 0..6);
        assert_eq!(request.streams["content"], [10, 10, 10, 11, 11, 11]);
        assert_eq!(request.streams["motion"], [10, 11, 12, 10, 11, 12]);
        assert_eq!(request.seeds, [10, 11, 12, 10, 11, 12]);
        let rest = steer.request(&none, 10, 4..6);
        assert_eq!((rest.streams["content"][0], rest.streams["motion"][0]), (11, 11));
    }

    #[test]
    fn classes_repeat_and_single_streams_are_fixed() {
        let fixed = vec!["content=7".parse().unwrap()];
        let classes = vec!["0".parse().unwrap(), "blue".parse().unwrap()];
        let steer = Steer { classes, fixed, ..Steer::default() };
        let request = steer.request(&steer.classes(&names(), &[], 3).unwrap(), 0, 3..6);
        assert_eq!((request.classes, request.seeds), (vec![2, 0, 2], vec![3, 4, 5]));
        assert_eq!(request.streams["content"], [7, 7, 7]);
    }

    #[test]
    fn noise_is_normal_or_truncated() {
        let noise = |sigma, truncation| {
            Steer { sigma, truncation, ..Steer::default() }.request(&Classes::default(), 0, 0..1).noise
        };
        assert_eq!(noise(None, None), Noise::Normal(1.0));
        assert_eq!(noise(Some(0.44), None), Noise::Normal(0.44));
        assert_eq!(noise(None, Some(0.5)), Noise::Truncated(0.5));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("content", "STREAM=ROWS"),
            ("content=2,motion", "STREAM=NUMBER"),
            ("content=2,content=3", "different streams"),
            ("content=0,motion=3", "1 to 64"),
        ] {
            let error = text.parse::<Grid>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        for text in ["8", "8:=2", "8:", "x:2", "8:kind="] {
            assert!(text.parse::<Switch>().unwrap_err().contains("FRAME:CLASS"), "{text}");
        }
        let switch = |text: &str| text.parse::<Switch>().unwrap();
        assert_eq!(switch("8:2"), Switch { frame: 8, attribute: None, class: Class::Number(2) });
        let named = Switch { frame: 8, attribute: Some("kind".into()), class: Class::Name("a b".into()) };
        assert_eq!(switch("8: kind = a b"), named);
        assert!("identity".parse::<OfAttribute>().unwrap_err().contains("NAME=CLASS"));
    }

    #[test]
    fn attributes_and_switches_go_into_the_request() {
        let attributes = ["identity=4", "kind=1"].map(|a| a.parse().unwrap()).to_vec();
        let switches = ["5:green", "10:identity=7"].map(|s| s.parse().unwrap()).to_vec();
        let steer = Steer { attributes, switches, ..Steer::default() };
        let request = steer.request(&steer.classes(&names(), &known(), 3).unwrap(), 0, 0..2);
        assert_eq!(
            (&request.attributes["identity"][..], &request.attributes["kind"][..]),
            (&[4][..], &[1][..])
        );
        assert_eq!(request.switches, [ClassSwitch::new(5, 1), ClassSwitch::of("identity", 10, 7)]);
    }
}
