//! Convolutions of networks that only look: batch norm is part of their weights.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::ops::Activation;
use vg_core::ops::conv::{ConvParams, Epilogue, conv_fused};

use super::loader::Loader;

/// A convolution with bias, followed by ReLU unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Tensor,
    params: ConvParams,
    activation: Activation,
}

impl Conv {
    /// Stride 1, no padding, ReLU.
    pub(crate) fn new(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias, params: ConvParams::uniform(1, 0), activation: Activation::Relu }
    }

    /// With this stride on the last `D` axes.
    pub(crate) fn stride<const D: usize>(mut self, stride: [usize; D]) -> Self {
        self.params.stride = ConvParams::per_axis(stride, [0; D]).stride;
        self
    }

    /// With zeros at both ends of the last `D` axes.
    pub(crate) fn padding<const D: usize>(mut self, padding: [usize; D]) -> Self {
        self.params.padding = ConvParams::per_axis([1; D], padding).padding;
        self
    }

    /// With half of its kernel as padding, so that stride 1 keeps the size.
    pub(crate) fn same(mut self) -> Self {
        let kernel = &self.weight.dims()[2..];
        for (padding, k) in self.params.padding[3 - kernel.len()..].iter_mut().zip(kernel) {
            *padding = k / 2;
        }
        self
    }

    /// Several convolutions of the same input as one, which reads it once; kernel, stride and padding are those of the first.
    pub(crate) fn stack(parts: &[Self]) -> Result<Self> {
        let weight = Tensor::cat(&parts.iter().map(|c| &c.weight).collect::<Vec<_>>(), 0)?;
        let bias = Tensor::cat(&parts.iter().map(|c| &c.bias).collect::<Vec<_>>(), 0)?;
        let (params, activation) = (parts[0].params, parts[0].activation);
        Ok(Self { weight, bias, params, activation })
    }

    /// Without ReLU.
    pub(crate) fn linear(mut self) -> Self {
        self.activation = Activation::Identity;
        self
    }

    /// Number of channels of the result.
    pub(crate) fn channels(&self) -> usize {
        self.weight.dims()[0]
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let epilogue = Epilogue { bias: Some(&self.bias), activation: self.activation };
        conv_fused(x, &self.weight, epilogue, &self.params)
    }
}

/// Per-channel factor and shift that a normalisation by stored statistics amounts to.
pub(crate) struct Affine {
    pub factor: Tensor,
    pub shift: Tensor,
}

impl Affine {
    /// Of `NAME.{bias,running_mean,running_var}`, and `NAME.weight` if `scale` says that there is one.
    pub(crate) fn load(
        loader: &mut Loader<'_>,
        name: &str,
        channels: usize,
        scale: bool,
        eps: f64,
    ) -> Result<Self> {
        let mut part = |part: &str| loader.tensor(&format!("{name}.{part}"), &[channels]);
        let weight = if scale { Some(part("weight")?) } else { None };
        let (bias, mean, var) = (part("bias")?, part("running_mean")?, part("running_var")?);
        let mut factor = var.affine(1.0, eps)?.sqrt()?.recip()?;
        if let Some(weight) = weight {
            factor = (factor * weight)?;
        }
        let shift = (bias - (mean * &factor)?)?;
        Ok(Self { factor, shift })
    }

    /// The convolution with `weight` and without bias that it follows, as one.
    pub(crate) fn fold(self, loader: &Loader<'_>, weight: Tensor) -> Result<Conv> {
        if !loader.is_loading() {
            return Ok(Conv::new(weight, self.shift));
        }
        let mut shape = vec![1; weight.rank()];
        shape[0] = weight.dims()[0];
        let weight = weight.broadcast_mul(&self.factor.reshape(shape)?)?;
        Ok(Conv::new(weight, self.shift))
    }
}
