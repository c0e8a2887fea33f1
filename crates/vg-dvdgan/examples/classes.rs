//! Walks from one class to another with the same noise, by mixing their embeddings, and writes the middle frames as a picture, `classes.ppm`:
//! `cargo run --release -p vg-dvdgan --example classes -- runs/0001-dvdgan-shapes/checkpoints/step-000600`.

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::model::config_of;
use vg_core::nn::{Mode, ParamStore};
use vg_core::{Error, Pixels, Result, Rng};
use vg_dvdgan::{Dvdgan, Generator, Run};

const STEPS: usize = 8;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let config = config_of::<Dvdgan>(&weights)?;
    let (device, latent) = (Device::Cpu, &config.latent);
    let store = ParamStore::load(weights.tensors().clone(), weights.source(), DType::F32, &device)?;
    let generator = Generator::new(&store.source(), &config)?;
    store.finish()?;

    let z = Rng::new(0).stream("z").normal_tensor((1, latent.noise), DType::F32, &device)?;
    let both = generator.embed(&[0, config.class_count() - 1], Mode::EVAL)?;
    let mut frames = Vec::new();
    for step in 0..STEPS {
        let share = step as f64 / (STEPS - 1) as f64;
        let embedding = ((both.narrow(0, 0, 1)? * (1.0 - share))? + (both.narrow(0, 1, 1)? * share)?)?;
        let clip = generator.forward(&z, &embedding, None, Run::eval())?;
        frames.push(clip.get(config.generated() / 2)?);
    }
    // Rows of a frame, frames, columns of a frame, colours.
    let pixels = Tensor::stack(&frames, 0)?.permute((2, 0, 3, 1))?.flatten_all()?.to_vec1::<f32>()?;
    let kind = if config.clip.channels == 3 { "P6" } else { "P5" };
    let mut file = format!("{kind}\n{} {}\n255\n", STEPS * config.clip.side, config.clip.side).into_bytes();
    file.extend(pixels.into_iter().map(|x| Pixels::Symmetric.encode(x)));
    std::fs::write("classes.ppm", file).map_err(Error::io("writing", "classes.ppm"))
}
