//! Data sets by name.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use vg_core::{Error, Result};

use crate::{
    cache::{self, Recipe},
    dataset::{Dataset, Start},
    decode::Ffmpeg,
    emoji,
    flow::{FlowMethod, WithFlow},
    folder,
    frames::FrameSize,
    layouts::{self, Layout},
    manifest, manual,
    mnist::Mnist,
    procedural::{
        digits::{self, Digits, Images, glyphs::Glyphs, motion::Bounce},
        shapes::{self, Shapes},
        street::{self, Street},
    },
    progress::{Progress, Silent},
    settings,
    sprites::{self, Sprites},
    strips,
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
    /// Strips in class folders with fewer frames are left out.
    pub min_frames: usize,
    /// Number of clips of a procedural set, instead of its default.
    pub clips: Option<usize>,
    /// Frames of each clip of a procedural set, instead of its default.
    pub frames: Option<usize>,
    /// Digits on the canvas of `digits` and `mnist`, 1 to 4; one digit has labels `class`.
    pub digits: usize,
    /// How the digits of `digits` and `mnist` bounce.
    pub bounce: Bounce,
    /// Whether `digits` are drawn in code even where MNIST is.
    pub drawn: bool,
    /// Whether the frames of `bair` have their contrast stretched, as official SVG checkpoints saw them.
    pub legacy_stretch: bool,
    /// Whether the training clips of `digits` and `mnist` are the same in every epoch.
    pub repeat: bool,
    /// Where shorter clips of `bair`, `digits` and `mnist` begin, instead of at the first frame.
    pub start: Option<Start>,
    /// Whether the splits of `weizmann` and `weizmann-strips` are parts of each video.
    pub time_split: bool,
    /// Whether `weizmann` has the action skip.
    pub skip_action: bool,
    /// Which of the official splits of `ucf101`, 1 to 3.
    pub official_split: usize,
    /// Keeps frames 0, n, 2n, ... of `kinetics600`.
    pub keep_every: usize,
    /// Whether the test split of `kinetics600` is the official test list instead of that of validation.
    pub test_list: bool,
    /// Number of classes of a folder of maps, instead of those that a list of their names has.
    pub classes: Option<usize>,
    /// The class of pixels whose id is none, in folders of labels; without it such an id is an error.
    pub void: Option<usize>,
    /// Whether frames and maps of folders are scaled as a whole, whatever their ratio, instead of cut.
    pub stretch: bool,
    /// Where the optical flow of sets of files comes from.
    pub flow: FlowMethod,
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
            min_frames: strips::MIN_FRAMES,
            clips: None,
            frames: None,
            digits: digits::DIGITS,
            bounce: Bounce::Random,
            drawn: false,
            repeat: false,
            legacy_stretch: false,
            start: None,
            time_split: false,
            skip_action: true,
            official_split: 1,
            keep_every: 1,
            test_list: false,
            classes: None,
            void: None,
            stretch: false,
            flow: FlowMethod::default(),
            progress: Arc::new(Silent),
        }
    }
}

/// Names that [`open`] knows besides those with a path: `folder:PATH`, `strips:PATH` and the layouts `cityscapes:DIR`, `maps:DIR`,
/// `face:DIR` and `pose:DIR`.
pub const NAMES: &[&str] = &[
    "shapes",
    "street",
    "digits",
    "mnist",
    "emoji",
    "sprites",
    "mug",
    "weizmann",
    "weizmann-strips",
    "kth",
    "bair",
    "chairs",
    "kinetics600",
    "trailerfaces",
    "ucf101",
    "vgan-golf",
    "vgan-beach",
    "vgan-train",
    "vgan-baby",
    "vgan-ucf101",
];

/// Opens a data set: one of [`NAMES`], `folder:PATH` for any folder of clips (see [`folder`](crate::folder)), or `strips:PATH` for clips
/// kept as images (see [`strips`](crate::strips)); `cityscapes:DIR`, `maps:DIR`, `face:DIR` and `pose:DIR` for frames with
/// [maps](crate::maps). Options follow the name, `mnist,digits=1` (see [`settings`](crate::settings)), and
/// count more than `options`.
///
/// A set of files is decoded into the cache on its first opening, which takes a while; [`OpenOptions::progress`] is told.
///
/// # Errors
/// [`Error::Unknown`] for another name, [`Error::Data`] for a set that is not downloaded or has no clips.
pub fn open(name: &str, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    if !NAMES.contains(&settings::base(name)) && path(name).is_none() {
        let known = NAMES.iter().copied().chain(PATHS.iter().copied());
        return Err(Error::unknown("data set", settings::base(name), known));
    }
    let (base, options) = &settings::apply(name, options)?;
    if let Some((layout, folder)) = Layout::parse(base) {
        return with_flow(layouts::open(base, layout, folder, options)?, options);
    }
    match *base {
        "shapes" => open_shapes(options),
        "street" => open_street(options),
        "digits" | "mnist" => open_digits(name, base, options),
        "sprites" => open_sprites(options),
        "emoji" => open_files(emoji::recipe(&options.root.join("emoji"), options.split)?, options),
        _ => match recipe(name, options)? {
            Some(recipe) => open_files(recipe, options),
            None => Err(Error::unknown("data set", name, NAMES.iter().copied())),
        },
    }
}

/// How sets with a path are written.
pub const PATHS: &[&str] =
    &["folder:PATH", "strips:PATH", "cityscapes:DIR", "maps:DIR", "face:DIR", "pose:DIR"];

/// The form and the path of a set that is named by a path, such as `folder` and `clips/`, options included; none for other sets.
pub fn path(name: &str) -> Option<(&str, &str)> {
    let known = |form: &str| PATHS.iter().any(|known| known.split(':').next() == Some(form));
    name.split_once(':').filter(|(form, path)| known(form) && !path.is_empty())
}

fn with_flow(set: Box<dyn Dataset>, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let (method, cache, progress) =
        (options.flow.clone(), options.cache.clone(), Arc::clone(&options.progress));
    Ok(Box::new(WithFlow::new(set, method, cache, progress)?))
}

/// Label groups of a set, without decoding anything.
///
/// # Errors
/// As [`open`], except for files that are found broken when they are decoded.
pub fn groups(name: &str, options: &OpenOptions) -> Result<Vec<cache::Group>> {
    if settings::base(name) == "emoji" {
        return Ok(emoji::recipe(&options.root.join("emoji"), options.split)?.groups);
    }
    if let Some(recipe) = recipe(name, options)? {
        return Ok(recipe.groups);
    }
    let classes = open(name, options)?.info().classes.clone();
    Ok(classes.into_iter().map(|(name, classes)| cache::Group { name, classes }).collect())
}

/// The clips of a set of files whose name is a path or that a person fetched, before anything is decoded; none for other sets.
///
/// # Errors
/// As [`open`], except for files that are found broken when they are decoded.
pub fn recipe(name: &str, options: &OpenOptions) -> Result<Option<cache::Recipe>> {
    let (base, options) = &settings::apply(name, options)?;
    let OpenOptions { split, strict, .. } = *options;
    let recipe = if let Some(path) = name.strip_prefix("folder:") {
        folder::recipe(Path::new(path), split, strict)?
    } else if let Some(path) = name.strip_prefix("strips:") {
        strips::recipe(Path::new(path), split, strict, options.min_frames)?
    } else {
        let manifest = manifest::names().any(|known| known == *base).then(|| manifest::find(base, None));
        match manifest.transpose()? {
            Some(manifest) if manifest.manual.is_some() => {
                Recipe { name: name.to_owned(), ..manual::recipe(&manifest, options)? }
            }
            _ => return Ok(None),
        }
    };
    Ok(Some(recipe))
}

fn open_files(recipe: cache::Recipe, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let config = cache::Config {
        folder: options.cache.clone(),
        strict: options.strict,
        ffmpeg: options.ffmpeg.clone(),
        progress: Arc::clone(&options.progress),
    };
    with_flow(recipe.open(options.size, config)?, options)
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

fn open_street(options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let clips = match options.split {
        Split::Train => street::TRAIN_CLIPS,
        Split::Test => street::TEST_CLIPS,
    };
    let clips = options.clips.unwrap_or(clips);
    let frames = options.frames.unwrap_or(street::FRAMES);
    Ok(Box::new(Street::new(options.seed, options.split, clips, frames)?))
}

fn open_sprites(options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let clips = match options.split {
        Split::Train => sprites::TRAIN_CLIPS,
        Split::Test => sprites::TEST_CLIPS,
    };
    let clips = options.clips.unwrap_or(clips);
    let frames = options.frames.unwrap_or(sprites::FRAMES);
    let folder = options.root.join("sprites");
    with_flow(Box::new(Sprites::read(&folder, options.seed, options.split, clips, frames)?), options)
}

/// `digits` takes MNIST where it is and nothing else is asked for, `mnist` insists on it.
fn open_digits(name: &str, base: &str, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    let folder = options.root.join("mnist");
    let images = if base == "mnist" || (!options.drawn && Mnist::present(&folder, options.split)) {
        Images::Mnist(Mnist::read(&folder, options.split)?)
    } else {
        Images::Glyphs(Glyphs::new(options.split))
    };
    let config = digits::Config {
        clips: options.clips.unwrap_or(images.count()),
        frames: options.frames.unwrap_or(digits::FRAMES),
        digits: options.digits,
        bounce: options.bounce,
        start: options.start.unwrap_or(Start::First),
        endless: !options.repeat,
    };
    Ok(Box::new(Digits::new(name, options.seed, options.split, images, config)?))
}
