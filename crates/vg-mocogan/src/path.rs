//! The path of motion codes at other speeds.

use candle_core::Tensor;
use vg_core::Result;

/// Resamples the codes of a path `[B, K, motion]`, so that frame k is at `k * speed`, linear between its neighbours: `[B, frames, motion]`.
///
/// K must be at least `(frames - 1) * speed + 1`. The codes themselves come back at speed 1.
pub(crate) fn resample(codes: &Tensor, frames: usize, speed: f64) -> Result<Tensor> {
    let steps = codes.dim(1)?;
    if speed == 1.0 && frames == steps {
        return Ok(codes.clone());
    }
    let row = |k: usize| -> Result<Tensor> {
        let at = (k as f64 * speed).min((steps - 1) as f64);
        let (left, share) = (at.floor() as usize, at.fract());
        let a = codes.narrow(1, left, 1)?;
        if share == 0.0 {
            return Ok(a);
        }
        Ok(((a * (1.0 - share))? + (codes.narrow(1, left + 1, 1)? * share)?)?)
    };
    let rows = (0..frames).map(row).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&rows, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn paths_are_walked_slower_and_faster() {
        let codes = Tensor::new(&[[[0f64], [2.0], [6.0], [7.0], [9.0]]], &Device::Cpu).unwrap();
        let at = |frames, speed| {
            resample(&codes, frames, speed).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        assert_eq!(at(5, 1.0), [0.0, 2.0, 6.0, 7.0, 9.0]);
        assert_eq!(at(4, 0.5), [0.0, 1.0, 2.0, 4.0]);
        assert_eq!(at(3, 2.0), [0.0, 6.0, 9.0]);
        assert_eq!(at(1, 3.0), [0.0]);
    }
}
