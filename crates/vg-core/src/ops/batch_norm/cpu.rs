//! Batch norm in training mode on the CPU: each channel (or a few short ones) goes through both passes at once, so that
//! the second finds the data in the cache.

use std::ops::Range;

use super::super::Activation;
use super::super::real::Real;
use super::super::reduce::{View, sums};
use super::super::threads::{Shared, filled};
use super::BatchStats;

/// Learned scale and shift.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a, T> {
    pub gamma: &'a [T],
    pub beta: &'a [T],
}

/// The result and the statistics used.
pub(super) fn forward<T: Real>(
    view: View,
    x: &[T],
    affine: Affine<'_, T>,
    eps: f64,
    activation: Activation,
) -> (Vec<T>, BatchStats) {
    let low = activation.slope(false);
    let mut y = Vec::new();
    // SAFETY: the blocks partition the channels, whose numbers are below `view.channels`, half of the statistics. Each task fills all
    // elements of its channels and both of their statistics; `found` and `lines` have an entry for every channel of the block.
    let moments = unsafe {
        filled::<f64>(2 * view.channels, |moments| {
            y = filled(view.elements(), |y| {
                view.for_each_block(|block| {
                    let simd = T::simd();
                    let found = simd.run(
                        #[inline(always)]
                        || block_moments(view, &block, x),
                    );
                    for ((mean, var), c) in found.iter().zip(block.clone()) {
                        moments.ptr().add(c).write(*mean);
                        moments.ptr().add(view.channels + c).write(*var);
                    }
                    let lines: Vec<Line<T>> = found
                        .iter()
                        .zip(block.clone())
                        .map(|((mean, var), c)| Line::new(affine, c, *mean, 1.0 / (var + eps).sqrt(), low))
                        .collect();
                    simd.run(
                        #[inline(always)]
                        || write_results(view, &block, x, &lines, y),
                    );
                });
            });
        })
    };
    let (mean, var) = moments.split_at(view.channels);
    (y, BatchStats { mean: mean.to_vec(), var: var.to_vec(), population: view.population() })
}

/// Scale, shift and the slope for negative results of one channel.
#[derive(Clone, Copy)]
struct Line<T> {
    scale: T,
    shift: T,
    low: T,
}

impl<T: Real> Line<T> {
    fn new(affine: Affine<'_, T>, c: usize, mean: f64, rstd: f64, low: T) -> Self {
        let scale = affine.gamma[c].to_f64() * rstd;
        Self { scale: T::of(scale), shift: T::of(affine.beta[c].to_f64() - mean * scale), low }
    }

    #[inline(always)]
    fn slope(self, x: T) -> T {
        if x * self.scale + self.shift > T::nil() { T::of(1.0) } else { self.low }
    }
}

/// Normalises, scales and shifts a block, and applies the activation.
///
/// # Safety
/// The block of `y`, a tensor of the view's shape, belongs to this task alone.
#[inline(always)]
unsafe fn write_results<T: Real>(view: View, block: &Range<usize>, x: &[T], lines: &[Line<T>], y: Shared<T>) {
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        // SAFETY: this image of the block belongs to this task alone, as promised.
        let to = unsafe { y.slice(at.clone()) };
        let rows = to.chunks_exact_mut(view.inner).zip(x[at].chunks_exact(view.inner));
        for ((to, x), line) in rows.zip(lines) {
            let Line { scale, shift, low } = *line;
            for (t, v) in to.iter_mut().zip(x) {
                let y = *v * scale + shift;
                *t = if y > T::nil() { y } else { y * low };
            }
        }
    }
}

/// Sums of the gradient behind the activation, per channel.
#[derive(Clone, Debug, Default)]
pub(super) struct GradSums {
    /// Of the gradient: the gradient of beta.
    pub plain: Vec<f64>,
    /// Of the gradient times the normalised input: the gradient of gamma.
    pub normalised: Vec<f64>,
}

/// What the backward passes know about the forward pass.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a, T> {
    pub stats: &'a BatchStats,
    pub affine: Affine<'a, T>,
    pub eps: f64,
    pub activation: Activation,
}

/// The input's gradient (empty unless wanted) and the sums.
pub(super) fn backward<T: Real>(
    view: View,
    x: &[T],
    grad: &[T],
    saved: Saved<'_, T>,
    input_wanted: bool,
) -> (Vec<T>, GradSums) {
    let n = view.population() as f64;
    let mut totals = Vec::new();
    let elements = if input_wanted { view.elements() } else { 0 };
    // SAFETY: the blocks partition the channels, whose numbers are below `view.channels`, half of the sums. Each task fills all
    // elements of its channels, if they are wanted, and both of their sums; `plans` and `found` have an entry for every channel.
    let dx = unsafe {
        filled(elements, |dx| {
            totals = filled::<f64>(2 * view.channels, |totals| {
                view.for_each_block(|block| {
                    let simd = T::simd();
                    let mut plans: Vec<_> = block.clone().map(|c| ChannelGrad::new(c, saved)).collect();
                    let found = simd.run(
                        #[inline(always)]
                        || block_sums(view, &block, x, grad, &plans),
                    );
                    for ((plan, [plain, centred]), c) in plans.iter_mut().zip(found).zip(block.clone()) {
                        let normalised = centred * plan.rstd;
                        totals.ptr().add(c).write(plain);
                        totals.ptr().add(view.channels + c).write(normalised);
                        plan.set_means(plain / n, normalised / n);
                    }
                    if input_wanted {
                        simd.run(
                            #[inline(always)]
                            || write_gradient(view, &block, x, grad, &plans, dx),
                        );
                    }
                });
            });
        })
    };
    let (plain, normalised) = totals.split_at(view.channels);
    (dx, GradSums { plain: plain.to_vec(), normalised: normalised.to_vec() })
}

/// Sums of g and of g (x - mean) over each channel of a block, g being the gradient behind the activation.
#[inline(always)]
fn block_sums<T: Real>(
    view: View,
    block: &Range<usize>,
    x: &[T],
    grad: &[T],
    plans: &[ChannelGrad<T>],
) -> Vec<[f64; 2]> {
    let known: Vec<(Line<T>, T)> = plans.iter().map(|p| (p.line, p.mean)).collect();
    sums(
        view,
        block,
        x,
        grad,
        &known,
        #[inline(always)]
        |(line, mean), x, g| {
            let g = g * line.slope(x);
            [g, g * (x - mean)]
        },
    )
}

/// Writes the gradient of a block of the input.
///
/// # Safety
/// The block of `dx`, a tensor of the view's shape, belongs to this task alone.
#[inline(always)]
unsafe fn write_gradient<T: Real>(
    view: View,
    block: &Range<usize>,
    x: &[T],
    grad: &[T],
    plans: &[ChannelGrad<T>],
    dx: Shared<T>,
) {
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        // SAFETY: this image of the block belongs to this task alone, as promised.
        let to = unsafe { dx.slice(at.clone()) };
        let operands = x[at.clone()].chunks_exact(view.inner).zip(grad[at].chunks_exact(view.inner));
        for ((to, (x, g)), plan) in to.chunks_exact_mut(view.inner).zip(operands).zip(plans) {
            let ChannelGrad { line, mean, coefficients: [a, b, c], .. } = *plan;
            for ((t, x), g) in to.iter_mut().zip(x).zip(g) {
                *t = a * (*g * line.slope(*x)) + (b * (*x - mean) + c);
            }
        }
    }
}

/// Mean and biased variance of each channel of a block.
#[inline(always)]
fn block_moments<T: Real>(view: View, block: &Range<usize>, x: &[T]) -> Vec<(f64, f64)> {
    let n = view.population() as f64;
    // Sums around a value of the channel itself: the squares do not cancel when the mean is large.
    let origins: Vec<T> = block.clone().map(|c| x[c * view.inner]).collect();
    let found = sums(
        view,
        block,
        x,
        x,
        &origins,
        #[inline(always)]
        |origin, v, _| {
            let d = v - origin;
            [d, d * d]
        },
    );
    found
        .iter()
        .zip(&origins)
        .map(|([sum, squares], origin)| {
            let mean = sum / n;
            (origin.to_f64() + mean, (squares / n - mean * mean).max(0.0))
        })
        .collect()
}

/// The backward pass of one channel: `dx = a g + b (x - mean) + c`, with g behind the activation.
#[derive(Clone, Copy)]
struct ChannelGrad<T> {
    line: Line<T>,
    mean: T,
    rstd: f64,
    a: f64,
    coefficients: [T; 3],
}

impl<T: Real> ChannelGrad<T> {
    fn new(c: usize, saved: Saved<'_, T>) -> Self {
        let (mean, rstd) = (saved.stats.mean[c], 1.0 / (saved.stats.var[c] + saved.eps).sqrt());
        Self {
            // The same expression as in the forward pass, so that the sign before the activation is the same.
            line: Line::new(saved.affine, c, mean, rstd, saved.activation.slope(false)),
            mean: T::of(mean),
            rstd,
            a: saved.affine.gamma[c].to_f64() * rstd,
            coefficients: [T::nil(); 3],
        }
    }

    /// Source: the paper's section 3, simplified: `dx = gamma rstd (g - mean(g) - x_hat mean(g x_hat))`.
    fn set_means(&mut self, plain: f64, normalised: f64) {
        self.coefficients = [self.a, -self.a * self.rstd * normalised, -self.a * plain].map(T::of);
    }
}
