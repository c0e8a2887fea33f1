//! The weights of one axis, as a sparse matrix.

/// One term of a sum: `weight * input[at]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Tap {
    pub at: usize,
    pub weight: f64,
}

/// A sparse matrix from the positions of an axis to others.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct AxisMap {
    input: usize,
    /// Where the taps of each output position start, and where the last ones end.
    starts: Vec<usize>,
    taps: Vec<Tap>,
}

impl AxisMap {
    /// From the taps of each output position.
    ///
    /// # Panics
    /// When a tap lies outside of the `input` positions.
    pub(in super::super) fn new<R: IntoIterator<Item = Tap>>(
        input: usize,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        let mut map = Self { input, starts: vec![0], taps: Vec::new() };
        for row in rows {
            map.taps.extend(row);
            map.starts.push(map.taps.len());
        }
        assert!(map.taps.iter().all(|tap| tap.at < input), "a tap lies outside of its axis");
        map
    }

    /// The map that leaves `n` positions as they are.
    pub(in super::super) fn identity(n: usize) -> Self {
        Self::new(n, (0..n).map(|at| [Tap { at, weight: 1.0 }]))
    }

    pub(super) fn input(&self) -> usize {
        self.input
    }

    pub(super) fn output(&self) -> usize {
        self.starts.len() - 1
    }

    /// The taps of one output position.
    pub(super) fn taps(&self, position: usize) -> &[Tap] {
        &self.taps[self.starts[position]..self.starts[position + 1]]
    }

    /// The adjoint map; taps of weight 0 are left out.
    pub(super) fn transposed(&self) -> Self {
        let mut rows = vec![Vec::new(); self.input];
        for position in 0..self.output() {
            for tap in self.taps(position).iter().filter(|tap| tap.weight != 0.0) {
                rows[tap.at].push(Tap { at: position, weight: tap.weight });
            }
        }
        Self::new(self.output(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_swaps_positions() {
        let tap = |at, weight| Tap { at, weight };
        let map = AxisMap::new(2, [vec![tap(0, 0.5), tap(1, 2.0)], vec![], vec![tap(1, 3.0), tap(0, 0.0)]]);
        let back = map.transposed();
        assert_eq!((back.input(), back.output()), (3, 2));
        assert_eq!(back.taps(0), [tap(0, 0.5)]);
        assert_eq!(back.taps(1), [tap(0, 2.0), tap(2, 3.0)]);
        assert_eq!(AxisMap::identity(4).transposed(), AxisMap::identity(4));
    }
}
