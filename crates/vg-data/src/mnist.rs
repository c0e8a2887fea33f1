//! MNIST's IDX files, plain or gzipped.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use vg_core::{Error, Result};

use crate::open::Split;

/// Pixels of an image, 28 x 28.
const PIXELS: usize = 28 * 28;

/// Images and labels of one split.
pub struct Mnist {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Mnist {
    /// Whether `folder` holds both files of a split.
    pub fn present(folder: &Path, split: Split) -> bool {
        names(split).iter().all(|name| find(folder, name).is_some())
    }

    /// Reads `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or their `t10k` twins, each with or without `.gz`.
    /// Any other set in this layout with 28x28 images and ten classes works too.
    ///
    /// # Errors
    /// [`Error::Data`] when a file is missing, [`Error::Io`] and [`Error::Format`] when one cannot be read or is damaged.
    pub fn read(folder: &Path, split: Split) -> Result<Self> {
        let [images, labels] = names(split).map(|name| {
            find(folder, name).ok_or_else(|| {
                Error::Data(format!(
                    "mnist: {} is missing (plain or .gz); `cargo xtask download mnist` fetches it",
                    folder.join(name).display()
                ))
            })
        });
        let (images_path, labels_path) = (images?, labels?);
        let images = read_idx(&images_path, 3)?;
        let labels = read_idx(&labels_path, 1)?;
        if images.dims[1..] != [28, 28] || images.dims[0] != labels.dims[0] {
            let problem = format!(
                "images of {:?} beside labels of {:?}; expected [N, 28, 28] and [N]",
                images.dims, labels.dims
            );
            return Err(Error::format(&images_path, problem));
        }
        match labels.data.iter().find(|label| **label > 9) {
            Some(label) => Err(Error::format(&labels_path, format!("label {label} is not a digit"))),
            None => Ok(Self { images: images.data, labels: labels.data }),
        }
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Image `index`, 28 x 28 grey levels.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * PIXELS..(index + 1) * PIXELS]
    }

    /// The digit that image `index` shows.
    pub fn label(&self, index: usize) -> u32 {
        u32::from(self.labels[index])
    }
}

fn names(split: Split) -> [&'static str; 2] {
    match split {
        Split::Train => ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        Split::Test => ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

struct Idx {
    dims: Vec<usize>,
    data: Vec<u8>,
}

/// Reads an IDX file of bytes with `rank` axes.
fn read_idx(path: &Path, rank: usize) -> Result<Idx> {
    let file = BufReader::new(File::open(path).map_err(Error::io("reading", path))?);
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let damaged = |e: std::io::Error| Error::format(path, format!("damaged IDX file ({e})"));
    let mut number = || {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(damaged).map(|()| u32::from_be_bytes(bytes))
    };
    let magic = number()?;
    if magic != 0x0800 + rank as u32 {
        return Err(Error::format(
            path,
            format!("not an IDX file of bytes with {rank} axes (it starts with {magic:#010x})"),
        ));
    }
    let dims = (0..rank).map(|_| number().map(|n| n as usize)).collect::<Result<Vec<_>>>()?;
    let bytes = dims.iter().try_fold(1_usize, |n, dim| n.checked_mul(*dim));
    let bytes = bytes
        .filter(|n| *n < usize::MAX / 2)
        .ok_or_else(|| Error::format(path, format!("damaged IDX file: {dims:?} cannot be its size")))?;
    let mut data = Vec::new();
    // Read one byte more than announced, to notice a file that goes on.
    reader.take(bytes as u64 + 1).read_to_end(&mut data).map_err(damaged)?;
    if data.len() != bytes {
        let problem = format!(
            "damaged IDX file: {dims:?} need {bytes} bytes, it has {}",
            if data.len() > bytes { "more".to_owned() } else { data.len().to_string() }
        );
        return Err(Error::format(path, problem));
    }
    Ok(Idx { dims, data })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = (0x0800 + dims.len() as u32).to_be_bytes().to_vec();
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t10k-images-idx3-ubyte"), images).unwrap();
        let gz = File::create(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        gz.write_all(labels).unwrap();
        gz.finish().unwrap();
        folder
    }

    #[test]
    fn plain_and_gzipped_files_are_read() {
        let images: Vec<u8> = (0..2 * PIXELS).map(|i| (i % 251) as u8).collect();
        let folder = folder(&idx(&[2, 28, 28], &images), &idx(&[2], &[7, 3]));
        let mnist = Mnist::read(folder.path(), Split::Test).unwrap();
        assert_eq!((mnist.count(), mnist.label(1), mnist.image(1)), (2, 3, &images[PIXELS..]));
        assert!(!Mnist::present(folder.path(), Split::Train));
    }

    #[test]
    fn damage_is_named() {
        let good = idx(&[1, 28, 28], &[0; PIXELS]);
        let message = |images: &[u8], labels: &[u8]| {
            Mnist::read(folder(images, labels).path(), Split::Test)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default()
        };
        assert_eq!(message(&good, &idx(&[1], &[9])), "");
        assert!(message(&good[..500], &idx(&[1], &[9])).contains("it has 484"));
        assert!(message(b"PNG!", &idx(&[1], &[9])).contains("not an IDX file"));
        assert!(message(&good, &idx(&[2], &[9, 1])).contains("beside labels of [2]"));
        assert!(message(&good, &idx(&[1], &[10])).contains("label 10"));
    }
}
