//! What futures are scored by.

use std::path::Path;

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use vg_core::Pixels;
use vg_metrics::similarity::{Psnr, Ssim};
use vg_metrics::{Better, FeatureNetwork, Image, protocol, weights};

use super::Task;

/// Learned distances, each of which counts where its weights are.
const LEARNED: [&str; 3] = ["lpips-alex", "lpips-vgg", "st-lpips"];

/// A similarity or distance of frames.
pub(super) struct Metric {
    pub name: &'static str,
    pub better: Better,
    kind: Kind,
}

enum Kind {
    Psnr,
    Ssim(Ssim),
    Learned(FeatureNetwork),
}

impl Metric {
    /// All metrics: those that need no weights, and those whose weights lie in `folder`.
    ///
    /// # Errors
    /// Those of damaged weights.
    pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let plain = |name, kind| Self { name, better: Better::Higher, kind };
        let mut all = vec![
            plain("psnr", Kind::Psnr),
            plain("ssim", Kind::Ssim(Ssim::FINN)),
            plain("ssim-svg", Kind::Ssim(Ssim::SVG)),
        ];
        for name in LEARNED {
            let protocol = protocol(name)?;
            let files = protocol.network.and_then(|network| network.weights()).unwrap_or_default();
            if !files.iter().all(|file| weights::is_present(*file, folder)) {
                continue;
            }
            let network = FeatureNetwork::open(protocol, folder)?;
            all.extend(network.map(|n| Self { name, better: protocol.better, kind: Kind::Learned(n) }));
        }
        Ok(all)
    }

    /// A value for each predicted frame.
    ///
    /// # Errors
    /// Those of the metric, of sizes that it does not take.
    pub(super) fn values(&self, truth: &Future, made: &Future) -> vg_metrics::Result<Vec<f64>> {
        let each = |value: &(dyn Fn(&Image, &Image) -> vg_metrics::Result<f64> + Sync)| {
            truth.images.par_iter().zip(&made.images).map(|(a, b)| value(a, b)).collect()
        };
        match &self.kind {
            Kind::Psnr => each(&|a, b| Psnr::Channel.value(a, b, 1.0)),
            Kind::Ssim(ssim) => each(&|a, b| ssim.value(a, b)),
            Kind::Learned(network) => {
                network.distances(&truth.bytes("the truth")?, &made.bytes("the future")?)
            }
        }
    }
}

/// The predicted frames of a clip.
pub(super) struct Future {
    /// In [0, 1] and not rounded to bytes, as in the official code.
    images: Vec<Image>,
    /// The same as bytes `[T, H, W, C]`, for networks.
    bytes: Vec<u8>,
    dims: [usize; 4],
}

impl Future {
    /// Those of clip `number` of `[B, C, T, H, W]`.
    pub(super) fn of(clips: &Tensor, number: usize, task: &Task) -> anyhow::Result<Self> {
        let (c, h, w) = (task.clip.channels, task.clip.height, task.clip.width);
        let t = task.clip.frames - task.past;
        let clip = clips.get(number)?.narrow(1, task.past, t)?;
        let unit = match task.pixels {
            Pixels::Unit => clip.to_dtype(DType::F64)?,
            Pixels::Symmetric => clip.to_dtype(DType::F64)?.affine(0.5, 0.5)?,
            Pixels::Centered128 => clip.to_dtype(DType::F64)?.affine(128.0 / 255.0, 128.0 / 255.0)?,
        };
        let image =
            |t: usize| Ok(Image::new([c, h, w], unit.narrow(1, t, 1)?.flatten_all()?.to_vec1::<f64>()?)?);
        let network_values =
            clip.permute((1, 2, 3, 0))?.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        Ok(Self {
            images: (0..t).map(image).collect::<anyhow::Result<_>>()?,
            bytes: network_values.into_iter().map(|v| task.pixels.encode(v)).collect(),
            dims: [t, h, w, c],
        })
    }

    fn bytes<'a>(&'a self, name: &'a str) -> vg_metrics::Result<vg_metrics::Frames<'a>> {
        vg_metrics::Frames::new(name, &self.bytes, self.dims)
    }
}
