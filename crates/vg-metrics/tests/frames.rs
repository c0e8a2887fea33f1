//! Networks for single images against PyTorch with random weights, and against published code with the real ones.

mod support;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use support::{downloaded, entry, fixture, parameters, pattern, values};
use vg_core::testing::assert_close;
use vg_metrics::network::face::FaceNet;
use vg_metrics::network::inception_v3::{self, InceptionV3, Preparation};
use vg_metrics::network::lpips::{Lpips, Net};
use vg_metrics::network::vgg::{self, Depth, Vgg};
use vg_metrics::resize::Resize;
use vg_metrics::weights::Network;

#[derive(Deserialize)]
struct Widths {
    inception_width: usize,
    inception_classes: usize,
    lpips_width: usize,
}

#[derive(Deserialize)]
struct MoreWidths {
    vgg_width: usize,
    vgg_hidden: usize,
    vgg_classes: usize,
    lpips_width: usize,
    face_width: usize,
}

fn count(network: Network, kept: fn(&str) -> bool) -> usize {
    let layout = network.layout().unwrap();
    layout.iter().filter(|(name, _)| kept(name)).map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// An image of the specification's formula, `[1, 3, H, W]` u8.
fn image(seed: usize, height: usize, width: usize) -> Tensor {
    pattern(seed, [1, height, width]).squeeze(2).unwrap()
}

fn symmetric(image: &Tensor) -> Tensor {
    image.to_dtype(DType::F32).unwrap().affine(1.0 / 127.5, -1.0).unwrap()
}

fn assert_near(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{what}: {got} instead of {want}");
}

#[test]
fn inception_agrees_with_pytorch() {
    let fixture = fixture("metrics-images.safetensors");
    let widths: Widths = fixture.config().unwrap();
    let config = inception_v3::Config { width: widths.inception_width, classes: widths.inception_classes };
    let network = InceptionV3::new(&parameters(&fixture, "inception"), config, "the fixture").unwrap();
    let images = entry(&fixture, "in.inception.images");
    for (name, preparation) in [("tf1", Preparation::TensorFlow), ("half_pixel", Preparation::PytorchFid)] {
        let found = network.features(&InceptionV3::prepare(&images, preparation).unwrap()).unwrap();
        let expected = |part: &str| entry(&fixture, &format!("out.inception.{name}.{part}"));
        assert_close(name, &found.pool, &expected("pool"), 1e-4, 0.0);
        assert_close(name, &found.logits, &expected("logits"), 1e-4, 0.0);
    }
}

#[test]
fn inception_has_the_published_sizes() {
    assert_eq!(count(Network::InceptionV3, |name| !name.contains("running")), 23_850_960);
    let fixture = fixture("metrics-images.safetensors");
    let widths: Widths = fixture.config().unwrap();
    let config = inception_v3::Config { width: widths.inception_width, classes: widths.inception_classes };
    let network = InceptionV3::new(&parameters(&fixture, "inception"), config, "the fixture").unwrap();
    let mut sizes = Vec::new();
    let black = Tensor::zeros((1, 3, 299, 299), DType::F32, &Device::Cpu).unwrap();
    network.trace(&black, |name, x| sizes.push((name, 8 * x.dims()[1], x.dims()[2]))).unwrap();
    let expected = [
        ("Conv2d_1a_3x3", 32, 149),
        ("Conv2d_2a_3x3", 32, 147),
        ("Conv2d_2b_3x3", 64, 147),
        ("maxpool1", 64, 73),
        ("Conv2d_3b_1x1", 80, 73),
        ("Conv2d_4a_3x3", 192, 71),
        ("maxpool2", 192, 35),
        ("Mixed_5b", 256, 35),
        ("Mixed_5c", 288, 35),
        ("Mixed_5d", 288, 35),
        ("Mixed_6a", 768, 17),
        ("Mixed_6b", 768, 17),
        ("Mixed_6c", 768, 17),
        ("Mixed_6d", 768, 17),
        ("Mixed_6e", 768, 17),
        ("Mixed_7a", 1280, 8),
        ("Mixed_7b", 2048, 8),
        ("Mixed_7c", 2048, 8),
    ];
    assert_eq!(sizes, expected);
}

#[test]
fn lpips_agrees_with_pytorch() {
    let fixture = fixture("metrics-images.safetensors");
    let widths: Widths = fixture.config().unwrap();
    let (a, b) = (entry(&fixture, "in.lpips.a"), entry(&fixture, "in.lpips.b"));
    for (name, net) in [("alex", Net::Alex), ("vgg", Net::Vgg)] {
        let tensors = parameters(&fixture, &format!("lpips.{name}"));
        let lpips = Lpips::new(net, &tensors, &tensors, widths.lpips_width, "the fixture").unwrap();
        let expected = |part: &str| entry(&fixture, &format!("out.lpips.{name}{part}"));
        assert_close(name, &lpips.layers(&a, &b).unwrap(), &expected(".layers"), 1e-4, 0.0);
        assert_close(name, &lpips.distance(&a, &b).unwrap(), &expected(""), 1e-4, 0.0);
        assert_eq!(values(&lpips.distance(&a, &a).unwrap()), [0.0; 2]);
    }
}

#[test]
fn shift_tolerant_lpips_agrees_with_pytorch() {
    let fixture = fixture("metrics-networks.safetensors");
    let widths: MoreWidths = fixture.config().unwrap();
    let (a, b) = (entry(&fixture, "in.lpips.a"), entry(&fixture, "in.lpips.b"));
    for (name, net) in [("st_alex", Net::ShiftTolerantAlex), ("st_vgg", Net::ShiftTolerantVgg)] {
        let tensors = parameters(&fixture, name);
        let lpips = Lpips::new(net, &tensors, &tensors, widths.lpips_width, "the fixture").unwrap();
        let expected = |part: &str| entry(&fixture, &format!("out.{name}.{part}"));
        assert_close(name, &lpips.layers(&a, &b).unwrap(), &expected("layers"), 1e-4, 0.0);
        if net == Net::ShiftTolerantAlex {
            assert_close(name, &lpips.map(&a, &b).unwrap(), &expected("map"), 1e-4, 0.0);
        }
    }
}

#[test]
fn lpips_takes_the_smallest_images_and_names_smaller_ones() {
    let (images, networks) = (fixture("metrics-images.safetensors"), fixture("metrics-networks.safetensors"));
    let cases = [
        (&images, "lpips.alex", Net::Alex, 8, 31),
        (&images, "lpips.vgg", Net::Vgg, 8, 16),
        (&networks, "st_alex", Net::ShiftTolerantAlex, 4, 21),
        (&networks, "st_vgg", Net::ShiftTolerantVgg, 4, 18),
    ];
    for (fixture, name, net, width, least) in cases {
        let tensors = parameters(fixture, name);
        let lpips = Lpips::new(net, &tensors, &tensors, width, "the fixture").unwrap();
        let black = |side: usize| Tensor::zeros((1, 3, side, side + 7), DType::F32, &Device::Cpu).unwrap();
        let distance = lpips.distance(&black(least), &black(least).affine(0.0, 1.0).unwrap());
        assert!(values(&distance.unwrap())[0].is_finite(), "{name}");
        let message = lpips.distance(&black(least - 1), &black(least - 1)).unwrap_err().to_string();
        assert!(message.contains(&format!("at least {least}")), "{message}");
        let message = lpips.distance(&black(40), &black(41)).unwrap_err().to_string();
        assert!(message.contains("both [1, 3, 40, 47]"), "{message}");
    }
}

#[test]
fn vgg_agrees_with_pytorch() {
    let fixture = fixture("metrics-networks.safetensors");
    let widths: MoreWidths = fixture.config().unwrap();
    let config = vgg::Config {
        depth: Depth::Vgg19,
        width: widths.vgg_width,
        hidden: widths.vgg_hidden,
        classes: widths.vgg_classes,
    };
    let network = Vgg::new(&parameters(&fixture, "vgg19"), config, "the fixture").unwrap();
    let small = entry(&fixture, "in.vgg");
    let images = small.reshape((2, 3, 28, 1, 28, 1)).unwrap().broadcast_as((2, 3, 28, 8, 28, 8)).unwrap();
    let images = images.reshape((2, 3, 224, 224)).unwrap();
    let expected = values(&entry(&fixture, "out.vgg19.layers"));
    let layers = network.layers(&images, &[1, 18, 35]).unwrap();
    for (layer, expected) in layers.iter().zip(expected.chunks_exact(2)) {
        let x = values(layer);
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let deviation = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt();
        assert_near("mean", mean, expected[0], 1e-4 * expected[0]);
        assert_near("deviation", deviation, expected[1], 1e-4 * expected[1]);
    }
    assert_close("fc2", &network.fc2(&images).unwrap(), &entry(&fixture, "out.vgg19.fc2"), 1e-4, 0.0);
    assert_close(
        "logits",
        &network.logits(&images).unwrap(),
        &entry(&fixture, "out.vgg19.logits"),
        1e-4,
        0.0,
    );
    let message = network.layers(&images, &[0]).unwrap_err().to_string();
    assert!(message.contains("be at most 36"), "{message}");
    let message = network.fc2(&small).unwrap_err().to_string();
    assert!(message.contains("[N, 3, 224, 224]"), "{message}");
}

#[test]
fn trunks_have_the_published_sizes() {
    assert_eq!(count(Network::Vgg16, |_| true), 138_357_544);
    assert_eq!(count(Network::Vgg19, |_| true), 143_667_240);
    assert_eq!(count(Network::AlexNet, |_| true), 2_469_696);
    assert_eq!(count(Network::LpipsHeads, |_| true), 1_152 + 1_472);
    assert_eq!(Network::Face.layout().unwrap().len(), 117);
}

#[test]
fn faces_agree_with_pytorch() {
    let fixture = fixture("metrics-networks.safetensors");
    let widths: MoreWidths = fixture.config().unwrap();
    let network = FaceNet::new(&parameters(&fixture, "face"), widths.face_width, "the fixture").unwrap();
    let faces = fixture.tensor("in.face", DType::F32).unwrap();
    assert_close("face", &network.embed(&faces).unwrap(), &entry(&fixture, "out.face"), 1e-4, 0.0);
}

#[test]
fn cubic_resizing_agrees_with_pytorch() {
    let fixture = fixture("metrics-networks.safetensors");
    let got = Resize::Bicubic.apply(&entry(&fixture, "in.bicubic"), (11, 4)).unwrap();
    assert_close("bicubic", &got, &entry(&fixture, "out.bicubic"), 1e-5, 0.0);
}

#[test]
fn linear_resizing_agrees_with_pytorch() {
    let fixture = fixture("metrics.safetensors");
    for rule in [Resize::Tf1, Resize::HalfPixel, Resize::AlignCorners] {
        let got = rule.apply(&entry(&fixture, "in.resize"), (7, 9)).unwrap();
        let name = format!("out.resize.{}", rule.name().replace('-', "_"));
        assert_close(&name, &got, &entry(&fixture, &name), 1e-6, 0.0);
    }
}

/// The figures are those of the package's own code.
#[test]
fn published_shift_tolerant_weights_give_their_distances() {
    let Some(weights) = downloaded(Network::StLpips) else { return };
    let (a, b) = (symmetric(&image(0, 64, 64)), symmetric(&image(3, 64, 64)));
    let ones = Tensor::ones((1, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
    let minus = ones.neg().unwrap();
    let expected = [
        (Net::ShiftTolerantAlex, 0.501_316_07, 0.487_037_06),
        (Net::ShiftTolerantVgg, 0.172_085_18, 0.419_058_23),
    ];
    for (net, patterned, constant) in expected {
        let lpips = Lpips::shift_tolerant(net, weights.tensors(), &weights.source()).unwrap();
        let distance = |a: &Tensor, b: &Tensor| values(&lpips.distance(a, b).unwrap())[0];
        assert_near("patterns", distance(&a, &b), patterned, 2e-6);
        assert_near("black and white", distance(&minus, &ones), constant, 2e-6);
    }
}

/// The figure is quoted by a collection of metrics, which averages the map.
#[test]
fn published_lpips_weights_tell_black_from_white() {
    let (Some(trunk), Some(heads)) = (downloaded(Network::AlexNet), downloaded(Network::LpipsHeads)) else {
        return;
    };
    let lpips = Lpips::with_heads(Net::Alex, trunk.tensors(), heads.tensors(), &trunk.source()).unwrap();
    let ones = Tensor::ones((1, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
    let map = values(&lpips.map(&ones.neg().unwrap(), &ones).unwrap());
    assert_near("black and white", map.iter().sum::<f64>() / map.len() as f64, 0.814_009_07, 1e-5);
}

/// The figures are those of the package's own code on its TensorFlow.js backend.
#[test]
fn published_face_weights_give_their_embeddings() {
    let Some(weights) = downloaded(Network::Face) else { return };
    let network = FaceNet::new(weights.tensors(), 32, &weights.source()).unwrap();
    for (seed, height, width, norm, sum, first) in FACES {
        let got = values(&network.embed(&image(seed, height, width)).unwrap());
        assert_eq!(got.len(), 128);
        assert_near("norm", support::norm(&got), norm, 1e-5);
        assert_near("sum", got.iter().sum(), sum, 1e-5);
        assert_near("first", got[0], first, 1e-5);
    }
}

/// Seed and size of a patterned image; norm, sum and first element of its embedding.
const FACES: [(usize, usize, usize, f64, f64, f64); 3] = [
    (0, 64, 64, 1.309_750_669, -0.181_376_001, -0.024_849_046),
    (3, 61, 40, 1.387_971_584, -0.103_737_703, -0.022_132_012),
    (5, 150, 150, 1.282_011_111, -0.612_905_844, -0.164_379_910),
];
