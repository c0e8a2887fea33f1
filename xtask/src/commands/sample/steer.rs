//! From the arguments that steer clips to requests.

use std::collections::BTreeMap;
use std::str::FromStr;

use vg_core::sample::{ClassSwitch, Noise, SampleRequest};

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

/// `FRAME:CLASS` or `FRAME:NAME=CLASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch(pub ClassSwitch);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(frame, class)| {
            let frame = frame.trim().parse().ok()?;
            Some(match class.split_once('=') {
                Some((name, _)) if name.trim().is_empty() => return None,
                Some((name, class)) => ClassSwitch::of(name.trim(), frame, class.trim().parse().ok()?),
                None => ClassSwitch::new(frame, class.trim().parse().ok()?),
            })
        });
        parsed.map(Self).ok_or_else(|| {
            format!("expected FRAME:CLASS, such as 8:2, or FRAME:NAME=CLASS, such as 8:kind=1, got {text:?}")
        })
    }
}

/// `NAME=CLASS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfAttribute {
    pub name: String,
    pub class: usize,
}

impl FromStr for OfAttribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        let parsed = parts.and_then(|(name, class)| {
            Some(Self { name: name.trim().to_owned(), class: class.trim().parse().ok()? })
        });
        parsed.ok_or_else(|| format!("expected NAME=CLASS, such as identity=4, got {text:?}"))
    }
}

/// Changes to the clips that a request asks for
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Steer {
    /// Frames a clip; the model's own length when absent
    #[arg(long, value_name = "T")]
    pub(super) frames: Option<usize>,
    /// Class of all clips, for models with classes; drawn from the seed when absent
    #[arg(long, value_name = "K", conflicts_with = "classes")]
    class: Option<usize>,
    /// Class of each clip, such as 0,0,1; from the start again where there are more clips
    #[arg(long, value_name = "K,K", value_delimiter = ',')]
    classes: Vec<usize>,
    /// Class of all clips in a label group by its name, such as identity=4, for models that have several; may be repeated
    #[arg(long = "attribute", value_name = "NAME=K")]
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

impl Steer {
    /// Number of clips, where a grid says so.
    pub fn clips(&self, asked: u64) -> u64 {
        self.grid.as_ref().map_or(asked, Grid::clips)
    }

    /// The request for clips `range` of those that start at `seed`.
    pub fn request(&self, seed: u64, range: std::ops::Range<u64>) -> SampleRequest {
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
        let class = |k: u64| self.classes[k as usize % self.classes.len()];
        let classes = if self.classes.is_empty() { Vec::new() } else { range.map(class).collect() };
        let noise = match (self.sigma, self.truncation) {
            (Some(sigma), _) => Noise::Normal(sigma),
            (None, Some(factor)) => Noise::Truncated(factor),
            (None, None) => Noise::default(),
        };
        SampleRequest {
            noise,
            frames: self.frames,
            class: self.class,
            classes,
            streams,
            speed: self.speed,
            attributes: self.attributes.iter().map(|a| (a.name.clone(), vec![a.class])).collect(),
            switches: self.switches.iter().map(|s| s.0.clone()).collect(),
            ..SampleRequest::seeds(seeds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_share_seeds_along_rows_and_columns() {
        let steer = Steer { grid: Some("content=2, motion=3".parse().unwrap()), ..Steer::default() };
        assert_eq!(steer.clips(16), 6);
        let request = steer.request(10, 0..6);
        assert_eq!(request.streams["content"], [10, 10, 10, 11, 11, 11]);
        assert_eq!(request.streams["motion"], [10, 11, 12, 10, 11, 12]);
        assert_eq!(request.seeds, [10, 11, 12, 10, 11, 12]);
        let rest = steer.request(10, 4..6);
        assert_eq!((rest.streams["content"][0], rest.streams["motion"][0]), (11, 11));
    }

    #[test]
    fn classes_repeat_and_single_streams_are_fixed() {
        let fixed = vec!["content=7".parse().unwrap()];
        let steer = Steer { classes: vec![0, 2], fixed, ..Steer::default() };
        let request = steer.request(0, 3..6);
        assert_eq!((request.classes, request.seeds), (vec![2, 0, 2], vec![3, 4, 5]));
        assert_eq!(request.streams["content"], [7, 7, 7]);
    }

    #[test]
    fn noise_is_normal_or_truncated() {
        let noise =
            |sigma, truncation| Steer { sigma, truncation, ..Steer::default() }.request(0, 0..1).noise;
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
        for text in ["8", "8:=2", "8:kind", "x:2", "8:kind=x"] {
            assert!(text.parse::<Switch>().unwrap_err().contains("FRAME:CLASS"), "{text}");
        }
        assert_eq!("8:2".parse::<Switch>().unwrap().0, ClassSwitch::new(8, 2));
        assert_eq!("8: kind = 1".parse::<Switch>().unwrap().0, ClassSwitch::of("kind", 8, 1));
        assert!("identity".parse::<OfAttribute>().unwrap_err().contains("NAME=CLASS"));
    }

    #[test]
    fn attributes_and_switches_go_into_the_request() {
        let attributes = ["identity=4", "kind=1"].map(|a| a.parse().unwrap()).to_vec();
        let switches = ["5:6", "10:identity=7"].map(|s| s.parse().unwrap()).to_vec();
        let request = Steer { attributes, switches, ..Steer::default() }.request(0, 0..2);
        assert_eq!(
            (&request.attributes["identity"][..], &request.attributes["kind"][..]),
            (&[4][..], &[1][..])
        );
        assert_eq!(request.switches, [ClassSwitch::new(5, 6), ClassSwitch::of("identity", 10, 7)]);
    }
}
