//! Pillow's bilinear filter (`Resample.c`, 8 bits a channel), bit for bit, for enlarging square grey images.

/// Fraction bits of the filter's fixed-point weights.
const PRECISION_BITS: u32 = 22;

/// `image` of `from` x `from` pixels as `to` x `to`; `to` is not below `from`.
pub(super) fn bilinear(image: &[u8], from: usize, to: usize) -> Vec<u8> {
    let weights = weights(from, to);
    let rows: Vec<u8> =
        image.chunks_exact(from).flat_map(|row| filter(row.iter().copied(), &weights)).collect();
    let columns: Vec<Vec<u8>> =
        (0..to).map(|x| filter(rows.iter().skip(x).step_by(to).copied(), &weights)).collect();
    (0..to * to).map(|i| columns[i % to][i / to]).collect()
}

/// For each output: first input and fixed-point weights from there on.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<i64>)> {
    let scale = from as f64 / to as f64;
    let at = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - 1.0 + 0.5).max(0.0) as usize;
        let end = ((centre + 1.0 + 0.5) as usize).min(from);
        let triangle = |x: usize| (1.0 - (x as f64 - centre + 0.5).abs()).max(0.0);
        let sum: f64 = (start..end).map(triangle).sum();
        let fixed = |x: usize| (triangle(x) / sum * f64::from(1 << PRECISION_BITS) + 0.5) as i64;
        (start, (start..end).map(fixed).collect())
    };
    (0..to).map(at).collect()
}

fn filter(line: impl Iterator<Item = u8>, weights: &[(usize, Vec<i64>)]) -> Vec<u8> {
    let line: Vec<i64> = line.map(i64::from).collect();
    let value = |(start, weights): &(usize, Vec<i64>)| {
        let half = 1 << (PRECISION_BITS - 1);
        let sum: i64 = weights.iter().zip(&line[*start..]).map(|(w, v)| w * v).sum();
        ((half + sum) >> PRECISION_BITS).clamp(0, 255) as u8
    };
    weights.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_becomes_what_pillow_makes_of_it() {
        let image: Vec<u8> = (0..28 * 28).map(|p| ((9 * (p / 28) + 5 * (p % 28)) % 256) as u8).collect();
        let large = bilinear(&image, 28, 32);
        assert_eq!(large.iter().map(|v| u64::from(*v)).sum::<u64>(), 131_349);
        assert_eq!(large[..8], [0, 4, 8, 13, 17, 22, 26, 30]);
        assert_eq!(large[13 * 32 + 10..][..8], [145, 150, 154, 159, 163, 167, 172, 176]);
        assert_eq!(large[31 * 32 + 24..][..8], [92, 96, 100, 105, 109, 114, 118, 122]);
    }
}
