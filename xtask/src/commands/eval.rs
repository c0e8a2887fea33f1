//! `cargo xtask eval`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_data::decode::decode_whole;
use vg_data::{Progress, Split, Unit};
use vg_metrics::{Clip, Divisor, Input, Measurement, Panel, protocol};

use crate::data::Bar;
use crate::failure::{Done, Failure};
use crate::{console, threads};

/// Measure a folder of clips by metrics with fixed protocols
///
/// Clips keep their size. Folders are read in the order of file names, as `train --data folder:PATH` does; psnr, ssim and lpips compare
/// the first clips with each other, then the second ones, and so on. A broken file is an error: without it the value would be another.
///
/// GIF, animated WebP, APNG, Y4M and folders of numbered images are read; videos (mp4, avi and the like) are not, as decoding changes
/// pixels. Turn each into a folder of frames first: `mkdir CLIP; ffmpeg -i CLIP.mp4 CLIP/%05d.png`.
///
/// Below each value stands what it depends on: the first digits of the weights' hash, stride, resize rule, divisor of the covariance and
/// seed. --json has all of it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask eval --real data/real --fake samples --metrics fvd,kvd\n  \
    cargo xtask eval --real future --fake predicted --metrics psnr,ssim-finn --json\n  \
    cargo xtask eval --fake samples --metrics motion,frozen,diversity --num 64\n\n\
    Metrics: see crates/vg-metrics/README.md; a wrong name is answered with the nearest one.")]
pub struct Args {
    /// Folder of real clips, or of true ones for psnr, ssim and lpips; not needed for metrics of generated clips alone
    #[arg(long, value_name = "DIR")]
    real: Option<PathBuf>,
    /// Folder of generated or predicted clips
    #[arg(long, value_name = "DIR")]
    fake: PathBuf,
    /// Names of metrics, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    metrics: Vec<String>,
    /// Take the first N clips of each folder; all when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Seed of random frames, pairs and directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Take the first T frames of each clip; all when absent
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Folder of the networks' weights, as `download` makes it
    #[arg(long, value_name = "DIR", default_value = "data/cache/networks")]
    weights: PathBuf,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object per metric
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let panels = panels(args)?;
    threads::fix(args.threads)?;
    let fake = Folder::open(&args.fake, args)?;
    let real = match &args.real {
        Some(path) if panels.iter().any(needs_real) => Some(Folder::open(path, args)?),
        _ => None,
    };
    panels.iter().try_for_each(|panel| check(panel, real.as_ref(), &fake))?;
    let (mut done, mut next) = (Vec::new(), 0);
    for panel in &panels {
        done.extend(measure(panel, real.as_ref(), &fake)?);
        // In the order asked for, as soon as there is no gap.
        while let Some(result) =
            args.metrics.get(next).and_then(|name| done.iter().find(|d| d.metric == *name))
        {
            if !args.metrics[..next].contains(&result.metric) {
                report(args, result)?;
            }
            next += 1;
        }
    }
    Ok(Done::Good)
}

/// Opens all metrics, so that mistakes show before the first measurement.
fn panels(args: &Args) -> Result<Vec<Panel>> {
    for name in &args.metrics {
        let input = protocol(name)?.input;
        if input != Input::OneSet && args.real.is_none() {
            let text = format!("{name} compares with real clips, and --real is missing");
            return Err(Failure::new(text).hint("give a folder of real clips with --real DIR").into());
        }
    }
    let panels = Panel::open_all(&args.metrics, &args.weights)?;
    Ok(panels.into_iter().map(|panel| panel.seed(args.seed)).collect())
}

fn needs_real(panel: &Panel) -> bool {
    panel.input() != Input::OneSet
}

/// Refuses sets that are too small or of unequal size, and warns of names of pairs that look wrong, before anything is decoded.
fn check(panel: &Panel, real: Option<&Folder>, fake: &Folder) -> Result<()> {
    let real = real.filter(|_| needs_real(panel));
    panel.check_counts(real.map(|r| r.clips.len()), fake.clips.len())?;
    let Some(real) = real else { return Ok(()) };
    let pairs = real.clips.iter().zip(&fake.clips);
    let odd = pairs.map(|(a, b)| (&a.name, &b.name)).find(|(a, b)| stem(a) != stem(b));
    if let Some((a, b)) = odd.filter(|_| panel.input() == Input::Pairs) {
        let names = panel.names().join(", ");
        console::warn(format!("{names}: pairs have different names, such as {a} and {b}"));
    }
    Ok(())
}

/// The name without its ending.
fn stem(name: &str) -> PathBuf {
    Path::new(name).with_extension("")
}

fn measure(panel: &Panel, real: Option<&Folder>, fake: &Folder) -> Result<Vec<Measurement>> {
    let real = real.filter(|_| needs_real(panel));
    let bar = Bar::default();
    let clips = fake.clips.len() + real.map_or(0, |r| r.clips.len());
    bar.start(&format!("{}: {clips} clips", panel.names().join(", ")), clips as u64, Unit::Files);
    let results = match real {
        Some(real) => panel.compare(real.clips(&bar), fake.clips(&bar)),
        None => panel.score(fake.clips(&bar)),
    };
    bar.finish();
    let name = |folder: &Folder| folder.path.display().to_string();
    let named = |result| Measurement { real: real.map(name), fake: Some(name(fake)), ..result };
    Ok(results?.into_iter().map(named).collect())
}

/// Clips that are decoded one by one.
struct Folder {
    path: PathBuf,
    clips: Vec<vg_data::cache::Item>,
    frames: Option<u64>,
}

impl Folder {
    fn open(path: &Path, args: &Args) -> Result<Self> {
        let mut clips = vg_data::folder::recipe(path, Split::Train, true)?.items;
        if let Some(num) = args.num {
            let (path, found) = (path.display(), clips.len());
            if (found as u64) < num {
                return Err(Failure::new(format!("--num {num}: {path} has {found} clips")).into());
            }
            clips.truncate(num as usize);
        }
        Ok(Self { path: path.to_path_buf(), clips, frames: args.frames })
    }

    fn clips<'a>(&'a self, bar: &'a Bar) -> impl Iterator<Item = vg_metrics::Result<Clip>> + 'a {
        self.clips.iter().map(move |item| {
            let clip = self.read(item);
            bar.advance(1);
            clip
        })
    }

    fn read(&self, item: &vg_data::cache::Item) -> vg_metrics::Result<Clip> {
        let most = self.frames.map_or(usize::MAX, |n| n as usize);
        let found = decode_whole(&item.origin, most)?.with_channels(3);
        let dims = [found.frames, found.height, found.width, found.channels];
        let clip = Clip::new(self.path.join(&item.name).display().to_string(), found.data, dims)?;
        // A clip that is too short is named by its window.
        if most < usize::MAX { clip.every(1, most) } else { Ok(clip) }
    }
}

fn report(args: &Args, result: &Measurement) -> Result<()> {
    if args.json {
        return console::json(result);
    }
    console::result(value_line(result))?;
    Ok(console::result(format!("    {}", conditions(result)))?)
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
fn conditions(result: &Measurement) -> String {
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

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Six significant digits, so that small and large values say as much.
fn significant(value: f64) -> String {
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
