//! C3D against PyTorch with random weights.

mod support;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use support::{downloaded, entry, fixture, parameters};
use vg_core::testing::assert_close;
use vg_metrics::network::c3d::{C3d, Config, Input, Preparation};
use vg_metrics::resize::Resize;
use vg_metrics::weights::Network;

#[derive(Deserialize)]
struct Widths {
    c3d_width: usize,
    c3d_hidden: usize,
    c3d_classes: usize,
}

fn narrow() -> (vg_core::testing::Fixture, C3d) {
    let fixture = fixture("metrics.safetensors");
    let widths: Widths = fixture.config().unwrap();
    let config = Config { width: widths.c3d_width, hidden: widths.c3d_hidden, classes: widths.c3d_classes };
    let network = C3d::new(&parameters(&fixture, "c3d"), config, "the fixture").unwrap();
    (fixture, network)
}

#[test]
fn features_agree_with_pytorch() {
    let (fixture, network) = narrow();
    let clips = entry(&fixture, "in.c3d.clips").permute((0, 4, 1, 2, 3)).unwrap().contiguous().unwrap();
    let x = Resize::AlignCorners.apply(&clips, (112, 112)).unwrap().affine(1.0 / 64.0, -2.0).unwrap();
    let channel = |c| x.narrow(1, c, 1).unwrap();
    let bgr = Tensor::cat(&[channel(2), channel(1), channel(0)], 1).unwrap();
    let found = network.features(&bgr).unwrap();
    assert_close("logits", &found.logits, &entry(&fixture, "out.c3d.logits"), 1e-4, 0.0);
    assert_close("fc7", &found.fc7, &entry(&fixture, "out.c3d.fc7"), 1e-4, 0.0);
}

#[test]
fn clips_are_prepared_as_the_two_papers_do() {
    let fixture = fixture("metrics.safetensors");
    let input = Input::new(&entry(&fixture, "in.c3d.mean")).unwrap();
    let clips = entry(&fixture, "in.c3d.frames").transpose(1, 2).unwrap().contiguous().unwrap();
    for (name, preparation) in [("tgan", Preparation::Tgan), ("tgan2", Preparation::TganV2)] {
        let got = input.prepare(&clips, preparation).unwrap();
        assert_close(name, &got, &entry(&fixture, &format!("out.c3d.{name}")), 1e-5, 0.0);
    }
    let message = input.prepare(&Tensor::cat(&[&clips, &clips], 2).unwrap(), Preparation::Tgan).unwrap_err();
    assert!(message.to_string().contains("[N, 3, 1, H, W]"), "{message}");
}

#[test]
fn layers_have_the_shapes_of_the_table() {
    let (_, network) = narrow();
    let mut shapes = Vec::new();
    let black = Tensor::zeros((1, 3, 16, 112, 112), DType::F32, &Device::Cpu).unwrap();
    network.trace(&black, |name, x| shapes.push((name, 16 * x.dims()[1], x.dims()[2..].to_vec()))).unwrap();
    let expected = [
        ("conv1a", 64, [16, 112, 112]),
        ("pool1", 64, [16, 56, 56]),
        ("conv2a", 128, [16, 56, 56]),
        ("pool2", 128, [8, 28, 28]),
        ("conv3a", 256, [8, 28, 28]),
        ("conv3b", 256, [8, 28, 28]),
        ("pool3", 256, [4, 14, 14]),
        ("conv4a", 512, [4, 14, 14]),
        ("conv4b", 512, [4, 14, 14]),
        ("pool4", 512, [2, 7, 7]),
        ("conv5a", 512, [2, 7, 7]),
        ("conv5b", 512, [2, 7, 7]),
        ("pool5", 512, [1, 4, 4]),
    ];
    assert_eq!(shapes, expected.map(|(name, channels, size)| (name, channels, size.to_vec())));
}

#[test]
fn the_real_network_has_the_published_size() {
    let count = |classes| -> usize {
        let layout = C3d::layout(Config { classes, ..Config::default() }).unwrap();
        layout.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    assert_eq!((count(101), count(487)), (78_409_573, 79_991_015));
}

#[test]
fn published_weights_load() {
    let Some(weights) = downloaded(Network::C3d) else { return };
    let network = C3d::new(weights.tensors(), Config::default(), &weights.source()).unwrap();
    let input = Input::new(&weights.tensors()["mean"]).unwrap();
    let grey = Tensor::zeros((1, 3, 16, 64, 64), DType::F32, &Device::Cpu).unwrap();
    let found = network.features(&input.prepare(&grey, Preparation::TganV2).unwrap()).unwrap();
    assert_eq!((found.logits.dims(), found.fc7.dims()), (&[1, 101][..], &[1, 4096][..]));
}
