use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::Rng;
use crate::ops::Activation;
use crate::ops::batch_norm::batch_norm_train;
use crate::ops::conv::{ConvParams, conv};

fn variable(name: &str, shape: &[usize]) -> Var {
    let stream = &mut Rng::new(9).stream(name);
    Var::from_tensor(&stream.uniform_tensor(shape, -1.0, 1.0, DType::F32, &Device::Cpu).unwrap()).unwrap()
}

/// A small network with a reshape and a product of candle in the middle, and a branch that is used twice.
fn loss(x: &Tensor, w: &[Var; 3]) -> Tensor {
    let p = ConvParams::uniform(1, 1);
    let h = conv(x, w[0].as_tensor(), &p).unwrap();
    let (h, _) = batch_norm_train(&h, w[1].as_tensor(), None, 1e-5, Activation::LeakyRelu(0.2)).unwrap();
    let turned = h.transpose(2, 3).unwrap().contiguous().unwrap();
    let h = (conv(&turned, w[2].as_tensor(), &p).unwrap() + &h).unwrap();
    (&h * &h).unwrap().mean_all().unwrap()
}

#[test]
fn a_tape_gives_the_gradients_of_candle_bit_for_bit() {
    let x = variable("x", &[2, 3, 6, 6]);
    let w = [variable("a", &[4, 3, 3, 3]), variable("g", &[4]), variable("b", &[4, 4, 3, 3])];
    let candle = loss(x.as_tensor(), &w).backward().unwrap();
    let _tape = Tape::start();
    let value = loss(x.as_tensor(), &w);
    for _ in 0..2 {
        let ours = backward(&value).unwrap();
        for v in w.iter().chain([&x]) {
            let (a, b) = (ours.get(v.as_tensor()).unwrap(), candle.get(v.as_tensor()).unwrap());
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(flat(a), flat(b));
        }
    }
}

#[test]
fn what_stands_before_a_mark_survives_an_update_of_other_weights() {
    let (x, w, other) = (variable("x", &[1, 1, 4]), variable("w", &[1, 1, 3]), variable("v", &[1, 1, 2]));
    let p = ConvParams::default();
    let _tape = Tape::start();
    let y = conv(x.as_tensor(), w.as_tensor(), &p).unwrap();
    let here = mark();
    let z = conv(&y.detach(), other.as_tensor(), &p).unwrap();
    let mut grads = backward(&z).unwrap();
    grads.accumulate(backward(&z).unwrap()).unwrap();
    let once = backward(&z).unwrap().remove(other.as_tensor()).unwrap();
    let twice = grads.get(other.as_tensor()).unwrap();
    assert_eq!((once * 2.0).unwrap().to_vec3::<f32>().unwrap(), twice.to_vec3::<f32>().unwrap());
    let rule = crate::optim::Adam::new(0.1, 0.5, 0.999);
    let mut group = crate::optim::ParamGroup::new("v", [("v".to_owned(), other.clone())], rule).unwrap();
    crate::optim::step_since(here, [(&mut group, &grads)]).unwrap();
    assert!(backward(&z).unwrap().get(other.as_tensor()).is_none());
    assert!(backward(&y).unwrap().get(w.as_tensor()).is_some());
}

#[test]
fn constants_and_cleared_records_get_nothing() {
    let x = variable("x", &[1, 1, 4]);
    let w = variable("w", &[1, 1, 3]);
    let _tape = Tape::start();
    let y = conv(&x.as_detached_tensor(), w.as_tensor(), &ConvParams::default()).unwrap();
    let grads = backward(&y).unwrap();
    assert!(grads.get(x.as_tensor()).is_none() && grads.get(w.as_tensor()).is_some());
    clear();
    assert!(backward(&y).unwrap().get(w.as_tensor()).is_none());
}

#[test]
fn a_backward_pass_can_start_from_a_gradient() {
    let x = variable("x", &[2, 3]);
    let y = (x.as_tensor() * 3.0).unwrap();
    let g = variable("g", &[2, 3]).as_detached_tensor();
    let grads = backward_from(&y, &g).unwrap();
    let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
    assert_eq!(rows(grads.get(x.as_tensor()).unwrap()), rows(&(&g * 3.0).unwrap()));
    assert!(backward_from(&y, &g.t().unwrap()).is_err());
}

/// Overlapping parts of a tensor behind an operation of candle, of one behind an operation of ours and of a variable that is also used
/// whole; one part is not used.
fn parts_loss(x: &Var, w: &Var) -> Tensor {
    let product = |a: &Tensor, b: &Tensor| (a * b).unwrap();
    let doubled = (x.as_tensor() * 2.0).unwrap();
    let h = Activation::Tanh.apply(x.as_tensor()).unwrap();
    let part = |t: &Tensor, start: usize| part(t, start, 2).unwrap();
    let sum = [
        product(&part(&doubled, 0), &part(&doubled, 1)),
        product(&part(&h, 2), w.as_tensor()),
        product(&part(w.as_tensor(), 0), &part(x.as_tensor(), 3)),
        product(&settle(&doubled).unwrap(), &doubled).narrow(0, 0, 2).unwrap(),
    ];
    let _unused = part(&h, 0);
    Tensor::stack(&sum, 0).unwrap().sum_all().unwrap()
}

/// Compares the gradients of two variables on a tape, taken twice, with candle's.
fn check_against_candle(loss: impl Fn(&Var, &Var) -> Tensor, [x, w]: [&Var; 2]) {
    let candle = loss(x, w).backward().unwrap();
    let _tape = Tape::start();
    let value = loss(x, w);
    for _ in 0..2 {
        let ours = backward(&value).unwrap();
        for v in [x, w] {
            let distance = (ours.get(v.as_tensor()).unwrap() - candle.get(v.as_tensor()).unwrap()).unwrap();
            assert!(distance.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        }
    }
}

#[test]
fn parts_have_the_gradients_of_narrow() {
    check_against_candle(parts_loss, [&variable("x", &[5, 3]), &variable("w", &[2, 3])]);
}

/// Views of a result, of a variable and of a view, which operations of ours and of candle go on with; one is not used.
fn views_loss(x: &Var, w: &Var) -> Tensor {
    let h = Activation::Tanh.apply(x.as_tensor()).unwrap();
    let folded = reshape(&h, (3, 5)).unwrap();
    let bent = Activation::Sigmoid.apply(&folded).unwrap();
    let again = reshape(&folded, 15).unwrap();
    let flat = reshape(w.as_tensor(), 15).unwrap();
    let _unused = reshape(&bent, (15, 1)).unwrap();
    let sum = ((again * flat).unwrap() + reshape(&(bent + &folded).unwrap(), 15).unwrap()).unwrap();
    assert_eq!(reshape(&h, (5, 3)).unwrap().id(), h.id());
    reshape(&(sum * h.flatten_all().unwrap()).unwrap().sum_all().unwrap(), ()).unwrap()
}

#[test]
fn views_hand_gradients_on() {
    check_against_candle(views_loss, [&variable("x", &[5, 3]), &variable("w", &[3, 5])]);
}
