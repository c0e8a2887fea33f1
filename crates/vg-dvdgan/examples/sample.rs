//! Samples clips from saved weights, plain and with narrow noise, and prints how bright each frame is:
//! `cargo run --release -p vg-dvdgan --example sample -- runs/0001-dvdgan-shapes/checkpoints/step-000600`.

use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{Noise, SampleRequest, Sampler};
use vg_core::{Error, Result};
use vg_dvdgan::Dvdgan;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let sampler = Dvdgan::sampler(&config_of::<Dvdgan>(&weights)?, &weights, &Init::cpu(0))?;
    for noise in [Noise::default(), Noise::Normal(0.44)] {
        let clips = sampler.sample(&SampleRequest { noise, ..SampleRequest::seeds(0..4) })?.tensor;
        let frames = clips.mean((1, 3, 4))?.to_vec2::<f32>()?;
        for (seed, means) in frames.iter().enumerate() {
            let means: Vec<String> = means.iter().map(|m| format!("{m:+.2}")).collect();
            #[expect(clippy::print_stdout, reason = "an example shows its result")]
            {
                println!("{noise:?}, clip {seed}: {}", means.join(" "));
            }
        }
    }
    Ok(())
}
