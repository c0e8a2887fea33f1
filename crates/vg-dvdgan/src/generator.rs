//! The generator.

use candle_core::Tensor;
use vg_core::nn::{FrameNorm, Mode, ParamSource, SpectralConv, SpectralLinear};
use vg_core::ops::Activation;
use vg_core::ops::rows::take_rows;
use vg_core::{Error, Result, expect_dims};

use crate::condition::ConditioningStack;
use crate::config::{Config, OutputNorm};
use crate::layers::{LINEAR, Run, WEIGHTS, conv, frame_norm};
use crate::stage::Stage;

/// G: noise and class through a linear map to 4x4 pixels, the same for every frame, then through stages that double the size, each a
/// recurrent unit and two residual blocks.
///
/// Source: paper, figure of the architecture.
#[derive(Clone, Debug)]
pub struct Generator {
    embed: Tensor,
    linear: SpectralLinear,
    stages: Vec<Stage>,
    out_bn: FrameNorm,
    out_conv: SpectralConv<2>,
    condition: Option<ConditioningStack>,
    recurrent: Vec<bool>,
    width: usize,
    latent: [usize; 2],
}

impl Generator {
    /// A network over the parameters of `source`, below `generator`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("generator");
        let (widths, latent) = (config.generator_widths(), &config.latent);
        let (first, last) = (widths[0], widths[config.stages()]);
        let eps = config.norm.spectral_eps;
        let stage = |s: usize| Stage::new(s, config, &source.pp("stages").pp(s));
        let conditional = config.generator.output_norm == OutputNorm::Conditional;
        let condition = if conditional { config.condition() } else { 0 };
        let stack = || ConditioningStack::new(config, &source.pp("condition"));
        Ok(Self {
            embed: source.pp("embed").var("weight", &[config.class_count(), latent.embedding], WEIGHTS)?,
            linear: SpectralLinear::new(config.condition(), 16 * first, LINEAR, eps, &source.pp("linear"))?,
            stages: (0..config.stages()).map(stage).collect::<Result<_>>()?,
            out_bn: frame_norm(last, condition, config, &source.pp("out_bn"))?,
            out_conv: conv(last, config.clip.channels, 3, config, &source.pp("out_conv"))?,
            condition: (config.clip.given > 0).then(stack).transpose()?,
            recurrent: (0..config.stages()).map(|s| config.is_recurrent(s)).collect(),
            width: first,
            latent: [latent.noise, latent.embedding],
        })
    }

    /// Embeddings of classes, `[B, embedding]`; 0 is the only class of unconditional models.
    ///
    /// # Errors
    /// [`Error::Shape`] for a class that there is not.
    pub fn embed(&self, classes: &[usize], mode: Mode) -> Result<Tensor> {
        take_rows(&mode.weights.see(&self.embed), classes)
    }

    /// Clips as rows of frames.
    ///
    /// # Shapes
    /// - `z` `[B, noise]`; `embedding` `[B, embedding]`, of classes or between those of two
    /// - `given` `[B * given, C, H, W]` for models that continue frames, the frames of a clip one after the other, on [-1, 1]
    /// - returns `[B * T, C, H, W]`, the generated frames, on (-1, 1)
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit, [`Error::Unsupported`] when given frames are missing.
    pub fn forward(
        &self,
        z: &Tensor,
        embedding: &Tensor,
        given: Option<&Tensor>,
        run: Run,
    ) -> Result<Tensor> {
        let clips = z.dims().first().copied().unwrap_or(0);
        let [noise, width] = self.latent;
        expect_dims!("noise", z.dims(), [(clips), (noise)])?;
        expect_dims!("embeddings of classes", embedding.dims(), [(clips), (width)])?;
        let condition = Tensor::cat(&[z, embedding], 1)?;
        let mut states = self.states(given, run.mode)?.into_iter();
        let mut h = self.linear.forward(&condition, run.mode)?.reshape((clips, self.width, 4, 4))?;
        for (stage, recurrent) in self.stages.iter().zip(&self.recurrent) {
            let state = if *recurrent { states.next() } else { None };
            h = stage.forward(&h, state.as_ref(), &condition, run)?;
        }
        let h = self.out_bn.forward(&h, &condition, Activation::Relu, run.mode, run.share)?;
        self.out_conv.forward_with(&h, Activation::Tanh, run.mode)
    }

    /// States of the recurrent units, from 4x4 upwards: of given frames, or none.
    ///
    /// # Errors
    /// As [`Generator::forward`].
    pub fn states(&self, given: Option<&Tensor>, mode: Mode) -> Result<Vec<Tensor>> {
        match (&self.condition, given) {
            (Some(stack), Some(given)) => stack.forward(given, mode),
            (Some(_), None) => {
                Err(Error::Unsupported("this generator continues given frames; give some".into()))
            }
            (None, _) => Ok(Vec::new()),
        }
    }

    /// The stages, in the order in which a clip passes them.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
}
