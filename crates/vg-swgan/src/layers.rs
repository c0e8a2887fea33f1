//! Convolutions whose kernels resample, and layers with equalised learning rate: weights are stored with unit variance and scaled when
//! they are used.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::settle;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::channel::channel_scale;
use vg_core::ops::conv::{ConvParams, Epilogue, conv_fused, conv_transpose, conv_transpose_fused};
use vg_core::ops::linear::linear;

use crate::kernel::{Axis, Resampling, params, taps, taps_matrix};

/// Slope of every leaky ReLU below 0 (specification, section 1).
pub(crate) const SLOPE: f64 = 0.2;
/// The activation of every layer of the video model.
pub(crate) const LEAKY: Activation = Activation::LeakyRelu(SLOPE);

/// A convolution with a kernel of 3 on each axis, resampling or not, or of 1, in two or three dimensions.
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    transposed: bool,
    /// From the stored taps to the layer's; absent where only `factor` is needed.
    matrix: Option<Tensor>,
    factor: f64,
    params: ConvParams,
    taps: Vec<usize>,
}

/// What a cubic layer is made of, besides its channels.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub resampling: Resampling,
    /// Taps that count in the fan-in.
    pub fan_taps: usize,
    pub strict: bool,
}

impl Kind {
    pub(crate) const PLAIN: Self = Self { resampling: Resampling::None, fan_taps: 27, strict: false };
}

/// A layer as one pass multiplies with it: its weight is scaled and its taps are combined once for all uses.
pub(crate) struct Map {
    weight: Tensor,
    bias: Option<Tensor>,
    params: ConvParams,
    transposed: bool,
}

impl Conv {
    /// 3x3x3 with equalised learning rate, gain sqrt(2).
    pub(crate) fn cube(source: &ParamSource, inputs: usize, outputs: usize, kind: Kind) -> Result<Self> {
        let weight = source.var("weight", &[outputs, inputs, 3, 3, 3], Init::Normal { std: 1.0 })?;
        let factor = (2.0 / (kind.fan_taps * inputs) as f64).sqrt();
        let axes = kind.resampling.axes(kind.strict);
        let bias = Some(source.var("bias", &[outputs], Init::Zeros)?);
        Self::resampled(weight, bias, kind.resampling, &axes, factor)
    }

    /// 1x1x1 with equalised learning rate.
    pub(crate) fn point(source: &ParamSource, inputs: usize, outputs: usize, gain: f64) -> Result<Self> {
        Ok(Self {
            weight: source.var("weight", &[outputs, inputs, 1, 1, 1], Init::Normal { std: 1.0 })?,
            bias: Some(source.var("bias", &[outputs], Init::Zeros)?),
            transposed: false,
            matrix: None,
            factor: gain / (inputs as f64).sqrt(),
            params: ConvParams::uniform(1, 0),
            taps: vec![1; 3],
        })
    }

    /// 3x3, its weights drawn and used as they are.
    pub(crate) fn square(
        source: &ParamSource,
        [inputs, outputs]: [usize; 2],
        resampling: Resampling,
        init: Init,
        bias: bool,
    ) -> Result<Self> {
        let weight = source.var("weight", &[outputs, inputs, 3, 3], init)?;
        let bias = bias.then(|| source.var("bias", &[outputs], Init::Zeros)).transpose()?;
        Self::resampled(weight, bias, resampling, &resampling.axes(false)[1..], 1.0)
    }

    /// 1x1, its weights drawn and used as they are.
    pub(crate) fn pixel(source: &ParamSource, inputs: usize, outputs: usize, init: Init) -> Result<Self> {
        Ok(Self {
            weight: source.var("weight", &[outputs, inputs, 1, 1], init)?,
            bias: Some(source.var("bias", &[outputs], Init::Zeros)?),
            transposed: false,
            matrix: None,
            factor: 1.0,
            params: ConvParams::uniform(1, 0),
            taps: vec![1; 2],
        })
    }

    fn resampled(
        weight: Tensor,
        bias: Option<Tensor>,
        resampling: Resampling,
        axes: &[Axis],
        factor: f64,
    ) -> Result<Self> {
        let matrix = match resampling {
            Resampling::None => None,
            _ => Some(taps_matrix(axes, factor)?.to_device(weight.device())?.to_dtype(weight.dtype())?),
        };
        let transposed = resampling.transposed();
        Ok(Self { weight, bias, transposed, matrix, factor, params: params(axes), taps: taps(axes) })
    }

    pub(crate) fn prepare(&self, weights: Weights) -> Result<Map> {
        let weight = weights.see(&self.weight);
        let weight = match &self.matrix {
            None => scaled(&weight, self.factor)?,
            Some(matrix) => {
                let weight = if self.transposed { weight.transpose(0, 1)?.contiguous()? } else { weight };
                let (a, b) = (weight.dim(0)?, weight.dim(1)?);
                let shape: Vec<usize> = [a, b].into_iter().chain(self.taps.iter().copied()).collect();
                let combined = linear(&weight.reshape((a * b, matrix.dim(1)?))?, matrix, None)?;
                settle(&combined.reshape(shape)?)?
            }
        };
        let bias = self.bias.as_ref().map(|b| weights.see(b));
        Ok(Map { weight, bias, params: self.params, transposed: self.transposed })
    }
}

impl Map {
    /// The convolution with bias and activation.
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let epilogue = Epilogue { bias: self.bias.as_ref(), activation };
        if self.transposed {
            return conv_transpose_fused(x, &self.weight, epilogue, &self.params, [0; 3]);
        }
        conv_fused(x, &self.weight, epilogue, &self.params)
    }

    /// The gradient of the input from that of the linear part's result: another forward pass, which can be differentiated. For layers that
    /// keep or halve sizes.
    pub(crate) fn adjoint(&self, grad: &Tensor) -> Result<Tensor> {
        conv_transpose(grad, &self.weight, &self.params, [0; 3])
    }
}

/// A weight times a constant, through an operation that a tape records.
fn scaled(weight: &Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 {
        return Ok(weight.clone());
    }
    let factors = Tensor::full(factor, weight.dim(1)?, weight.device())?.to_dtype(weight.dtype())?;
    channel_scale(weight, &factors)
}

/// A linear layer; the bias is the caller's to add.
pub(crate) struct EqualLinear {
    weight: Tensor,
    pub bias: Tensor,
    factor: f64,
}

impl EqualLinear {
    /// `biases` numbers of the bias, which may be shared by several outputs.
    pub(crate) fn new(
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        biases: usize,
        gain: f64,
    ) -> Result<Self> {
        Ok(Self {
            weight: source.var("weight", &[outputs, inputs], Init::Normal { std: 1.0 })?,
            bias: source.var("bias", &[biases], Init::Zeros)?,
            factor: gain / (inputs as f64).sqrt(),
        })
    }

    /// The scaled weight `[out, in]`.
    pub(crate) fn scaled(&self, weights: Weights) -> Result<Tensor> {
        scaled(&weights.see(&self.weight), self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use vg_core::Rng;
    use vg_core::nn::ParamStore;
    use vg_core::ops::conv::conv;
    use vg_core::ops::pool::{PoolParams, avg_pool};
    use vg_core::ops::upsample::{Interpolation, upsample_by};

    fn layer(resampling: Resampling, strict: bool) -> (Conv, Tensor) {
        let store = ParamStore::init(Rng::new(3), DType::F64, &Device::Cpu);
        let kind = Kind { resampling, fan_taps: 9, strict };
        let layer = Conv::cube(&store.source(), 2, 3, kind).unwrap();
        let x = Rng::new(4).stream("x").normal_tensor((2, 2, 4, 6, 8), DType::F64, &Device::Cpu).unwrap();
        (layer, x)
    }

    fn run(layer: &Conv, x: &Tensor) -> Tensor {
        layer.prepare(Weights::Constant).unwrap().forward(x, Activation::Identity).unwrap()
    }

    fn assert_same(got: &Tensor, want: &Tensor) {
        assert_eq!(got.dims(), want.dims());
        let worst = (got - want).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(worst < 1e-12, "{worst}");
    }

    fn scaled(layer: &Conv) -> Tensor {
        (layer.weight.detach() * layer.factor).unwrap()
    }

    /// Section 2.3: the short way around is enlarging, then convolving; convolving, then averaging.
    #[test]
    fn combined_taps_do_both_steps_at_once() {
        let same = ConvParams::uniform(1, 1);
        for time in [true, false] {
            let factors = [if time { 2 } else { 1 }, 2, 2];
            let (layer, x) = layer_of(Resampling::Up { time });
            let large = upsample_by(&x, &factors, Interpolation::Nearest).unwrap();
            assert_same(&run(&layer, &x), &conv(&large, &scaled(&layer), &same).unwrap());
            let (layer, x) = layer_of(Resampling::Down { time });
            let fine = conv(&x, &scaled(&layer), &same).unwrap();
            assert_same(&run(&layer, &x), &avg_pool(&fine, &PoolParams::per_axis(factors)).unwrap());
        }
    }

    fn layer_of(resampling: Resampling) -> (Conv, Tensor) {
        layer(resampling, false)
    }

    fn pad(x: &Tensor, axis: usize, before: usize, behind: usize) -> Tensor {
        x.pad_with_zeros(axis, before, behind).unwrap()
    }

    /// Section 2.3, what the official code computes where time does not change.
    #[test]
    fn strict_layers_do_what_the_official_code_does() {
        let (layer_up, x) = layer(Resampling::Up { time: false }, true);
        let rows = upsample_by(&x, &[1, 2, 1], Interpolation::Nearest).unwrap();
        let (b, c, t, h, w) = rows.dims5().unwrap();
        let spread = Tensor::stack(&[&rows, &rows.zeros_like().unwrap()], 5).unwrap();
        let spread = spread.reshape((b, c, t, h, 2 * w)).unwrap();
        let padded = pad(&pad(&pad(&spread, 4, 2, 0), 3, 1, 1), 2, 2, 1);
        let y = conv(&padded, &scaled(&layer_up), &ConvParams::uniform(1, 0)).unwrap();
        let want = (y.narrow(2, 0, t).unwrap() + y.narrow(2, 1, t).unwrap()).unwrap();
        assert_same(&run(&layer_up, &x), &want);

        let (layer_down, x) = layer(Resampling::Down { time: false }, true);
        let t = x.dim(2).unwrap();
        let padded = pad(&pad(&pad(&x, 4, 0, 1), 3, 1, 1), 2, 1, 2);
        let params = ConvParams::per_axis([1, 1, 2], [0, 0, 0]);
        let y = conv(&padded, &scaled(&layer_down), &params).unwrap();
        let y = ((y.narrow(2, 0, t).unwrap() + y.narrow(2, 1, t).unwrap()).unwrap() / 2.0).unwrap();
        let want = avg_pool(&y, &PoolParams::per_axis([1, 2, 1])).unwrap();
        assert_same(&run(&layer_down, &x), &want);
    }
}
