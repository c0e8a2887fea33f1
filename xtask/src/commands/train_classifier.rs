//! `cargo xtask train-classifier`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use vg_core::grad::Tape;
use vg_core::loss::cross_entropy;
use vg_core::nn::{Linear, LinearConfig, Mode, ParamStore};
use vg_core::optim::{Adam, ParamGroup, update};
use vg_core::{Batch, BatchSource, BatchSpec, ClipSpec, Error, Pixels, Rng};
use vg_data::media::write_atomic;
use vg_data::{Loader, OpenOptions, Split};
use vg_metrics::network::procedural::{FEATURES, ProceduralNet, SIDE};

use crate::failure::Done;
use crate::{console, threads};

/// Clips of each data set in a batch.
const BATCH: usize = 32;
/// Frames of a clip.
const FRAMES: usize = 16;
/// Highest learning rate; it falls along half a cosine.
const LR: f64 = 2e-3;
/// Every second clip has noise, with a standard deviation up to this on the scale of [-1, 1]: clips of models are never clean, and a
/// network that has seen clean ones alone finds nothing but that in them.
const NOISE: f64 = 0.2;
/// Clips of each data set by which the result is judged.
const JUDGED: usize = 512;
/// Shapes come before digits.
const FIRST_DIGIT: u32 = 16;

/// Train the small network behind fvd-vg and is-vg
///
/// It learns the motion, outline and size of `shapes` and the digits of `digits` with one digit (drawn in code), 16 frames at 64x64,
/// every or every second frame, half of them with noise; a second head, which is not kept, learns the mean colour, so that features tell colours apart. The same
/// seed gives the same file on CPUs with the same vector instructions, whatever the number of threads. Values of fvd-vg hold for one
/// file only.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask train-classifier --out crates/vg-metrics/weights/procedural.safetensors\n  \
    cargo xtask train-classifier --steps 20 --out try.safetensors")]
pub struct Args {
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Steps of 64 clips
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Seed of weights and data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    threads::fix(args.threads)?;
    let mut student = Student::new(args.seed)?;
    let mut data = Data::open(Split::Train, args.seed)?;
    let bar = console::bar(args.steps, "{msg} [{bar:30}] {pos}/{len} steps {eta}");
    for step in 0..args.steps {
        let lesson = data.batch(step, BATCH)?.noised(&Rng::new(args.seed).child("noise", step))?;
        let loss = student.step(&lesson, step as f64 / args.steps as f64)?;
        bar.set_message(format!("loss {loss:.3}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let [shapes, digits] = student.accuracy(&mut Data::open(Split::Test, args.seed)?)?;
    let file = student.file()?;
    write_atomic(&args.out, |to| to.write_all(&file).map_err(Error::io("writing", &args.out)))?;
    let out = args.out.display();
    Ok(console::result(format!(
        "{out}: of clips that it has not seen it tells {:.1} % of the shapes and {:.1} % of the digits",
        100.0 * shapes,
        100.0 * digits
    ))
    .map(|()| Done::Good)?)
}

/// Both data sets.
struct Data {
    shapes: Loader,
    digits: Loader,
}

/// Clips `[2 B, 3, 16, 64, 64]` with their classes and mean colours.
struct Lesson {
    clips: Tensor,
    classes: Tensor,
    colours: Tensor,
}

impl Data {
    fn open(split: Split, seed: u64) -> Result<Self> {
        // No downloads are found here, so that digits are always those drawn in code.
        let options =
            OpenOptions { root: PathBuf::from("no downloads"), split, seed, ..OpenOptions::default() };
        let shapes = vg_data::open("shapes", &options)?;
        let digits = vg_data::open(
            "digits,digits=1,random-start,repeat",
            &OpenOptions { frames: Some(2 * FRAMES), ..options },
        )?;
        Ok(Self { shapes: vg_data::source(shapes, seed), digits: vg_data::source(digits, seed) })
    }

    fn batch(&mut self, step: u64, clips: usize) -> Result<Lesson> {
        let clip = ClipSpec { frames: FRAMES, height: SIDE, width: SIDE, channels: 3 };
        let spec = |labels: &[&str]| BatchSpec {
            frame_stride: 1 + (step % 2) as usize,
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            ..BatchSpec::clips(clips, clip, Pixels::Symmetric)
        };
        let position = step * clips as u64;
        let shapes = self.shapes.batch(&spec(&["motion", "kind", "size"]), position)?;
        let digits = self.digits.batch(&spec(&["class"]), position)?;
        let clips = Tensor::cat(&[&shapes.clips, &digits.clips], 0)?;
        let classes =
            Tensor::cat(&[shape_class(&shapes)?, (digits.label("class")? + f64::from(FIRST_DIGIT))?], 0)?;
        // In space and time; shapes are small, so that the mean is far from the ends of the scale.
        let colours = clips.mean((2, 3, 4))?.affine(8.0, 8.0)?;
        Ok(Lesson { clips, classes, colours })
    }
}

impl Lesson {
    fn noised(self, rng: &Rng) -> Result<Self> {
        let n = self.clips.dim(0)?;
        let mut stream = rng.stream("strength");
        let strengths: Vec<f32> = (0..n).map(|_| stream.uniform(-NOISE, NOISE).max(0.0) as f32).collect();
        let strengths = Tensor::from_vec(strengths, (n, 1, 1, 1, 1), &Device::Cpu)?;
        let noise = rng.stream("noise").normal_tensor(self.clips.dims(), DType::F32, &Device::Cpu)?;
        let clips = (self.clips + noise.broadcast_mul(&strengths)?)?.clamp(-1.0, 1.0)?;
        Ok(Self { clips, ..self })
    }
}

/// Motion, outline and size as one class.
fn shape_class(batch: &Batch) -> Result<Tensor> {
    let (motion, kind, size) = (batch.label("motion")?, batch.label("kind")?, batch.label("size")?);
    Ok((((motion * 2.0)? + kind)? * 4.0)?.add(size)?)
}

struct Student {
    store: ParamStore,
    net: ProceduralNet,
    colour: Linear,
    params: ParamGroup,
}

impl Student {
    fn new(seed: u64) -> Result<Self> {
        let store = ParamStore::init(Rng::new(seed).child("weights", 0), DType::F32, &Device::Cpu);
        let source = store.source();
        let net = ProceduralNet::new(&source.pp("net"))?;
        let colour = Linear::new(FEATURES, 3, LinearConfig::default(), &source.pp("colour"))?;
        let params = ParamGroup::new("all", store.vars(""), Adam::new(LR, 0.9, 0.999))?;
        Ok(Self { store, net, colour, params })
    }

    /// One update; `progress` runs from 0 to 1.
    fn step(&mut self, lesson: &Lesson, progress: f64) -> Result<f64> {
        self.params.set_lr(LR * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
        let _tape = Tape::start();
        let outputs = self.net.forward(&lesson.clips, Mode::TRAIN)?;
        let colours = self.colour.forward(&outputs.features, Mode::TRAIN)?;
        let of_colour = (colours - &lesson.colours)?.sqr()?.mean_all()?;
        let loss = (cross_entropy(&outputs.logits, &lesson.classes)? + of_colour)?;
        update([(&mut self.params, &loss)])?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// What is kept.
    fn file(&self) -> Result<Vec<u8>> {
        let tensors = self.store.tensors("net.").into_iter();
        let named = tensors.map(|(name, tensor)| (name.trim_start_matches("net.").to_owned(), tensor));
        Ok(ProceduralNet::file_of(&named.collect())?)
    }

    /// Shares of right answers for shapes and digits.
    fn accuracy(&self, data: &mut Data) -> Result<[f64; 2]> {
        let mut right = [0u32; 2];
        for step in 0..(JUDGED / BATCH) as u64 {
            let lesson = data.batch(step, BATCH)?;
            let answers = self.net.forward(&lesson.clips, Mode::EVAL)?.logits.argmax(D::Minus1)?;
            let equal = answers.eq(&lesson.classes)?.to_dtype(DType::U32)?;
            for (i, count) in right.iter_mut().enumerate() {
                *count += equal.narrow(0, i * BATCH, BATCH)?.sum_all()?.to_scalar::<u32>()?;
            }
        }
        Ok(right.map(|n| f64::from(n) / JUDGED as f64))
    }
}
