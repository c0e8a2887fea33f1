//! The generator of the video model.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Buffer, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::channel::channel_shift;
use vg_core::ops::linear::linear;
use vg_core::ops::norm::{PIXEL_NORM_EPS, pixel_norm};
use vg_core::ops::upsample::{Interpolation, upsample, upsample_by};

use crate::config::Config;
use crate::kernel::Resampling;
use crate::layers::{Conv, EqualLinear, Kind, LEAKY};
use crate::sizes::{SMALLEST, frames, split, time_factor};

/// G: latents `[B, latent]`, standard normal, to clips; the last layer is linear, the nominal range [-1, 1].
///
/// Source: specification, sections 2.1 and 2.4.
pub struct Generator {
    levels: usize,
    dense: EqualLinear,
    conv: Conv,
    /// Enlarging and plain layer of stages 3 and up.
    blocks: Vec<[Conv; 2]>,
    /// To colours, of stages 2 and up.
    colours: Vec<Conv>,
    /// The level of detail that it was last trained at, as the official networks carry theirs.
    lod: Buffer,
}

impl Generator {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, levels) = (source.pp("generator"), config.levels());
        let (n, latent) = (config.channels(SMALLEST), config.networks.latent);
        let first = source.pp("4x4");
        // Fewer than the usual gain of sqrt(2), because a pixel norm follows anyway.
        let dense = EqualLinear::new(&first.pp("Dense"), latent, 64 * n, n, 2f64.sqrt() / 4.0)?;
        let conv = Conv::cube(&first.pp("Conv"), n, n, Kind::PLAIN)?;
        let point = |r: usize| {
            let name = source.pp(format!("ToRGB_lod{}", levels - r));
            Conv::point(&name, config.channels(r), config.clip.channels, 1.0)
        };
        let block = |r: usize| -> Result<_> {
            let place = source.pp(format!("{0}x{0}", 1 << r));
            let (below, n) = (config.channels(r - 1), config.channels(r));
            let up = Kind {
                resampling: Resampling::Up { time: time_factor(r) == 2 },
                fan_taps: config.networks.up_taps,
                strict: config.networks.strict_reference,
            };
            Ok([
                Conv::cube(&place.pp("Conv0_up"), below, n, up)?,
                Conv::cube(&place.pp("Conv1"), n, n, Kind::PLAIN)?,
            ])
        };
        Ok(Self {
            levels,
            dense,
            conv,
            blocks: (SMALLEST + 1..=levels).map(block).collect::<Result<_>>()?,
            colours: (SMALLEST..=levels).map(point).collect::<Result<_>>()?,
            lod: source.buffer("lod", &[1], (levels - SMALLEST) as f64)?,
        })
    }

    /// Clips at the size of `lod`, `[B, C, T(r), 2^r, 2^r]` with `r = levels - floor(lod)`; with fractions, the size below shows through.
    pub fn forward(&self, z: &Tensor, lod: f64, weights: Weights) -> Result<Tensor> {
        let (last, fade) = split(self.levels, lod);
        let mut x = self.first(z, weights)?;
        let mut below = None;
        for (r, block) in (SMALLEST + 1..=last).zip(&self.blocks) {
            below = (r == last).then(|| x.clone());
            for layer in block {
                x = normed(&layer.prepare(weights)?.forward(&x, LEAKY)?)?;
            }
        }
        let clip = self.colour(last, &x, weights)?;
        let Some(below) = below.filter(|_| fade > 0.0) else { return Ok(clip) };
        let small = self.colour(last - 1, &below, weights)?;
        let small = upsample_by(&small, &[time_factor(last), 2, 2], Interpolation::Nearest)?;
        Ok(((clip * (1.0 - fade))? + (small * fade)?)?)
    }

    /// Clips at full size, each pixel of the current one repeated.
    pub fn full_size(&self, z: &Tensor, lod: f64, weights: Weights) -> Result<Tensor> {
        let clip = self.forward(z, lod, weights)?;
        let side = 1 << self.levels;
        upsample(&clip, &[frames(self.levels), side, side], Interpolation::Nearest)
    }

    /// The level of detail that it was last trained at.
    pub fn lod(&self) -> Result<f64> {
        let lod = self.lod.to_vec()?[0];
        Ok(if lod.is_finite() { lod.clamp(0.0, (self.levels - SMALLEST) as f64) } else { 0.0 })
    }

    /// Notes the level of detail that it is trained at.
    pub(crate) fn set_lod(&self, lod: f64) -> Result<()> {
        let value = self.lod.get().zeros_like()?.affine(0.0, lod)?;
        self.lod.set(&value)
    }

    /// Up to the features at 4x4x4.
    fn first(&self, z: &Tensor, weights: Weights) -> Result<Tensor> {
        let x = linear(&normed(z)?, &self.dense.scaled(weights)?, None)?;
        let x = x.reshape((z.dim(0)?, x.dim(1)? / 64, 4, 4, 4))?;
        let x = LEAKY.apply(&channel_shift(&x, &weights.see(&self.dense.bias))?)?;
        normed(&self.conv.prepare(weights)?.forward(&normed(&x)?, LEAKY)?)
    }

    fn colour(&self, r: usize, x: &Tensor, weights: Weights) -> Result<Tensor> {
        self.colours[r - SMALLEST].prepare(weights)?.forward(x, Activation::Identity)
    }
}

fn normed(x: &Tensor) -> Result<Tensor> {
    pixel_norm(x, PIXEL_NORM_EPS)
}
