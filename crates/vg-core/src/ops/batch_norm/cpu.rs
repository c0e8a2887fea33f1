//! Normalisation by the statistics of the batch on the CPU: each channel (or a few short ones) goes through both passes at once, so
//! that the second finds the data in the cache.

use std::ops::Range;

use super::super::Activation;
use super::super::real::Real;
use super::super::reduce::{View, sums};
use super::super::threads::{Shared, filled};
use super::groups::{Groups, Scope};
use super::{BatchStats, elements};

/// Scales and shifts.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a, T> {
    pub gamma: &'a [T],
    pub beta: &'a [T],
}

/// What a normalisation needs beside its input.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a, T> {
    pub groups: Groups,
    pub affine: Affine<'a, T>,
    pub eps: f64,
    /// Piecewise linear.
    pub activation: Activation,
}

impl<T: Real> Setting<'_, T> {
    /// Holds the operands against each other: all loops rely on it.
    ///
    /// # Panics
    /// When a tensor of `elements` does not have the groups, or the numbers of scales and shifts are not theirs.
    pub(super) fn check(&self, elements: usize) {
        let (stats, affine) = (self.groups.stats, self.groups.affine());
        assert_eq!((elements, elements), (stats.elements(), affine.elements()), "a tensor of other groups");
        assert!(!self.groups.by_element() || stats.batch == 1, "rows of elements are channels of one image");
        let constants = (self.affine.gamma.len(), self.affine.beta.len());
        assert_eq!(constants, (affine.channels, affine.channels), "scales or shifts of other groups");
    }

    /// The line of the scale and shift at a place.
    #[inline(always)]
    pub(super) fn line(&self, place: usize, norm: Norm) -> Line<T> {
        let scale = self.affine.gamma[place].to_f64() * norm.rstd;
        let shift = self.affine.beta[place].to_f64() - norm.mean * scale;
        Line { scale: T::of(scale), shift: T::of(shift), low: self.activation.slope(false) }
    }

    pub(super) fn norm(&self, mean: f64, var: f64) -> Norm {
        Norm { mean, rstd: 1.0 / (var + self.eps).sqrt() }
    }
}

/// Mean and reciprocal standard deviation of a channel.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub mean: f64,
    pub rstd: f64,
}

/// Scale, shift and the slope for negative results of one segment.
#[derive(Clone, Copy)]
pub(super) struct Line<T> {
    scale: T,
    shift: T,
    low: T,
}

impl<T: Real> Line<T> {
    /// The slope of the activation; the expression is that of the forward pass, so that the sign is the same.
    #[inline(always)]
    pub(super) fn slope(self, x: T) -> T {
        if x * self.scale + self.shift > T::nil() { T::of(1.0) } else { self.low }
    }
}

/// The result and the statistics used.
pub(super) fn forward<T: Real>(setting: &Setting<'_, T>, x: &[T]) -> (Vec<T>, BatchStats) {
    setting.check(x.len());
    let view = setting.groups.stats;
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
                        moments.at(c, 1).write(*mean);
                        moments.at(view.channels + c, 1).write(*var);
                    }
                    let norms: Vec<Norm> =
                        found.iter().map(|(mean, var)| setting.norm(*mean, *var)).collect();
                    simd.run(
                        #[inline(always)]
                        || write_results(setting, &block, x, &norms, y),
                    );
                });
            });
        })
    };
    let (mean, var) = moments.split_at(view.channels);
    (y, BatchStats { mean: mean.to_vec(), var: var.to_vec(), population: view.population() })
}

/// Normalises, scales and shifts a block, and applies the activation.
///
/// # Safety
/// The block of `y`, a tensor of the view's shape, belongs to this task alone.
#[inline(always)]
unsafe fn write_results<T: Real>(
    setting: &Setting<'_, T>,
    block: &Range<usize>,
    x: &[T],
    norms: &[Norm],
    y: Shared<T>,
) {
    let (groups, segment) = (setting.groups, setting.groups.segment());
    let mut lines: Vec<Line<T>> = Vec::new();
    for image in 0..groups.stats.batch {
        let at = groups.stats.stretch(image, block);
        // SAFETY: the stretch belongs to this task alone, as promised.
        let to = unsafe { y.slice(at.clone()) };
        if groups.by_element() {
            elements::write_results(setting, &x[at], norms, to);
            continue;
        }
        if image == 0 || groups.scope != Scope::Channel {
            lines.clear();
            lines.extend(groups.segments(image, block).map(|(c, place)| setting.line(place, norms[c])));
        }
        let pieces = to.chunks_exact_mut(segment).zip(x[at].chunks_exact(segment));
        for ((to, x), line) in pieces.zip(&lines) {
            let Line { scale, shift, low } = *line;
            for (t, v) in to.iter_mut().zip(x) {
                let y = *v * scale + shift;
                *t = if y > T::nil() { y } else { y * low };
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
