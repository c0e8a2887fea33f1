//! Runs that stop and go on: kills, Ctrl-C, damaged checkpoints.

mod program;

use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::time::Duration;

use program::Place;

const TRAIN: &str = "train tgan --preset tiny --samples 1 --sample-every 7 --checkpoint-every 1";

/// A number that differs from run to run of the tests.
fn any(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

fn assert_same_end(place: &Place, a: &str, b: &str) {
    for name in ["model.safetensors", "train/state.safetensors", "train/state.json"] {
        let at = |run: &str| place.bytes(&format!("{run}/checkpoints/step-000020/{name}"));
        assert_eq!(at(a), at(b), "{name} of {a} and {b}");
    }
}

#[test]
fn a_killed_run_ends_as_if_it_had_not_been() {
    let place = Place::new();
    for threads in [1, 2] {
        let (whole, killed) = (format!("whole{threads}"), format!("killed{threads}"));
        place.good(&format!("{TRAIN} --steps 20 --threads {threads} --out {whole}"));
        let mut child = place.spawn(&format!("{TRAIN} --steps 10 --threads {threads} --out {killed}"));
        assert!(place.wait_for(&format!("{killed}/checkpoints/step-000002"), &mut child));
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(any(60)));
            child.kill().unwrap();
            child.wait().unwrap();
            child = place.spawn(&format!("train --resume {killed} --steps 20 --threads {threads}"));
        }
        child.wait().unwrap();
        place.good(&format!("train --resume {killed} --steps 20"));
        assert_same_end(&place, &whole, &killed);
        let steps: Vec<u64> = Place::json(&place.text(&format!("{killed}/stats.jsonl")))
            .iter()
            .map(|l| l["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, (1..=20).collect::<Vec<_>>(), "every step stands once in the statistics");
        assert!(place.names(&format!("{killed}/checkpoints")).iter().all(|n| n.starts_with("step-")));
    }
    assert_same_end(&place, "whole1", "whole2");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_run_goes_on() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 20 --out whole"));
    for signal in ["INT", "TERM"] {
        let out = format!("stopped-{signal}");
        let train = "train tgan --preset tiny --samples 1 --sample-every 7";
        let arguments = format!("{train} --checkpoint-every 0 --steps 1000000 --out {out}");
        let mut command = place.command(&arguments);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(place.wait_for(&format!("{out}/stats.jsonl"), &mut child));
        let sent =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code().is_none() {
            // The signal came before the program asked for it: nothing was lost, and nothing is to be seen.
            continue;
        }
        assert_eq!(output.status.code(), Some(130), "{stdout}");
        assert!(stdout.contains(&format!("cargo xtask train --resume {out}")), "{stdout}");
        assert!(place.join(&out).join("report.html").exists());
        let newest = place.names(&format!("{out}/checkpoints")).pop().unwrap();
        let step: u64 = newest.trim_start_matches("step-").parse().unwrap();
        place.good(&format!("train --resume {out} --steps {}", step + 1));
        if step < 20 {
            place.good(&format!("train --resume {out} --steps 20"));
            assert_same_end(&place, "whole", &out);
        }
    }
}

#[test]
fn a_truncated_checkpoint_is_named_and_the_one_before_is_used() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 20 --out whole"));
    place.good(&format!("{TRAIN} --steps 5 --out run"));
    let model = place.join("run/checkpoints/step-000005/model.safetensors");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    let ended = place.good("sample run --num 1");
    assert!(ended.stderr.contains("step-000005") && ended.stderr.contains("cut short"), "{ended:?}");
    let ended = place.good("train --resume run --steps 20");
    assert!(ended.stderr.contains("step-000005 is refused"), "{ended:?}");
    assert!(ended.stderr.contains("from step 4"), "{ended:?}");
    assert_same_end(&place, "whole", "run");
}

#[test]
fn a_run_without_a_sound_checkpoint_is_an_error() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 1 --out run"));
    std::fs::remove_file(place.join("run/checkpoints/step-000001/manifest.json")).unwrap();
    place.error("train --resume run --steps 2", &["no sound checkpoint", "step-000001 is refused"]);
    std::fs::remove_dir_all(place.join("run/checkpoints")).unwrap();
    place.error("train --resume run --steps 2", &["has no checkpoints yet"]);
    place.error("sample run", &["has no checkpoints yet"]);
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    let place = Place::new();
    place.good(&format!("{TRAIN} --steps 2 --out run"));
    for flag in
        ["--seed 1", "--batch 2", "--set train.lr=1", "--data digits", "--out other", "--preset small"]
    {
        place.error(&format!("train --resume run {flag}"), &["cannot be used with"]);
    }
    place.error("train vgan --resume run --steps 3", &["is a run of tgan, not of vgan"]);
    place.error("train --resume run --steps 1", &["has made 2 steps already"]);
    let ended = place.good("train tgan --resume run");
    assert!(ended.stderr.contains("has made all of its 2 steps"), "{ended:?}");
    let before = place.names("run");
    place.good("train --resume run --steps 9 --dry-run");
    assert_eq!(place.names("run"), before);
}

#[test]
fn time_that_is_used_up_is_not_given_again() {
    let place = Place::new();
    place.error("train tgan --budget 0s", &["expected 1ms to 366days"]);
    place.good("train tgan --preset tiny --samples 0 --budget 1s --out run");
    let stats = place.text("run/stats.jsonl");
    let again = place.good("train --resume run");
    assert!(again.stderr.contains("run has used its 1s; ask for more"), "{again:?}");
    assert_eq!(place.text("run/stats.jsonl"), stats);
    let more = place.good("train --resume run --budget 500ms --dry-run");
    assert!(more.stdout.contains(" for 500ms"), "{more:?}");
    place.good("train --resume run --budget 500ms");
    assert!(place.text("run/stats.jsonl").len() > stats.len());
}
