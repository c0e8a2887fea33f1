//! Made-up condition maps, in the forms that data sets deliver.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::rng::Stream;
use crate::{BatchSpec, ClipSpec, Result};

/// Labels where a specification says nothing of their number.
const LABELS: usize = 2;

/// Maps for a batch as `spec` wants it, by name: `segmentation` and `instances` of blocks of whole numbers, `flow` and `flow-K` of a few pixels
/// over the pairs of frames that are K apart, and clips on [-1, 1] for every other name.
///
/// # Errors
/// Those of the tensors.
pub fn random_maps(spec: &BatchSpec, noise: &mut Stream) -> Result<BTreeMap<String, Tensor>> {
    let labels = spec.classes.get("segmentation").map_or(LABELS, |classes| classes.count);
    let mut maps = BTreeMap::new();
    for name in &spec.maps {
        let clip = spec.clip;
        let map = match (name.as_str(), name.strip_prefix("flow-")) {
            ("segmentation", _) => blocks(spec.clips, clip, labels, noise)?,
            ("instances", _) => blocks(spec.clips, clip, 1000, noise)?,
            ("flow", _) => flow(spec.clips, clip, 1, noise)?,
            (_, Some(stride)) => flow(spec.clips, clip, stride.parse().unwrap_or(1), noise)?,
            _ => noise.uniform_tensor(&clip.dims(spec.clips)[..], -1.0, 1.0, DType::F32, &Device::Cpu)?,
        };
        maps.insert(name.clone(), map);
    }
    Ok(maps)
}

/// Whole numbers below `below`, the same in blocks of 4x4 pixels.
fn blocks(clips: usize, clip: ClipSpec, below: usize, noise: &mut Stream) -> Result<Tensor> {
    let (rows, columns) = (clip.height.div_ceil(4), clip.width.div_ceil(4));
    let mut values = Vec::with_capacity(clips * clip.frames * clip.height * clip.width);
    for _ in 0..clips * clip.frames {
        let drawn: Vec<u32> = (0..rows * columns).map(|_| noise.below(below) as u32).collect();
        for y in 0..clip.height {
            values.extend((0..clip.width).map(|x| drawn[y / 4 * columns + x / 4]));
        }
    }
    Ok(Tensor::from_vec(values, (clips, 1, clip.frames, clip.height, clip.width), &Device::Cpu)?)
}

fn flow(clips: usize, clip: ClipSpec, stride: usize, noise: &mut Stream) -> Result<Tensor> {
    let frames = clip.frames.saturating_sub(stride);
    let dims = [clips, 2, frames, clip.height, clip.width];
    noise.uniform_tensor(&dims[..], -3.0, 3.0, DType::F32, &Device::Cpu)
}
