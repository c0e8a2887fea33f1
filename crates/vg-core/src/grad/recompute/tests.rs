use std::cell::Cell;
use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use super::super::{Tape, backward, part, tape};
use super::recompute;
use crate::nn::{BatchNorm, BatchNormConfig, Conv2d, ConvConfig, Mode, ParamStore};
use crate::ops::Activation;
use crate::{Result, Rng};

#[derive(Clone)]
struct Block {
    conv: Conv2d,
    norm: BatchNorm,
    residual: bool,
}

impl Block {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = self.norm.forward_with(&self.conv.forward(x, mode)?, Activation::LeakyRelu(0.2), mode)?;
        // An operation of candle; with a sum the result is used twice, outside of our own operations.
        let h = h.transpose(2, 3)?.contiguous()?;
        Ok(if self.residual { (h + x)? } else { h })
    }
}

struct Network {
    store: ParamStore,
    blocks: Vec<Block>,
    x: Var,
}

/// How the blocks are run.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Plain,
    Again,
    /// Pairs of blocks, and in them each block.
    Nested,
}

impl Network {
    fn new(residual: bool) -> Self {
        let store = ParamStore::init(Rng::new(4), DType::F64, &Device::Cpu);
        let block = |k: usize| {
            let source = store.source().pp(k);
            let conv = Conv2d::new(4, 4, ConvConfig::new(3).padding(1), &source.pp("conv")).unwrap();
            let norm = BatchNorm::new(4, BatchNormConfig::default(), &source.pp("norm")).unwrap();
            Block { conv, norm, residual }
        };
        let stream = &mut Rng::new(9).stream("x");
        let x = stream.uniform_tensor((3, 4, 5, 5), -1.0, 1.0, DType::F64, &Device::Cpu).unwrap();
        Self { blocks: (0..4).map(block).collect(), store, x: Var::from_tensor(&x).unwrap() }
    }

    fn loss(&self, how: How) -> Tensor {
        let mut x = (self.x.as_tensor() * 1.5).unwrap();
        for pair in self.blocks.chunks(2) {
            let blocks = pair.to_vec();
            let run = move |[x]: [&Tensor; 1], mode: Mode| {
                let mut x = x.clone();
                for block in blocks.clone() {
                    let one = move |[x]: [&Tensor; 1], mode: Mode| Ok([block.forward(x, mode)?]);
                    [x] = if how == How::Nested { recompute([&x], mode, one)? } else { one([&x], mode)? };
                }
                Ok([x])
            };
            [x] = match how {
                How::Plain => run([&x], Mode::TRAIN).unwrap(),
                _ => recompute([&x], Mode::TRAIN, run).unwrap(),
            };
        }
        (&x * &x).unwrap().mean_all().unwrap()
    }

    /// Gradients of everything by name, and the running statistics.
    fn step(&self, how: How) -> BTreeMap<String, Vec<f64>> {
        let grads = backward(&self.loss(how)).unwrap();
        let of = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let vars = self.store.vars("").into_iter().chain([("x".to_owned(), self.x.clone())]);
        let mut all: BTreeMap<_, _> =
            vars.map(|(name, var)| (name, of(grads.get(var.as_tensor()).unwrap()))).collect();
        all.extend(self.store.buffers("").iter().map(|(name, b)| (name.clone(), of(b.as_tensor()))));
        all
    }
}

fn near(got: &BTreeMap<String, Vec<f64>>, want: &BTreeMap<String, Vec<f64>>) {
    for (name, want) in want {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        assert!(got[name].iter().zip(want).all(near), "{name}");
    }
}

#[test]
fn gradients_and_statistics_are_those_of_the_plain_step() {
    for residual in [false, true] {
        let plain = {
            let _tape = Tape::start();
            Network::new(residual).step(How::Plain)
        };
        assert!(plain["0.norm.running_mean"].iter().any(|x| *x != 0.0));
        for how in [How::Again, How::Nested] {
            let network = Network::new(residual);
            let _tape = Tape::start();
            let found = network.step(how);
            if residual {
                near(&found, &plain);
            } else {
                assert!(found == plain, "bit for bit");
            }
        }
        near(&Network::new(residual).step(How::Again), &plain);
    }
}

#[test]
fn a_tape_keeps_the_ends_alone() {
    let held = |how| {
        let network = Network::new(true);
        let _tape = Tape::start();
        let _loss = network.loss(how);
        tape::held_bytes()
    };
    // Of four blocks each keeps its input, the result of the convolution and its own; of two parts each keeps its ends.
    let (plain, again) = (held(How::Plain), held(How::Again));
    assert!(again * 3 < plain, "{again} of {plain} bytes");
}

#[test]
fn all_inputs_and_held_tensors_get_gradients_and_unused_results_cost_nothing() {
    let var = |name: &str| {
        let stream = &mut Rng::new(2).stream(name);
        Var::from_tensor(&stream.uniform_tensor((4, 3), -1.0, 1.0, DType::F64, &Device::Cpu).unwrap())
            .unwrap()
    };
    let (a, b, held) = (var("a"), var("b"), var("c"));
    let count = std::rc::Rc::new(Cell::new(0));
    let run = |again: bool| {
        let (inner, runs) = (Activation::Tanh.apply(held.as_tensor()).unwrap(), count.clone());
        let b_of = (b.as_tensor() * 2.0).unwrap();
        let f = move |[a, b]: [&Tensor; 2], _: Mode| {
            runs.set(runs.get() + 1);
            let parts = (part(b, 0, 2)? * part(b, 2, 2)?)?;
            Ok([(Activation::Tanh.apply(a)? * &inner)?, parts, b.sqr()?])
        };
        let inputs = [a.as_tensor(), &b_of];
        let [x, y, unused] =
            if again { recompute(inputs, Mode::TRAIN, f).unwrap() } else { f(inputs, Mode::TRAIN).unwrap() };
        let loss = (x.sqr().unwrap().sum_all().unwrap() + y.sum_all().unwrap()).unwrap();
        let grads = backward(&loss).unwrap();
        let _other = backward(&a.as_tensor().sqr().unwrap()).unwrap();
        drop(unused);
        [&a, &b, &held].map(|v| grads.get(v.as_tensor()).unwrap().to_vec2::<f64>().unwrap())
    };
    let _tape = Tape::start();
    let plain = run(false);
    assert_eq!((count.get(), run(true), count.get()), (1, plain, 3));
}

#[test]
fn a_function_that_changes_is_refused() {
    let network = Network::new(true);
    let x = network.x.as_tensor();
    let _tape = Tape::start();
    let block = network.blocks[0].clone();
    let outer = move |[x]: [&Tensor; 1], _: Mode| Ok([block.forward(x, Mode::TRAIN)?]);
    let [y] = recompute([x], Mode::TRAIN, outer).unwrap();
    let text = backward(&y).unwrap_err().to_string();
    assert!(text.contains("the mode that the recomputed function is given"), "{text}");

    let calls = Cell::new(0.0);
    let counting = move |[x]: [&Tensor; 1], _: Mode| {
        calls.set(calls.get() + 1.0);
        Ok([Activation::Tanh.apply(&(x * calls.get())?)?])
    };
    let [y] = recompute([x], Mode::TRAIN, counting).unwrap();
    let text = backward(&y).unwrap_err().to_string();
    assert!(text.contains("other results than before"), "{text}");

    // What failed leaves the tape as it was.
    let [y] = recompute([x], Mode::TRAIN, |[x], _| Ok([Activation::Tanh.apply(x)?])).unwrap();
    assert!(backward(&y).unwrap().get(x).is_some());
    network.blocks[0].norm.running_mean().set(&Tensor::zeros(4, DType::F64, &Device::Cpu).unwrap()).unwrap();
}

#[test]
fn constants_are_not_kept() {
    let network = Network::new(true);
    let _tape = Tape::start();
    let block = network.blocks[0].clone();
    let x = network.x.as_detached_tensor();
    let [_y] = recompute([&x], Mode::EVAL, move |[x], mode| Ok([block.forward(x, mode)?])).unwrap();
    assert_eq!(tape::held_bytes(), 0);
}
