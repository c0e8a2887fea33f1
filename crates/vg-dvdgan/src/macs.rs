//! Products of a forward pass, counted as the networks are written in the paper.
//!
//! This implementation makes fewer: it moves means and 1x1 convolutions to where they cost less.

use vg_core::Result;
use vg_core::config::ModelConfig;

use crate::config::Config;

/// Multiplications with additions of one forward pass. Norms, the maps to them and the discriminators'
/// heads are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macs {
    /// The generator, a frame: everything but its first layer.
    pub generator_frame: u64,
    /// The generator's first layer, once a clip.
    pub generator_clip: u64,
    /// D_S, a frame; with its attention.
    pub spatial_frame: u64,
    /// D_T, a clip; with its attention.
    pub temporal_clip: u64,
    /// The stack for given frames, a clip; 0 without.
    pub condition_clip: u64,
}

/// Counts the products of a configuration's networks.
///
/// # Errors
/// [`vg_core::Error::Config`] for a configuration that does not make sense.
pub fn macs(config: &Config) -> Result<Macs> {
    config.validate()?;
    let widths: Vec<u64> = config.generator_widths().into_iter().map(|w| w as u64).collect();
    let discriminator: Vec<u64> = config.discriminator_widths().into_iter().map(|w| w as u64).collect();
    let (side, frames) = (config.clip.side as u64, config.clip.frames as u64);
    Ok(Macs {
        generator_frame: generator_frame(config, &widths),
        generator_clip: config.condition() as u64 * 16 * widths[0],
        spatial_frame: judge(&discriminator, [1, side, side], 0)
            + attention(config, &config.discriminator.spatial_attention, 0, config.clip.side),
        temporal_clip: judge(&discriminator, [frames, side / 2, side / 2], 2)
            + temporal_attention(config) * (frames / 4),
        condition_clip: condition_clip(config, &widths, &discriminator),
    })
}

fn generator_frame(config: &Config, widths: &[u64]) -> u64 {
    let stage = |s: usize| {
        let (c, next, area) = (widths[s], widths[s + 1], 16u64 << (2 * s));
        let gru = if config.is_recurrent(s) { 3 * 9 * 2 * c * c * area } else { 0 };
        let extra = if config.generator.always_project_skip { c * c * area } else { 0 };
        let block_a = 2 * 9 * c * c * area + extra;
        let block_b = (9 * c * next + 9 * next * next + c * next) * 4 * area;
        gru + block_a + block_b
    };
    let output =
        9 * widths[widths.len() - 1] * (config.clip.channels * config.clip.side * config.clip.side) as u64;
    (0..config.stages()).map(stage).sum::<u64>() + output
}

/// Blocks of a discriminator from an input of `[T, H, W]`; the first `volumes` of them have three dimensions. The 1x1 convolution of the
/// first block stands behind its pool, those of the others before.
fn judge(widths: &[u64], input: [u64; 3], volumes: usize) -> u64 {
    let [mut t, mut h, mut w] = input;
    let last = widths.len() - 2;
    let mut total = 0;
    for block in 0..=last {
        let (inputs, outputs) = (widths[block], widths[block + 1]);
        let kernel = if block < volumes { 27 } else { 9 };
        total += kernel * (inputs * outputs + outputs * outputs) * t * h * w;
        let before = t * h * w;
        if block < last {
            (h, w) = (h / 2, w / 2);
            t = if block < volumes { t / 2 } else { t };
        }
        let projects = block < last || inputs != outputs;
        let positions = if block == 0 { t * h * w } else { before };
        total += if projects { inputs * outputs * positions } else { 0 };
    }
    total
}

/// Attention of a frame behind the blocks from `first` on.
fn attention(config: &Config, sides: &[usize], first: usize, input: usize) -> u64 {
    let widths = config.discriminator_widths();
    let at = (first..config.stages()).filter(|block| sides.contains(&(input >> (block + 1))));
    at.map(|block| {
        let (c, n) = (widths[block + 1] as u64, (input >> (block + 1)).pow(2) as u64);
        let maps = (c * (c / 8) * 2 + c * (c / 2) * 2) * n;
        maps + n * (n / 4) * (c / 8 + c / 2)
    })
    .sum()
}

fn temporal_attention(config: &Config) -> u64 {
    attention(config, &config.discriminator.temporal_attention, 1, config.clip.side / 2)
}

fn condition_clip(config: &Config, generator: &[u64], widths: &[u64]) -> u64 {
    let given = config.clip.given as u64;
    if given == 0 {
        return 0;
    }
    let (stages, side) = (config.stages(), config.clip.side as u64);
    // As D_S without its last block and head.
    let mut total = 0;
    for block in 0..stages {
        let (inputs, outputs, area) = (widths[block], widths[block + 1], (side >> block).pow(2));
        let projected = if block == 0 { area / 4 } else { area };
        total += given * (9 * (inputs * outputs + outputs * outputs) * area + inputs * outputs * projected);
    }
    let kernel = if config.is_recurrent(1) { 9 } else { 1 };
    let convs = (0..stages).filter(|s| config.is_recurrent(*s));
    total + convs.map(|s| kernel * given * widths[stages - s] * generator[s] * (16 << (2 * s))).sum::<u64>()
}
