//! `street`: drives through made-up streets with classes, instances and exact optical flow.
//!
//! Bodies (houses, trees, cars, people, lamps, signs) stand and move about a street in three dimensions. A pinhole camera sees them by
//! rays, so that the surface behind each pixel and the place of every point at any other time are known exactly. Patterns are fixed to
//! surfaces and the light does not change within a clip. Pictures of any size show the same view; they are meant to be twice as wide as
//! high.

mod camera;
mod chance;
mod figures;
mod layout;
mod motion;
mod outlook;
mod paint;
mod raster;
mod scene;
mod solid;
#[cfg(test)]
mod tests;
mod texture;
mod vector;

use std::collections::BTreeMap;

use vg_core::{Error, Result, Rng, SourceInfo};

pub use self::scene::{CLASSES, Class};
use self::{motion::Seen, raster::View, scene::Scene};
use crate::{
    dataset::Dataset,
    frames::{FrameSize, Frames},
    maps::{Map, MapKind, Values},
    open::Split,
};

/// Frames of a clip, as those of Cityscapes.
pub const FRAMES: usize = 30;
/// Clips for training, as many as Cityscapes has.
pub const TRAIN_CLIPS: usize = 2_975;
/// Clips for testing, likewise.
pub const TEST_CLIPS: usize = 500;
/// Longest clip that can be asked for.
const MOST_FRAMES: usize = 1_200;

/// Display colours of [`CLASSES`], those of Cityscapes where it has the class.
pub const COLOURS: [[u8; 3]; 10] = [
    [70, 130, 180],
    [128, 64, 128],
    [230, 230, 230],
    [244, 35, 232],
    [70, 70, 70],
    [107, 142, 35],
    [0, 0, 142],
    [220, 20, 60],
    [153, 153, 153],
    [220, 220, 0],
];

/// The data set; clip `i` is a pure function of (seed, split, `i`).
#[derive(Clone, Debug)]
pub struct Street {
    info: SourceInfo,
    rng: Rng,
    frames: usize,
}

impl Street {
    /// `clips` drives of `frames` frames.
    ///
    /// # Errors
    /// [`Error::Data`] for no clips, or another number of frames than 1 to 1,200.
    pub fn new(seed: u64, split: Split, clips: usize, frames: usize) -> Result<Self> {
        if clips == 0 || !(1..=MOST_FRAMES).contains(&frames) {
            return Err(Error::Data(format!(
                "street: {clips} clips of {frames} frames cannot be made; ask for 1 or more clips of 1 to {MOST_FRAMES} frames"
            )));
        }
        let names = CLASSES.map(str::to_owned).to_vec();
        let info = SourceInfo {
            name: "street".to_owned(),
            clips: clips as u64,
            classes: BTreeMap::from([("segmentation".to_owned(), names)]),
            fingerprint: format!("street-1/{split}/seed {seed}/{clips} x {frames}"),
        };
        Ok(Self { info, rng: Rng::new(seed).child("street", split as u64), frames })
    }

    fn scene(&self, clip: usize) -> Scene {
        layout::draw(&mut self.rng.child("drive", clip as u64).stream("draws"), self.frames)
    }

    fn check(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<()> {
        super::check_picks(&self.info, self.frames, clip, picks)?;
        if size.height < 8 || size.width < 8 {
            return Err(Error::Data(format!("street: frames of {size} are too small; ask for 8x8 or more")));
        }
        Ok(())
    }
}

impl Dataset for Street {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, _clip: usize) -> usize {
        self.frames
    }

    fn label(&self, _clip: usize, _group: &str) -> Option<u32> {
        None
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        self.check(clip, picks, size)?;
        let scene = self.scene(clip);
        let picture = |pick: &usize| paint::picture(&scene, *pick as f32, size.height, size.width);
        let data = picks.iter().flat_map(picture).collect();
        let rgb = FrameSize { channels: 3, ..size };
        Ok(Frames::from_bytes(picks.len(), rgb, data)?.with_channels(size.channels))
    }

    fn has_map(&self, kind: MapKind) -> bool {
        kind != MapKind::Conditions
    }

    fn read_maps(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        self.check(clip, picks, size)?;
        let scene = self.scene(clip);
        let frames: Vec<Seen<'_>> = picks
            .iter()
            .map(|pick| {
                let view = View::new(&scene, *pick as f32, size.height, size.width);
                Seen { sights: view.sights(), view }
            })
            .collect();
        kinds.iter().map(|kind| map(&frames, size, *kind)).collect()
    }
}

fn map(frames: &[Seen<'_>], size: FrameSize, kind: MapKind) -> Result<Map> {
    let FrameSize { height, width, .. } = size;
    let ids = |id: fn((Class, u32)) -> u32| {
        let of_frame = |frame: &Seen<'_>| {
            let pixels = frame.sights.iter().enumerate();
            pixels.map(|(at, sight)| id(frame.view.label(at % width, at / width, *sight))).collect::<Vec<_>>()
        };
        Map::new(1, frames.len(), size, Values::Ids(frames.iter().flat_map(of_frame).collect()))
    };
    let pairs = |gap: usize| {
        let later = frames.iter().skip(gap);
        later.zip(frames).map(|(now, before)| motion::pair(now, before, height, width))
    };
    match kind {
        MapKind::Segmentation => ids(|(class, _)| class as u32),
        MapKind::Instances => ids(|(_, instance)| instance),
        MapKind::Flow(gap) => Map::of_frames(2, size, &pairs(gap).map(|pair| pair.flow).collect::<Vec<_>>()),
        MapKind::Confidence(gap) => {
            Map::of_frames(1, size, &pairs(gap).map(|pair| pair.confidence).collect::<Vec<_>>())
        }
        MapKind::Conditions => Err(crate::maps::none("street", &[kind])),
    }
}
