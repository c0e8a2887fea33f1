//! Sampling frame by frame, in memory that does not grow.

use std::collections::{BTreeMap, VecDeque};

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::sample::{
    Clips, Controls, FrameStream, SampleRequest, SampleSpec, Sampler, StreamRequest, StreamedFrame,
};
use vg_core::{Error, Pixels, Result, expect_dims};

use crate::config::Config;
use crate::generator::Generated;
use crate::layers::Run;
use crate::networks::{Makers, lead_in};
use crate::picture;
use crate::rollout::{Options, Past, rollout};
use crate::source;

/// Most frames of a clip that is asked for at once; streams have no end.
const MAX_FRAMES: usize = 4096;

/// Generators that sample.
pub struct Vid2vidSampler {
    config: Config,
    makers: Makers,
    init: Init,
}

impl Vid2vidSampler {
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
        let store = store.precision(config.train.precision);
        let makers = Makers::new(&store.source(), config)?;
        store.finish()?;
        Ok(Self { config: config.clone(), makers, init: init.clone() })
    }

    /// Frames that a clip begins with.
    fn given(&self) -> usize {
        if self.config.starts_from_nothing() { 0 } else { self.config.past() }
    }

    /// Frames from maps, one after the other; `given` are the frames before the first, `[1, 3, n, H, W]`, for models that start from some.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for missing given frames or such that the model does not take, [`Error::Shape`] for another size.
    pub fn start(&self, given: Option<&Tensor>) -> Result<Vid2vidStream<'_>> {
        let (frames, h, w) = (self.given(), self.config.clip.height, self.config.clip.width);
        let given = match given {
            Some(_) if frames == 0 => {
                let problem = "this model starts from nothing and was not trained to go on from given frames; leave them out";
                return Err(Error::Unsupported(problem.into()));
            }
            Some(given) => {
                expect_dims!("context", given.dims(), [1, 3, (frames), (h), (w)])?;
                (0..frames).map(|t| self.own(&source::frame(given, t)?)).collect::<Result<Vec<_>>>()?
            }
            None if frames == 0 => {
                let black = Tensor::zeros((1, 3, h, w), self.init.dtype, &self.init.device)?;
                vec![black; self.config.past()]
            }
            None => {
                let problem = format!("this model goes on from {frames} given frames; give some (`context`)");
                return Err(Error::Unsupported(problem));
            }
        };
        Ok(Vid2vidStream {
            sampler: self,
            past: lead_in(&given, &self.config)?,
            window: VecDeque::new(),
            made: 0,
        })
    }

    fn own(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(&self.init.device)?.to_dtype(self.init.dtype)?)
    }

    /// Source channels of one frame from its maps `[1, C', H, W]`.
    fn source(&self, maps: &BTreeMap<String, Tensor>) -> Result<Tensor> {
        let clip = |(name, map): (&String, &Tensor)| Ok((name.clone(), map.unsqueeze(2)?));
        let maps = maps.iter().map(clip).collect::<Result<BTreeMap<_, _>>>()?;
        let own = source::source(&maps, 1, 1, &self.config, self.init.dtype)?.remove(0);
        let own = own.to_device(&self.init.device)?;
        match self.config.features.channels {
            0 => Ok(own),
            // Instances without features of their own.
            n => {
                let (h, w) = (self.config.clip.height, self.config.clip.width);
                let none = Tensor::zeros((1, n, h, w), self.init.dtype, &self.init.device)?;
                Ok(Tensor::cat(&[own, none], 1)?)
            }
        }
    }

    /// Maps of a clip, frame by frame.
    fn maps_of(
        &self,
        request: &SampleRequest,
        clip: usize,
        frames: usize,
    ) -> Result<Vec<BTreeMap<String, Tensor>>> {
        let mut all = vec![BTreeMap::new(); frames];
        for name in self.config.map_names() {
            let Some(map) = request.maps.get(&name) else {
                let problem = format!("this model makes frames from maps; give {name:?} for every clip");
                return Err(Error::Unsupported(problem));
            };
            let found = map.dims().get(2).copied().unwrap_or(0);
            if map.rank() != 5 || found < frames {
                let expected = format!("[1 or B, C, at least {frames}, H, W]");
                return Err(Error::shape("maps of clips to sample", expected, map.dims()));
            }
            let (given, clips) = (map.dim(0)?, request.seeds.len());
            if given != 1 && given != clips {
                let problem = format!("{name:?} of {given} clips for {clips} clips; give 1 or {clips}");
                return Err(Error::Unsupported(problem));
            }
            let own = map.narrow(0, if given == 1 { 0 } else { clip }, 1)?;
            for (t, maps) in all.iter_mut().enumerate() {
                maps.insert(name.clone(), source::frame(&own, t)?);
            }
        }
        Ok(all)
    }

    /// Frames of every clip of a request: for each of its maps what `of` makes of them, or of a given frame; nothing adds the given frame alone.
    fn clips(
        &self,
        request: &SampleRequest,
        of: impl Fn(
            &mut Vid2vidStream<'_>,
            Option<&Tensor>,
            &BTreeMap<String, Tensor>,
        ) -> Result<Option<Vec<Tensor>>>,
    ) -> Result<Vec<Vec<Tensor>>> {
        let (spec, frames, given) = (self.spec(), self.frames(request)?, self.given());
        let asked = SampleRequest { frames: Some(frames), maps: BTreeMap::new(), ..request.clone() };
        asked.check(&spec, Controls::default())?;
        if given == 0 && request.context.is_some() {
            self.start(request.context.as_ref())?;
        }
        let contexts: Vec<Option<Tensor>> = match given {
            0 => vec![None; request.seeds.len()],
            _ => request.contexts(&spec)?.into_iter().map(Some).collect(),
        };
        let mut clips = Vec::with_capacity(contexts.len());
        for (k, context) in contexts.iter().enumerate() {
            let mut stream = self.start(context.as_ref())?;
            let mut made: Vec<Vec<Tensor>> = Vec::new();
            for (t, maps) in self.maps_of(request, k, frames)?.into_iter().enumerate() {
                let own = match context {
                    Some(context) if t < given => Some(source::frame(context, t)?.to_dtype(DType::F32)?),
                    _ => None,
                };
                let parts =
                    of(&mut stream, own.as_ref(), &maps)?.unwrap_or_else(|| own.into_iter().collect());
                made.resize(parts.len(), Vec::new());
                made.iter_mut().zip(parts).for_each(|(clip, part)| clip.push(part));
            }
            clips.push(made.iter().map(|frames| Ok(Tensor::stack(frames, 2)?)).collect::<Result<_>>()?);
        }
        Ok(clips)
    }

    /// Frames of a request: as many as it asks for, or has maps of.
    fn frames(&self, request: &SampleRequest) -> Result<usize> {
        let name = &self.config.map_names()[0];
        let there = request.maps.get(name).and_then(|map| map.dims().get(2).copied());
        let request = SampleRequest { frames: request.frames.or(there), ..SampleRequest::default() };
        let frames = request.frames_for(&self.spec())?;
        let given = self.given();
        if frames <= given {
            return Err(Error::Unsupported(format!(
                "a clip of {frames} frames holds none but the {given} given ones; ask for at least {}",
                given + 1
            )));
        }
        Ok(frames)
    }
}

/// Frames from maps, one after the other.
pub struct Vid2vidStream<'a> {
    sampler: &'a Vid2vidSampler,
    past: Past,
    window: VecDeque<Tensor>,
    /// Frames whose maps were seen.
    made: usize,
}

impl Vid2vidStream<'_> {
    /// What the finest generator makes of the next frame's source channels `[1, C, H, W]`; nothing for those of given frames.
    ///
    /// A model that starts from nothing sees the first maps as those of the frames before, too: the official code makes no frame for them.
    ///
    /// # Errors
    /// [`Error::Shape`] for another size.
    pub fn generate(&mut self, source: &Tensor) -> Result<Option<Generated>> {
        let sampler = self.sampler;
        let config = &sampler.config;
        if self.window.is_empty() && config.starts_from_nothing() {
            self.window.extend(std::iter::repeat_n(source.clone(), config.past()));
        }
        self.window.push_back(source.clone());
        self.made += 1;
        if self.window.len() < config.generator.frames {
            return Ok(None);
        }
        let maps: Vec<Tensor> = self.window.iter().cloned().collect();
        let raw_only = self.made == 1 && config.starts_from_nothing();
        let options = Options { raw_only, backprop: 1, finest_only: false };
        let mut made = rollout(&sampler.makers.generators, config, &maps, &self.past, options, Run::SAMPLE)?;
        self.past = made.past;
        self.window.pop_front();
        Ok(made.finest.pop())
    }
}

impl FrameStream for Vid2vidStream<'_> {
    fn next(&mut self, maps: &BTreeMap<String, Tensor>) -> Result<Option<StreamedFrame>> {
        let source = self.sampler.source(maps)?;
        let Some(made) = self.generate(&source)? else { return Ok(None) };
        let plain = |t: &Tensor| -> Result<Tensor> { Ok(t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?) };
        let mut parts = BTreeMap::from([("raw", plain(&made.raw)?)]);
        for (name, part) in [("flow", &made.flow), ("mask", &made.mask), ("warped", &made.warped)] {
            if let Some(part) = part {
                parts.insert(name, plain(part)?);
            }
        }
        Ok(Some(StreamedFrame { frame: plain(&made.frame)?, parts }))
    }
}

/// Names of the pictures that a frame was made of, in the order of making.
const PARTS: [&str; 5] = ["maps", "flow", "warped", "raw", "mask"];

impl Sampler for Vid2vidSampler {
    fn spec(&self) -> SampleSpec {
        SampleSpec {
            clip: self.config.clip_spec(),
            pixels: Pixels::Symmetric,
            max_frames: MAX_FRAMES,
            classes: 0,
            context_frames: self.given(),
            maps: self.config.map_names(),
        }
    }

    /// Nothing in a clip is drawn.
    fn varies(&self) -> bool {
        false
    }

    fn stream(&self, request: &StreamRequest) -> Result<Box<dyn FrameStream + '_>> {
        Ok(Box::new(self.start(request.context.as_ref())?))
    }

    /// Clips that follow their maps, with their given frames in front where the model goes on from some: one frame for each of the maps, which
    /// are those of the given frames too.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let clips =
            self.clips(request, |stream, _, maps| Ok(stream.next(maps)?.map(|made| vec![made.frame])))?;
        let clips = clips.into_iter().map(|mut clip| clip.remove(0)).collect::<Vec<_>>();
        Ok(Clips { tensor: Tensor::cat(&clips, 0)?, pixels: Pixels::Symmetric })
    }

    /// Clips, and pictures of their maps, flow, warped frame before, frame without warping and mask. Where there is nothing of these, in given
    /// frames and where nothing is warped, pictures are black.
    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        let (first, labels) = (self.config.map_names().remove(0), self.config.maps.classes > 0);
        let clips = self.clips(request, |stream, given, maps| {
            let shown = maps.get(&first).map(|map| picture::maps(map, labels)).transpose()?;
            let made = stream.next(maps)?;
            let black = (given
                .unwrap_or(&Tensor::zeros(
                    (1, 3, self.config.clip.height, self.config.clip.width),
                    DType::F32,
                    &Device::Cpu,
                )?)
                .zeros_like()?
                - 1.0)?;
            let part = |name: &str| -> Result<Tensor> {
                let own = made.as_ref().and_then(|made| made.parts.get(name));
                match (name, own) {
                    ("maps", _) => Ok(shown.clone().unwrap_or_else(|| black.clone())),
                    ("flow", Some(flow)) => picture::flow(flow),
                    ("mask", Some(mask)) => picture::mask(mask),
                    (_, Some(own)) => Ok(own.clone()),
                    (_, None) => Ok(black.clone()),
                }
            };
            let frame = made.as_ref().map(|made| made.frame.clone()).or_else(|| given.cloned());
            let parts = PARTS.iter().map(|name| part(name)).collect::<Result<Vec<_>>>()?;
            Ok(Some(frame.into_iter().chain(parts).collect()))
        })?;
        let stacked = |part: usize| -> Result<Clips> {
            let all: Vec<Tensor> = clips.iter().map(|clip| clip[part].clone()).collect();
            Ok(Clips { tensor: Tensor::cat(&all, 0)?, pixels: Pixels::Symmetric })
        };
        let parts = PARTS.iter().enumerate().map(|(k, name)| Ok((*name, stacked(k + 1)?)));
        Ok((stacked(0)?, parts.collect::<Result<_>>()?))
    }
}
