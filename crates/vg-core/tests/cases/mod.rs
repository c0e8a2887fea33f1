//! Random convolutions that fit, for several test programs.
#![allow(dead_code)]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use vg_core::Rng;
use vg_core::ops::conv::{ConvParams, conv};

pub fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(7).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

pub fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub fn far(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max)
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

/// Cases of up to three groups of 1 to `channels` channels.
pub fn case(channels: usize) -> impl Strategy<Value = Case> {
    let axis = (1usize..=4, 1usize..=3, 0usize..=2, 1usize..=2, 0usize..=8);
    let channels = (1usize..=3, 1..=channels, 1..=channels);
    (prop_oneof![Just(0usize), Just(1), Just(2), Just(3)], proptest::collection::vec(axis, 1..=3), channels)
        .prop_map(|(batch, axes, (groups, c_in, c_out))| {
            let mut input = vec![batch, groups * c_in];
            let mut weight = vec![groups * c_out, c_in];
            let mut params = ConvParams::uniform(1, 0).groups(groups);
            for (a, (kernel, stride, padding, dilation, extra)) in axes.iter().enumerate() {
                let p = a + 3 - axes.len();
                (params.stride[p], params.padding[p], params.dilation[p]) = (*stride, *padding, *dilation);
                let reach = (kernel - 1) * dilation + 1;
                input.push((reach + extra).saturating_sub(2 * padding).max(1));
                weight.push(*kernel);
            }
            Case { input, weight, params }
        })
}
