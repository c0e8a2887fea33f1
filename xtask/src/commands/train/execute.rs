//! Starts, continues and ends a run.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use vg_core::checkpoint::{CONFIG_FILE, CheckpointReader, Progress};
use vg_core::config::ConfigSource;
use vg_core::model::{Init, parse_config_file};
use vg_core::train::{Driver, Outcome};
use vg_core::{BatchSource, Error};
use vg_data::Loader;

use super::Args;
use super::describe::Description;
use super::plan::{self, Probe, Setup};
use super::watch::Watch;
use crate::data::DataChoice;
use crate::failure::{Done, Failure};
use crate::run::{DataContent, New, RunFolder, RunRecord, Times, clock};
use crate::{console, interrupt, registry, report, threads};

/// A new run.
pub fn start(args: &Args) -> Result<Done> {
    let setup = Setup::resolve(args)?;
    let threads = threads::fix(args.threads)?;
    let seed = args.seed.unwrap_or(0);
    let data = plan::data_choice(args)?;
    let (out, model, set) = (args.out.as_deref(), setup.model.name(), data.name.clone());
    let planned = RunFolder::plan(out, model, &set)?;
    let probe = Probe::of(&*setup.experiment, &Init::cpu(seed))?;
    if let Some(text) = probe.missing_start.filter(|_| args.from.is_none()) {
        console::warn(format!("{}, preset {}: {text}", setup.model.name(), setup.preset));
    }
    let draft = Draft { args, setup: &setup, probe: &probe, threads, seed };
    if args.dry_run {
        let content = DataContent { clips: data.count()?, fingerprint: String::new() };
        let record = draft.record(data, content)?;
        Description { setup: &setup, probe: &probe, record: &record, folder: &planned }.print(args.json)?;
        return Ok(Done::Good);
    }
    let mut loader = vg_data::source(data.open(probe.needs.fitted().into())?, seed);
    plan::check_data(&mut loader, &probe.needs)?;
    let from = args.from.as_deref().map(starting_point).transpose()?;
    if let Some(checkpoint) = &from {
        // Refused before there is a folder.
        setup.experiment.trainer(&Init::cpu(seed))?.start_from(checkpoint)?;
    }
    let record = draft.record(data, DataContent::of(loader.info()))?;
    let folder = RunFolder::create(out, model, &set)?;
    let lock = folder.lock()?;
    folder.write_config(&*setup.experiment, &setup.preset)?;
    record.write(folder.path())?;
    if !args.json {
        Description { setup: &setup, probe: &probe, record: &record, folder: folder.path() }.note()?;
    }
    let run = Run { setup: &setup, loader, record: &record, folder: &folder, json: args.json };
    let done = run.go(from.map_or(Begin::Fresh, Begin::From));
    drop(lock);
    done
}

/// What is known of a new run before its data.
struct Draft<'a> {
    args: &'a Args,
    setup: &'a Setup,
    probe: &'a Probe,
    threads: usize,
    seed: u64,
}

impl Draft<'_> {
    fn record(&self, data: DataChoice, content: DataContent) -> Result<RunRecord> {
        Ok(RunRecord::begin(New {
            model: self.setup.model.name().to_owned(),
            preset: self.setup.preset.clone(),
            seed: self.seed,
            threads: self.threads,
            schedule: plan::times(self.args, content.clips, &self.probe.needs)?,
            data,
            content,
        }))
    }
}

/// The run in `path`, from its newest sound checkpoint.
pub fn resume(args: &Args, path: &Path) -> Result<Done> {
    let mut record = RunRecord::read(path)?;
    if let Some(model) = args.model.as_ref().filter(|m| **m != record.model) {
        return Err(
            Failure::new(format!("{} is a run of {}, not of {model}", path.display(), record.model)).into()
        );
    }
    let folder = RunFolder::at(path);
    let lock = folder.lock()?;
    let setup = setup_of(&folder, &record)?;
    let checkpoint = folder.newest_checkpoint()?;
    let threads = threads::fix(args.threads)?;
    let probe = Probe::of(&*setup.experiment, &Init::cpu(record.seed))?;
    let mut loader = vg_data::source(record.data.open(probe.needs.fitted().into())?, record.seed);
    plan::check_data(&mut loader, &probe.needs)?;
    let made = checkpoint.progress();
    let steps = plan::steps(args, record.content.clips, &probe.needs)?;
    if !extend(&mut record.schedule, steps, args.budget) && record.schedule.budget_secs > 0.0 {
        let begun = record.resumed.last().map_or(0, |start| start.step);
        let used = clock::seconds(&clock::stats(path)?, begun, made.step);
        let left = record.schedule.budget_secs - used;
        if left <= 0.0 || made.step >= record.schedule.steps {
            return time_is_up(path, record.schedule.budget_secs);
        }
        record.schedule.budget_secs = left;
    }
    if made.step >= record.schedule.steps {
        return finished_already(path, made, record.schedule.steps);
    }
    let to = match record.schedule.budget_secs {
        0.0 => format!("to {}", record.schedule.steps),
        secs => format!("for {}", clock::in_words(secs)),
    };
    if args.dry_run {
        console::result(format!("would continue {} from step {} {to}", path.display(), made.step))?;
        return Ok(Done::Good);
    }
    record.resume(made.step, threads);
    record.write(path)?;
    console::note(format!("continuing {} from step {} {to}", path.display(), made.step));
    let run = Run { setup: &setup, loader, record: &record, folder: &folder, json: args.json };
    let done = run.go(Begin::Resume(checkpoint));
    drop(lock);
    done
}

/// Sets the length that a resumed run is given now, if any.
fn extend(schedule: &mut Times, steps: Option<u64>, budget: Option<Duration>) -> bool {
    if let Some(steps) = steps {
        (schedule.steps, schedule.budget_secs) = (steps, 0.0);
    }
    if let Some(budget) = budget {
        (schedule.steps, schedule.budget_secs) = (plan::MOST_STEPS, budget.as_secs_f64());
    }
    steps.is_some() || budget.is_some()
}

fn time_is_up(path: &Path, budget: f64) -> Result<Done> {
    let (path, budget) = (path.display(), clock::in_words(budget));
    console::note(format!("{path} has used its {budget}; ask for more with `--budget` or `--steps`"));
    Ok(Done::Good)
}

fn finished_already(path: &Path, made: Progress, steps: u64) -> Result<Done> {
    if made.step > steps {
        let text = format!("{} has made {} steps already, more than {steps}", path.display(), made.step);
        return Err(Failure::new(text).hint("ask for more with `--steps`").into());
    }
    console::note(format!(
        "{} has made all of its {steps} steps; ask for more with `--steps`",
        path.display()
    ));
    Ok(Done::Good)
}

/// Model and configuration as the run's `config.json` has them.
fn setup_of(folder: &RunFolder, record: &RunRecord) -> Result<Setup> {
    let path = folder.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
    let at_path = |e: Error| Failure::new(path.display().to_string()).because(e);
    let file = parse_config_file(&text).map_err(at_path)?;
    let model = registry::find(&file.model)?;
    let config = file.config.to_string();
    let source = ConfigSource { json: Some(&config), ..Default::default() };
    let experiment = (model.entry.open)(&source).map_err(at_path)?;
    Ok(Setup { model, experiment, preset: record.preset.clone() })
}

/// The checkpoint of another run, or the newest of a run's.
fn starting_point(path: &Path) -> Result<CheckpointReader> {
    if path.join(RunRecord::FILE).exists() {
        return RunFolder::at(path).newest_checkpoint();
    }
    let found = CheckpointReader::open(path);
    Ok(found.map_err(|e| {
        Failure::new(format!("--from {}: no run and no checkpoint", path.display())).because(e)
    })?)
}

/// What the networks begin with.
enum Begin {
    Fresh,
    /// Weights of another run.
    From(CheckpointReader),
    /// The state of this one.
    Resume(CheckpointReader),
}

/// A run that is ready to go.
struct Run<'a> {
    setup: &'a Setup,
    loader: Loader,
    record: &'a RunRecord,
    folder: &'a RunFolder,
    json: bool,
}

impl Run<'_> {
    fn go(mut self, begin: Begin) -> Result<Done> {
        let init = Init::cpu(self.record.seed);
        let mut driver = Driver::new(&*self.setup.experiment, &mut self.loader, init, self.folder.path())?;
        match begin {
            Begin::Fresh => {}
            Begin::From(checkpoint) => driver.start_from(&checkpoint)?,
            Begin::Resume(checkpoint) => driver.load(&checkpoint)?,
        }
        let mut watch = Watch::new(self.folder, self.record.schedule, driver.progress(), self.json)?;
        watch.start(self.record)?;
        let flag = interrupt::flag("finishing the step and saving")?;
        let outcome = driver.run(&self.record.schedule.into(), &mut watch, flag);
        let progress = driver.progress();
        drop(driver);
        watch.end();
        let report = self.report();
        if matches!(outcome, Ok(Outcome::Finished)) {
            self.note_end(progress)?;
        }
        match outcome {
            Ok(outcome) => self.summary(outcome, progress, report.as_deref()),
            Err(error) => Err(explain(error, self.folder)),
        }
    }

    /// A run that has used its time is a run of as many steps as it made: without more time or steps there is nothing to go on with.
    fn note_end(&self, progress: Progress) -> Result<()> {
        if self.record.schedule.budget_secs == 0.0 {
            return Ok(());
        }
        let schedule = Times { steps: progress.step, ..self.record.schedule };
        RunRecord { schedule, ..self.record.clone() }.write(self.folder.path())
    }

    /// A report that cannot be written does not spoil the run.
    fn report(&self) -> Option<std::path::PathBuf> {
        let written = report::write(self.folder.path());
        written.map_err(|e| console::warn(format!("no report: {}", crate::failure::text(&e)))).ok()
    }

    fn summary(&self, outcome: Outcome, progress: Progress, report: Option<&Path>) -> Result<Done> {
        let folder = self.folder.path().display();
        let checkpoint = self.folder.checkpoints().pop();
        let clips = Some(self.folder.join("samples.gif")).filter(|p| p.exists());
        let finished = outcome == Outcome::Finished;
        if self.json {
            console::json(&json!({
                "event": "end", "outcome": if finished { "finished" } else { "interrupted" }, "step": progress.step,
                "clips_seen": progress.clips_seen, "folder": self.folder.path(), "checkpoint": checkpoint,
                "samples": clips, "report": report,
            }))?;
        } else {
            let done = if finished { "finished" } else { "interrupted and saved" };
            let Times { steps, budget_secs, .. } = self.record.schedule;
            let of = if budget_secs > 0.0 { String::new() } else { format!(" of {steps}") };
            console::result(format!("{done} at step {}{of}", progress.step))?;
            for (what, path) in
                [("clips", clips.as_deref()), ("report", report), ("checkpoint", checkpoint.as_deref())]
            {
                if let Some(path) = path {
                    console::result(format!("  {what:10} {}", path.display()))?;
                }
            }
            let (what, command) = if finished {
                ("sample", format!("cargo xtask sample {folder}"))
            } else {
                ("resume", format!("cargo xtask train --resume {folder}"))
            };
            console::result(format!("  {what:10} {command}"))?;
        }
        Ok(if finished { Done::Good } else { Done::Interrupted })
    }
}

/// Says what is left of a run that failed.
fn explain(error: Error, folder: &RunFolder) -> anyhow::Error {
    let is_broken_loss = matches!(error, Error::NonFinite { .. });
    let is_full_disk =
        matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull);
    let path = folder.path().display();
    let left = match folder.checkpoints().pop() {
        Some(checkpoint) => format!("{} is intact", checkpoint.display()),
        None => "no checkpoint had been written yet".to_owned(),
    };
    let hint = if is_broken_loss {
        format!(
            "{left}; start a new run with a lower learning rate (`--set train.lr=...`) or another seed (`--seed`)"
        )
    } else if is_full_disk {
        format!("free some space on that disk; {left}; then `cargo xtask train --resume {path}`")
    } else {
        format!("{left}; when the cause is gone: `cargo xtask train --resume {path}`")
    };
    Failure::new(format!("the run in {path} stopped")).hint(hint).because(error).into()
}
