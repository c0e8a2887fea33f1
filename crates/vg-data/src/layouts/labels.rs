//! Class ids: their names, and maps of them that are checked.

use std::path::Path;

use vg_core::{Error, Result};

use super::{
    Layout,
    pictures::{Numbers, same_size},
};
use crate::open::OpenOptions;

/// Names of Cityscapes' label ids 0 to 33, and the licence plate, which Cityscapes stores as -1 and vid2vid as 34.
const CITYSCAPES: [&str; 35] = [
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
    "license plate",
];

/// Display colours of Cityscapes' label ids.
pub(crate) const COLOURS: [[u8; 3]; 35] = [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [111, 74, 0],
    [81, 0, 81],
    [128, 64, 128],
    [244, 35, 232],
    [250, 170, 160],
    [230, 150, 140],
    [70, 70, 70],
    [102, 102, 156],
    [190, 153, 153],
    [180, 165, 180],
    [150, 100, 100],
    [150, 120, 90],
    [153, 153, 153],
    [153, 153, 153],
    [250, 170, 30],
    [220, 220, 0],
    [107, 142, 35],
    [152, 251, 152],
    [70, 130, 180],
    [220, 20, 60],
    [255, 0, 0],
    [0, 0, 142],
    [0, 0, 70],
    [0, 60, 100],
    [0, 0, 90],
    [0, 0, 110],
    [0, 80, 100],
    [0, 0, 230],
    [119, 11, 32],
    [0, 0, 142],
];

/// Most classes that a set can have: their numbers are kept in a byte.
const MOST: usize = 256;

/// Names of the classes of a set: of a folder of maps those in `classes.txt`, one a line in the order of their ids, or as many as the
/// option `classes` says.
///
/// # Errors
/// [`Error::Data`] when neither says, or for more than 256.
pub(super) fn names(name: &str, layout: Layout, folder: &Path, options: &OpenOptions) -> Result<Vec<String>> {
    let list = folder.join("classes.txt");
    let names: Vec<String> = match (layout, options.classes) {
        (Layout::Cityscapes, None) => CITYSCAPES.map(str::to_owned).to_vec(),
        (_, Some(count)) => (0..count).map(|id| id.to_string()).collect(),
        (_, None) if list.is_file() => {
            let text = std::fs::read_to_string(&list).map_err(Error::io("reading", &list))?;
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        (_, None) => {
            return Err(Error::Data(format!(
                "{name}: how many classes there are is not known; name them in {}, one a line in the order of their ids, or say `{name},classes=N`",
                list.display()
            )));
        }
    };
    if !(1..=MOST).contains(&names.len()) {
        return Err(Error::Data(format!("{name}: {} classes; a set has 1 to {MOST}", names.len())));
    }
    Ok(names)
}

/// Reads the classes of a frame: `void` takes the place of ids that are no class.
///
/// # Errors
/// [`Error::Format`] for a damaged file, another size than the frame's, and an id that is no class where `void` is none.
pub(super) fn read(path: &Path, frame: &Path, classes: usize, void: Option<usize>) -> Result<Numbers> {
    let mut numbers = Numbers::read(path)?;
    same_size(path, (numbers.height, numbers.width), frame)?;
    let known = |id: u32| (id as usize) < classes;
    match (numbers.ids.iter().position(|id| !known(*id)), void) {
        (Some(at), None) => {
            let (x, y) = (at % numbers.width, at / numbers.width);
            return Err(Error::format(
                path,
                format!(
                    "label id {} at column {x}, row {y}; the ids of the {classes} classes are 0 to {}. Say which class such pixels are to have with the option `void=ID`, or change the file",
                    numbers.ids[at],
                    classes - 1
                ),
            ));
        }
        (Some(_), Some(void)) => {
            numbers.ids.iter_mut().filter(|id| !known(**id)).for_each(|id| *id = void as u32);
        }
        (None, _) => {}
    }
    Ok(numbers)
}
