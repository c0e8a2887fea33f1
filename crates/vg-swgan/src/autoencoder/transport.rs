//! Transport of samples onto the distribution of others, coordinate by coordinate, by soft histograms.

use candle_core::{DType, Tensor};
use vg_core::ops::Activation;
use vg_core::ops::linear::linear;
use vg_core::{Error, Result};

/// Added to the height of a step of the target's distribution.
const STEP_EPS: f64 = 1e-3;

/// Moves each row of `source` `[D, N]` onto the distribution of that row of `target` `[D, M]`: `[D, N]`.
///
/// Source: specification, section 7, steps 1 to 4. Gradients flow through all but the choice of cells. With `shifted`, results lie one bin
/// too low, as in the official code.
///
/// # Errors
/// [`Error::Shape`] when the numbers of rows differ, [`Error::Unsupported`] for a single sample or fewer than 2 bins.
pub fn transport(source: &Tensor, target: &Tensor, bins: usize, shifted: bool) -> Result<Tensor> {
    let ((rows, n), (others, m)) = (source.dims2()?, target.dims2()?);
    if rows != others {
        return Err(Error::shape("target of a transport", format!("[{rows}, M]"), target.dims()));
    }
    if n < 2 || m < 2 || bins < 2 {
        let problem = format!("transport of {n} samples onto {m} with {bins} bins; each must be 2 or more");
        return Err(Error::Unsupported(problem));
    }
    let (s, _, _) = scaled(source, bins)?;
    let (t, low, width) = scaled(target, bins)?;
    let (of_source, of_target) = (soft_cumulative(&s, bins)?, soft_cumulative(&t, bins)?);
    let at = inverse(&of_source, &of_target, bins)?;
    let below = of_target.gather(&at, 1)?;
    let step = (of_target.gather(&next(&at)?, 1)? - &below)?;
    let f = ((of_source - below)?.div(&(step + STEP_EPS)?)? + at.to_dtype(s.dtype())?)?;
    let cell = cells(&s, bins)?;
    let left = f.gather(&cell, 1)?;
    let slope = (f.gather(&next(&cell)?, 1)? - &left)?;
    let within = (&s - cell.to_dtype(s.dtype())?)?;
    let q = ((slope * within)? + left)?;
    let q = if shifted { (q - 1.0)? } else { q };
    Ok(q.broadcast_mul(&(width / bins as f64)?)?.broadcast_add(&low)?)
}

/// Rows brought to `[0, bins]`; their lowest value and their width, `[D, 1]`.
fn scaled(x: &Tensor, bins: usize) -> Result<(Tensor, Tensor, Tensor)> {
    let low = x.min_keepdim(1)?;
    let width = (x.max_keepdim(1)? - &low)?;
    let s = (x.broadcast_sub(&low)?.broadcast_div(&width)? * bins as f64)?;
    Ok((s, low, width))
}

/// The cell of each value, rounded half up and at most `bins - 1`: u32, a constant.
fn cells(s: &Tensor, bins: usize) -> Result<Tensor> {
    let nearest = |v: &f64| (v + 0.5).floor().clamp(0.0, (bins - 1) as f64) as u32;
    let values: Vec<u32> =
        s.detach().flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?.iter().map(nearest).collect();
    Ok(Tensor::from_vec(values, s.dims(), s.device())?)
}

fn next(at: &Tensor) -> Result<Tensor> {
    Ok((at + at.ones_like()?)?)
}

/// Cumulative soft histogram `[D, bins + 1]` of rows `[D, N]` in `[0, bins]`.
///
/// A value s counts in its cell c and in c + 1 with weights proportional to `exp(-(s - c)^2)` and `exp(-(s - c - 1)^2)`, of sum 1: the first is
/// the logistic function of `1 - 2 (s - c)`.
pub(super) fn soft_cumulative(s: &Tensor, bins: usize) -> Result<Tensor> {
    let n = s.dim(1)?;
    let cell = cells(s, bins)?;
    let within = (s - cell.to_dtype(s.dtype())?)?;
    let first = Activation::Sigmoid.apply(&within.affine(-2.0, 1.0)?)?;
    // A histogram of whole counts in c + 1, from which the first weights are moved to c.
    let (counts, moves) = whole(&cell, s, bins)?;
    let histogram = (moves.broadcast_mul(&first.unsqueeze(2)?)?.sum(1)? + counts)?;
    // Row i sums the cells up to i.
    let sums = Tensor::tril2(bins + 1, s.dtype(), s.device())?;
    Ok((linear(&histogram, &sums, None)? / n as f64)?)
}

/// For cells `[D, N]` the numbers of values in the cells behind them, `[D, bins + 1]`, and what one of them moves to its cell, `[D, N, bins + 1]`;
/// constants of the type of `like`.
fn whole(cell: &Tensor, like: &Tensor, bins: usize) -> Result<(Tensor, Tensor)> {
    let (rows, n) = cell.dims2()?;
    let cells = cell.flatten_all()?.to_vec1::<u32>()?;
    let mut counts = vec![0f32; rows * (bins + 1)];
    let mut moves = vec![0f32; rows * n * (bins + 1)];
    for (k, cell) in cells.into_iter().enumerate() {
        let cell = cell as usize;
        counts[k / n * (bins + 1) + cell + 1] += 1.0;
        moves[k * (bins + 1) + cell] = 1.0;
        moves[k * (bins + 1) + cell + 1] = -1.0;
    }
    let tensor = |v: Vec<f32>, shape: &[usize]| -> Result<Tensor> {
        Ok(Tensor::from_vec(v, shape, like.device())?.to_dtype(like.dtype())?)
    };
    Ok((tensor(counts, &[rows, bins + 1])?, tensor(moves, &[rows, n, bins + 1])?))
}

/// For each step of the source's distribution the place on the target's: where `|S[i] - T[n]|` first stops decreasing as n grows, at most
/// `bins - 1`; u32, a constant.
fn inverse(of_source: &Tensor, of_target: &Tensor, bins: usize) -> Result<Tensor> {
    let values = |t: &Tensor| -> Result<Vec<Vec<f64>>> { Ok(t.detach().to_dtype(DType::F64)?.to_vec2()?) };
    let mut places = Vec::with_capacity(of_source.elem_count());
    for (s, t) in values(of_source)?.iter().zip(values(of_target)?) {
        places.extend(s.iter().map(|s| {
            let gap = |n: usize| (s - t[n]).abs();
            let rises = (1..=bins).find(|n| gap(*n) > gap(n - 1));
            rises.map_or(bins, |n| n - 1).min(bins - 1) as u32
        }));
    }
    Ok(Tensor::from_vec(places, of_source.dims(), of_source.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use vg_core::Rng;
    use vg_core::testing::gradcheck::gradcheck;

    fn row(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
    }

    fn numbers(t: &Tensor) -> Vec<f64> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn assert_near(got: &[f64], want: &[f64], tolerance: f64) {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < tolerance), "{got:?}, not {want:?}");
    }

    /// Section 12.1, item 7.
    #[test]
    fn histogram_and_block_by_hand() {
        let sums = numbers(&soft_cumulative(&row(&[0.0, 2.0, 4.0, 8.0]), 8).unwrap());
        let cells = [0.731059, 0.268941, 0.731059, 0.268941, 0.731059, 0.268941, 0.0, 0.268941, 0.731059];
        let mut sum = 0.0;
        let want = cells.map(|c| {
            sum += c / 4.0;
            sum
        });
        assert_near(&sums, &want, 1e-6);
        let (source, target) = (row(&[0.0, 1.0, 2.0, 4.0]), row(&[10.0, 11.0, 13.0, 20.0]));
        let moved = |shifted| numbers(&transport(&source, &target, 8, shifted).unwrap());
        assert_near(&moved(true), &[8.75, 9.881718, 11.748784, 18.743198], 1e-6);
        assert_near(&moved(false), &[10.0, 11.131718, 12.998784, 19.993198], 1e-6);
    }

    /// Section 7: from N(3, 4) to N(0, 1) the block has no bias, and one of a bin with the shift. Sorting is the oracle.
    #[test]
    fn a_normal_is_moved_onto_another() {
        let rng = Rng::new(1);
        let normal =
            |name: &str| rng.stream(name).normal_tensor((1, 2000), DType::F64, &Device::Cpu).unwrap();
        let (source, target) = (normal("s").affine(2.0, 3.0).unwrap(), normal("t"));
        let sorted = |t: &Tensor| {
            let mut v = numbers(t);
            v.sort_by(f64::total_cmp);
            v
        };
        let moved = transport(&source, &target, 32, false).unwrap();
        let gaps: Vec<f64> = sorted(&moved).iter().zip(sorted(&target)).map(|(a, b)| a - b).collect();
        let mean = gaps.iter().sum::<f64>() / 2000.0;
        let rms = (gaps.iter().map(|g| g * g).sum::<f64>() / 2000.0).sqrt();
        assert!(mean.abs() < 0.02 && rms < 0.08, "{mean} {rms}");
        let width = {
            let v = sorted(&target);
            v[1999] - v[0]
        };
        let low = transport(&source, &target, 32, true).unwrap();
        let bins = ((moved - low).unwrap() / (width / 32.0)).unwrap();
        assert!(numbers(&bins).iter().all(|b| (b - 1.0).abs() < 1e-9));
    }

    #[test]
    fn gradients_flow_to_source_and_target() {
        let rng = Rng::new(3);
        let normal =
            |name: &str, n| rng.stream(name).normal_tensor((3, n), DType::F64, &Device::Cpu).unwrap();
        gradcheck(|t| transport(&t[0], &t[1], 6, false), &[normal("s", 9), normal("t", 7)]).unwrap();
    }

    #[test]
    fn a_single_sample_has_no_distribution() {
        let text = transport(&row(&[1.0]), &row(&[1.0, 2.0]), 8, false).unwrap_err().to_string();
        assert!(text.contains("1 samples"), "{text}");
    }
}
