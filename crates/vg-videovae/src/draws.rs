//! The random numbers of a training step, and the labels that it takes.

use candle_core::{DType, Device, Tensor};
use vg_core::batch::CLIP_NUMBER;
use vg_core::{Batch, Result, Rng};

use crate::config::Config;

/// Share of the channels that are dropped behind the encoder's convolutions.
const DROPPED: f64 = 0.5;

/// All random numbers of one step of the VideoVAE.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Standard normal, `[T, B, latent]`.
    pub eps: Tensor,
    /// For joint training, which channels of the encoder's last feature map are kept: 0 or 1, `[T, B, C']`.
    pub keep: Option<Tensor>,
}

impl Draws {
    /// Draws for a step of `config`.
    ///
    /// # Errors
    /// Those of the tensors.
    pub fn new(config: &Config, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let (frames, batch) = (config.clip.frames, config.train.batch);
        let eps =
            rng.stream("latent").normal_tensor((frames, batch, config.networks.latent), dtype, device)?;
        let joint = config.train.train_encoder;
        let draw = || {
            let channels = config.networks.channels[3];
            draw_keep(frames * batch, channels, rng, dtype, device)?
                .reshape((frames, batch, channels))
                .map_err(vg_core::Error::from)
        };
        Ok(Self { eps, keep: joint.then(draw).transpose()? })
    }
}

/// Which channels are kept, 0 or 1: `[n, channels]`.
pub(crate) fn draw_keep(
    n: usize,
    channels: usize,
    rng: &Rng,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let mut stream = rng.stream("dropout");
    let keep: Vec<f32> = (0..n * channels).map(|_| if stream.unit() < DROPPED { 0.0 } else { 1.0 }).collect();
    Ok(Tensor::from_vec(keep, (n, channels), device)?.to_dtype(dtype)?)
}

/// Labels of a batch, where it has some.
#[derive(Clone, Debug)]
pub struct Supervision {
    /// For each label group, one label a clip; those of clips without are not to be looked at.
    pub labels: Vec<Vec<u32>>,
    /// Which clips have labels.
    pub labelled: Vec<bool>,
}

impl Supervision {
    /// The labels of a batch; with `attributes.labelled_fraction` below 1, of the clips that are chosen by their numbers.
    ///
    /// # Errors
    /// [`vg_core::Error::Data`] for a batch without labels of the groups, or without numbers of its clips.
    pub fn of(config: &Config, batch: &Batch) -> Result<Self> {
        let (a, clips) = (&config.attributes, batch.clips.dim(0)?);
        let read = |group: &str| Ok(batch.label(group)?.to_vec1::<u32>()?);
        let share = a.labelled_fraction;
        if share <= 0.0 {
            return Ok(Self { labels: vec![vec![0; clips]; a.names.len()], labelled: vec![false; clips] });
        }
        let root = Rng::new(a.labelled_seed);
        let chosen = |clip: u32| root.child("labelled", clip.into()).stream("draw").unit() < share;
        let labelled = if share < 1.0 {
            read(CLIP_NUMBER)?.into_iter().map(chosen).collect()
        } else {
            vec![true; clips]
        };
        Ok(Self { labels: a.names.iter().map(|name| read(name)).collect::<Result<_>>()?, labelled })
    }

    /// Numbers of the clips with labels.
    pub fn rows(&self) -> Vec<u32> {
        (0..).zip(&self.labelled).filter(|(_, labelled)| **labelled).map(|(row, _)| row).collect()
    }
}

/// Label groups that a batch must have for [`Supervision::of`].
pub(crate) fn label_groups(config: &Config) -> Vec<String> {
    let a = &config.attributes;
    let number = (a.labelled_fraction < 1.0).then(|| CLIP_NUMBER.to_owned());
    if a.labelled_fraction <= 0.0 { Vec::new() } else { a.names.iter().cloned().chain(number).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn half_of_the_channels_are_kept() {
        let keep = draw_keep(64, 80, &Rng::new(1), DType::F32, &Device::Cpu).unwrap();
        let mean = keep.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }

    #[test]
    fn a_clip_is_labelled_whenever_it_is_drawn() {
        let mut config = Config::preset("tiny").unwrap();
        config.attributes.labelled_fraction = 0.2;
        let names = config.attributes.names.clone();
        let of = |clips: Vec<u32>| {
            let n = clips.len();
            let mut batch =
                Batch::of_clips(Tensor::zeros((n, 1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap());
            let numbers = Tensor::new(clips, &Device::Cpu).unwrap();
            batch.labels.extend(names.iter().map(|name| (name.clone(), numbers.zeros_like().unwrap())));
            batch.labels.insert(CLIP_NUMBER.into(), numbers);
            Supervision::of(&config, &batch).unwrap().labelled
        };
        let all = of((0..2000).collect());
        let share = all.iter().filter(|l| **l).count() as f64 / 2000.0;
        assert!((share - 0.2).abs() < 0.03, "{share}");
        let back = of((0..2000).rev().collect());
        assert!(all.iter().eq(back.iter().rev()));
        assert_eq!(label_groups(&config).last().map(String::as_str), Some(CLIP_NUMBER));
        config.attributes.labelled_fraction = 1.0;
        assert_eq!(label_groups(&config), config.attributes.names);
        config.attributes.labelled_fraction = 0.0;
        assert!(label_groups(&config).is_empty());
    }
}
