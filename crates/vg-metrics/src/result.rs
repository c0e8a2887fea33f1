//! A measured value with all that it depends on, as one line of JSON.

use serde::{Deserialize, Serialize};

use crate::bootstrap::Interval;
use crate::error::{Error, Result};
use crate::gaussian::Divisor;
use crate::protocol::{Better, Protocol};
use crate::registry::protocol;

/// Version of the record that this crate writes and reads.
pub const VERSION: u32 = 1;

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Name of the metric, which fixes the protocol.
    pub metric: String,
    /// The value; null where every part is infinite (PSNR of equal frames).
    pub value: Option<f64>,
    /// Standard deviation over runs, splits or subsets, where there are several.
    pub std: Option<f64>,
    /// Confidence interval, where it is cheap.
    pub interval: Option<Interval>,
    /// Infinite values that are not in `value`.
    pub infinite: usize,
    /// The parts whose mean the value is, where they are told apart: levels of a pyramid, runs, predicted frames.
    pub parts: Vec<f64>,
    /// Number of real clips; 0 where none are looked at.
    pub num_real: usize,
    /// Number of generated clips.
    pub num_fake: usize,
    /// Frames, height and width of the clips that were measured, before resizing.
    pub clip: [usize; 3],
    /// Distance between the frames taken.
    pub stride: usize,
    /// SHA-256 of the network's weights in hexadecimal ([`Weights::sha256`](crate::weights::Weights::sha256)); null without a network.
    pub network_sha256: Option<String>,
    /// How frames were brought to the network's size.
    pub resize: String,
    /// What the sum of squares was divided by, for Fréchet distances.
    pub divisor: Option<Divisor>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Name of the real clips: data set and split, or folder.
    pub real: Option<String>,
    /// Name of the generated clips: run, checkpoint or folder.
    pub fake: Option<String>,
    /// [`VERSION`].
    pub version: u32,
}

/// Two comparable values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The second value minus the first.
    pub difference: f64,
    /// Whether the second is better; absent when they are equal, or when the metric has no good direction.
    pub second_is_better: Option<bool>,
}

impl Measurement {
    /// A record with what the protocol fixes; fill in the rest.
    pub fn new(protocol: &Protocol, value: f64) -> Self {
        Self {
            metric: protocol.name.to_owned(),
            value: value.is_finite().then_some(value),
            std: None,
            interval: None,
            infinite: 0,
            parts: Vec::new(),
            num_real: 0,
            num_fake: 0,
            clip: [0; 3],
            stride: protocol.stride(),
            network_sha256: None,
            resize: protocol.resize.to_string(),
            divisor: protocol.divisor(),
            seed: 0,
            real: None,
            fake: None,
            version: VERSION,
        }
    }

    /// The record as one line of JSON, without a line break.
    ///
    /// # Errors
    /// None in practice: all numbers that JSON cannot hold are absent.
    pub fn to_json_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(damaged)
    }

    /// Reads a line that [`Measurement::to_json_line`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`] for anything else, or another version.
    pub fn from_json_line(line: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(line).map_err(damaged)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => serde_json::from_value(value).map_err(damaged),
            found => Err(damaged(format!("expected version {VERSION}, got {found:?}"))),
        }
    }

    /// The difference to another value of the same protocol.
    ///
    /// # Errors
    /// [`Error::NotComparable`] with all differing fields: metric, network, clip size, stride, resize rule, divisor, real clips and, where
    /// the metric depends on them, numbers of clips. [`Error::Core`] for a metric that is not known.
    pub fn compare(&self, second: &Self) -> Result<Comparison> {
        let differences = self.differences(second)?;
        if !differences.is_empty() {
            return Err(Error::NotComparable {
                left: self.metric.clone(),
                right: second.metric.clone(),
                differences: differences.join("; "),
            });
        }
        let (Some(a), Some(b)) = (self.value, second.value) else {
            return Err(Error::setting("value to compare", "infinite", "a finite number on both sides"));
        };
        let second_is_better = match protocol(&self.metric)?.better {
            Better::Higher => (a != b).then_some(b > a),
            Better::Lower => (a != b).then_some(b < a),
            Better::AsReal => None,
        };
        Ok(Comparison { difference: b - a, second_is_better })
    }

    fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let protocol = protocol(&self.metric)?;
        let text = |v: &dyn std::fmt::Debug| format!("{v:?}");
        let mut fields = vec![
            ("metric", text(&self.metric), text(&other.metric)),
            ("network_sha256", text(&self.network_sha256), text(&other.network_sha256)),
            ("clip", text(&self.clip), text(&other.clip)),
            ("stride", text(&self.stride), text(&other.stride)),
            ("resize", text(&self.resize), text(&other.resize)),
            ("divisor", text(&self.divisor), text(&other.divisor)),
            ("real", text(&self.real), text(&other.real)),
            ("version", text(&self.version), text(&other.version)),
        ];
        if protocol.depends_on_count() {
            fields.push(("num_real", text(&self.num_real), text(&other.num_real)));
            fields.push(("num_fake", text(&self.num_fake), text(&other.num_fake)));
        }
        let differ = fields.into_iter().filter(|(_, a, b)| a != b);
        Ok(differ.map(|(name, a, b)| format!("{name} is {a} and {b}")).collect())
    }
}

fn damaged(problem: impl ToString) -> Error {
    Error::Format { what: "result of a measurement", problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fvd(value: f64) -> Measurement {
        Measurement {
            num_real: 256,
            num_fake: 256,
            clip: [16, 64, 64],
            network_sha256: Some("af5c".to_owned()),
            real: Some("emoji/test".to_owned()),
            ..Measurement::new(protocol("fvd").unwrap(), value)
        }
    }

    #[test]
    fn records_survive_json() {
        let interval = Some(Interval { low: 1.0, high: 2.5, level: 0.95 });
        let record = Measurement {
            interval,
            parts: vec![0.1, 0.2],
            fake: Some("runs/1".to_owned()),
            ..fvd(0.1 + 0.2)
        };
        let line = record.to_json_line().unwrap();
        assert!(line.starts_with(r#"{"metric":"fvd","value":0.30000000000000004,"#), "{line}");
        assert!(line.contains(r#""divisor":"n-1""#) && !line.contains('\n'), "{line}");
        assert_eq!(Measurement::from_json_line(&line).unwrap(), record);
        assert_eq!(Measurement::new(protocol("psnr").unwrap(), f64::INFINITY).value, None);

        let old = line.replace("\"version\":1", "\"version\":9");
        assert!(Measurement::from_json_line(&old).unwrap_err().to_string().contains("expected version 1"));
        assert!(Measurement::from_json_line("{").is_err());
    }

    #[test]
    fn comparison_knows_the_good_direction() {
        let got = fvd(10.0).compare(&Measurement { seed: 7, ..fvd(8.0) }).unwrap();
        assert_eq!(got, Comparison { difference: -2.0, second_is_better: Some(true) });
        let psnr = |v| Measurement::new(protocol("psnr").unwrap(), v);
        let other = Measurement { num_fake: 9, ..psnr(19.0) };
        assert_eq!(psnr(20.0).compare(&other).unwrap().second_is_better, Some(false));
        assert_eq!(psnr(20.0).compare(&psnr(20.0)).unwrap().second_is_better, None);
        assert!(psnr(20.0).compare(&psnr(f64::INFINITY)).is_err());
        let motion = |v| Measurement::new(protocol("motion").unwrap(), v);
        assert_eq!(motion(1.0).compare(&motion(2.0)).unwrap().second_is_better, None);
    }

    #[test]
    fn other_protocols_are_refused_with_all_differences() {
        let other = Measurement { num_fake: 2048, network_sha256: Some("b7a5".to_owned()), ..fvd(8.0) };
        let error = fvd(10.0).compare(&other).unwrap_err();
        let want = "results of fvd and fvd are not comparable: network_sha256 is Some(\"af5c\") and Some(\"b7a5\"); \
                    num_fake is 256 and 2048";
        assert_eq!(error.to_string(), want);
        assert!(error.hint().is_some());
        let stylegan = Measurement::new(protocol("fvd2048_16f").unwrap(), 8.0);
        let error = fvd(10.0).compare(&stylegan).unwrap_err().to_string();
        for field in ["metric", "clip", "resize", "divisor", "real"] {
            assert!(error.contains(&format!("{field} is ")), "{field}: {error}");
        }
        let unknown = Measurement { metric: "fdv".to_owned(), ..fvd(1.0) };
        assert!(unknown.compare(&unknown).unwrap_err().to_string().contains("did you mean \"fvd\"?"));
    }
}
