//! One training step and one sampled clip, presets `tiny` and `small`: `cargo bench -p vg-vgan`.

use candle_core::{DType, Device};
use criterion::{Criterion, criterion_group, criterion_main};
use vg_core::config::ModelConfig;
use vg_core::grad::Tape;
use vg_core::model::{Init, Model};
use vg_core::sample::SampleRequest;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, Rng};
use vg_vgan::{Config, Vgan};

fn step(c: &mut Criterion, preset: &str) {
    let config = Config::preset(preset).expect("a preset");
    let mut trainer = Vgan::trainer(&config, &Init::cpu(0)).expect("a trainer");
    let dims = config.clip_spec().dims(config.train.batch);
    let real = Rng::new(1).stream("real").uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu);
    let batch = Batch::of_clips(real.expect("a CPU tensor"));
    let mut step = 0;
    c.bench_function(&format!("step/{preset}"), |b| {
        b.iter(|| {
            step += 1;
            let (rng, mut log) = (Rng::new(0).child("step", step), StepLog::default());
            let mut cx = StepCx { rng, log: &mut log, step, clips_seen: 0, epoch_clips: 1 };
            let _tape = Tape::start();
            trainer.step(&batch, &mut cx).expect("a step");
        });
    });
    c.bench_function(&format!("sample/{preset}"), |b| {
        let sampler = trainer.sampler().expect("a sampler");
        b.iter(|| sampler.sample(&SampleRequest::seeds([7])).expect("a clip"));
    });
}

fn steps(c: &mut Criterion) {
    step(c, "tiny");
    step(c, "small");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = steps
}
criterion_main!(benches);
