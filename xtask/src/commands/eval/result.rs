//! Results for people.

use anyhow::Result;
use vg_metrics::{Divisor, Measurement};

use crate::console;

/// One metric on stdout: three lines, or one JSON object.
pub fn print(result: &Measurement, json: bool) -> Result<()> {
    if json {
        return console::json(result);
    }
    console::result(value_line(result))?;
    console::result(format!("    {}", conditions(result)))?;
    Ok(console::result(format!("    {}", sides(result)))?)
}

/// Name, value and spread, and what was measured.
fn value_line(result: &Measurement) -> String {
    let value = result.value.map_or_else(|| "infinite".to_owned(), significant);
    let spread = match (&result.interval, result.std) {
        (Some(i), _) => {
            format!(" [{}, {}] {:.0} %", significant(i.low), significant(i.high), 100.0 * i.level)
        }
        (None, Some(std)) => format!(" +- {}", significant(std)),
        (None, None) => String::new(),
    };
    let infinite = match result.infinite {
        0 => String::new(),
        n => format!("; {} infinite and not in the value", counted(n, "frame")),
    };
    let real = if result.num_real > 0 { format!("{} real, ", result.num_real) } else { String::new() };
    let [frames, height, width] = result.clip;
    format!(
        "{:<24} {value:>12}{spread}  ({real}{} fake, {} of {height}x{width}{infinite})",
        result.metric,
        result.num_fake,
        counted(frames, "frame")
    )
}

/// Everything else that the value depends on.
pub fn conditions(result: &Measurement) -> String {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
    let hash = result
        .network_sha256
        .as_ref()
        .map_or_else(|| "none".to_owned(), |sums| sums.split('+').map(short).collect::<Vec<_>>().join("+"));
    let divisor = match result.divisor {
        Some(Divisor::N) => ", divisor N",
        Some(Divisor::NMinusOne) => ", divisor N - 1",
        None => "",
    };
    let (stride, resize, seed) = (result.stride, &result.resize, result.seed);
    format!("network {hash}, stride {stride}, resize {resize}{divisor}, seed {seed}")
}

/// What was measured against what.
fn sides(result: &Measurement) -> String {
    let fake = result.fake.as_deref().unwrap_or("clips");
    match &result.real {
        Some(real) => format!("{fake} against {real}"),
        None => fake.to_owned(),
    }
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Six significant digits, so that small and large values say as much.
pub fn significant(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // The exponent after rounding: 9.999999 becomes 10.
    let scientific = format!("{value:.*e}", DIGITS as usize - 1);
    let exponent = scientific.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok());
    match exponent {
        Some(e) if (-4..=9).contains(&e) => format!("{value:.*}", (DIGITS - 1 - e).max(0) as usize),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use vg_metrics::protocol;

    use super::*;

    #[test]
    fn values_have_six_digits() {
        let cases = [
            (0.0, "0"),
            (151.39237, "151.392"),
            (0.000_123_456_78, "0.000123457"),
            (9.999_999_9, "10.0000"),
            (-0.5, "-0.500000"),
            (123_456_789.0, "123456789"),
            (1.5e-7, "1.50000e-7"),
            (2.5e12, "2.50000e12"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn a_value_stands_with_all_that_it_depends_on() {
        let result = Measurement {
            num_real: 2048,
            num_fake: 2048,
            clip: [1, 64, 64],
            network_sha256: Some(["ab".repeat(32), "cd".repeat(32)].join("+")),
            seed: 7,
            infinite: 3,
            ..Measurement::new(protocol("fvd2048_16f").unwrap(), 0.015)
        };
        let line = value_line(&result);
        assert!(
            line.contains(" 0.0150000  (2048 real, 2048 fake, 1 frame of 64x64; 3 frames infinite"),
            "{line}"
        );
        let want = "network abababababab+cdcdcdcdcdcd, stride 1, resize half-pixel-224, divisor N, seed 7";
        assert_eq!(conditions(&result), want);
    }
}
