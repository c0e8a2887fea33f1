//! The linear system for the change of a flow, row by row.

use super::super::lanes::Lanes;
use super::Weights;
use super::rows::{Bundle, EIGHT, Layout, Split, eights, eights_mut};

/// The last few rows of the system. Each has
///
/// 0. `s`, the weight of the edges from a pixel to the right and downwards,
/// 1. `a12`, which couples `du` and `dv`,
/// 2. `b1` and 3. `b2`, the right sides,
/// 4. `omega / a11` and 5. `omega / a22`, from the diagonal and the over-relaxation; 0 for cells without a pixel.
pub(super) struct Terms {
    layout: Layout,
    /// Rows that are kept.
    kept: usize,
    rows: Bundle<6>,
    omega: f32,
    /// What is above the first row: no edges.
    none: Vec<f32>,
}

/// Rows in work.
pub(super) struct Scratch {
    /// Flow plus change of a row and of the next one, `u` and `v`.
    moved: [[Vec<f32>; 2]; 2],
    /// Weights of the edges from above.
    above: Vec<f32>,
    /// Weights of edges to the right: 0 at the last pixel and outside.
    edges: Vec<f32>,
    a11: Vec<f32>,
    a22: Vec<f32>,
}

impl Scratch {
    pub fn new(layout: Layout) -> Self {
        let row = || vec![0.0; layout.stride()];
        Self { moved: [[row(), row()], [row(), row()]], above: row(), edges: row(), a11: row(), a22: row() }
    }

    /// Before the first row.
    #[inline(always)]
    pub fn begin(&mut self, flow: &[Split; 2], change: &[Split; 2]) {
        move_row(0, flow, change, &mut self.moved[1]);
    }
}

/// Flow plus change of a row; the cell behind the last pixel repeats it.
#[inline(always)]
fn move_row(y: usize, flow: &[Split; 2], change: &[Split; 2], out: &mut [Vec<f32>; 2]) {
    for ((flow, change), out) in flow.iter().zip(change).zip(out) {
        let pairs = flow.row(y as isize).iter().zip(change.row(y as isize));
        for (out, (a, b)) in out.iter_mut().zip(pairs) {
            *out = a + b;
        }
        let layout = flow.layout;
        out[layout.cell(layout.width as isize)] = out[layout.cell(layout.width as isize - 1)];
    }
}

impl Terms {
    pub fn new(kept: usize, omega: f32, layout: Layout) -> Self {
        Self { layout, kept, omega, rows: Bundle::zeros(kept, layout), none: vec![0.0; layout.stride()] }
    }

    /// The rows of the system for row `y`, and the weights of the edges from above.
    #[inline(always)]
    pub fn row(&self, y: usize) -> ([&[f32]; 6], &[f32]) {
        let above = if y == 0 { &self.none[..] } else { self.rows.get((y - 1) % self.kept)[0] };
        (self.rows.get(y % self.kept), above)
    }

    /// Makes the terms of row `y` from the change so far. Rows are made one after another.
    #[inline(always)]
    pub fn fill(
        &mut self,
        y: usize,
        weights: &Weights,
        derivatives: &Bundle<9>,
        flow: &[Split; 2],
        change: &[Split; 2],
        scratch: &mut Scratch,
    ) {
        let last = y + 1 == flow[0].height;
        scratch.moved.swap(0, 1);
        if last {
            // No edges downwards: the row below moves alike.
            let [current, next] = &mut scratch.moved;
            next.clone_from(current);
        } else {
            move_row(y + 1, flow, change, &mut scratch.moved[1]);
        }
        let (layout, omega) = (self.layout, self.omega);
        // Read while this row is written.
        scratch.above.copy_from_slice(self.row(y).1);
        let [s, a12, b1, b2, inverse11, inverse22] = self.rows.get_mut(y % self.kept);
        let change = [change[0].row(y as isize), change[1].row(y as isize)];
        let Scratch { moved, above, edges, a11, a22 } = scratch;
        data_terms(layout, weights, &derivatives.get(y), change, [a11, a12, a22, b1, b2]);
        smoothness(layout, weights, moved, s);
        edges.copy_from_slice(s);
        edges[layout.cell(-1)] = 0.0;
        edges[layout.cell(layout.width as isize - 1)] = 0.0;
        let edges = Edges { layout, below: if last { 0.0 } else { 1.0 }, s, right: edges, above };
        edges.invert_diagonal(omega, [a11, a22], [inverse11, inverse22]);
        edges.add_to_right_side(y, flow, [b1, b2]);
        layout.clear_outside(inverse11);
        layout.clear_outside(inverse22);
    }
}

/// What colours and gradients say: `[a11, a12, a22, b1, b2]`.
#[inline(always)]
fn data_terms(
    layout: Layout,
    weights: &Weights,
    derivatives: &[&[f32]; 9],
    change: [&[f32]; 2],
    out: [&mut [f32]; 5],
) {
    let count = layout.all_groups();
    let [t0, x0, y0, t1, x1, y1, t2, x2, y2] = derivatives.map(|row| eights(row, 0, count));
    let [du, dv] = change.map(|row| eights(row, 0, count));
    let [a11, a12, a22, b1, b2] = out.map(|row| eights_mut(row, 0, count));
    let (zeta, epsilon) = (weights.zeta * weights.zeta, weights.epsilon * weights.epsilon);
    let (delta, gamma) = (0.5 * weights.delta, 0.5 * weights.gamma);
    for k in 0..count {
        let (du, dv) = (&du[k], &dv[k]);
        let (t0, x0, y0) = (&t0[k], &x0[k], &y0[k]);
        let (t1, x1, y1) = (&t1[k], &x1[k], &y1[k]);
        let (t2, x2, y2) = (&t2[k], &x2[k], &y2[k]);
        let mut out = [[0.0; EIGHT]; 5];
        for i in 0..EIGHT {
            let r0 = t0[i] + x0[i] * du[i] + y0[i] * dv[i];
            let r1 = t1[i] + x1[i] * du[i] + y1[i] * dv[i];
            let r2 = t2[i] + x2[i] * du[i] + y2[i] * dv[i];
            // Derivative of the robust norm: one for the colour, one for both gradients together.
            let colour = delta / (r0 * r0 + epsilon).sqrt();
            let gradient = gamma / (r1 * r1 + r2 * r2 + epsilon).sqrt();
            let (cx, cy) = (colour * x0[i], colour * y0[i]);
            out[0][i] = cx * x0[i] + gradient * (x1[i] * x1[i] + x2[i] * x2[i]) + zeta;
            out[1][i] = cx * y0[i] + gradient * (x1[i] * y1[i] + x2[i] * y2[i]);
            out[2][i] = cy * y0[i] + gradient * (y1[i] * y1[i] + y2[i] * y2[i]) + zeta;
            out[3][i] = -(cx * t0[i] + gradient * (x1[i] * t1[i] + x2[i] * t2[i]));
            out[4][i] = -(cy * t0[i] + gradient * (y1[i] * t1[i] + y2[i] * t2[i]));
        }
        [a11[k], a12[k], a22[k], b1[k], b2[k]] = out;
    }
}

/// Weights of the edges to the right and downwards: `alpha / 2 / sqrt(|grad u|^2 + |grad v|^2 + epsilon^2)`, by forward differences.
#[inline(always)]
fn smoothness(layout: Layout, weights: &Weights, moved: &[[Vec<f32>; 2]; 2], s: &mut [f32]) {
    let (alpha, epsilon) = (0.5 * weights.alpha, Lanes::splat(weights.epsilon * weights.epsilon));
    let count = layout.groups;
    let [[u, v], [u_below, v_below]] = moved;
    for parity in [0, 1] {
        let at = layout.offsets(parity);
        let [u_right, v_right] = [u, v].map(|row| eights(row, at.right, count));
        let [u, v, u_below, v_below] = [u, v, u_below, v_below].map(|row| eights(row, at.own, count));
        let s = eights_mut(s, at.own, count);
        for k in 0..count {
            let (u, v, u_below, v_below) = (Lanes(u[k]), Lanes(v[k]), Lanes(u_below[k]), Lanes(v_below[k]));
            let (u_right, v_right) = (Lanes(u_right[k]), Lanes(v_right[k]));
            let square = |a: Lanes, b: Lanes| (a - b) * (a - b);
            let sum = square(u_right, u) + square(u_below, u) + square(v_right, v) + square(v_below, v);
            s[k] = (sum + epsilon).map(|q| alpha / q.sqrt()).0;
        }
    }
}

/// The edges of a row's pixels.
struct Edges<'a> {
    layout: Layout,
    /// 1, or 0 where there is no row below.
    below: f32,
    /// Weights downwards.
    s: &'a [f32],
    /// Weights to the right.
    right: &'a [f32],
    /// Weights from the row above.
    above: &'a [f32],
}

impl Edges<'_> {
    /// `omega` over the diagonal: data terms and the weights of all edges.
    #[inline(always)]
    fn invert_diagonal(&self, omega: f32, data: [&[f32]; 2], inverse: [&mut [f32]; 2]) {
        let count = self.layout.groups;
        let below = Lanes::splat(self.below);
        let [inverse11, inverse22] = inverse;
        for parity in [0, 1] {
            let at = self.layout.offsets(parity);
            let [s, right, above] = [self.s, self.right, self.above].map(|row| eights(row, at.own, count));
            let left = eights(self.right, at.left, count);
            let [a11, a22] = data.map(|row| eights(row, at.own, count));
            let inverse11 = eights_mut(inverse11, at.own, count);
            let inverse22 = eights_mut(inverse22, at.own, count);
            for k in 0..count {
                let horizontal = Lanes(right[k]) + Lanes(left[k]);
                let sum = horizontal + Lanes(s[k]) * below + Lanes(above[k]);
                inverse11[k] = (Lanes(a11[k]) + sum).map(|a| omega / a).0;
                inverse22[k] = (Lanes(a22[k]) + sum).map(|a| omega / a).0;
            }
        }
    }

    /// Adds what the smoothness of the flow without its change asks for.
    #[inline(always)]
    fn add_to_right_side(&self, y: usize, flow: &[Split; 2], sides: [&mut [f32]; 2]) {
        let count = self.layout.groups;
        let y = y as isize;
        for (flow, side) in flow.iter().zip(sides) {
            for parity in [0, 1] {
                let at = self.layout.offsets(parity);
                let [s, right, above] =
                    [self.s, self.right, self.above].map(|row| eights(row, at.own, count));
                let left = eights(self.right, at.left, count);
                // The rows above the first and below the last repeat them.
                let [own, flow_above, flow_below] =
                    [y, y - 1, y + 1].map(|y| eights(flow.row(y), at.own, count));
                let [flow_left, flow_right] =
                    [at.left, at.right].map(|from| eights(flow.row(y), from, count));
                let side: &mut [[f32; EIGHT]] = eights_mut(side, at.own, count);
                for k in 0..count {
                    let own = Lanes(own[k]);
                    let step = |to: [f32; EIGHT]| Lanes(to) - own;
                    let sum = Lanes(right[k]) * step(flow_right[k])
                        + Lanes(left[k]) * step(flow_left[k])
                        + Lanes(s[k]) * step(flow_below[k])
                        + Lanes(above[k]) * step(flow_above[k]);
                    side[k] = (Lanes(side[k]) + sum).0;
                }
            }
        }
    }
}
