//! Sampling with running statistics.

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::loss::one_hot;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::{ClassSwitch, Clips, Controls, SampleRequest, SampleSpec, Sampler};
use vg_core::{Error, Pixels, Result, expect_dims};

use crate::config::{Config, Task};
use crate::encoder::Encoder;
use crate::generator::{Generator, Start};
use crate::path::resample;
use crate::train::encoder;

/// Most frames of one clip.
const MAX_FRAMES: usize = 1024;
/// Frames that are decoded at once, so that memory does not grow with the length.
const AT_ONCE: usize = 16;
/// Random streams with seeds of their own.
const STREAMS: &[&str] = &["content", "motion", "class"];

enum Networks<'a> {
    Owned(Box<(Generator, Option<Encoder>)>),
    Borrowed(&'a Generator, Option<&'a Encoder>),
}

/// A generator that samples. Batch norms use their running statistics.
pub struct MocoganSampler<'a> {
    config: Config,
    networks: Networks<'a>,
    init: Init,
}

impl MocoganSampler<'static> {
    /// A sampler over saved weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?;
        let source = store.source();
        let networks = (Generator::new(&source, config)?, encoder(&source, config)?);
        store.finish()?;
        Ok(Self { config: config.clone(), networks: Networks::Owned(Box::new(networks)), init: init.clone() })
    }
}

/// What one clip is made of besides random numbers.
struct Wish {
    class: Option<usize>,
    switch: Option<ClassSwitch>,
    frames: usize,
    speed: f64,
}

impl<'a> MocoganSampler<'a> {
    pub(crate) fn borrowed(
        config: &Config,
        (generator, encoder): (&'a Generator, Option<&'a Encoder>),
        init: &Init,
    ) -> Self {
        Self { config: config.clone(), networks: Networks::Borrowed(generator, encoder), init: init.clone() }
    }

    fn generator(&self) -> &Generator {
        match &self.networks {
            Networks::Owned(both) => &both.0,
            Networks::Borrowed(generator, _) => generator,
        }
    }

    fn encoder(&self) -> Option<&Encoder> {
        match &self.networks {
            Networks::Owned(both) => both.1.as_ref(),
            Networks::Borrowed(_, encoder) => *encoder,
        }
    }

    /// Clip `k` of a request, `[1, C, frames, H, W]`.
    fn clip(&self, request: &SampleRequest, k: usize, wish: &Wish) -> Result<Tensor> {
        let steps = ((wish.frames - 1) as f64 * wish.speed).ceil() as usize + 1;
        let (motion, size) = (request.rng("motion", k), self.config.latent.motion);
        let noise =
            motion.stream("noise").normal_tensor((1, steps, size), self.init.dtype, &self.init.device)?;
        let categories = self.categories(request, k, wish, steps)?;
        let start = self.start(request, k)?;
        let codes = self.generator().codes(&start, &noise, categories.as_ref(), Mode::EVAL)?;
        self.decode(&resample(&codes, wish.frames, wish.speed)?)
    }

    fn decode(&self, codes: &Tensor) -> Result<Tensor> {
        let frames = codes.dim(1)?;
        let piece = |from: usize| {
            self.generator().decode(&codes.narrow(1, from, AT_ONCE.min(frames - from))?, Mode::EVAL)
        };
        let pieces = (0..frames).step_by(AT_ONCE).map(piece).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&pieces, 2)?)
    }

    /// Content and first state from noise, or from the given frame.
    fn start(&self, request: &SampleRequest, k: usize) -> Result<Start> {
        if let Some(encoder) = self.encoder() {
            return encoder.forward(&self.given(request, k)?, Mode::EVAL);
        }
        let normal = |stream: &str, name: &str, size: usize| {
            request.rng(stream, k).stream(name).normal_tensor((1, size), self.init.dtype, &self.init.device)
        };
        Ok(Start {
            content: normal("content", "content", self.config.latent.content)?,
            state: normal("motion", "state", self.config.latent.motion)?,
        })
    }

    /// The frame `[1, C, H, W]` that clip `k` starts from.
    fn given(&self, request: &SampleRequest, k: usize) -> Result<Tensor> {
        let context = request.context.as_ref().ok_or_else(|| {
            Error::Unsupported("this model continues a given frame; give one for every clip".into())
        })?;
        let (clips, side) = (request.seeds.len(), self.config.clip.side);
        let channels = self.config.clip.channels;
        expect_dims!("given frames", context.dims(), [B, (channels), 1, (side), (side)])?;
        let row = match context.dim(0)? {
            1 => 0,
            n if n == clips => k,
            n => {
                return Err(Error::Unsupported(format!(
                    "{n} given frames for {clips} clips; give 1 or {clips}"
                )));
            }
        };
        Ok(context.narrow(0, row, 1)?.squeeze(2)?.to_dtype(self.init.dtype)?.contiguous()?)
    }

    /// One-hot classes of every step of the path, `[1, steps, classes]`.
    fn categories(
        &self,
        request: &SampleRequest,
        k: usize,
        wish: &Wish,
        steps: usize,
    ) -> Result<Option<Tensor>> {
        let count = self.config.categories.count;
        if count == 0 {
            return Ok(None);
        }
        let class = wish.class.unwrap_or_else(|| request.rng("class", k).stream("class").below(count));
        let of = |step: usize| match wish.switch {
            Some(switch) if step as f64 >= switch.frame as f64 * wish.speed => switch.class as u32,
            _ => class as u32,
        };
        let classes = Tensor::from_iter((0..steps).map(of), &self.init.device)?;
        Ok(Some(one_hot(&classes, count, self.init.dtype)?.unsqueeze(0)?))
    }
}

impl Sampler for MocoganSampler<'_> {
    fn spec(&self) -> SampleSpec {
        SampleSpec {
            clip: self.config.clip_spec(),
            pixels: Pixels::Symmetric,
            max_frames: MAX_FRAMES,
            classes: self.config.categories.count,
            context_frames: usize::from(self.config.task == Task::ImageToVideo),
            maps: Vec::new(),
        }
    }

    fn controls(&self) -> Controls {
        Controls { streams: STREAMS, speed: true, switch: self.config.categories.count > 0 }
    }

    /// Clips of any length: the motion network goes on for as many steps as are asked for. With a speed, the path that it makes is
    /// resampled, linear between its codes.
    ///
    /// Clips are made one by one, so that memory does not grow with their number and each is the same bit for bit in any company.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let spec = self.spec();
        request.check(&spec, self.controls())?;
        let (frames, speed) = (request.frames_for(&spec)?, request.speed.unwrap_or(1.0));
        let mut clips = Vec::with_capacity(request.seeds.len());
        for (k, class) in request.classes_for(&spec)?.into_iter().enumerate() {
            let wish = Wish { class, switch: request.switch, frames, speed };
            clips.push(self.clip(request, k, &wish)?.detach().to_dtype(DType::F32)?);
        }
        Ok(Clips { tensor: Tensor::cat(&clips, 0)?, pixels: spec.pixels })
    }
}
