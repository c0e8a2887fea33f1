//! From frames to features at an eighth of their size.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Conv2d, ConvConfig, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::norm::instance_norm;

/// What follows a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) enum Norm {
    /// Instance norm without scale and shift.
    Instance,
    None,
}

/// PyTorch's default of `InstanceNorm2d`.
const EPS: f64 = 1e-5;

/// A convolution that keeps the size (but for its stride), a norm, an activation.
#[derive(Clone, Debug)]
struct Unit {
    conv: Conv2d,
    norm: Norm,
    activation: Activation,
}

impl Unit {
    fn new(
        channels: [usize; 2],
        (kernel, stride): (usize, usize),
        (norm, activation): (Norm, Activation),
        source: &ParamSource,
    ) -> Result<Self> {
        let config = ConvConfig::new(kernel).stride(stride).padding((kernel - 1) / 2);
        // The convolution is the first member of torchvision's Conv2dNormActivation.
        let conv = Conv2d::new(channels[0], channels[1], config, &source.pp("0"))?;
        Ok(Self { conv, norm, activation })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.norm {
            Norm::Instance => {
                let y = self.conv.forward(x, Mode::EVAL)?;
                instance_norm(&y, None, None, EPS, self.activation)
            }
            Norm::None => self.conv.forward_with(x, self.activation, Mode::EVAL),
        }
    }
}

/// Three units with a narrow middle, beside a way around them.
#[derive(Clone, Debug)]
struct Bottleneck {
    units: [Unit; 3],
    /// The way around, where the size changes.
    downsample: Option<Unit>,
}

impl Bottleneck {
    fn new([inputs, outputs]: [usize; 2], stride: usize, norm: Norm, source: &ParamSource) -> Result<Self> {
        let middle = outputs / 4;
        let unit = |channels, shape, activation, name: &str| {
            Unit::new(channels, shape, (norm, activation), &source.pp(name))
        };
        let relu = Activation::Relu;
        let units = [
            unit([inputs, middle], (1, 1), relu, "convnormrelu1")?,
            unit([middle, middle], (3, stride), relu, "convnormrelu2")?,
            unit([middle, outputs], (1, 1), relu, "convnormrelu3")?,
        ];
        let around = || unit([inputs, outputs], (1, stride), Activation::Identity, "downsample");
        let downsample = (stride > 1).then(around).transpose()?;
        Ok(Self { units, downsample })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.units.iter().try_fold(x.clone(), |y, unit| unit.forward(&y))?;
        let around = match &self.downsample {
            Some(unit) => unit.forward(x)?,
            None => x.clone(),
        };
        Activation::Relu.apply(&(around + y)?)
    }
}

/// torchvision's `FeatureEncoder` with bottlenecks, layers of 32, 32, 64 and 96 channels and a last one of `outputs`.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    first: Unit,
    blocks: Vec<Bottleneck>,
    last: Conv2d,
}

impl Encoder {
    pub fn new(outputs: usize, norm: Norm, source: &ParamSource) -> Result<Self> {
        let first = Unit::new([3, 32], (7, 2), (norm, Activation::Relu), &source.pp("convnormrelu"))?;
        let mut blocks = Vec::new();
        for (layer, channels, stride) in
            [("layer1", [32, 32], 1), ("layer2", [32, 64], 2), ("layer3", [64, 96], 2)]
        {
            let source = source.pp(layer);
            blocks.push(Bottleneck::new(channels, stride, norm, &source.pp(0))?);
            blocks.push(Bottleneck::new([channels[1]; 2], 1, norm, &source.pp(1))?);
        }
        let last = Conv2d::new(96, outputs, ConvConfig::new(1), &source.pp("conv"))?;
        Ok(Self { first, blocks, last })
    }

    /// `[B, 3, H, W]` to `[B, outputs, H / 8, W / 8]`.
    pub fn forward(&self, frames: &Tensor) -> Result<Tensor> {
        let first = self.first.forward(frames)?;
        let x = self.blocks.iter().try_fold(first, |x, block| block.forward(&x))?;
        self.last.forward(&x, Mode::EVAL)
    }
}
