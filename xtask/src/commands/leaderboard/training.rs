//! The training of a model that takes part, in a process of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use super::Args;
use super::entrant::{Entrant, Training};
use crate::console;
use crate::failure::{Done, Failure};
use crate::run::{RunFolder, clock};

/// Checkpoints that are kept: one each tenth of the time.
const KEEP: usize = 11;

impl Entrant {
    /// Trains it for what is left of its time.
    ///
    /// # Errors
    /// [`Failure`] when the training failed; those of the disk.
    pub fn train(&self, args: &Args) -> Result<Done> {
        let Some(training) = &self.training else { return Ok(Done::Good) };
        let Some(left) = clock::left(args.budget.as_secs_f64(), self.trained()?.0) else {
            console::note(format!("{} is trained already: {}", self.label, self.folder.display()));
            return Ok(Done::Good);
        };
        let program = std::env::current_exe().map_err(vg_core::Error::io("finding", "this program"))?;
        let mut command = Command::new(program);
        command.arg("train");
        if self.can_resume()? {
            command.arg("--resume").arg(&self.folder);
        } else {
            self.start(&mut command, training, args);
        }
        let time = humantime::format_duration(Duration::from_millis((1e3 * left).ceil() as u64));
        command.args(["--budget", &time.to_string().replace(' ', "")]);
        if let Some(threads) = args.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        console::note(format!("training {} for {}", self.label, clock::in_words(left)));
        let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let ended = ended.map_err(vg_core::Error::io("starting", "a training"))?;
        match ended.code() {
            Some(0) => Ok(Done::Good),
            Some(130) => Ok(Done::Interrupted),
            _ => Err(Failure::new(format!("the training of {} failed ({ended})", self.label))
                .hint("what went wrong stands above; the same command goes on from here")
                .into()),
        }
    }

    /// Whether there is a run to go on with. One that ended before its first checkpoint has nothing to keep and makes room.
    fn can_resume(&self) -> Result<bool> {
        let folder = RunFolder::at(&self.folder);
        if !self.is_begun() {
            return Ok(false);
        }
        if folder.checkpoints().is_empty() {
            let lock = folder.lock()?;
            std::fs::remove_dir_all(&self.folder).map_err(vg_core::Error::io("removing", &self.folder))?;
            drop(lock);
            return Ok(false);
        }
        Ok(true)
    }

    fn start(&self, command: &mut Command, training: &Training, args: &Args) {
        command.arg(&training.name).arg("--out").arg(&self.folder).args(["--data", &args.data]);
        command.args(["--split", &vg_data::Split::from(args.split).to_string()]);
        // As in the measurement, which refuses broken files.
        command.arg("--root").arg(&args.root).arg("--strict");
        command.args(["--seed", &args.seed.to_string(), "--keep", &KEEP.to_string()]);
        if let Some(preset) = &training.preset {
            command.args(["--preset", preset]);
        }
        for set in &training.sets {
            command.args(["--set", set]);
        }
    }
}
