//! Real clips, as they are or spoilt.

use std::cell::RefCell;

use anyhow::Result;
use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::{Frames, Loader};
use vg_metrics::Clip;

use super::clip;
use crate::commands::eval::Control;
use crate::data::DataChoice;
use crate::failure::Failure;

/// Clips of a data set in a seeded order, each once.
pub struct DataClips {
    choice: DataChoice,
    pub(super) loader: RefCell<Loader>,
    clip: ClipSpec,
    stride: usize,
    first: usize,
    pub(super) num: usize,
    control: Option<(Control, u64)>,
}

/// What is taken from a data set.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    /// Size of the clips.
    pub clip: ClipSpec,
    /// Distance between frames in the source.
    pub stride: usize,
    /// Seed of the order and of the places in time.
    pub seed: u64,
    /// Number of clips; as many as there are up to this, when `all`.
    pub num: usize,
    /// Whether fewer are fine.
    pub all: bool,
}

impl DataClips {
    /// The first clips of the seeded order.
    pub fn open(choice: &DataChoice, selection: Selection, control: Option<Control>) -> Result<Self> {
        let Selection { clip, stride, seed, num, all } = selection;
        let loader = vg_data::source(choice.open(clip.into())?, seed).with_whole_stride();
        let mut data = Self {
            choice: choice.clone(),
            loader: RefCell::new(loader),
            clip,
            stride,
            first: 0,
            num,
            control: control.map(|c| (c, seed)),
        };
        let there = {
            let loader = data.loader.borrow();
            (loader.info().clips - loader.excluded(&data.spec(1))) as usize
        };
        let sets = if control == Some(Control::Half) { 2 } else { 1 };
        if all {
            data.num = num.min(there / sets);
        }
        if data.num == 0 || data.num * sets > there {
            let (set, frames) = (&data.choice.name, clip.frames.saturating_mul(stride));
            let wanted = data.num.max(1) * sets;
            let text =
                format!("{set} has {there} clips of at least {frames} frames, and {wanted} are needed");
            let hint = "lower --num, --frames or --stride, or take the other --split";
            return Err(Failure::new(text).hint(hint).into());
        }
        if control == Some(Control::Half) {
            data.first = data.num;
        }
        Ok(data)
    }

    pub(super) fn spec(&self, clips: usize) -> BatchSpec {
        BatchSpec { frame_stride: self.stride, ..BatchSpec::clips(clips, self.clip, Pixels::Symmetric) }
    }

    /// What decides the pixels of the first `num` clips, for a store of statistics.
    pub fn description(&self, num: usize) -> String {
        let fingerprint = self.loader.borrow().info().fingerprint.clone();
        let ClipSpec { frames, height, width, channels } = self.clip;
        format!("{} ({fingerprint}), {num} clips of {frames}x{height}x{width}x{channels}", self.name())
    }

    pub(super) fn name(&self) -> String {
        let stride = if self.stride == 1 { String::new() } else { format!(", every {}. frame", self.stride) };
        let control = self.control.map(|(control, _)| format!(", {control}")).unwrap_or_default();
        format!("{} ({}{stride}{control})", self.choice.name, self.choice.split)
    }

    pub(super) fn chunk(&self, start: usize, clips: usize) -> vg_metrics::Result<Vec<Clip>> {
        let position = self.first + start;
        let batch = self.loader.borrow_mut().batch(&self.spec(clips), position as u64)?;
        let frames = Frames::from_tensor(&batch.clips, Pixels::Symmetric)?;
        let named = frames.into_iter().enumerate().map(|(i, frames)| {
            let frames = match self.control {
                Some((control, seed)) => control.apply(frames, seed, position + i),
                None => frames,
            };
            clip(format!("clip {} of {}", position + i, self.choice.name), frames)
        });
        named.collect()
    }
}
