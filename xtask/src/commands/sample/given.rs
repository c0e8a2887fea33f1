//! First frames and other conditions of clips.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Result;
use candle_core::Tensor;
use vg_core::sample::Sampler;
use vg_core::{BatchSource, BatchSpec, ClipSpec};
use vg_data::Loader;

use super::Args;
use crate::data::DataChoice;
use crate::failure::Failure;

/// Where the given frames come from; nothing for models that make clips from noise alone.
pub(super) struct Given(Option<(Loader, BatchSpec)>);

impl Given {
    /// The frames that a model asks for, or takes where it can do with and without.
    ///
    /// # Errors
    /// [`Failure`] when it asks for what the arguments do not give, or does not take what they give.
    pub(super) fn of(args: &Args, sampler: &dyn Sampler) -> Result<Self> {
        let (spec, range) = (sampler.spec(), sampler.context_range());
        if !spec.maps.is_empty() {
            let text = format!(
                "this model needs condition maps ({}) for every clip; `sample` has none",
                spec.maps.join(", ")
            );
            return Err(Failure::new(text)
                .hint("the sample clips of a training run show it on its data")
                .into());
        }
        let asked = args.given.map(|n| n as usize);
        if args.data.is_none() && asked.is_some() {
            return Err(Failure::new("--given: nothing says whose frames these are")
                .hint("add `--data SET`")
                .into());
        }
        match (*range.end(), &args.data) {
            (0, Some(name)) => {
                let text = format!("--data {name}: this model makes clips from noise alone");
                Err(Failure::new(text).hint("leave `--data` out").into())
            }
            (_, None) if *range.start() == 0 => Ok(Self(None)),
            (_, None) => {
                let n = range.start();
                Err(Failure::new(format!("this model continues clips: it needs {n} given frames for each"))
                    .hint("name a data set with `--data`, such as `--data folder:PATH`")
                    .into())
            }
            (_, Some(name)) => {
                let frames = asked.unwrap_or((*range.start()).max(1));
                if !range.contains(&frames) {
                    let (low, high) = (range.start(), range.end());
                    let text = format!("--given {frames}: this model continues {low} to {high} frames");
                    return Err(Failure::new(text).hint("lower `--given`, or leave it out").into());
                }
                let root = args.root.clone().unwrap_or_else(|| PathBuf::from("data"));
                let choice = DataChoice::new(name, args.split.into(), root, None, false)?;
                let clip = ClipSpec { frames, ..spec.clip };
                // Which frames go with a seed depends on nothing else.
                let loader = vg_data::source(choice.open(clip.into())?, 0);
                Ok(Self(Some((loader, BatchSpec::clips(1, clip, spec.pixels)))))
            }
        }
    }

    /// Given frames `[n, C, context, H, W]` of the clips in `range`, counted from the first clip asked for.
    pub(super) fn take(&mut self, range: Range<u64>) -> Result<Option<Tensor>> {
        let Some((loader, wanted)) = &mut self.0 else { return Ok(None) };
        let wanted = BatchSpec { clips: (range.end - range.start) as usize, ..wanted.clone() };
        Ok(Some(loader.batch(&wanted, range.start)?.clips))
    }
}
