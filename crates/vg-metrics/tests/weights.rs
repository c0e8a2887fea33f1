//! Reading published files of weights, and converting them to ours.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;
use vg_metrics::weights::{self, Network};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn each_form_is_read() {
    let torch = ["a", "b", "h", "t"].as_slice();
    let cases = [
        ("legacy.pth", "", torch),
        ("archive.pth", "state_dict.x.", torch),
        ("arrays.npz", "", &["a", "b"]),
        ("compressed.npz", "", &["a", "b"]),
        ("arrays-3.pickle", "x/", &["a", "b"]),
        ("arrays-4.pickle", "x/", &["a", "b"]),
    ];
    for (name, prefix, names) in cases {
        let tensors = weights::read(file(name)).unwrap();
        let expected: Vec<String> = names.iter().map(|n| format!("{prefix}{n}")).collect();
        assert_eq!(tensors.keys().cloned().collect::<Vec<_>>(), expected, "{name}");
        let tensor = |n: &str| &tensors[&format!("{prefix}{n}")];
        assert_eq!(tensor("a").dims(), [2, 3]);
        assert_eq!(flat(tensor("a")), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(flat(tensor("b")), [1.0, 0.5]);
        if names.len() > 2 {
            assert_eq!(tensor("t").dims(), [3, 2]);
            assert_eq!(flat(tensor("t")), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
            assert_eq!(flat(tensor("h")), [1.5, -2.0]);
        }
    }
}

#[test]
fn damaged_files_are_errors_that_name_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    let write = |data: &[u8]| std::fs::write(&path, data).unwrap();
    for name in
        ["legacy.pth", "archive.pth", "arrays.npz", "compressed.npz", "arrays-3.pickle", "arrays-4.pickle"]
    {
        let whole = std::fs::read(file(name)).unwrap();
        for cut in (0..whole.len() - 1).step_by(7) {
            write(&whole[..cut]);
            let message = weights::read(&path).unwrap_err().to_string();
            assert!(message.contains("damaged"), "{message}");
        }
        for at in (0..whole.len()).step_by(2) {
            for value in [0x00, 0xff, b'R'] {
                let mut data = whole.clone();
                data[at] = value;
                write(&data);
                // A changed number is no error; a panic or a huge allocation would be.
                let _ = weights::read(&path);
            }
        }
    }
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let message = |path: &Path| weights::read(path).unwrap_err().to_string();
    assert!(message(&file("program.pt")).contains("TorchScript"), "{}", message(&file("program.pt")));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x");
    for (data, reason) in [
        (&b"\x1f\x8b\x08"[..], "unpack it"),
        (b"", "empty"),
        (b"\x80\x02}.", "no floating-point tensors"),
        (b"hello, world", "not a file of weights"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "a call of os.system, which is not made"),
        (b"\x08\0\0\0\0\0\0\0{\"a\":1}", "x: "),
        (b"\xff\xff\xff\xff\x7f\0\0\0{", "x: "),
    ] {
        std::fs::write(&path, data).unwrap();
        assert!(message(&path).contains(reason), "{} should hold {reason:?}", message(&path));
    }
    assert!(message(&folder.path().join("none")).contains("reading"));
}

#[test]
fn a_missing_network_names_the_command() {
    let folder = TempDir::new().unwrap();
    let message = |network| weights::open(network, folder.path()).unwrap_err().to_string();
    assert!(message(Network::I3d).contains("`cargo xtask download i3d`"), "{}", message(Network::I3d));
    assert!(
        message(Network::C3d).contains("`cargo xtask download c3d --from FILE`"),
        "{}",
        message(Network::C3d)
    );
}

fn save(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let tensors: HashMap<String, Tensor> = tensors.clone().into_iter().collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// Tensors with the names and shapes of a network.
fn made_up(network: Network) -> BTreeMap<String, Tensor> {
    let one =
        |(name, shape): (String, Vec<usize>)| (name, Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap());
    network.layout().unwrap().into_iter().map(one).collect()
}

#[test]
fn conversion_is_repeatable_and_what_it_writes_is_checked() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut tensors = made_up(Network::AlexNet);
    let extra = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
    tensors.insert("classifier.1.weight".to_owned(), extra.clone());
    let path = from.path().join("alexnet.safetensors");
    save(&path, &tensors);
    let written = weights::convert(Network::AlexNet, from.path(), to.path()).unwrap();
    let first = std::fs::read(&written).unwrap();
    weights::convert(Network::AlexNet, &path, to.path()).unwrap();
    assert_eq!(first, std::fs::read(&written).unwrap());
    let opened = weights::open(Network::AlexNet, to.path()).unwrap();
    // The hash is that of the tensors: where they come from does not matter.
    let (renamed, elsewhere) = (from.path().join("mine.bin"), to.path().join("elsewhere"));
    std::fs::copy(&path, &renamed).unwrap();
    weights::convert(Network::AlexNet, &renamed, &elsewhere).unwrap();
    assert_eq!(weights::open(Network::AlexNet, &elsewhere).unwrap().sha256(), opened.sha256());
    let mut other = tensors.clone();
    other.insert("features.0.bias".to_owned(), Tensor::zeros(64, DType::F32, &Device::Cpu).unwrap());
    save(&renamed, &other);
    weights::convert(Network::AlexNet, &renamed, &elsewhere).unwrap();
    assert_ne!(weights::open(Network::AlexNet, &elsewhere).unwrap().sha256(), opened.sha256());
    assert!(!opened.tensors().contains_key("classifier.1.weight"));
    assert_eq!(opened.sha256().len(), 64);

    // One network's file under the name of another, then damage.
    std::fs::copy(&written, to.path().join("vgg16.safetensors")).unwrap();
    let message = weights::open(Network::Vgg16, to.path()).unwrap_err().to_string();
    assert!(message.contains("expected the network vgg16") && message.contains("got alexnet"), "{message}");
    std::fs::write(&written, &first[..first.len() - 1]).unwrap();
    let message = weights::open(Network::AlexNet, to.path()).unwrap_err().to_string();
    assert!(message.contains("delete it and run `cargo xtask download alexnet"), "{message}");
    std::fs::copy(&path, &written).unwrap();
    let message = weights::open(Network::AlexNet, to.path()).unwrap_err().to_string();
    assert!(message.contains("not weights converted by this program"), "{message}");

    // Everything that does not fit is named, and nothing is written.
    tensors.remove("features.0.bias");
    tensors.insert("features.3.bias".to_owned(), extra.clone());
    tensors.insert("features.99.bias".to_owned(), extra);
    save(&path, &tensors);
    let other = to.path().join("other");
    let message = weights::convert(Network::AlexNet, &path, &other).unwrap_err().to_string();
    for part in ["features.0.bias is missing", "features.3.bias is [2, 2]", "features.99.bias is unexpected"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert!(!other.exists());
}

#[test]
fn every_type_of_floating_point_numbers_is_converted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("alexnet.safetensors");
    let convert = |tensors: &BTreeMap<String, Tensor>| {
        save(&path, tensors);
        weights::convert(Network::AlexNet, &path, folder.path().join("to")).unwrap();
        weights::open(Network::AlexNet, folder.path().join("to")).unwrap().sha256().to_owned()
    };
    let tensors = made_up(Network::AlexNet);
    let single = convert(&tensors);
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        let mut other: BTreeMap<String, Tensor> =
            tensors.iter().map(|(name, t)| (name.clone(), t.to_dtype(dtype).unwrap())).collect();
        // Whole numbers are no weights.
        other.insert("features.0.num_batches_tracked".to_owned(), Tensor::new(3_i64, &Device::Cpu).unwrap());
        assert_eq!(convert(&other), single, "{dtype:?}");
    }
    let header = format!(r#"{{"a":{{"dtype":"F32","shape":[0,{0},{0}],"data_offsets":[0,0]}}}}"#, usize::MAX);
    std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    assert!(weights::read(&path).unwrap_err().to_string().contains("alexnet.safetensors"));
}

#[test]
fn other_weights_of_the_same_shape_are_refused() {
    let folder = TempDir::new().unwrap();
    let tensors = made_up(Network::LpipsHeads);
    for net in ["alex", "vgg"] {
        let part = tensors
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(net)?.strip_prefix('.')?.to_owned(), t.clone())));
        save(&folder.path().join(format!("{net}.pth")), &part.collect());
    }
    let message =
        weights::convert(Network::LpipsHeads, folder.path(), folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("not the known weights of lpips-heads") && message.contains("lpips 0.1.4"),
        "{message}"
    );
    std::fs::remove_file(folder.path().join("vgg.pth")).unwrap();
    let message =
        weights::convert(Network::LpipsHeads, folder.path(), folder.path()).unwrap_err().to_string();
    assert!(message.contains("vgg.pth is missing"), "{message}");
}

#[test]
fn networks_have_names() {
    for network in Network::ALL {
        assert_eq!(Network::find(network.name()).unwrap(), network);
        assert!(!network.files().is_empty() && !network.title().is_empty() && !network.place().is_empty());
    }
    assert!(Network::find("i3b").unwrap_err().to_string().contains("did you mean \"i3d\"?"));
}
