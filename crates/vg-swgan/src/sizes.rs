//! Sizes of the video model's stages: stage r has 2^r pixels a side.

/// Sizes that exist: 4 to 256 pixels, r = 2 to 8.
pub const LEVELS: usize = 7;
/// r of the smallest size.
pub const SMALLEST: usize = 2;

/// By how much the number of frames grows from stage r - 1 to stage r (specification, section 2).
pub const fn time_factor(r: usize) -> usize {
    if matches!(r, 3 | 5 | 7) { 2 } else { 1 }
}

/// T(r), frames of a clip at stage r: 4, 8, 8, 16, 16, 32, 32 for 4 to 256 pixels.
pub fn frames(r: usize) -> usize {
    4 * (3..=r).map(time_factor).product::<usize>()
}

/// The current stage and the weight of the one below it, at a level of detail of clips of 2^levels pixels.
pub fn split(levels: usize, lod: f64) -> (usize, f64) {
    let whole = lod.floor();
    (levels - (whole as usize).min(levels - SMALLEST), lod - whole)
}

/// Pixels of the full size for each pixel at stage r, F of section 3.
pub fn enlargement(levels: usize, r: usize) -> f64 {
    (frames(levels) / frames(r)) as f64 * 4f64.powi((levels - r) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of sections 2 and 3.
    #[test]
    fn sizes_are_those_of_the_specification() {
        assert_eq!((2..=8).map(frames).collect::<Vec<_>>(), [4, 8, 8, 16, 16, 32, 32]);
        let f: Vec<f64> = (2..=8).map(|r| enlargement(8, r)).collect();
        assert_eq!(f, [32768.0, 4096.0, 1024.0, 128.0, 32.0, 4.0, 1.0]);
        assert_eq!(split(8, 5.5), (3, 0.5));
        assert_eq!(split(5, 3.0), (2, 0.0));
        assert_eq!(split(5, 0.0), (5, 0.0));
    }
}
