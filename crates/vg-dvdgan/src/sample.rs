//! Sampling with standing or running statistics.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::ops::fold::{fold_frames, unfold_frames};
use vg_core::sample::{Attribute, Clips, Controls, Groups, Noise, Rows, SampleRequest, SampleSpec, Sampler};
use vg_core::{Error, Pixels, Result};

use crate::config::Config;
use crate::generator::Generator;
use crate::layers::Run;
use crate::standing::standing;

/// Most frames of a clip from a generator that makes its statistics for them.
const MAX_FRAMES: usize = 256;
/// Clips of a group: all frames of one go through the convolutions together, so that more clips gain little.
const AT_ONCE: usize = 1;

/// A generator that samples.
pub struct DvdganSampler {
    config: Config,
    store: ParamStore,
    generator: Generator,
    /// With the statistics of the last request's noise and number of frames.
    standing: RefCell<Option<(usize, Noise, Generator)>>,
    init: Init,
}

impl DvdganSampler {
    /// A sampler over saved weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor, [`Error::Config`] for a configuration that does
    /// not make sense.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        Self::over(config, weights.tensors().clone(), weights.source(), init)
    }

    /// A sampler over copies of tensors; `what` names them in messages.
    pub(crate) fn over(
        config: &Config,
        tensors: BTreeMap<String, Tensor>,
        what: &str,
        init: &Init,
    ) -> Result<Self> {
        config.validate()?;
        let store = ParamStore::load(tensors, what, init.dtype, &init.device)?;
        let generator = Generator::new(&store.source(), config)?;
        store.finish()?;
        let (config, init) = (config.clone(), init.clone());
        Ok(Self { config, store, generator, standing: RefCell::default(), init })
    }

    /// Whether statistics are made for each kind of noise.
    fn stands(&self) -> bool {
        self.config.sample.standing_batches > 0
    }

    /// Runs `f` with the generator for clips of `frames` generated frames: the one with running statistics has one length.
    fn with_generator<R>(
        &self,
        frames: usize,
        noise: Noise,
        f: impl FnOnce(&Generator) -> Result<R>,
    ) -> Result<R> {
        if !self.stands() {
            return f(&self.generator);
        }
        let mut slot = self.standing.borrow_mut();
        let made = match slot.take() {
            Some(made) if (made.0, made.1) == (frames, noise) => made,
            _ => {
                let tensors = self.store.tensors("");
                (frames, noise, standing(&self.config, &tensors, frames, noise, &self.init)?)
            }
        };
        f(&slot.insert(made).2)
    }

    /// Noise of clip `k`, `[1, noise]`.
    fn noise(&self, request: &SampleRequest, k: usize) -> Result<Tensor> {
        let mut stream = request.rng("noise", k).stream("z");
        let Init { dtype, device, .. } = &self.init;
        request.noise.tensor(&mut stream, &[1, self.config.latent.noise], *dtype, device)
    }

    /// The class of clip `k`; label groups that are left open are drawn.
    fn class(&self, request: &SampleRequest, k: usize, asked: &[Option<usize>]) -> usize {
        let rng = request.rng("class", k);
        let groups = self.config.groups();
        let of = |(asked, group): (&Option<usize>, &Attribute)| {
            asked.unwrap_or_else(|| rng.stream(&group.name).below(group.classes))
        };
        self.config.classes.joint(asked.iter().zip(&groups).map(of))
    }

    /// The frames of a group of clips, `[n, C, T, H, W]`.
    fn group(&self, generator: &Generator, wish: &Wish<'_>, rows: &Rows) -> Result<Tensor> {
        let z = rows.indices().map(|k| self.noise(wish.request, k)).collect::<Result<Vec<_>>>()?;
        let classes: Vec<usize> = rows.indices().map(|k| wish.classes[k]).collect();
        let given = match &wish.given {
            Some(given) => Some(fold_frames(&rows.take(given, 0)?)?),
            None => None,
        };
        let run = Run::eval();
        let (z, embedding) = (Tensor::cat(&z, 0)?, generator.embed(&classes, run.mode)?);
        let frames = generator.forward(&z, &embedding, given.as_ref(), run)?;
        Ok(unfold_frames(&frames, wish.generated)?.to_dtype(DType::F32)?)
    }
}

/// What a request asks for, resolved.
struct Wish<'a> {
    request: &'a SampleRequest,
    classes: Vec<usize>,
    /// `[B, C, n, H, W]`.
    given: Option<Tensor>,
    /// Frames that the generator makes.
    generated: usize,
}

impl Sampler for DvdganSampler {
    fn spec(&self) -> SampleSpec {
        let clip = self.config.clip_spec();
        SampleSpec {
            clip,
            pixels: Pixels::Symmetric,
            max_frames: if self.stands() { MAX_FRAMES.max(clip.frames) } else { clip.frames },
            classes: self.config.classes.counts.first().copied().unwrap_or(0),
            context_frames: self.config.clip.given,
            maps: Vec::new(),
        }
    }

    fn controls(&self) -> Controls {
        let streams: &[&str] =
            if self.config.classes.groups.is_empty() { &["noise"] } else { &["noise", "class"] };
        Controls { streams, noise: true, ..Controls::default() }
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.config.groups()
    }

    fn context_range(&self) -> RangeInclusive<usize> {
        let given = self.config.clip.given;
        given..=given
    }

    /// Clips, with their given frames in front where the model takes some. Shorter clips are the beginnings of whole ones; longer ones can
    /// be made with standing statistics, which are then those of their own length.
    ///
    /// With standing statistics, those of the noise that is asked for. A clip is the same bit for bit in any company.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let (spec, groups, given) = (self.spec(), self.attributes(), self.config.clip.given);
        request.check_with(&spec, self.controls(), &groups)?;
        let frames = request.frames_for(&spec)?;
        if frames <= given {
            return Err(Error::Unsupported(format!(
                "a clip of {frames} frames holds none but the {given} given ones; ask for at least {}",
                given + 1
            )));
        }
        let asked = request.attributes_for(&spec, &groups)?;
        let context = if given > 0 { Some(Tensor::cat(&request.contexts(&spec)?, 0)?) } else { None };
        let convert = |c: &Tensor| c.to_device(&self.init.device)?.to_dtype(self.init.dtype);
        let generated = self.config.generated().max(frames - given);
        let wish = Wish {
            request,
            classes: asked.iter().enumerate().map(|(k, asked)| self.class(request, k, asked)).collect(),
            given: context.as_ref().map(convert).transpose()?,
            generated,
        };
        let all = Groups::new(AT_ONCE, request.seeds.len());
        let made = self.with_generator(generated, request.noise, |generator| {
            all.map(|rows| self.group(generator, &wish, rows))
        })?;
        let made = made.narrow(2, 0, frames - given)?.contiguous()?;
        let tensor = match context {
            Some(context) => {
                Tensor::cat(&[context.to_device(made.device())?.to_dtype(DType::F32)?, made], 2)?
            }
            None => made,
        };
        Ok(Clips { tensor, pixels: spec.pixels })
    }
}
