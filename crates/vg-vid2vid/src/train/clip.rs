//! A batch, taken apart into frames and chunks of frames.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::{Batch, Result, expect_dims};

use super::Vid2vidTrainer;
use crate::config::Config;
use crate::loss::confidence;
use crate::source::{self, INSTANCES, flow_name, frame};
use crate::temporal::groups;

/// Clips by frame; all tensors are `[B, C, H, W]`.
pub(super) struct Clip {
    frames: Vec<Tensor>,
    source: Vec<Tensor>,
    /// `[B, H, W]`; none in models without an encoder.
    instances: Vec<Tensor>,
    /// By stride: entry k is the flow from frame k + stride to frame k.
    flow: BTreeMap<usize, Vec<Tensor>>,
}

/// What one update sees: the frames that it looks back at, then those that it generates.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Source channels of all frames, `[B, C, H, W]`.
    pub source: Vec<Tensor>,
    /// Real frames, `[B, 3, H, W]`.
    pub frames: Vec<Tensor>,
    /// Instance ids of all frames, `[B, H, W]`, for models with an encoder.
    pub instances: Vec<Tensor>,
    /// Reference flow of each generated frame to the real one before it, `[B, 2, H, W]`.
    pub flow: Vec<Tensor>,
    /// Where this flow is trusted, `[B, 1, H, W]`.
    pub confidence: Vec<Tensor>,
    /// By temporal scale from 1 on: flows between the frames of all groups, `[groups * B, 2 (frames - 1), H, W]`, newest group first.
    pub strided: BTreeMap<usize, Tensor>,
}

impl Vid2vidTrainer {
    /// The clips of a batch, checked.
    pub(super) fn clip(&self, batch: &Batch) -> Result<Clip> {
        let (config, dtype) = (&self.config, self.init.dtype);
        let plan = self.plan();
        let (clips, frames) = (config.train.batch, config.past() + plan.chunk() * plan.chunks());
        let (h, w) = (config.clip.height, config.clip.width);
        expect_dims!("clips", batch.clips.dims(), [(clips), 3, (frames), (h), (w)])?;
        let by_frame = |clips: &Tensor| -> Result<Vec<Tensor>> {
            (0..clips.dim(2)?).map(|t| Ok(frame(clips, t)?.to_dtype(dtype)?)).collect()
        };
        let mut flow = BTreeMap::new();
        let strides = (0..config.discriminator.temporal_scales).map(|scale| config.stride(scale));
        for stride in std::iter::once(1).chain(strides.filter(|stride| *stride > 1)) {
            let name = flow_name(stride);
            if stride == 1 || batch.maps.contains_key(&name) {
                let all = source::map(&batch.maps, &name, [clips, 2, frames - stride], config)?;
                flow.insert(stride, by_frame(all)?);
            }
        }
        let instances = if config.features.channels > 0 {
            let all = source::map(&batch.maps, INSTANCES, [clips, 1, frames], config)?;
            (0..frames).map(|t| Ok(frame(all, t)?.squeeze(1)?)).collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        let source = source::source(&batch.maps, clips, frames, config, dtype)?;
        Ok(Clip { frames: by_frame(&batch.clips)?, source, instances, flow })
    }
}

impl Clip {
    /// The `length` frames behind the first `start` generated ones, with the frames before them.
    pub(super) fn chunk(&self, start: usize, length: usize, config: &Config) -> Result<Chunk> {
        let past = config.past();
        let all = start..start + past + length;
        let first = start + past;
        let flow: Vec<Tensor> = (first..first + length).map(|t| self.flow[&1][t - 1].clone()).collect();
        let trusted = |(t, flow): (usize, &Tensor)| {
            confidence(&self.frames[first + t], &self.frames[first + t - 1], flow)
        };
        Ok(Chunk {
            source: self.source[all.clone()].to_vec(),
            frames: self.frames[all.clone()].to_vec(),
            instances: self.instances.get(all).map(<[Tensor]>::to_vec).unwrap_or_default(),
            confidence: flow.iter().enumerate().map(trusted).collect::<Result<_>>()?,
            flow,
            strided: self.strided(start, length, config)?,
        })
    }

    fn strided(&self, start: usize, length: usize, config: &Config) -> Result<BTreeMap<usize, Tensor>> {
        let (d, seen) = (&config.discriminator, start + length);
        let mut found = BTreeMap::new();
        for scale in 1..d.temporal_scales {
            let stride = config.stride(scale);
            let history = seen.min(super::update::kept(config) + length);
            let groups = groups(history, length, d.frames, stride);
            let Some(flow) = self.flow.get(&stride).filter(|_| !groups.is_empty()) else { continue };
            let of = |group: &Vec<usize>| {
                // A position of the history is a generated frame; the flow that arrives at it starts `stride` before.
                let frames = group[1..].iter().map(|k| k + seen - history + config.past());
                let flows: Vec<Tensor> = frames.map(|t| flow[t - stride].clone()).collect();
                Tensor::cat(&flows, 1)
            };
            let all: Vec<Tensor> = groups.iter().map(of).collect::<candle_core::Result<_>>()?;
            found.insert(scale, Tensor::cat(&all, 0)?);
        }
        Ok(found)
    }
}
