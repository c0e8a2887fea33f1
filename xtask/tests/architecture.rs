//! The arrows between crates and the shape of model crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

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
/// Crates of the project that are no models.
const SHARED: &[&str] = &["vg-core", "vg-data", "vg-metrics", "xtask"];

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
    assert_eq!(crates["vg-data"].uses, core);
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
