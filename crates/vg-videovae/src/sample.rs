//! Clips from attributes and given frames, and what clips show.

use std::ops::RangeInclusive;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::{Buffer, LstmState, Mode, ParamStore};
use vg_core::ops::attention::softmax;
use vg_core::sample::{Attribute, Clips, Controls, Groups, Rows, SampleRequest, SampleSpec, Sampler};
use vg_core::{ClipSpec, Error, Pixels, Result, expect_dims};

use crate::attributes::{AttributeNet, infer, joint, one_hot};
use crate::config::{Config, Variant};
use crate::encoder::Encoder;
use crate::evaluation::EvaluationClassifier;
use crate::networks::Networks;
use crate::rollout::{Rollout, rollout};
use crate::train::frequencies;
use crate::unroll::{encode, frames};

/// Most frames of one clip, with the given ones.
pub(crate) const MAX_FRAMES: usize = 1024;
/// Clips of a group: single ones would stream all weights through the caches each.
const AT_ONCE: usize = 16;

/// Networks that make clips, or tell what clips show.
pub struct VideovaeSampler {
    config: Config,
    networks: Kind,
    init: Init,
}

enum Kind {
    Video(Box<Networks>, Vec<Buffer>),
    Classifier(Box<(Encoder, AttributeNet)>),
    Evaluation(Box<EvaluationClassifier>),
}

impl VideovaeSampler {
    /// A sampler over saved weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor, [`Error::Config`] for a configuration that does
    /// not make sense.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        config.validate()?;
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?
            .precision(config.train.precision);
        let source = store.source();
        let networks = match config.variant {
            Variant::Video => {
                let networks = Networks::new(&source, config)?;
                Kind::Video(Box::new(networks), frequencies(&source, config)?)
            }
            Variant::Classifier => Kind::Classifier(Box::new((
                Encoder::new(&source, config)?,
                AttributeNet::new(&source, config)?,
            ))),
            Variant::EvaluationClassifier => {
                Kind::Evaluation(Box::new(EvaluationClassifier::new(&source, config)?))
            }
        };
        store.finish()?;
        Ok(Self { config: config.clone(), networks, init: init.clone() })
    }

    /// Over networks that may still be trained: clones share their weights.
    pub(crate) fn of_video(config: &Config, networks: &Networks, seen: &[Buffer], init: &Init) -> Self {
        Self::over(config, Kind::Video(Box::new(networks.clone()), seen.to_vec()), init)
    }

    pub(crate) fn of_classifier(config: &Config, encoder: &Encoder, net: &AttributeNet, init: &Init) -> Self {
        Self::over(config, Kind::Classifier(Box::new((encoder.clone(), net.clone()))), init)
    }

    pub(crate) fn of_evaluation(config: &Config, network: &EvaluationClassifier, init: &Init) -> Self {
        Self::over(config, Kind::Evaluation(Box::new(network.clone())), init)
    }

    fn over(config: &Config, networks: Kind, init: &Init) -> Self {
        Self { config: config.clone(), networks, init: init.clone() }
    }

    fn video(&self) -> Result<(&Networks, &[Buffer])> {
        match &self.networks {
            Kind::Video(networks, seen) => Ok((networks, seen)),
            _ => Err(Error::Unsupported("this model tells what clips show and makes none".into())),
        }
    }

    /// Clips `[B, C, T, H, W]` of the configured height and width, as the networks take them.
    fn checked(&self, clips: &Tensor) -> Result<Tensor> {
        let ClipSpec { height, width, channels, .. } = self.config.clip_spec();
        expect_dims!("clips", clips.dims(), [B, (channels), T, (height), (width)])?;
        Ok(clips.to_device(&self.init.device)?.to_dtype(self.init.dtype)?.detach())
    }

    /// A class of each label group of clips, by the vote of their frames: an entry a group, in it one a clip.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the evaluation classifier, which sees no single frames; [`Error::Shape`] for clips of another size.
    pub fn infer(&self, clips: &Tensor) -> Result<Vec<Vec<u32>>> {
        let clips = self.checked(clips)?;
        let batch = clips.dim(0)?;
        let vectors =
            |encoder: &Encoder| encoder.forward(&Tensor::cat(&frames(&clips)?, 0)?, None, Mode::EVAL);
        match &self.networks {
            Kind::Video(networks, _) => infer(&networks.attributes, &vectors(&networks.encoder)?, batch),
            Kind::Classifier(both) => infer(&both.1, &vectors(&both.0)?, batch),
            Kind::Evaluation(_) => Err(Error::Unsupported(
                "the evaluation classifier sees no single frames; use `classify`".into(),
            )),
        }
    }

    /// Standard normal numbers of clip `k`, `[frames, latent]`; a longer clip begins with those of a shorter one.
    fn noise(&self, request: &SampleRequest, k: usize, frames: usize) -> Result<Tensor> {
        let mut stream = request.rng("latent", k).stream("eps");
        stream.normal_tensor((frames, self.config.networks.latent), self.init.dtype, &self.init.device)
    }

    /// Initial state of clip `k`, `[2, hidden]`: h and c.
    fn start(&self, request: &SampleRequest, k: usize) -> Result<Tensor> {
        let mut stream = request.rng("latent", k).stream("state");
        stream.normal_tensor((2, self.config.networks.hidden), self.init.dtype, &self.init.device)
    }

    /// A class by the frequencies of training, for a label group that nobody chose.
    fn drawn(&self, request: &SampleRequest, k: usize, group: &Attribute, seen: &Buffer) -> Result<usize> {
        let mut counts = seen.to_vec()?;
        if counts.iter().sum::<f64>() <= 0.0 {
            counts.fill(1.0);
        }
        let mut left = request.rng("attributes", k).stream(&group.name).unit() * counts.iter().sum::<f64>();
        let place = counts.iter().position(|count| {
            left -= count;
            left < 0.0
        });
        // Rounding may leave the last class with what is left of it.
        Ok(place.or_else(|| counts.iter().rposition(|count| *count > 0.0)).unwrap_or(0))
    }
}

/// What a request asks for, resolved.
struct Wish<'a> {
    request: &'a SampleRequest,
    groups: Vec<Attribute>,
    classes: Vec<Vec<Option<usize>>>,
    /// Frame, label group and class, in the order of frames.
    switches: Vec<(usize, usize, usize)>,
    frames: usize,
    /// `[B, C, n, H, W]`.
    given: Option<Tensor>,
}

impl VideovaeSampler {
    /// The frames of a group of clips, `[n, C, T, H, W]`.
    fn group(&self, wish: &Wish<'_>, rows: &Rows) -> Result<Tensor> {
        let (networks, _) = self.video()?;
        let given = match &wish.given {
            Some(given) => frames(&rows.take(given, 0)?)?,
            None => Vec::new(),
        };
        let labels = self.labels(wish, rows, &given)?;
        let each = |make: &dyn Fn(usize) -> Result<Tensor>, axis| -> Result<Tensor> {
            Ok(Tensor::stack(&rows.indices().map(make).collect::<Result<Vec<_>>>()?, axis)?)
        };
        let eps = each(&|k| self.noise(wish.request, k, wish.frames), 1)?;
        let state = if self.config.sample.random_initial_state && given.is_empty() {
            let both = each(&|k| self.start(wish.request, k), 1)?;
            Some(LstmState { h: both.get(0)?, c: both.get(1)? })
        } else {
            None
        };
        let attributes = self.attribute_vectors(labels, wish)?;
        let from = Rollout { attributes: &attributes, eps: &eps, given: &given, state };
        let made = rollout(networks, &from, Mode::EVAL)?;
        Ok(Tensor::stack(&made, 2)?.to_dtype(DType::F32)?)
    }

    /// Classes of the clips in `rows` at the first frame: those asked for; where there are none, those that given frames vote for, or drawn
    /// ones. An entry a label group.
    fn labels(&self, wish: &Wish<'_>, rows: &Rows, given: &[Tensor]) -> Result<Vec<Vec<u32>>> {
        let (networks, seen) = self.video()?;
        let open = rows.indices().any(|k| wish.classes[k].contains(&None));
        let votes = if open && !given.is_empty() {
            let vectors = encode(networks, given, None, Mode::EVAL)?;
            Some(infer(&networks.attributes, &vectors, rows.indices().count())?)
        } else {
            None
        };
        let of = |place: usize, (row, k): (usize, usize)| {
            Ok(match (wish.classes[k][place], &votes) {
                (Some(class), _) => class as u32,
                (None, Some(votes)) => votes[place][row],
                (None, None) => self.drawn(wish.request, k, &wish.groups[place], &seen[place])? as u32,
            })
        };
        let group =
            |place| rows.indices().enumerate().map(|clip| of(place, clip)).collect::<Result<Vec<_>>>();
        (0..wish.groups.len()).map(group).collect()
    }

    /// Attribute vectors of every frame, with the switches made.
    fn attribute_vectors(&self, mut labels: Vec<Vec<u32>>, wish: &Wish<'_>) -> Result<Vec<Tensor>> {
        let vector = |labels: &[Vec<u32>]| one_hot(&self.config, labels, self.init.dtype, &self.init.device);
        let mut vectors = vec![vector(&labels)?];
        for t in 1..wish.frames {
            let due: Vec<_> = wish.switches.iter().filter(|(frame, ..)| *frame == t).collect();
            for (_, place, class) in &due {
                labels[*place].fill(*class as u32);
            }
            let next = if due.is_empty() { vectors[t - 1].clone() } else { vector(&labels)? };
            vectors.push(next);
        }
        Ok(vectors)
    }
}

impl Sampler for VideovaeSampler {
    fn spec(&self) -> SampleSpec {
        let video = matches!(self.networks, Kind::Video(..));
        SampleSpec {
            clip: ClipSpec {
                frames: if video { self.config.sample.frames } else { self.config.clip.frames },
                ..self.config.clip_spec()
            },
            pixels: Pixels::Symmetric,
            max_frames: if video { MAX_FRAMES } else { 0 },
            classes: if video { self.config.attributes.classes[0] } else { 0 },
            context_frames: 0,
            maps: Vec::new(),
        }
    }

    fn controls(&self) -> Controls {
        match self.networks {
            Kind::Video(..) => {
                Controls { streams: &["latent", "attributes"], switch: true, ..Controls::default() }
            }
            _ => Controls::default(),
        }
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.config.groups()
    }

    /// None, one or several.
    fn context_range(&self) -> RangeInclusive<usize> {
        0..=if self.spec().max_frames > 0 { MAX_FRAMES - 1 } else { 0 }
    }

    /// Clips from attributes, from given frames, or both. Label groups that the request leaves open are inferred from the given frames;
    /// without any they are drawn once a clip, by the frequencies of training. Frames in place of given ones are their reconstructions.
    ///
    /// A clip is the same bit for bit in any company.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        self.video()?;
        let (spec, groups) = (self.spec(), self.attributes());
        request.check_with(&spec, self.controls(), &groups)?;
        let frames = request.frames_for(&spec)?;
        let given = request.optional_context(&spec, &self.context_range())?;
        let given = given.map(|given| self.checked(&given)).transpose()?;
        if let Some(n) = given.as_ref().map(|given| given.dim(2)).transpose()?.filter(|n| *n >= frames) {
            let problem =
                format!("a clip of {frames} frames goes on from fewer than the {n} given ones; ask for more");
            return Err(Error::Unsupported(problem));
        }
        let wish = Wish {
            request,
            classes: request.attributes_for(&spec, &groups)?,
            switches: request.switches_of(&groups)?,
            groups,
            frames,
            given,
        };
        let all = Groups::new(AT_ONCE, request.seeds.len());
        Ok(Clips { tensor: all.map(|rows| self.group(&wish, rows))?, pixels: spec.pixels })
    }

    /// Of the VideoVAE and the classifier of stage 1, means over the frames' softmaxes, the label groups independent of each other.
    fn classify(&self, clips: &Tensor) -> Result<Tensor> {
        let clips = self.checked(clips)?;
        let of_frames = |encoder: &Encoder, network: &AttributeNet| -> Result<Tensor> {
            let (batch, frames_of_clip) = (clips.dim(0)?, clips.dim(2)?);
            let vectors = encoder.forward(&Tensor::cat(&frames(&clips)?, 0)?, None, Mode::EVAL)?;
            let mut means = Vec::new();
            for logits in network.forward(&vectors, Mode::EVAL)? {
                let classes = logits.dim(1)?;
                let probs = softmax(&logits)?.reshape((frames_of_clip, batch, classes))?.mean(0)?;
                means.push(probs.log()?);
            }
            joint(&means)
        };
        let probs = match &self.networks {
            Kind::Video(networks, _) => of_frames(&networks.encoder, &networks.attributes)?,
            Kind::Classifier(both) => of_frames(&both.0, &both.1)?,
            Kind::Evaluation(network) => softmax(&network.forward(&clips, Mode::EVAL)?)?,
        };
        Ok(probs.to_dtype(DType::F32)?.detach())
    }
}
