//! The networks of a VideoVAE together.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Linear, LstmCell, LstmState, Mode, ParamSource, RecurrentConfig};
use vg_core::ops::Activation;

use crate::attributes::AttributeNet;
use crate::config::{Config, NetworkSizes};
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::gaussian::{Gaussian, GaussianNet};
use crate::layers::linear;

/// Names of the networks of stage 1, which stage 2 takes over.
pub(crate) const STAGE_1: [&str; 2] = ["enc", "attr_net"];

/// All networks. Clones share their weights.
#[derive(Clone, Debug)]
pub struct Networks {
    /// phi_enc.
    pub encoder: Encoder,
    /// The attribute classifier.
    pub attributes: AttributeNet,
    /// phi_q, of the encoder's vector: equation (1).
    pub residual: GaussianNet,
    /// phi_a, of the residual's parameters and the attributes: equation (2).
    pub appearance: GaussianNet,
    /// phi_dy, of the appearance's parameters and the map of h: equation (3).
    pub posterior: GaussianNet,
    /// phi_p, of the map of h and the attributes: equation (4).
    pub prior: GaussianNet,
    /// phi_h.
    pub state_map: Mlp,
    /// phi_dec: equation (5).
    pub decoder: Decoder,
    /// Equation (6).
    pub lstm: LstmCell,
    decoder_sees_h: bool,
}

impl Networks {
    /// Networks over the parameters of `source`, named as in the public port: `enc.`, `attr_net.`, `post_q.`, `post_a.`, `post_dy.`,
    /// `mlp_lstm.`, `prior.`, `dec.`, `lstm.`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (n, a) = (&config.networks, config.attribute_dims());
        let NetworkSizes { latent, hidden, .. } = *n;
        let gaussian = |name: &str, inputs| GaussianNet::new(&source.pp(name), inputs, n);
        Ok(Self {
            encoder: Encoder::new(source, config)?,
            attributes: AttributeNet::new(source, config)?,
            residual: gaussian("post_q", latent)?,
            appearance: gaussian("post_a", 2 * latent + a)?,
            posterior: gaussian("post_dy", 2 * latent + hidden)?,
            prior: gaussian("prior", hidden + a)?,
            state_map: Mlp::new(&source.pp("mlp_lstm"), n)?,
            decoder: Decoder::new(source, config)?,
            lstm: LstmCell::new(3 * latent, hidden, RecurrentConfig::default(), &source.pp("lstm"))?,
            decoder_sees_h: n.decoder_sees_h,
        })
    }

    /// The state after a frame: equation (6), conditional sampling. `z` `[N, latent]` is the drawn latent, `residual` that of its frame.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] when the shapes differ.
    pub fn advance(
        &self,
        z: &Tensor,
        residual: &Gaussian,
        state: &LstmState,
        mode: Mode,
    ) -> Result<LstmState> {
        self.lstm.step(&Tensor::cat(&[z, &residual.mu, &residual.log_var], 1)?, state, mode)
    }

    /// What the decoder sees: latents `[N, latent]`, beside the map of h `[N, hidden]` where it is made for that.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] when the shapes differ.
    pub fn decoder_input(&self, z: &Tensor, state_map: &Tensor) -> Result<Tensor> {
        Ok(if self.decoder_sees_h { Tensor::cat(&[z, state_map], 1)? } else { z.clone() })
    }
}

/// phi_h: the LSTM's state `[N, hidden]` -> `[N, hidden]`, over one hidden layer.
#[derive(Clone, Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn new(source: &ParamSource, sizes: &NetworkSizes) -> Result<Self> {
        let NetworkSizes { mlp, hidden, small_linear_init, .. } = *sizes;
        Ok(Self {
            fc1: linear(&source.pp("fc1"), [hidden, mlp], small_linear_init)?,
            fc2: linear(&source.pp("fc2"), [mlp, hidden], small_linear_init)?,
        })
    }

    /// See [`Mlp`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for an input of another size.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.fc2.forward(&Activation::Relu.apply(&self.fc1.forward(x, mode)?)?, mode)
    }
}
