//! Softmax and attention against plain tensor expressions and differences.

use candle_core::{D, DType, Device, Tensor, Var};
use proptest::prelude::*;
use vg_core::grad::{Tape, backward};
use vg_core::ops::attention::{attention, map_attention, softmax};
use vg_core::testing::gradcheck::gradcheck;
use vg_core::{Result, Rng};

mod distance;
use distance::{far, values};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(5).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

fn single(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
}

fn naive_softmax(x: &Tensor) -> Tensor {
    let e = x.exp().unwrap();
    e.broadcast_div(&e.sum_keepdim(D::Minus1).unwrap()).unwrap()
}

fn naive_attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Tensor {
    let scores = (q.matmul(&k.transpose(D::Minus1, D::Minus2).unwrap().contiguous().unwrap()).unwrap()
        * scale)
        .unwrap();
    naive_softmax(&scores).matmul(v).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn softmax_agrees_with_its_definition(outer in proptest::collection::vec(1usize..5, 0..=2), n in 1usize..140) {
        let shape: Vec<usize> = outer.into_iter().chain([n]).collect();
        let x = random("x", &shape);
        let y = softmax(&x).unwrap();
        prop_assert!(far(&y, &naive_softmax(&x)) < 1e-13);
        prop_assert!(far(&softmax(&single(&x)).unwrap(), &y) < 1e-6);
        // A common summand changes nothing, even where its exponential would be infinite.
        prop_assert!(far(&softmax(&(&x + 2000.0).unwrap()).unwrap(), &y) < 1e-10);
    }

    #[test]
    fn attention_agrees_with_its_definition(
        outer in (1usize..4, 1usize..4),
        sizes in (1usize..40, 1usize..40, 1usize..20, 1usize..20),
        scale in 0.1f64..1.5,
    ) {
        let ((b, h), (n, m, d, e)) = (outer, sizes);
        let (q, k, v) = (random("q", &[b, h, n, d]), random("k", &[b, h, m, d]), random("v", &[b, h, m, e]));
        let y = attention(&q, &k, &v, scale).unwrap();
        let want = naive_attention(&q, &k, &v, scale);
        prop_assert!(far(&y, &want) < 1e-11);
        prop_assert!(far(&attention(&single(&q), &single(&k), &single(&v), scale).unwrap(), &want) < 2e-5);
        let flat = |t: &Tensor| t.flatten(0, 1).unwrap();
        let three = attention(&flat(&q), &flat(&k), &flat(&v), scale).unwrap();
        prop_assert_eq!(far(&three, &flat(&y)), 0.0);
    }
}

#[test]
fn large_products_agree_with_the_definition() {
    let (q, k, v) =
        (random("q", &[2, 1, 150, 8]), random("k", &[2, 1, 300, 8]), random("v", &[2, 1, 300, 270]));
    assert!(far(&attention(&q, &k, &v, 0.5).unwrap(), &naive_attention(&q, &k, &v, 0.5)) < 1e-12);
    // Heads that lie beside each other in memory.
    let turned = |t: &Tensor| t.transpose(1, 2).unwrap();
    let heads = random("h", &[2, 6, 3, 4]);
    let (view, copy) = (turned(&heads), turned(&heads).contiguous().unwrap());
    let want = attention(&copy, &copy, &copy, 0.5).unwrap();
    assert_eq!(far(&attention(&view, &view, &view, 0.5).unwrap(), &want), 0.0);
}

#[test]
fn masks_and_invalid_numbers_are_respected() {
    let infinite = f64::NEG_INFINITY;
    for dtype in [DType::F32, DType::F64] {
        let row = |x: &[f64]| {
            values(&softmax(&Tensor::new(x, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap())
        };
        assert_eq!(row(&[infinite, 3.0, infinite, 3.0]), [0.0, 0.5, 0.0, 0.5]);
        assert!(row(&[1.0, f64::NAN, 2.0]).iter().all(|v| v.is_nan()));
        assert!(row(&[f64::NAN, 1.0]).iter().all(|v| v.is_nan()));
        assert!(row(&[infinite, infinite]).iter().all(|v| v.is_nan()));
    }
}

#[test]
fn gradients_agree_with_differences() {
    for shape in [vec![5], vec![2, 3], vec![2, 2, 37]] {
        gradcheck(|t| softmax(&t[0]), &[random("x", &shape)]).unwrap();
    }
    for outer in [vec![], vec![2], vec![2, 2]] {
        let of = |name, sizes: &[usize]| random(name, &[&outer[..], sizes].concat());
        let inputs = [of("q", &[3, 2]), of("k", &[5, 2]), of("v", &[5, 4])];
        gradcheck(|t| attention(&t[0], &t[1], &t[2], 0.7), &inputs).unwrap();
    }
}

#[test]
fn maps_attend_as_their_transposes_do() {
    let maps = [random("q", &[2, 3, 6]), random("k", &[2, 3, 4]), random("v", &[2, 5, 4])];
    let of = |t: &[Tensor]| map_attention(&t[0], &t[1], &t[2], 0.7);
    let turned = |t: &Tensor| t.transpose(1, 2).unwrap().contiguous().unwrap();
    let [q, k, v] = maps.each_ref().map(turned);
    let want = turned(&attention(&q, &k, &v, 0.7).unwrap());
    assert!(far(&of(&maps).unwrap(), &want) < 1e-14);
    gradcheck(of, &maps).unwrap();
    let error = |q: &[usize], k: &[usize], v: &[usize]| {
        map_attention(&random("q", q), &random("k", k), &random("v", v), 1.0).unwrap_err().to_string()
    };
    assert!(error(&[2, 3, 6], &[2, 4, 4], &[2, 5, 4]).contains("[..., 3, M]"));
    assert!(error(&[2, 3, 6], &[1, 3, 4], &[2, 5, 4]).contains("keys of maps"));
    assert!(error(&[2, 3, 6], &[2, 3, 4], &[2, 5, 3]).contains("[..., e, 4]"));
}

#[test]
fn a_tape_records_attention() {
    let vars = [[2, 6, 3], [2, 5, 3], [2, 5, 4]].map(|s| Var::from_tensor(&random("v", &s)).unwrap());
    let run = || {
        let y = attention(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor(), 0.5).unwrap();
        y.sqr().unwrap().sum_all().unwrap()
    };
    let want = run().backward().unwrap();
    let tape = Tape::start();
    let grads = backward(&run()).unwrap();
    drop(tape);
    for var in &vars {
        assert!(far(grads.get(var.as_tensor()).unwrap(), want.get(var).unwrap()) < 1e-12);
    }
}

#[test]
fn threads_change_nothing() {
    let [q, k, v] = [("q", [4, 2, 130, 16]), ("k", [4, 2, 90, 16]), ("v", [4, 2, 90, 24])]
        .map(|(name, shape)| single(&random(name, &shape)));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let vars = [&q, &k, &v].map(|t| Var::from_tensor(t).unwrap());
            let y = attention(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor(), 0.25).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![values(&y)];
            all.extend(vars.iter().map(|v| values(grads.get(v).unwrap())));
            all
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn wrong_operands_are_refused() {
    let message = |r: Result<Tensor>| r.unwrap_err().to_string();
    let (q, k, v) = (random("q", &[2, 3, 4]), random("k", &[2, 5, 4]), random("v", &[2, 5, 6]));
    assert!(message(attention(&q, &v, &v, 1.0)).contains("keys: expected [2] and then [M, 4]"));
    assert!(message(attention(&q, &k, &q, 1.0)).contains("values: expected [2] and then [5, e]"));
    assert!(message(attention(&random("q", &[3]), &k, &v, 1.0)).contains("[..., N, d]"));
    assert!(message(attention(&q, &k, &single(&v), 1.0)).contains("F32 beside queries of F64"));
    assert!(message(softmax(&Tensor::new(1f64, &Device::Cpu).unwrap())).contains("at least one axis"));
    let none = Tensor::zeros((2, 0, 4), DType::F64, &Device::Cpu).unwrap();
    assert!(message(attention(&q, &none, &none, 1.0)).contains("keys"));
    assert_eq!(attention(&none, &k, &v, 1.0).unwrap().dims(), [2, 0, 6]);
}
