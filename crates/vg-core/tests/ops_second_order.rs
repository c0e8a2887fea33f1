//! Second derivatives through candle's graph, with every operation's backward pass part of it.
//!
//! candle keeps the graph of a backward pass only with `CANDLE_GRAD_DO_NOT_DETACH` set, which it reads once per thread; the test
//! runs itself again with the variable set.

use std::process::Command;

use candle_core::{DType, Device, Tensor, Var};
use vg_core::ops::Activation;
use vg_core::ops::attention::{attention, softmax};
use vg_core::ops::batch_norm::batch_norm_train;
use vg_core::ops::conv::{ConvParams, Epilogue, conv, conv_fused, conv_transpose_fused};
use vg_core::ops::linear::linear;
use vg_core::ops::norm::{conditional_batch_norm_train, instance_norm, layer_norm, pixel_norm};
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};
use vg_core::ops::upsample::{Interpolation, upsample};
use vg_core::testing::gradcheck::gradcheck;
use vg_core::{Result, Rng};

const KEEP_GRAPH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(9).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

/// Checks the derivatives of each gradient of `sum of f^3`, with respect to all inputs of `f`.
fn check(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    for i in 0..inputs.len() {
        let gradient = |t: &[Tensor]| {
            let t = t
                .iter()
                .map(|t| if t.is_variable() { Ok(t.clone()) } else { Ok(Var::from_tensor(t)?.into_inner()) })
                .collect::<Result<Vec<Tensor>>>()?;
            let y = f(&t)?;
            let grads = ((&y * &y)? * &y)?.sum_all()?.backward()?;
            Ok(grads.get(&t[i]).expect("every input has a gradient").clone())
        };
        gradcheck(gradient, inputs).unwrap_or_else(|e| panic!("gradient of input {i}:\n{e}"));
    }
}

fn convolutions() {
    let (x, w) = (random("x", &[2, 4, 5, 6]), random("w", &[6, 2, 3, 2]));
    let (b, tb) = (random("b", &[6]), random("tb", &[4]));
    let g = random("g", &[2, 6, 3, 5]);
    let p = ConvParams::per_axis([2, 1], [1, 0]).groups(2);
    check(|t| conv(&t[0], &t[1], &p), &[x.clone(), w.clone()]);
    for activation in [Activation::Tanh, Activation::LeakyRelu(0.2), Activation::Sigmoid, Activation::Elu] {
        let fused = |t: &[Tensor]| conv_fused(&t[0], &t[1], Epilogue { bias: Some(&t[2]), activation }, &p);
        check(fused, &[x.clone(), w.clone(), b.clone()]);
    }
    let fused = |t: &[Tensor]| {
        let epilogue = Epilogue { bias: Some(&t[2]), activation: Activation::Tanh };
        conv_transpose_fused(&t[0], &t[1], epilogue, &p, [0; 3])
    };
    check(fused, &[g, w, tb]);
}

fn others() {
    let (x, gamma, beta) = (random("n", &[3, 2, 4]), random("gamma", &[2]), random("beta", &[2]));
    for activation in [Activation::Identity, Activation::LeakyRelu(0.2), Activation::Tanh] {
        let norm = |t: &[Tensor]| Ok(batch_norm_train(&t[0], &t[1], Some(&t[2]), 1e-2, activation)?.0);
        check(norm, &[x.clone(), gamma.clone(), beta.clone()]);
    }
    let line = |t: &[Tensor]| linear(&t[0], &t[1], Some(&t[2]));
    check(line, &[random("l", &[3, 4]), random("lw", &[2, 4]), random("lb", &[2])]);
}

fn norms() {
    let x = random("n", &[2, 3, 4]);
    let (gamma, rows) = (random("gamma", &[3]), random("rows", &[2, 3]));
    for f in [Activation::LeakyRelu(0.2), Activation::Tanh] {
        let instance = |t: &[Tensor]| instance_norm(&t[0], Some(&t[1]), Some(&t[1]), 1e-2, f);
        check(instance, &[x.clone(), gamma.clone()]);
        let layer = |t: &[Tensor]| layer_norm(&t[0], 1, Some(&t[1]), None, 1e-2, f);
        check(layer, &[x.clone(), gamma.clone()]);
        let layer = |t: &[Tensor]| layer_norm(&t[0], 2, Some(&t[1]), Some(&t[2]), 1e-2, f);
        check(layer, &[x.clone(), random("wide", &[4]), random("shift", &[4])]);
        let conditional = |t: &[Tensor]| Ok(conditional_batch_norm_train(&t[0], &t[1], &t[2], 1e-2, f)?.0);
        check(conditional, &[x.clone(), rows.clone(), random("shifts", &[2, 3])]);
    }
    check(|t| pixel_norm(&t[0], 1e-2), &[x]);
}

fn maps() {
    let x = random("m", &[1, 2, 5, 4]);
    let p = PoolParams::uniform(3, 2).padding([1, 1]);
    check(|t| avg_pool(&t[0], &p), std::slice::from_ref(&x));
    check(|t| max_pool(&t[0], &p), std::slice::from_ref(&x));
    let linear = Interpolation::Linear { align_corners: false };
    check(|t| upsample(&t[0], &[8, 7], linear), std::slice::from_ref(&x));
    check(|t| softmax(&t[0]), std::slice::from_ref(&x));
    let (q, k, v) = (random("q", &[2, 3, 2]), random("k", &[2, 4, 2]), random("v", &[2, 4, 3]));
    check(|t| attention(&t[0], &t[1], &t[2], 0.7), &[q, k, v]);
}

#[test]
fn second_derivatives_agree_with_differences() {
    if std::env::var_os(KEEP_GRAPH).is_some() {
        convolutions();
        others();
        norms();
        maps();
        return;
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let run = Command::new(test)
        .args(["--exact", "second_derivatives_agree_with_differences", "--nocapture"])
        .env(KEEP_GRAPH, "1")
        .output()
        .expect("the test binary runs again");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("1 passed"), "{said}");
}
