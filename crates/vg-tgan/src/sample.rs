//! Sampling with running statistics.

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::loss::one_hot;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{Pixels, Result, Rng};

use crate::config::{Config, FRAMES, GeneratorKind};
use crate::generator::Generator;
use crate::latent::draw_z0;
use crate::train::with_label;

/// Most frames that one clip is interpolated to.
const MAX_FRAMES: usize = 1024;

enum Networks<'a> {
    Owned(Generator),
    Borrowed(&'a Generator),
}

/// Generators that sample. Batch norms use their running statistics, as the official `infer.py` does.
pub struct TganSampler<'a> {
    config: Config,
    networks: Networks<'a>,
    init: Init,
}

impl TganSampler<'static> {
    /// A sampler over published or saved weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?
            .precision(config.train.precision);
        let generator = Generator::new(&store.source(), config)?;
        store.finish()?;
        Ok(Self { config: config.clone(), networks: Networks::Owned(generator), init: init.clone() })
    }
}

impl<'a> TganSampler<'a> {
    pub(crate) fn borrowed(config: &Config, generator: &'a Generator, init: &Init) -> Self {
        Self { config: config.clone(), networks: Networks::Borrowed(generator), init: init.clone() }
    }

    fn generator(&self) -> &Generator {
        match &self.networks {
            Networks::Owned(g) => g,
            Networks::Borrowed(g) => g,
        }
    }

    /// One clip `[1, C, frames, H, W]`.
    fn clip(&self, seed: u64, class: Option<usize>, frames: usize) -> Result<Tensor> {
        let (rng, init) = (Rng::new(seed), &self.init);
        let z0 = draw_z0(&mut rng.stream("z0"), 1, self.config.generator.z0_dim, init.dtype, &init.device)?;
        let label = if self.config.classes > 0 {
            let class = class.unwrap_or_else(|| rng.stream("class").below(self.config.classes));
            let class = Tensor::new(&[class as u32], &init.device)?;
            Some(one_hot(&class, self.config.classes, init.dtype)?)
        } else {
            None
        };
        self.generator().forward(&with_label(&z0, label.as_ref())?, frames, Mode::EVAL)
    }
}

impl Sampler for TganSampler<'_> {
    fn spec(&self) -> SampleSpec {
        let fixed_length = self.config.generator.kind == GeneratorKind::Volume;
        SampleSpec {
            clip: self.config.clip_spec(),
            pixels: Pixels::Centered128,
            max_frames: if fixed_length { FRAMES } else { MAX_FRAMES },
            classes: self.config.classes,
            context_frames: 0,
            maps: Vec::new(),
        }
    }

    /// Clips of any length: other lengths than 16 interpolate the frame latents in time (the paper's frame interpolation).
    ///
    /// Clips are made one by one, so that memory does not grow with their number and each is the same bit for bit in any company.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let spec = self.spec();
        request.check(&spec, self.controls())?;
        let (frames, classes) = (request.frames_for(&spec)?, request.classes_for(&spec)?);
        let clip = |(seed, class): (&u64, Option<usize>)| -> Result<Tensor> {
            Ok(self.clip(*seed, class, frames)?.detach().to_dtype(DType::F32)?)
        };
        let clips = request.seeds.iter().zip(classes).map(clip).collect::<Result<Vec<_>>>()?;
        Ok(Clips { tensor: Tensor::cat(&clips, 0)?, pixels: spec.pixels })
    }
}
