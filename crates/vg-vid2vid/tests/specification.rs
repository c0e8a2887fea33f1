//! Numbers that the specification gives without a file: sizes of all published networks, whole networks filled by a formula, limits of the
//! composition.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::config::{ConfigSource, resolve};
use vg_core::nn::ParamStore;
use vg_core::ops::segments::Segments;
use vg_core::{Result, Rng};
use vg_vid2vid::source::pyramid;
use vg_vid2vid::{Config, Discriminator, Encoder, Generated, Generator, Judges, Makers, Run};

fn config(preset: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() }).unwrap()
}

/// Parameters by network, counted without memory for them.
fn counts(config: &Config) -> BTreeMap<String, usize> {
    let store = ParamStore::counted();
    Makers::new(&store.source(), config).unwrap();
    Judges::new(&store.source(), config).unwrap();
    store.parameters()
}

/// Specification, section 8.
#[test]
fn generators_have_the_published_sizes() {
    let three = ["generator.scales=3", "clip.height=1024", "clip.width=2048"];
    let street = |more: &[&str]| config("paper-512", &[&three[..], more].concat());
    let nano =
        ["generator.width=8", "generator.downsamplings=2", "generator.blocks=2", "generator.local_blocks=1"];
    let few = [&nano[..], &["maps.classes=4", "generator.foreground=[1]"]].concat();
    let without = [&few[..], &["generator.foreground=[]"]].concat();
    let face = |more: &[&str]| config("face-512", &[&["generator.scales=2"], more].concat());
    let pose = |more: &[&str]| {
        config("pose-256", &[&["generator.scales=3", "clip.height=1024", "clip.width=512"], more].concat())
    };
    for (config, want) in [
        (street(&[]), vec![411_335_241, 2_880_489, 859_641]),
        (street(&["generator.foreground=[]"]), vec![365_391_366, 2_446_854, 707_334]),
        (street(&["generator.downsamplings=2"]), vec![137_792_649, 3_830_217, 1_140_969]),
        (street(&["features.channels=3"]), vec![411_419_913, 2_922_825, 880_809]),
        (face(&[]), vec![364_996_230, 2_249_286]),
        (face(&["generator.width=64"]), vec![91_370_310, 608_550]),
        (pose(&[]), vec![364_826_886, 2_164_614, 566_214]),
        (pose(&["generator.width=64"]), vec![91_285_638, 566_214, 154_086]),
        (pose(&["maps.channels=3", "generator.flow=false"]), vec![283_033_731, 1_166_019]),
        (street(&["generator.width=8"]), vec![1_680_621, 43_959, 19_716]),
        (street(&["generator.width=8", "generator.downsamplings=2"]), vec![628_689, 57_957, 25_959]),
        (street(&nano), vec![237_585, 50_757, 24_087]),
        (street(&few), vec![164_673, 14_301, 5_859]),
        (street(&without), vec![108_606, 8_946, 3_612]),
    ] {
        let counts = counts(&config);
        let found: Vec<usize> = (0..want.len()).map(|k| counts[&format!("G{k}")]).collect();
        assert_eq!(found, want);
    }
}

/// Specification, section 8.
#[test]
fn discriminators_and_encoders_have_the_published_sizes() {
    let sized = |inputs: usize, width: &str, scales: usize| {
        let store = ParamStore::counted();
        let config = config("paper-512", &[width]);
        Discriminator::new(&store.source(), &config, "D", inputs, scales).unwrap();
        store.parameters()["D"]
    };
    for (inputs, wide, narrow) in [
        (39, [2_803_393, 5_606_786, 8_410_179, 11_213_572], [49_369, 234_122, 947_691, 3_751_084]),
        (18, [2_781_889, 5_563_778, 8_345_667, 11_127_556], [46_681, 226_058, 928_875, 0]),
        (9, [2_772_673, 5_545_346, 8_318_019, 11_090_692], [45_529, 222_602, 920_811, 0]),
        (13, [2_776_769, 5_553_538, 8_330_307, 11_107_076], [46_041, 224_138, 924_395, 0]),
        (8, [2_771_649, 5_543_298, 8_314_947, 11_086_596], [45_401, 222_218, 919_915, 0]),
    ] {
        for scales in 1..=4 {
            assert_eq!(
                sized(inputs, "discriminator.width=64", scales),
                wide[scales - 1],
                "{inputs} {scales}"
            );
            if narrow[scales - 1] > 0 {
                assert_eq!(
                    sized(inputs, "discriminator.width=8", scales),
                    narrow[scales - 1],
                    "{inputs} {scales}"
                );
            }
        }
    }
    let street = counts(&config("paper-2048", &[]));
    assert_eq!((street["D"], street["D_T0"] + street["D_T1"]), (11_213_572, 22_214_152));
    for (sets, want) in [
        (&["features.channels=3"][..], 784_259),
        (&["features.channels=3", "features.norm=batch"], 785_667),
        (&["features.channels=3", "features.width=16", "features.downsamplings=4"], 788_803),
        (&["features.channels=16", "features.width=16", "features.downsamplings=4"], 799_008),
    ] {
        assert_eq!(counts(&config("paper-512", sets))["E"], want, "{sets:?}");
    }
}

/// `amp sin(0.37 k + 0.11 n + 0.7 length) + off` (specification, section 11).
fn formula(shape: &[usize], step: f64, length: usize, amp: f64, off: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let value =
        |k: usize| (off + amp * (step * k as f64 + 0.11 * n as f64 + 0.7 * length as f64).sin()) as f32;
    Tensor::from_vec((0..n).map(value).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

fn wave(shape: &[usize], scale: f64) -> Tensor {
    (formula(shape, 0.05, 0, 1.0, 0.0) * scale).unwrap()
}

/// A network whose parameters are those of the formula.
fn filled<T>(network: &str, build: impl Fn(&ParamStore) -> Result<T>) -> T {
    let shapes = ParamStore::init(Rng::new(0), DType::F32, &Device::Cpu);
    build(&shapes).unwrap();
    let mut tensors = shapes.tensors("");
    for (name, shape) in shapes.shapes() {
        let own = name.strip_prefix(&format!("{network}.")).unwrap();
        let tensor = if let [first, second, rows, columns] = shape[..] {
            // Transposed convolutions, which alone double sizes, are the first layers behind blocks in `up` sequences.
            let transposed = own.contains("_up") && !own.contains("conv_block") || is_up(network, own);
            let fan = (if transposed { first } else { second }) * rows * columns;
            formula(&shape, 0.37, own.len(), 1.0 / (fan as f64).sqrt(), 0.0)
        } else {
            formula(&shape, 0.37, own.len(), 0.1, if own.ends_with("weight") { 1.0 } else { 0.0 })
        };
        tensors.insert(name, tensor);
    }
    build(&ParamStore::load(tensors, "a formula", DType::F32, &Device::Cpu).unwrap()).unwrap()
}

/// The encoder's layers 10 and 13 double the size (two halvings at 4 and 7).
fn is_up(network: &str, name: &str) -> bool {
    network == "E" && (name.starts_with("model.10.") || name.starts_with("model.13."))
}

/// Mean, population standard deviation, first, middle and last element.
fn figures(tensor: &Tensor) -> [f64; 5] {
    let v: Vec<f64> = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    let std = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    [mean, std, v[0], v[v.len() / 2], v[v.len() - 1]]
}

fn assert_figures(what: &str, tensor: &Tensor, want: [f64; 5]) {
    let found = figures(tensor);
    let near = found.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-3 * b.abs().max(0.05));
    assert!(near, "{what}: {found:?} is not {want:?}");
}

fn formula_config() -> Config {
    config(
        "tiny",
        &[
            "maps.classes=3",
            "generator.foreground=[1]",
            "generator.scales=2",
            "clip.height=32",
            "clip.width=64",
        ],
    )
}

/// Specification, section 11: G0 and G1 on waves.
#[test]
fn generators_of_the_formula() {
    let config = formula_config();
    assert_eq!(config.generator_inputs(), (12, 6));
    let (maps, past) = (wave(&[1, 12, 32, 64], 1.0), wave(&[1, 6, 32, 64], 0.8));
    let mask: Vec<f32> = (0..32 * 64).map(|at| if at % 64 < 16 { 1.0 } else { 0.0 }).collect();
    let mask = Tensor::from_vec(mask, (1, 1, 32, 64), &Device::Cpu).unwrap();
    let coarse = |t: &Tensor| pyramid(t, 2).unwrap().remove(1);
    assert_figures("pooled maps", &coarse(&maps), [0.016947, 0.226717, 0.002150, -0.027952, -0.317253]);
    assert_figures("pooled mask", &coarse(&mask), [0.260417, 0.430877, 1.0, 1.0, 0.0]);

    let new =
        |scale: usize| filled(&format!("G{scale}"), |store| Generator::new(&store.source(), &config, scale));
    let (g0, g1) = (new(0), new(1));
    let below = g0.prepare(&coarse(&maps), 1, &[], Run::TRAIN).unwrap();
    let m0 = g0.step(&below[0], &coarse(&past), Some(&coarse(&mask)), None, false, Run::TRAIN).unwrap();
    check(
        &m0,
        "G0",
        [
            [0.008084, 0.268499, -0.031992, 0.545794, -0.020481],
            [-1.735532, 10.004332, 5.172344, -7.253851, 1.174822],
            [0.547882, 0.110629, 0.508219, 0.180084, 0.646793],
            [0.002600, 0.393887, -0.031992, 0.545794, 0.111533],
            [0.411943, 0.630312, 0.0, 0.0, 0.0],
            [0.354747, 0.596174, 0.0, 0.0, 0.0],
            [0.305937, 0.560179, 0.797528, 0.724480, 0.0],
        ],
    );
    let own = g1.prepare(&maps, 1, &below, Run::TRAIN).unwrap();
    let m1 = g1.step(&own[0], &past, Some(&mask), Some(&m0), false, Run::TRAIN).unwrap();
    check(
        &m1,
        "G1",
        [
            [-0.004437, 0.318295, -0.293977, -0.118238, -0.776903],
            [-2.117547, 24.042449, 3.585674, 7.904682, 20.392860],
            [0.515858, 0.115086, 0.579630, 0.939587, 0.412953],
            [-0.021052, 0.403751, -0.293977, -0.118238, -0.911405],
            [0.418189, 0.655967, 0.478215, 0.0, 0.0],
            [0.378907, 0.631000, 0.101978, 0.245125, 0.0],
            [0.301658, 0.538406, 0.0, 0.0, 1.334145],
        ],
    );
}

fn check(made: &Generated, name: &str, want: [[f64; 5]; 7]) {
    let parts = [
        ("final", Some(&made.frame)),
        ("flow", made.flow.as_ref()),
        ("mask", made.mask.as_ref()),
        ("raw", Some(&made.raw)),
        ("image features", Some(&made.image_features)),
        ("flow features", made.flow_features.as_ref()),
        ("foreground features", made.foreground_features.as_ref()),
    ];
    for ((part, tensor), want) in parts.into_iter().zip(want) {
        assert_figures(&format!("{name} {part}"), tensor.unwrap(), want);
    }
}

/// Specification, section 11.
#[test]
fn discriminator_and_encoder_of_the_formula() {
    let config = config(
        "tiny",
        &["discriminator.width=8", "features.channels=3", "features.width=4", "features.downsamplings=2"],
    );
    let d = filled("D", |store| Discriminator::new(&store.source(), &config, "D", 7, 2));
    let features = d.forward(&wave(&[2, 7, 32, 64], 1.0), Run::TRAIN).unwrap();
    // Mean, standard deviation, first, last.
    for (size, layer, [mean, std, first, last]) in [
        (0, 0, [0.018043, 0.076868, -0.020691, -0.030550]),
        (0, 1, [0.236144, 0.682471, 0.017613, -0.070546]),
        (0, 2, [0.276777, 0.674512, -0.083980, 0.030650]),
        (0, 3, [0.313837, 0.648207, -0.090097, 0.439065]),
        (0, 4, [0.137265, 0.170638, 0.062700, -0.012506]),
        (1, 0, [0.028847, 0.056410, 0.049309, 0.056933]),
        (1, 4, [0.166572, 0.134453, 0.198774, -0.071992]),
    ] {
        let tensor = &features[size][layer];
        assert_figures(&format!("D {size} {layer}"), tensor, [mean, std, first, figures(tensor)[3], last]);
    }
    let number = |t: Tensor| f64::from(t.to_scalar::<f32>().unwrap());
    assert!((number(vg_vid2vid::loss::least_squares(&features, 1.0).unwrap()) - 1.486108).abs() < 1e-4);
    assert!((number(vg_vid2vid::loss::least_squares(&features, 0.0).unwrap()) - 0.093783).abs() < 1e-4);

    let e = filled("E", |store| Encoder::new(&store.source(), &config));
    let id = |at: usize| match (at / 16, at % 16) {
        (y, x) if y >= 10 && x < 4 => 26_001i64,
        (_, x) if x >= 8 => 7,
        _ => 0,
    };
    let ids = Tensor::from_vec((0..256).map(id).collect::<Vec<_>>(), (1, 16, 16), &Device::Cpu).unwrap();
    let pixels = e.pixels(&wave(&[1, 3, 16, 16], 1.0), Run::TRAIN).unwrap();
    let means = Segments::new(&ids).unwrap().means(&pixels, 0).unwrap();
    for (id, want) in [
        (0, [0.142576, -0.175403, 0.088381]),
        (7, [0.044266, -0.101689, 0.046685]),
        (26_001, [0.071882, -0.099608, 0.011597]),
    ] {
        for (a, b) in means[&id].iter().zip(want) {
            assert!((a - b).abs() < 1e-4, "instance {id}: {:?} is not {want:?}", means[&id]);
        }
    }
}

/// Specification, section 11: a full mask is the foreground, and without warping the frame is the raw one bit for bit.
#[test]
fn limits_of_the_composition() {
    let config = formula_config();
    let g0 = filled("G0", |store| Generator::new(&store.source(), &config, 0));
    let (maps, past) = (wave(&[1, 12, 16, 32], 1.0), wave(&[1, 6, 16, 32], 0.8));
    let prepared = g0.prepare(&maps, 1, &[], Run::TRAIN).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let everywhere = Tensor::ones((1, 1, 16, 32), DType::F32, &Device::Cpu).unwrap();
    let made = g0.step(&prepared[0], &past, Some(&everywhere), None, false, Run::TRAIN).unwrap();
    assert_eq!(values(&made.frame), values(&made.raw));
    for mask in [None, Some(&(&everywhere * 0.3).unwrap())] {
        let made = g0.step(&prepared[0], &past, mask, None, true, Run::TRAIN).unwrap();
        assert_eq!(values(&made.frame), values(&made.raw));
        assert!(made.warped.is_none());
    }
}
