//! A residual network that maps a face to 128 numbers, for the identity part of the average content distance.
//!
//! Source: the recognition network of the npm package `@vladmandic/face-api`, version 1.7.15, which is dlib's with 29 convolutions.
//! It was trained on aligned crops of faces; distances by other embedders do not compare.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::Result;
use vg_core::ops::Activation;
use vg_core::ops::linear::linear;
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};

use super::conv::Conv;
use super::input;
use super::loader::{Layout, Loader};
use crate::resize::Resize;

/// Side of the network's input.
pub const SIDE: usize = 150;
/// Numbers of an embedding.
pub const DIMENSIONS: usize = 128;

/// Residual blocks with their channels; `true` where the size is halved.
const BLOCKS: [(&str, usize, bool); 14] = [
    ("conv32_1", 32, false),
    ("conv32_2", 32, false),
    ("conv32_3", 32, false),
    ("conv64_down", 64, true),
    ("conv64_1", 64, false),
    ("conv64_2", 64, false),
    ("conv64_3", 64, false),
    ("conv128_down", 128, true),
    ("conv128_1", 128, false),
    ("conv128_2", 128, false),
    ("conv256_down", 256, true),
    ("conv256_1", 256, false),
    ("conv256_2", 256, false),
    ("conv256_down_out", 256, true),
];

/// The network, in inference.
#[derive(Debug)]
pub struct FaceNet {
    stem: Conv,
    blocks: Vec<Residual>,
    fc: Tensor,
}

impl FaceNet {
    /// The network with these weights; `what` names them in errors. `width` is 32 in the published one; other widths scale all
    /// channels and the result.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] that names every tensor that is missing, misshapen or not finite.
    pub fn new(tensors: &BTreeMap<String, Tensor>, width: usize, what: &str) -> Result<Self> {
        Loader::load(tensors, what, |loader| Self::build(loader, width))
    }

    /// Names and shapes of the weights.
    ///
    /// # Errors
    /// None but those of the tensor library.
    pub fn layout() -> Result<Layout> {
        Loader::layout_of(|loader| Self::build(loader, 32))
    }

    fn build(loader: &mut Loader<'_>, width: usize) -> Result<Self> {
        let stem = unit(loader, "conv32_down", [width, 3, 7, 7])?.stride([2, 2]);
        let (mut blocks, mut channels) = (Vec::new(), width);
        for (name, out, halve) in BLOCKS {
            let out = out * width / 32;
            let first = unit(loader, &format!("{name}.conv1"), [out, channels, 3, 3])?;
            let first = if halve { first.stride([2, 2]) } else { first.same() };
            let second = unit(loader, &format!("{name}.conv2"), [out, out, 3, 3])?.same().linear();
            blocks.push(Residual { first, second, halve });
            channels = out;
        }
        let fc = loader.tensor("fc.weight", &[DIMENSIONS * width / 32, channels])?;
        Ok(Self { stem, blocks, fc })
    }

    /// Embeddings of images of faces, image by image.
    ///
    /// Images that are not square get black borders, then all are resized to 150x150 ([`Resize::Tf1`]).
    ///
    /// # Shapes
    /// - `images` `[N, 3, H, W]`, RGB, u8 or f32 in [0, 255]; returns `[N, 128]`
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for other ranks or channels, [`vg_core::Error::Data`] for values that are not finite.
    pub fn embed(&self, images: &Tensor) -> Result<Tensor> {
        input::check("images of faces", images, "[N, 3, H, W]", 4)?;
        let mut rows = Vec::new();
        for image in input::each(images) {
            let x = Resize::Tf1.padded_square(&image?, SIDE)?;
            rows.push(self.forward(&input::standardise(&x, [122.782, 117.001, 104.298], [255.0; 3])?)?);
        }
        input::join(&rows)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = max_pool(&self.stem.forward(x)?, &PoolParams::uniform(3, 2))?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        linear(&x.flatten_from(2)?.mean(2)?, &self.fc, None)
    }
}

/// A convolution with bias, then a factor and a shift for each channel, then ReLU.
fn unit(loader: &mut Loader<'_>, name: &str, shape: [usize; 4]) -> Result<Conv> {
    let mut part = |part: &str, shape: &[usize]| loader.tensor(&format!("{name}.{part}"), shape);
    let weight = part("weight", &shape)?;
    let bias = part("bias", &shape[..1])?;
    let (factor, shift) = (part("scale", &shape[..1])?, part("shift", &shape[..1])?);
    let shift = ((bias * &factor)? + shift)?;
    super::conv::Affine { factor, shift }.fold(loader, weight)
}

/// Two convolutions beside the input itself.
#[derive(Debug)]
struct Residual {
    first: Conv,
    second: Conv,
    halve: bool,
}

impl Residual {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.second.forward(&self.first.forward(x)?)?;
        if !self.halve {
            return Activation::Relu.apply(&(y + x)?);
        }
        // The first convolution is not padded, so its result may be a row and a column shorter than the averages; channels that the
        // input lacks count as zero.
        let x = avg_pool(x, &PoolParams::uniform(2, 2))?;
        let missing = |axis: usize| x.dims()[axis].saturating_sub(y.dims()[axis]);
        let (rows, columns, channels) = (missing(2), missing(3), y.dims()[1] - x.dims()[1]);
        let y = y.pad_with_zeros(2, 0, rows)?.pad_with_zeros(3, 0, columns)?;
        Activation::Relu.apply(&(x.pad_with_zeros(1, 0, channels)? + y)?)
    }
}
