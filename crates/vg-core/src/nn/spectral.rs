//! Layers whose weights are divided by an estimate of their largest singular value.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;

use super::{Buffer, ConvConfig, Init, LinearConfig, Mode, ParamSource};
use crate::ops::Activation;
use crate::ops::conv::{ConvParams, Epilogue, conv_fused};
use crate::ops::linear::linear;
use crate::ops::pool::halving_kernel;
use crate::ops::rows::take_rows;
use crate::ops::spectral_norm::spectral_norm;
use crate::{Error, Result};

/// The state of a power iteration on a weight: the buffer `weight_u`, `[rows]`, which starts normal.
///
/// Each pass makes one iteration from the buffer and divides by the sigma of the new pair of vectors. In a mode that updates running
/// statistics, the new vector goes back into the buffer, also where the weight gets no gradient; in others the buffer stays as it is.
/// A pass that is [`Mode::again`] makes the iteration of the one before it and moves nothing.
///
/// Source: Miyato et al., 2018; the schedule is that of BigGAN's PyTorch code.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    u: Buffer,
    /// Where the last pass started.
    start: Arc<Mutex<Option<Tensor>>>,
    eps: f64,
}

impl SpectralNorm {
    /// Makes the buffer beside the weight of `rows` rows at `source`; lengths are held above `eps`.
    ///
    /// # Errors
    /// [`Error::Weights`] when the name is taken.
    pub fn new(rows: usize, eps: f64, source: &ParamSource) -> Result<Self> {
        let u = source.drawn_buffer("weight_u", &[rows], Init::Normal { std: 1.0 })?;
        Ok(Self { u, start: Arc::default(), eps })
    }

    /// The weight divided by sigma, as the mode sees it. To be called once a pass: in training mode each call is an iteration.
    ///
    /// # Errors
    /// As [`spectral_norm`].
    pub fn divide(&self, weight: &Tensor, mode: Mode) -> Result<Tensor> {
        let found = spectral_norm(&mode.weights.see(weight), &self.start(mode)?, self.eps)?;
        if mode.update_running && !mode.again {
            self.u.set(&found.u)?;
        }
        Ok(found.weight)
    }

    /// Where the iteration of a pass starts.
    fn start(&self, mode: Mode) -> Result<Tensor> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        match &*start {
            Some(last) if mode.again => Ok(last.clone()),
            // The buffer's memory changes.
            _ => Ok(start.insert(self.u.get().copy()?).clone()),
        }
    }

    /// The left vector.
    pub fn u(&self) -> &Buffer {
        &self.u
    }
}

/// A convolution in one to three dimensions with a [`SpectralNorm`]; parameters as [`Conv`](super::Conv).
#[derive(Clone, Debug)]
pub struct SpectralConv<const D: usize> {
    weight: Tensor,
    bias: Option<Tensor>,
    norm: SpectralNorm,
    params: ConvParams,
    config: ConvConfig<D>,
}

impl<const D: usize> SpectralConv<D> {
    /// Makes the layer's parameters at `source`.
    ///
    /// # Errors
    /// As [`Conv::new`](super::Conv::new).
    pub fn new(
        inputs: usize,
        outputs: usize,
        config: ConvConfig<D>,
        eps: f64,
        source: &ParamSource,
    ) -> Result<Self> {
        let (weight, bias) = config.parameters(source, outputs, inputs, outputs)?;
        let norm = SpectralNorm::new(outputs, eps, source)?;
        Ok(Self { weight, bias, norm, params: config.params(source), config })
    }

    /// The convolution.
    ///
    /// # Errors
    /// As [`conv`](crate::ops::conv::conv).
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.forward_with(x, Activation::Identity, mode)
    }

    /// The convolution with an activation in the same pass.
    ///
    /// # Errors
    /// As [`conv`](crate::ops::conv::conv).
    pub fn forward_with(&self, x: &Tensor, activation: Activation, mode: Mode) -> Result<Tensor> {
        self.run(x, &self.norm.divide(&self.weight, mode)?, activation, &self.params, mode)
    }

    /// The convolution and means of windows of two on every axis behind it, in one: see [`halving_kernel`].
    ///
    /// # Errors
    /// As [`conv`](crate::ops::conv::conv), and [`Error::Unsupported`] for strides, dilations and groups.
    pub fn forward_halved(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let ConvConfig { stride, dilation, groups, padding, .. } = self.config;
        if stride != [1; D] || dilation != [1; D] || groups != 1 {
            let problem = "means behind a convolution with strides, dilations or groups";
            return Err(Error::Unsupported(problem.into()));
        }
        let kernel = halving_kernel(&self.norm.divide(&self.weight, mode)?)?;
        let params = ConvParams::per_axis([2; D], padding).precision(self.params.precision);
        self.run(x, &kernel, Activation::Identity, &params, mode)
    }

    fn run(
        &self,
        x: &Tensor,
        weight: &Tensor,
        activation: Activation,
        params: &ConvParams,
        mode: Mode,
    ) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| mode.weights.see(b));
        conv_fused(x, weight, Epilogue { bias: bias.as_ref(), activation }, params)
    }

    /// The weight before it is divided.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}

/// An affine map of the last axis with a [`SpectralNorm`]; parameters as [`Linear`](super::Linear).
#[derive(Clone, Debug)]
pub struct SpectralLinear {
    weight: Tensor,
    bias: Option<Tensor>,
    norm: SpectralNorm,
}

impl SpectralLinear {
    /// Makes the layer's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(
        inputs: usize,
        outputs: usize,
        config: LinearConfig,
        eps: f64,
        source: &ParamSource,
    ) -> Result<Self> {
        let weight = source.var("weight", &[outputs, inputs], config.weight_init)?;
        let bias_init = config.bias_init.unwrap_or(Init::BiasFor { fan_in: inputs });
        let bias = config.bias.then(|| source.var("bias", &[outputs], bias_init)).transpose()?;
        Ok(Self { weight, bias, norm: SpectralNorm::new(outputs, eps, source)? })
    }

    /// `x W^T / sigma + b` for `x` `[..., in]`.
    ///
    /// # Errors
    /// As [`linear`].
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| mode.weights.see(b));
        linear(x, &self.norm.divide(&self.weight, mode)?, bias.as_ref())
    }
}

/// Rows of a table with a [`SpectralNorm`], whose left vector has an element a row of the table; parameter `weight` `[rows, width]`.
#[derive(Clone, Debug)]
pub struct SpectralEmbedding {
    weight: Tensor,
    norm: SpectralNorm,
}

impl SpectralEmbedding {
    /// Makes the table at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(rows: usize, width: usize, init: Init, eps: f64, source: &ParamSource) -> Result<Self> {
        let weight = source.var("weight", &[rows, width], init)?;
        Ok(Self { weight, norm: SpectralNorm::new(rows, eps, source)? })
    }

    /// The rows of the divided table at the places `of`, `[N, width]`.
    ///
    /// # Errors
    /// As [`take_rows`].
    pub fn forward(&self, of: &[usize], mode: Mode) -> Result<Tensor> {
        take_rows(&self.norm.divide(&self.weight, mode)?, of)
    }
}
