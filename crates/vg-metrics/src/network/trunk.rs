//! Classifiers for single images whose inner layers are compared: a chain of convolutions and pools, numbered as in torchvision.

use candle_core::Tensor;
use vg_core::ops::Activation;
use vg_core::ops::pool::{PoolParams, max_pool};
use vg_core::{Error, Result};

use super::conv::Conv;
use super::loader::Loader;
use crate::separable::{self, Axis};

/// A layer of a chain, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Channels, kernel, stride, padding.
    Conv(usize, usize, usize, usize),
    Relu,
    /// Kernel and stride.
    MaxPool(usize, usize),
    /// Binomial filter of three taps and every second position, after two positions of mirrored border.
    Blur,
}

/// A 3x3 convolution that keeps the size.
pub(crate) const fn conv3(channels: usize) -> Layer {
    Layer::Conv(channels, 3, 1, 1)
}

#[derive(Debug)]
enum Step {
    Conv(Conv),
    Relu,
    MaxPool(PoolParams),
    Blur,
}

/// The chain.
#[derive(Debug)]
pub(crate) struct Trunk {
    /// With the number of the layer whose result it is.
    steps: Vec<(usize, Step)>,
    channels: usize,
}

impl Trunk {
    /// Layers called `features.0`, `features.1`, ...; `width` other than 64 scales all channel counts.
    pub(crate) fn build(loader: &mut Loader<'_>, layers: &[Layer], width: usize) -> Result<Self> {
        let (mut steps, mut channels) = (Vec::new(), 3);
        for (number, layer) in layers.iter().enumerate() {
            let step = match *layer {
                Layer::Conv(out, kernel, stride, padding) => {
                    let shape = [out * width / 64, channels, kernel, kernel];
                    let conv = loader.conv(&format!("features.{number}"), &shape)?;
                    channels = conv.channels();
                    let conv = conv.stride([stride; 2]).padding([padding; 2]);
                    if layers.get(number + 1) == Some(&Layer::Relu) {
                        steps.push((number + 1, Step::Conv(conv)));
                        continue;
                    }
                    Step::Conv(conv.linear())
                }
                Layer::Relu if matches!(steps.last(), Some((at, _)) if *at == number) => continue,
                Layer::Relu => Step::Relu,
                Layer::MaxPool(kernel, stride) => Step::MaxPool(PoolParams::uniform(kernel, stride)),
                Layer::Blur => Step::Blur,
            };
            steps.push((number, step));
        }
        Ok(Self { steps, channels })
    }

    /// Channels of the last layer.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Results of the layers `taps`, in rising order; nothing behind the last one is computed.
    ///
    /// A convolution and the ReLU behind it are one: their common result has the number of the ReLU.
    pub(crate) fn taps(&self, x: &Tensor, taps: &[usize]) -> Result<Vec<Tensor>> {
        let mut x = x.clone();
        let mut found = Vec::with_capacity(taps.len());
        for (number, step) in &self.steps {
            if found.len() == taps.len() {
                break;
            }
            x = step.forward(&x)?;
            if taps.get(found.len()) == Some(number) {
                found.push(x.clone());
            }
        }
        if found.len() < taps.len() {
            let last = self.steps.last().map_or(0, |(number, _)| *number);
            return Err(Error::Unsupported(format!(
                "layers {taps:?}: they must rise, be at most {last}, and be no convolution before a ReLU"
            )));
        }
        Ok(found)
    }

    /// The result of all layers.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.steps.iter().try_fold(x.clone(), |x, (_, step)| step.forward(&x))
    }
}

impl Step {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Relu => Activation::Relu.apply(x),
            Self::MaxPool(params) => max_pool(x, params),
            Self::Blur => blur(x),
        }
    }
}

/// See [`Layer::Blur`].
fn blur(x: &Tensor) -> Result<Tensor> {
    const BORDER: usize = 2;
    let sizes = &x.dims()[2..];
    if sizes.iter().any(|size| *size <= BORDER) {
        return Err(Error::shape("input of a blur", "sides of at least 3", x.dims()));
    }
    let axis = |size: usize| {
        let mut axis = Axis::new(size, 3);
        for start in (0..=size + 2 * BORDER - 3).step_by(2) {
            for (k, weight) in [0.25, 0.5, 0.25].into_iter().enumerate() {
                axis.push(mirror(start + k, BORDER, size), weight);
            }
        }
        axis
    };
    separable::apply(x, &axis(sizes[0]), &axis(sizes[1]))
}

/// Where a position of an axis with a border lies in the axis without; the edge itself is not repeated.
fn mirror(at: usize, border: usize, size: usize) -> usize {
    let inside = at.abs_diff(border);
    if inside < size { inside } else { 2 * (size - 1) - inside }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn borders_are_mirrored_without_the_edge() {
        let places: Vec<usize> = (0..8).map(|at| mirror(at, 2, 4)).collect();
        assert_eq!(places, [2, 1, 0, 1, 2, 3, 2, 1]);
        let x = Tensor::arange(0.0_f32, 4.0, &Device::Cpu).unwrap().broadcast_as((1, 1, 4, 4)).unwrap();
        let y = blur(&x).unwrap();
        assert_eq!(y.dims(), [1, 1, 3, 3]);
        let row = y.flatten_all().unwrap().to_vec1::<f32>().unwrap()[..3].to_vec();
        assert_eq!(row, [1.0, 1.0, 2.5]);
    }
}
