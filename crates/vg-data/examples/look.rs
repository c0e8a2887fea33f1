//! Writes contact sheets of the procedural sets: `cargo run -p vg-data --example look -- OUT_FOLDER`.

use std::path::PathBuf;

use vg_data::{
    FrameSize, Frames, OpenOptions, Split,
    media::{sheet, write, write_grid},
    open,
    procedural::digits::glyphs::Glyphs,
};

fn main() -> vg_core::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    for name in ["shapes", "digits"] {
        let set = open(name, &OpenOptions::default())?;
        let size = FrameSize { height: 64, width: 64, channels: if name == "shapes" { 3 } else { 1 } };
        let picks: Vec<usize> = (0..set.frames(0)).step_by(2).collect();
        let clips: Vec<Frames> = (0..8).map(|clip| set.read(clip, &picks, size)).collect::<Result<_, _>>()?;
        write(&folder.join(format!("{name}.png")), &sheet(&clips, 1)?, 8.0)?;
        write_grid(&folder.join(format!("{name}.gif")), &clips, 4, 8.0)?;
    }
    let glyphs = Glyphs::new(Split::Train);
    let size = FrameSize { height: 28, width: 28, channels: 1 };
    let row = |first: usize| -> vg_core::Result<Frames> {
        Frames::from_bytes(20, size, (0..20).flat_map(|i| glyphs.image(first + i)).collect())
    };
    let rows = (0..10).map(|r| row(r * 20)).collect::<Result<Vec<_>, _>>()?;
    write(&folder.join("glyphs.png"), &sheet(&rows, 1)?, 8.0)
}
