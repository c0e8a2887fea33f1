//! Maps as networks see them: channels of a frame, image pyramids, foreground masks, faces.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::ops::labels::{instance_edges, one_hot};
use vg_core::{Error, Result};

use crate::config::Config;
use crate::layers::halve;

/// Name of maps of class ids.
pub const SEGMENTATION: &str = "segmentation";
/// Name of maps of instance ids.
pub const INSTANCES: &str = "instances";
/// Name of continuous maps on [-1, 1], or [0, 1] for edges.
pub const CONDITIONS: &str = "conditions";
/// Name of reference flows from each frame to the one before.
pub const FLOW: &str = "flow";

/// Name of reference flows from each frame to the one `stride` before.
pub fn flow_name(stride: usize) -> String {
    if stride == 1 { FLOW.to_owned() } else { format!("{FLOW}-{stride}") }
}

/// The map of a name, checked: `[clips, channels, frames, H, W]`.
///
/// # Errors
/// [`Error::Data`] for a missing one, [`Error::Shape`] for another size.
pub(crate) fn map<'a>(
    maps: &'a BTreeMap<String, Tensor>,
    name: &str,
    [clips, channels, frames]: [usize; 3],
    config: &Config,
) -> Result<&'a Tensor> {
    let map = maps.get(name).ok_or_else(|| {
        let present: Vec<&str> = maps.keys().map(String::as_str).collect();
        let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        Error::Data(format!("the model needs the maps {name:?} of every clip; there are: {present}"))
    })?;
    let (h, w) = (config.clip.height, config.clip.width);
    if map.dims() != [clips, channels, frames, h, w] {
        let expected = format!("[{clips}, {channels}, {frames}, {h}, {w}]");
        let what = match name {
            SEGMENTATION => "label maps",
            INSTANCES => "instance maps",
            CONDITIONS => "condition maps",
            _ => "reference flow",
        };
        return Err(Error::shape(what, expected, map.dims()));
    }
    Ok(map)
}

/// Source channels of every frame, each `[B, C, H, W]`: one a class (or the continuous maps), then the edges between instances.
///
/// # Shapes
/// - `maps` by name, `[B, C', T, H, W]` with `frames` = T
///
/// # Errors
/// As [`one_hot`]; [`Error::Data`] for a missing map, [`Error::Shape`] for another size.
pub fn source(
    maps: &BTreeMap<String, Tensor>,
    clips: usize,
    frames: usize,
    config: &Config,
    dtype: DType,
) -> Result<Vec<Tensor>> {
    let m = &config.maps;
    let edges = if m.instances { Some(map(maps, INSTANCES, [clips, 1, frames], config)?) } else { None };
    let first = match m.classes {
        0 => map(maps, CONDITIONS, [clips, m.channels, frames], config)?,
        _ => map(maps, SEGMENTATION, [clips, 1, frames], config)?,
    };
    (0..frames)
        .map(|t| {
            let own = frame(first, t)?;
            let own = if m.classes > 0 {
                one_hot(&own.squeeze(1)?, m.classes, dtype)?
            } else {
                own.to_dtype(dtype)?
            };
            match edges {
                None => Ok(own.contiguous()?),
                Some(edges) => {
                    let edges = instance_edges(&frame(edges, t)?.squeeze(1)?, dtype)?;
                    Ok(Tensor::cat(&[own, edges], 1)?)
                }
            }
        })
        .collect()
}

/// Label maps of u32 with some classes replaced by others, all at once, so that two can change places; instance maps alike, where the id of what is
/// not counted is its class.
///
/// Source: paper, section 4, "semantic manipulation".
///
/// # Errors
/// [`Error::Tensor`] for maps of another type.
pub fn relabel(maps: &Tensor, edits: &[(u32, u32)]) -> Result<Tensor> {
    let edited = |label: u32| edits.iter().find(|(from, _)| *from == label).map_or(label, |(_, to)| *to);
    let labels: Vec<u32> = maps.flatten_all()?.to_vec1()?;
    let labels: Vec<u32> = labels.into_iter().map(edited).collect();
    Ok(Tensor::from_vec(labels, maps.shape(), maps.device())?)
}

/// Frame `t` of clips `[B, C, T, H, W]`.
///
/// # Errors
/// [`Error::Tensor`] for a frame that is not there.
pub fn frame(clips: &Tensor, t: usize) -> Result<Tensor> {
    Ok(clips.narrow(2, t, 1)?.squeeze(2)?.contiguous()?)
}

/// The image and its halves, `levels` in all, finest first.
///
/// # Errors
/// As [`halve`].
pub fn pyramid(image: &Tensor, levels: usize) -> Result<Vec<Tensor>> {
    let mut all = vec![image.clone()];
    while all.len() < levels {
        all.push(halve(&all[all.len() - 1])?);
    }
    Ok(all)
}

/// Where the foreground classes are, `[B, 1, H, W]` on [0, 1], of source channels of any level; `None` for a model without a foreground.
///
/// # Errors
/// [`Error::Tensor`] for fewer channels than classes.
pub fn foreground(source: &Tensor, config: &Config) -> Result<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for class in &config.generator.foreground {
        let own = source.narrow(1, *class, 1)?;
        sum = Some(match sum {
            Some(sum) => (sum + own)?,
            None => own.contiguous()?,
        });
    }
    Ok(sum.map(|sum| sum.clamp(0.0, 1.0)).transpose()?)
}

/// A square crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Square {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows and columns.
    pub side: usize,
}

impl Square {
    /// The crop of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for an image that is too small.
    pub fn of(self, images: &Tensor) -> Result<Tensor> {
        Ok(images.narrow(2, self.top, self.side)?.narrow(3, self.left, self.side)?.contiguous()?)
    }
}

/// The square around all faces of source channels `[N, C, H, W]`, which the third channel marks by values above 0.9; a quarter of the frame's
/// height. `None` where there is no face.
///
/// As in the official code, the crop never touches the last row and column.
///
/// # Errors
/// [`Error::Tensor`] for fewer than three channels.
pub fn face(source: &Tensor) -> Result<Option<Square>> {
    let (h, w) = (source.dim(2)?, source.dim(3)?);
    let marks: Vec<f64> = source.narrow(1, 2, 1)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let found = marks.iter().enumerate().filter(|(_, mark)| **mark > 0.9);
    let place = |at: usize| (at % (h * w) / w, at % w);
    let mut range: Option<[usize; 4]> = None;
    for (y, x) in found.map(|(at, _)| place(at)) {
        let [top, bottom, left, right] = range.unwrap_or([y, y, x, x]);
        range = Some([top.min(y), bottom.max(y), left.min(x), right.max(x)]);
    }
    let half = h / 32 * 4;
    let first = |low: usize, high: usize, n: usize| ((low + high) / 2).min(n - 1 - half).max(half) - half;
    Ok(range.map(|[top, bottom, left, right]| Square {
        top: first(top, bottom, h),
        left: first(left, right, w),
        side: 2 * half,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn classes_can_change_places() {
        let maps = Tensor::from_slice(&[11u32, 21, 7, 11], (1, 1, 1, 2, 2), &Device::Cpu).unwrap();
        let edited = relabel(&maps, &[(11, 21), (21, 11)]).unwrap();
        assert_eq!(edited.flatten_all().unwrap().to_vec1::<u32>().unwrap(), [21, 11, 7, 21]);
    }

    /// Specification, section 2.3: the crop keeps away from the last row and column.
    #[test]
    fn faces_are_cut_out_within_the_frame() {
        let mut values = vec![0.0f32; 3 * 64 * 64];
        let mut marked = |y: usize, x: usize| {
            values[2 * 64 * 64 + y * 64 + x] = 1.0;
            Tensor::from_slice(&values, (1, 3, 64, 64), &Device::Cpu).unwrap()
        };
        assert_eq!(face(&marked(63, 0)).unwrap(), Some(Square { top: 47, left: 0, side: 16 }));
        assert_eq!(face(&marked(21, 40)).unwrap(), Some(Square { top: 34, left: 12, side: 16 }));
        assert_eq!(face(&Tensor::zeros((1, 3, 64, 64), DType::F32, &Device::Cpu).unwrap()).unwrap(), None);
    }
}
