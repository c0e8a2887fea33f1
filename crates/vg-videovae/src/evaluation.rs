//! The classifier that scores generated clips.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, BatchNormConfig, Conv3d, ConvConfig, Init, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::Config;

/// Frames and side of its clips.
pub(crate) const CLIP: [usize; 2] = [10, 64];
/// Slope of its leaky ReLUs.
const SLOPE: f64 = 0.2;

/// Clips `[B, C, 10, 64, 64]` in [-1, 1] -> logits `[B, K]` of all combinations of classes, the first label group's running fastest.
///
/// Source: specification, section 6.3; TwoStreamVAN's classifier.
#[derive(Clone, Debug)]
pub struct EvaluationClassifier {
    convs: Vec<Conv3d>,
    norms: Vec<BatchNorm>,
    channels: usize,
}

impl EvaluationClassifier {
    /// A network over the parameters of `source`, named `eval_classifier.`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, w) = (source.pp("eval_classifier"), config.evaluation.width);
        let widths = [config.clip.channels, w, 2 * w, 4 * w, 8 * w, config.joint_classes()];
        let conv = |k: usize| {
            let (inputs, outputs) = (widths[k], widths[k + 1]);
            // Xavier's, for a ReLU.
            let bound = (2.0 * 6.0 / (64 * (inputs + outputs)) as f64).sqrt();
            let config = ConvConfig {
                stride: if k < 4 { [1, 2, 2] } else { [1; 3] },
                padding: match k {
                    0 | 1 => [0, 1, 1],
                    2 | 3 => [1; 3],
                    _ => [1, 0, 0],
                },
                weight_init: Init::Uniform { bound },
                ..ConvConfig::new(4).no_bias()
            };
            Conv3d::new(inputs, outputs, config, &source.pp(format!("conv{}", k + 1)))
        };
        let norm =
            |k: usize| BatchNorm::new(widths[k], BatchNormConfig::default(), &source.pp(format!("bn{k}")));
        Ok(Self {
            convs: (0..5).map(conv).collect::<Result<_>>()?,
            norms: (2..5).map(norm).collect::<Result<_>>()?,
            channels: config.clip.channels,
        })
    }

    /// See [`EvaluationClassifier`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for clips of another size.
    pub fn forward(&self, clips: &Tensor, mode: Mode) -> Result<Tensor> {
        let (channels, [frames, side]) = (self.channels, CLIP);
        expect_dims!("clips", clips.dims(), [B, (channels), (frames), (side), (side)])?;
        let leaky = Activation::LeakyRelu(SLOPE);
        let mut x = self.convs[0].forward_with(&clips.contiguous()?, leaky, mode)?;
        for (conv, norm) in self.convs[1..4].iter().zip(&self.norms) {
            x = norm.forward_with(&conv.forward(&x, mode)?, leaky, mode)?;
        }
        Ok(self.convs[4].forward(&x, mode)?.flatten_from(1)?)
    }
}
