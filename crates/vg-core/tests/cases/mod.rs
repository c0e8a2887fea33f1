//! Random convolutions that fit, for several test programs.
#![allow(dead_code)]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use vg_core::Rng;
use vg_core::ops::conv::{ConvParams, conv};

#[path = "../distance/mod.rs"]
mod distance;
pub use distance::{far, values};

pub fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(7).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

pub fn dot(a: &Tensor, b: &Tensor) -> f64 {
    values(a).iter().zip(values(b)).map(|(x, y)| x * y).sum()
}

/// A convolution that fits, in one to three dimensions.
#[derive(Clone, Debug)]
pub struct Case {
    pub input: Vec<usize>,
    pub weight: Vec<usize>,
    pub params: ConvParams,
}

impl Case {
    fn axes(&self) -> usize {
        self.input.len() - 2
    }

    pub fn kernel(&self) -> &[usize] {
        &self.weight[2..]
    }

    pub fn output(&self) -> Vec<usize> {
        let (x, w) = (random("x", &self.input), random("w", &self.weight));
        conv(&x, &w, &self.params).unwrap().dims().to_vec()
    }

    /// Halves the channels, wherever there are more, until the definition has few enough products.
    fn shrink_channels(&mut self) {
        let groups = self.params.groups;
        let positions: usize = (0..self.axes()).map(|a| self.positions(a)).product();
        let rest = self.input[0] * groups * positions * self.kernel().iter().product::<usize>();
        let (mut c_in, mut c_out) = (self.weight[1], self.weight[0] / groups);
        while rest * c_in * c_out > PRODUCTS && c_in * c_out > 1 {
            (c_in, c_out) = if c_in > c_out { (c_in / 2, c_out) } else { (c_in, c_out / 2) };
        }
        (self.input[1], self.weight[0], self.weight[1]) = (groups * c_in, groups * c_out, c_in);
    }

    /// Length of an axis of the output.
    fn positions(&self, a: usize) -> usize {
        let p = a + 3 - self.axes();
        let reach = (self.kernel()[a] - 1) * self.params.dilation[p] + 1;
        (self.input[a + 2] + 2 * self.params.padding[p] - reach) / self.params.stride[p] + 1
    }

    /// What [`conv_transpose`] needs to give the input's shape back.
    pub fn output_padding(&self) -> [usize; 3] {
        let mut extra = [0; 3];
        for a in 0..self.axes() {
            let p = a + 3 - self.axes();
            let reach = (self.kernel()[a] - 1) * self.params.dilation[p] + 1;
            extra[p] = (self.input[a + 2] + 2 * self.params.padding[p] - reach) % self.params.stride[p];
        }
        extra
    }
}

/// Kernel lengths of the models, the odd ones of image networks less often.
fn kernel() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1usize..=4, 1 => Just(5), 1 => Just(7), 1 => Just(9)]
}

/// Numbers of channels of a group; three, as in images, more often.
fn channels(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..=most, 1 => Just(3.min(most))]
}

/// Largest number of products of a case: the definition takes nanoseconds for each.
const PRODUCTS: usize = 2_000_000;

/// Cases of up to three groups of 1 to `most` channels, now and then on maps of 1 or 4 positions along each axis.
pub fn case(most: usize) -> impl Strategy<Value = Case> {
    let axis = (kernel(), 1usize..=3, 0usize..=2, 1usize..=2, 0usize..=8);
    let size = prop_oneof![4 => Just(None), 1 => Just(Some(1usize)), 1 => Just(Some(4))];
    let batch = prop_oneof![1 => Just(0usize), 3 => Just(1), 2 => Just(2), 2 => Just(3)];
    let counts = (1usize..=3, channels(most), channels(most));
    (batch, proptest::collection::vec(axis, 1..=3), size, counts).prop_map(
        |(batch, axes, size, (groups, c_in, c_out))| {
            let mut case = Case {
                input: vec![batch, groups * c_in],
                weight: vec![groups * c_out, c_in],
                params: ConvParams::uniform(1, 0).groups(groups),
            };
            let mut volume = 1;
            for (a, (kernel, stride, padding, dilation, extra)) in axes.iter().enumerate() {
                let p = a + 3 - axes.len();
                // One long axis, or two of a plane.
                let kernel = if volume * kernel > 100 { (kernel - 1) % 3 + 1 } else { *kernel };
                volume *= kernel;
                let reach = (kernel - 1) * dilation + 1;
                let free = (reach + extra).saturating_sub(2 * padding).max(1);
                let length = size.unwrap_or(free);
                let padding = (*padding).max(reach.saturating_sub(length).div_ceil(2));
                let params = &mut case.params;
                (params.stride[p], params.padding[p], params.dilation[p]) = (*stride, padding, *dilation);
                case.input.push(length);
                case.weight.push(kernel);
            }
            case.shrink_channels();
            case
        },
    )
}
