//! The arrows between crates and the shape of model crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Files that every model crate has.
const FILES: &[&str] = &[
    "README.md",
    "src/lib.rs",
    "src/config.rs",
    "src/loss.rs",
    "src/train.rs",
    "src/sample.rs",
    "src/convert.rs",
    "tests/conformance.rs",
    "tests/parity.rs",
    "benches/step.rs",
    "examples/sample.rs",
];
/// Networks are named by the paper: one of these pairs at least.
const NETWORKS: &[[&str; 2]] =
    &[["src/generator.rs", "src/discriminator.rs"], ["src/encoder.rs", "src/decoder.rs"]];
/// Where `unsafe` code may be, from the root of the repository: folders of kernels, kernels beside other code, file mapping, the symbol
/// that jemalloc reads, the environment that candle reads. A new entry needs a reason in its commit, and a kernel a run of `scripts/check-kernels`.
const UNSAFE: &[&str] = &[
    "crates/vg-core/src/ops/activation_sum.rs",
    "crates/vg-core/src/ops/batch_norm/",
    "crates/vg-core/src/ops/conv/",
    "crates/vg-core/src/ops/gates/",
    "crates/vg-core/src/ops/kernel/",
    "crates/vg-core/src/ops/matmul.rs",
    "crates/vg-core/src/ops/matmul/blocked.rs",
    "crates/vg-core/src/ops/norm/pixel.rs",
    "crates/vg-core/src/ops/pool/max.rs",
    "crates/vg-core/src/ops/reduce.rs",
    "crates/vg-core/src/ops/resample/cpu.rs",
    "crates/vg-core/src/ops/softmax.rs",
    "crates/vg-core/src/ops/threads.rs",
    "crates/vg-data/src/cache/store.rs",
    "crates/vg-flow/src/simd.rs",
    "xtask/src/allocator.rs",
    "xtask/src/threads.rs",
];
/// Crates of the project that are no models.
const SHARED: &[&str] = &["vg-core", "vg-data", "vg-flow", "vg-metrics", "xtask"];

struct Crate {
    folder: PathBuf,
    /// Crates of the project that it is built with.
    uses: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Crate> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let names: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    let uses = |p: &cargo_metadata::Package| {
        let built = p.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
        built.map(|d| d.name.clone()).filter(|n| names.contains(n)).collect()
    };
    let of = |p: &cargo_metadata::Package| {
        let folder = p.manifest_path.parent().unwrap().as_std_path().to_path_buf();
        (p.name.to_string(), Crate { folder, uses: uses(p) })
    };
    metadata.packages.iter().map(of).collect()
}

fn models(crates: &BTreeMap<String, Crate>) -> impl Iterator<Item = (&String, &Crate)> {
    crates.iter().filter(|(name, _)| !SHARED.contains(&name.as_str()))
}

#[test]
fn arrows_point_to_the_core_alone() {
    let crates = crates();
    assert!(crates["vg-core"].uses.is_empty(), "vg-core uses {:?}", crates["vg-core"].uses);
    let core = BTreeSet::from(["vg-core".to_owned()]);
    assert!(crates["vg-flow"].uses.is_subset(&core), "vg-flow uses {:?}", crates["vg-flow"].uses);
    let data = BTreeSet::from(["vg-core".to_owned(), "vg-flow".to_owned()]);
    assert!(crates["vg-data"].uses.is_subset(&data), "vg-data uses {:?}", crates["vg-data"].uses);
    if let Some(metrics) = crates.get("vg-metrics") {
        assert_eq!(metrics.uses, core);
    }
    for (name, model) in models(&crates) {
        assert_eq!(model.uses, core, "{name} must use vg-core alone");
    }
    for (name, one) in &crates {
        assert!(!one.uses.contains("xtask"), "{name} uses xtask");
    }
}

#[test]
fn model_crates_have_one_shape() {
    let crates = crates();
    let mut missing = Vec::new();
    for (name, model) in models(&crates) {
        let has = |file: &str| model.folder.join(file).is_file();
        missing.extend(FILES.iter().filter(|f| !has(f)).map(|f| format!("{name}/{f}")));
        if !NETWORKS.iter().any(|pair| pair.iter().all(|f| has(f))) {
            missing.push(format!("{name}: the files of its networks"));
        }
        assert!(name.starts_with("vg-") && model.folder.ends_with(name), "{name}: folder = package name");
    }
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn every_model_is_registered() {
    let registry = include_str!("../src/registry.rs");
    for (name, _) in models(&crates()) {
        let entry = format!("{}::ENTRY", name.replace('-', "_"));
        assert!(registry.contains(&entry), "{entry} is not in xtask/src/registry.rs");
    }
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line of code, without its comment, has the word `unsafe`.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
}

#[test]
fn unsafe_code_is_in_the_listed_files_alone() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap();
    let mut files = Vec::new();
    for package in crates().values() {
        for folder in ["src", "examples"] {
            sources(&package.folder.join(folder), &mut files);
        }
    }
    assert!(files.len() > 100, "{files:?}");
    let mut unused: BTreeSet<&str> = UNSAFE.iter().copied().collect();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let Some(line) = text.lines().position(is_unsafe) else { continue };
        let name = file.canonicalize().unwrap();
        let name = name.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let place = UNSAFE.iter().find(|p| name == **p || p.ends_with('/') && name.starts_with(**p));
        let place = place
            .unwrap_or_else(|| panic!("{name}:{}: unsafe code outside of the files in UNSAFE", line + 1));
        unused.remove(place);
    }
    assert!(unused.is_empty(), "no unsafe code any more in {unused:?}");
}
