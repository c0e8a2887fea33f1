//! RAFT-small against torchvision's, with weights and frames by a formula (`tools/reference/raft.py`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, IndexOp, Tensor};
use vg_core::Rng;
use vg_core::nn::ParamStore;
use vg_core::testing::{Fixture, relative_error, uniform};
use vg_flow::raft::RaftSmall;

const HEIGHT: usize = 128;
const WIDTH: usize = 136;

fn shapes() -> BTreeMap<String, Vec<usize>> {
    let store = ParamStore::counted();
    RaftSmall::new(&store.source()).unwrap();
    store.shapes()
}

/// Parameters numbered by their names in order.
fn weights() -> BTreeMap<String, Tensor> {
    let tensor = |(n, (name, shape)): (usize, (String, Vec<usize>))| {
        let count: usize = shape.iter().product();
        let scale = if shape.len() > 1 { (3.0 * shape[0] as f64 / count as f64).sqrt() } else { 0.1 };
        let value = |k| (scale * (2.0 * uniform(n as u64, k) - 1.0)) as f32;
        let values: Vec<f32> = (0..count as u64).map(value).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    shapes().into_iter().enumerate().map(tensor).collect()
}

fn network(dtype: DType) -> RaftSmall {
    let store = ParamStore::load(weights(), "the formula", dtype, &Device::Cpu).unwrap();
    let network = RaftSmall::new(&store.source()).unwrap();
    store.finish().unwrap();
    network
}

/// Waves, the second time moved by (3, -2), with a little noise.
fn frame(moved: bool, dtype: DType) -> Tensor {
    let (dy, dx, n) = if moved { (2.0, -3.0, 1001) } else { (0.0, 0.0, 1000) };
    let value = |i: usize| {
        let c = (i / (HEIGHT * WIDTH)) as f64;
        let (y, x) = ((i / WIDTH % HEIGHT) as f64 + dy, (i % WIDTH) as f64 + dx);
        let wave =
            (0.31 * x + 0.1 * c).sin() * (0.23 * y - 0.2 * c).cos() + 0.5 * (0.11 * x + 0.17 * y).sin();
        (0.6 * wave + 0.1 * (2.0 * uniform(n, i as u64) - 1.0)) as f32
    };
    let values: Vec<f32> = (0..3 * HEIGHT * WIDTH).map(value).collect();
    Tensor::from_vec(values, (1, 3, HEIGHT, WIDTH), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn fixture() -> Fixture {
    Fixture::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/raft.safetensors")).unwrap()
}

/// Every fourth pixel.
fn thinned(flow: &Tensor) -> Tensor {
    let index = |size: usize| Tensor::arange_step(0u32, size as u32, 4, &Device::Cpu).unwrap();
    let rows = flow.index_select(&index(HEIGHT), 2).unwrap();
    rows.index_select(&index(WIDTH), 3).unwrap()
}

fn largest_error(dtype: DType, updates: usize) -> f64 {
    let flow = network(dtype).forward(&frame(false, dtype), &frame(true, dtype), updates).unwrap();
    assert_eq!(flow.dims(), [1, 2, HEIGHT, WIDTH]);
    let want = fixture().tensor(&format!("out.flow.{updates}"), DType::F64).unwrap();
    let got = thinned(&flow).to_dtype(DType::F64).unwrap();
    relative_error("flow", &got, &want, 0.0).unwrap()
}

#[test]
fn shapes_are_torchvision_s() {
    let shapes = shapes();
    let count = |prefix: &str| -> usize {
        let of = shapes.iter().filter(|(name, _)| name.starts_with(prefix));
        of.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    assert_eq!(count("feature_encoder."), 55_264);
    assert_eq!(count("context_encoder."), 58_368);
    assert_eq!(count("update_block."), 876_530);
    assert_eq!(count(""), 990_162);
    assert_eq!(shapes["update_block.recurrent_block.convgru1.convz.weight"], [96, 242, 3, 3]);
    assert_eq!(shapes["feature_encoder.layer2.0.downsample.0.weight"], [64, 32, 1, 1]);
}

/// In f64, the file's own rounding remains.
#[test]
fn flows_are_torchvision_s() {
    for updates in [1, 2, 12] {
        let error = largest_error(DType::F64, updates);
        assert!(error < 1e-6, "{updates} updates: {error}");
    }
}

#[test]
fn single_precision_is_near() {
    let error = largest_error(DType::F32, 12);
    assert!(error < 1e-4, "{error}");
}

#[test]
fn pictures_and_tensors_agree() {
    let network = network(DType::F32);
    let (a, b) = (frame(false, DType::F32), frame(true, DType::F32));
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a_values, b_values) = (values(&a), values(&b));
    let picture = |v| vg_flow::Picture::new(3, HEIGHT, WIDTH, v).unwrap();
    let flow = network.flow(&picture(&a_values), &picture(&b_values), 1).unwrap();
    // A pair alone and in a batch with its reverse.
    let (from, to) = (Tensor::cat(&[&a, &b], 0).unwrap(), Tensor::cat(&[&b, &a], 0).unwrap());
    let both = network.forward(&from, &to, 1).unwrap();
    assert_eq!(values(&both.i(0).unwrap()), flow.data);
    assert_ne!(values(&both.i(1).unwrap()), flow.data);
}

#[test]
fn files_come_back_and_bad_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raft.safetensors");
    let save = |tensors: &BTreeMap<String, Tensor>| {
        let all: std::collections::HashMap<_, _> = tensors.clone().into_iter().collect();
        candle_core::safetensors::save(&all, &path).unwrap();
    };
    let mut tensors = weights();
    save(&tensors);
    let loaded = RaftSmall::load(&path).unwrap();
    let run = |n: &RaftSmall| {
        n.forward(&frame(false, DType::F32), &frame(true, DType::F32), 1).unwrap().flatten_all().unwrap()
    };
    let values = |t: Tensor| t.to_vec1::<f32>().unwrap();
    assert_eq!(values(run(&loaded)), values(run(&network(DType::F32))));
    let message = |path: &std::path::Path| RaftSmall::load(path).unwrap_err().to_string();
    tensors.remove("context_encoder.conv.bias");
    tensors.insert("mask_predictor.conv.bias".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
    save(&tensors);
    let text = message(&path);
    assert!(
        text.contains("context_encoder.conv.bias") && text.contains("mask_predictor.conv.bias"),
        "{text}"
    );
    assert!(message(&folder.path().join("none.pth")).contains("none.pth"));
    for name in ["text.pth", "text.safetensors", "text.bmp"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "no weights").unwrap();
        assert!(message(&path).contains(name), "{}", message(&path));
    }
}

#[test]
fn bad_frames_are_refused() {
    let store = ParamStore::init(Rng::new(0), DType::F32, &Device::Cpu);
    let network = RaftSmall::new(&store.source()).unwrap();
    let frames = |shape: [usize; 4]| Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
    let message =
        |a: [usize; 4], b: [usize; 4], n| network.forward(&frames(a), &frames(b), n).unwrap_err().to_string();
    let good = [1, 3, 128, 136];
    assert!(message([1, 1, 128, 136], good, 1).contains("[B, 3, H, W]"));
    assert!(message(good, [1, 3, 136, 128], 1).contains("[1, 3, 128, 136]"));
    assert!(message([1, 3, 120, 136], [1, 3, 120, 136], 1).contains("multiples of 8 and at least 128"));
    assert!(message([1, 3, 130, 136], [1, 3, 130, 136], 1).contains("multiples of 8"));
    assert!(message(good, good, 0).contains("at least one update"));
}
