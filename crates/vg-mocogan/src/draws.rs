//! The random numbers of a training step.

use candle_core::{DType, Device, Tensor};
use vg_core::rng::Stream;
use vg_core::{Result, Rng};

use crate::config::{Config, Train};
use crate::generator::Start;
use crate::noise::Noise;

/// Random numbers of a batch of generated videos, of which some frames are decoded.
#[derive(Clone, Debug)]
pub struct Latents {
    /// What each video starts from. Drawn also where an encoder takes its place, so that all other numbers stay the same.
    pub start: Start,
    /// Noise that drives the motion network, `[B, K, motion]`.
    pub noise: Tensor,
    /// Classes, `[B]` u32; absent without classes.
    pub classes: Option<Tensor>,
    /// The first frame of each video that is decoded.
    pub first: Vec<u32>,
}

impl Latents {
    /// Draws `n` videos, and where in each a window of `window` frames begins: uniform over the places where it fits.
    fn new(
        config: &Config,
        n: usize,
        window: usize,
        rng: &Rng,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut places = rng.stream("window");
        let lengths: Vec<usize> = (0..n).map(|_| length(config, &mut places)).collect();
        let first = lengths.iter().map(|k| places.below(k + 1 - window) as u32).collect();
        let steps = lengths.into_iter().max().unwrap_or(config.clip.frames);
        let normal = |name: &str, dims: &[usize]| rng.stream(name).normal_tensor(dims, dtype, device);
        let (count, size) = (config.categories.count, config.latent.motion);
        Ok(Self {
            start: Start {
                content: normal("content", &[n, config.latent.content])?,
                state: normal("state", &[n, size])?,
            },
            noise: normal("noise", &[n, steps, size])?,
            classes: (count > 0)
                .then(|| draw_classes(n, count, &mut rng.stream("class"), device))
                .transpose()?,
            first,
        })
    }
}

/// Length of a generated video: `clip.frames`, or one of `train.lengths` with its weight.
fn length(config: &Config, stream: &mut Stream) -> usize {
    let Train { lengths, length_weights, .. } = &config.train;
    let mut left = stream.unit() * length_weights.iter().sum::<f64>();
    let chosen = lengths.iter().zip(length_weights).find(|(_, weight)| {
        left -= **weight;
        left < 0.0
    });
    chosen.map(|(length, _)| *length).or(lengths.last().copied()).unwrap_or(config.clip.frames)
}

fn draw_classes(n: usize, count: usize, stream: &mut Stream, device: &Device) -> Result<Tensor> {
    let classes: Vec<u32> = (0..n).map(|_| stream.below(count) as u32).collect();
    Ok(Tensor::from_vec(classes, n, device)?)
}

/// All random numbers of one step: four generated batches, and the noise of each of the six passes of a discriminator.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Frames for the image discriminator's update.
    pub d_image: Latents,
    /// Clips for the video discriminator's update.
    pub d_video: Latents,
    /// Frames for the generator's update.
    pub g_image: Latents,
    /// Clips for the generator's update.
    pub g_video: Latents,
    /// Noise of the image discriminator on real frames, on generated ones, and in the generator's update.
    pub image_noise: [Noise; 3],
    /// Noise of the video discriminator, likewise.
    pub video_noise: [Noise; 3],
}

impl Draws {
    /// Draws for a step of `config`.
    pub fn new(config: &Config, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let frames =
            |name: &str| Latents::new(config, config.images(), 1, &rng.child(name, 0), dtype, device);
        let (batch, window) = (config.train.batch, config.clip.frames);
        let clips = |name: &str| Latents::new(config, batch, window, &rng.child(name, 0), dtype, device);
        let noise = |name: &str| {
            [0, 1, 2].map(|pass| match config.discriminator.noise > 0.0 {
                true => Noise::Streams(rng.child(name, pass)),
                false => Noise::Off,
            })
        };
        Ok(Self {
            d_image: frames("d_image")?,
            d_video: clips("d_video")?,
            g_image: frames("g_image")?,
            g_video: clips("g_video")?,
            image_noise: noise("image noise"),
            video_noise: noise("video noise"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn lengths_follow_their_weights_and_windows_fit() {
        let mut config = Config::preset("tiny").unwrap();
        config.train.lengths = vec![16, 20, 30];
        config.train.length_weights = vec![1.0, 0.0, 3.0];
        config.validate().unwrap();
        let mut stream = Rng::new(1).stream("x");
        let drawn: Vec<usize> = (0..4000).map(|_| length(&config, &mut stream)).collect();
        let share = |n| drawn.iter().filter(|k| **k == n).count() as f64 / 4000.0;
        assert_eq!(share(20), 0.0);
        assert!((share(16) - 0.25).abs() < 0.03 && (share(30) - 0.75).abs() < 0.03);

        config.train.batch = 400;
        let latents = Draws::new(&config, &Rng::new(2), DType::F32, &Device::Cpu).unwrap().d_video;
        assert_eq!(latents.noise.dims(), [400, 30, 4]);
        let (low, high) = (latents.first.iter().min().unwrap(), latents.first.iter().max().unwrap());
        assert_eq!((*low, *high), (0, 14));
    }

    #[test]
    fn frames_are_drawn_from_the_whole_video() {
        let mut config = Config::preset("tiny").unwrap();
        config.train.image_batch = 400;
        let draws = Draws::new(&config, &Rng::new(2), DType::F32, &Device::Cpu).unwrap();
        let seen: std::collections::BTreeSet<u32> = draws.d_image.first.iter().copied().collect();
        assert_eq!(seen, (0..16).collect());
        assert_ne!(draws.d_image.first, draws.g_image.first);
    }
}
