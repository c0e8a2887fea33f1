//! Canny's edges with a Gaussian of one pixel, as scikit-image's defaults.

/// Bounds of the gradient, of a range of one: strong edges, and weak ones that hang on them.
const STRONG: f32 = 0.2;
const WEAK: f32 = 0.1;

/// 255 on edges of a grey picture, 0 elsewhere.
pub(super) fn edges(grey: &[u8], height: usize, width: usize) -> Vec<u8> {
    let smooth = blur(grey, height, width);
    let at = |x: i64, y: i64| {
        smooth[y.clamp(0, height as i64 - 1) as usize * width + x.clamp(0, width as i64 - 1) as usize]
    };
    let gradient = |k: usize| {
        let (x, y) = ((k % width) as i64, (k / width) as i64);
        let row = |y: i64| at(x + 1, y) - at(x - 1, y);
        let column = |x: i64| at(x, y + 1) - at(x, y - 1);
        let gx = (row(y - 1) + 2.0 * row(y) + row(y + 1)) / 8.0 * 2.0;
        let gy = (column(x - 1) + 2.0 * column(x) + column(x + 1)) / 8.0 * 2.0;
        (gx, gy, (gx * gx + gy * gy).sqrt())
    };
    let gradients: Vec<(f32, f32, f32)> = (0..height * width).map(gradient).collect();
    let crest = |k: usize| {
        let (gx, gy, size) = gradients[k];
        let (x, y) = (k % width, k / width);
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height || size < WEAK {
            return false;
        }
        // Neighbours across the edge, to the nearest eighth of a turn.
        let step = |part: f32| if part.abs() > 0.383 * size { part.signum() as i64 } else { 0 };
        let (dx, dy) = (step(gx), step(gy));
        let side = |sign: i64| {
            gradients[((y as i64 + sign * dy) as usize) * width + (x as i64 + sign * dx) as usize].2
        };
        size >= side(1) && size > side(-1)
    };
    let crests: Vec<bool> = (0..height * width).map(crest).collect();
    let mut out = vec![0; height * width];
    let mut open: Vec<usize> =
        (0..height * width).filter(|k| crests[*k] && gradients[*k].2 >= STRONG).collect();
    open.iter().for_each(|k| out[*k] = 255);
    while let Some(k) = open.pop() {
        // Crests never lie on the rim, so all eight neighbours exist.
        for near in
            [k - width - 1, k - width, k - width + 1, k - 1, k + 1, k + width - 1, k + width, k + width + 1]
        {
            if crests[near] && out[near] == 0 {
                out[near] = 255;
                open.push(near);
            }
        }
    }
    out
}

/// A Gaussian of standard deviation one, values in [0, 1].
fn blur(grey: &[u8], height: usize, width: usize) -> Vec<f32> {
    const HALF: [f32; 5] = [0.398_944, 0.241_971, 0.053_991, 0.004_432, 0.000_134];
    let pass = |values: &[f32], along: usize, length: usize| -> Vec<f32> {
        let value = |k: usize| {
            let place = k / along % length;
            let tap = |offset: i64| {
                let to = (place as i64 + offset).clamp(0, length as i64 - 1) as usize;
                HALF[offset.unsigned_abs() as usize] * values[k - place * along + to * along]
            };
            (-4..=4).map(tap).sum::<f32>()
        };
        (0..values.len()).map(value).collect()
    };
    let values: Vec<f32> = grey.iter().map(|v| f32::from(*v) / 255.0).collect();
    pass(&pass(&values, 1, width), width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_and_noise_is_none() {
        let step: Vec<u8> = (0..20 * 30).map(|k| if k % 30 < 15 { 40 } else { 200 }).collect();
        let found = edges(&step, 20, 30);
        for y in 2..18 {
            let row: Vec<usize> = (0..30).filter(|x| found[y * 30 + x] == 255).collect();
            assert!(row.len() == 1 && (14..=15).contains(&row[0]), "{row:?}");
        }
        let faint: Vec<u8> = (0..20 * 30).map(|k| 100 + (k % 30 / 15) as u8 * 10).collect();
        assert!(edges(&faint, 20, 30).iter().all(|v| *v == 0));
    }
}
