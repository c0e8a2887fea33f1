//! Pictures of condition maps, for people.

use vg_core::{Error, Result};
use vg_flow::{Flow, wheel};

use crate::{
    frames::{FrameSize, Frames},
    maps::{Map, Values},
};

/// Classes in the colours `palette`; numbers past its end have colours of their own.
///
/// # Errors
/// [`Error::Data`] for a map that does not hold numbers.
pub fn classes(map: &Map, palette: &[[u8; 3]]) -> Result<Frames> {
    let colour = |id: &u32| palette.get(*id as usize).copied().unwrap_or_else(|| colour_of(*id));
    rgb(map, ids(map)?.iter().flat_map(colour).collect())
}

/// White where a pixel's left, right, upper or lower neighbour belongs to another object (vid2vid, official `get_edges`).
///
/// # Errors
/// [`Error::Data`] for a map that does not hold numbers.
pub fn boundaries(map: &Map) -> Result<Frames> {
    let (ids, width, plane) = (ids(map)?, map.width, map.width * map.height);
    let edge = |at: usize| {
        let (x, y) = (at % width, at % plane / width);
        let other = |near: bool, place: usize| near && ids[place] != ids[at];
        other(x > 0, at.wrapping_sub(1))
            || other(x + 1 < width, at + 1)
            || other(y > 0, at.wrapping_sub(width))
            || other(y + 1 < map.height, at + width)
    };
    rgb(map, (0..ids.len()).flat_map(|at| [if edge(at) { 255 } else { 0 }; 3]).collect())
}

/// Flow in the colours of Middlebury's wheel: the direction is the hue, and white is no motion; lengths of `longest` pixels are fully
/// coloured, longer ones darker.
///
/// # Errors
/// [`Error::Data`] for a map without two channels of pixels.
pub fn flow(map: &Map, longest: f32) -> Result<Frames> {
    let (Values::Floats(values), 2) = (&map.values, map.channels) else {
        return Err(Error::Data("a picture of flow needs a map of two channels of pixels".to_owned()));
    };
    let plane = map.height * map.width;
    let (u, v) = values.split_at(values.len() / 2);
    let mut data = Vec::with_capacity(map.frames * plane * 3);
    for (u, v) in u.chunks_exact(plane).zip(v.chunks_exact(plane)) {
        let flow = Flow::new(map.height, map.width, [u, v].concat());
        let flow = flow.map_err(|e| Error::Data(format!("a picture of flow: {e}")))?;
        data.extend(wheel::picture(&flow, longest));
    }
    rgb(map, data)
}

/// Values in [-1, 1] as a grey or coloured picture; of more than three channels the first three, and of two the first.
///
/// # Errors
/// [`Error::Data`] for a map that holds numbers of classes or objects.
pub fn conditions(map: &Map) -> Result<Frames> {
    let Values::Floats(values) = &map.values else {
        return Err(Error::Data(
            "a map of numbers has no grey levels; it is drawn by its classes".to_owned(),
        ));
    };
    let count = map.frames * map.height * map.width;
    let shown = if map.channels >= 3 { [0, 1, 2] } else { [0; 3] };
    let byte = |v: f32| vg_core::Pixels::Symmetric.encode(v);
    rgb(map, (0..count).flat_map(|at| shown.map(|c| byte(values[c * count + at]))).collect())
}

fn ids(map: &Map) -> Result<&[u32]> {
    match &map.values {
        Values::Ids(ids) => Ok(ids),
        Values::Floats(_) => {
            Err(Error::Data("a picture of classes or objects needs a map of numbers".to_owned()))
        }
    }
}

fn rgb(map: &Map, data: Vec<u8>) -> Result<Frames> {
    Frames::from_bytes(map.frames, FrameSize { height: map.height, width: map.width, channels: 3 }, data)
}

/// A colour for a number, the same every time.
fn colour_of(id: u32) -> [u8; 3] {
    let h = id.wrapping_mul(0x9e37_79b1);
    [h >> 24, h >> 16, h >> 8].map(|v| 64 + (v & 0xff) as u8 / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: FrameSize = FrameSize { height: 2, width: 3, channels: 1 };

    #[test]
    fn both_pixels_of_a_differing_pair_are_boundaries() {
        let map = Map::new(1, 1, SIZE, Values::Ids(vec![1, 1, 2, 1, 1, 1])).unwrap();
        let grey: Vec<u8> = boundaries(&map).unwrap().data.chunks(3).map(|p| p[0]).collect();
        assert_eq!(grey, [0, 255, 255, 0, 0, 255]);
    }

    #[test]
    fn classes_have_their_colours_and_the_wrong_map_is_refused() {
        let map = Map::new(1, 1, SIZE, Values::Ids(vec![0, 1, 0, 1, 0, 9])).unwrap();
        let picture = classes(&map, &[[1, 2, 3], [4, 5, 6]]).unwrap().data;
        assert_eq!(picture[..6], [1, 2, 3, 4, 5, 6]);
        assert!(flow(&map, 1.0).is_err() && conditions(&map).is_err());
    }

    #[test]
    fn no_motion_is_white_and_opposite_motions_differ() {
        let map = Map::new(
            2,
            1,
            SIZE,
            Values::Floats(vec![0.0, 5.0, -5.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, -5.0, 0.0]),
        )
        .unwrap();
        let picture = flow(&map, 5.0).unwrap().data;
        let pixels: Vec<&[u8]> = picture.chunks(3).collect();
        assert_eq!(pixels[0], [255, 255, 255]);
        assert!(pixels[1] != pixels[2] && pixels[3] != pixels[4] && pixels[1] == pixels[5]);
    }
}
