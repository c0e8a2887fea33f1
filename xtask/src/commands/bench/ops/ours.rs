//! Our side of an operation.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use serde::Serialize;
use vg_core::Rng;
use vg_core::grad::{Tape, backward_from};
use vg_core::ops::Activation;
use vg_core::ops::batch_norm::batch_norm_train;
use vg_core::ops::conv::{ConvParams, Precision, conv, conv_transpose, conv_weight_grad};

use super::cases::{Case, Kind, Pass};

/// What operands are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    F32,
    /// f32 in memory, bf16 in the products of convolutions.
    F32TimesInBf16,
    Bf16,
}

/// An operation with its tensors.
pub struct Operation {
    case: Case,
    numbers: Numbers,
    input: Var,
    weight: Var,
    /// Gradient of the result.
    grad: Tensor,
}

impl Operation {
    /// Random operands; the operation has run once.
    pub fn new(case: &Case, numbers: Numbers) -> Result<Self> {
        let random = |name: &str, dims: &[usize]| {
            let dtype = if numbers == Numbers::Bf16 { DType::BF16 } else { DType::F32 };
            Rng::new(1)
                .stream(name)
                .uniform_tensor(dims, -1.0, 1.0, DType::F32, &Device::Cpu)?
                .to_dtype(dtype)
        };
        let input = Var::from_tensor(&random("input", case.input)?)?;
        let weight = Var::from_tensor(&random("weight", case.weight)?)?;
        let mut operation =
            Self { case: case.clone(), numbers, grad: input.as_detached_tensor(), input, weight };
        let dims = operation.forward(&operation.input.as_detached_tensor())?.dims().to_vec();
        operation.grad = random("grad", &dims)?;
        operation.run()?;
        Ok(operation)
    }

    /// Seconds per call, over at least `seconds` seconds.
    pub fn time(&self, seconds: f64) -> Result<f64> {
        let (started, mut calls) = (Instant::now(), 0.0);
        loop {
            self.run()?;
            calls += 1.0;
            let elapsed = started.elapsed().as_secs_f64();
            if elapsed >= seconds {
                return Ok(elapsed / calls);
            }
        }
    }

    fn params(&self) -> ConvParams {
        let precision =
            if self.numbers == Numbers::F32TimesInBf16 { Precision::Bf16 } else { Precision::Full };
        ConvParams::uniform(self.case.stride, self.case.padding).precision(precision)
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (w, p) = (self.weight.as_detached_tensor(), self.params());
        Ok(match self.case.kind {
            Kind::Conv => conv(input, &w, &p)?,
            Kind::ConvTranspose => conv_transpose(input, &w, &p, [0; 3])?,
            Kind::NormLeakyRelu => {
                batch_norm_train(input, self.weight.as_tensor(), None, 1e-5, Activation::LeakyRelu(0.2))?.0
            }
        })
    }

    fn run(&self) -> Result<()> {
        let (x, w, g) = (self.input.as_detached_tensor(), self.weight.as_detached_tensor(), &self.grad);
        let (p, kernel) = (self.params(), self.case.weight.get(2..).unwrap_or_default());
        match (self.case.kind, self.case.pass) {
            (_, Pass::Forward) => {
                black_box(self.forward(&x)?);
            }
            (Kind::Conv, Pass::InputGrad) => {
                black_box(conv_transpose(g, &w, &p, [0; 3])?);
            }
            (_, Pass::InputGrad) => {
                black_box(conv(g, &w, &p)?);
            }
            (Kind::Conv, Pass::WeightGrad) => {
                black_box(conv_weight_grad(&x, g, kernel, &p)?);
            }
            (_, Pass::WeightGrad) => {
                black_box(conv_weight_grad(g, &x, kernel, &p)?);
            }
            (_, Pass::Training) => {
                // As a training step does.
                let _tape = Tape::start();
                let y = self.forward(self.input.as_tensor())?;
                black_box(backward_from(&y, g)?);
            }
        }
        Ok(())
    }
}
