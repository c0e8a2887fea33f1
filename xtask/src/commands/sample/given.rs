//! First frames and other conditions of clips.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Result;
use candle_core::Tensor;
use vg_core::sample::SampleSpec;
use vg_core::{BatchSource, BatchSpec, ClipSpec};
use vg_data::{Loader, Split};

use super::Args;
use crate::data::DataChoice;
use crate::failure::Failure;

/// Where the given frames come from; nothing for models that make clips from noise alone.
pub(super) struct Given(Option<(Loader, BatchSpec)>);

impl Given {
    /// The frames that a model with this specification asks for.
    ///
    /// # Errors
    /// [`Failure`] when it asks for what the arguments do not give, or does not take what they give.
    pub(super) fn of(args: &Args, spec: &SampleSpec) -> Result<Self> {
        if !spec.maps.is_empty() {
            let text = format!(
                "this model needs condition maps ({}) for every clip; `sample` has none",
                spec.maps.join(", ")
            );
            return Err(Failure::new(text)
                .hint("the sample clips of a training run show it on its data")
                .into());
        }
        match (spec.context_frames, &args.data) {
            (0, None) => Ok(Self(None)),
            (0, Some(name)) => {
                let text = format!("--data {name}: this model makes clips from noise alone");
                Err(Failure::new(text).hint("leave `--data` out").into())
            }
            (n, None) => {
                Err(Failure::new(format!("this model continues clips: it needs {n} given frames for each"))
                    .hint("name a data set with `--data`, such as `--data folder:PATH`")
                    .into())
            }
            (frames, Some(name)) => {
                let root = args.root.clone().unwrap_or_else(|| PathBuf::from("data"));
                let choice = DataChoice::new(name, Split::Train, root, None, false)?;
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
