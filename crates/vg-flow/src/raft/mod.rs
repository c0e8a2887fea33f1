//! RAFT-small, a network for optical flow whose weights come from a file.
//!
//! Source: Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow" (ECCV 2020), appendix, figure "Small"; layers,
//! names of tensors and the order of channels from torchvision's `raft_small`.

mod correlation;
mod encoder;
mod update;
mod weights;

use candle_core::{DType, Device, Tensor};
use std::path::Path;
use vg_core::nn::{ParamSource, ParamStore};
use vg_core::ops::Activation;
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::{Error, Result, expect_dims};

use self::correlation::Correlation;
use self::encoder::{Encoder, Norm};
use self::update::UpdateBlock;
use crate::{Flow, Picture};

/// Updates of the flow that torchvision makes by default.
pub const UPDATES: usize = 12;
/// Size of a frame per size of its features.
const SCALE: usize = 8;
/// Smallest side of a frame: 2 positions are left at the coarsest of the 4 levels of the correlation.
pub const LEAST: usize = 128;
/// Channels of the hidden state.
const HIDDEN: usize = 96;
/// Channels of the context.
const CONTEXT: usize = 64;

/// RAFT-small in inference, for the CPU.
#[derive(Clone, Debug)]
pub struct RaftSmall {
    features: Encoder,
    context: Encoder,
    update: UpdateBlock,
}

impl RaftSmall {
    /// The network with parameters from a source, under torchvision's names.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource) -> Result<Self> {
        let features = Encoder::new(128, Norm::Instance, &source.pp("feature_encoder"))?;
        let context = Encoder::new(HIDDEN + CONTEXT, Norm::None, &source.pp("context_encoder"))?;
        Ok(Self { features, context, update: UpdateBlock::new(&source.pp("update_block"))? })
    }

    /// The network with the weights of a file: `.safetensors`, or PyTorch's `.pth` in the form of a zip archive, of which tensors alone are
    /// read. torchvision's weights are `raft_small_C_T_V2-01064c6d.pth`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] for a damaged file or one of another format, [`Error::Weights`] that lists every missing, misshapen
    /// and unexpected tensor.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let tensors = weights::read(path)?;
        let store = ParamStore::load(tensors, path.display().to_string(), DType::F32, &Device::Cpu)?;
        let network = Self::new(&store.source())?;
        store.finish()?;
        Ok(network)
    }

    /// The flow from the frames `from` to the frames `to`.
    ///
    /// # Shapes
    /// - `from`, `to` `[B, 3, H, W]`, RGB in [-1, 1], sides multiples of 8 of at least 128; `updates` at least 1, usually [`UPDATES`]
    /// - returns `[B, 2, H, W]` in pixels, `u` then `v`
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, [`Error::Unsupported`] without an update.
    pub fn forward(&self, from: &Tensor, to: &Tensor, updates: usize) -> Result<Tensor> {
        let coarse = self.coarse(from, to, updates)?;
        let interpolation = Interpolation::Linear { align_corners: true };
        Ok((upsample_by(&coarse, &[SCALE, SCALE], interpolation)? * SCALE as f64)?)
    }

    /// The flow of two frames.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn flow(&self, from: &Picture<'_>, to: &Picture<'_>, updates: usize) -> Result<Flow> {
        let tensor =
            |p: &Picture<'_>| Tensor::from_slice(p.data, (1, p.channels, p.height, p.width), &Device::Cpu);
        let data = self.forward(&tensor(from)?, &tensor(to)?, updates)?.flatten_all()?.to_vec1()?;
        Ok(Flow { height: from.height, width: from.width, data })
    }

    /// The flow at an eighth of the size, in pixels of that size.
    fn coarse(&self, from: &Tensor, to: &Tensor, updates: usize) -> Result<Tensor> {
        check(from, to, updates)?;
        let correlation = Correlation::new(&self.features.forward(from)?, &self.features.forward(to)?)?;
        let context = self.context.forward(from)?;
        let mut hidden = Activation::Tanh.apply(&context.narrow(1, 0, HIDDEN)?.contiguous()?)?;
        let context = Activation::Relu.apply(&context.narrow(1, HIDDEN, CONTEXT)?.contiguous()?)?;
        let (batch, _, height, width) = context.dims4()?;
        let mut flow = Tensor::zeros((batch, 2, height, width), from.dtype(), from.device())?;
        for _ in 0..updates {
            let matches = correlation.around(&flow)?;
            let step;
            (hidden, step) = self.update.forward(&hidden, &context, &matches, &flow)?;
            flow = (flow + step)?;
        }
        Ok(flow)
    }
}

/// Refuses frames that the network cannot take.
fn check(from: &Tensor, to: &Tensor, updates: usize) -> Result<()> {
    expect_dims!("frames that a flow starts from", from.dims(), [B, 3, H, W])?;
    if from.dims() != to.dims() {
        return Err(Error::shape("frames that a flow ends at", format!("{:?}", from.dims()), to.dims()));
    }
    let (_, _, height, width) = from.dims4()?;
    if height.min(width) < LEAST || height % SCALE != 0 || width % SCALE != 0 {
        let expected = format!("height and width multiples of {SCALE} and at least {LEAST}");
        return Err(Error::shape("frames of RAFT", expected, from.dims()));
    }
    if updates == 0 {
        return Err(Error::Unsupported("RAFT needs at least one update".to_owned()));
    }
    Ok(())
}
