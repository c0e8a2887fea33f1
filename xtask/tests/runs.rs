//! Training, sampling and reporting through the program.

mod program;

use program::Place;

/// The fastest run there is.
const TRAIN: &str = "train tgan --preset tiny --samples 4";

#[test]
fn a_run_is_trained_sampled_and_reported() {
    let place = Place::new();
    let ended = place.good(&format!("{TRAIN} --steps 6 --sample-every 3 --checkpoint-every 2"));
    let run = "runs/0001-tgan-shapes";
    for part in
        ["finished at step 6 of 6", "samples.gif", "report.html", "step-000006", "cargo xtask sample runs/"]
    {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stderr.contains('\u{1b}'), "colour without a terminal: {}", ended.stderr);
    assert_eq!(place.names(&format!("{run}/samples")), ["step-000003.gif", "step-000006.gif"]);
    let checkpoints = place.names(&format!("{run}/checkpoints"));
    assert_eq!(checkpoints, ["step-000002", "step-000004", "step-000006"]);
    assert_eq!(place.text(&format!("{run}/stats.jsonl")).lines().count(), 6);
    let record = &Place::json(&place.text(&format!("{run}/run.json")).replace('\n', " "))[0];
    assert_eq!(
        (&record["model"], &record["preset"], &record["seed"]),
        (&"tgan".into(), &"tiny".into(), &0.into())
    );

    place.good(&format!("sample {run} --num 4 --out all.gif"));
    assert_eq!(
        place.bytes("all.gif"),
        place.bytes(&format!("{run}/samples.gif")),
        "same weights, same seeds"
    );
    place.good(&format!("sample {run}/checkpoints/step-000004 --num 2 --out two.png"));
    assert!(place.bytes("two.png").starts_with(b"\x89PNG"));
    std::fs::create_dir(place.join("weights")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::write(
            place.join("weights").join(name),
            place.bytes(&format!("{run}/checkpoints/step-000006/{name}")),
        )
        .unwrap();
    }
    let ended = place.good("sample weights --num 4 --json --out published.gif");
    assert_eq!(Place::json(&ended.stdout)[0]["clips"], 4);
    assert_eq!(place.bytes("published.gif"), place.bytes("all.gif"));

    std::fs::remove_file(place.join(&format!("{run}/report.html"))).unwrap();
    place.good(&format!("report {run}"));
    let page = place.text(&format!("{run}/report.html"));
    for part in
        ["<svg", "data:image/gif;base64,", "prefers-color-scheme", "checkpoints/step-000006", "as the preset"]
    {
        assert!(page.contains(part), "{part} is not on the page");
    }
    for part in ["http://", "https://", "src=\"s", "NaN"] {
        assert!(!page.contains(part), "{part} is on the page");
    }
}

#[test]
fn the_same_seed_gives_the_same_clip_in_any_company() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 2 --out run"));
    place.good("sample run --num 3 --seed 7 --out many.apng");
    place.good("sample run --num 1 --seed 9 --out one.png --scale 1");
    place.good("sample run --num 3 --seed 7 --out sheet.png --scale 1 --threads 1");
    let (one, sheet) = (pixels(&place.bytes("one.png")), pixels(&place.bytes("sheet.png")));
    assert_eq!(sheet[sheet.len() - one.len()..], one[..]);
}

/// Rows of an 8-bit PNG.
fn pixels(png: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut rows = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut rows).unwrap();
    rows
}

#[test]
fn a_dry_run_tells_everything_and_writes_nothing() {
    let place = Place::new();
    let ended = place.good(&format!("{TRAIN} --dry-run --steps 7 --set train.lr=0.5 --batch 3"));
    for part in [
        "train.lr: 0.00005 -> 0.5",
        "train.batch: 4 -> 3",
        "16 frames of 16x16x3",
        "steps       7",
        "runs/0001-tgan-shapes",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    let ended = place.good(&format!("{TRAIN} --dry-run --json"));
    assert_eq!(Place::json(&ended.stdout)[0]["run"]["schedule"]["steps"], 1000);
    assert!(place.names(".").is_empty());
}

#[test]
fn runs_are_numbered_and_folders_in_use_are_refused() {
    let place = Place::new();
    let mut children: Vec<_> = (0..3).map(|_| place.spawn(&format!("{TRAIN} --steps 1"))).collect();
    assert!(children.iter_mut().all(|c| c.wait().unwrap().success()));
    let names = ["0001-tgan-shapes", "0002-tgan-shapes", "0003-tgan-shapes"];
    assert_eq!(place.names("runs"), names, "processes that start together share no folder");
    let before = place.bytes("runs/0002-tgan-shapes/run.json");
    place.error(
        &format!("{TRAIN} --out runs/0002-tgan-shapes"),
        &["not empty", "--resume runs/0002-tgan-shapes"],
    );
    assert_eq!(place.bytes("runs/0002-tgan-shapes/run.json"), before);
}

#[test]
fn events_come_as_json_lines() {
    let place = Place::new();
    let ended = place.good(&format!("{TRAIN} --steps 4 --json --out run"));
    let events: Vec<String> =
        Place::json(&ended.stdout).iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect();
    for name in ["start", "step", "samples", "checkpoint", "end"] {
        assert!(events.iter().any(|e| e == name), "{name} is not in {events:?}");
    }
    assert_eq!(events.iter().filter(|e| *e == "step").count(), 4);
}

#[test]
fn a_long_run_without_a_terminal_prints_few_lines() {
    let place = Place::new();
    let ended = place.good(&format!("{TRAIN} --steps 200 --sample-every 0 --checkpoint-every 0 --out run"));
    let lines = ended.stderr.lines().filter(|l| l.starts_with("step ")).count();
    assert!((20..=50).contains(&lines), "{lines} lines");
}

#[test]
fn a_config_file_names_its_preset_and_what_a_run_wrote_can_be_used_again() {
    let place = Place::new();
    std::fs::write(place.join("my.toml"), "preset = \"tiny\"\n[train]\nlr = 0.001\n").unwrap();
    place.good("train tgan --config my.toml --steps 1 --samples 1 --out first");
    place.good("train tgan --config first/config.toml --steps 1 --samples 1 --out second");
    assert_eq!(place.bytes("first/config.json"), place.bytes("second/config.json"));
    assert_eq!(
        place.bytes("first/checkpoints/step-000001/model.safetensors"),
        place.bytes("second/checkpoints/step-000001/model.safetensors")
    );
}

#[test]
fn a_half_finished_run_has_a_report() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 1 --out run"));
    for name in ["stats.jsonl", "config.json", "samples.gif"] {
        std::fs::remove_file(place.join("run").join(name)).unwrap();
    }
    for name in ["samples", "checkpoints"] {
        std::fs::remove_dir_all(place.join("run").join(name)).unwrap();
    }
    place.good("report run");
    assert!(place.text("run/report.html").contains("no step has been made yet"));
}

#[test]
fn content_and_motion_are_steered_apart() {
    let place = Place::new();
    place.good("train mocogan --preset tiny --samples 1 --steps 1 --out run");
    let ended = place.good("sample run --grid content=2,motion=3 --out swap.gif --json");
    let line = &Place::json(&ended.stdout)[0];
    assert_eq!((&line["clips"], &line["files"][1]), (&6.into(), &"swap.png".into()));
    // Three columns of four frames each, 64 pixels wide, with gaps of 2.
    let png = png::Decoder::new(std::io::Cursor::new(place.bytes("swap.png"))).read_info().unwrap();
    assert_eq!((png.info().width, png.info().height), (3 * 4 * 64 + 2 * 2, 2 * 64 + 2));
    assert!(place.bytes("swap.gif").starts_with(b"GIF89a"));

    let clip = |arguments: &str| {
        place.good(&format!("sample run --num 1 --out one.png {arguments}"));
        pixels(&place.bytes("one.png"))
    };
    assert_eq!(clip("--seed 3 --fix content=5"), clip("--seed 3 --fix content=5"));
    assert_ne!(clip("--seed 3 --fix content=5"), clip("--seed 3 --fix content=6"));
    assert_ne!(clip("--class 0"), clip("--class 1"));
    assert_ne!(clip("--class 0 --switch 8:1"), clip("--class 0"));
    assert_ne!(clip("--speed 2"), clip("--speed 1"));
    place.error("sample run --fix conten=5", &["did you mean \"content\"?"]);
    place.error("sample run --grid content=2", &["STREAM=ROWS,STREAM=COLUMNS"]);
    place.error("sample run --classes 0,3", &["classes 0 to 1"]);
    place.error("sample run --switch 16:1", &["frames 1 to 15"]);
    place.good(&format!("{TRAIN} --steps 1 --out other"));
    place.error("sample other --speed 2", &["cannot change the speed"]);
    place.error("sample other --grid content=2,motion=2", &["no random streams"]);
}
