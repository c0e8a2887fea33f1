//! One clip that somebody points at.

use std::path::Path;

use vg_core::{Error, Result};

use super::{ACCEPTED, Ffmpeg, Fit, Origin, decode, sniff};
use crate::{
    folder,
    frames::{FrameSize, Frames},
    open::Split,
};

/// The first frames of the clip at `path`, `most` at the utmost, fitted to `size`: a file, or a folder of numbered images.
///
/// # Errors
/// [`Error::Io`] for what cannot be read; [`Error::Data`] for a folder that is not one clip; [`Error::Format`] for a damaged file or one
/// that holds no clip; [`Error::Unsupported`] for a video without ffmpeg.
pub fn clip(path: &Path, size: FrameSize, most: usize) -> Result<Frames> {
    let origin = origin(path)?;
    let (mut data, mut count) = (Vec::new(), 0);
    let ended = decode(&origin, size, Fit::Crop, 1, &Ffmpeg::default(), &mut |frame| {
        if count == most {
            return Err(Error::Unsupported("more frames than are wanted".into()));
        }
        data.extend_from_slice(frame);
        count += 1;
        Ok(())
    });
    // With enough frames, what lies behind them does not matter, damaged or not: reading ends there.
    if count < most {
        ended?;
    }
    if count == 0 {
        return Err(Error::format(path, "it has no frames"));
    }
    Frames::from_bytes(count, size, data)
}

fn origin(path: &Path) -> Result<Origin> {
    if !path.is_dir() {
        let none = || Error::format(path, format!("it holds no clip; accepted are {ACCEPTED}"));
        return Ok(Origin::File(path.to_path_buf(), sniff(path)?.ok_or_else(none)?));
    }
    let mut items = folder::recipe(path, Split::Train, true)?.items;
    match items.len() {
        1 => Ok(items.remove(0).origin),
        n => Err(Error::Data(format!(
            "{}: a folder of {n} clips; name one of them, or a folder of numbered images",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media;

    const SIZE: FrameSize = FrameSize { height: 8, width: 8, channels: 1 };

    /// Frames of one brightness each.
    fn steps(frames: usize) -> Frames {
        let data = (0..frames).flat_map(|k| vec![40 * k as u8; SIZE.bytes()]).collect();
        Frames::from_bytes(frames, SIZE, data).unwrap()
    }

    #[test]
    fn files_and_folders_of_images_are_read_up_to_a_frame() {
        let folder = tempfile::tempdir().unwrap();
        let gif = folder.path().join("clip.gif");
        media::write(&gif, &steps(5), 10.0).unwrap();
        assert_eq!(clip(&gif, SIZE, 3).unwrap(), steps(3));
        assert_eq!(clip(&gif, SIZE, 9).unwrap().frames, 5);
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        for k in 0..4 {
            let frame = Frames::from_bytes(1, SIZE, steps(4).frame(k).unwrap().to_vec()).unwrap();
            media::write(&images.join(format!("{k:03}.png")), &frame, 10.0).unwrap();
        }
        assert_eq!(clip(&images, SIZE, 9).unwrap(), steps(4));
    }

    #[test]
    fn what_is_no_clip_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| clip(path, SIZE, 9).unwrap_err().to_string();
        assert!(error(&folder.path().join("none.gif")).contains("none.gif"));
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "no clip").unwrap();
        assert!(error(&text).contains("holds no clip"), "{}", error(&text));
        let gif = folder.path().join("cut.gif");
        media::write(&gif, &steps(5), 10.0).unwrap();
        let bytes = std::fs::read(&gif).unwrap();
        std::fs::write(&gif, &bytes[..bytes.len() / 3]).unwrap();
        assert!(error(&gif).contains("cut.gif"), "{}", error(&gif));
        for name in ["a.gif", "b.gif"] {
            std::fs::create_dir_all(folder.path().join("two")).unwrap();
            media::write(&folder.path().join("two").join(name), &steps(2), 10.0).unwrap();
        }
        assert!(error(&folder.path().join("two")).contains("2 clips"));
    }
}
