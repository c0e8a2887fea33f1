//! Follows made-up maps frame by frame with saved weights and prints how much each frame changes:
//! `cargo run --release -p vg-vid2vid --example sample -- runs/0001-vid2vid-street/checkpoints/step-000600`.
//!
//! The maps are a field of labels that moves to the left; in a program they come from files.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{Sampler, StreamRequest};
use vg_core::{Error, Result};
use vg_vid2vid::Vid2vid;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let config = config_of::<Vid2vid>(&weights)?;
    let sampler = Vid2vid::sampler(&config, &weights, &Init::cpu(0))?;
    let (spec, labels) = (sampler.spec(), config.maps.classes.max(1));
    let (h, w) = (spec.clip.height, spec.clip.width);
    let grey = Tensor::zeros((1, 3, spec.context_frames, h, w), candle_core::DType::F32, &Device::Cpu)?;
    let context = (spec.context_frames > 0).then_some(grey);
    let mut stream = sampler.stream(&StreamRequest { context })?;
    let mut last: Option<Tensor> = None;
    for t in 0..16 {
        let label = |at: usize| ((at % w + 4 * t) / 16 % labels) as f32;
        let map = Tensor::from_vec((0..h * w).map(label).collect::<Vec<_>>(), (1, 1, h, w), &Device::Cpu)?;
        let maps = spec.maps.iter().map(|name| (name.clone(), map.clone())).collect::<BTreeMap<_, _>>();
        let Some(made) = stream.next(&maps)? else { continue };
        if let Some(last) = last.replace(made.frame.clone()) {
            let change = (made.frame - last)?.abs()?.mean_all()?.to_scalar::<f32>()?;
            #[expect(clippy::print_stdout, reason = "an example shows its result")]
            {
                println!("frame {t}: mean change {change:.4}");
            }
        }
    }
    Ok(())
}
