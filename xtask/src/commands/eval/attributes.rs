//! `eval --metrics attributes`: whether clips show what was asked for, by a classifier that was trained on real clips.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde::Serialize;
use vg_core::model::Init;
use vg_core::sample::{Attribute, SampleRequest, Sampler};
use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::{FrameSize, Frames, Loader, Progress, Split, Unit, resize};
use vg_metrics::Features;
use vg_metrics::attribute_scores::{AttributeScores, split};

use super::control::Control;
use super::plan::trained_stride;
use super::{Args, significant};
use crate::commands::sample;
use crate::console;
use crate::data::{Bar, DataChoice};
use crate::failure::{Done, Failure};

/// Name among the metrics.
pub(super) const NAME: &str = "attributes";
/// Clips that are made and classified at once; this only bounds memory.
const AT_ONCE: usize = 16;
/// Generated clips for each combination of classes, where no number is given (VideoVAE's protocol).
const EACH: usize = 10;
/// Real clips, where no number is given.
const REAL: usize = 1024;

/// Scores of one side.
#[derive(Serialize)]
struct Row<'a> {
    metric: &'static str,
    clips: String,
    classifier: &'a str,
    num: usize,
    /// By label group.
    accuracy: BTreeMap<&'a str, f64>,
    joint_accuracy: f64,
    i_score: f64,
    intra_entropy: f64,
    inter_entropy: f64,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<Done> {
    if args.metrics.len() > 1 {
        let text = format!("{NAME} is measured by a classifier of its own, not beside other metrics");
        return Err(Failure::new(text).hint(format!("run `eval` once with `--metrics {NAME}` alone")).into());
    }
    let judge = Judge::open(args)?;
    let mut data = Data::open(args, &judge)?;
    let generator = args.source.as_deref().map(|source| Generator::open(source, args, &judge)).transpose()?;
    if generator.is_none() && args.control.is_none() {
        let text =
            format!("--fake: nothing says what the clips of a folder were to show, and {NAME} needs it");
        return Err(Failure::new(text).hint("give a run, or real clips with --control same").into());
    }
    let num = args.num.map(|n| n as usize);
    let real = data.count.min(num.unwrap_or(REAL)).max(1);
    let name = data.name.clone();
    let bound = judge.scores(&name, real, |start, n| data.clips(&judge, args, start, n))?;
    report(args, &judge, &name, real, &bound)?;
    if let Some(generator) = generator {
        let given = args.given.map_or(0, |n| n as usize);
        let all = EACH * judge.classes.iter().product::<usize>();
        let num = num.unwrap_or(if given > 0 { all.min(data.count) } else { all });
        let name = match given {
            0 => generator.name.clone(),
            n => format!("{} from {n} frames of {}", generator.name, data.name),
        };
        let scores = judge.scores(&name, num, |start, n| {
            let (given, wanted) = if given > 0 {
                data.given(&judge, &generator, given, start, n)?
            } else {
                (None, judge.cycle(start, n))
            };
            let seed = args.seed + start as u64;
            Ok((generator.clips(&judge, given, &wanted, seed)?, wanted))
        })?;
        report(args, &judge, &name, num, &scores)?;
    }
    Ok(Done::Good)
}

/// The classifier.
struct Judge {
    sampler: Box<dyn Sampler>,
    name: String,
    groups: Vec<Attribute>,
    classes: Vec<usize>,
    clip: ClipSpec,
    pixels: Pixels,
    stride: usize,
}

impl Judge {
    fn open(args: &Args) -> Result<Self> {
        let Some(source) = &args.classifier else {
            let text = format!(
                "{NAME} needs a classifier that was trained on real clips, and --classifier is missing"
            );
            let hint =
                "train one, such as `cargo xtask train videovae --preset evaluation-classifier --data SET`";
            return Err(Failure::new(text).hint(hint).into());
        };
        let weights = sample::open(source)?;
        let experiment = sample::experiment(&weights)?;
        let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
        let (groups, spec, stride) = (sampler.attributes(), sampler.spec(), trained_stride(&*experiment)?);
        if groups.is_empty() {
            let text =
                format!("--classifier {source}: a model of {} tells no attributes", experiment.card().name);
            return Err(Failure::new(text).hint("give a run of videovae with a classifier preset").into());
        }
        let classes = groups.iter().map(|group| group.classes).collect();
        let name = weights.source().to_owned();
        Ok(Self { sampler, name, groups, classes, clip: spec.clip, pixels: spec.pixels, stride })
    }

    /// The classes that clips `start..start + n` are to show: all combinations in turn.
    fn cycle(&self, start: usize, n: usize) -> Vec<Vec<usize>> {
        let all = self.classes.iter().product::<usize>();
        (start..start + n).map(|k| split(k % all, &self.classes)).collect()
    }

    /// Scores of `num` clips, `[n, C, T, H, W]` each time, with the classes that they are to show.
    fn scores(
        &self,
        what: &str,
        num: usize,
        mut make: impl FnMut(usize, usize) -> Result<(Tensor, Vec<Vec<usize>>)>,
    ) -> Result<AttributeScores> {
        let bar = Bar::default();
        bar.start(&format!("{NAME}: {num} clips of {what}"), num as u64, Unit::Files);
        let mut probs = Features::new(what, self.classes.iter().product())?;
        let mut wanted = Vec::with_capacity(num);
        for start in (0..num).step_by(AT_ONCE) {
            let n = AT_ONCE.min(num - start);
            let (clips, classes) = make(start, n)?;
            probs.push(&self.sampler.classify(&clips)?.flatten_all()?.to_vec1::<f32>()?)?;
            wanted.extend(classes);
            bar.advance(n as u64);
        }
        bar.finish();
        Ok(AttributeScores::of(&probs, &self.classes, &wanted)?)
    }

    /// Clips as the classifier takes them: every `every`-th frame, resized and converted where they are of another size.
    fn fitted(&self, clips: Vec<Frames>, every: usize) -> Result<Tensor> {
        let size = FrameSize::from(self.clip);
        let fit = |clip: Frames| -> Result<Tensor> {
            let bytes = clip.size().bytes();
            let picked = clip.data.chunks_exact(bytes.max(1)).step_by(every).take(self.clip.frames);
            let data: Vec<u8> = picked.flatten().copied().collect();
            let clip = Frames { frames: data.len() / bytes.max(1), data, ..clip };
            let clip = clip.with_channels(size.channels);
            let clip = if clip.size() == size { clip } else { resize::fit(clip, size) };
            Ok(clip.to_tensor(self.pixels, &Device::Cpu)?)
        };
        let clips = clips.into_iter().map(fit).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&clips, 0)?)
    }
}

/// Real clips with their labels.
struct Data {
    loader: Loader,
    name: String,
    count: usize,
}

impl Data {
    fn open(args: &Args, judge: &Judge) -> Result<Self> {
        let Some(set) = &args.data else {
            let text = format!("{NAME} is told beside the bound on real clips, and --data is missing");
            return Err(Failure::new(text)
                .hint("name the data set of the classifier, with --split test")
                .into());
        };
        let choice =
            DataChoice::new(set, Split::from(args.split), args.root.clone(), args.cache.clone(), true)?;
        let loader = vg_data::source(choice.open(judge.clip.into())?, args.seed).with_whole_stride();
        let mut data = Self { loader, name: format!("{set} ({})", choice.split), count: 0 };
        let spec = data.spec(judge, judge.clip, judge.stride, 1);
        data.count = (data.loader.info().clips - data.loader.excluded(&spec)) as usize;
        if data.count == 0 {
            let (frames, stride) = (judge.clip.frames, judge.stride);
            let text = format!("{} has no clips of {frames} frames at distance {stride}", data.name);
            return Err(Failure::new(text).hint("take another --split, or another classifier").into());
        }
        for Attribute { name, classes } in &judge.groups {
            let found = data.loader.info().classes.get(name).map(Vec::len);
            if found != Some(*classes) {
                let found = found.map_or("no such labels".to_owned(), |n| format!("{n} classes"));
                let text = format!("the classifier tells {classes} classes of {name:?}; {set} has {found}");
                return Err(Failure::new(text)
                    .hint("give the data set that the classifier was trained on")
                    .into());
            }
        }
        Ok(data)
    }

    fn spec(&self, judge: &Judge, clip: ClipSpec, stride: usize, clips: usize) -> BatchSpec {
        BatchSpec {
            frame_stride: stride,
            labels: judge.groups.iter().map(|group| group.name.clone()).collect(),
            ..BatchSpec::clips(clips, clip, judge.pixels)
        }
    }

    /// Clips as the classifier takes them, and their classes.
    fn clips(
        &mut self,
        judge: &Judge,
        args: &Args,
        start: usize,
        n: usize,
    ) -> Result<(Tensor, Vec<Vec<usize>>)> {
        let spec = self.spec(judge, judge.clip, judge.stride, n);
        let batch = self.loader.batch(&spec, start as u64)?;
        let wanted = labels(judge, &batch)?;
        let control = args.control.filter(|control| !matches!(control, Control::Same | Control::Half));
        let Some(control) = control else { return Ok((batch.clips, wanted)) };
        let frames = Frames::from_tensor(&batch.clips, judge.pixels)?.into_iter().enumerate();
        let spoilt = frames.map(|(k, clip)| control.apply(clip, args.seed, start + k)).collect();
        Ok((judge.fitted(spoilt, 1)?, wanted))
    }

    /// The first frames of clips as the generator takes them, and the clips' classes.
    fn given(
        &mut self,
        judge: &Judge,
        generator: &Generator,
        frames: usize,
        start: usize,
        n: usize,
    ) -> Result<(Option<Tensor>, Vec<Vec<usize>>)> {
        let spec = generator.sampler.spec();
        let clip = ClipSpec { frames, ..spec.clip };
        let wanted = BatchSpec { pixels: spec.pixels, ..self.spec(judge, clip, generator.stride, n) };
        let batch = self.loader.batch(&wanted, start as u64)?;
        Ok((Some(batch.clips.clone()), labels(judge, &batch)?))
    }
}

/// The classes of the clips of a batch, in the order of the classifier's groups.
fn labels(judge: &Judge, batch: &vg_core::Batch) -> Result<Vec<Vec<usize>>> {
    let of = |group: &Attribute| Ok(batch.label(&group.name)?.to_vec1::<u32>()?);
    let groups = judge.groups.iter().map(of).collect::<Result<Vec<_>>>()?;
    let clip = |k: usize| groups.iter().map(|group| group[k] as usize).collect();
    Ok((0..batch.clips.dim(0)?).map(clip).collect())
}

/// The model that is measured.
struct Generator {
    sampler: Box<dyn Sampler>,
    name: String,
    stride: usize,
    frames: usize,
    every: usize,
}

impl Generator {
    fn open(source: &str, args: &Args, judge: &Judge) -> Result<Self> {
        let weights = sample::open(source)?;
        let experiment = sample::experiment(&weights)?;
        let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
        let (spec, stride, groups) = (sampler.spec(), trained_stride(&*experiment)?, sampler.attributes());
        if spec.max_frames == 0 {
            let text = format!("{source} makes no clips: it is a classifier");
            return Err(Failure::new(text)
                .hint("measure it on real clips: --control same --classifier DIR")
                .into());
        }
        for group in &judge.groups {
            if !groups.contains(group) {
                let Attribute { name, classes } = group;
                let text = format!(
                    "the classifier tells {classes} classes of {name:?}, which {source} cannot be asked for"
                );
                return Err(Failure::new(text).hint("train both with the same label groups").into());
            }
        }
        if !judge.stride.is_multiple_of(stride) {
            let text = format!(
                "{source} was trained on every {stride}. frame, the classifier on every {}.",
                judge.stride
            );
            return Err(Failure::new(text).hint("train both with the same `train.frame_stride`").into());
        }
        let every = judge.stride / stride;
        let frames = ((judge.clip.frames - 1) * every + 1).max(spec.clip.frames);
        let given = args.given.map_or(0, |n| n as usize);
        if !sampler.context_range().contains(&given) || given >= frames {
            let (low, high) =
                (*sampler.context_range().start(), (*sampler.context_range().end()).min(frames - 1));
            let text = format!("--given {given}: {source} continues {low} to {high} frames");
            return Err(Failure::new(text).hint("give another number with --given").into());
        }
        SampleRequest { frames: Some(frames), ..SampleRequest::default() }.frames_for(&spec)?;
        Ok(Self { sampler, name: weights.source().to_owned(), stride, frames, every })
    }

    /// Clips with the classes asked for, one a seed, as the classifier takes them.
    fn clips(
        &self,
        judge: &Judge,
        given: Option<Tensor>,
        wanted: &[Vec<usize>],
        seed: u64,
    ) -> Result<Tensor> {
        let of = |(place, group): (usize, &Attribute)| {
            (group.name.clone(), wanted.iter().map(|clip| clip[place]).collect())
        };
        let request = SampleRequest {
            frames: Some(self.frames),
            attributes: judge.groups.iter().enumerate().map(of).collect(),
            context: given,
            ..SampleRequest::seeds((0..wanted.len() as u64).map(|k| seed.saturating_add(k)))
        };
        let made = self.sampler.sample(&request)?;
        judge.fitted(Frames::from_tensor(&made.tensor, made.pixels)?, self.every)
    }
}

fn report(args: &Args, judge: &Judge, clips: &str, num: usize, scores: &AttributeScores) -> Result<()> {
    let names = judge.groups.iter().map(|group| group.name.as_str());
    let accuracy: BTreeMap<&str, f64> = names.zip(scores.accuracy.iter().copied()).collect();
    if args.json {
        return console::json(&Row {
            metric: NAME,
            clips: clips.to_owned(),
            classifier: &judge.name,
            num,
            accuracy,
            joint_accuracy: scores.joint_accuracy,
            i_score: scores.i_score,
            intra_entropy: scores.intra_entropy,
            inter_entropy: scores.inter_entropy,
        });
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let each: Vec<String> =
        accuracy.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect();
    console::result(format!("{NAME}: {num} clips of {clips}"))?;
    console::result(format!("    accuracy {}; all {}", each.join(", "), percent(scores.joint_accuracy)))?;
    console::result(format!(
        "    I-score {}, intra-entropy {}, inter-entropy {} nats",
        significant(scores.i_score),
        significant(scores.intra_entropy),
        significant(scores.inter_entropy)
    ))?;
    Ok(console::result(format!("    classifier {}", judge.name))?)
}
