//! Sliced Wasserstein distance between patches of Laplacian pyramids, as ProGAN measures images. For clips, take frames by one rule on both sides.

mod patches;
mod pyramid;

use rayon::prelude::*;
use vg_core::rng::Rng;

pub use patches::PatchSet;
pub use pyramid::{laplacian_pyramid, pyramid_down, pyramid_up};

use crate::error::{Error, Result};
use crate::pixels::Image;

/// The plan of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlicedWasserstein {
    /// Patches of every image and level.
    pub patches: usize,
    /// Sets of directions.
    pub repeats: usize,
    /// Directions in a set.
    pub directions: usize,
    /// Seed of patches and directions. Image i has its patches at the same places in both sets.
    pub seed: u64,
}

impl SlicedWasserstein {
    /// ProGAN's: 128 patches, 4 x 128 directions; it takes 16 384 images on each side.
    pub const fn progan(seed: u64) -> Self {
        Self { patches: 128, repeats: 4, directions: 128, seed }
    }

    /// An empty set of images `[C, H, W]`, whose shorter side is 16 times a power of two.
    ///
    /// # Errors
    /// [`Error::Shape`] for other sizes.
    pub fn images(&self, what: impl Into<String>, dims: [usize; 3]) -> Result<PatchedImages> {
        let levels = pyramid::levels(dims)?;
        let levels = vec![PatchSet::new(dims[0]); levels];
        Ok(PatchedImages { what: what.into(), plan: *self, dims, count: 0, levels })
    }

    /// The distances of two sets.
    ///
    /// # Errors
    /// [`Error::Shape`] when image sizes or the numbers of images differ, [`Error::TooFew`] for empty sets, [`Error::Setting`] when the plans
    /// differ or ask for nothing.
    pub fn distance(&self, real: &PatchedImages, fake: &PatchedImages) -> Result<LevelDistances> {
        if [self.repeats, self.directions, self.patches].contains(&0) || [real.plan, fake.plan] != [*self; 2]
        {
            let expected =
                "1 or more patches, repeats and directions, and the plan that the sets were made with";
            return Err(Error::setting(
                "plan of the sliced Wasserstein distance",
                format!("{self:?}"),
                expected,
            ));
        }
        let (a, b) = (&real.dims, &fake.dims);
        if a != b || real.count != fake.count {
            let expected = format!("{} images of {a:?} [C, H, W] as {}", real.count, real.what);
            let got = [fake.count, b[0], b[1], b[2]];
            return Err(Error::shape(format!("images of {}", fake.what), expected, &got));
        }
        Error::at_least(format!("images of {}", real.what), real.count, 1)?;
        let rng = Rng::new(self.seed).child("directions", 0);
        let levels = real.levels.iter().zip(&fake.levels).map(|(a, b)| {
            let mut sum = 0.0;
            for repeat in 0..self.repeats {
                let mut stream = rng.child("repeat", repeat as u64).stream("directions");
                let values = (0..self.directions * a.dim()).map(|_| stream.normal()).collect::<Vec<_>>();
                sum += a.distance_along(b, &values)?;
            }
            Ok(1000.0 * sum / self.repeats as f64)
        });
        Ok(LevelDistances { levels: levels.collect::<Result<_>>()? })
    }
}

/// Distances times 1000.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelDistances {
    /// One per level, from the full size down to 16.
    pub levels: Vec<f64>,
}

impl LevelDistances {
    /// The mean over levels.
    pub fn mean(&self) -> f64 {
        self.levels.iter().sum::<f64>() / self.levels.len() as f64
    }
}

/// Patches of images that arrive one by one; 49 C f32 numbers per patch and level.
#[derive(Clone, Debug)]
pub struct PatchedImages {
    what: String,
    plan: SlicedWasserstein,
    dims: [usize; 3],
    count: usize,
    levels: Vec<PatchSet>,
}

impl PatchedImages {
    /// Adds an image with values in 0 to 255.
    ///
    /// # Errors
    /// [`Error::Shape`] for another size than the set's.
    pub fn push(&mut self, image: &Image) -> Result<()> {
        if image.dims() != self.dims {
            let what = format!("image {} of {}", self.count, self.what);
            return Err(Error::shape(what, format!("{:?} [C, H, W]", self.dims), &image.dims()));
        }
        let rng = Rng::new(self.plan.seed).child("image", self.count as u64);
        for (i, (level, patches)) in laplacian_pyramid(image)?.iter().zip(&mut self.levels).enumerate() {
            let [_, height, width] = level.dims();
            let mut stream = rng.child("level", i as u64).stream("centres");
            let mut centre = || (3 + stream.below(height - 6), 3 + stream.below(width - 6));
            let centres: Vec<_> = (0..self.plan.patches).map(|_| centre()).collect();
            patches.push(level, &centres)?;
        }
        self.count += 1;
        Ok(())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Sorts every column of `n` numbers.
fn sort_columns(columns: &mut [f64], n: usize) {
    columns.par_chunks_exact_mut(n).for_each(|c| c.sort_unstable_by(f64::total_cmp));
}
