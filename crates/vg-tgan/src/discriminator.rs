//! The critic.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, Conv2d, Conv3d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::{Config, FRAMES};
use crate::layers::norm;

/// Slope of the leaky ReLU (official code).
const SLOPE: f64 = 0.2;

/// D: clips `[B, C, 16, H, W]` -> unbounded scores `[B]`.
///
/// Source: paper, table 1; official `VideoDiscriminator*`. The first layer has no batch norm. With classes, the one-hot label is
/// spread over the clip's volume and appended on the channel axis (paper, section 4.3).
pub struct Critic {
    convs: Vec<Conv3d>,
    norms: Vec<BatchNorm>,
    last: Conv2d,
    noise_std: f64,
    channels: usize,
    side: usize,
}

impl Critic {
    /// A critic over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("critic");
        let w = config.init;
        let n = config.critic.channels;
        let mut convs = Vec::with_capacity(4);
        let mut norms = Vec::with_capacity(3);
        let mut width = config.clip.channels + config.classes;
        for k in 0..4 {
            convs.push(w.conv3d(&source.pp(format!("c{k}")), width, n << k)?);
            if k > 0 {
                norms.push(norm(&source.pp(format!("bn{k}")), n << k, config.use_beta, config)?);
            }
            width = n << k;
        }
        let last = w.score(&source.pp("c4"), width, config.clip.bottom_width)?;
        let side = config.clip_spec().height;
        Ok(Self {
            convs,
            norms,
            last,
            noise_std: config.critic.noise_std,
            channels: config.clip.channels,
            side,
        })
    }

    /// Scores `[B]` of clips.
    ///
    /// `noise` holds one standard normal tensor per layer c0 to c3, shaped as [`noise_shapes`] says; `one_hot` is `[B, classes]`.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the clips are not of the configured size.
    pub fn forward(
        &self,
        clips: &Tensor,
        one_hot: Option<&Tensor>,
        noise: &[Tensor],
        mode: Mode,
    ) -> Result<Tensor> {
        expect_dims!("clips", clips.dims(), [B, (self.channels), (FRAMES), (self.side), (self.side)])?;
        let mut h = match one_hot {
            Some(labels) => append_label(clips, labels)?,
            None => clips.clone(),
        };
        let leaky = Activation::LeakyRelu(SLOPE);
        for (k, conv) in self.convs.iter().enumerate() {
            // The noise comes between norm and activation, so the two are fused only without it.
            let fused = if noise.is_empty() { leaky } else { Activation::Identity };
            h = match k.checked_sub(1) {
                None => conv.forward_with(&h, fused, mode)?,
                Some(n) => self.norms[n].forward_with(&conv.forward(&h, mode)?, fused, mode)?,
            };
            if let Some(noise) = noise.get(k) {
                h = leaky.apply(&(h + (noise * self.noise_std)?)?)?;
            }
        }
        // One time step is left: [B, 8n, 1, s, s].
        Ok(self.last.forward(&h.squeeze(2)?, mode)?.flatten_all()?)
    }
}

/// Shapes of the noise tensors of `batch` clips.
pub fn noise_shapes(config: &Config, batch: usize) -> [[usize; 5]; 4] {
    let side = config.clip_spec().height;
    std::array::from_fn(|k| {
        let s = side >> (k + 1);
        [batch, config.critic.channels << k, (FRAMES / 2) >> k, s, s]
    })
}

fn append_label(clips: &Tensor, one_hot: &Tensor) -> Result<Tensor> {
    let (batch, _, t, h, w) = clips.dims5()?;
    let classes = one_hot.dim(1)?;
    let volume = one_hot.reshape((batch, classes, 1, 1, 1))?.broadcast_as((batch, classes, t, h, w))?;
    Ok(Tensor::cat(&[clips, &volume.contiguous()?], 1)?)
}
