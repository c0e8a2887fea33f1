//! Sets of frames with maps in folders: `cityscapes:DIR`, `maps:DIR`, `face:DIR` and `pose:DIR`.
//!
//! | set | folders (official, or below `train` and `test`) | maps |
//! |---|---|---|
//! | `cityscapes:DIR` | `train_A`, `train_B`, `train_inst`, or `seg_maps`, `images`, `instance_maps` | segmentation with Cityscapes' 35 ids; instances where their folder is |
//! | `maps:DIR` | `maps`, `images`, `instances` | segmentation with the classes of `classes.txt`; instances where their folder is |
//! | `face:DIR` | `train_keypoints`, `train_img`, or `keypoints`, `images` | conditions: 1 edge image and 14 distance maps, in [0, 1] |
//! | `pose:DIR` | `train_densepose`, `train_openpose`, `train_img`, or `pose_maps-densepose`, `poses-openpose`, `images` | conditions: DensePose, then the drawn OpenPose figure, 3 channels each, in [-1, 1]; one of the folders is enough |
//!
//! Each holds a sub-folder for every sequence; the k-th of all folders belong together, and so do their k-th files, whatever their
//! names (vid2vid, official `data/temporal_dataset.py`). Frames are fitted as those of all sets are, by the largest centred window of the
//! size's ratio, or with the option `stretch` as a whole; maps take the nearest pixels of the same window.

mod canny;
mod conditions;
mod draw;
mod face;
mod labels;
mod paired;
mod pictures;
mod pose;
mod sequences;

use std::path::Path;

use vg_core::{Error, Result};

pub(crate) use self::labels::COLOURS;
use self::{
    paired::Paired,
    sequences::{Place, Stream},
};
use crate::{dataset::Dataset, open::OpenOptions};

/// A way in which folders are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Cityscapes,
    Maps,
    Face,
    Pose,
}

/// All layouts, by the prefix of a set's name.
pub(crate) const LAYOUTS: [(&str, Layout); 4] = [
    ("cityscapes", Layout::Cityscapes),
    ("maps", Layout::Maps),
    ("face", Layout::Face),
    ("pose", Layout::Pose),
];

impl Layout {
    /// The layout and folder of a name such as `pose:clips/`.
    pub(crate) fn parse(name: &str) -> Option<(Self, &Path)> {
        let (prefix, path) = name.split_once(':')?;
        let (_, layout) = LAYOUTS.iter().find(|(known, _)| *known == prefix)?;
        Some((*layout, Path::new(path)))
    }

    pub(crate) fn name(self) -> &'static str {
        LAYOUTS[self as usize].0
    }

    fn places(self) -> &'static [Place] {
        const FRAMES: Place = Place { stream: Stream::Frames, names: &["{}_B", "images"], needed: true };
        const PICTURES: Place = Place { stream: Stream::Frames, names: &["{}_img", "images"], needed: true };
        const LABELS: Place = Place { stream: Stream::Labels, names: &["{}_A", "seg_maps"], needed: true };
        const INSTANCES: Place =
            Place { stream: Stream::Instances, names: &["{}_inst", "instance_maps"], needed: false };
        const MAPS: [Place; 3] = [
            Place { stream: Stream::Frames, names: &["images"], needed: true },
            Place { stream: Stream::Labels, names: &["maps"], needed: true },
            Place { stream: Stream::Instances, names: &["instances"], needed: false },
        ];
        const KEYPOINTS: Place =
            Place { stream: Stream::Keypoints, names: &["{}_keypoints", "keypoints"], needed: true };
        const DENSE: Place = Place {
            stream: Stream::DensePose,
            names: &["{}_densepose", "pose_maps-densepose"],
            needed: false,
        };
        const OPEN: Place =
            Place { stream: Stream::OpenPose, names: &["{}_openpose", "poses-openpose"], needed: false };
        match self {
            Self::Cityscapes => const { &[FRAMES, LABELS, INSTANCES] },
            Self::Maps => const { &MAPS },
            Self::Face => const { &[PICTURES, KEYPOINTS] },
            Self::Pose => const { &[PICTURES, DENSE, OPEN] },
        }
    }
}

/// Opens the set `name` with its frames at the size of the options.
///
/// # Errors
/// [`Error::Data`] for folders that are not laid out so; [`Error::Format`] for a damaged file if strict.
pub(crate) fn open(
    name: &str,
    layout: Layout,
    folder: &Path,
    options: &OpenOptions,
) -> Result<Box<dyn Dataset>> {
    if !folder.is_dir() {
        return Err(Error::Data(format!("{name}: there is no folder {}", folder.display())));
    }
    Ok(Box::new(Paired::open(name, layout, folder, options)?))
}
