//! The blend of a foreground and a background.

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::ops::blend::blend;
use vg_core::testing::{assert_close, gradcheck::gradcheck};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F64, &Device::Cpu).unwrap()
}

fn clip(values: [f64; 4]) -> Tensor {
    Tensor::from_slice(&values, (1, 1, 1, 1, 4), &Device::Cpu).unwrap()
}

#[test]
fn values_by_hand() {
    let (m, f) = (clip([0.0, 0.25, 0.5, 1.0]), clip([1.0, 1.0, -1.0, 0.3]));
    let y = blend(&m, &f, &clip([-0.5, -1.0, 0.2, 0.9])).unwrap();
    assert_close("blend", &y, &clip([-0.5, -0.5, -0.4, 0.3]), 1e-15, 0.0);
}

#[test]
fn a_still_background_is_repeated_and_gradients_hold() {
    let (m, f) = (random("m", &[2, 1, 3, 2, 4]), random("f", &[2, 3, 3, 2, 4]));
    let still = random("b", &[2, 3, 2, 4]);
    let moving = still.unsqueeze(2).unwrap().broadcast_as((2, 3, 3, 2, 4)).unwrap().contiguous().unwrap();
    let reference = {
        let a = m.broadcast_mul(&f).unwrap();
        let rest = m.affine(-1.0, 1.0).unwrap();
        (a + rest.broadcast_mul(&moving).unwrap()).unwrap()
    };
    for background in [&still, &moving] {
        assert_close("blend", &blend(&m, &f, background).unwrap(), &reference, 1e-14, 0.0);
        gradcheck(|t| blend(&t[0], &t[1], &t[2]), &[m.clone(), f.clone(), background.clone()]).unwrap();
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let (m, f) = (random("m", &[2, 1, 3, 2, 4]), random("f", &[2, 3, 3, 2, 4]));
    let text = |m: &Tensor, f: &Tensor, b: &Tensor| blend(m, f, b).unwrap_err().to_string();
    assert!(text(&f, &f, &f).contains("mask: expected [2, 1, 3, 2, 4]"));
    assert!(text(&m, &f, &random("b", &[2, 3, 2, 5])).contains("background"));
    assert!(text(&m, &f, &f.to_dtype(DType::F32).unwrap()).contains("to_dtype"));
}
