//! Our optimizers beside those of candle-nn, where both exist.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::Optimizer as _;
use candle_nn::optim::{AdamW, ParamsAdamW};
use vg_core::Rng;
use vg_core::optim::{Adam, Optimizer, WeightDecay};

#[test]
fn adam_with_decoupled_decay_follows_candle_nn() {
    let mut noise = Rng::new(3).stream("start");
    let start = noise.uniform_tensor(&[40], -1.0, 1.0, DType::F64, &Device::Cpu).unwrap();
    let (ours, theirs) =
        (Var::from_tensor(&start).unwrap(), Var::from_tensor(&start.copy().unwrap()).unwrap());
    let zeros = || Var::zeros(40, DType::F64, &Device::Cpu).unwrap();
    let state = [zeros(), zeros()];
    let mut adam = Adam::new(1e-2, 0.8, 0.99);
    (adam.weight_decay, adam.decay) = (0.1, WeightDecay::Decoupled);
    let params = ParamsAdamW { lr: 1e-2, beta1: 0.8, beta2: 0.99, eps: 1e-8, weight_decay: 0.1 };
    let mut reference = AdamW::new(vec![theirs.clone()], params).unwrap();
    let loss = |p: &Tensor| (p.sqr().unwrap() * p).unwrap().sum_all().unwrap();
    for step in 1..=20 {
        let grads = loss(ours.as_tensor()).backward().unwrap();
        adam.step(&ours, grads.get(ours.as_tensor()).unwrap(), &state, step).unwrap();
        reference.backward_step(&loss(theirs.as_tensor())).unwrap();
    }
    let (ours, theirs) = (ours.to_vec1::<f64>().unwrap(), theirs.to_vec1::<f64>().unwrap());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-12, "{a} beside {b}");
    }
}
