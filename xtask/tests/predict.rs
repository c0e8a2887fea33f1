//! Futures of given clips.

mod program;

use program::Place;

#[test]
fn models_are_scored_on_the_same_clips() {
    let place = Place::new();
    place.good("train svg --preset tiny --steps 2 --samples 0 --out run");
    place.good("train svg --preset tiny --set variant=deterministic --steps 2 --samples 0 --out blind");
    place.good("predict run blind --data shapes --num 3 --samples 4 --frames 6 --out futures");
    for name in ["psnr.svg", "ssim.svg", "ssim-svg.svg", "1-run.gif", "2-blind.gif"] {
        assert!(place.join(&format!("futures/{name}")).is_file(), "{name}");
    }
    let scores = std::fs::read_to_string(place.join("futures/scores.json")).unwrap();
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    let mean =
        |k: usize, metric: &str| scores["scores"][k]["metrics"][metric]["mean"]["mean"].as_f64().unwrap();
    assert_eq!(
        [0, 1, 2].map(|k| scores["scores"][k]["samples"].as_u64().unwrap()),
        [1, 4, 1],
        "without latents there is one"
    );
    assert_eq!(
        scores["scores"][1]["metrics"]["ssim"]["curve"].as_array().unwrap().len(),
        4,
        "2 of 6 are given"
    );
    // Networks that have learned nothing are far behind the copy.
    assert!(mean(0, "psnr") > mean(1, "psnr") + 3.0 && mean(0, "ssim") > mean(1, "ssim"), "{scores}");

    // Only the learned prior tells what it expects; shapes know of no turns.
    let expected = scores["uncertainty"].as_array().unwrap();
    assert_eq!(expected.len(), 1);
    assert_eq!(expected[0]["frames"].as_array().unwrap().len(), 5);
    assert!(place.join("futures/uncertainty.svg").is_file());
    assert!(!place.join("futures/uncertainty-turns.svg").exists());
    assert!(scores["scores"][1]["behind_turns"].as_object().unwrap().is_empty());

    // More futures never make the best one worse; without latents there is one.
    place.good("predict run blind --data shapes --num 3 --samples 1 --frames 6 --out one");
    let one = std::fs::read_to_string(place.join("one/scores.json")).unwrap();
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    let single = |k: usize| one["scores"][k]["metrics"]["psnr"]["mean"]["mean"].as_f64().unwrap();
    assert!(mean(1, "psnr") > single(1), "{scores} {one}");
    assert_eq!(mean(2, "psnr"), single(2));
}

#[test]
fn expectations_are_averaged_around_the_bounces_of_digits() {
    let place = Place::new();
    place.good("train svg --preset tiny --data digits --steps 1 --samples 0 --out run");
    place.good("predict run --data digits,drawn,digits=1 --num 8 --samples 1 --frames 20 --out futures");
    assert!(place.join("futures/uncertainty-turns.svg").is_file());
    let scores = std::fs::read_to_string(place.join("futures/scores.json")).unwrap();
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    let turns = scores["uncertainty"][0]["turns"].as_object().unwrap();
    assert!(turns.contains_key("1") && turns.contains_key("-4"), "{turns:?}");
    assert!(turns["1"]["mean"].as_f64().unwrap() > 0.0);

    for result in scores["scores"].as_array().unwrap() {
        assert!(result["behind_turns"]["psnr"]["mean"].is_number(), "{result}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let place = Place::new();
    place.good("train svg --preset tiny --steps 1 --samples 0 --out run");
    place.error("predict run --data shapes --frames 2", &["--frames 2", "ask for 3"]);
    place.good("train tgan --preset tiny --steps 1 --samples 0 --out gan");
    place.error("predict gan --data shapes", &["noise alone", "eval"]);
    place.good("train svg --preset tiny --set clip.channels=3 --steps 1 --samples 0 --out colour");
    place.error("predict run colour --data shapes", &["colour continues", "given the same"]);
    place.error("predict nowhere --data shapes", &["nowhere does not exist"]);
    place.error("predict run --data shapes --num 1001", &["shapes has 1000 clips", "1001 are needed"]);
    place.good("train svg --preset tiny --set train.frame_stride=2 --steps 1 --samples 0 --out fast");
    place.error("predict run fast --data shapes", &["every 2.", "given the same"]);
    assert!(!place.join("predictions").exists(), "refused before there is a folder");
    place.good("predict fast --data shapes --num 2 --samples 1");
    place
        .error("predict fast --data shapes --num 2 --samples 1", &["predictions", "something in the folder"]);
}

/// Batch statistics need two clips together, whatever the number.
#[test]
fn no_clip_is_left_alone() {
    let place = Place::new();
    place.good("train svg --preset tiny --set sample.norm=batch --steps 1 --samples 0 --out run");
    place.good("predict run --data shapes --num 17 --samples 2");
}
