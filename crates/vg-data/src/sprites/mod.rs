//! `sprites`: figures out of layers, with the layers as classes; real drawings from the game FLARE.
//!
//! A clip is an outfit, an action and one of eight directions. Layers are drawn over each other as the game does it, on a plain
//! background, 96x96 pixels with the feet at the same place; the class of a pixel is that of the layer it shows. Outfits of the splits
//! differ in what is worn on the body.

mod sheet;
mod wardrobe;

use std::{collections::BTreeMap, path::Path};

use vg_core::{Error, Result, Rng, SourceInfo};

use self::{
    sheet::{Cut, DIRECTIONS, Sheet},
    wardrobe::{BODIES, CLASSES, Outfit, Wardrobe},
};
use crate::{
    dataset::Dataset,
    frames::{FrameSize, Frames},
    maps::{self, Map, MapKind, Values},
    open::Split,
    resize,
};

/// Frames of a clip: two rounds of `run`.
pub const FRAMES: usize = 16;
/// Clips for training.
pub const TRAIN_CLIPS: usize = 2_000;
/// Clips for testing.
pub const TEST_CLIPS: usize = 300;
/// Side of the canvas in pixels.
const SIDE: usize = 96;
/// Where the feet stand on it, `(x, y)`.
const FEET: (i32, i32) = (48, 72);
/// Colour behind the figures.
const BACKGROUND: [u8; 3] = [188, 196, 188];
/// Opacity from which on a layer gives a pixel its class.
const SOLID: u8 = 128;
/// Names of the directions, as the figures look on the screen.
const LOOKS: [&str; DIRECTIONS] =
    ["left", "up-left", "up", "up-right", "right", "down-right", "down", "down-left"];

/// Display colours of the classes.
pub const COLOURS: [[u8; 3]; 8] = [
    [20, 20, 20],
    [240, 200, 150],
    [200, 50, 50],
    [240, 140, 40],
    [50, 80, 200],
    [120, 70, 40],
    [220, 220, 230],
    [60, 170, 90],
];

/// The data set; clip `i` is a pure function of (drawings, seed, split, `i`).
#[derive(Debug)]
pub struct Sprites {
    info: SourceInfo,
    wardrobe: Wardrobe,
    rng: Rng,
    split: Split,
    frames: usize,
}

/// What a clip shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scene {
    outfit: Outfit,
    action: usize,
    direction: usize,
}

impl Sprites {
    /// `clips` clips of `frames` frames of the drawings in `folder`.
    ///
    /// # Errors
    /// [`Error::Data`] when the drawings are not there, for no clips and for no frames; [`Error::Format`] for a damaged file.
    pub fn read(folder: &Path, seed: u64, split: Split, clips: usize, frames: usize) -> Result<Self> {
        if clips == 0 || !(1..=1_000).contains(&frames) {
            return Err(Error::Data(format!(
                "sprites: {clips} clips of {frames} frames cannot be made; ask for 1 or more clips of 1 to 1000 frames"
            )));
        }
        if !folder.is_dir() {
            return Err(Error::Data(format!(
                "{}: the drawings are not there; `cargo xtask download sprites` fetches them",
                folder.display()
            )));
        }
        let wardrobe = Wardrobe::read(folder)?;
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let classes = BTreeMap::from([
            ("class".to_owned(), wardrobe.actions.clone()),
            ("action".to_owned(), wardrobe.actions.clone()),
            ("direction".to_owned(), names(&LOOKS)),
            ("body".to_owned(), names(&BODIES)),
            ("segmentation".to_owned(), names(&CLASSES)),
        ]);
        let actions = wardrobe.actions.join(" ");
        let fingerprint = format!("sprites-1/{split}/seed {seed}/{clips} x {frames}/{actions}");
        let info = SourceInfo { name: "sprites".to_owned(), clips: clips as u64, classes, fingerprint };
        let rng = Rng::new(seed).child("sprites", split as u64);
        Ok(Self { info, wardrobe, rng, split, frames })
    }

    fn scene(&self, clip: usize) -> Scene {
        let mut stream = self.rng.child("figure", clip as u64).stream("draws");
        let outfit = self.wardrobe.draw(&mut stream, self.split);
        let action = stream.below(self.wardrobe.actions.len());
        Scene { outfit, action, direction: stream.below(DIRECTIONS) }
    }

    /// Colours and classes of a frame on the canvas.
    fn draw(&self, scene: &Scene, time: usize) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut rgb = BACKGROUND.repeat(SIDE * SIDE);
        let mut classes = vec![0; SIDE * SIDE];
        for slot in &self.wardrobe.order[scene.direction] {
            let Some(sheet) = self.wardrobe.sheet(&scene.outfit, *slot) else { continue };
            let action = &sheet.actions[&self.wardrobe.actions[scene.action]];
            let frame = action.repeat.frame(time, action.cuts.len());
            paste(sheet, action.cuts[frame][scene.direction], *slot as u8 + 1, &mut rgb, &mut classes)?;
        }
        Ok((rgb, classes))
    }
}

/// Lays a layer over what is there.
fn paste(sheet: &Sheet, cut: Cut, class: u8, rgb: &mut [u8], classes: &mut [u8]) -> Result<()> {
    let pixels = sheet.pixels()?;
    let (left, top) = (FEET.0 - cut.feet.0, FEET.1 - cut.feet.1);
    let inside = |at: i32| usize::try_from(at).ok().filter(|at| *at < SIDE);
    for row in 0..cut.height {
        let Some(y) = inside(top + row as i32) else { continue };
        for column in 0..cut.width {
            let Some(x) = inside(left + column as i32) else { continue };
            let from = ((cut.y + row) * pixels.width + cut.x + column) * 4;
            let [r, g, b, alpha] = [0, 1, 2, 3].map(|k| pixels.rgba[from + k]);
            let to = y * SIDE + x;
            for (below, above) in rgb[to * 3..][..3].iter_mut().zip([r, g, b]) {
                let mixed = u32::from(above) * u32::from(alpha) + u32::from(*below) * u32::from(255 - alpha);
                *below = ((mixed + 127) / 255) as u8;
            }
            if alpha >= SOLID {
                classes[to] = class;
            }
        }
    }
    Ok(())
}

impl Dataset for Sprites {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, _clip: usize) -> usize {
        self.frames
    }

    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        let scene = self.scene(clip);
        match group {
            "class" | "action" => Some(scene.action as u32),
            "direction" => Some(scene.direction as u32),
            "body" => Some(scene.outfit.body as u32),
            _ => None,
        }
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        crate::procedural::check_picks(&self.info, self.frames, clip, picks)?;
        let scene = self.scene(clip);
        let mut data = Vec::with_capacity(picks.len() * SIDE * SIDE * 3);
        for pick in picks {
            data.extend(self.draw(&scene, *pick)?.0);
        }
        let canvas = FrameSize { height: SIDE, width: SIDE, channels: 3 };
        Ok(resize::fit(Frames::from_bytes(picks.len(), canvas, data)?, size))
    }

    fn has_map(&self, kind: MapKind) -> bool {
        matches!(kind, MapKind::Segmentation | MapKind::Instances)
    }

    /// Instances are the classes again, as Cityscapes has them for what is not counted.
    fn read_maps(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        crate::procedural::check_picks(&self.info, self.frames, clip, picks)?;
        if let Some(kind) = kinds.iter().find(|kind| !self.has_map(**kind)) {
            return Err(maps::none(&self.info.name, &[*kind]));
        }
        let scene = self.scene(clip);
        let mut data = Vec::with_capacity(picks.len() * SIDE * SIDE);
        for pick in picks {
            data.extend(self.draw(&scene, *pick)?.1);
        }
        let canvas = FrameSize { height: SIDE, width: SIDE, channels: 1 };
        let fitted = resize::fit_flat(
            Frames::from_bytes(picks.len(), canvas, data)?,
            FrameSize { channels: 1, ..size },
        );
        let ids: Vec<u32> = fitted.data.iter().map(|class| u32::from(*class)).collect();
        kinds.iter().map(|_| Map::new(1, picks.len(), size, Values::Ids(ids.clone()))).collect()
    }
}
