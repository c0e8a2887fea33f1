//! VGG16 and VGG19: inner layers for perceptual losses, `fc2` for precision and recall.
//!
//! Source: [Very Deep Convolutional Networks](https://arxiv.org/abs/1409.1556), configurations D and E; names of weights as in
//! torchvision.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::{Error, Result};

use super::input;
use super::linear::Linear;
use super::loader::{Layout, Loader};
use super::trunk::{Layer, Trunk, conv3};
use crate::resize::Resize;

/// Side of the input that the fully connected layers need.
pub const SIDE: usize = 224;

/// How deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Thirteen convolutions.
    Vgg16,
    /// Sixteen.
    Vgg19,
}

impl Depth {
    /// All layers up to the last pool, in torchvision's numbering.
    pub(crate) fn layers(self, pool: &[Layer]) -> Vec<Layer> {
        let deep = if self == Self::Vgg16 { 3 } else { 4 };
        let mut layers = Vec::new();
        for (channels, count) in [(64, 2), (128, 2), (256, deep), (512, deep), (512, deep)] {
            for _ in 0..count {
                layers.extend([conv3(channels), Layer::Relu]);
            }
            layers.extend(pool);
        }
        layers
    }
}

/// Widths of a copy of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How deep.
    pub depth: Depth,
    /// Channels of the first layer, 64; all others in proportion.
    pub width: usize,
    /// Neurons of the two hidden layers of the classifier, 4096; 0 leaves the classifier out.
    pub hidden: usize,
    /// Logits, 1000.
    pub classes: usize,
}

impl Config {
    /// The published network.
    pub const fn new(depth: Depth) -> Self {
        Self { depth, width: 64, hidden: 4096, classes: 1000 }
    }
}

/// The network, in inference.
#[derive(Debug)]
pub struct Vgg {
    trunk: Trunk,
    classifier: Option<[Linear; 3]>,
}

impl Vgg {
    /// The network with these weights; `what` names them in errors.
    ///
    /// # Errors
    /// [`Error::Weights`] that names every tensor that is missing, misshapen or not finite.
    pub fn new(tensors: &BTreeMap<String, Tensor>, config: Config, what: &str) -> Result<Self> {
        Loader::load(tensors, what, |loader| Self::build(loader, config))
    }

    /// Names and shapes of the weights.
    ///
    /// # Errors
    /// None but those of the tensor library.
    pub fn layout(config: Config) -> Result<Layout> {
        Loader::layout_of(|loader| Self::build(loader, config))
    }

    fn build(loader: &mut Loader<'_>, config: Config) -> Result<Self> {
        let trunk = Trunk::build(loader, &config.depth.layers(&[Layer::MaxPool(2, 2)]), config.width)?;
        let mut classifier = None;
        if config.hidden > 0 {
            let flat = trunk.channels() * (SIDE / 32) * (SIDE / 32);
            classifier = Some([
                Linear::load(loader, "classifier.0", [config.hidden, flat])?,
                Linear::load(loader, "classifier.3", [config.hidden; 2])?,
                Linear::load(loader, "classifier.6", [config.classes, config.hidden])?,
            ]);
        }
        Ok(Self { trunk, classifier })
    }

    /// Images as the network was trained on: [0, 255] to torchvision's standardised values, at the size 224x224 for
    /// [`fc2`](Self::fc2).
    ///
    /// # Shapes
    /// - `images` `[N, 3, H, W]`, u8 or f32 in [0, 255], RGB
    ///
    /// # Errors
    /// [`Error::Shape`] for other ranks or channels, [`Error::Data`] for values that are not finite.
    pub fn prepare(images: &Tensor, rule: Resize) -> Result<Tensor> {
        input::check("images for VGG", images, "[N, 3, H, W]", 4)?;
        let x = rule.apply(images, (SIDE, SIDE))?.affine(1.0 / 255.0, 0.0)?;
        input::standardise(&x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    }

    /// Results of inner layers, by torchvision's numbers in `features`; those behind a ReLU are 1, 3, 6, ...
    ///
    /// # Shapes
    /// - `images` `[N, 3, H, W]`, standardised
    ///
    /// # Errors
    /// [`Error::Shape`] when an image is too small for a pool, [`Error::Unsupported`] for numbers that do not exist.
    pub fn layers(&self, images: &Tensor, numbers: &[usize]) -> Result<Vec<Tensor>> {
        self.trunk.taps(images, numbers)
    }

    /// The second hidden layer of the classifier behind its ReLU, image by image.
    ///
    /// # Shapes
    /// - `images` `[N, 3, 224, 224]`, standardised; returns `[N, 4096]`
    ///
    /// # Errors
    /// [`Error::Shape`] for other sizes, [`Error::Unsupported`] when the network has no classifier.
    pub fn fc2(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.classify(images)?.0)
    }

    /// The logits, `[N, 1000]`; otherwise as [`fc2`](Self::fc2).
    ///
    /// # Errors
    /// As [`fc2`](Self::fc2).
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.classify(images)?.1)
    }

    fn classify(&self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        let Some([first, second, third]) = &self.classifier else {
            return Err(Error::Unsupported("this VGG was built without its classifier".to_owned()));
        };
        if !matches!(images.dims(), [_, 3, SIDE, SIDE]) {
            return Err(Error::shape("images for VGG's classifier", "[N, 3, 224, 224]", images.dims()));
        }
        let (mut features, mut logits) = (Vec::new(), Vec::new());
        for image in input::each(images) {
            let x = self.trunk.forward(&image?)?.flatten_from(1)?;
            let x = second.relu(&first.relu(&x)?)?;
            logits.push(third.forward(&x)?);
            features.push(x);
        }
        Ok((input::join(&features)?, input::join(&logits)?))
    }
}
