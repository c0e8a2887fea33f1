//! The networks of a model together.

use vg_core::Result;
use vg_core::nn::ParamSource;

use crate::config::{Config, Variant};
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::recurrent::{FramePredictor, GaussianLstm};

/// All networks of a variant. Clones share their weights.
#[derive(Clone, Debug)]
pub struct Networks {
    /// Enc.
    pub encoder: Encoder,
    /// Dec.
    pub decoder: Decoder,
    /// LSTM_theta.
    pub predictor: FramePredictor,
    /// LSTM_phi and what its latents are held to; nothing in the deterministic variant.
    pub latent: Option<LatentNetworks>,
}

/// Networks of the latent.
#[derive(Clone, Debug)]
pub struct LatentNetworks {
    /// LSTM_phi, of the frames up to the one to come.
    pub posterior: GaussianLstm,
    /// LSTM_psi, of the frames before it; `None` stands for N(0, I).
    pub prior: Option<GaussianLstm>,
}

impl Networks {
    /// Networks over the parameters of `source`, which are named as in the official checkpoints: `encoder.`, `decoder.`,
    /// `frame_predictor.`, `posterior.`, `prior.`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let gaussian = |name: &str, layers| GaussianLstm::new(&source.pp(name), config, layers);
        let r = &config.recurrent;
        let latent = match config.variant {
            Variant::Deterministic => None,
            Variant::FixedPrior | Variant::LearnedPrior => Some(LatentNetworks {
                posterior: gaussian("posterior", r.posterior_layers)?,
                prior: match config.variant {
                    Variant::LearnedPrior => Some(gaussian("prior", r.prior_layers)?),
                    _ => None,
                },
            }),
        };
        Ok(Self {
            encoder: Encoder::new(source, config)?,
            decoder: Decoder::new(source, config)?,
            predictor: FramePredictor::new(source, config)?,
            latent,
        })
    }

    /// LSTM_psi, where it is learned.
    pub fn prior(&self) -> Option<&GaussianLstm> {
        self.latent.as_ref().and_then(|latent| latent.prior.as_ref())
    }
}
