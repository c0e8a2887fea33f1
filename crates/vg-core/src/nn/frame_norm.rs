//! Batch norm of clips with statistics a frame and a scale and shift that depend on a condition.

use candle_core::Tensor;

use super::{Buffer, Init, LinearConfig, Mode, NormStats, ParamSource, SpectralLinear};
use crate::ops::Activation;
use crate::ops::norm::{frame_batch_norm_eval, frame_batch_norm_train};
use crate::ops::rows::take_rows;
use crate::{Error, Result};

/// Settings of a [`FrameNorm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameNormConfig {
    /// Frames of a clip, each with statistics of its own.
    pub frames: usize,
    /// Numbers of the condition; 0 for a scale and a shift that are parameters.
    pub condition: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Initial weights of the maps from the condition.
    pub weight_init: Init,
    /// Least length in the spectral norm of the maps.
    pub spectral_eps: f64,
}

/// Batch normalisation of clips whose frames are rows: `(x - mean) / sqrt(var + eps) * gain + bias`, mean and biased variance of a frame and
/// channel over all clips and positions.
///
/// Gain and bias are maps of the condition, `1 + W_gain c` and `W_bias c`, both without a bias and with a spectral norm: parameters
/// `gain.weight` and `bias.weight`, `[C, condition]`. Without a condition they are the parameters `gain` and `bias`, `[C]`. Buffers: `mean`
/// and `var`, `[frames, C]`, which average the batches' means and unbiased variances.
///
/// Source: Clark et al., "Adversarial Video Generation on Complex Datasets", 2019, for the statistics; Brock et al., "Large Scale GAN
/// Training for High Fidelity Natural Image Synthesis", 2019, for gain and bias.
#[derive(Clone, Debug)]
pub struct FrameNorm {
    affine: Affine,
    mean: Buffer,
    var: Buffer,
    frames: usize,
    channels: usize,
    eps: f64,
}

#[derive(Clone, Debug)]
enum Affine {
    Conditional { gain: SpectralLinear, bias: SpectralLinear },
    Plain { gain: Tensor, bias: Tensor },
}

impl FrameNorm {
    /// Makes the layer's parameters and buffers at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(channels: usize, config: &FrameNormConfig, source: &ParamSource) -> Result<Self> {
        let FrameNormConfig { frames, condition, eps, weight_init, spectral_eps } = *config;
        let affine = if condition > 0 {
            let linear = LinearConfig { bias: false, weight_init, bias_init: None };
            let map =
                |name: &str| SpectralLinear::new(condition, channels, linear, spectral_eps, &source.pp(name));
            Affine::Conditional { gain: map("gain")?, bias: map("bias")? }
        } else {
            let vector = |name: &str, init| source.var(name, &[channels], init);
            Affine::Plain { gain: vector("gain", Init::Ones)?, bias: vector("bias", Init::Zeros)? }
        };
        Ok(Self {
            affine,
            mean: source.buffer("mean", &[frames, channels], 0.0)?,
            var: source.buffer("var", &[frames, channels], 1.0)?,
            frames,
            channels,
            eps,
        })
    }

    /// The normalised input behind an activation.
    ///
    /// A pass with batch statistics that updates the running ones takes the batch into them with the weight `share`: a fixed one makes moving
    /// averages, 1, 1/2, 1/3, ... the plain average of that many passes.
    ///
    /// # Shapes
    /// - `x` `[B * frames, C, ...]`, the frames of a clip one after the other; `condition` `[B, condition]`, not used without one
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for types other than f32 and f64 or mixed ones.
    pub fn forward(
        &self,
        x: &Tensor,
        condition: &Tensor,
        activation: Activation,
        mode: Mode,
        share: f64,
    ) -> Result<Tensor> {
        let rows = x.dims().first().copied().unwrap_or(0);
        if !rows.is_multiple_of(self.frames) {
            let expected = format!("[B * {}, {}, ...]", self.frames, self.channels);
            return Err(Error::shape("input of a norm of frames", expected, x.dims()));
        }
        let (gain, bias) = self.gain_and_bias(condition, rows, mode)?;
        match mode.norm {
            NormStats::Batch => {
                let (y, stats) = frame_batch_norm_train(x, self.frames, &gain, &bias, self.eps, activation)?;
                if mode.update_running {
                    update(&self.mean, &stats.mean, share)?;
                    update(&self.var, &stats.unbiased_var(), share)?;
                }
                Ok(y)
            }
            NormStats::Running => {
                let (mean, var) = (self.mean.get(), self.var.get());
                frame_batch_norm_eval(x, &gain, &bias, &mean, &var, self.eps, activation)
            }
        }
    }

    /// Both as `[rows, C]`.
    fn gain_and_bias(&self, condition: &Tensor, rows: usize, mode: Mode) -> Result<(Tensor, Tensor)> {
        let clips: Vec<usize> = (0..rows).map(|row| row / self.frames).collect();
        match &self.affine {
            Affine::Conditional { gain, bias } => {
                let gain = gain.forward(condition, mode)?.affine(1.0, 1.0)?;
                Ok((take_rows(&gain, &clips)?, take_rows(&bias.forward(condition, mode)?, &clips)?))
            }
            Affine::Plain { gain, bias } => {
                let every = |v: &Tensor| take_rows(&mode.weights.see(v).unsqueeze(0)?, &vec![0; rows]);
                Ok((every(gain)?, every(bias)?))
            }
        }
    }

    /// Means of frames and channels.
    pub fn mean(&self) -> &Buffer {
        &self.mean
    }

    /// Variances of frames and channels.
    pub fn var(&self) -> &Buffer {
        &self.var
    }
}

/// `old + share (new - old)` in the buffer's shape.
fn update(buffer: &Buffer, new: &[f64], share: f64) -> Result<()> {
    let old = buffer.to_vec()?;
    let mixed: Vec<f64> = old.iter().zip(new).map(|(old, new)| (1.0 - share) * old + share * new).collect();
    let value = buffer.get();
    buffer.set(&Tensor::from_vec(mixed, value.shape(), value.device())?)
}
