//! Written clips read back.

use std::path::Path;

use vg_data::{
    Ffmpeg, FrameSize, Frames,
    decode::{Fit, Origin, decode, sniff},
    media,
};

fn noise(frames: usize, size: FrameSize) -> Frames {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Frames::from_bytes(frames, size, (0..frames * size.bytes()).map(|_| next()).collect()).unwrap()
}

fn read(path: &Path, size: FrameSize) -> Frames {
    let origin = Origin::File(path.to_path_buf(), sniff(path).unwrap().unwrap());
    let (mut frames, mut data) = (0, Vec::new());
    decode(&origin, size, Fit::Crop, 1, &Ffmpeg::default(), &mut |frame| {
        frames += 1;
        data.extend_from_slice(frame);
        Ok(())
    })
    .unwrap();
    Frames::from_bytes(frames, size, data).unwrap()
}

#[test]
fn apng_is_exact_in_grey_and_colour() {
    let folder = tempfile::tempdir().unwrap();
    for channels in [1, 3] {
        let size = FrameSize { height: 9, width: 7, channels };
        let path = folder.path().join("new/folder/a.apng");
        let clip = noise(5, size);
        media::write(&path, &clip, 12.5).unwrap();
        assert_eq!(read(&path, size), clip);
    }
}

#[test]
fn gif_is_exact_for_few_colours_and_close_for_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gif");
    let grey = FrameSize { height: 16, width: 16, channels: 1 };
    media::write(&path, &noise(4, grey), 10.0).unwrap();
    assert_eq!(read(&path, grey), noise(4, grey));
    let size = FrameSize { height: 32, width: 32, channels: 3 };
    let smooth: Vec<u8> = (0..3 * 32 * 32)
        .flat_map(|i| [(i % 32 * 8) as u8, (i / 32 % 32 * 8) as u8, (i / 1024 * 100) as u8])
        .collect();
    let clip = Frames::from_bytes(3, size, smooth).unwrap();
    media::write(&path, &clip, 10.0).unwrap();
    let back = read(&path, size);
    assert_eq!(back.frames, 3);
    let error: u64 = back.data.iter().zip(&clip.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(error < 10 * clip.data.len() as u64, "mean error {}", error as f64 / clip.data.len() as f64);
}

#[test]
fn png_is_a_strip_and_grids_play() {
    let folder = tempfile::tempdir().unwrap();
    let size = FrameSize { height: 2, width: 3, channels: 3 };
    let clip = noise(4, size);
    media::write(&folder.path().join("a.png"), &clip, 1.0).unwrap();
    let strip = read(&folder.path().join("a.png"), FrameSize { height: 2, width: 12, channels: 3 });
    assert_eq!(strip, media::strip(&clip, 0));
    let path = folder.path().join("grid.apng");
    media::write_grid(&path, &[clip.clone(), clip.clone(), clip], 2, 5.0).unwrap();
    let grid = read(&path, FrameSize { height: 5, width: 7, channels: 3 });
    assert_eq!(grid.frames, 4);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clip = noise(2, FrameSize { height: 2, width: 2, channels: 1 });
    let message = |name: &str, clip: &Frames, rate: f64| {
        media::write(&folder.path().join(name), clip, rate).unwrap_err().to_string()
    };
    assert!(message("a.gfi", &clip, 8.0).contains("did you mean \"gif\"?"));
    assert!(message("a", &clip, 8.0).contains("known: gif, apng, png, mp4, webm"));
    assert!(message("a.gif", &clip, 0.0).contains("frames a second"));
    assert!(message("a.gif", &noise(0, clip.size()), 8.0).contains("0 frames"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
