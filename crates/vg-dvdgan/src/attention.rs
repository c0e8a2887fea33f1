//! Self-attention, of single frames in the discriminators and of clips in the first version's generator.

use candle_core::{D, Tensor};
use vg_core::Result;
use vg_core::nn::{ConvConfig, Init, Mode, ParamSource, SpectralConv};
use vg_core::ops::attention::{attention, map_attention};
use vg_core::ops::channel::channel_scale;
use vg_core::ops::pool::{PoolParams, max_pool};

use crate::config::Config;
use crate::layers::{WEIGHTS, sum};

/// The four 1x1 maps and the factor that both kinds have.
#[derive(Clone, Debug)]
struct Maps {
    theta: SpectralConv<2>,
    phi: SpectralConv<2>,
    g: SpectralConv<2>,
    o: SpectralConv<2>,
    gamma: Tensor,
}

impl Maps {
    fn new(channels: usize, config: &Config, source: &ParamSource) -> Result<Self> {
        let map = |name: &str, inputs, outputs| {
            let settings = ConvConfig::new(1).no_bias().init(WEIGHTS, Init::Zeros);
            SpectralConv::new(inputs, outputs, settings, config.norm.spectral_eps, &source.pp(name))
        };
        Ok(Self {
            theta: map("theta", channels, channels / 8)?,
            phi: map("phi", channels, channels / 8)?,
            g: map("g", channels, channels / 2)?,
            o: map("o", channels / 2, channels)?,
            gamma: source.var("gamma", &[], Init::Zeros)?,
        })
    }

    /// `gamma o(mixed) + x`.
    fn add(&self, mixed: &Tensor, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let out = self.o.forward(mixed, mode)?;
        let gamma = mode.weights.see(&self.gamma).broadcast_as(x.dim(1)?)?.contiguous()?;
        sum(&channel_scale(&out, &gamma)?, x)
    }
}

/// Attention of a frame's positions to the maxima of 2x2 windows: `gamma o(softmax(theta(x) phi(x)^T) g(x)) + x`; `gamma` starts at 0.
///
/// Source: Zhang et al., "Self-Attention Generative Adversarial Networks", 2019, in the form of BigGAN's PyTorch code. Parameters
/// `theta.weight` and `phi.weight` `[C / 8, C, 1, 1]`, `g.weight` `[C / 2, C, 1, 1]`, `o.weight` `[C, C / 2, 1, 1]`, `gamma` `[]`.
#[derive(Clone, Debug)]
pub struct Attention(Maps);

impl Attention {
    /// A layer over the parameters of `source`, for a multiple of eight channels.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(channels: usize, config: &Config, source: &ParamSource) -> Result<Self> {
        Ok(Self(Maps::new(channels, config, source)?))
    }

    /// Frames `[N, C, H, W]` to the same shape.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for other channels or frames of less than 2x2.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let maps = &self.0;
        let flat = |x: &Tensor| x.flatten_from(2);
        let pooled = |conv: &SpectralConv<2>| -> Result<Tensor> {
            Ok(flat(&max_pool(&conv.forward(x, mode)?, &PoolParams::uniform(2, 2))?)?)
        };
        let query = flat(&maps.theta.forward(x, mode)?)?;
        let mixed = map_attention(&query, &pooled(&maps.phi)?, &pooled(&maps.g)?, 1.0)?;
        let (n, channels, height, width) = x.dims4()?;
        let mixed = mixed.reshape((n, channels / 2, height, width))?;
        maps.add(&mixed, x, mode)
    }
}

/// Which positions attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of a clip.
    Clip,
    /// Those of a column.
    Height,
    /// Those of a row.
    Width,
    /// Those of a pixel through time.
    Time,
}

impl Reach {
    /// Axes of `[B, T, C, H, W]` in an order in which the positions that attend to each other stand before the channels, and their number.
    fn order(self) -> ([usize; 5], usize) {
        match self {
            Self::Clip => ([0, 1, 3, 4, 2], 3),
            Self::Height => ([0, 1, 4, 3, 2], 1),
            Self::Width => ([0, 1, 3, 4, 2], 1),
            Self::Time => ([0, 3, 4, 1, 2], 1),
        }
    }
}

/// Attention within clips whose frames are rows, to all positions in reach, without pooling; else as [`Attention`], with the same
/// parameters.
///
/// Source: paper, version 1: full attention behind the recurrent unit, three separable ones, along H, W and T, before the last residual
/// block. The residual form is ours.
#[derive(Clone, Debug)]
pub struct FrameAttention {
    maps: Maps,
    reach: Reach,
}

impl FrameAttention {
    /// A layer over the parameters of `source`, for a multiple of eight channels.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(channels: usize, reach: Reach, config: &Config, source: &ParamSource) -> Result<Self> {
        Ok(Self { maps: Maps::new(channels, config, source)?, reach })
    }

    /// Rows `[B * T, C, H, W]` of `clips` clips to the same shape.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for other channels.
    pub fn forward(&self, x: &Tensor, clips: usize, mode: Mode) -> Result<Tensor> {
        let (rows, _, height, width) = x.dims4()?;
        let (order, reach) = self.reach.order();
        // [outer, positions, channels]
        let arranged = |conv: &SpectralConv<2>| -> Result<Tensor> {
            let y = conv.forward(x, mode)?;
            let channels = y.dim(1)?;
            let y =
                y.reshape((clips, rows / clips, channels, height, width))?.permute(order)?.contiguous()?;
            let positions: usize = y.dims()[4 - reach..4].iter().product();
            Ok(y.reshape((y.elem_count() / (positions * channels), positions, channels))?)
        };
        let [theta, phi, g] = [&self.maps.theta, &self.maps.phi, &self.maps.g].map(arranged);
        let mixed = attention(&theta?, &phi?, &g?, 1.0)?;
        let all = [clips, rows / clips, mixed.dim(D::Minus1)?, height, width];
        let mut back = [0; 5];
        order.iter().enumerate().for_each(|(place, axis)| back[*axis] = place);
        let mixed = mixed.reshape(&order.map(|axis| all[axis])[..])?.permute(back)?.contiguous()?;
        self.maps.add(&mixed.reshape((rows, all[2], height, width))?, x, mode)
    }
}
