//! The random numbers of a training step.

use candle_core::{DType, Device, Tensor};
use vg_core::rng::Stream;
use vg_core::train::Part;
use vg_core::{Result, Rng};

use crate::config::Config;

/// Random numbers of one update.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Noise of the generated clips, `[B, noise]`, standard normal.
    pub z: Tensor,
    /// Classes of the generated clips.
    pub classes: Vec<usize>,
    /// Frames of each real clip that D_S sees, ascending, counted from the first that is not given; clip after clip.
    pub real_frames: Vec<usize>,
    /// The same of the generated clips.
    pub fake_frames: Vec<usize>,
}

impl Draw {
    fn new(config: &Config, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let batch = config.train.batch;
        let (count, mut classes) = (config.class_count(), rng.stream("classes"));
        Ok(Self {
            z: rng.stream("z").normal_tensor((batch, config.latent.noise), dtype, device)?,
            classes: (0..batch).map(|_| classes.below(count)).collect(),
            real_frames: frames(config, &mut rng.stream("real frames")),
            fake_frames: frames(config, &mut rng.stream("fake frames")),
        })
    }
}

/// `discriminator.frames` different frames for each clip of a batch.
fn frames(config: &Config, stream: &mut Stream) -> Vec<usize> {
    let of_clip = |_| {
        let mut chosen = stream.permutation(config.generated());
        chosen.truncate(config.discriminator.frames);
        chosen.sort_unstable();
        chosen
    };
    (0..config.train.batch).flat_map(of_clip).collect()
}

impl Draw {
    /// The random numbers of some clips of the update.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when these are those of another number of clips.
    pub(crate) fn part(&self, part: Part) -> Result<Self> {
        let frames = |all: &[usize]| {
            let each = all.len() / part.of.max(1);
            all[part.start * each..][..part.len * each].to_vec()
        };
        Ok(Self {
            z: part.narrow(&self.z, 0)?,
            classes: self.classes[part.start..][..part.len].to_vec(),
            real_frames: frames(&self.real_frames),
            fake_frames: frames(&self.fake_frames),
        })
    }
}

/// All random numbers of one step.
#[derive(Clone, Debug)]
pub struct Draws {
    /// One for each update of the discriminators.
    pub discriminators: Vec<Draw>,
    /// Of the generator's update, whose real frames are not used.
    pub generator: Draw,
}

impl Draws {
    /// Draws for a step of `config`.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] when tensors of that size cannot be made.
    pub fn new(config: &Config, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let draw = |name: &str, k: usize| Draw::new(config, &rng.child(name, k as u64), dtype, device);
        Ok(Self {
            discriminators: (0..config.train.d_steps)
                .map(|k| draw("discriminators", k))
                .collect::<Result<_>>()?,
            generator: draw("generator", 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn frames_are_different_ascending_and_from_all_that_are_generated() {
        let mut config = Config::preset("tiny").unwrap();
        config.train.batch = 500;
        config.clip.given = 1;
        let draws = Draws::new(&config, &Rng::new(1), DType::F32, &Device::Cpu).unwrap();
        let [first, second] = &draws.discriminators[..] else { panic!("two updates") };
        assert_ne!(first.real_frames, second.real_frames);
        assert_ne!(first.real_frames, first.fake_frames);
        assert_ne!(first.classes, draws.generator.classes);
        let mut seen = [0; 4];
        for clip in first.real_frames.chunks_exact(2) {
            assert!(clip[0] < clip[1]);
            clip.iter().for_each(|frame| seen[*frame] += 1);
        }
        assert!(seen.iter().all(|n| (200..300).contains(n)), "{seen:?}");
        assert_eq!((first.fake_frames.len(), first.z.dims()), (1000, &[500, 5][..]));
    }
}
