//! Tensors seen as `[batch, channels, inner]`: sums per channel and maps with constants per channel.

use super::real::Real;
use super::threads::{CHUNK, Shared, filled, for_each};

/// A contiguous tensor seen as `[batch, channels, inner]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub batch: usize,
    pub channels: usize,
    pub inner: usize,
}

impl View {
    pub(super) fn of(dims: &[usize]) -> Self {
        Self { batch: dims[0], channels: dims[1], inner: dims[2..].iter().product() }
    }

    pub(super) fn elements(&self) -> usize {
        self.batch * self.channels * self.inner
    }

    /// Elements per channel.
    pub(super) fn population(&self) -> usize {
        self.batch * self.inner
    }

    /// Channels that are treated together: whole cache lines of a row where rows are short.
    fn block(&self) -> usize {
        (64 / self.inner.max(1)).max(1)
    }

    /// Runs `f` for all blocks of channels, in parallel; a task has as many blocks as make it worth while.
    pub(super) fn for_each_block(&self, f: impl Fn(std::ops::Range<usize>) + Sync + Send) {
        let (size, blocks) = (self.block(), self.channels.div_ceil(self.block()));
        let group = (CHUNK / (size * self.population()).max(1)).max(1);
        for_each(blocks.div_ceil(group), |task| {
            for i in task * group..((task + 1) * group).min(blocks) {
                f(i * size..((i + 1) * size).min(self.channels));
            }
        });
    }

    /// Where the elements of `image` for the channels of a block lie: one stretch, channel after channel.
    pub(super) fn stretch(&self, image: usize, block: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let base = image * self.channels;
        (base + block.start) * self.inner..(base + block.end) * self.inner
    }
}

/// Sums of `N` quantities per channel. `term` maps what is known of a channel and the elements of the operands to the quantities;
/// `known` has one entry for each channel of the block, copied into registers before the loops.
///
/// Order of additions: partial sums of the operands' type over fixed short pieces, interleaved; pieces and images in order, in f64.
#[inline(always)]
pub(super) fn sums<T: Real, K: Copy, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    known: &[K],
    term: impl Fn(K, T, T) -> [T; N] + Copy,
) -> Vec<[f64; N]> {
    if view.inner < 64 {
        return short_sums(view, block, x, y, known, term);
    }
    let mut total = [0.0; N];
    let known = known[0];
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        row_sums(
            &x[at.clone()],
            &y[at],
            #[inline(always)]
            |a, b| term(known, a, b),
            &mut total,
        );
    }
    vec![total]
}

/// Sums of `N` quantities over one stretch of the operands, in the order of additions of [`sums`].
#[inline(always)]
pub(super) fn segment_sums<T: Real, const N: usize>(
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> [T; N] + Copy,
) -> [f64; N] {
    let mut total = [0.0; N];
    if x.len() >= 64 {
        row_sums(x, y, term, &mut total);
        return total;
    }
    let mut lanes = [[T::nil(); SHORT_LANES]; N];
    for (x, y) in x.chunks(SHORT_LANES).zip(y.chunks(SHORT_LANES)) {
        for (l, (x, y)) in x.iter().zip(y).enumerate() {
            let t = term(*x, *y);
            for n in 0..N {
                lanes[n][l] += t[n];
            }
        }
    }
    lanes.map(|lanes| lanes.iter().map(|v| v.to_f64()).sum())
}

/// Interleaved sums; together they fill a few vectors.
pub(super) const LANES: usize = 32;
/// Interleaved sums of short stretches.
const SHORT_LANES: usize = 8;
/// Additions of a partial sum: so few that rounding stays near that of a single addition.
pub(super) const DEPTH: usize = 32;

#[inline(always)]
fn row_sums<T: Real, const N: usize>(
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> [T; N] + Copy,
    total: &mut [f64; N],
) {
    for (x, y) in x.chunks(LANES * DEPTH).zip(y.chunks(LANES * DEPTH)) {
        let mut lanes = [[T::nil(); LANES]; N];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for l in 0..LANES {
                let t = term(x[l], y[l]);
                for n in 0..N {
                    lanes[n][l] += t[n];
                }
            }
        }
        for (l, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
            let t = term(*x, *y);
            for n in 0..N {
                lanes[n][l] += t[n];
            }
        }
        for n in 0..N {
            total[n] += lanes[n].iter().map(|v| v.to_f64()).sum::<f64>();
        }
    }
}

/// The same for rows that are shorter than a few vectors: one sum for each element of a row.
#[inline(always)]
fn short_sums<T: Real, K: Copy, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    known: &[K],
    term: impl Fn(K, T, T) -> [T; N] + Copy,
) -> Vec<[f64; N]> {
    let n = block.len() * view.inner;
    let mut totals = vec![[0.0; N]; block.len()];
    let mut partial = vec![T::nil(); N * n];
    for first in (0..view.batch).step_by(DEPTH) {
        partial.fill(T::nil());
        for image in first..(first + DEPTH).min(view.batch) {
            let at = view.stretch(image, block);
            let (x, y) = (&x[at.clone()], &y[at]);
            if view.inner == 1 {
                add_terms(x, y, known, &mut partial, term);
                continue;
            }
            for (c, known) in known.iter().copied().enumerate() {
                for i in c * view.inner..(c + 1) * view.inner {
                    let t = term(known, x[i], y[i]);
                    for k in 0..N {
                        partial[k * n + i] += t[k];
                    }
                }
            }
        }
        for (k, partial) in partial.chunks_exact(n).enumerate() {
            for (total, row) in totals.iter_mut().zip(partial.chunks_exact(view.inner)) {
                total[k] += row.iter().map(|v| v.to_f64()).sum::<f64>();
            }
        }
    }
    totals
}

/// Adds the terms of rows of one element, with vectors along the channels.
#[inline(always)]
fn add_terms<T: Real, K: Copy, const N: usize>(
    x: &[T],
    y: &[T],
    known: &[K],
    partial: &mut [T],
    term: impl Fn(K, T, T) -> [T; N] + Copy,
) {
    for (k, partial) in partial.chunks_exact_mut(x.len()).enumerate() {
        for (sum, (known, (x, y))) in partial.iter_mut().zip(known.iter().zip(x.iter().zip(y))) {
            *sum += term(*known, *x, *y)[k];
        }
    }
}

/// One sum per channel of a term of two operands.
pub(super) fn reduce<T: Real>(
    view: View,
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> T + Copy + Sync + Send,
) -> Vec<T> {
    if view.elements() == 0 {
        return vec![T::nil(); view.channels];
    }
    // SAFETY: the blocks partition the channels, and `sums` returns one sum for each channel of a block.
    unsafe {
        filled(view.channels, |out: Shared<T>| {
            view.for_each_block(|block| {
                let total = T::simd().run(
                    #[inline(always)]
                    || {
                        sums(
                            view,
                            &block,
                            x,
                            y,
                            &vec![(); block.len()],
                            #[inline(always)]
                            |(), a, b| [term(a, b)],
                        )
                    },
                );
                for (channel, sum) in block.zip(total) {
                    out.at(channel, 1).write(T::of(sum[0]));
                }
            });
        })
    }
}

/// `f(what is known of the channel, element)` of each element; `known` has one entry for each channel.
pub(super) fn per_channel<T: Real, K: Copy + Sync>(
    view: View,
    x: &[T],
    known: &[K],
    f: impl Fn(K, T) -> T + Sync + Send + Copy,
) -> Vec<T> {
    if view.elements() == 0 {
        return Vec::new();
    }
    // SAFETY: images and blocks partition the elements, and every stretch is written in full.
    unsafe {
        filled(view.elements(), |out: Shared<T>| {
            view.for_each_block(|block| {
                T::simd().run(
                    #[inline(always)]
                    || {
                        for image in 0..view.batch {
                            let at = view.stretch(image, &block);
                            // SAFETY: this image of these channels belongs to this task alone.
                            let to = out.slice(at.clone());
                            map_stretch(view.inner, &x[at], to, &known[block.clone()], f);
                        }
                    },
                );
            });
        })
    }
}

/// One image of a block of channels.
#[inline(always)]
fn map_stretch<T: Real, K: Copy>(
    inner: usize,
    x: &[T],
    to: &mut [T],
    known: &[K],
    f: impl Fn(K, T) -> T + Copy,
) {
    if inner == 1 {
        for ((t, v), known) in to.iter_mut().zip(x).zip(known) {
            *t = f(*known, *v);
        }
        return;
    }
    for ((to, x), known) in to.chunks_exact_mut(inner).zip(x.chunks_exact(inner)).zip(known.iter().copied()) {
        for (t, v) in to.iter_mut().zip(x) {
            *t = f(known, *v);
        }
    }
}
