//! From arguments to sets and metrics.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_core::ClipSpec;
use vg_core::model::{Experiment, Init};
use vg_data::Split;
use vg_metrics::{Input, Panel, protocol};

use super::Args;
use super::control::Control;
use super::sets::{DataClips, Folder, Generated, Selection, Set};
use crate::commands::sample;
use crate::data::DataChoice;
use crate::failure::Failure;

/// Most clips of each side where no number is given and the metrics ask for none.
const MOST: usize = 2048;
/// Frames of clips of a data set where nothing says it.
const FRAMES: usize = 16;

/// Everything that is measured and by what.
pub struct Plan {
    pub(super) metrics: Vec<String>,
    pub(super) panels: Vec<Panel>,
    pub(super) real: Option<Set>,
    pub(super) fake: Set,
    /// Where statistics of the real set are kept, when it is a data set's.
    pub(super) store: Option<PathBuf>,
    /// Clips of each side as asked for.
    pub(super) num: Option<usize>,
    pub(super) seed: u64,
    /// Distance between frames in the data set; 1 for folders.
    pub(super) stride: usize,
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A run, a checkpoint or published weights.
    Model(String),
    /// A folder of clips.
    Folder(PathBuf),
    /// Real clips, spoilt.
    Control(Control),
}

/// What a plan is made from.
pub struct Wishes<'a> {
    pub subject: Subject,
    pub real: Option<&'a Path>,
    pub data: Option<DataChoice>,
    pub metrics: &'a [String],
    pub weights: &'a Path,
    pub num: Option<usize>,
    pub seed: u64,
    pub frames: Option<usize>,
    pub stride: Option<usize>,
    /// Side of a data set's frames for controls.
    pub size: usize,
}

/// The size of both sides' clips, where it is not the folders' own.
#[derive(Clone, Copy)]
struct Format {
    clip: ClipSpec,
    stride: usize,
    /// Of the model's frames, every how manieth is taken.
    every: usize,
}

impl Plan {
    /// Opens all metrics and sets, so that mistakes show before the first measurement.
    pub(super) fn of(args: &Args) -> Result<Self> {
        let split = Split::from(args.split);
        let choice =
            |name: &String| DataChoice::new(name, split, args.root.clone(), args.cache.clone(), true);
        let subject = match (&args.source, &args.fake, args.control) {
            (Some(source), ..) => Subject::Model(source.clone()),
            (_, Some(folder), _) => Subject::Folder(folder.clone()),
            (.., control) => Subject::Control(control.unwrap_or(Control::Same)),
        };
        Self::new(&Wishes {
            subject,
            real: args.real.as_deref(),
            data: args.data.as_ref().map(choice).transpose()?,
            metrics: &args.metrics,
            weights: &args.weights,
            num: args.num.map(|n| n as usize),
            seed: args.seed,
            frames: args.frames.map(|n| n as usize),
            stride: args.stride.map(|n| n as usize),
            size: args.size as usize,
        })
    }

    /// The same for other commands.
    ///
    /// # Errors
    /// [`Failure`] for wishes that do not go together; those of data sets, models and metrics.
    pub fn new(wishes: &Wishes<'_>) -> Result<Self> {
        check_metrics(wishes)?;
        let panels = Panel::open_all(wishes.metrics, wishes.weights)?;
        let panels: Vec<Panel> = panels.into_iter().map(|panel| panel.seed(wishes.seed)).collect();
        let most = |panels: &mut dyn Iterator<Item = &Panel>| {
            panels.map(|panel| panel.clips_taken().unwrap_or(MOST)).max().unwrap_or(MOST)
        };
        let most = [most(&mut panels.iter().filter(|p| needs_real(p))), most(&mut panels.iter())];
        let Sides { real, fake, stride } = match &wishes.subject {
            Subject::Folder(path) => of_folder(wishes, path)?,
            Subject::Model(source) => of_model(wishes, source, most)?,
            Subject::Control(control) => of_control(wishes, *control, most[1])?,
        };
        let store = wishes.data.as_ref().map(|choice| choice.cache.join("metrics"));
        let (num, seed) = (wishes.num, wishes.seed);
        Ok(Self { metrics: wishes.metrics.to_vec(), panels, real, fake, store, num, seed, stride })
    }

    /// Clips of each side for the metrics of a panel: what one protocol takes does not lengthen the work for another.
    pub(super) fn clips(&self, panel: &Panel) -> usize {
        if let Some(num) = self.num.or(panel.clips_taken()) {
            return num;
        }
        match (&self.fake, self.real.as_ref().filter(|_| needs_real(panel))) {
            (Set::Folder(_), _) => usize::MAX,
            (_, Some(real)) => real.count().min(MOST),
            (_, None) => MOST,
        }
    }
}

/// Whether the metrics compare with real clips.
pub(super) fn needs_real(panel: &Panel) -> bool {
    panel.input() != Input::OneSet
}

fn check_metrics(wishes: &Wishes<'_>) -> Result<()> {
    for name in wishes.metrics {
        let input = protocol(name)?.input;
        if input != Input::OneSet && wishes.real.is_none() && wishes.data.is_none() {
            let text = format!("{name} compares with real clips, and --real is missing");
            let hint = "give a folder of real clips with --real DIR, or a data set with --data SET";
            return Err(Failure::new(text).hint(hint).into());
        }
        let unrelated = match &wishes.subject {
            Subject::Folder(_) => wishes.data.is_some(),
            Subject::Model(_) | Subject::Control(Control::Half) => true,
            Subject::Control(_) => false,
        };
        if input == Input::Pairs && unrelated {
            let text = format!("{name} compares each clip with its true one, and these clips have none");
            let hint = "write predictions and true clips into two folders, in the same order: --real TRUE --fake PREDICTED";
            return Err(Failure::new(text).hint(hint).into());
        }
    }
    Ok(())
}

/// What is compared.
struct Sides {
    real: Option<Set>,
    fake: Set,
    stride: usize,
}

impl Wishes<'_> {
    /// The real side: a folder, or clips of the data set in a format, as many as asked for, else at most `most`. They are not opened
    /// when no metric needs them.
    fn real(&self, clip: ClipSpec, stride: usize, most: usize) -> Result<Option<Set>> {
        let needs = |name: &String| Ok(protocol(name)?.input != Input::OneSet);
        if !self.metrics.iter().map(needs).collect::<vg_metrics::Result<Vec<_>>>()?.contains(&true) {
            return Ok(None);
        }
        if let Some(path) = self.real {
            return Ok(Some(Set::Folder(Folder::open(path, self.num, self.frames)?)));
        }
        let Some(choice) = &self.data else { return Ok(None) };
        Ok(Some(Set::Data(DataClips::open(choice, self.selection(clip, stride, most), None)?)))
    }

    fn selection(&self, clip: ClipSpec, stride: usize, most: usize) -> Selection {
        let Self { num, seed, .. } = *self;
        Selection { clip, stride, seed, num: num.unwrap_or(most), all: num.is_none() }
    }
}

fn of_folder(wishes: &Wishes<'_>, path: &Path) -> Result<Sides> {
    let fake = Folder::open(path, wishes.num, wishes.frames)?;
    let clip = match wishes.data {
        // Of the folder's size.
        Some(_) => {
            let [frames, height, width] = fake.size()?;
            ClipSpec { frames, height, width, channels: 3 }
        }
        None => ClipSpec { frames: 1, height: 1, width: 1, channels: 3 },
    };
    let (stride, fake) = (wishes.stride.unwrap_or(1), Set::Folder(fake));
    Ok(Sides { real: wishes.real(clip, stride, fake.count())?, fake, stride })
}

fn of_control(wishes: &Wishes<'_>, control: Control, most: usize) -> Result<Sides> {
    let Some(choice) = &wishes.data else {
        return Err(Failure::new("--control spoils clips of a data set, and --data is missing").into());
    };
    let (frames, side) = (wishes.frames.unwrap_or(FRAMES), wishes.size);
    let clip = ClipSpec { frames, height: side, width: side, channels: 3 };
    let stride = wishes.stride.unwrap_or(1);
    let fake = DataClips::open(choice, wishes.selection(clip, stride, most), Some(control))?;
    let fake = Set::Data(fake);
    Ok(Sides { real: wishes.real(clip, stride, fake.count())?, fake, stride })
}

/// `most`: clips that metrics with real ones take at most, and all metrics.
fn of_model(wishes: &Wishes<'_>, source: &str, most: [usize; 2]) -> Result<Sides> {
    let weights = sample::open(source)?;
    let experiment = sample::experiment(&weights)?;
    let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
    let (spec, trained) = (sampler.spec(), trained_stride(&*experiment)?);
    let format = format(wishes, spec.clip, trained, source)?;
    let real = wishes.real(format.clip, format.stride, most[0])?;
    let num = wishes.num.unwrap_or(most[1]);
    let context = match (&wishes.data, spec.context_frames) {
        // As in training: the model's own size, channels and distance between frames.
        (Some(choice), 1..) => {
            Some(DataClips::open(choice, wishes.selection(spec.clip, trained, num), None)?)
        }
        _ => None,
    };
    let taken = [format.clip.frames, format.every];
    let name = weights.source().to_owned();
    let fake = Generated::new(sampler, name, num, wishes.seed, taken, context)?;
    Ok(Sides { real, fake: Set::Model(fake), stride: format.stride })
}

/// Size of a model's clips, and the distance between frames in its training.
///
/// # Errors
/// As [`sample::open`].
pub fn model_format(source: &str) -> Result<(ClipSpec, usize)> {
    let weights = sample::open(source)?;
    let experiment = sample::experiment(&weights)?;
    let clip = experiment.sampler(&weights, &Init::cpu(0))?.spec().clip;
    Ok((clip, trained_stride(&*experiment)?))
}

/// Distance between the frames of a clip in a model's training.
///
/// # Errors
/// Those of its trainer.
pub fn trained_stride(experiment: &dyn Experiment) -> Result<usize> {
    Ok(experiment.trainer(&Init::cpu(0))?.needs().frame_stride)
}

fn format(wishes: &Wishes<'_>, own: ClipSpec, trained: usize, source: &str) -> Result<Format> {
    let stride = wishes.stride.unwrap_or(trained);
    if !stride.is_multiple_of(trained) {
        let text = format!("--stride {stride}: {source} was trained on every {trained}. frame");
        return Err(Failure::new(text)
            .hint(format!("give a multiple of {trained}, or leave --stride out"))
            .into());
    }
    let every = stride / trained;
    let frames = wishes.frames.unwrap_or_else(|| own.frames.div_ceil(every));
    Ok(Format { clip: ClipSpec { frames, channels: 3, ..own }, stride, every })
}
