//! LPIPS: a learned distance of images, and its shift-tolerant variant.
//!
//! Source: [The Unreasonable Effectiveness of Deep Features](https://arxiv.org/abs/1801.03924), version 0.1 of its code; the variant:
//! [Shift-tolerant Perceptual Similarity Metric](https://arxiv.org/abs/2207.13686), whose trunks blur before each stride.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use vg_core::{Error, Result};

use super::loader::{Layout, Loader};
use super::trunk::{Layer, Trunk, conv3};
use super::vgg::Depth;
use super::{alexnet, input};
use crate::resize::Resize;

/// Added to a norm before it divides.
const TINY: f32 = 1e-10;

/// The network whose layers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Net {
    /// AlexNet: the usual choice for reports.
    Alex,
    /// VGG16: the usual choice for losses.
    Vgg,
    /// AlexNet of the shift-tolerant variant.
    ShiftTolerantAlex,
    /// VGG16 of the shift-tolerant variant.
    ShiftTolerantVgg,
}

impl Net {
    fn layers(self) -> Vec<Layer> {
        match self {
            Self::Alex => alexnet::LAYERS.to_vec(),
            Self::Vgg => Depth::Vgg16.layers(&[Layer::MaxPool(2, 2)]),
            Self::ShiftTolerantAlex => SHIFT_TOLERANT_ALEX.to_vec(),
            Self::ShiftTolerantVgg => Depth::Vgg16.layers(&[Layer::MaxPool(2, 1), Layer::Blur]),
        }
    }

    /// Numbers of the layers that are compared.
    const fn taps(self) -> [usize; 5] {
        match self {
            Self::Alex => [1, 4, 7, 9, 11],
            Self::Vgg => [3, 8, 15, 22, 29],
            Self::ShiftTolerantAlex => [2, 6, 10, 12, 14],
            Self::ShiftTolerantVgg => [3, 9, 17, 25, 33],
        }
    }

    /// Their channels.
    const fn channels(self) -> [usize; 5] {
        match self {
            Self::Alex | Self::ShiftTolerantAlex => [64, 192, 384, 256, 256],
            Self::Vgg | Self::ShiftTolerantVgg => [64, 128, 256, 512, 512],
        }
    }

    /// Sides below which a layer has nothing left.
    const fn least(self) -> usize {
        match self {
            Self::Alex => 31,
            Self::Vgg => 16,
            Self::ShiftTolerantAlex => 21,
            Self::ShiftTolerantVgg => 18,
        }
    }

    /// `alex` or `vgg`: the prefix of its tensors in a file for both.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Alex | Self::ShiftTolerantAlex => "alex.",
            Self::Vgg | Self::ShiftTolerantVgg => "vgg.",
        }
    }
}

const SHIFT_TOLERANT_ALEX: [Layer; 15] = [
    Layer::Conv(64, 11, 1, 2),
    Layer::Blur,
    Layer::Relu,
    Layer::MaxPool(3, 1),
    Layer::Blur,
    Layer::Conv(192, 5, 1, 2),
    Layer::Relu,
    Layer::MaxPool(3, 1),
    Layer::Blur,
    conv3(384),
    Layer::Relu,
    conv3(256),
    Layer::Relu,
    conv3(256),
    Layer::Relu,
];

/// The distance, in inference.
#[derive(Debug)]
pub struct Lpips {
    net: Net,
    trunk: Trunk,
    /// Weights of the channels of each layer.
    heads: [Vec<f32>; 5],
}

impl Lpips {
    /// Of a trunk, `features.N.{weight,bias}`, and heads, `lin{0..4}.model.1.weight`. `width` is 64 in the published networks.
    ///
    /// # Errors
    /// [`Error::Weights`] that names every tensor that is missing, misshapen or not finite, with `what` as the source.
    pub fn new(
        net: Net,
        trunk: &BTreeMap<String, Tensor>,
        heads: &BTreeMap<String, Tensor>,
        width: usize,
        what: &str,
    ) -> Result<Self> {
        Self::load(net, Loader::new(trunk), Loader::new(heads), width, what)
    }

    /// Of a trunk of the networks `alexnet` or `vgg16` and the file of heads for both.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_heads(
        net: Net,
        trunk: &BTreeMap<String, Tensor>,
        heads: &BTreeMap<String, Tensor>,
        what: &str,
    ) -> Result<Self> {
        Self::load(net, Loader::new(trunk), Loader::below(heads, net.prefix()), 64, what)
    }

    /// Of the file that holds trunks and heads of the shift-tolerant variant.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn shift_tolerant(net: Net, tensors: &BTreeMap<String, Tensor>, what: &str) -> Result<Self> {
        Self::load(net, Loader::below(tensors, net.prefix()), Loader::below(tensors, net.prefix()), 64, what)
    }

    fn load(
        net: Net,
        mut trunk: Loader<'_>,
        mut heads: Loader<'_>,
        width: usize,
        what: &str,
    ) -> Result<Self> {
        let network = Self::build(net, &mut trunk, &mut heads, width)?;
        trunk.finish(what)?;
        heads.finish(what)?;
        Ok(network)
    }

    fn build(net: Net, trunk: &mut Loader<'_>, heads: &mut Loader<'_>, width: usize) -> Result<Self> {
        // The last pool is not needed, and the classifier's layers are not there.
        let mut layers = net.layers();
        layers.truncate(net.taps()[4] + 1);
        let trunk = Trunk::build(trunk, &layers, width)?;
        let mut weights = [const { Vec::new() }; 5];
        for (number, (weights, channels)) in weights.iter_mut().zip(net.channels()).enumerate() {
            let head = heads.tensor(&head_name(number), &[1, channels * width / 64, 1, 1])?;
            *weights = head.flatten_all()?.to_vec1()?;
        }
        Ok(Self { net, trunk, heads: weights })
    }

    /// Names and shapes of the weights of trunk and heads, without a prefix.
    ///
    /// # Errors
    /// None but those of the tensor library.
    pub fn layout(net: Net) -> Result<Layout> {
        let mut layers = net.layers();
        layers.truncate(net.taps()[4] + 1);
        let mut layout = Loader::layout_of(|loader| Trunk::build(loader, &layers, 64))?;
        layout.extend(Self::heads_layout(net));
        Ok(layout)
    }

    /// Names and shapes of the weights of the heads, without a prefix.
    pub(crate) fn heads_layout(net: Net) -> Layout {
        net.channels().into_iter().enumerate().map(|(i, c)| (head_name(i), vec![1, c, 1, 1])).collect()
    }

    /// Distances of pairs of images, pair by pair: what each layer contributes.
    ///
    /// # Shapes
    /// - `a`, `b` `[N, 3, H, W]`, RGB in [-1, 1]; returns `[N, 5]`, not negative
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes differ or the images are too small, [`Error::Data`] for values that are not finite.
    pub fn layers(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let mut rows = Vec::new();
        self.pairs(a, b, |maps| {
            let mean =
                |map: &Map| map.values.iter().map(|v| f64::from(*v)).sum::<f64>() / map.values.len() as f64;
            rows.extend(maps.iter().map(|map| mean(map) as f32));
            Ok(())
        })?;
        Ok(Tensor::from_vec(rows, (a.dims()[0], 5), &Device::Cpu)?)
    }

    /// Distances of pairs of images: the sum of [`layers`](Self::layers), `[N]`.
    ///
    /// # Errors
    /// As [`layers`](Self::layers).
    pub fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(self.layers(a, b)?.sum(1)?)
    }

    /// Where two images differ: the maps of all layers, resized to the images (half-pixel) and added.
    ///
    /// # Shapes
    /// As [`layers`](Self::layers); returns `[N, 1, H, W]`
    ///
    /// # Errors
    /// As [`layers`](Self::layers).
    pub fn map(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let size = (a.dims().get(2).copied().unwrap_or(0), a.dims().get(3).copied().unwrap_or(0));
        let mut sums = Vec::new();
        self.pairs(a, b, |maps| {
            let mut sum: Option<Tensor> = None;
            for map in maps {
                let map = Tensor::from_slice(&map.values, (1, 1, map.height, map.width), &Device::Cpu)?;
                let map = Resize::HalfPixel.apply(&map, size)?;
                sum = Some(match sum {
                    Some(sum) => (sum + map)?,
                    None => map,
                });
            }
            sums.extend(sum);
            Ok(())
        })?;
        input::join(&sums)
    }

    fn pairs(&self, a: &Tensor, b: &Tensor, mut take: impl FnMut(&[Map]) -> Result<()>) -> Result<()> {
        let least = self.net.least();
        let what = "images for LPIPS";
        for x in [a, b] {
            input::check(what, x, "[N, 3, H, W]", 4)?;
            if x.dims()[2..].iter().any(|side| *side < least) {
                return Err(Error::shape(what, format!("sides of at least {least}"), x.dims()));
            }
        }
        if a.dims() != b.dims() {
            return Err(Error::shape(what, format!("both {:?}", a.dims()), b.dims()));
        }
        for (a, b) in input::each(a).zip(input::each(b)) {
            let (a, b) = (self.look(&a?)?, self.look(&b?)?);
            let maps = a.iter().zip(&b).zip(&self.heads).map(|((a, b), head)| Map::between(a, b, head));
            take(&maps.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    fn look(&self, image: &Tensor) -> Result<Vec<Tensor>> {
        let x = input::standardise(image, [-0.030, -0.088, -0.188], [0.458, 0.448, 0.450])?;
        self.trunk.taps(&x, &self.net.taps())
    }
}

fn head_name(number: usize) -> String {
    format!("lin{number}.model.1.weight")
}

/// A weighted squared distance for each position.
struct Map {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Map {
    /// Of features `[1, C, H, W]`, after each position's vector was divided by its norm.
    fn between(a: &Tensor, b: &Tensor, head: &[f32]) -> Result<Self> {
        let (height, width) = (a.dims()[2], a.dims()[3]);
        let plane = height * width;
        let (a, b) = (a.flatten_all()?.to_vec1::<f32>()?, b.flatten_all()?.to_vec1::<f32>()?);
        let (of_a, of_b) = (inverse_norms(&a, plane), inverse_norms(&b, plane));
        let mut values = vec![0.0; plane];
        for ((a, b), weight) in a.chunks_exact(plane).zip(b.chunks_exact(plane)).zip(head) {
            for (i, value) in values.iter_mut().enumerate() {
                let difference = a[i] * of_a[i] - b[i] * of_b[i];
                *value += weight * difference * difference;
            }
        }
        Ok(Self { height, width, values })
    }
}

fn inverse_norms(features: &[f32], plane: usize) -> Vec<f32> {
    let mut squares = vec![0.0_f32; plane];
    for channel in features.chunks_exact(plane) {
        squares.iter_mut().zip(channel).for_each(|(sum, v)| *sum += v * v);
    }
    squares.into_iter().map(|square| 1.0 / (square.sqrt() + TINY)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_counts_as_worked_out_by_hand() {
        let features = |values: &[f32; 4]| Tensor::from_slice(values, (1, 2, 1, 2), &Device::Cpu).unwrap();
        // Channels [3, 0] and [4, 0] over two positions; the second position's vector of the first image is zero.
        let map =
            Map::between(&features(&[3.0, 0.0, 4.0, 0.0]), &features(&[0.0, 1.0, 5.0, 1.0]), &[0.5, 2.0]);
        let values = map.unwrap().values;
        assert!((values[0] - 0.26).abs() < 1e-6 && (values[1] - 1.25).abs() < 1e-6, "{values:?}");
    }
}
