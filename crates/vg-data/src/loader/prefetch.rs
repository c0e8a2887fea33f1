//! One worker thread that stays a few batches ahead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

use vg_core::{Batch, BatchSpec, Error, Result};

use super::{assemble, plan::Plan};

/// Batches of one spec at consecutive positions, prepared by a thread that ends with this value.
pub(super) struct Ahead {
    spec: BatchSpec,
    position: u64,
    batches: Option<Receiver<Result<Batch>>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts at `position`, with at most `batches` finished or in work ahead of the one being used.
    pub(super) fn start(plan: Arc<Plan>, spec: BatchSpec, position: u64, batches: usize) -> Result<Self> {
        // The worker holds one batch itself while the queue is full.
        let (sender, receiver) = sync_channel(batches - 1);
        let stop = Arc::new(AtomicBool::new(false));
        let (wanted, stopped) = (spec.clone(), Arc::clone(&stop));
        let work = move || {
            let mut at = position;
            while !stopped.load(Ordering::Relaxed) {
                let batch = assemble::batch(&plan, &wanted, at);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
                at += wanted.clips as u64;
            }
        };
        let worker = std::thread::Builder::new()
            .name("vg-data loader".to_owned())
            .spawn(work)
            .map_err(|error| Error::Data(format!("the loader's thread could not be started: {error}")))?;
        Ok(Self { spec, position, batches: Some(receiver), stop, worker: Some(worker) })
    }

    /// Whether the next batch is the one asked for.
    pub(super) fn serves(&self, spec: &BatchSpec, position: u64) -> bool {
        self.position == position && self.spec == *spec
    }

    /// Waits for the next batch.
    pub(super) fn next(&mut self) -> Result<Batch> {
        let batch = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        self.position += self.spec.clips as u64;
        batch.unwrap_or_else(|| {
            Err(Error::Data("the loader's thread ended unexpectedly; ask for the batch again".to_owned()))
        })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Without its receiver the worker cannot block on a full queue; it ends after the batch in work.
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            // A panic in the worker was already seen as a closed channel.
            let _ = worker.join();
        }
    }
}
