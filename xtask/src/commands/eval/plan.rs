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
    /// Where statistics of the real set are kept, and its description.
    pub(super) store: Option<Store>,
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
        let panels = panels(wishes)?;
        let taken = panels.iter().filter_map(Panel::clips_taken).max();
        let num = wishes.num.or(taken);
        let (real, fake, store) = match &wishes.subject {
            Subject::Folder(path) => of_folder(wishes, path, num)?,
            Subject::Model(source) => of_model(wishes, source, num)?,
            Subject::Control(control) => of_control(wishes, *control, num)?,
        };
        Ok(Self { metrics: wishes.metrics.to_vec(), panels, real, fake, store })
    }
}

fn panels(wishes: &Wishes<'_>) -> Result<Vec<Panel>> {
    for name in wishes.metrics {
        if protocol(name)?.input != Input::OneSet && wishes.real.is_none() && wishes.data.is_none() {
            let text = format!("{name} compares with real clips, and --real is missing");
            let hint = "give a folder of real clips with --real DIR, or a data set with --data SET";
            return Err(Failure::new(text).hint(hint).into());
        }
    }
    let panels = Panel::open_all(wishes.metrics, wishes.weights)?;
    Ok(panels.into_iter().map(|panel| panel.seed(wishes.seed)).collect())
}

type Store = (PathBuf, String);
type Real = (Option<Set>, Option<Store>);
type Sides = (Option<Set>, Set, Option<Store>);

impl Wishes<'_> {
    /// The real side: a folder, or clips of the data set in a format. They are not opened when no metric needs them.
    fn real(&self, clip: ClipSpec, stride: usize, num: Option<usize>) -> Result<Real> {
        let needs = |name: &String| Ok(protocol(name)?.input != Input::OneSet);
        if !self.metrics.iter().map(needs).collect::<vg_metrics::Result<Vec<_>>>()?.contains(&true) {
            return Ok((None, None));
        }
        if let Some(path) = self.real {
            return Ok((Some(Set::Folder(Folder::open(path, self.num, self.frames)?)), None));
        }
        let Some(choice) = &self.data else { return Ok((None, None)) };
        let data = DataClips::open(choice, self.selection(clip, stride, num), None)?;
        let store = (choice.cache.join("metrics"), format!("{}, seed {}", data.description(), self.seed));
        Ok((Some(Set::Data(data)), Some(store)))
    }

    fn selection(&self, clip: ClipSpec, stride: usize, num: Option<usize>) -> Selection {
        Selection { clip, stride, seed: self.seed, num: num.unwrap_or(MOST), all: num.is_none() }
    }
}

fn of_folder(wishes: &Wishes<'_>, path: &Path, num: Option<usize>) -> Result<Sides> {
    let fake = Folder::open(path, wishes.num, wishes.frames)?;
    let clip = match wishes.data {
        // Of the folder's size.
        Some(_) => {
            let [frames, height, width] = fake.size()?;
            ClipSpec { frames, height, width, channels: 3 }
        }
        None => ClipSpec { frames: 1, height: 1, width: 1, channels: 3 },
    };
    let (real, store) = wishes.real(clip, wishes.stride.unwrap_or(1), num)?;
    Ok((real, Set::Folder(fake), store))
}

fn of_control(wishes: &Wishes<'_>, control: Control, num: Option<usize>) -> Result<Sides> {
    let Some(choice) = &wishes.data else {
        return Err(Failure::new("--control spoils clips of a data set, and --data is missing").into());
    };
    let (frames, side) = (wishes.frames.unwrap_or(FRAMES), wishes.size);
    let clip = ClipSpec { frames, height: side, width: side, channels: 3 };
    let stride = wishes.stride.unwrap_or(1);
    let fake = DataClips::open(choice, wishes.selection(clip, stride, num), Some(control))?;
    let (real, store) = wishes.real(clip, stride, Some(fake.num()))?;
    Ok((real, Set::Data(fake), store))
}

fn of_model(wishes: &Wishes<'_>, source: &str, num: Option<usize>) -> Result<Sides> {
    let weights = sample::open(source)?;
    let experiment = sample::experiment(&weights)?;
    let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
    let (spec, trained) = (sampler.spec(), trained_stride(&*experiment)?);
    let format = format(wishes, spec.clip, trained, source)?;
    let (real, store) = wishes.real(format.clip, format.stride, num)?;
    let num = real.as_ref().map(Set::count).or(num).unwrap_or(MOST);
    let context = match (&wishes.data, spec.context_frames) {
        (Some(choice), 1..) => {
            Some(DataClips::open(choice, wishes.selection(format.clip, format.stride, Some(num)), None)?)
        }
        _ => None,
    };
    let taken = [format.clip.frames, format.every];
    let name = weights.source().to_owned();
    let fake = Generated::new(sampler, name, num, wishes.seed, taken, context)?;
    Ok((real, Set::Model(fake), store))
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

fn trained_stride(experiment: &dyn Experiment) -> Result<usize> {
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
