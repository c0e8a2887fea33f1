//! I3D against PyTorch with random weights, and against TensorFlow's figures with the real ones.
#![allow(clippy::print_stdout, reason = "the figures themselves, with --nocapture")]

mod support;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;
use support::{downloaded, entry, fixture, norm, parameters, pattern, values};
use vg_core::testing::assert_close;
use vg_metrics::network::i3d::{Config, I3d};
use vg_metrics::resize::Resize;
use vg_metrics::weights::Network;

const RULES: [(&str, Resize); 3] =
    [("half_pixel", Resize::HalfPixel), ("tf1", Resize::Tf1), ("align_corners", Resize::AlignCorners)];

#[derive(Deserialize)]
struct Widths {
    i3d_width: usize,
    i3d_classes: usize,
}

/// The narrow network and the clips `[N, 3, T, H, W]` of the fixture.
fn narrow() -> (vg_core::testing::Fixture, I3d, Tensor) {
    let fixture = fixture("metrics.safetensors");
    let widths: Widths = fixture.config().unwrap();
    let config = Config { width: widths.i3d_width, classes: widths.i3d_classes, ..Config::default() };
    let network = I3d::new(&parameters(&fixture, "i3d"), config, "the fixture").unwrap();
    let clips = entry(&fixture, "in.i3d.clips").permute((0, 4, 1, 2, 3)).unwrap().contiguous().unwrap();
    (fixture, network, clips)
}

#[test]
fn features_agree_with_pytorch_under_every_rule() {
    let (fixture, network, clips) = narrow();
    for (name, rule) in RULES {
        let found = network.features(&I3d::prepare(&clips, rule).unwrap()).unwrap();
        assert_close(name, &found.logits, &entry(&fixture, &format!("out.i3d.{name}.logits")), 1e-4, 0.0);
        assert_close(name, &found.pool, &entry(&fixture, &format!("out.i3d.{name}.pool")), 1e-4, 0.0);
    }
}

#[test]
fn odd_numbers_of_frames_take_other_paddings() {
    let fixture = fixture("metrics-networks.safetensors");
    let config = Config { width: 4, classes: 6, ..Config::default() };
    let network = I3d::new(&parameters(&fixture, "i3d"), config, "the fixture").unwrap();
    for frames in [9, 13] {
        let colours = entry(&fixture, &format!("in.i3d.{frames}"));
        let clip = colours.broadcast_as((1, 3, frames, 224, 224)).unwrap().contiguous().unwrap();
        let logits = network.features(&clip).unwrap().logits;
        let name = format!("out.i3d.{frames}.logits");
        assert_close(&name, &logits, &entry(&fixture, &name), 1e-4, 0.0);
    }
}

#[test]
fn layers_agree_with_pytorch() {
    let (fixture, network, clips) = narrow();
    let mut rows = Vec::new();
    let clips = I3d::prepare(&clips, Resize::HalfPixel).unwrap();
    network
        .trace(&clips, |_, x| {
            let x = values(x);
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
            rows.push([mean, variance.sqrt(), x.iter().copied().fold(f64::MIN, f64::max)]);
        })
        .unwrap();
    let expected = values(&entry(&fixture, "out.i3d.layers"));
    assert_eq!(rows.len() * 3, expected.len());
    for (got, want) in rows.as_flattened().iter().zip(expected) {
        assert!((got - want).abs() <= 1e-4 * want.abs(), "{got} {want}");
    }
}

#[test]
fn layers_have_the_shapes_of_the_paper() {
    // A quarter of the channels: each is then a whole number.
    let config = Config { width: 16, ..Config::default() };
    let tensors = I3d::layout(config)
        .unwrap()
        .into_iter()
        .map(|(name, shape)| (name, Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()));
    let network = I3d::new(&tensors.collect(), config, "ones").unwrap();
    let mut shapes = Vec::new();
    let clip = Tensor::zeros((1, 3, 16, 224, 224), DType::F32, &Device::Cpu).unwrap();
    let found =
        network.trace(&clip, |name, x| shapes.push((name, 4 * x.dims()[1], x.dims()[2..].to_vec()))).unwrap();
    let expected = [
        ("Conv3d_1a_7x7", 64, [8, 112, 112]),
        ("MaxPool3d_2a_3x3", 64, [8, 56, 56]),
        ("Conv3d_2b_1x1", 64, [8, 56, 56]),
        ("Conv3d_2c_3x3", 192, [8, 56, 56]),
        ("MaxPool3d_3a_3x3", 192, [8, 28, 28]),
        ("Mixed_3b", 256, [8, 28, 28]),
        ("Mixed_3c", 480, [8, 28, 28]),
        ("MaxPool3d_4a_3x3", 480, [4, 14, 14]),
        ("Mixed_4b", 512, [4, 14, 14]),
        ("Mixed_4c", 512, [4, 14, 14]),
        ("Mixed_4d", 512, [4, 14, 14]),
        ("Mixed_4e", 528, [4, 14, 14]),
        ("Mixed_4f", 832, [4, 14, 14]),
        ("MaxPool3d_5a_2x2", 832, [2, 7, 7]),
        ("Mixed_5b", 832, [2, 7, 7]),
        ("Mixed_5c", 1024, [2, 7, 7]),
    ];
    assert_eq!(shapes, expected.map(|(name, channels, size)| (name, channels, size.to_vec())));
    assert_eq!((found.logits.dims(), found.pool.dims()), (&[1, 400][..], &[1, 256][..]));
}

#[test]
fn the_real_network_has_the_numbers_of_the_module() {
    let layout = Network::I3d.layout().unwrap();
    let count = |kept: fn(&str) -> bool| -> usize {
        layout.iter().filter(|(name, _)| kept(name)).map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    assert_eq!(layout.len(), 230);
    assert_eq!(count(|name| !name.contains("running")), 12_689_984);
    assert_eq!(count(|name| name.contains("running")), 14_560);
}

#[test]
fn wrong_weights_and_clips_are_named() {
    let (fixture, network, _) = narrow();
    let mut tensors = parameters(&fixture, "i3d");
    tensors.remove("Mixed_4b.b1b.conv3d.weight");
    let nan = (tensors["Mixed_3b.b0.bn.bias"].zeros_like().unwrap() / 0.0).unwrap();
    tensors.insert("Mixed_3b.b0.bn.bias".to_owned(), nan);
    let config = Config { width: 8, classes: 13, ..Config::default() };
    let message = I3d::new(&tensors, config, "file.safetensors").unwrap_err().to_string();
    for part in [
        "file.safetensors",
        "Mixed_4b.b1b.conv3d.weight is missing",
        "Mixed_3b.b0.bn.bias is not finite",
        "[12] instead of [13]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let clip = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let message = network.features(&clip(&[1, 3, 8, 224, 224])).unwrap_err().to_string();
    assert!(message.contains("at least 9"), "{message}");
    let message = I3d::prepare(&clip(&[1, 1, 9, 64, 64]), Resize::Tf1).unwrap_err().to_string();
    assert!(message.contains("[N, 3, T, H, W]"), "{message}");
    let clips = Tensor::cat(&[clip(&[1, 3, 9, 8, 8]), (clip(&[1, 3, 9, 8, 8]) / 0.0).unwrap()], 0).unwrap();
    let message = I3d::prepare(&clips, Resize::Tf1).unwrap_err().to_string();
    assert!(message.contains("number 1 has values that are not finite"), "{message}");
}

/// Logits of a clip of one value, already in [-1, 1].
fn constant(network: &I3d, value: f64, frames: usize) -> Vec<f64> {
    let clip = Tensor::full(value as f32, (1, 3, frames, 224, 224), &Device::Cpu).unwrap();
    values(&network.features(&clip).unwrap().logits)
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn assert_near(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{what}: {got} instead of {want}");
}

#[test]
fn constant_clips_give_the_figures_of_tensorflow() {
    let Some(weights) = downloaded(Network::I3d) else { return };
    let network = I3d::new(weights.tensors(), Config::default(), &weights.source()).unwrap();
    let table: [(usize, f64, [f64; 3]); 5] = [
        (9, 492.62827, [1.521116, 1.872949, 2.421817]),
        (10, 569.77110, [2.122446, 2.096900, 2.280118]),
        (13, 146.51505, [0.979674, 2.794149, 0.346976]),
        (16, 152.90159, [1.093527, 2.837238, 0.401682]),
        (30, 151.39237, [0.551604, 2.295734, 1.183844]),
    ];
    // Without optimisation the kernels take minutes: an odd number of frames and the published figure have to do.
    let table = table.into_iter().filter(|(frames, ..)| !cfg!(debug_assertions) || [9, 30].contains(frames));
    for (frames, distance, first) in table {
        let (black, white) = (constant(&network, -1.0, frames), constant(&network, 1.0, frames));
        let got = squared_distance(&black, &white);
        println!("{frames} frames: black against white {got:.6}, first logits {:?}", &black[..3]);
        assert_near("black against white", got, distance, 2e-5 * distance);
        for (got, want) in black.iter().zip(first) {
            assert_near("a logit", *got, want, 5e-5);
        }
        if frames == 16 {
            assert_near("norm of black", norm(&black), 23.661252, 1e-4);
            assert_near("norm of white", norm(&white), 25.014673, 1e-4);
        }
    }
    let grey = constant(&network, 0.0, 16);
    assert_near("norm of grey", norm(&grey), 27.501385, 1e-4);
    for (got, want) in grey.iter().zip([2.252728, 3.776767, -0.791819, 0.562118, -1.179938]) {
        assert_near("a logit of grey", *got, want, 5e-5);
    }
}

#[test]
fn the_other_epsilon_gives_the_figures_of_videogpt() {
    let Some(weights) = downloaded(Network::I3d) else { return };
    let config = Config { eps: 1e-5, ..Config::default() };
    let network = I3d::new(weights.tensors(), config, &weights.source()).unwrap();
    let distance =
        |frames| squared_distance(&constant(&network, -1.0, frames), &constant(&network, 1.0, frames));
    assert_near("16 frames", distance(16), 153.27383, 3e-3);
    assert_near("30 frames", distance(30), 151.75938, 3e-3);
}

#[test]
fn patterned_clips_give_the_figures_of_pytorch() {
    let Some(weights) = downloaded(Network::I3d) else { return };
    let network = I3d::new(weights.tensors(), Config::default(), &weights.source()).unwrap();
    let clip = pattern(0, [16, 64, 64]);
    assert_eq!(values(&clip).iter().sum::<f64>(), 25_450_752.0);
    let json =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics-i3d.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let pools = [("half_pixel", 7.629915), ("tf1", 7.588511), ("align_corners", 7.795430)];
    for ((name, rule), (_, pool_norm)) in RULES.into_iter().zip(pools) {
        let found = network.features(&I3d::prepare(&clip, rule).unwrap()).unwrap();
        let logits = values(&found.logits);
        let expected = json["pattern"][name]["logits"].as_array().unwrap();
        let expected: Vec<f64> = expected.iter().map(|v| v.as_f64().unwrap()).collect();
        let error = squared_distance(&logits, &expected).sqrt() / norm(&expected);
        println!("{name}: relative error of the logits {error:.2e}");
        assert!(expected.len() == 400 && error < 1e-5, "{name}: {error}");
        assert_near("norm of the pool", norm(&values(&found.pool)), pool_norm, 1e-4);
    }
}
