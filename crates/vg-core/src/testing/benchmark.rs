//! The benchmark of every model: one training step and one sampled clip.

use crate::grad::Tape;
use crate::model::{Init, Model};
use crate::testing::conformance::request;
use crate::testing::random_batch;
use crate::train::{StepCx, StepLog, Trainer};
use crate::{Batch, Rng};

/// Criterion's groups for a model's presets: `vg_core::testing::benchmark!(vg_tgan::Tgan, ["tiny", "small"])` is a whole bench file, whose
/// crate has criterion among its development dependencies.
#[macro_export]
macro_rules! benchmark {
    ($model:ty, $presets:expr) => {
        fn steps(c: &mut criterion::Criterion) {
            for preset in $presets {
                let mut bench = $crate::testing::Steps::<$model>::new(preset);
                c.bench_function(&format!("step/{preset}"), |b| b.iter(|| bench.step()));
                c.bench_function(&format!("sample/{preset}"), |b| b.iter(|| bench.sample()));
            }
        }
        criterion::criterion_group! {
            name = benches;
            config = criterion::Criterion::default().sample_size(10);
            targets = steps
        }
        criterion::criterion_main!(benches);
    };
}

/// A trainer on a batch of noise.
pub struct Steps<M: Model> {
    trainer: M::Trainer,
    batch: Batch,
    step: u64,
}

impl<M: Model> Steps<M> {
    /// The trainer of a preset.
    ///
    /// # Panics
    /// When there is no such preset.
    pub fn new(preset: &str) -> Self {
        use crate::config::ModelConfig;
        let config = M::Config::preset(preset).expect("a preset");
        let trainer = M::trainer(&config, &Init::cpu(0)).expect("a trainer");
        let batch = random_batch(&trainer.needs(), &Rng::new(1));
        Self { trainer, batch, step: 0 }
    }

    /// One training step as the driver makes it.
    ///
    /// # Panics
    /// When the step fails.
    pub fn step(&mut self) {
        self.step += 1;
        let (rng, mut log) = (Rng::new(0).child("step", self.step), StepLog::default());
        let mut cx = StepCx { rng, log: &mut log, step: self.step, clips_seen: 0, epoch_clips: 1 };
        let _tape = Tape::start();
        self.trainer.step(&self.batch, &mut cx).expect("a step");
    }

    /// One clip, from given frames and maps of noise where the model takes some.
    ///
    /// # Panics
    /// When sampling fails.
    pub fn sample(&self) {
        let sampler = self.trainer.sampler().expect("a sampler");
        sampler.sample(&request(&*sampler, &[7])).expect("a clip");
    }
}
