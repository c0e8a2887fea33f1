//! Batch norm in training mode on the CPU: each task takes one channel (or a few short ones) through both passes, so that the
//! second finds the data in the cache.

use std::ops::Range;

use super::super::Activation;
use super::super::channel::{View, sums};
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each};
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
    let mut y = Vec::new();
    // SAFETY: the blocks partition the channels, and each task fills all elements of its channels and both of their statistics.
    let moments = unsafe {
        filled::<f64>(2 * view.channels, |moments| {
            y = filled(view.elements(), |y| {
                for_each(view.blocks(), |i| {
                    let block = view.block_range(i);
                    let found = block_moments(view, &block, x);
                    let lines: Vec<(T, T)> = found
                        .iter()
                        .zip(block.clone())
                        .map(|((mean, var), c)| {
                            let line = line(affine, c, *mean, 1.0 / (var + eps).sqrt());
                            // SAFETY: channel c belongs to this task alone.
                            moments.ptr().add(c).write(*mean);
                            moments.ptr().add(view.channels + c).write(*var);
                            line
                        })
                        .collect();
                    write_block(view, &block, y, |image, to| {
                        let x = &x[view.stretch(image, &block)];
                        for ((to, x), (scale, shift)) in
                            to.chunks_exact_mut(view.inner).zip(x.chunks_exact(view.inner)).zip(&lines)
                        {
                            for (t, v) in to.iter_mut().zip(x) {
                                *t = *v * *scale + *shift;
                            }
                            activation.apply_in_place(to);
                        }
                    });
                });
            });
        })
    };
    let (mean, var) = moments.split_at(view.channels);
    (y, BatchStats { mean: mean.to_vec(), var: var.to_vec(), population: view.population() })
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
    // SAFETY: the blocks partition the channels, and each task fills all elements of its channels and both of their sums.
    let dx = unsafe {
        filled(elements, |dx| {
            totals = filled::<f64>(2 * view.channels, |totals| {
                for_each(view.blocks(), |i| {
                    let block = view.block_range(i);
                    let plans: Vec<ChannelGrad<T>> =
                        block.clone().map(|c| ChannelGrad::new(c, saved)).collect();
                    let found = sums(view, &block, x, grad, |c, x, g| {
                        let plan = &plans[c - block.start];
                        let g = plan.behind_activation(x, g).to_f64();
                        [g, g * (x - plan.mean).to_f64()]
                    });
                    let plans: Vec<_> = plans
                        .into_iter()
                        .zip(found)
                        .zip(block.clone())
                        .map(|((plan, [plain, centred]), c)| {
                            let normalised = centred * plan.rstd;
                            // SAFETY: channel c belongs to this task alone.
                            totals.ptr().add(c).write(plain);
                            totals.ptr().add(view.channels + c).write(normalised);
                            plan.with_means(plain / n, normalised / n)
                        })
                        .collect();
                    if input_wanted {
                        write_block(view, &block, dx, |image, to| {
                            let at = view.stretch(image, &block);
                            let (x, g) = (&x[at.clone()], &grad[at]);
                            for (((to, x), g), plan) in to
                                .chunks_exact_mut(view.inner)
                                .zip(x.chunks_exact(view.inner))
                                .zip(g.chunks_exact(view.inner))
                                .zip(&plans)
                            {
                                for ((t, x), g) in to.iter_mut().zip(x).zip(g) {
                                    *t = plan.input_grad(*x, *g);
                                }
                            }
                        });
                    }
                });
            });
        })
    };
    let (plain, normalised) = totals.split_at(view.channels);
    (dx, GradSums { plain: plain.to_vec(), normalised: normalised.to_vec() })
}

/// Mean and biased variance of each channel of a block.
fn block_moments<T: Real>(view: View, block: &Range<usize>, x: &[T]) -> Vec<(f64, f64)> {
    let n = view.population() as f64;
    // Sums around a value of the channel itself: the squares do not cancel when the mean is large.
    let origins: Vec<f64> = block.clone().map(|c| x[c * view.inner].to_f64()).collect();
    let found = sums(view, block, x, x, |c, v, _| {
        let d = v.to_f64() - origins[c - block.start];
        [d, d * d]
    });
    found
        .iter()
        .zip(&origins)
        .map(|([sum, squares], origin)| {
            let mean = sum / n;
            (origin + mean, (squares / n - mean * mean).max(0.0))
        })
        .collect()
}

/// Scale and shift that normalise channel `c` and apply gamma and beta.
fn line<T: Real>(affine: Affine<'_, T>, c: usize, mean: f64, rstd: f64) -> (T, T) {
    let scale = affine.gamma[c].to_f64() * rstd;
    (T::of(scale), T::of(affine.beta[c].to_f64() - mean * scale))
}

/// Hands out each image's stretch of a block for writing.
fn write_block<T: Real>(
    view: View,
    block: &Range<usize>,
    out: Shared<T>,
    mut fill: impl FnMut(usize, &mut [T]),
) {
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        // SAFETY: the stretch lies inside the tensor and belongs to this task alone.
        fill(image, unsafe { std::slice::from_raw_parts_mut(out.ptr().add(at.start), at.len()) });
    }
}

/// The backward pass of one channel: `dx = a g + b (x - mean) + c`, with g behind the activation.
struct ChannelGrad<T> {
    line: (T, T),
    /// Slope of the activation for negative results.
    low: T,
    mean: T,
    rstd: f64,
    a: f64,
    coefficients: [T; 3],
}

impl<T: Real> ChannelGrad<T> {
    fn new(c: usize, saved: Saved<'_, T>) -> Self {
        let (mean, rstd) = (saved.stats.mean[c], 1.0 / (saved.stats.var[c] + saved.eps).sqrt());
        Self {
            line: line(saved.affine, c, mean, rstd),
            low: saved.activation.slope(false),
            mean: T::of(mean),
            rstd,
            a: saved.affine.gamma[c].to_f64() * rstd,
            coefficients: [T::nil(); 3],
        }
    }

    /// Source: the paper's section 3, simplified: `dx = gamma rstd (g - mean(g) - x_hat mean(g x_hat))`.
    fn with_means(mut self, plain: f64, normalised: f64) -> Self {
        self.coefficients = [self.a, -self.a * self.rstd * normalised, -self.a * plain].map(T::of);
        self
    }

    #[inline(always)]
    fn behind_activation(&self, x: T, g: T) -> T {
        // The same expression as in the forward pass, so that the sign is the same.
        if x * self.line.0 + self.line.1 > T::nil() { g } else { g * self.low }
    }

    #[inline(always)]
    fn input_grad(&self, x: T, g: T) -> T {
        let [a, b, c] = self.coefficients;
        a * self.behind_activation(x, g) + (b * (x - self.mean) + c)
    }
}
