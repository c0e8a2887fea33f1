//! Red-black successive over-relaxation.

use super::super::lanes::Lanes;
use super::rows::{Layout, Split, eights, eights_mut};
use super::terms::Terms;

/// Relaxes rows of a system.
pub(super) struct Sweep<'a> {
    pub layout: Layout,
    /// Over-relaxation.
    pub omega: f32,
    pub terms: &'a Terms,
}

/// The cells of one parity in the rows around a pixel.
#[derive(Clone, Copy)]
struct Neighbours<'a> {
    left: &'a [[f32; 8]],
    right: &'a [[f32; 8]],
    above: &'a [[f32; 8]],
    below: &'a [[f32; 8]],
}

impl Neighbours<'_> {
    /// The changes around, weighted by their edges. Outside of the picture the change is 0.
    #[inline(always)]
    fn pull(&self, k: usize, s: Lanes, left: Lanes, above: Lanes) -> Lanes {
        s * (Lanes(self.right[k]) + Lanes(self.below[k]))
            + left * Lanes(self.left[k])
            + above * Lanes(self.above[k])
    }
}

impl Sweep<'_> {
    /// Relaxes the pixels of row `y` whose `x` is even (parity 0) or odd (1).
    #[inline(always)]
    pub fn row(&self, y: usize, parity: usize, u: &mut Split, v: &mut Split) {
        let (layout, count) = (self.layout, self.layout.groups);
        let at = layout.offsets(parity);
        let ([s_row, rows @ ..], above) = self.terms.row(y);
        let [a12, b1, b2, inverse11, inverse22] = rows.map(|row| eights(row, at.own, count));
        let (s, s_left) = (eights(s_row, at.own, count), eights(s_row, at.left, count));
        let s_above = eights(above, at.own, count);
        let (own_u, around_u) = cells(u, y, parity);
        let (own_v, around_v) = cells(v, y, parity);
        let keep = Lanes::splat(1.0 - self.omega);
        for k in 0..count {
            let edges = (Lanes(s[k]), Lanes(s_left[k]), Lanes(s_above[k]));
            let (du, dv, a12) = (Lanes(own_u[k]), Lanes(own_v[k]), Lanes(a12[k]));
            let pull_u = around_u.pull(k, edges.0, edges.1, edges.2);
            let pull_v = around_v.pull(k, edges.0, edges.1, edges.2);
            let du = keep * du + (pull_u + Lanes(b1[k]) - a12 * dv) * Lanes(inverse11[k]);
            let dv = keep * dv + (pull_v + Lanes(b2[k]) - a12 * du) * Lanes(inverse22[k]);
            (own_u[k], own_v[k]) = (du.0, dv.0);
        }
    }
}

/// The cells of one parity of a row, to write to, and those around them.
#[inline(always)]
fn cells(plane: &mut Split, y: usize, parity: usize) -> (&mut [[f32; 8]], Neighbours<'_>) {
    let Layout { groups: count, half, .. } = plane.layout;
    let at = plane.layout.offsets(parity);
    let (above, row, below) = plane.around(y);
    let (above, below) = (eights(above, at.own, count), eights(below, at.own, count));
    let (even, odd) = row.split_at_mut(half);
    // Offsets within halves: those of `Layout::offsets`.
    let (own, left, right) = if parity == 0 {
        (eights_mut(even, 1, count), eights(odd, 0, count), eights(odd, 1, count))
    } else {
        (eights_mut(odd, 1, count), eights(even, 1, count), eights(even, 2, count))
    };
    (own, Neighbours { left, right, above, below })
}
