//! Condition maps that come with the frames of a clip: classes, instances, pictures of conditions, motion.
//!
//! | name | shape | values |
//! |---|---|---|
//! | `segmentation` | `[B, 1, T, H, W]` | u32 class index; the names of the classes are those of the label group `segmentation` |
//! | `instances` | `[B, 1, T, H, W]` | u32, one value for each object |
//! | `conditions` | `[B, C, T, H, W]` | f32 in [-1, 1]: drawn edges or poses |
//! | `flow`, `flow-K` | `[B, 2, T - K, H, W]` | f32 pixels, x then y, K = 1 for `flow`; see [`MapKind::Flow`] |
//! | `confidence`, `confidence-K` | `[B, 1, T - K, H, W]` | f32, 1 where the flow can be trusted and 0 elsewhere; `occlusion` is another name of it |

pub(crate) mod store;

use std::fmt;

use vg_core::{Error, Result};

use crate::{frames::FrameSize, layouts, procedural::street, settings, sprites};

/// One kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MapKind {
    /// Class of each pixel.
    Segmentation,
    /// Object of each pixel.
    Instances,
    /// Pictures that a model is conditioned on.
    Conditions,
    /// Backward optical flow over so many frames of the clip, 1 or more: pixel p of frame t + K shows what frame t shows at p + flow, x to
    /// the right and y down (vid2vid, official `models/networks.py`, `resample`).
    Flow(usize),
    /// Where that flow can be trusted: the same surface is seen there, or, without known surfaces, the same colour.
    Confidence(usize),
}

impl MapKind {
    /// The kind of a name such as `flow-3`; none for other names.
    pub fn parse(name: &str) -> Option<Self> {
        let (base, gap) = match name.rsplit_once('-') {
            Some((base, gap)) => (base, gap.parse().ok().filter(|gap| *gap >= 1)?),
            None => (name, 1),
        };
        match base {
            "flow" => Some(Self::Flow(gap)),
            "confidence" | "occlusion" => Some(Self::Confidence(gap)),
            "segmentation" if base == name => Some(Self::Segmentation),
            "instances" if base == name => Some(Self::Instances),
            "conditions" if base == name => Some(Self::Conditions),
            _ => None,
        }
    }

    /// How many frames fewer than the clip the map has.
    pub fn gap(self) -> usize {
        match self {
            Self::Flow(gap) | Self::Confidence(gap) => gap,
            _ => 0,
        }
    }

    /// Sets that have it, for messages.
    fn sets(self) -> &'static str {
        match self {
            Self::Segmentation => "street, sprites, cityscapes:DIR and maps:DIR",
            Self::Instances => "street, sprites, cityscapes:DIR and maps:DIR with a folder `instances`",
            Self::Conditions => "face:DIR and pose:DIR",
            Self::Flow(_) | Self::Confidence(_) => {
                "street, sprites, cityscapes:DIR, maps:DIR, face:DIR and pose:DIR"
            }
        }
    }
}

impl fmt::Display for MapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, gap) = match self {
            Self::Segmentation => ("segmentation", 1),
            Self::Instances => ("instances", 1),
            Self::Conditions => ("conditions", 1),
            Self::Flow(gap) => ("flow", *gap),
            Self::Confidence(gap) => ("confidence", *gap),
        };
        if gap == 1 { f.write_str(base) } else { write!(f, "{base}-{gap}") }
    }
}

/// One map of one clip, `[C, T, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Number of channels, C.
    pub channels: usize,
    /// Number of frames, T less the [`gap`](MapKind::gap).
    pub frames: usize,
    /// Rows, H.
    pub height: usize,
    /// Columns, W.
    pub width: usize,
    /// `C * T * H * W` values.
    pub values: Values,
}

/// The values of a map.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers of classes or objects.
    Ids(Vec<u32>),
    /// Anything else.
    Floats(Vec<f32>),
}

impl Map {
    /// A map around values in the order `C, T, H, W`.
    ///
    /// # Errors
    /// [`Error::Shape`] when their number is not that of the sizes.
    pub fn new(channels: usize, frames: usize, size: FrameSize, values: Values) -> Result<Self> {
        let FrameSize { height, width, .. } = size;
        let count = match &values {
            Values::Ids(ids) => ids.len(),
            Values::Floats(floats) => floats.len(),
        };
        if count != channels * frames * height * width {
            let expected = format!("{channels} x {frames} x {height} x {width} values");
            return Err(Error::shape("a map", expected, &[count]));
        }
        Ok(Self { channels, frames, height, width, values })
    }

    /// A map `[C, T, H, W]` out of one `[C, H, W]` a frame.
    ///
    /// # Errors
    /// [`Error::Shape`] when frames have another number of values.
    pub fn of_frames(channels: usize, size: FrameSize, frames: &[Vec<f32>]) -> Result<Self> {
        let plane = size.height * size.width;
        if let Some(odd) = frames.iter().find(|frame| frame.len() != channels * plane) {
            return Err(Error::shape(
                "a frame of a map",
                format!("{channels} x {plane} values"),
                &[odd.len()],
            ));
        }
        let channel = |c: usize| frames.iter().flat_map(move |frame| &frame[c * plane..(c + 1) * plane]);
        let values = (0..channels).flat_map(channel).copied().collect();
        Self::new(channels, frames.len(), size, Values::Floats(values))
    }

    /// Seen in a mirror, left and right exchanged: flow then points the other way along x.
    pub fn mirrored(mut self, kind: MapKind) -> Self {
        let width = self.width;
        match &mut self.values {
            Values::Ids(ids) => ids.chunks_exact_mut(width).for_each(<[u32]>::reverse),
            Values::Floats(floats) => {
                floats.chunks_exact_mut(width).for_each(<[f32]>::reverse);
                if let MapKind::Flow(_) = kind {
                    let plane = floats.len() / 2;
                    floats[..plane].iter_mut().for_each(|x| *x = -*x);
                }
            }
        }
        self
    }
}

/// The kinds of the maps `names`, all of which the set `set` has and for which its clips of `frames` frames are long enough.
///
/// # Errors
/// [`Error::Unknown`] for a name that no set has; [`Error::Data`] for a map that this set lacks, with those that have it, or that spans
/// more frames than the clip has.
pub fn kinds(
    set: &str,
    names: &[String],
    frames: usize,
    has: impl Fn(MapKind) -> bool,
) -> Result<Vec<MapKind>> {
    let known = [
        "segmentation",
        "instances",
        "conditions",
        "flow",
        "flow-K",
        "confidence",
        "confidence-K",
        "occlusion",
    ];
    names
        .iter()
        .map(|name| {
            let kind = MapKind::parse(name).ok_or_else(|| Error::unknown("condition map", name, known))?;
            if !has(kind) {
                return Err(Error::Data(format!(
                    "{set}: this data set has no condition map {name:?}; those that have it: {}",
                    kind.sets()
                )));
            }
            if kind.gap() >= frames {
                return Err(Error::Data(format!(
                    "{set}: {name:?} spans {} frames, but the clips have {frames}; ask for longer clips",
                    kind.gap() + 1
                )));
            }
            Ok(kind)
        })
        .collect()
}

/// The error of a set without maps.
pub(crate) fn none(set: &str, kinds: &[MapKind]) -> Error {
    match kinds.first() {
        Some(kind) => Error::Data(format!(
            "{set}: this data set has no condition map {kind}; those that have it: {}",
            kind.sets()
        )),
        None => Error::Data(format!("{set}: no condition maps were asked for")),
    }
}

/// Display colours of the classes of a set, by name; empty where it has none, and then [`media::maps`](crate::media::maps) makes some up.
pub fn palette(set: &str) -> Vec<[u8; 3]> {
    match settings::base(set) {
        "street" => street::COLOURS.to_vec(),
        "sprites" => sprites::COLOURS.to_vec(),
        name if name.starts_with("cityscapes:") => layouts::COLOURS.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_belong_together() {
        for kind in [
            MapKind::Segmentation,
            MapKind::Instances,
            MapKind::Conditions,
            MapKind::Flow(1),
            MapKind::Flow(9),
            MapKind::Confidence(1),
            MapKind::Confidence(3),
        ] {
            assert_eq!(MapKind::parse(&kind.to_string()), Some(kind));
        }
        assert_eq!(MapKind::parse("occlusion-3"), Some(MapKind::Confidence(3)));
        assert!(
            ["depth", "flow-0", "flow-x", "segmentation-2", ""].iter().all(|n| MapKind::parse(n).is_none())
        );
    }

    #[test]
    fn mirrors_turn_flow_around() {
        let size = FrameSize { height: 1, width: 3, channels: 1 };
        let flow = Map::of_frames(2, size, &[vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).unwrap();
        let mirrored = flow.mirrored(MapKind::Flow(1)).values;
        assert_eq!(mirrored, Values::Floats(vec![-3.0, -2.0, -1.0, 6.0, 5.0, 4.0]));
        let ids = Map::new(1, 1, size, Values::Ids(vec![7, 8, 9])).unwrap();
        assert_eq!(ids.mirrored(MapKind::Segmentation).values, Values::Ids(vec![9, 8, 7]));
        assert!(Map::new(1, 2, size, Values::Ids(vec![7, 8, 9])).is_err());
    }

    #[test]
    fn maps_that_are_not_there_are_named() {
        let of =
            |name: &str, frames| kinds("shapes", &[name.to_owned()], frames, |kind| kind == MapKind::Flow(3));
        let text = of("segmentation", 4).unwrap_err().to_string();
        assert!(
            text.contains("shapes") && text.contains("\"segmentation\"") && text.contains("street"),
            "{text}"
        );
        assert!(of("segmentations", 4).unwrap_err().to_string().contains("did you mean \"segmentation\""));
        assert!(of("flow-3", 3).unwrap_err().to_string().contains("spans 4 frames"));
        assert_eq!(of("flow-3", 4).unwrap(), [MapKind::Flow(3)]);
    }
}
