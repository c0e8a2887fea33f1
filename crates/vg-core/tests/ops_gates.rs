//! Gates of recurrent cells and the cells around them, against plain tensor expressions, the specifications' numbers and differences.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use vg_core::grad::{Tape, backward};
use vg_core::nn::{
    ConvGru2dCell, ConvGruConfig, GruCell, LstmCell, LstmState, Mode, ParamStore, RecurrentConfig,
};
use vg_core::ops::Activation;
use vg_core::ops::gates::{activated_sum, conv_gru_blend, conv_gru_reset, gru, lstm};
use vg_core::testing::assert_close;
use vg_core::testing::gradcheck::gradcheck;
use vg_core::{Result, Rng};

/// States: vectors, feature maps, and sizes beyond one piece of work in either direction.
const STATES: [&[usize]; 5] = [&[3, 5], &[2, 3, 4, 2], &[1, 1], &[900, 10], &[2, 3, 50, 41]];

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(6).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

/// `count` times the channels of a state.
fn gates(name: &str, state: &[usize], count: usize) -> Tensor {
    let mut shape = state.to_vec();
    shape[1] *= count;
    random(name, &shape)
}

fn block(gates: &Tensor, k: usize, count: usize) -> Tensor {
    let width = gates.dims()[1] / count;
    gates.narrow(1, k * width, width).unwrap()
}

fn sigmoid(x: &Tensor) -> Tensor {
    ((x.neg().unwrap().exp().unwrap() + 1.0).unwrap()).recip().unwrap()
}

fn tanh(x: &Tensor) -> Tensor {
    x.tanh().unwrap()
}

fn naive_lstm(gates: &Tensor, c: &Tensor) -> [Tensor; 2] {
    let [i, f, g, o] = [0, 1, 2, 3].map(|k| block(gates, k, 4));
    let next = ((sigmoid(&f) * c).unwrap() + (sigmoid(&i) * tanh(&g)).unwrap()).unwrap();
    [(sigmoid(&o) * tanh(&next)).unwrap(), next]
}

fn naive_gru(input: &Tensor, hidden: &Tensor, h: &Tensor) -> Tensor {
    let sum = |k: usize| (block(input, k, 3) + block(hidden, k, 3)).unwrap();
    let (r, z) = (sigmoid(&sum(0)), sigmoid(&sum(1)));
    let n = tanh(&(block(input, 2, 3) + (r * block(hidden, 2, 3)).unwrap()).unwrap());
    mix(&z, h, &n)
}

/// `u a + (1 - u) b`.
fn mix(u: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    ((u * a).unwrap() + (u.affine(-1.0, 1.0).unwrap() * b).unwrap()).unwrap()
}

fn single(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
}

#[test]
fn gates_agree_with_their_formulas() {
    for state in STATES {
        let (c, h) = (random("c", state), random("h", state));
        let (four, three, more, two) = (
            gates("four", state, 4),
            gates("three", state, 3),
            gates("more", state, 3),
            gates("two", state, 2),
        );
        let [want_h, want_c] = naive_lstm(&four, &c);
        let want_gru = naive_gru(&three, &more, &h);
        let want_reset = (sigmoid(&block(&two, 0, 2)) * &h).unwrap();
        let want_blend = mix(&sigmoid(&block(&two, 1, 2)), &h, &c);
        let check = |cast: fn(&Tensor) -> Tensor, tolerance: f64| {
            let (c, h, two) = (cast(&c), cast(&h), cast(&two));
            let (got_h, got_c) = lstm(&cast(&four), &c).unwrap();
            assert_close("lstm h", &got_h, &want_h, 0.0, tolerance);
            assert_close("lstm c", &got_c, &want_c, 0.0, tolerance);
            let got = gru(&cast(&three), &cast(&more), &h).unwrap();
            assert_close("gru", &got, &want_gru, 0.0, tolerance);
            assert_close("reset", &conv_gru_reset(&two, &h).unwrap(), &want_reset, 0.0, tolerance);
            assert_close("blend", &conv_gru_blend(&two, &c, &h).unwrap(), &want_blend, 0.0, tolerance);
        };
        check(Tensor::clone, 1e-13);
        check(single, 5e-6);
    }
}

#[test]
fn gradients_agree_with_differences() {
    for state in &STATES[..3] {
        let (c, h) = (random("c", state), random("h", state));
        let (four, three, more, two) = (
            gates("four", state, 4),
            gates("three", state, 3),
            gates("more", state, 3),
            gates("two", state, 2),
        );
        let both = |t: &[Tensor]| {
            let (h, c) = lstm(&t[0], &t[1])?;
            Ok(Tensor::cat(&[h, c], 1)?)
        };
        gradcheck(both, &[four.clone(), c.clone()]).unwrap();
        gradcheck(|t| Ok(lstm(&t[0], &t[1])?.0), &[four, c.clone()]).unwrap();
        gradcheck(|t| gru(&t[0], &t[1], &t[2]), &[three, more, h.clone()]).unwrap();
        gradcheck(|t| conv_gru_reset(&t[0], &t[1]), &[two.clone(), h.clone()]).unwrap();
        gradcheck(|t| conv_gru_blend(&t[0], &t[1], &t[2]), &[two, c.clone(), h.clone()]).unwrap();
        for activation in [Activation::Identity, Activation::LeakyRelu(0.2), Activation::Tanh] {
            gradcheck(|t| activated_sum(&t[0], &t[1], activation), &[c.clone(), h.clone()]).unwrap();
        }
    }
}

#[test]
fn constants_get_no_gradient_and_gates_still_do() {
    let state = [2, 3];
    let (c, four) = (random("c", &state), gates("four", &state, 4));
    gradcheck(|t| Ok(lstm(&t[0], &c)?.1), std::slice::from_ref(&four)).unwrap();
    gradcheck(|t| Ok(lstm(&four, &t[0])?.0), std::slice::from_ref(&c)).unwrap();
}

#[test]
fn activated_sums_have_their_values() {
    let (x, y) = (random("c", &[7, 3]), random("h", &[7, 3]));
    let sum = (&x + &y).unwrap();
    for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.2), Activation::Tanh] {
        let want = activation.apply(&sum).unwrap();
        assert_close("sum", &activated_sum(&x, &y, activation).unwrap(), &want, 0.0, 0.0);
    }
    assert_close("sum", &activated_sum(&x, &y, Activation::Sigmoid).unwrap(), &sigmoid(&sum), 0.0, 1e-14);
}

#[test]
fn threads_change_nothing() {
    let state = [3, 40, 20, 20];
    let inputs = [("four", 4), ("three", 3), ("more", 3), ("two", 2), ("c", 1), ("h", 1)]
        .map(|(name, count)| single(&gates(name, &state, count)));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| -> Result<Vec<Vec<f32>>> {
            let vars = inputs.each_ref().map(|t| Var::from_tensor(&t.copy().unwrap()).unwrap());
            let [four, three, more, two, c, h] = vars.each_ref().map(Var::as_tensor);
            let (lstm_h, lstm_c) = lstm(four, c)?;
            let all =
                [lstm_h, lstm_c, gru(three, more, h)?, conv_gru_reset(two, h)?, conv_gru_blend(two, c, h)?];
            let grads = Tensor::stack(&all, 0)?.sqr()?.sum_all()?.backward()?;
            let found = vars.iter().map(|v| grads.get(v).expect("every input has a gradient").clone());
            found.chain(all.iter().cloned()).map(|t| Ok(t.detach().flatten_all()?.to_vec1()?)).collect()
        })
        .unwrap()
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn empty_batches_and_wrong_shapes() {
    let empty = Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap();
    let (h, c) = lstm(&Tensor::zeros((0, 16), DType::F32, &Device::Cpu).unwrap(), &empty).unwrap();
    assert_eq!((h.dims(), c.dims()), ([0, 4].as_slice(), [0, 4].as_slice()));
    let c = random("c", &[2, 4]);
    let message = lstm(&random("g", &[2, 12]), &c).unwrap_err().to_string();
    assert!(message.contains("LSTM gates: expected [2, 16], got [2, 12]"), "{message}");
    assert!(lstm(&single(&random("g", &[2, 16])), &c).unwrap_err().to_string().contains("F32"));
    assert!(gru(&random("g", &[2, 12]), &random("g", &[2, 8]), &c).is_err());
    assert!(conv_gru_blend(&random("g", &[2, 8]), &random("g", &[2, 8]), &c).is_err());
    assert!(lstm(&random("g", &[4]), &random("c", &[1])).is_err());
    assert!(activated_sum(&c, &random("g", &[2, 3]), Activation::Tanh).is_err());
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn store(tensors: &[(&str, Tensor)]) -> ParamStore {
    let tensors: BTreeMap<String, Tensor> =
        tensors.iter().map(|(k, t)| ((*k).to_owned(), t.clone())).collect();
    ParamStore::load(tensors, "the test", DType::F64, &Device::Cpu).unwrap()
}

fn fresh() -> ParamStore {
    ParamStore::init(Rng::new(2), DType::F64, &Device::Cpu)
}

/// Three steps of `torch.nn.LSTMCell` in one dimension.
#[test]
fn lstm_cell_in_one_dimension() {
    let store = store(&[
        ("weight_ih", tensor(&[0.1, 0.2, 0.3, 0.4], &[4, 1])),
        ("weight_hh", tensor(&[0.5, 0.6, 0.7, 0.8], &[4, 1])),
        ("bias_ih", tensor(&[0.01, 0.02, 0.03, 0.04], &[4])),
        ("bias_hh", tensor(&[0.05, 0.06, 0.07, 0.08], &[4])),
    ]);
    let cell = LstmCell::new(1, 1, RecurrentConfig::default(), &store.source()).unwrap();
    store.finish().unwrap();
    let mut state = cell.zero_state(1).unwrap();
    let steps =
        [(1.0, 0.12687834, 0.20514010), (-0.5, 0.06312228, 0.12555740), (2.0, 0.30012290, 0.44023326)];
    for (x, h, c) in steps {
        state = cell.step(&tensor(&[x], &[1, 1]), &state, Mode::EVAL).unwrap();
        assert_close("h", &state.h, &tensor(&[h], &[1, 1]), 0.0, 1e-8);
        assert_close("c", &state.c, &tensor(&[c], &[1, 1]), 0.0, 1e-8);
    }
}

/// One step of `torch.nn.GRUCell` with two inputs and two states.
#[test]
fn gru_cell_in_two_dimensions() {
    let ih: Vec<f64> = (0..12).map(|i| f64::from(i) / 10.0 - 0.5).collect();
    let hh: Vec<f64> = ih.chunks(2).rev().flatten().copied().collect();
    let store = store(&[
        ("weight_ih", tensor(&ih, &[6, 2])),
        ("weight_hh", tensor(&hh, &[6, 2])),
        ("bias_ih", tensor(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], &[6])),
        ("bias_hh", tensor(&[0.0, -0.05, -0.1, -0.15, -0.2, -0.25], &[6])),
    ]);
    let cell = GruCell::new(2, 2, RecurrentConfig::default(), &store.source()).unwrap();
    store.finish().unwrap();
    let (x, h) = (tensor(&[1.0, -2.0], &[1, 2]), tensor(&[0.5, 0.25], &[1, 2]));
    let next = cell.step(&x, &h, Mode::EVAL).unwrap();
    assert_close("h", &next, &tensor(&[0.0954694, -0.1664405], &[1, 2]), 0.0, 1e-7);
}

/// Three steps of DVD-GAN's cell with scalars for images.
#[test]
fn conv_gru_cell_with_scalars() {
    let weight = |x: f64, h: f64| tensor(&[x, h], &[1, 2, 1, 1]);
    let store = store(&[
        ("read.weight", weight(0.3, 0.7)),
        ("read.bias", tensor(&[0.1], &[1])),
        ("update.weight", weight(-0.4, 0.6)),
        ("update.bias", tensor(&[-0.2], &[1])),
        ("out.weight", weight(1.5, 0.8)),
        ("out.bias", tensor(&[0.05], &[1])),
    ]);
    let config = ConvGruConfig { kernel: 1, ..ConvGruConfig::default() };
    let cell = ConvGru2dCell::new(1, 1, config, &store.source()).unwrap();
    store.finish().unwrap();
    let scalar = |v: f64| tensor(&[v], &[1, 1, 1, 1]);
    let x = scalar(0.5);
    let states = cell.sequence(&[x.clone(), x.clone(), x.clone()], &scalar(-0.25), Mode::EVAL).unwrap();
    let apart = cell.sequence(&[x.clone(), scalar(0.5), x], &scalar(-0.25), Mode::EVAL).unwrap();
    for ((h, again), want) in states.iter().zip(&apart).zip([0.3500519171, 0.6915630540, 0.9308970520]) {
        assert_close("h", h, &scalar(want), 0.0, 1e-10);
        assert_close("h", again, h, 0.0, 0.0);
    }
}

#[test]
fn conv_gru_cell_agrees_with_convolutions_of_both_operands() {
    for (bias, activation) in [(true, Activation::Relu), (false, Activation::Tanh)] {
        let store = fresh();
        let config = ConvGruConfig { bias, activation, ..ConvGruConfig::default() };
        let cell = ConvGru2dCell::new(3, 4, config, &store.source()).unwrap();
        let (x, h) = (random("x", &[2, 3, 5, 6]), random("h", &[2, 4, 5, 6]));
        let tensors = store.tensors("");
        let conv = |gate: &str, h: &Tensor| {
            let both = Tensor::cat(&[&x, h], 1).unwrap();
            let y = both.conv2d(&tensors[&format!("{gate}.weight")], 1, 1, 1, 1).unwrap();
            match tensors.get(&format!("{gate}.bias")) {
                Some(b) => y.broadcast_add(&b.reshape((1, 4, 1, 1)).unwrap()).unwrap(),
                None => y,
            }
        };
        let kept = (sigmoid(&conv("read", &h)) * &h).unwrap();
        let candidate = activation.apply(&conv("out", &kept)).unwrap();
        let want = mix(&sigmoid(&conv("update", &h)), &h, &candidate);
        assert_close("h", &cell.step(&x, &h, Mode::EVAL).unwrap(), &want, 0.0, 1e-12);
    }
    let even = ConvGruConfig { kernel: 2, ..ConvGruConfig::default() };
    assert!(ConvGru2dCell::new(1, 1, even, &fresh().source()).is_err());
}

/// Sum of squares of everything that three sequences return.
fn loss(
    cells: &(LstmCell, GruCell, ConvGru2dCell),
    x: &[Tensor],
    clip: &[Tensor],
    steps: bool,
) -> Result<Tensor> {
    let (lstm, gru, conv) = cells;
    let mode = Mode::TRAIN;
    let mut all = Vec::new();
    let (start, h0) = (lstm.zero_state(2)?, gru.zero_state(2)?);
    let map0 = Tensor::zeros((2, 2, 3, 3), DType::F64, &Device::Cpu)?;
    if steps {
        let (mut state, mut h, mut map) = (start, h0, map0);
        for (x, frame) in x.iter().zip(clip) {
            state = lstm.step(x, &state, mode)?;
            h = gru.step(x, &h, mode)?;
            map = conv.step(frame, &map, mode)?;
            all.extend([state.h.clone(), h.clone(), map.clone()]);
        }
        all.push(state.c);
    } else {
        let (shown, LstmState { c, .. }) = lstm.sequence(x, &start, mode)?;
        all.extend(shown);
        all.extend(gru.sequence(x, &h0, mode)?);
        all.extend(conv.sequence(clip, &map0, mode)?);
        all.push(c);
    }
    let mut sum = Tensor::zeros((), DType::F64, &Device::Cpu)?;
    for t in &all {
        sum = (sum + t.sqr()?.sum_all()?)?;
    }
    Ok(sum)
}

#[test]
fn sequences_are_steps_with_or_without_a_tape() {
    let store = fresh();
    let source = store.source();
    let cells = (
        LstmCell::new(3, 4, RecurrentConfig::default(), &source.pp("lstm")).unwrap(),
        GruCell::new(3, 4, RecurrentConfig { bias: false, init: None }, &source.pp("gru")).unwrap(),
        ConvGru2dCell::new(3, 2, ConvGruConfig::default(), &source.pp("conv")).unwrap(),
    );
    let x: Vec<Var> = (0..4).map(|t| Var::from_tensor(&random(&format!("x{t}"), &[2, 3])).unwrap()).collect();
    let inputs: Vec<Tensor> = x.iter().map(|v| v.as_tensor().clone()).collect();
    let first = random("frame", &[2, 3, 3, 3]);
    let apart: Vec<Tensor> = (0..4).map(|t| (&first * f64::from(t + 1)).unwrap()).collect();
    for clip in [vec![first.clone(); 4], apart] {
        let want = loss(&cells, &inputs, &clip, true).unwrap();
        let reference = want.backward().unwrap();
        let check = |value: &Tensor, get: &dyn Fn(&Var) -> Tensor| {
            assert_close("loss", value, &want, 1e-12, 0.0);
            for v in x.iter().chain(store.vars("").iter().map(|(_, v)| v)) {
                assert_close("gradient", &get(v), reference.get(v).unwrap(), 1e-12, 1e-12);
            }
        };
        let value = loss(&cells, &inputs, &clip, false).unwrap();
        let grads = value.backward().unwrap();
        check(&value, &|v| grads.get(v).unwrap().clone());
        for steps in [true, false] {
            let _tape = Tape::start();
            let value = loss(&cells, &inputs, &clip, steps).unwrap();
            let grads = backward(&value).unwrap();
            check(&value, &|v| grads.get(v.as_tensor()).unwrap().clone());
        }
    }
}

#[test]
fn names_shapes_and_initial_values_are_those_of_pytorch() {
    let store = fresh();
    LstmCell::new(3, 16, RecurrentConfig::default(), &store.source().pp("lstm")).unwrap();
    GruCell::new(3, 16, RecurrentConfig::default(), &store.source().pp("gru")).unwrap();
    let tensors = store.tensors("");
    for (cell, gates) in [("lstm", 64), ("gru", 48)] {
        let shapes: [(&str, &[usize]); 4] = [
            ("bias_hh", &[gates]),
            ("bias_ih", &[gates]),
            ("weight_hh", &[gates, 16]),
            ("weight_ih", &[gates, 3]),
        ];
        for (name, shape) in shapes {
            let t = &tensors[&format!("{cell}.{name}")];
            assert_eq!(t.dims(), shape);
            let largest = t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
            assert!(largest <= 0.25 && largest > 0.2, "{cell}.{name}: {largest}");
        }
    }
    assert_eq!(tensors.len(), 8);
}
