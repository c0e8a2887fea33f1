//! The committed help texts, and what `models`, `datasets` and `ci` list.

mod program;

use program::Place;

#[test]
fn committed_help_texts_are_the_real_ones() {
    let place = Place::new();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/help");
    let ended = place.run(&format!("help-text --check {committed}"));
    assert_eq!(ended.code, Some(0), "run `cargo xtask help-text --write docs/help`: {}", ended.stderr);
    place.good("help-text --write texts");
    let names = place.names("texts");
    let committed_names: Vec<String> = {
        let entries = std::fs::read_dir(committed).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names, committed_names, "a text without a command, or the other way round");
    for name in names {
        assert!(place.text(&format!("texts/{name}")).contains("cargo xtask "), "{name} shows how to call it");
    }
}

#[test]
fn every_command_shows_examples() {
    let place = Place::new();
    let overview = place.good("--help").stdout;
    for name in
        ["models", "datasets", "stabilize", "train", "sample", "eval", "report", "parity", "bench", "ci"]
    {
        assert!(overview.contains(name), "{name} is not in the overview");
        assert!(place.good(&format!("{name} --help")).stdout.contains("Examples:"), "{name}");
    }
    for name in ["ops", "compare", "record", "plot"] {
        assert!(place.good("bench --help").stdout.contains(name), "{name} is not in the overview of bench");
        assert!(place.good(&format!("bench {name} --help")).stdout.contains("Examples:"), "{name}");
    }
}

#[test]
fn models_and_data_sets_are_listed() {
    let place = Place::new();
    let models = Place::json(&place.good("models --json").stdout);
    assert!(models.iter().any(|m| m["name"] == "tgan"));
    for model in &models {
        let tiny = model["presets"].as_array().unwrap().iter().find(|p| p["name"] == "tiny").unwrap();
        assert!(tiny["parameters"].as_u64().unwrap() > 0, "{model}");
    }
    assert!(place.good("models").stdout.contains("arXiv:1611.06624"));
    let sets = Place::json(&place.good("datasets --json").stdout);
    assert!(sets.iter().any(|s| s["name"] == "shapes"));
    assert!(place.good("ci --list").stdout.lines().count() >= 4);
}

#[test]
fn a_benchmark_has_the_fields_of_its_peers() {
    let place = Place::new();
    let ended = place.good("bench tgan --preset tiny --steps 2 --threads 1 --json");
    let line = &Place::json(&ended.stdout)[0];
    for field in [
        "model",
        "preset",
        "batch",
        "threads",
        "dtype",
        "device",
        "load1",
        "step_secs",
        "sample_secs",
        "steps",
        "peak_rss_mib",
        "step_rss_mib",
        "import_rss_mib",
        "parameters",
        "config",
        "version",
    ] {
        assert!(!line[field].is_null() || cfg!(not(target_os = "linux")), "{field} is missing in {line}");
    }
    assert!(line["step_secs"].as_f64().unwrap() > 0.0);
    assert_eq!(line["batch"], line["config"]["train"]["batch"]);
}

#[test]
fn parity_tells_good_from_worse() {
    let place = Place::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/vg-tgan/tests/fixtures");
    let ended = place.good(&format!("parity tgan {fixtures}/tgan.safetensors"));
    assert!(ended.stdout.contains(" ok ") && !ended.stdout.contains("FAIL"), "{ended:?}");
    let ended = place.good(&format!("parity tgan {fixtures}/tgan.safetensors --dtype f32 --json"));
    assert_eq!(Place::json(&ended.stdout)[0]["ok"], true);
    // The same file with one number changed.
    let mut bytes = std::fs::read(format!("{fixtures}/tgan.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let (name, loss) =
        tensors.as_object().unwrap().iter().find(|(name, _)| name.starts_with("loss.")).unwrap();
    let at = 8 + header + loss["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 4].copy_from_slice(&123.0f32.to_le_bytes());
    std::fs::write(place.join("changed.safetensors"), bytes).unwrap();
    let ended = place.run("parity tgan changed.safetensors");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("FAIL") && ended.stdout.contains(name.as_str()), "{ended:?}");
    std::fs::write(place.join("cut.safetensors"), [1, 2, 3]).unwrap();
    place.error("parity tgan cut.safetensors", &["cut.safetensors", "not a fixture"]);
}
