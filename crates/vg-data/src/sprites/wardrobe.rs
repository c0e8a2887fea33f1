//! The layers that figures are dressed in, and which outfits are for testing.

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result, rng::Stream};

use super::sheet::{DIRECTIONS, Sheet};
use crate::open::Split;

/// Places of layers on a figure; a pixel's class is one more than the index of the layer that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Head,
    Chest,
    Hands,
    Legs,
    Feet,
    Weapon,
    Shield,
}

pub(super) const SLOTS: [Slot; 7] =
    [Slot::Head, Slot::Chest, Slot::Hands, Slot::Legs, Slot::Feet, Slot::Weapon, Slot::Shield];

/// Names of the classes of maps.
pub(super) const CLASSES: [&str; 8] =
    ["background", "head", "chest", "hands", "legs", "feet", "weapon", "shield"];

/// Kinds of figures, each with its own drawings.
pub(super) const BODIES: [&str; 2] = ["female", "male"];

/// Layers whose names tell their place; whole suits are no layers.
const WORDS: [(Slot, &[&str]); 7] = [
    (Slot::Head, &["head", "hood", "coif", "helm"]),
    (Slot::Chest, &["chest", "shirt", "cuirass", "vest"]),
    (Slot::Hands, &["hands", "gloves", "gauntlets", "sleeves"]),
    (Slot::Legs, &["legs", "pants", "greaves", "skirt"]),
    (Slot::Feet, &["feet", "sandals", "boots"]),
    (Slot::Shield, &["buckler", "shield"]),
    (
        Slot::Weapon,
        &[
            "axe",
            "club",
            "dagger",
            "bow",
            "longbow",
            "shortbow",
            "greatbow",
            "greatstaff",
            "staff",
            "greatsword",
            "longsword",
            "shortsword",
            "zweihander",
            "mace",
            "maul",
            "rod",
            "wand",
            "hammer",
            "slingshot",
        ],
    ),
];

impl Slot {
    /// The place of a layer by its name, such as `chain_boots`.
    fn of(layer: &str) -> Option<Self> {
        let words: Vec<&str> = layer.split('_').collect();
        WORDS.iter().find(|(_, known)| words.iter().any(|word| known.contains(word))).map(|(slot, _)| *slot)
    }

    /// The place of a layer by its name in the list of layers.
    fn listed(name: &str) -> Option<Self> {
        Some(match name {
            "head" => Self::Head,
            "chest" => Self::Chest,
            "hands" => Self::Hands,
            "legs" => Self::Legs,
            "feet" => Self::Feet,
            "main" => Self::Weapon,
            "off" => Self::Shield,
            _ => return None,
        })
    }
}

/// All layers of a package.
#[derive(Debug)]
pub(super) struct Wardrobe {
    /// By body and slot, in the order of names.
    layers: Vec<BTreeMap<Slot, Vec<(String, Sheet)>>>,
    /// By direction, from the back to the front.
    pub order: [Vec<Slot>; DIRECTIONS],
    /// Actions that every layer of the bodies has, in the order of names.
    pub actions: Vec<String>,
}

/// One choice for each slot; none for empty hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outfit {
    pub body: usize,
    pub choices: [Option<usize>; 7],
}

impl Wardrobe {
    /// Reads the layers below `folder`, whose files are named `animations-avatar-BODY-LAYER.txt` and `images-avatar-BODY-LAYER.png`, and
    /// their order `engine-hero_layers.txt`.
    ///
    /// # Errors
    /// [`Error::Data`] when a slot has no layer or no action is common to all; [`Error::Io`] and [`Error::Format`] of the files.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let order = read_order(&folder.join("engine-hero_layers.txt"))?;
        let layers = BODIES.iter().map(|body| read_body(folder, body)).collect::<Result<Vec<_>>>()?;
        let all = || layers.iter().flat_map(BTreeMap::values).flatten();
        let first = all().next().map(|(_, sheet)| sheet.actions.keys().cloned().collect::<Vec<_>>());
        let mut actions = first.unwrap_or_default();
        actions.retain(|action| all().all(|(_, sheet)| sheet.actions.contains_key(action)));
        if actions.is_empty() {
            return Err(Error::Data(format!("{}: no action is drawn for all layers", folder.display())));
        }
        Ok(Self { layers, order, actions })
    }

    /// The layer of an outfit in a slot.
    pub(super) fn sheet(&self, outfit: &Outfit, slot: Slot) -> Option<&Sheet> {
        let choice = outfit.choices[slot as usize]?;
        self.layers[outfit.body].get(&slot)?.get(choice).map(|(_, sheet)| sheet)
    }

    /// An outfit of a split.
    pub(super) fn draw(&self, stream: &mut Stream, split: Split) -> Outfit {
        loop {
            let body = stream.below(BODIES.len());
            let choices = SLOTS.map(|slot| {
                let count = self.layers[body].get(&slot).map_or(0, Vec::len);
                let bare = matches!(slot, Slot::Weapon | Slot::Shield) && stream.below(3) == 0;
                let choice = stream.below(count.max(1));
                (count > 0 && !bare).then_some(choice)
            });
            let outfit = Outfit { body, choices };
            if self.split(&outfit) == split {
                return outfit;
            }
        }
    }

    /// The split of an outfit, by what is worn on the body, whatever it holds: one in ten is for testing.
    pub(super) fn split(&self, outfit: &Outfit) -> Split {
        let mut hash = Sha256::new();
        hash.update(BODIES[outfit.body]);
        for slot in &SLOTS[..5] {
            let choice = outfit.choices[*slot as usize].unwrap_or(usize::MAX);
            let name = self.layers[outfit.body].get(slot).and_then(|layers| layers.get(choice));
            hash.update(format!("/{}", name.map_or("", |(name, _)| name)));
        }
        let digest = hash.finalize();
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        if number.is_multiple_of(10) { Split::Test } else { Split::Train }
    }
}

fn read_body(folder: &Path, body: &str) -> Result<BTreeMap<Slot, Vec<(String, Sheet)>>> {
    let prefix = format!("animations-avatar-{body}-");
    let mut found: BTreeMap<Slot, Vec<(String, Sheet)>> = BTreeMap::new();
    for path in crate::folder::entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(layer) = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".txt")) else {
            continue;
        };
        let Some(slot) = Slot::of(layer) else { continue };
        let image = folder.join(format!("images-avatar-{body}-{layer}.png"));
        found.entry(slot).or_default().push((layer.to_owned(), Sheet::read(&path, image)?));
    }
    match SLOTS[..5].iter().find(|slot| !found.contains_key(slot)) {
        Some(slot) => Err(Error::Data(format!(
            "{}: there is no layer for {} of the {body} figures; `cargo xtask download sprites` fetches them",
            folder.display(),
            CLASSES[*slot as usize + 1]
        ))),
        None => Ok(found),
    }
}

/// Lines `layer=DIRECTION,NAME,NAME,...`, the first name at the back.
fn read_order(path: &Path) -> Result<[Vec<Slot>; DIRECTIONS]> {
    let text = std::fs::read_to_string(path).map_err(Error::io("reading", path))?;
    let mut order: [Vec<Slot>; DIRECTIONS] = Default::default();
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("layer=")) {
        let mut parts = line.split(',').map(str::trim);
        let direction = parts.next().and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < DIRECTIONS);
        let slots: Option<Vec<Slot>> = parts.map(Slot::listed).collect();
        let (Some(direction), Some(slots)) = (direction, slots) else {
            return Err(Error::format(path, format!("layer={line:?} is not understood")));
        };
        order[direction] = slots;
    }
    match order.iter().position(Vec::is_empty) {
        Some(direction) => {
            Err(Error::format(path, format!("there is no order of layers for direction {direction}")))
        }
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_by_their_names() {
        let of = |name: &str| Slot::of(name).map(|slot| CLASSES[slot as usize + 1]);
        let named = [
            "mage_hood_alt1",
            "default_chest",
            "plate_gauntlets",
            "chain_greaves",
            "cloth_sandals",
            "iron_buckler",
        ];
        assert_eq!(named.map(of), ["head", "chest", "hands", "legs", "feet", "shield"].map(Some));
        assert_eq!(["hand_axe", "smith_hammer", "longbow"].map(of), [Some("weapon"); 3]);
        assert_eq!(["leather_armor", "clothes", "steel_armor"].map(of), [None; 3]);
    }
}
