//! Continuing given frames.

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::{Mode, NormStats, ParamStore};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{ClipSpec, Error, Pixels, Result, Rng, expect_dims};

use crate::config::{Config, SampleNorm};
use crate::groups::groups;
use crate::networks::Networks;
use crate::rollout::{Latents, rollout};
use crate::unroll::frames;

/// Most frames of one clip, with the given ones.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Networks that continue clips.
pub struct SvgSampler {
    pub(crate) config: Config,
    pub(crate) networks: Networks,
    init: Init,
}

impl SvgSampler {
    /// A sampler over saved weights.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor, [`Error::Config`] for a configuration that does
    /// not make sense.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        config.validate()?;
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?
            .precision(config.train.precision);
        let networks = Networks::new(&store.source(), config)?;
        store.finish()?;
        Ok(Self { config: config.clone(), networks, init: init.clone() })
    }

    /// A sampler over networks that may still be trained: clones share their weights.
    pub(crate) fn over(config: &Config, networks: &Networks, init: &Init) -> Self {
        Self { config: config.clone(), networks: networks.clone(), init: init.clone() }
    }

    /// How the networks are run: nothing is kept for a backward pass, running statistics stay as they are.
    pub(crate) fn mode(&self) -> Mode {
        match self.config.sample.norm {
            SampleNorm::Running => Mode::EVAL,
            SampleNorm::Batch => Mode { norm: NormStats::Batch, ..Mode::EVAL },
        }
    }

    /// Follows whole clips with the posterior's means as latents, after their first `clip.past` frames on its own output: what the latents
    /// can tell of the frames to come (the paper's "approximate posterior"). The deterministic variant just goes on.
    ///
    /// # Shapes
    /// - `clips` `[B, C, T, H, W]` in [0, 1], T above `clip.past`
    /// - returns `[B, C, T - clip.past, H, W]` in (0, 1), in the precision of the networks
    ///
    /// # Errors
    /// [`Error::Shape`] for clips of another size, [`Error::Unsupported`] for clips that are too short, or single in a batch whose own
    /// statistics count.
    pub fn follow(&self, clips: &Tensor) -> Result<Tensor> {
        let clips = self.checked(clips, self.config.clip.past + 1)?;
        let frames_of_clip = clips.dim(2)?;
        let of_group = |group: &Tensor| {
            let given = frames(group)?;
            let latents = Latents::PosteriorMean;
            let made = rollout(&self.networks, &self.config, &given, frames_of_clip, latents, self.mode())?;
            Ok(Tensor::stack(&made, 2)?)
        };
        groups(self.config.sample.norm, clips.dim(0)?)?.map(|rows| of_group(&rows.take(&clips, 0)?))
    }

    /// Clips as the networks take them, of at least `shortest` frames.
    pub(crate) fn checked(&self, clips: &Tensor, shortest: usize) -> Result<Tensor> {
        let ClipSpec { height, width, channels, .. } = self.config.clip_spec();
        expect_dims!("clips", clips.dims(), [B, (channels), T, (height), (width)])?;
        let (batch, frames) = (clips.dim(0)?, clips.dim(2)?);
        if frames < shortest || batch == 0 {
            let problem = format!(
                "{batch} clips of {frames} frames; give at least one clip, of {shortest} frames or more"
            );
            return Err(Error::Unsupported(problem));
        }
        Ok(clips.to_device(&self.init.device)?.to_dtype(self.init.dtype)?.detach())
    }

    /// Standard normal numbers of clips, `[frames - 1, B, latent]`: those of a clip depend on its seed alone, and a longer clip begins with
    /// those of a shorter one.
    fn noise(&self, seeds: &[u64], frames: usize) -> Result<Tensor> {
        // The deterministic variant uses none, but the tensor tells the number of clips.
        let dims = (frames - 1, self.config.latent().max(1));
        let draw = |seed: &u64| {
            Rng::new(*seed).stream("latent").normal_tensor(dims, self.init.dtype, &self.init.device)
        };
        let all = seeds.iter().map(draw).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&all, 1)?)
    }
}

impl Sampler for SvgSampler {
    fn spec(&self) -> SampleSpec {
        SampleSpec {
            clip: ClipSpec { frames: self.config.sample.frames, ..self.config.clip_spec() },
            pixels: Pixels::Unit,
            max_frames: MAX_FRAMES,
            classes: 0,
            context_frames: self.config.clip.past,
            maps: Vec::new(),
        }
    }

    /// Not in the deterministic variant.
    fn varies(&self) -> bool {
        self.config.latent() > 0
    }

    /// Standard deviation of the learned prior, the square root of [`SvgSampler::prior_variance`]; nothing in the other variants.
    fn uncertainty(&self, clips: &Tensor) -> Result<Option<Tensor>> {
        match self.networks.prior() {
            Some(_) => Ok(Some(self.prior_variance(clips)?.sqrt()?)),
            None => Ok(None),
        }
    }

    /// The given frames and what follows them, as many together as are asked for. One clip of given frames and many seeds make many futures;
    /// the deterministic variant has one.
    ///
    /// With running statistics (`sample.norm`) a clip is the same bit for bit in any company. With batch statistics it depends on all clips
    /// of the request, and there must be two.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let spec = self.spec();
        request.check(&spec, self.controls())?;
        let (asked, past) = (request.frames_for(&spec)?, spec.context_frames);
        if asked <= past {
            return Err(Error::Unsupported(format!(
                "a clip of {asked} frames holds none but the {past} given ones; ask for at least {}",
                past + 1
            )));
        }
        let contexts = Tensor::cat(&request.contexts(&spec)?, 0)?;
        let given = self.checked(&contexts, past)?;
        let noise = self.noise(&request.seeds, asked)?;
        let of_group = |given: &Tensor, noise: &Tensor| -> Result<Tensor> {
            let given = frames(given)?;
            let latents = Latents::Drawn(noise);
            let made = rollout(&self.networks, &self.config, &given, asked, latents, self.mode())?;
            Ok(Tensor::stack(&made, 2)?.to_dtype(DType::F32)?)
        };
        let groups = groups(self.config.sample.norm, request.seeds.len())?;
        let made = groups.map(|rows| of_group(&rows.take(&given, 0)?, &rows.take(&noise, 1)?))?;
        let contexts = contexts.to_device(made.device())?.to_dtype(DType::F32)?;
        Ok(Clips { tensor: Tensor::cat(&[contexts, made], 2)?, pixels: spec.pixels })
    }
}
