//! The loops of a separable map: sums of whole rows along T and H, sums of elements along W.

use super::super::real::Real;
use super::super::threads::{CHUNK, Shared, filled, for_each, with_scratch};
use super::AxisMap;

/// Maps `planes` blocks `[T, H, W]` that lie one after the other.
///
/// # Panics
/// When `x` does not hold just the planes.
pub(super) fn resample<T: Real>(maps: &[AxisMap; 3], planes: usize, x: &[T]) -> Vec<T> {
    let map = Map::<T>::new(maps);
    let from: usize = maps.iter().map(AxisMap::input).product();
    let to: usize = maps.iter().map(AxisMap::output).product();
    assert_eq!(x.len(), planes * from, "planes of another size");
    if planes * to == 0 {
        return Vec::new();
    }
    let group = (CHUNK / from.max(to)).max(1);
    // SAFETY: the groups partition the planes, and every plane is written in full.
    unsafe {
        filled(planes * to, |out: Shared<T>| {
            for_each(planes.div_ceil(group), |i| {
                let group = i * group..((i + 1) * group).min(planes);
                with_scratch(map.scratch(), |scratch| {
                    T::simd().run(
                        #[inline(always)]
                        || {
                            for plane in group {
                                // SAFETY: the plane belongs to this task alone.
                                let y = out.slice(plane * to..(plane + 1) * to);
                                map.plane(&x[plane * from..(plane + 1) * from], y, scratch);
                            }
                        },
                    );
                });
            });
        })
    }
}

/// The map in the form that the loops read.
struct Map<T> {
    /// For each row of the output, its taps among the rows of the input.
    rows: Vec<Vec<(usize, T)>>,
    rows_in: usize,
    across: Across<T>,
}

impl<T: Real> Map<T> {
    fn new([t, h, w]: &[AxisMap; 3]) -> Self {
        let row_taps = |i: usize| {
            let (of_t, of_h) = (t.taps(i / h.output()), h.taps(i % h.output()));
            of_t.iter()
                .flat_map(|a| of_h.iter().map(move |b| (a.at * h.input() + b.at, T::of(a.weight * b.weight))))
                .collect()
        };
        Self {
            rows: (0..t.output() * h.output()).map(row_taps).collect(),
            rows_in: t.input() * h.input(),
            across: Across::new(w),
        }
    }

    /// Whether W is mapped before T and H, because that leaves less to do.
    fn across_first(&self) -> bool {
        self.across.output > self.across.input
    }

    /// Elements of working memory.
    fn scratch(&self) -> usize {
        if self.across_first() { self.rows_in * self.across.output } else { self.across.input }
    }

    #[inline(always)]
    fn plane(&self, x: &[T], y: &mut [T], scratch: &mut [T]) {
        let Across { input, output, is_identity, .. } = self.across;
        if is_identity {
            for (taps, to) in self.rows.iter().zip(y.chunks_exact_mut(output)) {
                sum_rows(x, taps, to);
            }
        } else if self.across_first() {
            for (row, to) in x.chunks_exact(input).zip(scratch.chunks_exact_mut(output)) {
                self.across.row(row, to);
            }
            for (taps, to) in self.rows.iter().zip(y.chunks_exact_mut(output)) {
                sum_rows(scratch, taps, to);
            }
        } else {
            for (taps, to) in self.rows.iter().zip(y.chunks_exact_mut(output)) {
                sum_rows(x, taps, scratch);
                self.across.row(scratch, to);
            }
        }
    }
}

/// `to` becomes the weighted sum of rows of its length.
#[inline(always)]
fn sum_rows<T: Real>(rows: &[T], taps: &[(usize, T)], to: &mut [T]) {
    let n = to.len();
    let Some((&(row, weight), others)) = taps.split_first() else {
        to.fill(T::nil());
        return;
    };
    for (t, v) in to.iter_mut().zip(&rows[row * n..(row + 1) * n]) {
        *t = weight * *v;
    }
    for &(row, weight) in others {
        for (t, v) in to.iter_mut().zip(&rows[row * n..(row + 1) * n]) {
            *t += weight * *v;
        }
    }
}

/// The map along W.
struct Across<T> {
    input: usize,
    output: usize,
    is_identity: bool,
    /// Taps of every output position, if all have equally many.
    uniform: Option<usize>,
    starts: Vec<usize>,
    /// Positions and weights of all taps; every position is below `input`, as [`AxisMap::new`] checks.
    at: Vec<u32>,
    weights: Vec<T>,
}

impl<T: Real> Across<T> {
    fn new(map: &AxisMap) -> Self {
        let taps = || (0..map.output()).flat_map(|o| map.taps(o));
        let mut starts = vec![0];
        starts.extend((0..map.output()).scan(0, |end, o| {
            *end += map.taps(o).len();
            Some(*end)
        }));
        let first = if map.output() > 0 { map.taps(0).len() } else { 0 };
        Self {
            input: map.input(),
            output: map.output(),
            is_identity: *map == AxisMap::identity(map.input()),
            uniform: (0..map.output()).all(|o| map.taps(o).len() == first).then_some(first),
            starts,
            at: taps().map(|tap| tap.at as u32).collect(),
            weights: taps().map(|tap| T::of(tap.weight)).collect(),
        }
    }

    #[inline(always)]
    fn row(&self, x: &[T], to: &mut [T]) {
        assert!(x.len() >= self.input, "a row is too short");
        match self.uniform {
            Some(1) => self.fixed::<1>(x, to),
            Some(2) => self.fixed::<2>(x, to),
            Some(3) => self.fixed::<3>(x, to),
            Some(4) => self.fixed::<4>(x, to),
            _ => self.varying(x, to),
        }
    }

    #[inline(always)]
    fn fixed<const K: usize>(&self, x: &[T], to: &mut [T]) {
        let taps = self.at.as_chunks::<K>().0.iter().zip(self.weights.as_chunks::<K>().0);
        for (t, (at, weights)) in to.iter_mut().zip(taps) {
            let mut sum = T::nil();
            for k in 0..K {
                // SAFETY: `AxisMap::new` refuses positions that are not below `input`, and `row`, the only caller, asserts that x is
                // at least that long.
                sum += weights[k] * unsafe { *x.get_unchecked(at[k] as usize) };
            }
            *t = sum;
        }
    }

    #[inline(always)]
    fn varying(&self, x: &[T], to: &mut [T]) {
        for (t, ends) in to.iter_mut().zip(self.starts.windows(2)) {
            let mut sum = T::nil();
            for (at, weight) in self.at[ends[0]..ends[1]].iter().zip(&self.weights[ends[0]..ends[1]]) {
                sum += *weight * x[*at as usize];
            }
            *t = sum;
        }
    }
}
