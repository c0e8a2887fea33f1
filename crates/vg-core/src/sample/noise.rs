//! How latent numbers are drawn, for models that let a request choose between variety and typical clips.

use candle_core::{DType, Device, Tensor};

use super::{Controls, SampleRequest};
use crate::rng::Stream;
use crate::{Error, Result};

/// Distribution of latent numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal, drawn again where it lies beyond -2 or 2, times this factor (BigGAN's truncation).
    Truncated(f64),
}

impl Default for Noise {
    /// The standard normal distribution, with which models are trained.
    fn default() -> Self {
        Self::Normal(1.0)
    }
}

/// Where normal numbers are cut off.
const CUT: f64 = 2.0;
/// Largest standard deviation or factor that may be asked for.
const WIDEST: f64 = 10.0;

impl Noise {
    /// The next number of a stream.
    pub fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Normal(sigma) => sigma * stream.normal(),
            Self::Truncated(factor) => loop {
                let z = stream.normal();
                if z.abs() <= CUT {
                    break factor * z;
                }
            },
        }
    }

    /// A tensor of such numbers, in the order of its elements.
    ///
    /// # Errors
    /// [`Error::Tensor`] when a tensor of that size cannot be made.
    pub fn tensor(
        self,
        stream: &mut Stream,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.draw(stream)).collect();
        Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
    }
}

impl SampleRequest {
    pub(super) fn check_noise(&self, controls: Controls) -> Result<()> {
        if self.noise == Noise::default() {
            return Ok(());
        }
        if !controls.noise {
            let problem = "this model draws its latents in one way; leave their distribution (`noise`) out";
            return Err(Error::Unsupported(problem.into()));
        }
        let (Noise::Normal(width) | Noise::Truncated(width)) = self.noise;
        if !(0.0..=WIDEST).contains(&width) {
            let problem = format!("latents {width} times as wide cannot be drawn; give 0 to {WIDEST}");
            return Err(Error::Unsupported(problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn widths_are_those_of_the_distributions() {
        let mut stream = Rng::new(1).stream("z");
        let mut std = |noise: Noise| {
            let drawn: Vec<f64> = (0..200_000).map(|_| noise.draw(&mut stream)).collect();
            if let Noise::Truncated(factor) = noise {
                assert!(drawn.iter().all(|z| z.abs() <= 2.0 * factor));
            }
            (drawn.iter().map(|z| z * z).sum::<f64>() / drawn.len() as f64).sqrt()
        };
        assert!((std(Noise::Normal(0.44)) - 0.44).abs() < 3e-3);
        // Specification, section 4.
        assert!((std(Noise::Truncated(1.0)) - 0.879_625_661).abs() < 5e-3);
        assert!((std(Noise::Truncated(0.5)) - 0.879_625_661 / 2.0).abs() < 3e-3);
    }
}
