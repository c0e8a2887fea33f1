//! Draws clips of every class of the first label group from saved weights and prints what the model's own classifier says of them:
//! `cargo run --release -p vg-videovae --example sample -- runs/0001-videovae-shapes/checkpoints/step-000600`.

use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{SampleRequest, Sampler};
use vg_core::{Error, Result};
use vg_videovae::Videovae;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let sampler = Videovae::sampler(&config_of::<Videovae>(&weights)?, &weights, &Init::cpu(0))?;
    let groups = sampler.attributes();
    let first = &groups[0];
    for class in 0..first.classes {
        let request = SampleRequest { class: Some(class), ..SampleRequest::seeds(0..8) };
        let found = sampler.infer(&sampler.sample(&request)?.tensor)?;
        let right = found[0].iter().filter(|found| **found as usize == class).count();
        #[expect(clippy::print_stdout, reason = "an example shows its result")]
        {
            println!("{} {class}: {right} of 8 clips show it", first.name);
        }
    }
    Ok(())
}
