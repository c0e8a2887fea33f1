//! Writes contact sheets of sets: `cargo run -p vg-data --example look -- OUT_FOLDER [NAME...]`, `shapes` and `digits` without names.

use std::path::PathBuf;

use vg_data::{
    FrameSize, Frames, OpenOptions, Split,
    media::{sheet, write, write_grid},
    open,
    procedural::digits::glyphs::Glyphs,
};

fn main() -> vg_core::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let mut names: Vec<String> = std::env::args().skip(2).collect();
    if names.is_empty() {
        names = ["shapes", "digits"].map(str::to_owned).to_vec();
    }
    for name in names {
        let set = open(&name, &OpenOptions::default())?;
        let size = FrameSize { height: 64, width: 64, channels: 3 };
        let count = 8.min(set.info().clips as usize);
        let frames = (0..count).map(|clip| set.frames(clip)).min().unwrap_or(0);
        let picks: Vec<usize> = (0..frames).step_by(2).take(15).collect();
        let clips: Vec<Frames> =
            (0..count).map(|clip| set.read(clip, &picks, size)).collect::<Result<_, _>>()?;
        let name = name.replace(['/', ':', ','], "-");
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
