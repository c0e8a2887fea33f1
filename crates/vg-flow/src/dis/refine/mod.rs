//! Variational refinement: a small change of a flow that makes colours and gradients of the frames agree and stays smooth.
//!
//! Source: Brox et al., "High Accuracy Optical Flow Estimation Based on a Theory for Warping" (ECCV 2004), as OpenCV's `VariationalRefinement`
//! does it: one warp, a few times linearised around the present change, solved by red-black successive over-relaxation.

mod derivatives;
mod rows;
mod sweep;
mod terms;

use super::plane::Plane;
use super::pyramid::Level;
use crate::simd;
use rows::{Layout, Split};
use sweep::Sweep;
use terms::{Scratch, Terms};

/// Settings of the refinement; the default is that of OpenCV's DIS.
#[derive(Clone, Debug)]
pub(super) struct Refinement {
    /// Times that the robust weights are taken anew.
    fixed_points: usize,
    /// Relaxations of all pixels for each of them.
    sweeps: usize,
    /// Over-relaxation.
    omega: f32,
    weights: Weights,
}

/// Weights of the energy's terms.
#[derive(Clone, Debug)]
struct Weights {
    /// Smoothness.
    alpha: f32,
    /// Constancy of colours.
    delta: f32,
    /// Constancy of gradients.
    gamma: f32,
    /// Softens the normalisation by gradients.
    zeta: f32,
    /// Softens the robust norms.
    epsilon: f32,
}

impl Default for Refinement {
    fn default() -> Self {
        Self {
            fixed_points: 5,
            sweeps: 5,
            omega: 1.6,
            weights: Weights { alpha: 20.0, delta: 5.0, gamma: 10.0, zeta: 0.1, epsilon: 0.01 },
        }
    }
}

impl Refinement {
    /// Refines a flow of a level in place.
    pub fn run(&self, level: &Level, u: &mut Plane, v: &mut Plane) {
        simd::run(Refine { settings: self, level, u, v });
    }
}

struct Refine<'a> {
    settings: &'a Refinement,
    level: &'a Level,
    u: &'a mut Plane,
    v: &'a mut Plane,
}

impl simd::Kernel for Refine<'_> {
    #[inline(always)]
    fn run(self) {
        let layout = Layout::of(self.u.width);
        let derivatives =
            derivatives::normalised(self.level, self.u, self.v, layout, self.settings.weights.zeta);
        let mut solver = Solver {
            settings: self.settings,
            layout,
            derivatives,
            flow: [Split::of(self.u, layout), Split::of(self.v, layout)],
            change: [Split::zeros(self.u.height, layout), Split::zeros(self.u.height, layout)],
            terms: Terms::new(2 * self.settings.sweeps + 1, self.settings.omega, layout),
        };
        let mut scratch = Scratch::new(layout);
        for _ in 0..self.settings.fixed_points {
            solver.fixed_point(&mut scratch);
        }
        for (plane, change) in [self.u, self.v].into_iter().zip(&solver.change) {
            change.add_to(plane);
        }
    }
}

/// The linear system of a level and its solution so far.
struct Solver<'a> {
    settings: &'a Refinement,
    layout: Layout,
    derivatives: rows::Bundle<9>,
    /// `u` and `v`.
    flow: [Split; 2],
    /// What is added to them.
    change: [Split; 2],
    terms: Terms,
}

impl Solver<'_> {
    /// Takes the weights anew and relaxes all pixels a few times.
    ///
    /// Half a sweep of a row needs the halves before it on this row and its two neighbours. So all sweeps go down the picture together, each a
    /// row behind the one before it, and the terms of a row are made just ahead of the first: the few rows in work stay in the cache. The
    /// numbers are those of one sweep after another.
    #[inline(always)]
    fn fixed_point(&mut self, scratch: &mut Scratch) {
        let height = self.flow[0].height;
        let halves = 2 * self.settings.sweeps;
        scratch.begin(&self.flow, &self.change);
        for front in 0..height + halves - 1 {
            if front < height {
                let weights = &self.settings.weights;
                self.terms.fill(front, weights, &self.derivatives, &self.flow, &self.change, scratch);
            }
            for half in 0..halves.min(front + 1) {
                let y = front - half;
                if y < height {
                    let [u, v] = &mut self.change;
                    let sweep = Sweep { layout: self.layout, omega: self.settings.omega, terms: &self.terms };
                    sweep.row(y, (y + half) % 2, u, v);
                }
            }
        }
    }
}
