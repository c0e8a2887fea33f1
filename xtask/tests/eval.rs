//! `cargo xtask eval` on folders of small clips.

mod program;

use program::Place;

/// `count` GIFs of `frames` frames of 32x32 pixels, a square that moves; `shade` is its grey level.
fn folder(place: &Place, name: &str, count: usize, frames: usize, shade: u8) {
    std::fs::create_dir_all(place.join(name)).unwrap();
    for k in 0..count {
        let path = place.join(name).join(format!("{k:03}.gif"));
        let palette = [0, 0, 0, shade, shade, shade];
        let mut encoder = gif::Encoder::new(std::fs::File::create(path).unwrap(), 32, 32, &palette).unwrap();
        for t in 0..frames {
            let inside = |i: usize| (i % 32).abs_diff(t + 4 * k + 4) < 4 && (i / 32).abs_diff(12) < 6;
            let pixels = (0..32 * 32).map(|i| u8::from(inside(i))).collect::<Vec<_>>();
            encoder.write_frame(&gif::Frame::from_indexed_pixels(32, 32, pixels, None)).unwrap();
        }
    }
}

#[test]
fn pairs_and_sets_are_measured() {
    let place = Place::new();
    folder(&place, "real", 3, 5, 200);
    folder(&place, "fake", 3, 5, 149);
    let call = "eval --real real --fake fake --metrics psnr,ssim-finn,swd,motion,frozen --json";
    let ended = place.good(call);
    // Metrics that look at the same share a pass.
    for pass in ["psnr, ssim-finn: 6 clips", "swd: 6 clips", "motion, frozen: 3 clips"] {
        assert!(ended.stderr.contains(pass), "{ended:?}");
    }
    let lines = Place::json(&ended.stdout);
    let names: Vec<&str> = lines.iter().map(|l| l["metric"].as_str().unwrap()).collect();
    assert_eq!(names, ["psnr", "ssim-finn", "swd", "motion", "frozen"]);
    // A square of 7 x 11 pixels, 51 of 255 levels darker; motion differs in two columns of 11 pixels.
    let psnr = -10.0 * (77.0 / 1024.0 * 0.04f64).log10();
    assert!((lines[0]["value"].as_f64().unwrap() - psnr).abs() < 1e-9, "{}", lines[0]);
    assert_eq!((&lines[0]["num_real"], &lines[0]["num_fake"]), (&3.into(), &3.into()));
    assert_eq!(lines[0]["clip"], serde_json::json!([5, 32, 32]));
    assert_eq!((&lines[0]["real"], &lines[0]["fake"]), (&"real".into(), &"fake".into()));
    assert!(lines[0]["network_sha256"].is_null());
    assert!(lines[2]["value"].as_f64().unwrap() > 0.0);
    let motion = 22.0 / 1024.0 * (149.0f64 / 255.0).powi(2);
    assert!((lines[3]["value"].as_f64().unwrap() - motion).abs() < 1e-9, "{}", lines[3]);
    assert_eq!((&lines[3]["num_real"], &lines[3]["real"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(lines[4]["value"], 0.0);
    assert_eq!(place.good(call).stdout, ended.stdout, "the same seed, the same values");

    let same = place.good("eval --real real --fake real --metrics psnr,swd --num 2 --frames 4");
    let lines: Vec<&str> = same.stdout.lines().collect();
    assert!(
        lines[0].contains("infinite") && lines[0].contains("2 real, 2 fake, 4 frames of 32x32"),
        "{same:?}"
    );
    assert!(lines[0].contains("8 frames infinite and not in the value"), "{same:?}");
    assert_eq!(lines[1], "    network none, stride 1, resize none, seed 0");
    assert_eq!(lines[2], "    real against real");
    assert!(lines[3].contains("  0  (2 real, 2 fake, 1 frame of 32x32)"), "{same:?}");
    let order = place.good("eval --real real --fake fake --metrics psnr,motion,ssim-svg,psnr --json");
    let names: Vec<_> = Place::json(&order.stdout).iter().map(|line| line["metric"].clone()).collect();
    assert_eq!(names, ["psnr", "motion", "ssim-svg"], "the order asked for, each once");
    let alone = place.good("eval --fake fake --metrics diversity");
    assert!(alone.stdout.contains("(3 fake, 5 frames of 32x32)"), "{alone:?}");
}

#[test]
fn mistakes_are_named_before_anything_is_measured() {
    let place = Place::new();
    folder(&place, "real", 3, 5, 200);
    folder(&place, "fake", 2, 5, 149);
    folder(&place, "short", 1, 3, 149);
    let both = "eval --real real --fake fake --metrics";
    place.error(&format!("{both} fdv"), &["no metric \"fdv\"", "did you mean \"fvd\"?"]);
    place.error(&format!("{both} psnr,fvd"), &["network i3d is missing", "`cargo xtask download i3d`"]);
    place.error("eval --fake fake --metrics psnr", &["psnr compares with real clips", "hint: ", "--real"]);
    place.error("eval --fake nowhere --metrics motion", &["nowhere"]);
    place.error("eval nowhere --metrics motion", &["nowhere does not exist"]);
    place.error("eval --metrics motion", &["<DIR|--fake", "required"]);
    place.error("eval --control half --metrics motion", &["--data"]);
    let control = "eval --data shapes --split test --control";
    place.error(
        &format!("{control} half --metrics motion --num 501"),
        &["1000 clips", "1002 are needed", "--num"],
    );
    place.error(&format!("{both} psnr --num 3"), &["--num 3: fake has 2 clips"]);
    place.error(&format!("{both} psnr"), &["clips of the fake set", "2 given, at least 3 needed", "hint: "]);
    // Before anything is decoded, whichever metric comes first.
    for metric in ["swd", "motion,psnr"] {
        let ended =
            place.error(&format!("{both} {metric}"), &["set for those of the real set: 2 given, at least 3"]);
        assert!(!ended.stderr.contains("clips\n"), "{ended:?}");
    }
    place.error(
        "eval --real real --fake short --num 1 --metrics ssim-finn",
        &["clip short/000.gif: expected 5 x 32 x 32 x 3", "as clip real/000.gif", "hint: "],
    );
    place.error("eval --fake fake --metrics motion --frames 9", &["clip fake/000.gif: 5 given, at least 9"]);
    place.error(
        "eval --fake fake --metrics motion --frames 1",
        &["motion: frames of clip fake/000.gif: 1 given"],
    );
    place.error("eval --fake short --metrics diversity", &["1 given, at least 2 needed"]);
    let whole = place.bytes("fake/000.gif");
    std::fs::write(place.join("fake/000.gif"), &whole[..whole.len() / 2]).unwrap();
    place.error("eval --fake fake --metrics motion", &["fake/000.gif"]);
    std::fs::rename(place.join("real/000.gif"), place.join("real/zero.gif")).unwrap();
    let ended = place.good("eval --real real --fake real --metrics psnr");
    assert!(!ended.stderr.contains("different names"), "{ended:?}");
    let ended = place.good("eval --real real --fake short --metrics psnr --num 1 --frames 3");
    assert!(ended.stderr.contains("warning: psnr: pairs have different names, such as 001.gif and 000.gif"));
}

#[test]
fn a_model_is_measured_against_a_data_set() {
    let place = Place::new();
    place.good("train tgan --preset tiny --samples 0 --steps 2");
    let run = "runs/0001-tgan-shapes";
    let call =
        format!("eval {run} --data shapes --metrics fvd-vg,is-vg,acd-c-shapes --num 12 --seed 5 --json");
    let first = place.good(&call);
    let lines = Place::json(&first.stdout);
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["num_real"], &lines[0]["num_fake"]), (&12.into(), &12.into()));
    assert_eq!(lines[0]["clip"], serde_json::json!([16, 16, 16]));
    assert_eq!(lines[0]["real"], "shapes (train)");
    assert!(lines[0]["fake"].as_str().unwrap().contains("step-000002"), "{}", lines[0]);
    assert_eq!(lines[0]["network_sha256"].as_str().unwrap().len(), 64);
    assert!(lines[0]["value"].as_f64().unwrap() > 0.0);
    assert_eq!(place.names("data/cache/metrics").len(), 1, "statistics of the real clips are kept");
    assert_eq!(place.good(&call).stdout, first.stdout, "and give the same values");

    let half = format!("eval {run} --data shapes --metrics fvd-vg --num 12 --stride 2 --json");
    let line = &Place::json(&place.good(&half).stdout)[0];
    assert_eq!(line["clip"], serde_json::json!([8, 16, 16]), "every second frame of the model");
    assert_eq!(line["stride"], 2);
    assert_eq!(line["real"], "shapes (train, every 2. frame)");

    let pairs = format!("eval {run} --data shapes --metrics psnr --num 4");
    place.error(&pairs, &["psnr compares each clip with its true one", "--real TRUE --fake PREDICTED"]);
    let last = format!("eval {run} --metrics motion --num 4 --seed 18446744073709551613");
    place.error(&last, &["there are no 4 seeds"]);
    let people = place.good(&format!("eval {run} --data shapes --metrics fvd-vg --num 12"));
    assert!(people.stdout.contains("step-000002 against shapes (train)"), "{people:?}");

    let control = |kind: &str| {
        let call = format!("eval --data shapes --control {kind} --metrics fvd-vg --num 24 --json");
        Place::json(&place.good(&call).stdout)[0]["value"].as_f64().unwrap()
    };
    let [same, half, frozen] = ["same", "half", "frozen"].map(control);
    assert!(same < 1e-6 && half > same && frozen > half, "{same} {half} {frozen}");
}

#[test]
fn a_leaderboard_trains_measures_and_goes_on() {
    let place = Place::new();
    let call = "leaderboard tgan:tiny --num 8 --metrics fvd-vg,motion --curve --out board --budget";
    place.error(&format!("{call} 1s tgan:tiny"), &["tgan:tiny is named twice"]);
    place.error(&format!("{call} 1s --set vgan.x=1"), &["no model that is trained here"]);
    place.error("leaderboard nowhere", &["nowhere"]);
    let ended = place.good(&format!("{call} 2s"));
    for part in
        ["| data set |", "| tgan:tiny |", "fvd-vg (lower)", "motion (as real)", "board/leaderboard.html"]
    {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    let names = place.names("board");
    for name in [
        "leaderboard.md",
        "leaderboard.html",
        "leaderboard.jsonl",
        "fvd-vg.svg",
        "curve.jsonl",
        "tgan-tiny",
        "tgan-tiny.gif",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
    let page = place.text("board/leaderboard.html");
    for part in ["data:image/gif;base64,", "tgan:tiny", "<svg", "minutes of training", "Motion energy"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    let stats = place.text("board/tgan-tiny/stats.jsonl");
    // It has had more than this already.
    let again = place.good(&format!("{call} 100ms --json"));
    assert!(again.stderr.contains("tgan:tiny is trained already"), "{again:?}");
    assert_eq!(place.text("board/tgan-tiny/stats.jsonl"), stats);
    assert_eq!(Place::json(&again.stdout).len(), 4);
    place.error(
        &format!("{call} 2s --seed 1"),
        &["board/tgan-tiny was trained otherwise", "the seed is 0, not 1"],
    );
    let other = format!("{call} 2s --set tgan.train.batch=3");
    place.error(&other, &["was trained otherwise", "train.batch: "]);
    let loaded = place.good("leaderboard board/tgan-tiny --num 8 --metrics motion --out other");
    assert!(loaded.stdout.contains("| board/tgan-tiny |"), "{loaded:?}");
}
