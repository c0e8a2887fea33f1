//! Draws a table of middle frames, one content a row and one motion a column, and writes it as a picture, `swap.ppm`:
//! `cargo run --release -p vg-mocogan --example swap -- runs/0001-mocogan-shapes/checkpoints/step-000600`.

use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{SampleRequest, Sampler};
use vg_core::{Error, Result};
use vg_mocogan::Mocogan;

const CONTENTS: u64 = 4;
const MOTIONS: u64 = 6;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder =
        folder.ok_or_else(|| Error::Data("give a folder of config.json and model.safetensors".into()))?;
    let weights = Weights::open(folder)?;
    let sampler = Mocogan::sampler(&config_of::<Mocogan>(&weights)?, &weights, &Init::cpu(0))?;
    let places = || (0..CONTENTS).flat_map(|content| (0..MOTIONS).map(move |motion| (content, motion)));
    let mut request = SampleRequest::seeds(places().map(|(_, motion)| motion));
    request.streams.insert("content".to_owned(), places().map(|(content, _)| content).collect());
    let clips = sampler.sample(&request)?;

    let (_, channels, frames, height, width) = clips.tensor.dims5()?;
    let middle = clips.tensor.narrow(2, frames / 2, 1)?.squeeze(2)?;
    let table = middle.reshape((CONTENTS as usize, MOTIONS as usize, channels, height, width))?;
    // Rows of the table, rows of a frame, columns of the table, columns of a frame, colours.
    let pixels = table.permute((0, 3, 1, 4, 2))?.flatten_all()?.to_vec1::<f32>()?;
    let kind = if channels == 3 { "P6" } else { "P5" };
    let size = format!("{} {}", MOTIONS as usize * width, CONTENTS as usize * height);
    let mut file = format!("{kind}\n{size}\n255\n").into_bytes();
    file.extend(pixels.into_iter().map(|x| clips.pixels.encode(x)));
    std::fs::write("swap.ppm", file).map_err(Error::io("writing", "swap.ppm"))
}
