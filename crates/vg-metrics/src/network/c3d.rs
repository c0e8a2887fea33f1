//! C3D, the network of the Inception Score of videos.
//!
//! Source: [Learning Spatiotemporal Features](https://arxiv.org/abs/1412.0767); the last pool in ceil mode, as the weights were trained
//! in Caffe and published for Chainer. The popular PyTorch port pads that pool instead, which gives other numbers.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::ops::pool::{PoolParams, max_pool};
use vg_core::{Error, Result};

use super::conv::Conv;
use super::input;
use super::linear::Linear;
use super::loader::{Layout, Loader};
use crate::resize::Resize;

/// Frames of a clip.
pub const FRAMES: usize = 16;
/// Side of the network's input.
pub const SIDE: usize = 112;
/// Height of the mean image of the training set, and the side to which TGAN resizes.
const MEAN_SIDE: usize = 128;
/// Where the middle of the mean image begins, on the axes that are cropped to [`SIDE`].
const CROP: usize = (MEAN_SIDE - SIDE) / 2;

/// Widths of a copy of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels of the first layer, 64; those of all other convolutions in proportion.
    pub width: usize,
    /// Neurons of the hidden layers, 4096.
    pub hidden: usize,
    /// Logits: 101 for UCF-101, 487 for Sports-1M.
    pub classes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, hidden: 4096, classes: 101 }
    }
}

/// Convolutions by name with channels in multiples of the width, each group followed by a pool over so many frames.
const GROUPS: [(&[(&str, usize)], usize); 5] = [
    (&[("conv1a", 1)], 1),
    (&[("conv2a", 2)], 2),
    (&[("conv3a", 4), ("conv3b", 4)], 2),
    (&[("conv4a", 8), ("conv4b", 8)], 2),
    (&[("conv5a", 8), ("conv5b", 8)], 2),
];

/// The network, in inference.
#[derive(Debug)]
pub struct C3d {
    groups: Vec<(Vec<(&'static str, Conv)>, PoolParams)>,
    hidden: [Linear; 2],
    logits: Linear,
}

/// What the network says about clips.
#[derive(Clone, Debug)]
pub struct Features {
    /// Before the softmax, `[N, 101]`.
    pub logits: Tensor,
    /// The second hidden layer behind its ReLU, `[N, 4096]`.
    pub fc7: Tensor,
}

impl C3d {
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
        let mut channels = 3;
        let mut groups = Vec::new();
        for (names, frames) in GROUPS {
            let mut convs = Vec::new();
            for (name, multiple) in names {
                let shape = [multiple * config.width, channels, 3, 3, 3];
                convs.push((*name, loader.conv(name, &shape)?.same()));
                channels = shape[0];
            }
            groups.push((convs, PoolParams::per_axis([frames, 2, 2]).ceil_mode(true)));
        }
        // One position in time and 4x4 in space are left.
        let hidden = [
            Linear::load(loader, "fc6", [config.hidden, channels * 16])?,
            Linear::load(loader, "fc7", [config.hidden; 2])?,
        ];
        let logits = Linear::load(loader, "fc8", [config.classes, config.hidden])?;
        Ok(Self { groups, hidden, logits })
    }

    /// Features of prepared clips, one clip after the other.
    ///
    /// # Shapes
    /// - `clips` `[N, 3, 16, 112, 112]`, BGR, as [`Input::prepare`] makes them
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn features(&self, clips: &Tensor) -> Result<Features> {
        let (mut logits, mut fc7) = (Vec::new(), Vec::new());
        for clip in input::each(clips) {
            let found = self.trace(&clip?, |_, _| {})?;
            logits.push(found.logits);
            fc7.push(found.fc7);
        }
        Ok(Features { logits: input::join(&logits)?, fc7: input::join(&fc7)? })
    }

    /// [`features`](Self::features) of all clips at once, with the result of every convolution and pool shown to `see` by name.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn trace(&self, clips: &Tensor, mut see: impl FnMut(&'static str, &Tensor)) -> Result<Features> {
        const POOLS: [&str; 5] = ["pool1", "pool2", "pool3", "pool4", "pool5"];
        if !matches!(clips.dims(), [_, 3, FRAMES, SIDE, SIDE]) {
            let expected = format!("[N, 3, {FRAMES}, {SIDE}, {SIDE}]");
            return Err(Error::shape("clips for C3D", expected, clips.dims()));
        }
        let mut x = clips.to_dtype(DType::F32)?;
        for ((convs, pool), name) in self.groups.iter().zip(POOLS) {
            for (name, conv) in convs {
                x = conv.forward(&x)?;
                see(name, &x);
            }
            x = max_pool(&x, pool)?;
            see(name, &x);
        }
        let fc7 = self.hidden.iter().try_fold(x.flatten_from(1)?, |x, layer| layer.relu(&x))?;
        Ok(Features { logits: self.logits.forward(&fc7)?, fc7 })
    }
}

/// Whose way from clips to the network's input; scores under different ones do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// TGAN: bicubic to 128x128, the mean's middle columns subtracted, the middle 112x112 kept.
    Tgan,
    /// TGANv2: linear with aligned corners to 112x112, rows and columns 8 to 119 of the mean subtracted.
    TganV2,
}

/// The mean clip of the training set, which is subtracted from what the network sees.
#[derive(Clone, Debug)]
pub struct Input {
    mean: Tensor,
}

impl Input {
    /// `mean` is `[3, T, 128, W]`, BGR in [0, 255], with W of at least 128 (171 in Caffe's file).
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape.
    pub fn new(mean: &Tensor) -> Result<Self> {
        match mean.dims() {
            [3, _, MEAN_SIDE, width] if *width >= MEAN_SIDE => Ok(Self { mean: mean.to_dtype(DType::F32)? }),
            dims => Err(Error::shape("mean of C3D", "[3, T, 128, W] with W of at least 128", dims)),
        }
    }

    /// The network's input.
    ///
    /// # Shapes
    /// - `clips` `[N, 3, T, H, W]`, RGB, f32 in [-1, 1], with as many frames as the mean; u8 values v are taken as `v / 128 - 1`
    /// - returns `[N, 3, T, 112, 112]`, BGR
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, [`Error::Data`] for values that are not finite.
    pub fn prepare(&self, clips: &Tensor, preparation: Preparation) -> Result<Tensor> {
        input::check("clips for C3D", clips, "[N, 3, T, H, W]", 5)?;
        let frames = self.mean.dims()[1];
        if clips.dims()[2] != frames {
            return Err(Error::shape("clips for C3D", format!("[N, 3, {frames}, H, W]"), clips.dims()));
        }
        // Times 128: [-128, 128].
        let clips = match clips.dtype() {
            DType::U8 => clips.to_dtype(DType::F32)?.affine(1.0, -128.0)?,
            _ => clips.to_dtype(DType::F32)?.affine(128.0, 0.0)?,
        };
        let channel = |c| clips.narrow(1, c, 1);
        let bgr = Tensor::cat(&[channel(2)?, channel(1)?, channel(0)?], 1)?;
        let middle = |x: &Tensor, left: usize| -> Result<Tensor> {
            let rank = x.rank();
            Ok(x.narrow(rank - 2, CROP, SIDE)?.narrow(rank - 1, left + CROP, SIDE)?)
        };
        match preparation {
            Preparation::Tgan => {
                let x = Resize::Bicubic.apply(&bgr, (MEAN_SIDE, MEAN_SIDE))?.affine(1.0, 128.0)?;
                let left = (self.mean.dims()[3] - MEAN_SIDE) / 2;
                Ok(middle(&x, 0)?.broadcast_sub(&middle(&self.mean, left)?)?)
            }
            Preparation::TganV2 => {
                let x = Resize::AlignCorners.apply(&bgr, (SIDE, SIDE))?.affine(1.0, 128.0)?;
                Ok(x.broadcast_sub(&middle(&self.mean, 0)?)?)
            }
        }
    }
}
