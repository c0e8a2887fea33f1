//! The training loop of all models.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::log::{Scalar, StepLog, check_finite};
use super::observer::{ClassRows, Observer, StepReport};
use super::trainer::{StepCx, Trainer};
use crate::checkpoint::{CheckpointReader, CheckpointWriter, Progress, step_folders};
use crate::grad::Tape;
use crate::model::{Experiment, Init};
use crate::sample::{ClassNames, SampleRequest, SampleSpec, Sampler, evenly_chosen};
use crate::{BatchSource, BatchSpec, Error, Result, Rng, SourceInfo};

/// Folder of a run's checkpoints, inside the run's folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// Classes that are sampled at ticks; of more, this many are chosen evenly.
const CLASS_ROWS: usize = 10;
/// Clips of each, at most.
const CLASS_COLUMNS: u64 = 4;

/// How long a run is and what happens on the way. An interval of 0 means never.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Steps in all, those before a resume included.
    pub steps: u64,
    /// Steps between checkpoints; one is always written at the end.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept, at least 2 so that a damaged one can be survived.
    pub keep_checkpoints: usize,
    /// Steps between sample clips; some are always made at the end.
    pub sample_every: u64,
    /// Number of sample clips.
    pub samples: u64,
    /// Steps between readings of losses (each waits for the device).
    pub log_every: u64,
    /// Time after which the run ends, whatever its steps.
    pub budget: Option<Budget>,
}

/// A run that is measured by the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Time for steps, samples and checkpoints of this start of the run; the step under way is finished.
    pub total: Duration,
    /// Checkpoints and samples, evenly over it, the last ones at its end; besides those of the schedule's steps.
    pub ticks: u32,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are made, or the budget of time is used up.
    Finished,
    /// The interrupt flag was raised; the step was finished and saved.
    Interrupted,
}

impl Budget {
    fn ticks(&self) -> u32 {
        self.ticks.max(1)
    }

    /// Ticks that lie before a time.
    pub(super) fn ticks_at(&self, elapsed: Duration) -> u32 {
        if elapsed >= self.total {
            return self.ticks();
        }
        (elapsed.as_secs_f64() / self.total.as_secs_f64() * f64::from(self.ticks())) as u32
    }
}

/// A run: a trainer, its data, and a folder.
pub struct Driver<'a> {
    experiment: &'a dyn Experiment,
    trainer: Box<dyn Trainer>,
    source: &'a mut dyn BatchSource,
    init: Init,
    folder: PathBuf,
    progress: Progress,
}

impl<'a> Driver<'a> {
    /// A run from fresh weights that keeps its checkpoints below `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that does not make sense, [`Error::Data`] for data with other numbers of classes than the
    /// model is made for.
    pub fn new(
        experiment: &'a dyn Experiment,
        source: &'a mut dyn BatchSource,
        init: Init,
        folder: &Path,
    ) -> Result<Self> {
        let trainer = experiment.trainer(&init)?;
        trainer.needs().check_classes(source.info())?;
        Ok(Self {
            experiment,
            trainer,
            source,
            init,
            folder: folder.to_path_buf(),
            progress: Progress::default(),
        })
    }

    /// Continues from a checkpoint: weights, optimizer state, random streams and position in the data.
    ///
    /// # Errors
    /// [`Error::Data`] when the data or the seed are not those of the checkpoint, [`Error::Weights`] when it does not fit the model.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let expected: String = checkpoint.value("run.data")?;
        let found = &self.source.info().fingerprint;
        if &expected != found {
            return Err(Error::Data(format!(
                "the data set {} has changed since the checkpoint was written (fingerprint {found}, expected {expected}); \
                 restore it, or start a new run",
                self.source.info().name
            )));
        }
        let seed: u64 = checkpoint.value("run.seed")?;
        if seed != self.init.seed {
            return Err(Error::Data(format!(
                "{} was made with seed {seed}, not {}",
                checkpoint.path().display(),
                self.init.seed
            )));
        }
        self.trainer.load(checkpoint)?;
        self.progress = checkpoint.progress();
        Ok(())
    }

    /// Starts from weights of another run; see [`Trainer::start_from`].
    pub fn start_from(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        self.trainer.start_from(checkpoint)
    }

    /// The trainer.
    pub fn trainer(&self) -> &dyn Trainer {
        &*self.trainer
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Runs until the schedule ends, its budget of time is used up or `interrupt` becomes true; in each case the last step is saved.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss that is not finite: nothing is saved then, the last checkpoint stays. Errors of the data,
    /// the disk and the observer.
    pub fn run(
        &mut self,
        schedule: &Schedule,
        observer: &mut dyn Observer,
        interrupt: &AtomicBool,
    ) -> Result<Outcome> {
        remove_leftovers(&self.folder.join(CHECKPOINTS), observer);
        let (started, mut ticks) = (Instant::now(), 0);
        while self.progress.step < schedule.steps {
            self.step(schedule, observer)?;
            let step = self.progress.step;
            let passed = schedule.budget.map_or(0, |budget| budget.ticks_at(started.elapsed()));
            let tick = std::mem::replace(&mut ticks, passed) < passed;
            let finished = step == schedule.steps || schedule.budget.is_some_and(|b| passed >= b.ticks());
            let stop = interrupt.load(Ordering::SeqCst);
            if finished || tick || is_tick(step, schedule.sample_every) {
                self.sample(schedule, observer)?;
            }
            if finished || stop || tick || is_tick(step, schedule.checkpoint_every) {
                self.save(schedule, observer)?;
            }
            if finished {
                break;
            }
            if stop {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Finished)
    }

    fn step(&mut self, schedule: &Schedule, observer: &mut dyn Observer) -> Result<()> {
        let started = Instant::now();
        let spec = self.trainer.needs();
        let batch = self.source.batch(&spec, self.progress.clips_seen)?;
        let batch = batch.to(self.init.dtype, &self.init.device)?;
        let data_secs = started.elapsed().as_secs_f64();

        let started = Instant::now();
        let step = self.progress.step + 1;
        let mut log = StepLog::default();
        let mut cx = StepCx {
            rng: Rng::new(self.init.seed).child("step", step),
            log: &mut log,
            step,
            clips_seen: self.progress.clips_seen,
            epoch_clips: self.source.info().clips,
        };
        let made = {
            let _tape = Tape::start();
            self.trainer.step(&batch, &mut cx)
        };
        if made.is_err() {
            // A step that fails on broken numbers is better explained by its losses.
            check_finite(&log.read()?, step)?;
        }
        made?;
        self.progress = Progress { step, clips_seen: self.progress.clips_seen + spec.clips as u64 };
        let scalars = if self.reads_losses(schedule) { log.read()? } else { Vec::<Scalar>::new() };
        let step_secs = started.elapsed().as_secs_f64();
        check_finite(&scalars, step)?;
        observer.step(&StepReport { progress: self.progress, scalars: &scalars, data_secs, step_secs })
    }

    /// Losses are read at ticks, and before anything is saved, so that no checkpoint holds the weights of a broken step.
    fn reads_losses(&self, schedule: &Schedule) -> bool {
        let step = self.progress.step;
        self.init.device.is_cpu()
            || step == schedule.steps
            || is_tick(step, schedule.log_every)
            || is_tick(step, schedule.checkpoint_every)
    }

    fn sample(&mut self, schedule: &Schedule, observer: &mut dyn Observer) -> Result<()> {
        let sampler = self.trainer.sampler()?;
        let spec = sampler.spec();
        if schedule.samples == 0 || spec.max_frames == 0 {
            return Ok(());
        }
        let mut request = SampleRequest::seeds(0..schedule.samples);
        if spec.context_frames > 0 || !spec.maps.is_empty() {
            let needs = self.trainer.needs();
            let clip = if spec.maps.is_empty() { needs.clip } else { spec.clip };
            let clips = schedule.samples as usize;
            let maps = spec.maps.clone();
            let wanted = BatchSpec { clips, clip, images: 0, labels: Vec::new(), maps, flip: false, ..needs };
            given(self.source, &wanted, &spec, &self.init, &mut request)?;
        }
        let (clips, parts) = sampler.sample_parts(&request)?;
        observer.samples(self.progress, &clips)?;
        observer.parts(self.progress, &parts)?;
        if spec.classes > 1 {
            let names = class_names(&*self.trainer, self.source.info());
            let columns = schedule.samples.min(CLASS_COLUMNS);
            let rows = class_rows(&*sampler, &names, columns, request.context.as_ref())?;
            observer.class_samples(self.progress, &rows)?;
        }
        Ok(())
    }

    fn save(&self, schedule: &Schedule, observer: &mut dyn Observer) -> Result<()> {
        let mut writer = CheckpointWriter::default();
        self.trainer.save(&mut writer)?;
        writer.value("run.seed", &self.init.seed)?;
        writer.value("run.data", &self.source.info().fingerprint)?;
        writer.classes(class_names(&*self.trainer, self.source.info()));
        let folder = self.folder.join(CHECKPOINTS);
        let path = folder.join(format!("step-{:06}", self.progress.step));
        writer.write(&path, self.experiment.card().name, &self.experiment.config_file(), self.progress)?;
        remove_old(&folder, schedule.keep_checkpoints.max(2))?;
        observer.checkpoint(self.progress, &path)
    }
}

/// Names of the classes that a trainer asks labels for.
fn class_names(trainer: &dyn Trainer, data: &SourceInfo) -> ClassNames {
    let groups = trainer.needs().labels;
    ClassNames::new(
        groups.into_iter().filter_map(|group| Some((group.clone(), data.classes.get(&group)?.clone()))),
    )
}

/// A row of clips for each of some classes, from the seeds of the first samples and with their given frames.
fn class_rows(
    sampler: &dyn Sampler,
    names: &ClassNames,
    columns: u64,
    context: Option<&Tensor>,
) -> Result<ClassRows> {
    let of = sampler.spec().classes;
    let (chosen, group) = (evenly_chosen(of, CLASS_ROWS), names.first_group(&sampler.attributes()));
    let rows = chosen.len();
    let context = context.map(|all| {
        let row = all.narrow(0, 0, columns as usize)?;
        Tensor::cat(&vec![row; rows], 0)
    });
    let request = SampleRequest {
        classes: chosen.iter().flat_map(|class| (0..columns).map(|_| *class)).collect(),
        context: context.transpose()?,
        ..SampleRequest::seeds((0..rows).flat_map(|_| 0..columns))
    };
    Ok(ClassRows {
        of,
        rows: chosen.iter().map(|class| (*class, names.name(&group, *class))).collect(),
        columns: columns as usize,
        clips: sampler.sample(&request)?,
    })
}

/// First frames and maps of the first clips of the data, the same at every tick.
fn given(
    source: &mut dyn BatchSource,
    wanted: &BatchSpec,
    spec: &SampleSpec,
    init: &Init,
    request: &mut SampleRequest,
) -> Result<()> {
    let batch = source.batch(wanted, 0)?.to(init.dtype, &init.device)?;
    if spec.context_frames > 0 {
        request.context = Some(batch.clips.narrow(2, 0, spec.context_frames)?.contiguous()?);
    }
    request.maps = batch.maps;
    Ok(())
}

fn is_tick(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

fn remove_old(checkpoints: &Path, keep: usize) -> Result<()> {
    let found = step_folders(checkpoints)?;
    for (_, path) in found.iter().take(found.len().saturating_sub(keep)) {
        std::fs::remove_dir_all(path).map_err(Error::io("removing", path))?;
    }
    Ok(())
}

/// Removes temporary folders of writes that were killed.
fn remove_leftovers(checkpoints: &Path, observer: &mut dyn Observer) {
    let Ok(entries) = std::fs::read_dir(checkpoints) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        let is_temporary = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".tmp-"));
        if is_temporary && let Err(error) = std::fs::remove_dir_all(&path) {
            observer.warning(&format!("{} could not be removed: {error}", path.display()));
        }
    }
}
