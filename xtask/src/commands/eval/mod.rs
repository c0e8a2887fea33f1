//! `cargo xtask eval`.

mod attributes;
mod control;
mod plan;
mod result;
mod sets;

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_data::{Progress, Unit};
use vg_metrics::{Input, Measurement, Panel, RealStore};

pub use self::control::Control;
use self::plan::needs_real;
pub use self::plan::{Plan, Subject, Wishes, model_format, trained_stride};
pub use self::result::{conditions, significant};
use self::sets::Set;
use super::train::Part;
use crate::data::Bar;
use crate::failure::{Done, Failure};
use crate::{console, threads};

/// Most clips and frames of a clip that may be asked for: far more than anyone measures, far less than what overflows.
pub const MOST_CLIPS: u64 = 10_000_000;
pub const MOST_FRAMES: u64 = 100_000;

/// Measure a model, or a folder of clips, by metrics with fixed protocols
///
/// Clips come from a model (DIR), from a folder (--fake), or from the data set itself, spoilt on purpose (--control), which shows what a
/// metric sees. They are compared with clips of a data set (--data), of the model's size and with its distance between frames, or with a
/// second folder (--real), whose clips keep their size. Statistics of the data set are kept below its cache and used again.
///
/// Folders are read in the order of file names, as `train --data folder:PATH` does; psnr, ssim and lpips compare the first clips with each
/// other, then the second ones, and so on. A broken file is an error: without it the value would be another. GIF, animated WebP, APNG, Y4M
/// and folders of numbered images are read; videos (mp4, avi and the like) are not, as decoding changes pixels. Turn each into a folder of
/// frames first: `mkdir CLIP; ffmpeg -i CLIP.mp4 CLIP/%05d.png`.
///
/// Below each value stands what it depends on: the first digits of the weights' hash, stride, resize rule, divisor of the covariance and
/// seed. --json has all of it.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["source", "fake", "control"]))]
#[command(after_help = "Examples:\n  \
    cargo xtask eval runs/0001-tgan-shapes --data shapes --metrics fvd-vg,acd-c-shapes --num 256\n  \
    cargo xtask eval --real data/real --fake samples --metrics fvd,kvd\n  \
    cargo xtask eval --real future --fake predicted --metrics psnr,ssim-finn --json\n  \
    cargo xtask eval --fake samples --metrics motion,frozen,diversity --num 64\n  \
    cargo xtask eval --data emoji --control shuffled --metrics fvd --num 256\n  \
    cargo xtask eval runs/0002-videovae-shapes --data shapes --split test --metrics attributes --classifier runs/0003-videovae-shapes\n\n\
    Metrics: see crates/vg-metrics/README.md; a wrong name is answered with the nearest one.")]
pub struct Args {
    /// Run folder (its newest sound checkpoint), checkpoint, or folder with config.json and model.safetensors
    #[arg(value_name = "DIR")]
    source: Option<String>,
    /// Folder of generated or predicted clips, instead of a model
    #[arg(long, value_name = "DIR")]
    fake: Option<PathBuf>,
    /// Clips of the data set, spoilt, instead of a model
    #[arg(long, value_enum, requires = "data", value_name = "KIND")]
    control: Option<Control>,
    /// Folder of real clips, or of true ones for psnr, ssim and lpips; not needed for metrics of generated clips alone
    #[arg(long, value_name = "DIR")]
    real: Option<PathBuf>,
    /// Data set of the real clips; see `cargo xtask datasets`
    #[arg(long, value_name = "SET", conflicts_with = "real")]
    data: Option<String>,
    /// Part of the data set
    #[arg(long, value_enum, default_value = "train", value_name = "PART")]
    split: Part,
    /// Names of metrics, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    metrics: Vec<String>,
    /// Clips of each side, in folders the first ones; when absent all of a folder, else as many as the data set has, at most 2048
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_CLIPS))]
    num: Option<u64>,
    /// Seed of the first generated clip, of the choice of real clips, of random frames, pairs and directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Take the first T frames of each clip; when absent all, of data sets as many as the other side has
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=MOST_FRAMES))]
    frames: Option<u64>,
    /// Distance between frames of a data set; as in the model's training when absent. A model that was trained with smaller steps
    /// leaves frames out to fit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    stride: Option<u64>,
    /// Side of the frames of a data set, where nothing else says it (--control)
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    size: u64,
    /// Folder of the networks' weights, as `download` makes it
    #[arg(long, value_name = "DIR", default_value = "data/cache/networks")]
    weights: PathBuf,
    /// Where downloaded data sets live
    #[arg(long, value_name = "DIR", default_value = "data")]
    root: PathBuf,
    /// Where decoded clips and statistics of real sets are kept; ROOT/cache when absent
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Run of a classifier that was trained on real clips, for the metric `attributes`: shares of clips that show what they were asked for,
    /// I-score and entropies, beside the bound on the clips of --data
    #[arg(long, value_name = "DIR")]
    classifier: Option<String>,
    /// For the metric `attributes`, number of first frames that the model is given beside the attributes, from clips of --data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    given: Option<u64>,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object per metric
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    threads::fix(args.threads)?;
    if args.metrics.iter().any(|name| name == attributes::NAME) {
        return attributes::run(args);
    }
    if args.classifier.is_some() || args.given.is_some() {
        let text = "--classifier and --given are for the metric `attributes`";
        return Err(Failure::new(text).hint("add `--metrics attributes`, or leave them out").into());
    }
    let plan = Plan::of(args)?;
    plan.run(|result| result::print(result, args.json))?;
    Ok(Done::Good)
}

impl Plan {
    /// What is measured.
    pub fn fake(&self) -> &Set {
        &self.fake
    }

    /// Refuses sets that are too small or of unequal size, and warns of names of pairs that look wrong, before anything is decoded.
    ///
    /// # Errors
    /// [`vg_metrics::Error::TooFew`].
    pub fn check(&self) -> Result<()> {
        for panel in &self.panels {
            let real = self.real.as_ref().filter(|_| needs_real(panel));
            let most = self.clips(panel);
            panel.check_counts(real.map(|real| real.count().min(most)), self.fake.count().min(most))?;
            if let Some(real) = real.filter(|_| panel.input() == Input::Pairs) {
                warn_of_names(&panel.names().join(", "), real, &self.fake);
            }
        }
        Ok(())
    }

    /// Measures everything; results are handed out in the order asked for, as soon as there is no gap.
    ///
    /// # Errors
    /// Those of clips and metrics.
    pub fn run(&self, mut each: impl FnMut(&Measurement) -> Result<()>) -> Result<()> {
        self.check()?;
        let (mut done, mut next) = (Vec::new(), 0);
        for panel in &self.panels {
            done.extend(self.measure(panel)?);
            while let Some(result) =
                self.metrics.get(next).and_then(|name| done.iter().find(|d| d.metric == *name))
            {
                if !self.metrics[..next].contains(&result.metric) {
                    each(result)?;
                }
                next += 1;
            }
        }
        Ok(())
    }

    fn measure(&self, panel: &Panel) -> Result<Vec<Measurement>> {
        let real = self.real.as_ref().filter(|_| needs_real(panel));
        let bar = Bar::default();
        let most = self.clips(panel);
        let clips = self.fake.count().min(most) + real.map_or(0, |real| real.count().min(most));
        bar.start(&format!("{}: {clips} clips", panel.names().join(", ")), clips as u64, Unit::Files);
        let results = match real {
            Some(real) => {
                let (real_clips, fake_clips) =
                    (real.clips(&bar).take(most), self.fake.clips(&bar).take(most));
                match self.store(real, most) {
                    Some(store) => {
                        let results = panel.compare_stored(&store, real_clips, fake_clips);
                        if let Some(problem) = store.unkept() {
                            console::warn(format!("statistics of the real clips are not kept: {problem}"));
                        }
                        results
                    }
                    None => panel.compare(real_clips, fake_clips),
                }
            }
            None => panel.score(self.fake.clips(&bar).take(most)),
        };
        bar.finish();
        let (real, fake) = (real.map(Set::name), Some(self.fake.name()));
        let named = |result: Measurement| Measurement {
            real: real.clone(),
            fake: fake.clone(),
            stride: result.stride * self.stride,
            ..result
        };
        Ok(results?.into_iter().map(named).collect())
    }

    /// Statistics of the first `most` real clips, where they are a data set's.
    fn store(&self, real: &Set, most: usize) -> Option<RealStore> {
        let Set::Data(data) = real else { return None };
        let set = format!("{}, seed {}", data.description(real.count().min(most)), self.seed);
        Some(RealStore::new(self.store.as_ref()?, set))
    }
}

fn warn_of_names(metrics: &str, real: &Set, fake: &Set) {
    if let Some((a, b)) = real.files().zip(fake.files()).find(|(a, b)| stem(a) != stem(b)) {
        console::warn(format!("{metrics}: pairs have different names, such as {a} and {b}"));
    }
}

/// The name without its ending.
fn stem(name: &str) -> PathBuf {
    Path::new(name).with_extension("")
}
