//! All networks of a model.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::{join, split};
use vg_core::nn::ParamSource;
use vg_core::ops::segments::Segments;

use crate::config::Config;
use crate::discriminator::Discriminator;
use crate::encoder::Encoder;
use crate::generator::Generator;
use crate::layers::Run;
use crate::rollout::Past;
use crate::source::pyramid;

/// Names of the temporal discriminators.
pub(crate) const TEMPORAL: [&str; 3] = ["D_T0", "D_T1", "D_T2"];
/// Networks that sampling does not need.
pub(crate) const TRAINING: [&str; 5] = ["D", "D_f", "D_T0", "D_T1", "D_T2"];

/// What makes frames.
#[derive(Clone, Debug)]
pub struct Makers {
    /// G0, G1, ...
    pub generators: Vec<Generator>,
    /// E.
    pub encoder: Option<Encoder>,
}

impl Makers {
    /// The networks over the parameters of `source`.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let generators = (0..config.generator.scales).map(|scale| Generator::new(source, config, scale));
        let encoder = (config.features.channels > 0).then(|| Encoder::new(source, config));
        Ok(Self { generators: generators.collect::<Result<_>>()?, encoder: encoder.transpose()? })
    }

    /// Source channels with the features of instances behind them, in models with an encoder: of all frames at once.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when they do not fit.
    pub fn with_features(
        &self,
        source: &[Tensor],
        frames: &[Tensor],
        instances: &[Tensor],
        run: Run,
    ) -> Result<Vec<Tensor>> {
        let Some(encoder) = &self.encoder else { return Ok(source.to_vec()) };
        let segments = Segments::new(&Tensor::cat(instances, 0)?)?;
        let features = encoder.forward(&join(frames)?, &segments, run)?;
        let pairs = source.iter().zip(split(&features, frames.len())?);
        pairs.map(|(source, features)| Ok(Tensor::cat(&[source, &features], 1)?)).collect()
    }
}

/// The frames before the first generated one, by level: given ones, or black ones for models that start from nothing.
///
/// # Errors
/// As [`pyramid`].
pub(crate) fn lead_in(given: &[Tensor], config: &Config) -> Result<Past> {
    let mut levels = vec![Vec::with_capacity(given.len()); config.generator.scales];
    for frame in given {
        let frame = if config.starts_from_nothing() { frame.zeros_like()? } else { frame.clone() };
        for (level, frame) in levels.iter_mut().zip(pyramid(&frame, config.generator.scales)?) {
            level.push(frame.detach());
        }
    }
    Ok(levels)
}

/// All discriminators.
#[derive(Clone, Debug)]
pub struct Judges {
    /// D_I.
    pub image: Discriminator,
    /// D_f.
    pub face: Option<Discriminator>,
    /// D_V by temporal scale.
    pub temporal: Vec<Discriminator>,
}

impl Judges {
    /// The networks over the parameters of `source`.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (d, image) = (&config.discriminator, config.source_channels() + 3);
        let new = |name, inputs, scales| Discriminator::new(source, config, name, inputs, scales);
        let temporal = TEMPORAL.iter().take(d.temporal_scales);
        Ok(Self {
            image: new("D", image, d.scales)?,
            // Official code: two sizes fewer than for whole frames.
            face: d.face.then(|| new("D_f", image, d.scales.saturating_sub(2).max(1))).transpose()?,
            temporal: temporal
                .map(|name| new(name, config.temporal_channels(), d.scales))
                .collect::<Result<_>>()?,
        })
    }
}
