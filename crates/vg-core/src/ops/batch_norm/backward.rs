//! The gradients of a normalisation on the CPU: one pass for the sums, one for the input's gradient.
//!
//! With g the gradient behind the activation and h = gamma g: `dx = rstd (h - mean(h) - x_hat mean(h x_hat))`.
//! Source: Ioffe and Szegedy, "Batch Normalization", 2015, section 3, simplified.

use std::ops::Range;

use super::super::real::Real;
use super::super::reduce::{segment_sums, sums};
use super::super::threads::{Shared, filled};
use super::cpu::{Line, Norm, Setting};
use super::groups::Scope;
use super::{BatchStats, elements};

/// For each scale and shift, the sums of the gradient behind the activation and of its product with the normalised input: the
/// gradients of beta and gamma.
pub(super) type GradSums = Vec<[f64; 2]>;

/// The input's gradient (empty unless wanted) and the sums.
pub(super) fn backward<T: Real>(
    setting: &Setting<'_, T>,
    stats: &BatchStats,
    x: &[T],
    grad: &[T],
    input_wanted: bool,
) -> (Vec<T>, GradSums) {
    setting.check(x.len());
    assert_eq!(x.len(), grad.len(), "a gradient of another shape");
    let (groups, view) = (setting.groups, setting.groups.stats);
    let task = Task { setting, x, grad };
    let elements = if input_wanted { view.elements() } else { 0 };
    let by_element = groups.by_element();
    let entries = match groups.scope {
        Scope::Channel => view.channels,
        _ if by_element => 0,
        _ => view.elements() / groups.segment(),
    };
    let mut totals: GradSums = Vec::new();
    // SAFETY: the blocks partition the channels, and each task fills all elements of its channels and all sums of its segments.
    let dx = unsafe {
        filled(elements, |dx| {
            totals = filled::<[f64; 2]>(entries, |totals| {
                view.for_each_block(|block| {
                    let norms: Vec<Norm> =
                        block.clone().map(|c| setting.norm(stats.mean[c], stats.var[c])).collect();
                    T::simd().run(
                        #[inline(always)]
                        || {
                            let sums = task.sums(&block, &norms, totals);
                            if input_wanted {
                                task.write_gradient(&block, &norms, &sums, dx);
                            }
                        },
                    );
                });
            });
        })
    };
    let sums = match groups.scope {
        Scope::Part(_) if by_element => elements::column_sums(setting, stats, x, grad),
        Scope::Part(parts) => add_rows(&totals, parts),
        _ => totals,
    };
    (dx, sums)
}

/// Sums of rows of `width` entries.
fn add_rows(rows: &[[f64; 2]], width: usize) -> GradSums {
    let mut total = vec![[0.0; 2]; width];
    for row in rows.chunks_exact(width) {
        for (total, [plain, normalised]) in total.iter_mut().zip(row) {
            total[0] += plain;
            total[1] += normalised;
        }
    }
    total
}

struct Task<'a, T> {
    setting: &'a Setting<'a, T>,
    x: &'a [T],
    grad: &'a [T],
}

impl<T: Real> Task<'_, T> {
    /// Sums of h and of h x_hat over each channel of a block; leaves those of g and g x_hat in `totals`.
    ///
    /// # Safety
    /// `totals` has an entry for each channel, or for each segment if the scope is smaller, and the block's belong to this task alone.
    #[inline(always)]
    unsafe fn sums(&self, block: &Range<usize>, norms: &[Norm], totals: Shared<[f64; 2]>) -> Vec<[f64; 2]> {
        let groups = self.setting.groups;
        if groups.by_element() {
            let at = groups.stats.stretch(0, block);
            return elements::row_sums(self.setting, &self.x[at.clone()], &self.grad[at], norms);
        }
        if groups.scope == Scope::Channel {
            let found = self.channel_sums(block, norms);
            return block
                .clone()
                .zip(found)
                .map(|(c, found)| {
                    // SAFETY: this task's own element, as the caller promises.
                    unsafe { totals.at(c, 1).write(found) };
                    let gamma = self.setting.affine.gamma[c].to_f64();
                    found.map(|sum| gamma * sum)
                })
                .collect();
        }
        let segment = groups.segment();
        let mut sums = vec![[0.0; 2]; block.len()];
        for image in 0..groups.stats.batch {
            let at = groups.stats.stretch(image, block);
            let first = at.start / segment;
            let operands = self.x[at.clone()].chunks_exact(segment).zip(self.grad[at].chunks_exact(segment));
            for (i, ((c, place), (x, g))) in groups.segments(image, block).zip(operands).enumerate() {
                let (line, mean) = (self.setting.line(place, norms[c]), T::of(norms[c].mean));
                let [plain, centred] = segment_sums(
                    x,
                    g,
                    #[inline(always)]
                    |x, g| term(line, mean, x, g),
                );
                let found = [plain, centred * norms[c].rstd];
                // SAFETY: this task's own element, as the caller promises.
                unsafe { totals.at(first + i, 1).write(found) };
                let gamma = self.setting.affine.gamma[place].to_f64();
                sums[c][0] += gamma * found[0];
                sums[c][1] += gamma * found[1];
            }
        }
        sums
    }

    /// Sums of g and g x_hat over each channel of a block.
    #[inline(always)]
    fn channel_sums(&self, block: &Range<usize>, norms: &[Norm]) -> Vec<[f64; 2]> {
        let known: Vec<(Line<T>, T)> = block
            .clone()
            .zip(norms)
            .map(|(c, norm)| (self.setting.line(c, *norm), T::of(norm.mean)))
            .collect();
        let mut found = sums(
            self.setting.groups.stats,
            block,
            self.x,
            self.grad,
            &known,
            #[inline(always)]
            |(line, mean), x, g| term(line, mean, x, g),
        );
        found.iter_mut().zip(norms).for_each(|(sums, norm)| sums[1] *= norm.rstd);
        found
    }

    /// Writes the gradient of a block of the input from the sums of h and h x_hat over its channels.
    ///
    /// # Safety
    /// `dx` is a tensor of the view's shape, and the block belongs to this task alone.
    #[inline(always)]
    unsafe fn write_gradient(&self, block: &Range<usize>, norms: &[Norm], sums: &[[f64; 2]], dx: Shared<T>) {
        let groups = self.setting.groups;
        let (view, segment, n) = (groups.stats, groups.segment(), groups.stats.population() as f64);
        let pulls: Vec<Pull<T>> =
            norms.iter().zip(sums).map(|(norm, sums)| Pull::new(*norm, *sums, n)).collect();
        let mut lines: Vec<(Line<T>, T, Pull<T>)> = Vec::new();
        for image in 0..view.batch {
            let at = view.stretch(image, block);
            // SAFETY: the stretch belongs to this task alone.
            let to = unsafe { dx.slice(at.clone()) };
            let (x, grad) = (&self.x[at.clone()], &self.grad[at]);
            if groups.by_element() {
                elements::write_gradient(self.setting, x, grad, norms, &pulls, to);
                continue;
            }
            if image == 0 || groups.scope != Scope::Channel {
                lines.clear();
                lines.extend(groups.segments(image, block).map(|(c, place)| {
                    let a = T::of(self.setting.affine.gamma[place].to_f64() * norms[c].rstd);
                    (self.setting.line(place, norms[c]), a, pulls[c])
                }));
            }
            let operands = x.chunks_exact(segment).zip(grad.chunks_exact(segment));
            for ((to, (x, g)), (line, a, pull)) in to.chunks_exact_mut(segment).zip(operands).zip(&lines) {
                let (line, a, pull) = (*line, *a, *pull);
                for ((t, x), g) in to.iter_mut().zip(x).zip(g) {
                    *t = a * (*g * line.slope(*x)) + pull.at(*x);
                }
            }
        }
    }
}

/// g and g (x - mean), g being the gradient behind the activation.
#[inline(always)]
fn term<T: Real>(line: Line<T>, mean: T, x: T, g: T) -> [T; 2] {
    let g = g * line.slope(x);
    [g, g * (x - mean)]
}

/// What the two means of a channel add to the gradient of each of its elements: `b (x - mean) + c`.
#[derive(Clone, Copy)]
pub(super) struct Pull<T> {
    mean: T,
    b: T,
    c: T,
}

impl<T: Real> Pull<T> {
    fn new(norm: Norm, [plain, normalised]: [f64; 2], n: f64) -> Self {
        let Norm { mean, rstd } = norm;
        Self { mean: T::of(mean), b: T::of(-rstd * rstd * normalised / n), c: T::of(-rstd * plain / n) }
    }

    #[inline(always)]
    pub(super) fn at(self, x: T) -> T {
        self.b * (x - self.mean) + self.c
    }
}
