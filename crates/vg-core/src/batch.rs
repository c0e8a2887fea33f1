//! What a trainer asks of the data, and what it gets.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{ClipSpec, Error, Result};

/// How 8-bit pixels become network values and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// `x = u / 127.5 - 1`, onto [-1, 1].
    #[default]
    Symmetric,
    /// `x = (u - 128) / 128`, onto [-1, 0.9921875] (TGAN).
    Centered128,
    /// `x = u / 255`, onto [0, 1] (SVG).
    Unit,
}

impl Pixels {
    /// Network value of an 8-bit pixel.
    pub fn decode(self, pixel: u8) -> f32 {
        match self {
            Self::Symmetric => f32::from(pixel) / 127.5 - 1.0,
            Self::Centered128 => (f32::from(pixel) - 128.0) / 128.0,
            Self::Unit => f32::from(pixel) / 255.0,
        }
    }

    /// Nearest 8-bit pixel of a network value, clamped to 0..=255 (halves round to even).
    pub fn encode(self, value: f32) -> u8 {
        let scaled = match self {
            Self::Symmetric => (value + 1.0) * 127.5,
            Self::Centered128 => value * 128.0 + 128.0,
            Self::Unit => value * 255.0,
        };
        scaled.round_ties_even().clamp(0.0, 255.0) as u8
    }
}

/// Label group that every data set has: the number of a clip in it, for choices that are to be the same whenever a clip is drawn.
pub const CLIP_NUMBER: &str = "clip-number";

/// The batch that a trainer wants next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSpec {
    /// Number of clips, B.
    pub clips: usize,
    /// Size of each clip; the data are resized, cut and converted between grey and RGB to fit.
    pub clip: ClipSpec,
    /// Distance between the frames of a clip in its source; shortened for sources that are too short (MoCoGAN: 2).
    pub frame_stride: usize,
    /// Single frames drawn apart from the clips, 0 for none (MoCoGAN's image discriminator).
    pub images: usize,
    /// Label groups to deliver, such as `class` (empty: none).
    pub labels: Vec<String>,
    /// By label group: how many classes the model is made for, where it learns to tell them apart; see [`BatchSpec::check_classes`].
    #[serde(default)]
    pub classes: BTreeMap<String, ClassCount>,
    /// Condition maps to deliver over the frames of the clips (vid2vid; empty: none), all mirrored with their clip. Names that data sets
    /// know: `segmentation` and `instances`, `[B, 1, T, H, W]` in u32; `conditions`, `[B, C, T, H, W]` in [-1, 1]; `flow`,
    /// `[B, 2, T - 1, H, W]` backward in pixels, x then y: frame t + 1 shows at p what frame t shows at p + flow; `confidence` or
    /// `occlusion`, `[B, 1, T - 1, H, W]`, 1 where that flow can be trusted; and `flow-K`, `confidence-K` between frames t + K and t.
    pub maps: Vec<String>,
    /// Mirror each clip left-right with probability one half.
    pub flip: bool,
    /// Pixel scale of the network.
    pub pixels: Pixels,
}

impl BatchSpec {
    /// `clips` clips of one size with consecutive frames, and nothing else.
    pub fn clips(clips: usize, clip: ClipSpec, pixels: Pixels) -> Self {
        Self {
            clips,
            clip,
            frame_stride: 1,
            images: 0,
            labels: Vec::new(),
            classes: BTreeMap::new(),
            maps: Vec::new(),
            flip: false,
            pixels,
        }
    }

    /// Checks that the data have as many classes as the model is made for. Fewer are refused like more: a model would make, and its
    /// judge would look for, classes that no clip shows. A group that the data lack is the source's to name.
    ///
    /// # Errors
    /// [`Error::Data`] with both numbers and the configuration value to set.
    pub fn check_classes(&self, data: &SourceInfo) -> Result<()> {
        for (group, ClassCount { count, key }) in &self.classes {
            let Some(names) = data.classes.get(group).filter(|names| names.len() != *count) else { continue };
            let (found, data) = (names.len(), &data.name);
            let more = if found > NAMED { ", ..." } else { "" };
            let names = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::Data(format!(
                "{data} has {found} classes in {group:?} ({names}{more}), but the model is made for {count}; make it for {found}: `--set {}`",
                setting(key, found)
            )));
        }
        Ok(())
    }
}

/// What `--set` takes to make `key` hold `count`.
fn setting(key: &str, count: usize) -> String {
    if key.contains("{}") { key.replace("{}", &count.to_string()) } else { format!("{key}={count}") }
}

/// Classes that an error names; the rest is counted.
const NAMED: usize = 5;

/// A number of classes in a model's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The number.
    pub count: usize,
    /// Dotted path of the configuration value that sets it, such as `categories.count`; or, for one of several, the whole setting with `{}` in
    /// place of the number: `attributes.classes=[{},9]`.
    pub key: String,
}

impl ClassCount {
    /// `count` classes, as the configuration value `key` says.
    pub fn new(count: usize, key: &str) -> Self {
        Self { count, key: key.to_owned() }
    }
}

/// One batch on the device of the run.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[B, C, T, H, W]`, f32 on the scale asked for.
    pub clips: Tensor,
    /// `[N, C, H, W]`, when [`BatchSpec::images`] is not 0.
    pub images: Option<Tensor>,
    /// By group: `[B]` u32 class indices.
    pub labels: BTreeMap<String, Tensor>,
    /// By name: `[B, C', T', H, W]`, u32 for numbers of classes and objects, else f32; see [`BatchSpec::maps`].
    pub maps: BTreeMap<String, Tensor>,
}

impl Batch {
    /// A batch of clips alone.
    pub fn of_clips(clips: Tensor) -> Self {
        Self { clips, images: None, labels: BTreeMap::new(), maps: BTreeMap::new() }
    }

    /// Labels of a group, `[B]` u32.
    ///
    /// # Errors
    /// [`Error::Data`] that names the group and those present.
    pub fn label(&self, group: &str) -> Result<&Tensor> {
        self.labels.get(group).ok_or_else(|| {
            let present: Vec<&str> = self.labels.keys().map(String::as_str).collect();
            Error::Data(format!(
                "the batch has no labels {group:?} (it has: {})",
                if present.is_empty() { "none".to_owned() } else { present.join(", ") }
            ))
        })
    }

    /// The batch with its floating-point tensors in another precision or on another device.
    pub fn to(&self, dtype: DType, device: &Device) -> Result<Self> {
        let convert = |t: &Tensor| -> Result<Tensor> {
            let t = t.to_device(device)?;
            Ok(if t.dtype().is_float() { t.to_dtype(dtype)? } else { t })
        };
        let all = |map: &BTreeMap<String, Tensor>| -> Result<BTreeMap<String, Tensor>> {
            map.iter().map(|(k, t)| Ok((k.clone(), convert(t)?))).collect()
        };
        Ok(Self {
            clips: convert(&self.clips)?,
            images: self.images.as_ref().map(convert).transpose()?,
            labels: all(&self.labels)?,
            maps: all(&self.maps)?,
        })
    }
}

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// Name as on the command line, such as `shapes` or `folder:clips/`.
    pub name: String,
    /// Number of clips; one epoch.
    pub clips: u64,
    /// Label groups and the names of their classes in index order.
    pub classes: BTreeMap<String, Vec<String>>,
    /// Changes when the content or its order changes; a resumed run must find the same.
    pub fingerprint: String,
}

/// Batches by position, so that a run resumes anywhere without replaying what came before.
///
/// Implementations are pure in (their own seed, `spec`, `position`): the same call gives the same batch, whatever was asked before.
pub trait BatchSource {
    /// What the data set holds.
    fn info(&self) -> &SourceInfo;

    /// The batch that starts after `position` clips have been drawn, in f32 on the CPU.
    ///
    /// Clips come in a seeded order that is shuffled anew every epoch; a batch may span two epochs.
    fn batch(&mut self, spec: &BatchSpec, position: u64) -> Result<Batch>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixel_scales_round_trip_and_clamp() {
        for scale in [Pixels::Symmetric, Pixels::Centered128, Pixels::Unit] {
            for pixel in 0..=255 {
                assert_eq!(scale.encode(scale.decode(pixel)), pixel);
            }
            assert_eq!((scale.encode(-9.0), scale.encode(9.0)), (0, 255));
        }
        let centred = [0, 128, 255].map(|u| Pixels::Centered128.decode(u));
        assert_eq!(centred, [-1.0, 0.0, 0.992_187_5]);
    }

    #[test]
    fn other_numbers_of_classes_are_named_with_the_way_out() {
        let clip = ClipSpec { frames: 1, height: 1, width: 1, channels: 1 };
        let mut spec = BatchSpec::clips(1, clip, Pixels::Unit);
        let names = |n: usize| (0..n).map(|k| format!("c{k}")).collect::<Vec<_>>();
        let data = |n| SourceInfo {
            name: "set".into(),
            clips: 9,
            classes: BTreeMap::from([("class".to_owned(), names(n))]),
            fingerprint: String::new(),
        };
        spec.check_classes(&data(4)).unwrap();
        spec.classes.insert("class".into(), ClassCount::new(3, "categories.count"));
        spec.check_classes(&data(3)).unwrap();
        for (n, part) in [(2, "2 classes in \"class\" (c0, c1)"), (7, "c4, ...")] {
            let text = spec.check_classes(&data(n)).unwrap_err().to_string();
            assert!(text.contains(part) && text.contains("made for 3"), "{text}");
            assert!(text.contains(&format!("--set categories.count={n}")), "{text}");
        }
        spec.classes.insert("class".into(), ClassCount::new(3, "attributes.classes=[{},9]"));
        let text = spec.check_classes(&data(4)).unwrap_err().to_string();
        assert!(text.contains("--set attributes.classes=[4,9]"), "{text}");
    }
}
