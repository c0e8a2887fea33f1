//! The convolutions of AlexNet, which LPIPS compares by default.
//!
//! Source: [One weird trick](https://arxiv.org/abs/1404.5997), as in torchvision, whose names of weights are used.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::Result;

use super::loader::{Layout, Loader};
use super::trunk::{Layer, Trunk, conv3};

pub(crate) const LAYERS: [Layer; 13] = [
    Layer::Conv(64, 11, 4, 2),
    Layer::Relu,
    Layer::MaxPool(3, 2),
    Layer::Conv(192, 5, 1, 2),
    Layer::Relu,
    Layer::MaxPool(3, 2),
    conv3(384),
    Layer::Relu,
    conv3(256),
    Layer::Relu,
    conv3(256),
    Layer::Relu,
    Layer::MaxPool(3, 2),
];

/// The convolutions, in inference.
#[derive(Debug)]
pub struct AlexNet {
    trunk: Trunk,
}

impl AlexNet {
    /// The network with these weights, `features.N.{weight,bias}`; `what` names them in errors. `width` is 64 in the published one.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] that names every tensor that is missing, misshapen or not finite.
    pub fn new(tensors: &BTreeMap<String, Tensor>, width: usize, what: &str) -> Result<Self> {
        let mut loader = Loader::new(tensors);
        let trunk = Trunk::build(&mut loader, &LAYERS, width)?;
        loader.finish(what)?;
        Ok(Self { trunk })
    }

    /// Names and shapes of the weights.
    ///
    /// # Errors
    /// None but those of the tensor library.
    pub fn layout() -> Result<Layout> {
        Loader::layout_of(|loader| Trunk::build(loader, &LAYERS, 64))
    }

    /// Results of inner layers, by torchvision's numbers in `features`; those behind a ReLU are 1, 4, 7, 9 and 11.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when an image is too small for a pool, [`vg_core::Error::Unsupported`] for numbers that do not exist.
    pub fn layers(&self, images: &Tensor, numbers: &[usize]) -> Result<Vec<Tensor>> {
        self.trunk.taps(images, numbers)
    }
}
