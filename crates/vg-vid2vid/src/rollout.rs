//! Frames generated one after the other, at all scales.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::join;

use crate::config::Config;
use crate::generator::{Generated, Generator, Prepared};
use crate::layers::Run;
use crate::source::{foreground, pyramid};

/// The last frames of every level, finest level first; in each the oldest first.
pub type Past = Vec<Vec<Tensor>>;

/// Generated frames.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What the finest generator made, by time step.
    pub finest: Vec<Generated>,
    /// Frames of every level by time step, finest level first.
    pub levels: Vec<Vec<Tensor>>,
    /// The frames that the next ones look back at, outside of any graph.
    pub past: Past,
}

/// How frames are generated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nothing is warped: there were no frames before.
    pub raw_only: bool,
    /// Steps after which gradients stop going back in time.
    pub backprop: usize,
    /// Only the finest generator gets gradients.
    pub finest_only: bool,
}

/// Frames for `maps` `[B, C, H, W]`, which begin with those of the frames before: one for each of the others.
///
/// Source: paper, section 3.1, equation 4; official code, `generate_frame_train`. At the start of every `backprop` steps the frames that a step
/// looks back at are cut out of the graph, as there; later steps may look back at older frames that are not.
///
/// # Errors
/// [`vg_core::Error::Shape`] when sizes do not fit.
pub fn rollout(
    generators: &[Generator],
    config: &Config,
    maps: &[Tensor],
    past: &Past,
    options: Options,
    run: Run,
) -> Result<Rollout> {
    let (window, scales) = (config.generator.frames, generators.len());
    let steps = (maps.len() + 1).saturating_sub(window);
    let levels = by_level(maps, scales)?;
    let prepared = prepare(generators, config, &levels, steps, options, run)?;
    let mut frames = past.clone();
    let mut finest = Vec::with_capacity(steps);
    for t in 0..steps {
        let mut below: Option<Generated> = None;
        for (scale, generator) in generators.iter().enumerate() {
            let level = scales - 1 - scale;
            let (fixed, own) = of_scale(level, options, run);
            let back = Tensor::cat(&frames[level][t..], 1)?;
            let back = if fixed || t % options.backprop == 0 { back.detach() } else { back };
            let front = foreground(&levels[level][t + window - 1], config)?;
            let prepared = &prepared[scale][t];
            let made =
                generator.step(prepared, &back, front.as_ref(), below.as_ref(), options.raw_only, own)?;
            let made = if fixed { made.detach() } else { made };
            frames[level].push(made.frame.clone());
            below = Some(made);
        }
        finest.extend(below);
    }
    let last = |level: &Vec<Tensor>| level[level.len() + 1 - window..].iter().map(Tensor::detach).collect();
    let past = frames.iter().map(last).collect();
    let levels = frames.into_iter().map(|mut level| level.split_off(window - 1)).collect();
    Ok(Rollout { finest, levels, past })
}

/// Whether a level's generator stays as it is, and how it is run.
fn of_scale(level: usize, options: Options, run: Run) -> (bool, Run) {
    let fixed = options.finest_only && level > 0;
    (fixed, if fixed { run.frozen() } else { run })
}

/// Maps of every level, finest first, by frame.
fn by_level(maps: &[Tensor], scales: usize) -> Result<Vec<Vec<Tensor>>> {
    let mut levels = vec![Vec::with_capacity(maps.len()); scales];
    for map in maps {
        for (level, map) in levels.iter_mut().zip(pyramid(map, scales)?) {
            level.push(map);
        }
    }
    Ok(levels)
}

/// What the maps alone decide, by scale and time step.
fn prepare(
    generators: &[Generator],
    config: &Config,
    levels: &[Vec<Tensor>],
    steps: usize,
    options: Options,
    run: Run,
) -> Result<Vec<Vec<Prepared>>> {
    let mut all: Vec<Vec<Prepared>> = Vec::with_capacity(generators.len());
    for (scale, generator) in generators.iter().enumerate() {
        let level = generators.len() - 1 - scale;
        let (fixed, own) = of_scale(level, options, run);
        let of = |t: usize| Ok(Tensor::cat(&levels[level][t..t + config.generator.frames], 1)?);
        let windows = join(&(0..steps).map(of).collect::<Result<Vec<_>>>()?)?;
        let windows = if fixed { windows.detach() } else { windows };
        let coarse: &[Prepared] = all.last().map_or(&[], |coarse| &coarse[..]);
        let made = generator.prepare(&windows, steps, coarse, own)?;
        all.push(if fixed { made.iter().map(Prepared::detach).collect() } else { made });
    }
    Ok(all)
}
