//! Rows that are normalised one by one, with a scale and a shift for each element of a row: layer norm of vectors.

use super::super::real::Real;
use super::super::reduce::{DEPTH, LANES};
use super::super::threads::{Shared, filled, for_each};
use super::BatchStats;
use super::backward::{GradSums, Pull};
use super::cpu::{Norm, Setting};

/// The constants of one row.
#[derive(Clone, Copy)]
struct Row<T> {
    mean: T,
    rstd: T,
    low: T,
}

impl<T: Real> Row<T> {
    fn new(setting: &Setting<'_, T>, norm: Norm) -> Self {
        Self { mean: T::of(norm.mean), rstd: T::of(norm.rstd), low: setting.activation.slope(false) }
    }

    #[inline(always)]
    fn normalised(self, x: T) -> T {
        (x - self.mean) * self.rstd
    }

    /// The gradient behind the activation.
    #[inline(always)]
    fn behind(self, x_hat: T, gamma: T, beta: T, g: T) -> T {
        if x_hat * gamma + beta > T::nil() { g } else { g * self.low }
    }
}

/// Normalises rows, scales and shifts them, and applies the activation.
#[inline(always)]
pub(super) fn write_results<T: Real>(setting: &Setting<'_, T>, x: &[T], norms: &[Norm], to: &mut [T]) {
    let (gamma, beta) = (setting.affine.gamma, setting.affine.beta);
    let rows = to.chunks_exact_mut(gamma.len()).zip(x.chunks_exact(gamma.len()));
    for ((to, x), norm) in rows.zip(norms) {
        let row = Row::new(setting, *norm);
        for ((t, x), (gamma, beta)) in to.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
            let y = row.normalised(*x) * *gamma + *beta;
            *t = if y > T::nil() { y } else { y * row.low };
        }
    }
}

/// Sums of h and h x_hat over rows, in fixed short pieces.
#[inline(always)]
pub(super) fn row_sums<T: Real>(setting: &Setting<'_, T>, x: &[T], g: &[T], norms: &[Norm]) -> Vec<[f64; 2]> {
    let (gamma, beta) = (setting.affine.gamma, setting.affine.beta);
    let rows = x.chunks_exact(gamma.len()).zip(g.chunks_exact(gamma.len()));
    let piece = LANES * DEPTH;
    rows.zip(norms)
        .map(|((x, g), norm)| {
            let row = Row::new(setting, *norm);
            let operands = x.chunks(piece).zip(g.chunks(piece));
            let constants = gamma.chunks(piece).zip(beta.chunks(piece));
            operands.zip(constants).fold([0.0; 2], |total, ((x, g), (gamma, beta))| {
                let [plain, normalised] = piece_sums(row, [x, g, gamma, beta]);
                [total[0] + plain, total[1] + normalised]
            })
        })
        .collect()
}

#[inline(always)]
fn piece_sums<T: Real>(row: Row<T>, operands: [&[T]; 4]) -> [f64; 2] {
    let mut lanes = [[T::nil(); LANES]; 2];
    let chunks = operands.map(<[T]>::as_chunks::<LANES>);
    let [x, g, gamma, beta] = chunks.map(|(whole, _)| whole);
    for ((x, g), (gamma, beta)) in x.iter().zip(g).zip(gamma.iter().zip(beta)) {
        for l in 0..LANES {
            let x_hat = row.normalised(x[l]);
            let h = row.behind(x_hat, gamma[l], beta[l], g[l]) * gamma[l];
            lanes[0][l] += h;
            lanes[1][l] += h * x_hat;
        }
    }
    let [x, g, gamma, beta] = chunks.map(|(_, rest)| rest);
    for (l, ((x, g), (gamma, beta))) in x.iter().zip(g).zip(gamma.iter().zip(beta)).enumerate() {
        let x_hat = row.normalised(*x);
        let h = row.behind(x_hat, *gamma, *beta, *g) * *gamma;
        lanes[0][l] += h;
        lanes[1][l] += h * x_hat;
    }
    lanes.map(|lanes| lanes.iter().map(|v| v.to_f64()).sum())
}

/// Writes the gradient of rows of the input.
#[inline(always)]
pub(super) fn write_gradient<T: Real>(
    setting: &Setting<'_, T>,
    x: &[T],
    g: &[T],
    norms: &[Norm],
    pulls: &[Pull<T>],
    to: &mut [T],
) {
    let (gamma, beta) = (setting.affine.gamma, setting.affine.beta);
    let operands = x.chunks_exact(gamma.len()).zip(g.chunks_exact(gamma.len()));
    let rows = to.chunks_exact_mut(gamma.len()).zip(operands);
    for ((to, (x, g)), (norm, pull)) in rows.zip(norms.iter().zip(pulls)) {
        let (row, pull) = (Row::new(setting, *norm), *pull);
        let constants = gamma.iter().zip(beta);
        for ((t, (x, g)), (gamma, beta)) in to.iter_mut().zip(x.iter().zip(g)).zip(constants) {
            let h = row.behind(row.normalised(*x), *gamma, *beta, *g) * *gamma;
            *t = row.rstd * h + pull.at(*x);
        }
    }
}

/// Columns of one task.
const COLUMNS: usize = 256;

/// Sums of g and g x_hat over columns, rows in order: the gradients of beta and gamma.
pub(super) fn column_sums<T: Real>(
    setting: &Setting<'_, T>,
    stats: &BatchStats,
    x: &[T],
    g: &[T],
) -> GradSums {
    let width = setting.affine.gamma.len();
    let rows: Vec<Row<T>> =
        stats.mean.iter().zip(&stats.var).map(|(m, v)| Row::new(setting, setting.norm(*m, *v))).collect();
    // SAFETY: the stripes partition the columns, and each task writes all sums of its own.
    unsafe {
        filled(width, |out: Shared<[f64; 2]>| {
            for_each(width.div_ceil(COLUMNS), |i| {
                let stripe = i * COLUMNS..((i + 1) * COLUMNS).min(width);
                let mut total = [[0.0; 2]; COLUMNS];
                T::simd().run(
                    #[inline(always)]
                    || {
                        for first in (0..rows.len()).step_by(DEPTH) {
                            let mut partial = [[T::nil(); COLUMNS]; 2];
                            for (r, row) in rows.iter().enumerate().skip(first).take(DEPTH) {
                                let at = r * width + stripe.start..r * width + stripe.end;
                                let constants = (
                                    &setting.affine.gamma[stripe.clone()],
                                    &setting.affine.beta[stripe.clone()],
                                );
                                add_row(*row, (&x[at.clone()], &g[at]), constants, &mut partial);
                            }
                            for (i, total) in total.iter_mut().enumerate() {
                                total[0] += partial[0][i].to_f64();
                                total[1] += partial[1][i].to_f64();
                            }
                        }
                    },
                );
                for (column, sums) in stripe.zip(total) {
                    out.at(column, 1).write(sums);
                }
            });
        })
    }
}

#[inline(always)]
fn add_row<T: Real>(
    row: Row<T>,
    (x, g): (&[T], &[T]),
    (gamma, beta): (&[T], &[T]),
    [plain, normalised]: &mut [[T; COLUMNS]; 2],
) {
    let sums = plain.iter_mut().zip(normalised.iter_mut());
    let operands = x.iter().zip(g).zip(gamma.iter().zip(beta));
    for ((plain, normalised), ((x, g), (gamma, beta))) in sums.zip(operands) {
        let x_hat = row.normalised(*x);
        let behind = row.behind(x_hat, *gamma, *beta, *g);
        *plain += behind;
        *normalised += behind * x_hat;
    }
}
