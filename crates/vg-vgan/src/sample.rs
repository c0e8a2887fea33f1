//! Sampling with running statistics.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{Error, Pixels, Result, Rng};

use crate::classifier::Classifier;
use crate::config::{Config, Variant};
use crate::generator::{Generator, Streams};
use crate::mixture::Mixture;
use crate::train::draw_z;

/// Clips that are made together. Single ones would stream all weights through the caches each, which takes twice the time; a group that
/// is not full is filled up, because a convolution's sums are rounded otherwise for another number of clips.
const AT_ONCE: usize = 8;

/// What a sampler has.
enum Networks {
    /// z from a normal distribution, or a picture.
    Generator(Generator),
    /// z from the mixture.
    Decoder(Generator, Mixture),
    /// No clips at all.
    Classifier(Classifier),
}

/// Networks that sample; the classifier classifies. Batch norms use their running statistics, as the official scripts do.
pub struct VganSampler {
    config: Config,
    networks: Networks,
    init: Init,
}

impl VganSampler {
    /// A sampler over published or saved weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor, [`Error::Config`] for a configuration that does
    /// not make sense.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        config.validate()?;
        let mut tensors = weights.tensors().clone();
        let mixture = match config.variant {
            Variant::Autoencoder => {
                let dim = config.generator.z_dim;
                Some(Mixture::take(&mut tensors, &config.mixture, dim, weights.source())?)
            }
            _ => None,
        };
        let store = ParamStore::load(tensors, weights.source(), init.dtype, &init.device)?
            .precision(config.train.precision);
        let source = store.source();
        let networks = match (config.variant, mixture) {
            (Variant::Classifier, _) => {
                Networks::Classifier(Classifier::new(&source.pp("classifier"), config)?)
            }
            (_, Some(mixture)) => {
                Networks::Decoder(Generator::new(&source.pp("generator"), config)?, mixture)
            }
            (_, None) => Networks::Generator(Generator::new(&source.pp("generator"), config)?),
        };
        store.finish()?;
        Ok(Self { config: config.clone(), networks, init: init.clone() })
    }

    /// A sampler over a network that may still be trained: its clones share their weights.
    fn over(config: &Config, networks: Networks, init: &Init) -> Self {
        Self { config: config.clone(), networks, init: init.clone() }
    }

    pub(crate) fn of_generator(config: &Config, generator: &Generator, init: &Init) -> Self {
        Self::over(config, Networks::Generator(generator.clone()), init)
    }

    pub(crate) fn of_mixture(config: &Config, decoder: &Generator, mixture: Mixture, init: &Init) -> Self {
        Self::over(config, Networks::Decoder(decoder.clone(), mixture), init)
    }

    pub(crate) fn of_classifier(config: &Config, classifier: &Classifier, init: &Init) -> Self {
        Self::over(config, Networks::Classifier(classifier.clone()), init)
    }

    /// Logits `[B, classes]` of clips `[B, 3, T, H, W]`, in the classifier variant.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in the other variants, [`Error::Shape`] for clips of another size.
    pub fn classify(&self, clips: &Tensor) -> Result<Tensor> {
        match &self.networks {
            Networks::Classifier(classifier) => classifier.classify(&clips.to_dtype(self.init.dtype)?),
            _ => Err(Error::Unsupported(
                "this VGAN makes clips; only the classifier variant classifies".into(),
            )),
        }
    }

    /// What a clip is made of, z `[1, z_dim]` or the given frame.
    fn source(&self, seed: u64, frame: Option<Tensor>) -> Result<Tensor> {
        let (rng, init, dim) = (Rng::new(seed), &self.init, self.config.generator.z_dim);
        match (&self.networks, frame) {
            (Networks::Generator(_), Some(frame)) => Ok(frame),
            (Networks::Generator(_), None) => draw_z(&rng, 1, dim, init.dtype, &init.device),
            (Networks::Decoder(_, mixture), _) => {
                let z = Tensor::from_vec(mixture.draw(&mut rng.stream("z")), (1, dim), &init.device)?;
                Ok(z.to_dtype(init.dtype)?)
            }
            (Networks::Classifier(_), _) => Err(no_clips()),
        }
    }

    /// Clips and their parts, of one to [`AT_ONCE`] sources.
    fn streams(&self, sources: &[Tensor]) -> Result<Streams> {
        let generator = match &self.networks {
            Networks::Generator(generator) | Networks::Decoder(generator, _) => generator,
            Networks::Classifier(_) => return Err(no_clips()),
        };
        let filled: Vec<&Tensor> = sources.iter().chain(sources.last()).collect();
        let filled: Vec<&Tensor> = (0..AT_ONCE).map(|k| filled[k.min(sources.len())]).collect();
        let made = generator.forward(&Tensor::cat(&filled, 0)?, Mode::EVAL)?;
        Ok(made.first(sources.len())?.detach())
    }

    /// The given frame of each clip, `[1, 3, H, W]`; `None` for variants that take none.
    fn given(&self, request: &SampleRequest, spec: &SampleSpec) -> Result<Vec<Option<Tensor>>> {
        if spec.context_frames == 0 {
            return Ok(vec![None; request.seeds.len()]);
        }
        let frame =
            |t: Tensor| Ok(Some(t.squeeze(2)?.to_device(&self.init.device)?.to_dtype(self.init.dtype)?));
        request.contexts(spec)?.into_iter().map(frame).collect()
    }

    /// All clips with their parts, in groups.
    fn all(&self, request: &SampleRequest) -> Result<Vec<Streams>> {
        if matches!(self.networks, Networks::Classifier(_)) {
            return Err(no_clips());
        }
        let spec = self.spec();
        if let Some(frames) = request.frames.filter(|frames| *frames != spec.clip.frames) {
            let problem = format!("this VGAN makes clips of {} frames, not {frames}", spec.clip.frames);
            return Err(Error::Unsupported(problem));
        }
        request.check(&spec, self.controls())?;
        let given = self.given(request, &spec)?;
        let sources = request.seeds.iter().zip(given).map(|(seed, frame)| self.source(*seed, frame));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        sources.chunks(AT_ONCE).map(|group| self.streams(group)).collect()
    }
}

fn no_clips() -> Error {
    Error::Unsupported("a classifier makes no clips; use `VganSampler::classify`".into())
}

impl Sampler for VganSampler {
    fn spec(&self) -> SampleSpec {
        let is = |variant| self.config.variant == variant;
        SampleSpec {
            clip: self.config.clip_spec(),
            pixels: Pixels::Symmetric,
            max_frames: if is(Variant::Classifier) { 0 } else { self.config.clip.frames },
            classes: if is(Variant::Classifier) { self.config.classifier.classes } else { 0 },
            context_frames: usize::from(is(Variant::Conditional)),
            maps: Vec::new(),
        }
    }

    /// Clips are made in groups of a fixed size, so that memory does not grow with their number and each is the same bit for bit in any
    /// company.
    /// Their length is fixed. The conditional variant is deterministic: a seed changes nothing but which frame is taken.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        joined(self.all(request)?.into_iter().map(|s| s.video), Pixels::Symmetric)
    }

    /// Beside the clips `foreground`, `mask`, `masked-foreground` and `background` (one frame), of the variants with two streams.
    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        let streams = self.all(request)?;
        let mut parts = BTreeMap::new();
        let found: Vec<_> = streams.iter().filter_map(|s| s.parts.as_ref()).collect();
        if !found.is_empty() {
            let all = |f: &dyn Fn(&crate::Parts) -> Result<Tensor>, pixels| -> Result<Clips> {
                joined(found.iter().map(|p| f(p)).collect::<Result<Vec<_>>>()?, pixels)
            };
            parts.insert("foreground", all(&|p| Ok(p.foreground.clone()), Pixels::Symmetric)?);
            parts.insert("mask", all(&|p| Ok(p.mask.clone()), Pixels::Unit)?);
            let masked = |p: &crate::Parts| Ok(p.foreground.broadcast_mul(&p.mask)?);
            parts.insert("masked-foreground", all(&masked, Pixels::Symmetric)?);
            parts.insert("background", all(&|p| Ok(p.background.unsqueeze(2)?), Pixels::Symmetric)?);
        }
        Ok((joined(streams.into_iter().map(|s| s.video), Pixels::Symmetric)?, parts))
    }
}

fn joined(clips: impl IntoIterator<Item = Tensor>, pixels: Pixels) -> Result<Clips> {
    let f32s = clips.into_iter().map(|t| Ok(t.detach().to_dtype(DType::F32)?)).collect::<Result<Vec<_>>>()?;
    Ok(Clips { tensor: Tensor::cat(&f32s, 0)?, pixels })
}
