//! Pictures of what is no picture: flows, masks, label maps.

use candle_core::{DType, Device, Tensor};
use vg_core::Result;

/// Flow of this many pixels is shown in full colour; longer ones no stronger.
const FULL: f64 = 12.0;
/// Turns of the colour circle from one class to the next: the golden section keeps neighbours apart.
const TURN: f64 = 0.618_034;

/// A colour of full brightness on [-1, 1]: hue in turns, saturation from 0 (white) to 1.
fn colour(hue: f64, saturation: f64, value: f64) -> [f64; 3] {
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift| {
        let distance = ((hue + shift).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
        let channel = value * (1.0 - saturation * (1.0 - distance.clamp(0.0, 1.0)));
        2.0 * channel - 1.0
    })
}

/// `[1, 3, H, W]` on [-1, 1] from a colour a pixel.
fn image(h: usize, w: usize, of: impl Fn(usize) -> [f64; 3]) -> Result<Tensor> {
    let colours: Vec<[f64; 3]> = (0..h * w).map(of).collect();
    let planes = (0..3).flat_map(|c| colours.iter().map(move |colour| colour[c] as f32));
    Ok(Tensor::from_vec(planes.collect::<Vec<f32>>(), (1, 3, h, w), &Device::Cpu)?)
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// A flow `[1, 2, H, W]` in pixels by colours: the hue is the direction, white is rest. `[1, 3, H, W]` on [-1, 1].
///
/// # Errors
/// [`vg_core::Error::Tensor`] for another rank.
pub fn flow(flow: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = flow.dims4()?;
    let v = values(flow)?;
    image(h, w, |at| {
        let (x, y) = (v[at], v[h * w + at]);
        colour(y.atan2(x) / std::f64::consts::TAU, (x.hypot(y) / FULL).min(1.0), 1.0)
    })
}

/// A mask `[1, 1, H, W]` on [0, 1] in grey, `[1, 3, H, W]` on [-1, 1].
///
/// # Errors
/// [`vg_core::Error::Tensor`] for another rank.
pub fn mask(mask: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = mask.dims4()?;
    let v = values(mask)?;
    image(h, w, |at| [2.0 * v[at] - 1.0; 3])
}

/// Label maps `[1, 1, H, W]` in a colour a class, or the first channels of continuous maps `[1, C, H, W]` as they are; `[1, 3, H, W]`.
///
/// # Errors
/// [`vg_core::Error::Tensor`] for another rank.
pub fn maps(maps: &Tensor, labels: bool) -> Result<Tensor> {
    let (_, channels, h, w) = maps.dims4()?;
    let v = values(maps)?;
    let channel = |c: usize, at: usize| v[c.min(channels - 1) * h * w + at].clamp(-1.0, 1.0);
    image(h, w, |at| {
        if labels {
            colour(v[at] * TURN, 0.65, 1.0 - 0.12 * (v[at] % 4.0))
        } else {
            [0, 1, 2].map(|c| channel(c, at))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(picture: &Tensor, at: usize) -> [f32; 3] {
        let v = picture.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let plane = v.len() / 3;
        [v[at], v[plane + at], v[2 * plane + at]]
    }

    #[test]
    fn rest_is_white_and_directions_differ() {
        let v = [0.0f32, 20.0, -20.0, 0.0, 0.0, 0.0];
        let picture = flow(&Tensor::from_slice(&v, (1, 2, 1, 3), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(pixel(&picture, 0), [1.0; 3]);
        // To the right red, to the left its opposite.
        assert_eq!(pixel(&picture, 1), [1.0, -1.0, -1.0]);
        assert_eq!(pixel(&picture, 2), [-1.0, 1.0, 1.0]);
    }

    #[test]
    fn classes_have_colours_of_their_own() {
        let ids: Vec<u32> = (0..35).collect();
        let picture = maps(&Tensor::from_vec(ids, (1, 1, 5, 7), &Device::Cpu).unwrap(), true).unwrap();
        let mut seen: Vec<[u32; 3]> = (0..35).map(|at| pixel(&picture, at).map(f32::to_bits)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 35);
    }
}
