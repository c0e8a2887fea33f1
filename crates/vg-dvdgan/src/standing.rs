//! Standing statistics: those of many batches of noise, in place of running averages.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::Noise;
use vg_core::{Result, Rng};

use crate::config::Config;
use crate::generator::Generator;
use crate::layers::Run;

/// Seed of the noise; the same for every generator, so that clips depend on their own seeds alone.
const SEED: u64 = 0x5747_a7d1;

/// A generator over copies of `tensors` that makes clips of `frames` frames, with the statistics of `sample.standing_batches` batches of
/// fresh noise and classes in training mode: plain averages, as the power iterations go on.
///
/// Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019, appendix E, and its PyTorch code.
pub(crate) fn standing(
    config: &Config,
    tensors: &BTreeMap<String, Tensor>,
    frames: usize,
    noise: Noise,
    init: &Init,
) -> Result<Generator> {
    let mut config = config.clone();
    config.clip.frames = frames;
    let fresh = |(name, tensor): (&String, &Tensor)| {
        let statistic = name.ends_with(".mean") || name.ends_with(".var");
        let tensor = match tensor.dims() {
            // Those of other frames are not there yet; all are replaced by the first batch.
            [_, channels] if statistic => Tensor::zeros((frames, *channels), DType::F32, &init.device)?,
            _ => tensor.clone(),
        };
        Ok((name.clone(), tensor))
    };
    let tensors = tensors.iter().map(fresh).collect::<Result<_>>()?;
    let store = ParamStore::load(tensors, "the generator that samples", init.dtype, &init.device)?;
    let generator = Generator::new(&store.source(), &config)?;
    for batch in 1..=config.sample.standing_batches {
        let rng = Rng::new(SEED).child("batch", batch as u64);
        let (clips, width) = (config.sample.standing_clips, config.latent.noise);
        let z = noise.tensor(&mut rng.stream("z"), &[clips, width], init.dtype, &init.device)?;
        let mut stream = rng.stream("classes");
        let classes: Vec<usize> = (0..clips).map(|_| stream.below(config.class_count())).collect();
        pass(&generator, &z, &classes, None, batch)?;
    }
    Ok(generator)
}

/// Takes the statistics of batch `number`, counted from 1, into plain averages.
pub(crate) fn pass(
    generator: &Generator,
    z: &Tensor,
    classes: &[usize],
    given: Option<&Tensor>,
    number: usize,
) -> Result<()> {
    let run = Run { mode: Mode::TRAIN.frozen(), share: 1.0 / number as f64 };
    generator.forward(z, &generator.embed(classes, run.mode)?, given, run)?;
    Ok(())
}
