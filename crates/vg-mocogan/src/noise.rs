//! Instance noise of the discriminators.

use candle_core::Tensor;
use vg_core::ops::noise::add_noise;
use vg_core::{Error, Result, Rng};

/// The standard normal numbers that one pass of a discriminator adds to the inputs of its layers.
#[derive(Clone, Debug)]
pub enum Noise {
    /// None.
    Off,
    /// One tensor for each layer with noise, of the shape of its input.
    Given(Vec<Tensor>),
    /// A stream for each layer, drawn where it is added: the tensors of a pass at the published size take 190 MB.
    Streams(Rng),
}

impl Noise {
    /// `x + sigma * noise` with the numbers of layer `layer`, from 0.
    ///
    /// # Errors
    /// [`Error::Shape`] when the given numbers are of another shape or end before this layer.
    pub(crate) fn add(&self, x: &Tensor, layer: usize, sigma: f64) -> Result<Tensor> {
        match self {
            Self::Streams(rng) if sigma > 0.0 => add_noise(x, sigma, &rng.child("layer", layer as u64)),
            Self::Given(tensors) if sigma > 0.0 => {
                let noise = tensors.get(layer).filter(|t| t.dims() == x.dims());
                let noise =
                    noise.ok_or_else(|| Error::shape("noise of a layer", format!("{:?}", x.dims()), &[]))?;
                Ok((x + (noise * sigma)?)?)
            }
            _ => Ok(x.clone()),
        }
    }
}
