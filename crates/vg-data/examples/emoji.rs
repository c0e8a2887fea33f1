//! Fetches and decodes the emoji set: `cargo run -p vg-data --example emoji -- ROOT FOLDER_WITH_PACKAGES OUT`.

use std::{path::PathBuf, time::Instant};

use vg_data::{
    FrameSize, Frames, OpenOptions, Split,
    fetch::{FetchOptions, fetch},
    manifest,
    media::{sheet, write},
    open,
};

fn main() -> vg_core::Result<()> {
    let paths: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    for name in ["mnist", "emoji"] {
        let begin = Instant::now();
        let options = FetchOptions { local: Some(paths[1].clone()), ..FetchOptions::new(&paths[0]) };
        let outcome = fetch(&manifest::find(name, None)?, &options)?;
        eprintln!("{name}: {outcome:?} {:?}", begin.elapsed());
    }
    let size = FrameSize { height: 64, width: 64, channels: 3 };
    for split in [Split::Test, Split::Train] {
        let begin = Instant::now();
        let options = OpenOptions {
            root: paths[0].clone(),
            cache: paths[0].join("cache"),
            split,
            ..OpenOptions::default()
        };
        let set = open("emoji", &options)?;
        let clips = set.info().clips as usize;
        let frames: usize = (0..clips).map(|c| set.frames(c)).sum();
        let mut classes = [0; 7];
        (0..clips).for_each(|c| classes[set.label(c, "class").unwrap_or(0) as usize] += 1);
        eprintln!(
            "{split}: {clips} clips, {frames} frames, {classes:?}, {:?} {:?}",
            set.report(),
            begin.elapsed()
        );
        let rows: Vec<Frames> = (0..12)
            .map(|i| set.read(i * clips / 12, &[0, 2, 4, 6, 8, 10, 11], size))
            .collect::<Result<_, _>>()?;
        write(&paths[2].join(format!("emoji-{split}.png")), &sheet(&rows, 1)?, 8.0)?;
    }
    Ok(())
}
