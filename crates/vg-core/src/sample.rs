//! Drawing clips from a trained model.

mod attributes;
mod classes;
mod groups;
mod noise;
mod stream;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use candle_core::Tensor;

use crate::batch::Pixels;
use crate::{ClipSpec, Error, Result, Rng, expect_dims};

pub use self::attributes::{Attribute, ClassSwitch};
pub use self::classes::{ClassNames, evenly_chosen};
pub use self::groups::{Groups, Rows};
pub use self::noise::Noise;
pub use self::stream::{FrameStream, StreamRequest, StreamedFrame};

/// What a sampler makes and takes.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSpec {
    /// Size of a clip when the request does not say otherwise.
    pub clip: ClipSpec,
    /// Pixel scale of the clips.
    pub pixels: Pixels,
    /// Most frames a request may ask for; 0 for a model that makes no clips (a classifier).
    pub max_frames: usize,
    /// Classes that may be asked for; 0 for an unconditional model.
    pub classes: usize,
    /// Frames of a given clip that the model continues; 0 for none. Models that can do with and without say so by
    /// [`Sampler::context_range`].
    pub context_frames: usize,
    /// Condition maps needed, by name.
    pub maps: Vec<String>,
}

/// A request for clips.
#[derive(Clone, Debug, Default)]
pub struct SampleRequest {
    /// One clip per seed.
    pub seeds: Vec<u64>,
    /// Frames per clip; the model's own length when absent.
    pub frames: Option<usize>,
    /// Class of all clips, in the model's first label group; drawn from the seed when absent and the model has classes.
    pub class: Option<usize>,
    /// Class of each clip instead, one a seed; empty for none.
    pub classes: Vec<usize>,
    /// Classes of label groups by their names, of which one counts for all clips, or there is one a clip. The names are those of
    /// [`Sampler::attributes`]; groups that are left out are the model's to choose.
    pub attributes: BTreeMap<String, Vec<usize>>,
    /// Seeds of single random streams, one a clip, by the stream's name; all other streams take the clip's own seed. The names are those
    /// of [`Controls::streams`].
    pub streams: BTreeMap<String, Vec<u64>>,
    /// How latents are drawn.
    pub noise: Noise,
    /// How fast clips move: frame k shows what is otherwise at frame `k * speed`; 1 when absent.
    pub speed: Option<f64>,
    /// Other classes from some frames on.
    pub switches: Vec<ClassSwitch>,
    /// Given frames `[1 or B, C, context, H, W]`, for models that continue clips.
    pub context: Option<Tensor>,
    /// Condition maps by name, `[1 or B, C', T, H, W]`.
    pub maps: BTreeMap<String, Tensor>,
}

/// What a sampler lets a request steer besides length and class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Random streams that may have seeds of their own, such as `content` and `motion`.
    pub streams: &'static [&'static str],
    /// Whether latents can be drawn from another distribution.
    pub noise: bool,
    /// Whether clips can move faster or slower.
    pub speed: bool,
    /// Whether the class can change in the middle of a clip.
    pub switch: bool,
}

/// Slowest and fastest motion that may be asked for.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=100.0;

impl SampleRequest {
    /// One clip for each of `seeds`, all else as the model's default.
    pub fn seeds(seeds: impl IntoIterator<Item = u64>) -> Self {
        Self { seeds: seeds.into_iter().collect(), ..Self::default() }
    }

    /// Frames per clip, checked against the sampler's limits.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when fewer than 1 or more than the model can make are asked for.
    pub fn frames_for(&self, spec: &SampleSpec) -> Result<usize> {
        let frames = self.frames.unwrap_or(spec.clip.frames);
        if frames == 0 || frames > spec.max_frames {
            return Err(Error::Unsupported(format!(
                "clips of {frames} frames cannot be sampled; this model makes 1 to {}",
                spec.max_frames
            )));
        }
        Ok(frames)
    }

    /// The class, checked against the sampler's number of classes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the model has no such class.
    pub fn class_for(&self, spec: &SampleSpec) -> Result<Option<usize>> {
        match self.class {
            Some(_) if spec.classes == 0 => {
                Err(Error::Unsupported("this model was trained without classes; leave the class out".into()))
            }
            Some(class) if class >= spec.classes => Err(Error::Unsupported(format!(
                "there is no class {class}; this model has the classes 0 to {}",
                spec.classes - 1
            ))),
            class => Ok(class),
        }
    }

    /// The class of each clip, checked as by [`SampleRequest::class_for`]; `None` where it is to be drawn.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the model has no such class or when there are not as many classes as seeds.
    pub fn classes_for(&self, spec: &SampleSpec) -> Result<Vec<Option<usize>>> {
        if self.classes.is_empty() {
            return Ok(vec![self.class_for(spec)?; self.seeds.len()]);
        }
        one_a_clip("classes", self.classes.len(), self.seeds.len())?;
        let of = |class: &usize| Self { class: Some(*class), ..Self::default() }.class_for(spec);
        self.classes.iter().map(of).collect()
    }

    /// The random numbers of a stream of clip `clip`: from the stream's own seed where the request has one, else from the clip's.
    ///
    /// To be called after [`SampleRequest::check`].
    pub fn rng(&self, stream: &str, clip: usize) -> Rng {
        let own = self.streams.get(stream).and_then(|seeds| seeds.get(clip));
        Rng::new(*own.unwrap_or(&self.seeds[clip]))
    }

    /// The given frames of each clip, `[1, C, context, H, W]`, for models that continue clips; a single given clip serves all.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there are none, or neither one nor one a clip; [`Error::Shape`] when they are of another size.
    pub fn contexts(&self, spec: &SampleSpec) -> Result<Vec<Tensor>> {
        let context = self.context.as_ref().ok_or_else(|| {
            let problem = "this model continues given frames; give some for every clip (`context`)";
            Error::Unsupported(problem.into())
        })?;
        let (frames, ClipSpec { height, width, channels, .. }) = (spec.context_frames, spec.clip);
        expect_dims!("context", context.dims(), [B, (channels), (frames), (height), (width)])?;
        let (given, clips) = (context.dim(0)?, self.seeds.len());
        if given != 1 && given != clips {
            let problem = format!("given frames of {given} clips for {clips} clips; give 1 or {clips}");
            return Err(Error::Unsupported(problem));
        }
        let of = |clip: usize| Ok(context.narrow(0, if given == 1 { 0 } else { clip }, 1)?.contiguous()?);
        (0..clips).map(of).collect()
    }

    /// Given frames of all clips, `[B, C, n, H, W]`, for models that take a number of them within `range`; a single given clip serves all.
    /// Nothing where the request has none and the model needs none.
    ///
    /// # Errors
    /// As [`SampleRequest::contexts`]; [`Error::Unsupported`] for too few or too many.
    pub fn optional_context(
        &self,
        spec: &SampleSpec,
        range: &RangeInclusive<usize>,
    ) -> Result<Option<Tensor>> {
        let given = self.context.as_ref().map_or(Ok(0), |c| c.dim(2))?;
        if given == 0 && *range.start() == 0 {
            return Ok(None);
        }
        if !range.contains(&given) {
            let (low, high) = (range.start(), range.end());
            let problem = format!("{given} given frames; this model continues {low} to {high}");
            return Err(Error::Unsupported(problem));
        }
        let spec = SampleSpec { context_frames: given, ..spec.clone() };
        Ok(Some(Tensor::cat(&self.contexts(&spec)?, 0)?))
    }

    /// Checks the request against what a sampler makes and takes, except for given frames and maps.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for no seeds, a wrong length or class, or something that the model cannot steer; [`Error::Unknown`] for
    /// a stream that it does not have.
    pub fn check(&self, spec: &SampleSpec, controls: Controls) -> Result<()> {
        self.check_with(spec, controls, &[])
    }

    /// [`SampleRequest::check`] for a model whose label groups have names.
    ///
    /// # Errors
    /// Likewise, and those of [`SampleRequest::attributes_for`].
    pub fn check_with(&self, spec: &SampleSpec, controls: Controls, attributes: &[Attribute]) -> Result<()> {
        if self.seeds.is_empty() {
            return Err(Error::Unsupported("no clips were asked for; give at least one seed".into()));
        }
        let frames = self.frames_for(spec)?;
        self.attributes_for(spec, attributes)?;
        for (name, seeds) in &self.streams {
            if controls.streams.is_empty() {
                let problem = "this model has no random streams with seeds of their own; leave them out";
                return Err(Error::Unsupported(problem.into()));
            }
            if !controls.streams.contains(&name.as_str()) {
                let known = controls.streams.iter().copied();
                return Err(Error::unknown("random stream of this model", name, known));
            }
            one_a_clip("seeds of a stream", seeds.len(), self.seeds.len())?;
        }
        self.check_noise(controls)?;
        match self.speed {
            Some(_) if !controls.speed => {
                return Err(Error::Unsupported("this model cannot change the speed of its clips".into()));
            }
            Some(speed) if !SPEEDS.contains(&speed) => {
                let (low, high) = (SPEEDS.start(), SPEEDS.end());
                let problem =
                    format!("a speed of {speed} cannot be sampled; this model moves at {low} to {high}");
                return Err(Error::Unsupported(problem));
            }
            _ => {}
        }
        self.check_switches(spec, controls, attributes, frames)
    }
}

fn one_a_clip(what: &str, found: usize, clips: usize) -> Result<()> {
    if found == clips {
        return Ok(());
    }
    Err(Error::Unsupported(format!("{found} {what} for {clips} clips; give one a clip")))
}

/// Sampled clips.
#[derive(Clone, Debug)]
pub struct Clips {
    /// `[B, C, T, H, W]`, f32 on the scale of `pixels`.
    pub tensor: Tensor,
    /// The scale.
    pub pixels: Pixels,
}

/// Makes clips from weights that do not change.
pub trait Sampler {
    /// What this sampler makes and takes.
    fn spec(&self) -> SampleSpec;

    /// What a request may steer besides; nothing unless the model says so.
    fn controls(&self) -> Controls {
        Controls::default()
    }

    /// Label groups that have names, of which [`SampleSpec::classes`] counts the first one's classes; none unless the model says so.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Numbers of given frames that clips can go on from: exactly [`SampleSpec::context_frames`] unless the model says otherwise.
    fn context_range(&self) -> RangeInclusive<usize> {
        let frames = self.spec().context_frames;
        frames..=frames
    }

    /// Probabilities of what clips show, for models that were trained to tell: clips `[B, C, T, H, W]` of the size and scale of
    /// [`Sampler::spec`] -> `[B, K]`, f32, rows of sum 1. K is the product of the numbers of classes of [`Sampler::attributes`], of which the
    /// first runs fastest: column `k` stands for class `k mod n` of the first group of `n` classes, and so on.
    ///
    /// # Errors
    /// [`Error::Unsupported`] from models that tell nothing, [`Error::Shape`] for clips of another size.
    fn classify(&self, _clips: &Tensor) -> Result<Tensor> {
        Err(Error::Unsupported("this model makes clips and does not tell what clips show".into()))
    }

    /// Whether clips of equal requests differ by their seeds.
    fn varies(&self) -> bool {
        true
    }

    /// How open the future of given clips is, for models that learn it: clips `[B, C, T, H, W]` of the size and scale of [`Sampler::spec`] ->
    /// `[B, T - 1]`, where column k is the spread that the model expects at frame k + 1 from the frames before it, on a scale of the
    /// model's own. `None` from models that do not tell.
    ///
    /// # Errors
    /// [`Error::Shape`] for clips of another size, [`Error::Unsupported`] for clips that are too short.
    fn uncertainty(&self, _clips: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// One clip per seed. Clip k depends on seed k alone, not on its neighbours in the batch.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what the model cannot do: too many frames, an unknown class, missing context.
    fn sample(&self, request: &SampleRequest) -> Result<Clips>;

    /// Frames of one clip one after the other, for models that make them from maps.
    ///
    /// # Errors
    /// [`Error::Unsupported`] from models that make whole clips, and for given frames that are missing or not taken.
    fn stream(&self, _request: &StreamRequest) -> Result<Box<dyn FrameStream + '_>> {
        Err(Error::Unsupported("this model makes whole clips; it does not follow maps frame by frame".into()))
    }

    /// The clips, and by name the parts that they were made of, one entry per seed: masks, backgrounds (clips of one frame) and the
    /// like. Models without parts have none.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        Ok((self.sample(request)?, BTreeMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn spec(classes: usize) -> SampleSpec {
        SampleSpec {
            clip: ClipSpec { frames: 4, height: 2, width: 2, channels: 1 },
            pixels: Pixels::Symmetric,
            max_frames: 8,
            classes,
            context_frames: 0,
            maps: Vec::new(),
        }
    }

    pub(super) const ALL: Controls =
        Controls { streams: &["content", "motion"], noise: false, speed: true, switch: true };

    #[test]
    fn a_stream_takes_its_own_seed_and_others_the_clips() {
        let streams = BTreeMap::from([("content".to_owned(), vec![9, 9])]);
        let request = SampleRequest { streams, ..SampleRequest::seeds([1, 2]) };
        request.check(&spec(0), ALL).unwrap();
        assert_eq!(request.rng("content", 1), Rng::new(9));
        assert_eq!(request.rng("motion", 1), Rng::new(2));
    }

    #[test]
    fn what_a_model_cannot_do_is_refused_with_the_way_out() {
        let base = || SampleRequest::seeds([1, 2]);
        let streams = |name: &str, n| BTreeMap::from([(name.to_owned(), vec![1; n])]);
        let switches = |frame, class| vec![ClassSwitch::new(frame, class)];
        let cases = [
            (SampleRequest::default(), ALL, "at least one seed"),
            (SampleRequest { classes: vec![0], ..base() }, ALL, "1 classes for 2 clips"),
            (SampleRequest { classes: vec![0, 3], ..base() }, ALL, "classes 0 to 2"),
            (SampleRequest { streams: streams("motion", 1), ..base() }, ALL, "one a clip"),
            (SampleRequest { streams: streams("moton", 2), ..base() }, ALL, "did you mean \"motion\""),
            (
                SampleRequest { streams: streams("motion", 2), ..base() },
                Controls::default(),
                "leave them out",
            ),
            (SampleRequest { speed: Some(2.0), ..base() }, Controls::default(), "cannot change the speed"),
            (SampleRequest { speed: Some(f64::NAN), ..base() }, ALL, "0.01 to 100"),
            (SampleRequest { noise: Noise::Normal(0.5), ..base() }, ALL, "draws its latents in one way"),
            (
                SampleRequest { noise: Noise::Truncated(-1.0), ..base() },
                Controls { noise: true, ..ALL },
                "give 0 to 10",
            ),
            (SampleRequest { switches: switches(2, 0), ..base() }, Controls::default(), "within a clip"),
            (SampleRequest { switches: switches(4, 0), ..base() }, ALL, "frames 1 to 3"),
            (SampleRequest { switches: switches(2, 3), ..base() }, ALL, "classes 0 to 2"),
        ];
        for (request, controls, part) in cases {
            let error = request.check(&spec(3), controls).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn given_frames_are_one_for_all_or_one_a_clip() {
        let spec = SampleSpec { context_frames: 1, ..spec(0) };
        let context = |n: usize| {
            let values: Vec<f32> = (0..4 * n).map(|x| x as f32).collect();
            Some(Tensor::from_vec(values, (n, 1, 1, 2, 2), &candle_core::Device::Cpu).unwrap())
        };
        let of = |n| SampleRequest { context: context(n), ..SampleRequest::seeds([1, 2]) }.contexts(&spec);
        let first = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        assert_eq!(of(2).unwrap().iter().map(first).collect::<Vec<_>>(), [0.0, 4.0]);
        assert_eq!(of(1).unwrap().iter().map(first).collect::<Vec<_>>(), [0.0, 0.0]);
        assert!(of(3).unwrap_err().to_string().contains("give 1 or 2"));
        let text = |request: SampleRequest| request.contexts(&spec).unwrap_err().to_string();
        assert!(text(SampleRequest::seeds([1])).contains("given frames"));
        let wide =
            Tensor::zeros((1, 1, 1, 2, 3), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        assert!(text(SampleRequest { context: Some(wide), ..SampleRequest::seeds([1]) }).contains("context"));
    }

    #[test]
    fn given_frames_may_be_optional() {
        let request = |frames: Option<usize>| {
            let zeros = |n| {
                Tensor::zeros((1, 1, n, 2, 2), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap()
            };
            SampleRequest { context: frames.map(zeros), ..SampleRequest::seeds([1, 2]) }
        };
        let given = |frames, range| request(frames).optional_context(&spec(0), &range);
        assert!(given(None, 0..=3).unwrap().is_none());
        assert_eq!(given(Some(2), 0..=3).unwrap().unwrap().dims(), [2, 1, 2, 2, 2]);
        for (frames, range, part) in [(None, 1..=3, "0 given frames"), (Some(4), 0..=3, "continues 0 to 3")] {
            let error = given(frames, range).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
