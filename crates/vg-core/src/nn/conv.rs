//! Convolution layers.

use candle_core::Tensor;

use super::{Init, Mode, ParamSource};
use crate::ops::Activation;
use crate::ops::conv::{ConvParams, Epilogue, Precision, conv_fused, conv_transpose_fused};
use crate::{Error, Result};

/// Settings of a convolution layer in `D` dimensions, axes in the order `[T, H, W]` (the last `D` of them).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvConfig<const D: usize> {
    /// Kernel size.
    pub kernel: [usize; D],
    /// Stride.
    pub stride: [usize; D],
    /// Zero padding at both ends.
    pub padding: [usize; D],
    /// Dilation.
    pub dilation: [usize; D],
    /// Additional length of the result, for transposed convolutions alone.
    pub output_padding: [usize; D],
    /// Channel groups.
    pub groups: usize,
    /// Of the products, where that of the [`ParamStore`](super::ParamStore) is not lower; parameters and results keep their type.
    pub precision: Precision,
    /// Whether there is a bias.
    pub bias: bool,
    /// Initial weight.
    pub weight_init: Init,
    /// Initial bias; `None` is PyTorch's default, uniform with bound `sqrt(1 / fan_in)`.
    pub bias_init: Option<Init>,
}

impl<const D: usize> ConvConfig<D> {
    /// A kernel of the same size on every axis, stride 1, no padding, with bias, PyTorch's initial values.
    pub const fn new(kernel: usize) -> Self {
        Self {
            kernel: [kernel; D],
            stride: [1; D],
            padding: [0; D],
            dilation: [1; D],
            output_padding: [0; D],
            groups: 1,
            precision: Precision::Full,
            bias: true,
            weight_init: Init::KaimingUniform,
            bias_init: None,
        }
    }

    /// With this stride on every axis.
    pub const fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride; D];
        self
    }

    /// With this padding on every axis.
    pub const fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding; D];
        self
    }

    /// With products of this precision.
    pub const fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Without a bias.
    pub const fn no_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// With these initial values.
    pub const fn init(mut self, weight: Init, bias: Init) -> Self {
        self.weight_init = weight;
        self.bias_init = Some(bias);
        self
    }

    pub(super) fn params(&self, source: &ParamSource) -> ConvParams {
        ConvParams::per_axis(self.stride, self.padding)
            .dilation(self.dilation)
            .groups(self.groups)
            .precision(self.precision.or(source.precision()))
    }

    /// The weight `[first, second / groups, *kernel]` and the bias, which has `outputs` elements.
    pub(super) fn parameters(
        &self,
        source: &ParamSource,
        first: usize,
        second: usize,
        outputs: usize,
    ) -> Result<(Tensor, Option<Tensor>)> {
        if self.groups == 0 || !first.is_multiple_of(self.groups) || !second.is_multiple_of(self.groups) {
            return Err(Error::config(
                source.path(),
                format!("{first} and {second} channels cannot be split into {} groups", self.groups),
            ));
        }
        let mut shape = vec![first, second / self.groups];
        shape.extend(self.kernel);
        let weight = source.var("weight", &shape, self.weight_init)?;
        let fan_in = super::init::fans(&shape).0;
        let bias_init = self.bias_init.unwrap_or(Init::BiasFor { fan_in });
        let bias = self.bias.then(|| source.var("bias", &[outputs], bias_init)).transpose()?;
        Ok((weight, bias))
    }
}

/// Convolution in one to three dimensions; parameters `weight` `[out, in / groups, *kernel]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub struct Conv<const D: usize> {
    weight: Tensor,
    bias: Option<Tensor>,
    params: ConvParams,
}

/// Convolution over `[B, C, W]`.
pub type Conv1d = Conv<1>;
/// Convolution over `[B, C, H, W]`.
pub type Conv2d = Conv<2>;
/// Convolution over `[B, C, T, H, W]`.
pub type Conv3d = Conv<3>;

impl<const D: usize> Conv<D> {
    /// Makes the layer's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Config`] when the channels do not divide into the groups, [`Error::Weights`] when a name is taken.
    pub fn new(inputs: usize, outputs: usize, config: ConvConfig<D>, source: &ParamSource) -> Result<Self> {
        let (weight, bias) = config.parameters(source, outputs, inputs, outputs)?;
        Ok(Self { weight, bias, params: config.params(source) })
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
        let bias = self.bias.as_ref().map(|b| mode.weights.see(b));
        let epilogue = Epilogue { bias: bias.as_ref(), activation };
        conv_fused(x, &mode.weights.see(&self.weight), epilogue, &self.params)
    }

    /// What the channels from `first` on add to the convolution, without the bias unless `bias`: the parts of all channels, one of them
    /// with the bias, add up to [`forward`](Self::forward). `x` holds these channels alone.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Unsupported`] for groups.
    pub fn forward_part(&self, x: &Tensor, first: usize, bias: bool, mode: Mode) -> Result<Tensor> {
        let weight = part(&mode.weights.see(&self.weight), 1, first, x, &self.params)?;
        let bias = self.bias.as_ref().filter(|_| bias).map(|b| mode.weights.see(b));
        conv_fused(
            x,
            &weight,
            Epilogue { bias: bias.as_ref(), activation: Activation::Identity },
            &self.params,
        )
    }

    /// The weight.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

/// Transposed convolution in one to three dimensions; parameters `weight` `[in, out / groups, *kernel]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub struct ConvTranspose<const D: usize> {
    weight: Tensor,
    bias: Option<Tensor>,
    params: ConvParams,
    output_padding: [usize; 3],
}

/// Transposed convolution over `[B, C, W]`.
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution over `[B, C, H, W]`.
pub type ConvTranspose2d = ConvTranspose<2>;
/// Transposed convolution over `[B, C, T, H, W]`.
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const D: usize> ConvTranspose<D> {
    /// Makes the layer's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Config`] when the channels do not divide into the groups, [`Error::Weights`] when a name is taken.
    pub fn new(inputs: usize, outputs: usize, config: ConvConfig<D>, source: &ParamSource) -> Result<Self> {
        let (weight, bias) = config.parameters(source, inputs, outputs, outputs)?;
        let mut output_padding = [0; 3];
        output_padding[3 - D..].copy_from_slice(&config.output_padding);
        Ok(Self { weight, bias, params: config.params(source), output_padding })
    }

    /// The transposed convolution.
    ///
    /// # Errors
    /// As [`conv_transpose`](crate::ops::conv::conv_transpose).
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.forward_with(x, Activation::Identity, mode)
    }

    /// The transposed convolution with an activation in the same pass.
    ///
    /// # Errors
    /// As [`conv_transpose`](crate::ops::conv::conv_transpose).
    pub fn forward_with(&self, x: &Tensor, activation: Activation, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| mode.weights.see(b));
        let epilogue = Epilogue { bias: bias.as_ref(), activation };
        conv_transpose_fused(x, &mode.weights.see(&self.weight), epilogue, &self.params, self.output_padding)
    }

    /// What the channels from `first` on add to the transposed convolution: see [`Conv::forward_part`].
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::Unsupported`] for groups.
    pub fn forward_part(&self, x: &Tensor, first: usize, bias: bool, mode: Mode) -> Result<Tensor> {
        let weight = part(&mode.weights.see(&self.weight), 0, first, x, &self.params)?;
        let bias = self.bias.as_ref().filter(|_| bias).map(|b| mode.weights.see(b));
        let epilogue = Epilogue { bias: bias.as_ref(), activation: Activation::Identity };
        conv_transpose_fused(x, &weight, epilogue, &self.params, self.output_padding)
    }

    /// The weight.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

/// The weight of the channels of `x`, which are those from `first` on along `axis`.
fn part(weight: &Tensor, axis: usize, first: usize, x: &Tensor, params: &ConvParams) -> Result<Tensor> {
    if params.groups != 1 {
        return Err(Error::Unsupported("a part of a convolution's channels: it has groups".into()));
    }
    let (all, own) = (weight.dim(axis)?, x.dims().get(1).copied().unwrap_or(0));
    if first + own > all {
        return Err(Error::shape(
            "part of a convolution's input",
            format!("at most {} channels", all - first.min(all)),
            x.dims(),
        ));
    }
    Ok(weight.narrow(axis, first, own)?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Rng;
    use crate::nn::ParamStore;

    #[test]
    fn a_store_tells_all_convolutions_their_precision() {
        for (of_store, of_layer, want) in [
            (Precision::Full, Precision::Full, Precision::Full),
            (Precision::Full, Precision::Bf16, Precision::Bf16),
            (Precision::Bf16, Precision::Full, Precision::Bf16),
        ] {
            let store = ParamStore::init(Rng::new(1), DType::F32, &Device::Cpu).precision(of_store);
            let (source, config) = (store.source(), ConvConfig::new(3).precision(of_layer));
            let plain = Conv2d::new(2, 3, config, &source.pp("a")).unwrap();
            let transposed = ConvTranspose2d::new(2, 3, config, &source.pp("b")).unwrap();
            assert_eq!([plain.params.precision, transposed.params.precision], [want; 2]);
            assert!(store.vars("").iter().all(|(_, var)| var.dtype() == DType::F32));
        }
    }
}
