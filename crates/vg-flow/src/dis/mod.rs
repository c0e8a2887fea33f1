//! Dense Inverse Search.
//!
//! Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (ECCV 2016), in the variant of OpenCV's `DISOpticalFlow`: patches
//! compared without their means, vectors handed on between neighbouring patches, refinement by red-black relaxation.

mod densify;
mod lanes;
mod plane;
mod pyramid;
mod refine;
mod resize;
mod search;

use rayon::prelude::*;

use crate::error::{FlowError, Result};
use crate::flow::{Flow, same_size};
use crate::picture::Gray;
use plane::Plane;
use pyramid::Level;
use refine::Refinement;
use search::Search;

/// Side of a patch in pixels; the loops are written for it.
const PATCH: usize = 8;
/// Smallest side of a picture.
const LEAST: usize = 16;

/// Dense Inverse Search with its settings.
///
/// Source: the presets are those of OpenCV's `DISOpticalFlow`. The flow of one pair is computed by one thread; [`Dis::flows`] runs several
/// pairs at once. A result does not depend on the number of threads, nor on the CPU.
#[derive(Clone, Debug)]
pub struct Dis {
    finest_scale: usize,
    search: Search,
    refinement: Option<Refinement>,
}

impl Dis {
    /// Accurate: patches every 3 pixels, 25 gradient steps in two passes, refined, finest scale 1. With
    /// [`finest_scale(0)`](Dis::finest_scale) it is the choice for training data.
    pub fn medium() -> Self {
        Self {
            finest_scale: 1,
            search: Search { stride: 3, steps: 25 },
            refinement: Some(Refinement::default()),
        }
    }

    /// Patches every 4 pixels, 16 gradient steps in two passes, refined, finest scale 2.
    pub fn fast() -> Self {
        Self {
            finest_scale: 2,
            search: Search { stride: 4, steps: 16 },
            refinement: Some(Refinement::default()),
        }
    }

    /// Patches every 4 pixels, 12 gradient steps in two passes, not refined, finest scale 2.
    pub fn ultrafast() -> Self {
        Self { finest_scale: 2, search: Search { stride: 4, steps: 12 }, refinement: None }
    }

    /// The finest level of the pyramid that is searched: 0 is the picture's own size, each further one halves it. The flow of that level is
    /// enlarged to the picture's size. Pictures with few levels are searched at their coarsest.
    pub fn finest_scale(self, finest_scale: usize) -> Self {
        Self { finest_scale, ..self }
    }

    /// The flow from one frame to another, `[2, H, W]` in pixels: the point `p` of `from` is at `p + flow(p)` of `to`.
    ///
    /// # Errors
    /// [`FlowError::Size`] when the frames differ in size, [`FlowError::TooSmall`] when a side has fewer than 16 pixels.
    pub fn flow(&self, from: &Gray<'_>, to: &Gray<'_>) -> Result<Flow> {
        let (height, width) = (from.height(), from.width());
        same_size("second frame", (height, width), (to.height(), to.width()))?;
        if height.min(width) < LEAST {
            return Err(FlowError::TooSmall { method: "dense inverse search", least: LEAST, height, width });
        }
        let coarsest = coarsest_scale(height, width);
        let finest = self.finest_scale.min(coarsest);
        let levels = Level::pyramid(from, to, finest..=coarsest);
        let (u, v) = self.coarse_to_fine(&levels);
        let mut data = resize::displacements(&u, height, width, width as f32 / u.width as f32);
        data.append(&mut resize::displacements(&v, height, width, height as f32 / v.height as f32));
        Ok(Flow { height, width, data })
    }

    /// The flows of several pairs, in their order, computed by as many threads as rayon has.
    ///
    /// # Errors
    /// As [`Dis::flow`], for the first pair that has one.
    pub fn flows(&self, pairs: &[(Gray<'_>, Gray<'_>)]) -> Result<Vec<Flow>> {
        pairs.par_iter().map(|(from, to)| self.flow(from, to)).collect()
    }

    /// The flow at the finest level, from levels with the finest first.
    fn coarse_to_fine(&self, levels: &[Level]) -> (Plane, Plane) {
        let size = |level: &Level| (level.from.height, level.from.width);
        let (height, width) = levels.last().map(size).expect("a pyramid has a level");
        let (mut u, mut v) = (Plane::zeros(height, width), Plane::zeros(height, width));
        for level in levels.iter().rev() {
            let (height, width) = size(level);
            if u.width != width || u.height != height {
                let (along_x, along_y) = (width as f32 / u.width as f32, height as f32 / u.height as f32);
                let larger = |plane: &Plane, factor| Plane {
                    height,
                    width,
                    data: resize::displacements(plane, height, width, factor),
                };
                (u, v) = (larger(&u, along_x), larger(&v, along_y));
            }
            let patches = self.search.run(level, &u, &v);
            densify::densify(level, &patches, &mut u, &mut v);
            if let Some(refinement) = &self.refinement {
                refinement.run(level, &mut u, &mut v);
            }
        }
        (u, v)
    }
}

/// The coarsest level: there the longer side has about four patches and the shorter one at least one.
///
/// Source: OpenCV's `autoSelectPatchSizeAndScales` and the bound of `calc`.
fn coarsest_scale(height: usize, width: usize) -> usize {
    let longer = (height.max(width) as f32 / (4 * PATCH) as f32).log2() + 0.5;
    let shorter = (height.min(width) / PATCH).max(1).ilog2() as usize;
    (longer.max(0.0) as usize).min(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_follow_the_size() {
        // log2(512 / 32) = 4; log2(192 / 32) + 0.5 = 3.08; log2(17 / 32) is negative; the shorter side must keep a patch.
        assert_eq!(coarsest_scale(256, 512), 4);
        assert_eq!(coarsest_scale(128, 192), 3);
        assert_eq!(coarsest_scale(16, 17), 0);
        assert_eq!(coarsest_scale(16, 512), 1);
    }

    #[test]
    fn bits_do_not_depend_on_the_cpu() {
        let (height, width) = (61, 83);
        let frame = |shift: f32| -> Vec<f32> {
            let value = |i: usize| {
                let (y, x) = ((i / width) as f32, (i % width) as f32 + shift);
                127.5 + 50.0 * (0.4 * x + 0.1 * y).sin() + 40.0 * (0.2 * x - 0.3 * y).cos()
            };
            (0..height * width).map(value).collect()
        };
        let (a, b) = (frame(1.7), frame(0.0));
        let (a, b) = (Gray::new(height, width, &a).unwrap(), Gray::new(height, width, &b).unwrap());
        let dis = Dis::medium().finest_scale(0);
        let best = dis.flow(&a, &b).unwrap();
        crate::simd::PORTABLE.set(true);
        let portable = dis.flow(&a, &b).unwrap();
        crate::simd::PORTABLE.set(false);
        let bits = |flow: &Flow| flow.data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&best), bits(&portable));
        assert!((best.at(30, 40)[0] - 1.7).abs() < 0.1);
    }
}
