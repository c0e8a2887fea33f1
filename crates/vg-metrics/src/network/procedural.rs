//! A small classifier of this project's procedural clips, whose weights come with the crate: `fvd-vg` and `is-vg`.
//!
//! It tells the motion, the outline and the size of a moving shape (data set `shapes`) and single moving digits (`digits`) apart, and was
//! trained with `cargo xtask train-classifier`. Its features say little about anything else: use I3D for real clips.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::nn::{
    BatchNorm, BatchNormConfig, Conv3d, ConvConfig, Linear, LinearConfig, Mode, ParamSource, ParamStore,
};
use vg_core::ops::Activation;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::{Error, Result, expect_dims};

use crate::weights::{digest, tensors_of, to_bytes};

/// Height and width of the input.
pub const SIDE: usize = 64;
/// Shapes: two motions, two outlines, four sizes; then ten digits.
pub const CLASSES: usize = 16 + 10;
/// Size of a feature vector.
pub const FEATURES: usize = 128;
/// Channels behind each convolution; the first halves height and width, the others time too.
const WIDTHS: [usize; 4] = [16, 32, 64, FEATURES];
/// Weights that come with the crate.
const SHIPPED: &[u8] = include_bytes!("../../weights/procedural.safetensors");

/// Four convolutions, a mean over time and space, a linear map.
#[derive(Clone, Debug)]
pub struct ProceduralNet {
    blocks: Vec<(Conv3d, BatchNorm)>,
    head: Linear,
}

/// What the network says of clips.
#[derive(Debug)]
pub struct Outputs {
    /// `[N, 128]`, non-negative: means over time and space.
    pub features: Tensor,
    /// `[N, 26]`, before softmax.
    pub logits: Tensor,
}

impl ProceduralNet {
    /// The network with parameters from `source`.
    ///
    /// # Errors
    /// As the layers.
    pub fn new(source: &ParamSource) -> Result<Self> {
        let mut inputs = 3;
        let mut blocks = Vec::new();
        for (i, width) in WIDTHS.into_iter().enumerate() {
            let source = source.pp(format!("block{i}"));
            let mut config = ConvConfig::<3>::new(3).stride(2).padding(1).no_bias();
            if i == 0 {
                config.stride[0] = 1;
            }
            let conv = Conv3d::new(inputs, width, config, &source.pp("conv"))?;
            blocks.push((conv, BatchNorm::new(width, BatchNormConfig::default(), &source.pp("norm"))?));
            inputs = width;
        }
        let head = Linear::new(FEATURES, CLASSES, LinearConfig::default(), &source.pp("head"))?;
        Ok(Self { blocks, head })
    }

    /// The network with the weights of the crate, and their SHA-256.
    ///
    /// # Errors
    /// [`Error::Format`] and [`Error::Weights`] for a damaged program.
    pub fn shipped() -> Result<(Self, String)> {
        let what = "the weights of the small network";
        let tensors = tensors_of(SHIPPED).map_err(|e| Error::format(what, e))?;
        let sha256 = digest(&tensors)?;
        Ok((Self::load(tensors, what)?, sha256))
    }

    /// The network with these weights; `what` names them in errors.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    pub fn load(tensors: BTreeMap<String, Tensor>, what: &str) -> Result<Self> {
        let store = ParamStore::load(tensors, what, DType::F32, &Device::Cpu)?;
        let net = Self::new(&store.source())?;
        store.finish()?;
        Ok(net)
    }

    /// The file that the crate ships, made of the network's tensors by name; equal tensors give equal bytes.
    ///
    /// # Errors
    /// [`Error::Format`] for tensors that are not f32.
    pub fn file_of(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
        to_bytes(tensors, None).map_err(|e| Error::format("the small network", e))
    }

    /// Outputs for clips `[N, 3, T, 64, 64]` in [-1, 1], at least one frame.
    ///
    /// # Errors
    /// [`Error::Shape`] for other sizes.
    pub fn forward(&self, clips: &Tensor, mode: Mode) -> Result<Outputs> {
        expect_dims!("clips", clips.dims(), [N, 3, T, (SIDE), (SIDE)])?;
        let mut x = clips.clone();
        for (conv, norm) in &self.blocks {
            x = norm.forward_with(&conv.forward(&x, mode)?, Activation::Relu, mode)?;
        }
        let (n, c, t, h, w) = x.dims5()?;
        let features = avg_pool(&x, &PoolParams::per_axis([t, h, w]))?.reshape((n, c))?;
        let logits = self.head.forward(&features, mode)?;
        Ok(Outputs { features, logits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_weights_fit_and_are_small() {
        assert!(SHIPPED.len() <= 2_000_000, "{} bytes", SHIPPED.len());
        let (net, sha256) = ProceduralNet::shipped().unwrap();
        assert_eq!(sha256.len(), 64);
        let clips = Tensor::zeros((2, 3, 16, SIDE, SIDE), DType::F32, &Device::Cpu).unwrap();
        let outputs = net.forward(&clips, Mode::EVAL).unwrap();
        assert_eq!((outputs.features.dims(), outputs.logits.dims()), (&[2, FEATURES][..], &[2, CLASSES][..]));
        let one = net.forward(&clips.narrow(2, 0, 1).unwrap(), Mode::EVAL).unwrap();
        assert_eq!(one.features.dims(), [2, FEATURES]);
        let small = Tensor::zeros((2, 3, 16, 32, 32), DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(net.forward(&small, Mode::EVAL), Err(Error::Shape { .. })));
    }

    /// Values of `fvd-vg` that were measured with other weights, or another forward pass, do not compare with new ones.
    #[test]
    fn the_shipped_network_says_what_it_always_said() {
        let (net, sha256) = ProceduralNet::shipped().unwrap();
        assert!(sha256.starts_with("8b670440102ddcdf"), "{sha256}");
        // A square that moves to the right by one pixel a frame; its colour is (1, 0, -1/2).
        let inside = |t: usize, y: usize, x: usize| (20..30).contains(&y) && (10 + t..20 + t).contains(&x);
        let pixel = |c: usize, i: usize| {
            let (t, y, x) = (i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE);
            if inside(t, y, x) { [1.0, 0.0, -0.5][c] } else { -1.0 }
        };
        let clip: Vec<f32> = (0..3).flat_map(|c| (0..8 * SIDE * SIDE).map(move |i| pixel(c, i))).collect();
        let clip = Tensor::from_vec(clip, (1, 3, 8, SIDE, SIDE), &Device::Cpu).unwrap();
        let outputs = net.forward(&clip, Mode::EVAL).unwrap();
        let (features, logits) =
            (outputs.features.flatten_all().unwrap(), outputs.logits.flatten_all().unwrap());
        let numbers = |t: &Tensor| t.to_vec1::<f32>().unwrap();
        let norm = numbers(&features).iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
        let logits = numbers(&logits);
        let top =
            logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, v)| (i, f64::from(*v)));
        let (class, logit) = top.unwrap();
        assert_eq!(class, 5);
        assert!((norm - 7.946).abs() < 2e-3 && (logit - 5.62).abs() < 1e-2, "{norm} {logit}");
    }
}
