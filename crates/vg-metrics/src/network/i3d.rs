//! I3D: Inception-v1 inflated to three dimensions, the network of FVD.
//!
//! Source: [Quo Vadis, Action Recognition?](https://arxiv.org/abs/1705.07750); padding, epsilon and the missing scale of batch norm as in
//! the TF-Hub module `deepmind/i3d-kinetics-400/1`, whose time-averaged logits are the features of FVD. Names of layers as there, names
//! within a block as in the usual PyTorch ports.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::{Error, Result};

use super::conv::{Affine, Conv};
use super::input;
use super::loader::{Layout, Loader};
use super::same::{conv_same, max_pool_same};
use crate::resize::Resize;

/// Side of the network's input.
pub const SIDE: usize = 224;
/// Fewest frames of a clip: three halvings have to leave two positions in time.
pub const MIN_FRAMES: usize = 9;

/// What varies between copies of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Channels of the first layer, 64; a layer of the paper with c channels has `c * width / 64`, at least one.
    pub width: usize,
    /// Logits, 400.
    pub classes: usize,
    /// Epsilon of batch norm: 1e-3 in the TF-Hub graph, 1e-5 in the ports of VideoGPT and TATS.
    pub eps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, classes: 400, eps: 1e-3 }
    }
}

impl Config {
    fn channels(&self, of_the_paper: usize) -> usize {
        (of_the_paper * self.width / 64).max(1)
    }
}

/// The network, in inference.
#[derive(Debug)]
pub struct I3d {
    layers: Vec<(&'static str, Layer)>,
    logits: Conv,
}

/// What the network says about clips.
#[derive(Clone, Debug)]
pub struct Features {
    /// Logits averaged over time, `[N, classes]`: the features of FVD.
    pub logits: Tensor,
    /// Activations before them, averaged over time and space, `[N, 1024]`.
    pub pool: Tensor,
}

#[derive(Debug)]
enum Layer {
    Stem(Conv),
    Conv(Conv),
    Pool([usize; 3], [usize; 3]),
    Mixed(Box<Mixed>),
}

/// Names, kernels and strides; blocks have no kernel.
const LAYERS: [(&str, Plan); 16] = [
    ("Conv3d_1a_7x7", Plan::Conv(64, 7)),
    ("MaxPool3d_2a_3x3", Plan::Pool([1, 3, 3], [1, 2, 2])),
    ("Conv3d_2b_1x1", Plan::Conv(64, 1)),
    ("Conv3d_2c_3x3", Plan::Conv(192, 3)),
    ("MaxPool3d_3a_3x3", Plan::Pool([1, 3, 3], [1, 2, 2])),
    ("Mixed_3b", Plan::Mixed([64, 96, 128, 16, 32, 32])),
    ("Mixed_3c", Plan::Mixed([128, 128, 192, 32, 96, 64])),
    ("MaxPool3d_4a_3x3", Plan::Pool([3; 3], [2; 3])),
    ("Mixed_4b", Plan::Mixed([192, 96, 208, 16, 48, 64])),
    ("Mixed_4c", Plan::Mixed([160, 112, 224, 24, 64, 64])),
    ("Mixed_4d", Plan::Mixed([128, 128, 256, 24, 64, 64])),
    ("Mixed_4e", Plan::Mixed([112, 144, 288, 32, 64, 64])),
    ("Mixed_4f", Plan::Mixed([256, 160, 320, 32, 128, 128])),
    ("MaxPool3d_5a_2x2", Plan::Pool([2; 3], [2; 3])),
    ("Mixed_5b", Plan::Mixed([256, 160, 320, 32, 128, 128])),
    ("Mixed_5c", Plan::Mixed([384, 192, 384, 48, 128, 128])),
];

enum Plan {
    /// Channels and kernel; the first one has stride 2.
    Conv(usize, usize),
    /// Kernel and stride.
    Pool([usize; 3], [usize; 3]),
    /// Channels of the convolutions b0, b1a, b1b, b2a, b2b, b3b.
    Mixed([usize; 6]),
}

impl I3d {
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
        let mut layers = Vec::with_capacity(LAYERS.len());
        for (name, plan) in LAYERS {
            let layer = match plan {
                Plan::Conv(out, kernel) => {
                    let conv = unit(loader, name, [config.channels(out), channels], kernel, config.eps)?;
                    channels = conv.channels();
                    if kernel == 7 { Layer::Stem(conv) } else { Layer::Conv(conv) }
                }
                Plan::Pool(kernel, stride) => Layer::Pool(kernel, stride),
                Plan::Mixed(out) => {
                    let mixed =
                        Mixed::new(loader, name, channels, out.map(|c| config.channels(c)), config.eps)?;
                    channels = mixed.channels();
                    Layer::Mixed(Box::new(mixed))
                }
            };
            layers.push((name, layer));
        }
        let logits = loader.conv("logits.conv3d", &[config.classes, channels, 1, 1, 1])?.linear();
        Ok(Self { layers, logits })
    }

    /// Frames as the network wants them: resized to 224x224, and [0, 255] mapped to [-1, 1].
    ///
    /// # Shapes
    /// - `clips` `[N, 3, T, H, W]`, u8 or f32 in [0, 255]
    /// - returns `[N, 3, T, 224, 224]`
    ///
    /// # Errors
    /// [`Error::Shape`] for other ranks or channels, [`Error::Data`] for values that are not finite.
    pub fn prepare(clips: &Tensor, rule: Resize) -> Result<Tensor> {
        input::check("clips for I3D", clips, "[N, 3, T, H, W]", 5)?;
        Ok(rule.apply(clips, (SIDE, SIDE))?.affine(2.0 / 255.0, -1.0)?)
    }

    /// Features of prepared clips, one clip after the other, so that memory does not grow with their number.
    ///
    /// # Shapes
    /// - `clips` `[N, 3, T, 224, 224]` in [-1, 1], T at least 9
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn features(&self, clips: &Tensor) -> Result<Features> {
        let (mut logits, mut pool) = (Vec::new(), Vec::new());
        for clip in input::each(clips) {
            let found = self.trace(&clip?, |_, _| {})?;
            logits.push(found.logits);
            pool.push(found.pool);
        }
        Ok(Features { logits: input::join(&logits)?, pool: input::join(&pool)? })
    }

    /// [`features`](Self::features) of all clips at once, with the result of every layer shown to `see` by name.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn trace(&self, clips: &Tensor, mut see: impl FnMut(&'static str, &Tensor)) -> Result<Features> {
        match clips.dims() {
            [_, 3, frames, SIDE, SIDE] if *frames >= MIN_FRAMES => {}
            dims => {
                let expected = format!("[N, 3, T, {SIDE}, {SIDE}] with T of at least {MIN_FRAMES}");
                return Err(Error::shape("clips for I3D", expected, dims));
            }
        }
        let mut x = clips.to_dtype(DType::F32)?;
        for (name, layer) in &self.layers {
            x = layer.forward(&x)?;
            see(name, &x);
        }
        let pool = avg_pool(&x, &PoolParams::per_axis([2, 7, 7]).stride([1, 1, 1]))?;
        let mean = |x: Tensor| x.flatten_from(2)?.mean(2);
        let logits = mean(self.logits.forward(&pool)?)?;
        Ok(Features { logits, pool: mean(pool)? })
    }
}

/// A convolution without bias, batch norm without scale, ReLU.
fn unit(
    loader: &mut Loader<'_>,
    name: &str,
    [out, from]: [usize; 2],
    kernel: usize,
    eps: f64,
) -> Result<Conv> {
    let weight = loader.tensor(&format!("{name}.conv3d.weight"), &[out, from, kernel, kernel, kernel])?;
    let conv = Affine::load(loader, &format!("{name}.bn"), out, false, eps)?.fold(loader, weight)?;
    Ok(conv.same())
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Stem(conv) => conv_same(conv, x, 7, 2),
            Self::Conv(conv) => conv.forward(x),
            Self::Pool(kernel, stride) => max_pool_same(x, *kernel, *stride),
            Self::Mixed(mixed) => mixed.forward(x),
        }
    }
}

/// Four branches over the same input, concatenated.
#[derive(Debug)]
struct Mixed {
    /// The 1x1x1 convolutions that begin branches 0, 1 and 2, as one: they read the same input.
    heads: Conv,
    /// Their channels.
    split: [usize; 3],
    branch1: Conv,
    branch2: Conv,
    branch3: Conv,
}

impl Mixed {
    fn new(loader: &mut Loader<'_>, name: &str, from: usize, out: [usize; 6], eps: f64) -> Result<Self> {
        let [b0, b1a, b1b, b2a, b2b, b3b] = out;
        let mut unit =
            |part: &str, channels, kernel| unit(loader, &format!("{name}.{part}"), channels, kernel, eps);
        let head0 = unit("b0", [b0, from], 1)?;
        let head1 = unit("b1a", [b1a, from], 1)?;
        let branch1 = unit("b1b", [b1b, b1a], 3)?;
        let head2 = unit("b2a", [b2a, from], 1)?;
        let branch2 = unit("b2b", [b2b, b2a], 3)?;
        let branch3 = unit("b3b", [b3b, from], 1)?;
        let heads = Conv::stack(&[head0, head1, head2])?;
        Ok(Self { heads, split: [b0, b1a, b2a], branch1, branch2, branch3 })
    }

    fn channels(&self) -> usize {
        self.split[0] + self.branch1.channels() + self.branch2.channels() + self.branch3.channels()
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [b0, b1, b2] = self.split;
        let heads = self.heads.forward(x)?;
        let branch1 = self.branch1.forward(&heads.narrow(1, b0, b1)?)?;
        let branch2 = self.branch2.forward(&heads.narrow(1, b0 + b1, b2)?)?;
        let branch3 = self.branch3.forward(&max_pool_same(x, [3; 3], [1; 3])?)?;
        Ok(Tensor::cat(&[&heads.narrow(1, 0, b0)?, &branch1, &branch2, &branch3], 1)?)
    }
}
