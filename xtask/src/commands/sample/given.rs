//! First frames and other conditions of clips.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{Device, Tensor};
use vg_core::sample::{SampleSpec, Sampler};
use vg_core::{BatchSource, BatchSpec, ClipSpec};
use vg_data::{Frames, Loader};

use super::Args;
use crate::clips;
use crate::data::DataChoice;
use crate::failure::Failure;

/// What clips are made from besides noise.
#[derive(Default)]
pub(super) struct Conditions {
    /// Given frames `[n or 1, C, context, H, W]`.
    pub context: Option<Tensor>,
    /// Maps by name, `[n, C', T, H, W]`.
    pub maps: BTreeMap<String, Tensor>,
}

/// Where the given frames come from.
pub(super) enum Given {
    /// Models that make clips from noise alone.
    None,
    /// A data set: other ones for every clip.
    Set(Box<Loader>, BatchSpec),
    /// One clip, the same for all: what is given of it, and all of it that is there.
    Clip { given: Tensor, whole: Frames },
}

impl Given {
    /// The frames that a model asks for, or takes where it can do with and without; those of a data set are `stride` apart.
    ///
    /// # Errors
    /// [`Failure`] when it asks for what the arguments do not give, or does not take what they give.
    pub(super) fn of(args: &Args, sampler: &dyn Sampler, stride: usize) -> Result<Self> {
        let (spec, range) = (sampler.spec(), sampler.context_range());
        if !spec.maps.is_empty() {
            return Self::with_maps(args, &spec, stride);
        }
        let asked = args.given.map(|n| n as usize);
        let source = match (&args.data, &args.context) {
            (Some(name), _) => Some(format!("--data {name}")),
            (None, Some(path)) => Some(format!("--context {}", path.display())),
            (None, None) => None,
        };
        let Some(source) = source else {
            if asked.is_some() {
                return Err(Failure::new("--given: nothing says whose frames these are")
                    .hint("add `--data SET` or `--context FILE`")
                    .into());
            }
            return match *range.start() {
                0 => Ok(Self::None),
                n => Err(Failure::new(format!(
                    "this model continues clips: it needs {n} given frames for each"
                ))
                .hint(
                    "name a data set with `--data`, such as `--data folder:PATH`, or a clip with `--context`",
                )
                .into()),
            };
        };
        if *range.end() == 0 {
            let text = format!("{source}: this model makes clips from noise alone");
            return Err(Failure::new(text).hint("leave `--data` and `--context` out").into());
        }
        let frames = asked.unwrap_or((*range.start()).max(1));
        if !range.contains(&frames) {
            let (low, high) = (range.start(), range.end());
            let text = format!("--given {frames}: this model continues {low} to {high} frames");
            return Err(Failure::new(text).hint(format!("give {low} to {high}, or leave it out")).into());
        }
        let clip = ClipSpec { frames, ..spec.clip };
        match (&args.data, &args.context) {
            (Some(name), _) => {
                let one = BatchSpec::clips(1, clip, spec.pixels);
                Self::of_set(args, name, BatchSpec { frame_stride: stride, ..one })
            }
            (None, Some(path)) => Self::of_clip(args, path, clip, &spec),
            (None, None) => Ok(Self::None),
        }
    }

    /// Models that follow maps: those of a data set, with its first frames where the model goes on from some.
    fn with_maps(args: &Args, spec: &SampleSpec, stride: usize) -> Result<Self> {
        let Some(name) = &args.data else {
            let maps = spec.maps.join(", ");
            let text = format!("this model follows maps ({maps}), and nothing says whose");
            return Err(Failure::new(text)
                .hint("name a data set that has them, such as `--data street` or `--data maps:FOLDER`")
                .into());
        };
        if args.given.is_some() {
            let text = "--given: this model begins with as many frames as in its training";
            return Err(Failure::new(text).hint("leave `--given` out").into());
        }
        let frames = args.steer.frames.unwrap_or(spec.clip.frames);
        let clip = ClipSpec { frames, ..spec.clip };
        let one = BatchSpec::clips(1, clip, spec.pixels);
        Self::of_set(args, name, BatchSpec { frame_stride: stride, maps: spec.maps.clone(), ..one })
    }

    fn of_set(args: &Args, name: &str, wanted: BatchSpec) -> Result<Self> {
        let root = args.root.clone().unwrap_or_else(|| PathBuf::from("data"));
        let choice = DataChoice::new(name, args.split.into(), root, None, false)?;
        // Which frames go with a seed depends on nothing else.
        let loader = vg_data::source(choice.open(wanted.clip.into())?, 0);
        Ok(Self::Set(Box::new(loader), wanted))
    }

    fn of_clip(args: &Args, path: &Path, clip: ClipSpec, spec: &SampleSpec) -> Result<Self> {
        let most = args.steer.frames.unwrap_or(spec.clip.frames).max(clip.frames);
        let whole = vg_data::decode::clip(path, clip.into(), most)?;
        if whole.frames < clip.frames {
            let (found, needed) = (whole.frames, clip.frames);
            let text =
                format!("--context {}: the clip has {found} frames, and {needed} are needed", path.display());
            return Err(Failure::new(text).hint("give a longer clip").into());
        }
        let given = whole.to_tensor(spec.pixels, &Device::Cpu)?.narrow(2, 0, clip.frames)?.contiguous()?;
        Ok(Self::Clip { given, whole })
    }

    /// The given clip beside its futures, with the given frames framed in all of them; what the clip lacks to their length is black. Other
    /// clips stay as they are.
    pub(super) fn beside(&self, mut futures: Vec<Frames>) -> Result<Vec<Frames>> {
        let Self::Clip { given, whole } = self else { return Ok(futures) };
        let past = given.dim(2)?;
        if let Some(first) = futures.first()
            && whole.frames > past
        {
            let mut truth = whole.clone();
            truth.data.resize(first.frames * truth.size().bytes(), 0);
            truth.frames = first.frames;
            futures.insert(0, truth);
        }
        futures.iter_mut().for_each(|clip| clips::mark_given(clip, past));
        Ok(futures)
    }

    /// Given frames and maps of the clips in `range`, counted from the first clip asked for; `frames` are given where maps are followed.
    pub(super) fn take(&mut self, range: Range<u64>, frames: usize) -> Result<Conditions> {
        let (loader, wanted) = match self {
            Self::None => return Ok(Conditions::default()),
            Self::Clip { given, .. } => {
                return Ok(Conditions { context: Some(given.clone()), ..Conditions::default() });
            }
            Self::Set(loader, wanted) => (loader, wanted),
        };
        let wanted = BatchSpec { clips: (range.end - range.start) as usize, ..wanted.clone() };
        let batch = loader.batch(&wanted, range.start)?;
        let context = match (wanted.maps.is_empty(), frames) {
            (true, _) => Some(batch.clips),
            (false, 0) => None,
            (false, n) => Some(batch.clips.narrow(2, 0, n)?.contiguous()?),
        };
        Ok(Conditions { context, maps: batch.maps })
    }
}
