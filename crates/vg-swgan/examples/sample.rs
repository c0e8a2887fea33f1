//! Draws clips from saved weights and prints their mean brightness by frame:
//! `cargo run --release -p vg-swgan --example sample -- runs/0001-swgan-emoji/checkpoints/step-004000`.

use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{SampleRequest, Sampler};
use vg_core::{Error, Result};
use vg_swgan::Swgan;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let sampler = Swgan::sampler(&config_of::<Swgan>(&weights)?, &weights, &Init::cpu(0))?;
    let clips = sampler.sample(&SampleRequest::seeds(0..4))?.tensor;
    for (seed, clip) in (0..).zip(clips.chunk(4, 0)?) {
        let frames = clip.mean((0, 1, 3, 4))?.to_vec1::<f32>()?;
        #[expect(clippy::print_stdout, reason = "an example shows its result")]
        {
            println!("clip {seed}: {frames:.2?}");
        }
    }
    Ok(())
}
