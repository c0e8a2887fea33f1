//! Shared rows, and batch norm over steps, whose layers go together in models of frames.

use candle_core::{DType, Device, Tensor, Var};
use vg_core::Rng;
use vg_core::grad::backward;
use vg_core::nn::{BatchNorm, BatchNormConfig, Init, Mode, ParamStore};
use vg_core::ops::Activation;
use vg_core::ops::rows::{add_rows, take_rows};
use vg_core::testing::{assert_close, gradcheck::gradcheck};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F64, &Device::Cpu).unwrap()
}

const OF: [usize; 5] = [1, 0, 2, 2, 1];

#[test]
fn rows_are_added_and_gradients_hold() {
    let (x, rows) = (random("x", &[5, 3, 2]), random("rows", &[4, 3, 2]));
    let index = Tensor::new(&OF.map(|k| k as u32), &Device::Cpu).unwrap();
    let want = (&x + rows.index_select(&index, 0).unwrap()).unwrap();
    assert_close("sum", &add_rows(&x, &rows, &OF).unwrap(), &want, 0.0, 0.0);
    // Row 3 is nobody's: its gradient is 0.
    gradcheck(|t| add_rows(&t[0], &t[1], &OF), &[x.clone(), rows.clone()]).unwrap();
    // Squares make the second pass see values.
    gradcheck(|t| Ok(add_rows(&t[0], &t[1], &OF)?.sqr()?), &[x, rows]).unwrap();
}

#[test]
fn rows_are_taken_and_gradients_hold() {
    let rows = random("rows", &[4, 3, 2]);
    let index = Tensor::new(&OF.map(|k| k as u32), &Device::Cpu).unwrap();
    let want = rows.index_select(&index, 0).unwrap();
    assert_close("rows", &take_rows(&rows, &OF).unwrap(), &want, 0.0, 0.0);
    gradcheck(|t| Ok(take_rows(&t[0], &OF)?.sqr()?), std::slice::from_ref(&rows)).unwrap();
    assert!(take_rows(&rows, &[1, 4]).unwrap_err().to_string().contains("below 4"));
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let (x, rows) = (random("x", &[5, 3, 2]), random("rows", &[4, 3, 2]));
    let text = |x: &Tensor, rows: &Tensor, of: &[usize]| add_rows(x, rows, of).unwrap_err().to_string();
    assert!(text(&x, &random("r", &[4, 2, 2]), &OF).contains("[4, 3, 2]"));
    assert!(text(&x, &rows, &[0; 4]).contains("5 below 4"));
    assert!(text(&x, &rows, &[4; 5]).contains("5 below 4"));
    assert!(text(&x, &rows.to_dtype(DType::F32).unwrap(), &OF).contains("F32"));
}

fn norm(seed: u64) -> (ParamStore, BatchNorm) {
    let store = ParamStore::init(Rng::new(seed), DType::F64, &Device::Cpu);
    let config =
        BatchNormConfig { gamma_init: Init::NormalAround { mean: 1.0, std: 0.3 }, ..Default::default() };
    let norm = BatchNorm::new(3, config, &store.source()).unwrap();
    (store, norm)
}

/// The rows of step `t` of `steps`.
fn step(x: &Tensor, steps: usize, t: usize) -> Tensor {
    let rows: Vec<u32> = (t..x.dims()[0]).step_by(steps).map(|n| n as u32).collect();
    x.index_select(&Tensor::new(rows, &Device::Cpu).unwrap(), 0).unwrap()
}

#[test]
fn steps_at_once_are_steps_one_by_one() {
    let (x, steps) = (random("x", &[12, 3, 2, 2]), 4);
    let ((store, at_once), (other, one_by_one)) = (norm(2), norm(2));
    let y = at_once.forward_steps(&x, steps, Activation::LeakyRelu(0.2), Mode::TRAIN).unwrap();
    assert_eq!(y.dims(), x.dims());
    for t in 0..steps {
        let want =
            one_by_one.forward_with(&step(&x, steps, t), Activation::LeakyRelu(0.2), Mode::TRAIN).unwrap();
        assert_close("a step", &step(&y, steps, t), &want, 1e-14, 1e-14);
    }
    let (got, want) = (store.tensors(""), other.tensors(""));
    for name in ["running_mean", "running_var"] {
        assert_close(name, &got[name], &want[name], 1e-15, 1e-14);
    }
    let eval = at_once.forward_steps(&x, steps, Activation::Identity, Mode::EVAL).unwrap();
    let alone = one_by_one.forward(&x, Mode::EVAL).unwrap();
    assert_close("running statistics know no steps", &eval, &alone, 1e-14, 1e-14);
    let error = at_once.forward_steps(&x, 5, Activation::Identity, Mode::TRAIN).unwrap_err().to_string();
    assert!(error.contains("[B * 5, 3, ...]"), "{error}");
}

#[test]
fn gradients_of_steps_at_once_are_those_of_steps_one_by_one() {
    let (x, w, steps) = (random("x", &[6, 3, 2]), random("w", &[6, 3, 2]), 3);
    let ((store, at_once), (other, one_by_one)) = (norm(2), norm(2));
    let var = Var::from_tensor(&x).unwrap();
    let forward = |norm: &BatchNorm, x: &Tensor, steps| {
        norm.forward_steps(x, steps, Activation::LeakyRelu(0.2), Mode::TRAIN).unwrap()
    };
    let loss = |y: &Tensor, w: &Tensor| (y.sqr().unwrap() * w).unwrap().sum_all().unwrap();
    let got = backward(&loss(&forward(&at_once, var.as_tensor(), steps), &w)).unwrap();
    let alone = |t| loss(&forward(&one_by_one, &step(var.as_tensor(), steps, t), 1), &step(&w, steps, t));
    let sum = (1..steps).fold(alone(0), |sum, t| (sum + alone(t)).unwrap());
    let want = backward(&sum).unwrap();
    let of = |grads: &vg_core::grad::Grads, v: &Var| grads.get(v.as_tensor()).unwrap().clone();
    assert_close("input", &of(&got, &var), &of(&want, &var), 1e-13, 1e-13);
    for ((name, a), (_, b)) in store.vars("").iter().zip(&other.vars("")) {
        assert_close(name, &of(&got, a), &of(&want, b), 1e-13, 1e-13);
    }
}
