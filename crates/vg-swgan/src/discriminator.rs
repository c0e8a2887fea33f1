//! The trunk of the discriminator of clips, the "critic": features of clips, and the adjoint of that map.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{ParamSource, Weights};
use vg_core::ops::channel::channel_shift;
use vg_core::ops::linear::linear;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::upsample::{Interpolation, upsample_by};

use crate::config::Config;
use crate::deviation::{self, Deviation};
use crate::features::Features;
use crate::kernel::Resampling;
use crate::layers::{Conv, EqualLinear, Kind, LEAKY, Map};
use crate::sizes::{SMALLEST, split, time_factor};

/// D: clips at the size of a level of detail to features `[B, features]`.
///
/// Source: specification, sections 2.2 and 2.4.
pub struct Trunk {
    levels: usize,
    group: usize,
    /// From colours, of stages 2 and up.
    colours: Vec<Conv>,
    /// Plain and reducing layer of stages 3 and up.
    blocks: Vec<[Conv; 2]>,
    conv: Conv,
    dense: EqualLinear,
}

impl Trunk {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, levels) = (source.pp("trunk"), config.levels());
        let point = |r: usize| {
            let name = source.pp(format!("FromRGB_lod{}", levels - r));
            Conv::point(&name, config.clip.channels, config.channels(r), 2f64.sqrt())
        };
        let block = |r: usize| -> Result<_> {
            let place = source.pp(format!("{0}x{0}", 1 << r));
            let (n, below) = (config.channels(r), config.channels(r - 1));
            let down = Kind {
                resampling: Resampling::Down { time: time_factor(r) == 2 },
                strict: config.networks.strict_reference,
                ..Kind::PLAIN
            };
            Ok([
                Conv::cube(&place.pp("Conv0"), n, n, Kind::PLAIN)?,
                Conv::cube(&place.pp("Conv1_down"), n, below, down)?,
            ])
        };
        let (n, last, features) = (config.channels(SMALLEST), source.pp("4x4"), config.networks.features);
        Ok(Self {
            levels,
            group: config.networks.stddev_group,
            colours: (SMALLEST..=levels).map(point).collect::<Result<_>>()?,
            blocks: (SMALLEST + 1..=levels).map(block).collect::<Result<_>>()?,
            conv: Conv::cube(&last.pp("Conv"), n + 1, n, Kind::PLAIN)?,
            dense: EqualLinear::new(&last.pp("Dense0"), 64 * n, features, features, 2f64.sqrt())?,
        })
    }

    /// The network at a level of detail, its weights scaled once for any number of passes.
    pub fn at(&self, lod: f64, weights: Weights) -> Result<TrunkAt> {
        let (first, fade) = split(self.levels, lod);
        let colour = |r: usize| self.colours[r - SMALLEST].prepare(weights);
        let blocks = self.blocks[..first - SMALLEST].iter().rev();
        Ok(TrunkAt {
            first,
            fade,
            group: self.group,
            colour: colour(first)?,
            small: if fade > 0.0 { Some(colour(first - 1)?) } else { None },
            blocks: blocks
                .map(|[a, b]| Ok([a.prepare(weights)?, b.prepare(weights)?]))
                .collect::<Result<_>>()?,
            conv: self.conv.prepare(weights)?,
            dense: self.dense.scaled(weights)?,
            bias: weights.see(&self.dense.bias),
        })
    }
}

/// A [`Trunk`] at a level of detail.
pub struct TrunkAt {
    /// r of the clips.
    first: usize,
    fade: f64,
    group: usize,
    colour: Map,
    /// From the colours of the size below, in a fade.
    small: Option<Map>,
    /// From the largest size down.
    blocks: Vec<[Map; 2]>,
    conv: Map,
    dense: Tensor,
    bias: Tensor,
}

/// The activations of a pass, as far as its adjoint needs them.
pub struct Pass {
    colour: Tensor,
    small: Option<Tensor>,
    blocks: Vec<[Tensor; 2]>,
    deviation: Deviation,
    conv: Tensor,
    features: Tensor,
}

impl TrunkAt {
    fn factors(&self) -> [usize; 3] {
        [time_factor(self.first), 2, 2]
    }
}

impl Features for TrunkAt {
    type Pass = Pass;

    fn forward(&self, clips: &Tensor) -> Result<(Tensor, Pass)> {
        let colour = self.colour.forward(clips, LEAKY)?;
        let mut small = None;
        let (mut x, mut blocks) = (colour.clone(), Vec::with_capacity(self.blocks.len()));
        for (k, [plain, down]) in self.blocks.iter().enumerate() {
            let a = plain.forward(&x, LEAKY)?;
            let b = down.forward(&a, LEAKY)?;
            x = b.clone();
            blocks.push([a, b]);
            if let Some(layer) = self.small.as_ref().filter(|_| k == 0) {
                let low = layer.forward(&avg_pool(clips, &PoolParams::per_axis(self.factors()))?, LEAKY)?;
                x = ((x * (1.0 - self.fade))? + (&low * self.fade)?)?;
                small = Some(low);
            }
        }
        let (x, deviation) = deviation::append(&x, self.group)?;
        let conv = self.conv.forward(&x, LEAKY)?;
        let features = channel_shift(&linear(&conv.flatten_from(1)?, &self.dense, None)?, &self.bias)?;
        let features = LEAKY.apply(&features)?;
        let pass = Pass { colour, small, blocks, deviation, conv, features: features.clone() };
        Ok((features, pass))
    }

    fn adjoint(&self, pass: &Pass, grad: &Tensor) -> Result<Tensor> {
        let g = LEAKY.gradient(&pass.features, grad)?;
        let g = linear(&g, &self.dense.t()?.contiguous()?, None)?.reshape(pass.conv.dims())?;
        let g = self.conv.adjoint(&LEAKY.gradient(&pass.conv, &g)?)?;
        let mut g = pass.deviation.adjoint(&g)?;
        let mut below = None;
        for (k, ([plain, down], [a, b])) in self.blocks.iter().zip(&pass.blocks).enumerate().rev() {
            if let (0, Some(layer), Some(low)) = (k, &self.small, &pass.small) {
                let low = layer.adjoint(&LEAKY.gradient(low, &(&g * self.fade)?)?)?;
                let share = 1.0 / self.factors().iter().product::<usize>() as f64;
                let spread = upsample_by(&low, &self.factors(), Interpolation::Nearest)?;
                below = Some((spread * share)?);
                g = (g * (1.0 - self.fade))?;
            }
            let h = down.adjoint(&LEAKY.gradient(b, &g)?)?;
            g = plain.adjoint(&LEAKY.gradient(a, &h)?)?;
        }
        let g = self.colour.adjoint(&LEAKY.gradient(&pass.colour, &g)?)?;
        Ok(match below {
            Some(below) => (g + below)?,
            None => g,
        })
    }
}
