//! Data sets by name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use vg_core::{Error, Result};

use crate::{
    cache,
    dataset::Dataset,
    decode::Ffmpeg,
    emoji, folder,
    frames::FrameSize,
    mnist::Mnist,
    procedural::{
        digits::{self, Digits, Images, glyphs::Glyphs, motion::Bounce},
        shapes::{self, Shapes},
    },
    progress::{Progress, Silent},
};

/// Part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What a model learns from.
    #[default]
    Train,
    /// What it is measured on; shares no clip with `Train`.
    Test,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// How a data set is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Where downloads live.
    pub root: PathBuf,
    /// Where decoded clips are kept.
    pub cache: PathBuf,
    /// Which part.
    pub split: Split,
    /// Seed of procedural sets.
    pub seed: u64,
    /// Frame size at which a set of files is decoded when it is opened; others follow when they are asked for.
    pub size: FrameSize,
    /// The program for mp4, avi and the like.
    pub ffmpeg: Ffmpeg,
    /// Whether a broken file is an error; otherwise it is left out and named in the report.
    pub strict: bool,
    /// Number of clips of a procedural set, instead of its default.
    pub clips: Option<usize>,
    /// Frames of each clip of a procedural set, instead of its default.
    pub frames: Option<usize>,
    /// Digits on the canvas of `digits` and `mnist`, 1 to 4; one digit has labels `class`.
    pub digits: usize,
    /// How the digits of `digits` and `mnist` bounce.
    pub bounce: Bounce,
    /// Told how far slow work is.
    pub progress: Arc<dyn Progress>,
}

impl Default for OpenOptions {
    /// The training split below `data`, decoded clips below `data/cache`, seed 0.
    fn default() -> Self {
        Self {
            root: PathBuf::from("data"),
            cache: PathBuf::from("data/cache"),
            split: Split::Train,
            seed: 0,
            size: FrameSize { height: 64, width: 64, channels: 3 },
            ffmpeg: Ffmpeg::default(),
            strict: false,
            clips: None,
            frames: None,
            digits: digits::DIGITS,
            bounce: Bounce::Random,
            progress: Arc::new(Silent),
        }
    }
}

/// Names that [`open`] knows besides `folder:PATH`.
pub const NAMES: &[&str] = &["shapes", "digits", "mnist", "emoji"];

/// Opens a data set: one of [`NAMES`], or `folder:PATH` for any folder of clips (see [`folder`](crate::folder)).
///
/// A set of files is decoded into the cache on its first opening, which takes a while; [`OpenOptions::progress`] is told.
///
/// # Errors
/// [`Error::Unknown`] for another name, [`Error::Data`] for a set that is not downloaded or has no clips.
pub fn open(name: &str, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    match name {
        "shapes" => open_shapes(options),
        "digits" | "mnist" => open_digits(name, options),
        "emoji" => open_files(emoji::recipe(&options.root.join("emoji"), options.split)?, options),
        _ => match name.strip_prefix("folder:") {
            Some(path) => {
                open_files(folder::recipe(Path::new(path), options.split, options.strict)?, options)
            }
            None => Err(Error::unknown("data set", name, NAMES.iter().copied().chain(["folder:PATH"]))),
        },
    }
}

fn open_files(recipe: cache::Recipe, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let config = cache::Config {
        folder: options.cache.clone(),
        strict: options.strict,
        ffmpeg: options.ffmpeg.clone(),
        progress: Arc::clone(&options.progress),
    };
    Ok(Box::new(recipe.open(options.size, config)?))
}

fn open_shapes(options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let clips = match options.split {
        Split::Train => shapes::TRAIN_CLIPS,
        Split::Test => shapes::TEST_CLIPS,
    };
    let clips = options.clips.unwrap_or(clips);
    let frames = options.frames.unwrap_or(shapes::FRAMES);
    Ok(Box::new(Shapes::new(options.seed, options.split, clips, frames)?))
}

/// `digits` takes MNIST where it is, `mnist` insists on it.
fn open_digits(name: &str, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let folder = options.root.join("mnist");
    let images = if name == "mnist" || Mnist::present(&folder, options.split) {
        Images::Mnist(Mnist::read(&folder, options.split)?)
    } else {
        Images::Glyphs(Glyphs::new(options.split))
    };
    let config = digits::Config {
        clips: options.clips.unwrap_or(images.count()),
        frames: options.frames.unwrap_or(digits::FRAMES),
        digits: options.digits,
        bounce: options.bounce,
    };
    Ok(Box::new(Digits::new(name, options.seed, options.split, images, config)?))
}
