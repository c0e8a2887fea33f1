//! Sampling with running statistics.

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::loss::one_hot;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::{Clips, Controls, SampleRequest, SampleSpec, Sampler};
use vg_core::{Pixels, Result};

use crate::config::{Config, Task};
use crate::encoder::Encoder;
use crate::generator::{Generator, Start};
use crate::path::resample;

/// Most frames of one clip.
const MAX_FRAMES: usize = 1024;
/// Frames that are decoded at once, so that memory does not grow with the length.
const AT_ONCE: usize = 16;
/// Where the time of a path is counted from: the step of frame `frame`, which may lie between two.
fn step_of(frame: usize, speed: f64) -> f64 {
    frame as f64 * speed
}

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
    /// [`vg_core::Error::Weights`] that lists every missing, unexpected or misshapen tensor, [`vg_core::Error::Config`] for a
    /// configuration that does not make sense.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        config.validate()?;
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?
            .precision(config.train.precision);
        let source = store.source();
        let networks = (Generator::new(&source, config)?, Encoder::of(&source, config)?);
        store.finish()?;
        Ok(Self { config: config.clone(), networks: Networks::Owned(Box::new(networks)), init: init.clone() })
    }
}

/// What one clip is made of besides random numbers.
struct Wish {
    /// Of its frames; none without classes.
    class: Option<usize>,
    /// Frames from which another class counts, ascending, with that class.
    switches: Vec<(usize, usize)>,
    frames: usize,
    speed: f64,
    /// The frame that it starts from, `[1, C, H, W]`; none where it starts from noise.
    given: Option<Tensor>,
}

impl Wish {
    /// Class of an output frame.
    fn class_at(&self, frame: usize) -> Option<usize> {
        let last = self.switches.iter().rev().find(|(from, _)| frame >= *from);
        last.map_or(self.class, |(_, class)| self.class.and(Some(*class)))
    }
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
        let start = self.start(request, k, wish)?;
        let motion = self.motion(request, k, wish, &start)?;
        // Classes are put beside the path after it was resampled: a frame has one class, never a share of two.
        let classes = self.one_hot((0..wish.frames).map(|frame| wish.class_at(frame)))?;
        self.decode(&self.generator().latents(&start.content, classes.as_ref(), &motion)?)
    }

    /// Motion codes of all frames, `[1, frames, motion]`.
    fn motion(&self, request: &SampleRequest, k: usize, wish: &Wish, start: &Start) -> Result<Tensor> {
        let steps = step_of(wish.frames - 1, wish.speed).ceil() as usize + 1;
        let (rng, size) = (request.rng("motion", k), self.config.latent.motion);
        let noise =
            rng.stream("noise").normal_tensor((1, steps, size), self.init.dtype, &self.init.device)?;
        let path = |class: &dyn Fn(usize) -> Option<usize>| {
            let classes = self.one_hot((0..steps).map(class))?;
            let path = self.generator().path(start, &noise, classes.as_ref(), Mode::EVAL)?;
            resample(&path, wish.frames, wish.speed)
        };
        let Some((first, _)) = wish.switches.first().filter(|_| self.config.class_to_motion()) else {
            return path(&|_| wish.class);
        };
        // Frames may lie between two steps. Those before a switch follow a path that knows nothing of it; the others one on which it has
        // happened at both of a frame's steps.
        let mut pieces = vec![path(&|_| wish.class)?.narrow(1, 0, *first)?];
        for (k, (frame, _)) in wish.switches.iter().enumerate() {
            let past =
                |(from, _): &&(usize, usize), step| step >= step_of(*from, wish.speed).floor() as usize;
            let class = |step| {
                let last = wish.switches[..=k].iter().rev().find(|switch| past(switch, step));
                last.map_or(wish.class, |(_, class)| Some(*class))
            };
            let end = wish.switches.get(k + 1).map_or(wish.frames, |(next, _)| *next);
            pieces.push(path(&class)?.narrow(1, *frame, end - frame)?);
        }
        Ok(Tensor::cat(&pieces, 1)?)
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
    fn start(&self, request: &SampleRequest, k: usize, wish: &Wish) -> Result<Start> {
        if let (Some(encoder), Some(given)) = (self.encoder(), &wish.given) {
            return encoder.forward(given, Mode::EVAL);
        }
        let normal = |stream: &str, name: &str, size: usize| {
            request.rng(stream, k).stream(name).normal_tensor((1, size), self.init.dtype, &self.init.device)
        };
        Ok(Start {
            content: normal("content", "content", self.config.latent.content)?,
            state: normal("motion", "state", self.config.latent.motion)?,
        })
    }

    /// The frame that each clip starts from; nothing for clips from noise.
    fn given(&self, request: &SampleRequest) -> Result<Vec<Option<Tensor>>> {
        if self.encoder().is_none() {
            return Ok(vec![None; request.seeds.len()]);
        }
        let frame =
            |t: Tensor| Ok(Some(t.squeeze(2)?.to_device(&self.init.device)?.to_dtype(self.init.dtype)?));
        request.contexts(&self.spec())?.into_iter().map(frame).collect()
    }

    /// The class of clip `k`, drawn where the request has none.
    fn class(&self, request: &SampleRequest, k: usize, asked: Option<usize>) -> Option<usize> {
        match self.config.categories.count {
            0 => None,
            n => Some(asked.unwrap_or_else(|| request.rng("class", k).stream("class").below(n))),
        }
    }

    /// One-hot classes in a row, `[1, n, classes]`; nothing without classes.
    fn one_hot(&self, classes: impl Iterator<Item = Option<usize>>) -> Result<Option<Tensor>> {
        let Some(classes) = classes.map(|c| c.map(|c| c as u32)).collect::<Option<Vec<u32>>>() else {
            return Ok(None);
        };
        let classes = Tensor::new(classes, &self.init.device)?;
        Ok(Some(one_hot(&classes, self.config.categories.count, self.init.dtype)?.unsqueeze(0)?))
    }

    /// Random streams that a clip reads, which may have seeds of their own.
    fn streams(&self) -> &'static [&'static str] {
        match (self.config.task, self.config.categories.count > 0) {
            (Task::Generate, true) => &["content", "motion", "class"],
            (Task::Generate, false) => &["content", "motion"],
            (Task::ImageToVideo, true) => &["motion", "class"],
            (Task::ImageToVideo, false) => &["motion"],
        }
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
        let switch = self.config.categories.count > 0;
        Controls { streams: self.streams(), speed: true, switch, ..Controls::default() }
    }

    /// Clips of any length: the motion network goes on for as many steps as are asked for. With a speed, the path that it makes is
    /// resampled, linear between its codes; content and class of a frame are not.
    ///
    /// Clips are made one by one, so that memory does not grow with their number and each is the same bit for bit in any company.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let spec = self.spec();
        request.check(&spec, self.controls())?;
        let (frames, speed) = (request.frames_for(&spec)?, request.speed.unwrap_or(1.0));
        let mut switches: Vec<_> = request.switches.iter().map(|s| (s.frame, s.class)).collect();
        switches.sort_unstable();
        let mut clips = Vec::with_capacity(request.seeds.len());
        let wishes = request.classes_for(&spec)?.into_iter().zip(self.given(request)?);
        for (k, (class, given)) in wishes.enumerate() {
            let class = self.class(request, k, class);
            let wish = Wish { class, switches: switches.clone(), frames, speed, given };
            clips.push(self.clip(request, k, &wish)?.detach().to_dtype(DType::F32)?);
        }
        Ok(Clips { tensor: Tensor::cat(&clips, 0)?, pixels: spec.pixels })
    }
}
