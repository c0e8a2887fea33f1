//! A step of the flow from what is known so far.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Conv2d, ConvConfig, Mode, ParamSource};
use vg_core::ops::Activation;

use super::correlation::CHANNELS;
use super::{CONTEXT, HIDDEN};

/// Channels of the motion features: 80, and the flow.
const MOTION: usize = 82;

fn conv(inputs: usize, outputs: usize, kernel: usize, source: ParamSource) -> Result<Conv2d> {
    Conv2d::new(inputs, outputs, ConvConfig::new(kernel).padding((kernel - 1) / 2), &source)
}

fn relu(conv: &Conv2d, x: &Tensor) -> Result<Tensor> {
    conv.forward_with(x, Activation::Relu, Mode::EVAL)
}

/// Features of the present flow and of how well it matches.
#[derive(Clone, Debug)]
struct MotionEncoder {
    matches: Conv2d,
    flow: [Conv2d; 2],
    both: Conv2d,
}

impl MotionEncoder {
    fn new(source: &ParamSource) -> Result<Self> {
        // The convolution is the first member of torchvision's Conv2dNormActivation.
        let at = |name: &str| source.pp(name).pp("0");
        Ok(Self {
            matches: conv(CHANNELS, 96, 1, at("convcorr1"))?,
            flow: [conv(2, 64, 7, at("convflow1"))?, conv(64, 32, 3, at("convflow2"))?],
            both: conv(96 + 32, MOTION - 2, 3, at("conv"))?,
        })
    }

    fn forward(&self, matches: &Tensor, flow: &Tensor) -> Result<Tensor> {
        let matches = relu(&self.matches, matches)?;
        let motion = relu(&self.flow[1], &relu(&self.flow[0], flow)?)?;
        let both = relu(&self.both, &Tensor::cat(&[&matches, &motion], 1)?)?;
        Ok(Tensor::cat(&[&both, flow], 1)?)
    }
}

/// `h' = (1 - z) h + z tanh(conv([r h, x]))` with gates `z` and `r` from `[h, x]`.
#[derive(Clone, Debug)]
struct ConvGru {
    update: Conv2d,
    reset: Conv2d,
    candidate: Conv2d,
}

impl ConvGru {
    fn new(source: &ParamSource) -> Result<Self> {
        let gate = |name: &str| conv(HIDDEN + CONTEXT + MOTION, HIDDEN, 3, source.pp(name));
        Ok(Self { update: gate("convz")?, reset: gate("convr")?, candidate: gate("convq")? })
    }

    fn forward(&self, hidden: &Tensor, x: &Tensor) -> Result<Tensor> {
        let both = Tensor::cat(&[hidden, x], 1)?;
        let z = self.update.forward_with(&both, Activation::Sigmoid, Mode::EVAL)?;
        let r = self.reset.forward_with(&both, Activation::Sigmoid, Mode::EVAL)?;
        let both = Tensor::cat(&[&(r * hidden)?, x], 1)?;
        let q = self.candidate.forward_with(&both, Activation::Tanh, Mode::EVAL)?;
        Ok((hidden + (&z * (q - hidden)?)?)?)
    }
}

/// torchvision's `UpdateBlock`.
#[derive(Clone, Debug)]
pub(super) struct UpdateBlock {
    motion: MotionEncoder,
    recurrent: ConvGru,
    head: [Conv2d; 2],
}

impl UpdateBlock {
    pub fn new(source: &ParamSource) -> Result<Self> {
        let head = source.pp("flow_head");
        Ok(Self {
            motion: MotionEncoder::new(&source.pp("motion_encoder"))?,
            recurrent: ConvGru::new(&source.pp("recurrent_block").pp("convgru1"))?,
            head: [conv(HIDDEN, 128, 3, head.pp("conv1"))?, conv(128, 2, 3, head.pp("conv2"))?],
        })
    }

    /// The next hidden state `[B, 96, h, w]` and what is added to the flow, `[B, 2, h, w]`.
    pub fn forward(
        &self,
        hidden: &Tensor,
        context: &Tensor,
        matches: &Tensor,
        flow: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let x = Tensor::cat(&[context, &self.motion.forward(matches, flow)?], 1)?;
        let hidden = self.recurrent.forward(hidden, &x)?;
        let step = self.head[1].forward(&relu(&self.head[0], &hidden)?, Mode::EVAL)?;
        Ok((hidden, step))
    }
}
