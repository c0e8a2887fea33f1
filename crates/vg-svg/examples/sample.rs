//! Draws several futures of the same given frames from saved weights and prints how far they are apart, frame by frame:
//! `cargo run --release -p vg-svg --example sample -- runs/0001-svg-shapes/checkpoints/step-000600`.
//!
//! The given frames are noise here; in a program they come from a clip, on [0, 1].

use candle_core::{DType, Device};
use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{SampleRequest, Sampler};
use vg_core::{ClipSpec, Error, Result, Rng};
use vg_svg::Svg;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let sampler = Svg::sampler(&config_of::<Svg>(&weights)?, &weights, &Init::cpu(0))?;
    let spec = sampler.spec();
    let given = ClipSpec { frames: spec.context_frames, ..spec.clip }.dims(1);
    let given = Rng::new(0).stream("given").uniform_tensor(&given[..], 0.0, 1.0, DType::F32, &Device::Cpu)?;
    let request = SampleRequest { context: Some(given), ..SampleRequest::seeds(0..4) };
    let futures = sampler.sample(&request)?.tensor;
    let distance = futures.broadcast_sub(&futures.mean_keepdim(0)?)?.sqr()?.mean((0, 1, 3, 4))?;
    for (frame, distance) in distance.to_vec1::<f32>()?.into_iter().enumerate() {
        #[expect(clippy::print_stdout, reason = "an example shows its result")]
        {
            println!("frame {frame}: standard deviation {:.4}", distance.sqrt());
        }
    }
    Ok(())
}
