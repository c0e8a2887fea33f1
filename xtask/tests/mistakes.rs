//! What goes wrong is named, with the way out, and never a panic.

mod program;

use std::path::Path;
use std::process::{Command, Stdio};

use program::Place;

const TINY: &str = "train tgan --preset tiny --samples 1";

#[test]
fn unknown_names_come_with_a_suggestion() {
    let place = Place::new();
    place.error("train tgna", &["no model \"tgna\"", "did you mean \"tgan\"?"]);
    place.error("train tgan --preset tinny", &["no preset \"tinny\"", "did you mean \"tiny\"?"]);
    place.error(&format!("{TINY} --data shape"), &["no data set \"shape\"", "did you mean \"shapes\"?"]);
    place.error(&format!("{TINY} --set train.lrr=1"), &["train.lrr", "did you mean \"train.lr\"?"]);
    place.error("sample runs/none --out a.gof", &["\"gof\"", "did you mean \"gif\"?"]);
    place.error("trian tgan", &["trian", "train"]);
    place.error("bench tgan --preset tinny", &["did you mean \"tiny\"?"]);
    assert!(place.names(".").is_empty(), "a mistake leaves nothing behind");
}

#[test]
fn values_of_the_wrong_type_or_range_name_their_key() {
    let place = Place::new();
    place.error(&format!("{TINY} --set train.lr=fast"), &["train.lr", "expected a number"]);
    place.error(&format!("{TINY} --set train.lr=-1"), &["train.lr", "greater than 0"]);
    place.error(&format!("{TINY} --set lr"), &["key=value"]);
    place.error(&format!("{TINY} --batch 0"), &["train.batch", "at least 1"]);
    place.error(&format!("{TINY} --steps 0"), &["--steps"]);
    place.error(&format!("{TINY} --steps many"), &["--steps"]);
    place.error(&format!("{TINY} --epochs -1"), &["--epochs"]);
    place.error(&format!("{TINY} --epochs=-1"), &["--epochs -1", "greater than 0"]);
    place.error(&format!("{TINY} --threads 0"), &["--threads 0", "at least one"]);
    place.error(&format!("{TINY} --device cuda"), &["--device cuda", "hint: "]);
    place.error(&format!("{TINY} --device gpu"), &["no such device"]);
    assert!(place.names(".").is_empty(), "a mistake leaves nothing behind");
}

#[test]
fn too_many_threads_are_a_warning() {
    let place = Place::new();
    let ended = place.good(&format!("{TINY} --steps 1 --threads 4096"));
    assert!(ended.stderr.contains("warning: --threads 4096"), "{ended:?}");
}

#[test]
fn wrong_paths_are_named() {
    let place = Place::new();
    place.error("sample nowhere", &["nowhere does not exist"]);
    place.error("sample owner/name", &["hub"]);
    place.error("report nowhere", &["nowhere does not exist"]);
    place.error("report .", &["is no run folder"]);
    place.error("sample .", &["no run, no checkpoint"]);
    place.error("train --resume nowhere", &["nowhere does not exist"]);
    place.error("parity tgan nowhere.safetensors", &["nowhere.safetensors", "reading"]);
    place.error("train tgan --config nowhere.toml", &["nowhere.toml"]);
    std::fs::write(place.join("odd.toml"), "preset = \"tiny\"\n[train]\nlr = \"x\"\n").unwrap();
    place.error("train tgan --config odd.toml", &["odd.toml", "train.lr"]);
    std::fs::write(place.join("file"), "").unwrap();
    place.error("sample file", &["is a file"]);
    place.error(&format!("{TINY} --out file/run"), &["file"]);
}

#[test]
fn what_a_model_cannot_sample_is_said() {
    let place = Place::new();
    place.good(&format!("{TINY} --steps 1 --out run"));
    place.error("sample run --class 3", &["class"]);
    place.error("sample run --frames 0", &["frames"]);
    place.error("sample run --num 0", &["--num"]);
    place.good("sample run --num 1 --frames 20");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_its_name() {
    let place = Place::new();
    let ended = place.error(
        &format!("{TINY} --set train.lr=1e30 --set train.constraint=none --steps 50 --out run"),
        &["loss \"", "at step", "hint: ", "train.lr"],
    );
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert!(place.join("run/report.html").exists());
    let checkpoints = place.join("run/checkpoints");
    assert!(!checkpoints.exists() || place.names("run/checkpoints").is_empty(), "no broken weights are kept");
}

/// A small file system in memory, taken away at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// None where the tests may not mount.
    fn at(path: &'a Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(path).ok()?;
        let size = format!("size={bytes}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        status.success().then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_finished_files_stay() {
    let place = Place::new();
    place.good(&format!("{TINY} --steps 1 --out measure"));
    let state = ["model.safetensors", "train/state.safetensors"];
    let checkpoint: u64 =
        state.iter().map(|n| place.bytes(&format!("measure/checkpoints/step-000001/{n}")).len() as u64).sum();
    let path = place.join("disk");
    // Room for one checkpoint and most of a second.
    let Some(_disk) = SmallDisk::at(&path, checkpoint * 7 / 4 + 100_000) else { return };
    place.error(
        &format!("{TINY} --steps 5 --checkpoint-every 1 --out disk/run"),
        &["disk/run", "writing", "hint: free some space", "step-000001 is intact"],
    );
    assert_eq!(place.names("disk/run/checkpoints"), ["step-000001"]);
    place.good("sample disk/run --num 1 --out here.gif");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = Place::new();
    for arguments in ["models --json", "--help", &format!("{TINY} --steps 2 --json --out run")] {
        let mut child =
            place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{arguments}: {stderr}");
        assert_eq!(output.status.code(), Some(0), "{arguments}: {stderr}");
    }
}
