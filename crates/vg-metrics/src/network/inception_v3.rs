//! Inception-v3 as published on 2015-12-05, the network of FID and of the Inception Score of images.
//!
//! Source: [Rethinking the Inception Architecture](https://arxiv.org/abs/1512.00567) with what is peculiar to these weights: averages
//! leave the padding out, the last block pools by maxima, and there are 1008 logits. torchvision's weights of 2016 are others. Names
//! of weights as in torchvision.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};
use vg_core::{Error, Result};

use super::conv::{Affine, Conv};
use super::input;
use super::linear::Linear;
use super::loader::{Layout, Loader};
use crate::resize::Resize;

/// Side of the network's input.
pub const SIDE: usize = 299;
/// Added to a variance.
const EPS: f64 = 1e-3;

/// Widths of a copy of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// 64; a layer of the paper with c channels has `c * width / 64`, at least one.
    pub width: usize,
    /// Logits, 1008.
    pub classes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, classes: 1008 }
    }
}

/// The network, in inference.
#[derive(Debug)]
pub struct InceptionV3 {
    stem: Vec<(&'static str, Step)>,
    blocks: Vec<(&'static str, Block)>,
    fc: Linear,
}

/// What the network says about images.
#[derive(Clone, Debug)]
pub struct Features {
    /// The last activations averaged over space, `[N, 2048]`: the features of FID and KID.
    pub pool: Tensor,
    /// Logits without their bias, `[N, 1008]`: the original Inception Score forgets it.
    pub logits: Tensor,
}

/// Whose way from images to the network's input; values under different ones do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// TensorFlow's graph: [`Resize::Tf1`], `(v - 128) / 128`.
    TensorFlow,
    /// pytorch-fid: [`Resize::HalfPixel`], `2 v / 255 - 1`.
    PytorchFid,
}

impl InceptionV3 {
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
        let mut builder = Builder { loader, width: config.width, channels: 3, block: String::new() };
        let stem = vec![
            ("Conv2d_1a_3x3", builder.step(&half("Conv2d_1a_3x3", 32))?),
            ("Conv2d_2a_3x3", builder.step(&valid("Conv2d_2a_3x3", 32))?),
            ("Conv2d_2b_3x3", builder.step(&same("Conv2d_2b_3x3", 64, [3, 3]))?),
            ("maxpool1", Step::MaxHalf),
            ("Conv2d_3b_1x1", builder.step(&same("Conv2d_3b_1x1", 80, [1, 1]))?),
            ("Conv2d_4a_3x3", builder.step(&valid("Conv2d_4a_3x3", 192))?),
            ("maxpool2", Step::MaxHalf),
        ];
        let mut blocks = Vec::new();
        for (name, branches) in plans() {
            blocks.push((name, builder.block(name, &branches)?));
        }
        let channels = builder.channels;
        let fc = Linear::load(loader, "fc", [config.classes, channels])?;
        Ok(Self { stem, blocks, fc })
    }

    /// The network's input.
    ///
    /// # Shapes
    /// - `images` `[N, 3, H, W]`, RGB, u8 or f32 in [0, 255]; returns `[N, 3, 299, 299]`
    ///
    /// # Errors
    /// [`Error::Shape`] for other ranks or channels, [`Error::Data`] for values that are not finite.
    pub fn prepare(images: &Tensor, preparation: Preparation) -> Result<Tensor> {
        input::check("images for Inception-v3", images, "[N, 3, H, W]", 4)?;
        let size = (SIDE, SIDE);
        Ok(match preparation {
            Preparation::TensorFlow => Resize::Tf1.apply(images, size)?.affine(1.0 / 128.0, -1.0)?,
            Preparation::PytorchFid => Resize::HalfPixel.apply(images, size)?.affine(2.0 / 255.0, -1.0)?,
        })
    }

    /// Features of prepared images, one image after the other.
    ///
    /// # Shapes
    /// - `images` `[N, 3, 299, 299]`
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn features(&self, images: &Tensor) -> Result<Features> {
        let (mut pool, mut logits) = (Vec::new(), Vec::new());
        for image in input::each(images) {
            let found = self.trace(&image?, |_, _| {})?;
            pool.push(found.pool);
            logits.push(found.logits);
        }
        Ok(Features { pool: input::join(&pool)?, logits: input::join(&logits)? })
    }

    /// [`features`](Self::features) of all images at once, with the result of every layer of the stem and every block shown to `see`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn trace(&self, images: &Tensor, mut see: impl FnMut(&'static str, &Tensor)) -> Result<Features> {
        if !matches!(images.dims(), [_, 3, SIDE, SIDE]) {
            let expected = format!("[N, 3, {SIDE}, {SIDE}]");
            return Err(Error::shape("images for Inception-v3", expected, images.dims()));
        }
        let mut x = images.to_dtype(DType::F32)?;
        for (name, step) in &self.stem {
            x = step.forward(&x)?;
            see(name, &x);
        }
        for (name, block) in &self.blocks {
            x = block.forward(&x)?;
            see(name, &x);
        }
        let pool = x.flatten_from(2)?.mean(2)?;
        Ok(Features { logits: self.fc.without_bias(&pool)?, pool })
    }
}

/// A step of a branch, as it is written down. Convolutions have a name, channels and a kernel.
#[derive(Clone, Copy)]
enum Plan {
    /// Stride 1, padded so that the size stays.
    Same(&'static str, usize, [usize; 2]),
    /// 3x3 with stride 1 or 2, not padded.
    Valid(&'static str, usize, usize),
    /// Two convolutions of the same input, 1x3 and 3x1, side by side.
    Fork(&'static str, &'static str, usize),
    Avg,
    Max,
    /// 3x3 maxima at every second position, not padded.
    MaxHalf,
}

const fn same(name: &'static str, channels: usize, kernel: [usize; 2]) -> Plan {
    Plan::Same(name, channels, kernel)
}

const fn valid(name: &'static str, channels: usize) -> Plan {
    Plan::Valid(name, channels, 1)
}

const fn half(name: &'static str, channels: usize) -> Plan {
    Plan::Valid(name, channels, 2)
}

type Branches = Vec<Vec<Plan>>;

/// The blocks in order.
fn plans() -> Vec<(&'static str, Branches)> {
    vec![
        ("Mixed_5b", block_a(32)),
        ("Mixed_5c", block_a(64)),
        ("Mixed_5d", block_a(64)),
        ("Mixed_6a", block_b()),
        ("Mixed_6b", block_c(128)),
        ("Mixed_6c", block_c(160)),
        ("Mixed_6d", block_c(160)),
        ("Mixed_6e", block_c(192)),
        ("Mixed_7a", block_d()),
        ("Mixed_7b", block_e(Plan::Avg)),
        ("Mixed_7c", block_e(Plan::Max)),
    ]
}

fn block_a(pool: usize) -> Branches {
    vec![
        vec![same("branch1x1", 64, [1, 1])],
        vec![same("branch5x5_1", 48, [1, 1]), same("branch5x5_2", 64, [5, 5])],
        vec![
            same("branch3x3dbl_1", 64, [1, 1]),
            same("branch3x3dbl_2", 96, [3, 3]),
            same("branch3x3dbl_3", 96, [3, 3]),
        ],
        vec![Plan::Avg, same("branch_pool", pool, [1, 1])],
    ]
}

fn block_b() -> Branches {
    vec![
        vec![half("branch3x3", 384)],
        vec![
            same("branch3x3dbl_1", 64, [1, 1]),
            same("branch3x3dbl_2", 96, [3, 3]),
            half("branch3x3dbl_3", 96),
        ],
        vec![Plan::MaxHalf],
    ]
}

fn block_c(c: usize) -> Branches {
    vec![
        vec![same("branch1x1", 192, [1, 1])],
        vec![
            same("branch7x7_1", c, [1, 1]),
            same("branch7x7_2", c, [1, 7]),
            same("branch7x7_3", 192, [7, 1]),
        ],
        vec![
            same("branch7x7dbl_1", c, [1, 1]),
            same("branch7x7dbl_2", c, [7, 1]),
            same("branch7x7dbl_3", c, [1, 7]),
            same("branch7x7dbl_4", c, [7, 1]),
            same("branch7x7dbl_5", 192, [1, 7]),
        ],
        vec![Plan::Avg, same("branch_pool", 192, [1, 1])],
    ]
}

fn block_d() -> Branches {
    vec![
        vec![same("branch3x3_1", 192, [1, 1]), half("branch3x3_2", 320)],
        vec![
            same("branch7x7x3_1", 192, [1, 1]),
            same("branch7x7x3_2", 192, [1, 7]),
            same("branch7x7x3_3", 192, [7, 1]),
            half("branch7x7x3_4", 192),
        ],
        vec![Plan::MaxHalf],
    ]
}

fn block_e(pool: Plan) -> Branches {
    vec![
        vec![same("branch1x1", 320, [1, 1])],
        vec![same("branch3x3_1", 384, [1, 1]), Plan::Fork("branch3x3_2a", "branch3x3_2b", 384)],
        vec![
            same("branch3x3dbl_1", 448, [1, 1]),
            same("branch3x3dbl_2", 384, [3, 3]),
            Plan::Fork("branch3x3dbl_3a", "branch3x3dbl_3b", 384),
        ],
        vec![pool, same("branch_pool", 192, [1, 1])],
    ]
}

struct Builder<'a, 'b> {
    loader: &'a mut Loader<'b>,
    width: usize,
    /// Of the input of the next step.
    channels: usize,
    /// Prefix of names, with its dot.
    block: String,
}

impl Builder<'_, '_> {
    fn block(&mut self, name: &str, branches: &[Vec<Plan>]) -> Result<Block> {
        self.block = format!("{name}.");
        let (input, mut total) = (self.channels, 0);
        let mut built = Vec::new();
        for branch in branches {
            self.channels = input;
            built.push(branch.iter().map(|plan| self.step(plan)).collect::<Result<Vec<_>>>()?);
            total += self.channels;
        }
        self.channels = total;
        Ok(Block(built))
    }

    fn step(&mut self, plan: &Plan) -> Result<Step> {
        Ok(match *plan {
            Plan::Same(name, channels, kernel) => Step::Conv(self.unit(name, channels, kernel)?.same()),
            Plan::Valid(name, channels, stride) => {
                Step::Conv(self.unit(name, channels, [3, 3])?.stride([stride; 2]))
            }
            Plan::Fork(a, b, channels) => {
                let input = self.channels;
                let a = self.unit(a, channels, [1, 3])?.same();
                self.channels = input;
                let b = self.unit(b, channels, [3, 1])?.same();
                self.channels = a.channels() + b.channels();
                Step::Fork(a, b)
            }
            Plan::Avg => Step::Avg,
            Plan::Max => Step::Max,
            Plan::MaxHalf => Step::MaxHalf,
        })
    }

    /// A convolution without bias and batch norm.
    fn unit(&mut self, name: &str, channels: usize, kernel: [usize; 2]) -> Result<Conv> {
        let name = format!("{}{name}", self.block);
        let out = (channels * self.width / 64).max(1);
        let shape = [out, self.channels, kernel[0], kernel[1]];
        let weight = self.loader.tensor(&format!("{name}.conv.weight"), &shape)?;
        self.channels = out;
        Affine::load(self.loader, &format!("{name}.bn"), out, true, EPS)?.fold(self.loader, weight)
    }
}

#[derive(Debug)]
enum Step {
    Conv(Conv),
    Fork(Conv, Conv),
    Avg,
    Max,
    MaxHalf,
}

impl Step {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let around = PoolParams::uniform(3, 1).padding([1, 1]);
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Fork(a, b) => Ok(Tensor::cat(&[a.forward(x)?, b.forward(x)?], 1)?),
            Self::Avg => avg_pool(x, &around.count_include_pad(false)),
            Self::Max => max_pool(x, &around),
            Self::MaxHalf => max_pool(x, &PoolParams::uniform(3, 2)),
        }
    }
}

/// Branches over the same input, concatenated.
#[derive(Debug)]
struct Block(Vec<Vec<Step>>);

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branch = |steps: &Vec<Step>| steps.iter().try_fold(x.clone(), |x, step| step.forward(&x));
        let results = self.0.iter().map(branch).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&results, 1)?)
    }
}
