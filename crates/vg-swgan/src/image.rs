//! The image model: residual networks (specification, section 6).

mod critic;
mod generator;
mod norm;

use vg_core::nn::Init;

pub use critic::{ImageCritic, ImageCriticAt, ImagePass};
pub use generator::{ImageGenerator, Moments, Statistics};

/// Channels beside the size of a map, from full size down: 1, 2, 4, 8 and 8 times the width.
const WIDTHS: [usize; 5] = [1, 2, 4, 8, 8];

/// Added to the variances of all norms.
const EPS: f64 = 1e-5;

/// Uniform with the standard deviation `sqrt(gain / (inputs + outputs))`, where both count the taps of the kernel.
fn uniform(gain: f64, inputs: usize, outputs: usize, taps: usize) -> Init {
    Init::Uniform { bound: (3.0 * gain / ((inputs + outputs) * taps) as f64).sqrt() }
}

/// Initial weights of 3x3 convolutions before and behind ReLUs.
fn he(inputs: usize, outputs: usize) -> Init {
    uniform(4.0, inputs, outputs, 9)
}

/// Initial weights of all others, with a kernel of `taps` taps.
fn glorot(inputs: usize, outputs: usize, taps: usize) -> Init {
    uniform(2.0, inputs, outputs, taps)
}
