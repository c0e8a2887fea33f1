//! `bench compare`, `bench record` and `bench plot`.
//!
//! Comparisons build small repositories whose `xtask` prints made-up seconds, so that a verdict does not depend on the machine.

mod program;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use program::{Ended, Place};

/// An `xtask` that knows one operation, `EXTRA`, and a model; `SECS` is what it claims to have taken.
const XTASK: &str = r##"
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    if has("models") {
        println!("{}", r#"{"name": "toy", "presets": [{"name": "tiny"}, {"name": "paper"}]}"#);
    } else if has("--help") {
        println!("Usage: cargo xtask bench ops [OPTIONS]");
    } else if has("ops") {
        let operation = |name| format!(r#"{{"name": "{name}", "pass": "forward", "ours_secs": SECS, "ours_gflops": null}}"#);
        println!("[{}, {}]", operation("conv"), operation("EXTRA"));
    } else {
        println!("{}", r#"{"step_secs": SECS, "sample_secs": 1.0}"#);
    }
}
"##;

const MANIFEST: &str = "[package]\nname = \"xtask\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";

/// A repository in a fresh folder.
struct Repository(Place);

impl Repository {
    /// With one commit.
    fn new(program: &str) -> Self {
        let repository = Self(Place::new());
        for folder in ["src", "tmp"] {
            std::fs::create_dir(repository.0.join(folder)).unwrap();
        }
        std::fs::write(repository.0.join("Cargo.toml"), MANIFEST).unwrap();
        repository.git("init --quiet");
        repository.change(program);
        repository.commit();
        repository
    }

    fn git(&self, arguments: &str) -> String {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"])
            .current_dir(self.0.path());
        let output = command.args(arguments.split_whitespace()).output().expect("git starts");
        assert!(output.status.success(), "git {arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn change(&self, program: &str) {
        std::fs::write(self.0.join("src/main.rs"), program).unwrap();
    }

    fn commit(&self) {
        self.git("add Cargo.toml src");
        self.git("commit --quiet --message change");
    }

    /// Compares; afterwards no checkout may be left.
    fn compare(&self, arguments: &str) -> Ended {
        let output = self.command(arguments).output().expect("the program starts");
        self.assert_clean();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.0.command(&format!("bench compare {arguments}"));
        command
            .env("TMPDIR", self.0.join("tmp"))
            .env("TMP", self.0.join("tmp"))
            .env("TEMP", self.0.join("tmp"));
        command
    }

    fn assert_clean(&self) {
        assert_eq!(self.git("worktree list").lines().count(), 1, "a checkout is left");
        let left: Vec<String> = self.0.names("tmp").into_iter().filter(|n| n.starts_with("vg-")).collect();
        assert!(left.is_empty(), "{left:?} is left");
    }
}

fn xtask(secs: &str, extra: &str) -> String {
    XTASK.replace("SECS", secs).replace("EXTRA", extra)
}

fn assert_error(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
    }
}

#[test]
fn a_slower_head_is_worse_and_a_faster_one_good() {
    let repository = Repository::new(&xtask("0.002", "gone"));
    repository.change(&xtask("0.003", "new"));
    repository.commit();
    let ended = repository.compare("HEAD~1 --rounds 2 --threads 1");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "2 slower, 0 faster, 1 within the noise",
        "| conv, forward | 2.000 ms | 3.000 ms | 1.500 (1.500 to 1.500) | 0.0 % | **slower** |",
        "| toy tiny, training step | 2.000 ms | 3.000 ms |",
        "| toy tiny, sampling | 1.000 s | 1.000 s | 1.000 (1.000 to 1.000) | 0.0 % | same |",
        "Only the base has: gone, forward.",
        "Only head has: new, forward.",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in {}", ended.stdout);
    }
    assert_eq!(repository.0.names("target"), ["bench-base", "bench-compare.lock", "bench-head"]);
    repository.git("checkout --quiet -b older HEAD~1");
    let ended = repository.compare("HEAD@{1} --rounds 2 --only conv --json");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let json = &Place::json(&ended.stdout)[0];
    assert_eq!(json["entries"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["entries"][0]["verdict"], "faster");
    assert_eq!(json["entries"][0]["samples"]["head"], serde_json::json!([0.002, 0.002]));
    assert_error(
        &repository.compare("HEAD --rounds 2 --only nothing"),
        &["nothing matches `--only`", "hint: "],
    );
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Place::new();
    place.error("bench compare main", &["no git repository", "hint: "]);
    let repository = Repository::new("fn main() { println!(\"clips and steps\"); }");
    assert_error(&repository.compare("nowhere"), &["\"nowhere\" is no commit", "hint: "]);
    assert_error(&repository.compare("HEAD --rounds 1"), &["--rounds"]);
    assert_error(&repository.compare("HEAD"), &["has no `bench ops`", "the base, HEAD (", "hint: "]);
    repository.change("fn main() { broken }");
    let dirty = repository.compare("HEAD");
    assert_error(&dirty, &["differs from its commit: src/main.rs", "--allow-dirty"]);
    repository.commit();
    assert_error(
        &repository.compare("HEAD"),
        &["the base, HEAD (", "cannot be built", "message stands above"],
    );
    repository.change(&xtask("0.0", "none"));
    repository.commit();
    assert_error(&repository.compare("HEAD"), &["printed no result that can be read", "took no time"]);
    repository.change(
        "fn main() { if std::env::args().any(|a| a == \"--help\") { println!(\"ops\") } else { panic!() } }",
    );
    repository.commit();
    assert_error(&repository.compare("HEAD"), &["`xtask models --json` failed"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_takes_the_checkout_away() {
    let wait = "std::fs::write(\"started\", \"\").unwrap(); std::thread::sleep(std::time::Duration::from_secs(600));";
    let repository =
        Repository::new(&xtask("0.002", "gone").replace("let operation", &format!("{wait} let operation")));
    let mut command = repository.command("HEAD");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(repository.0.wait_for("started", &mut child));
    assert_eq!(repository.git("worktree list").lines().count(), 2);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    repository.assert_clean();
}

#[test]
fn a_recording_is_a_line_for_each_entry() {
    let place = Place::new();
    place.error("bench record --json results.jsonl --only nothing", &["nothing matches `--only`"]);
    assert!(place.names(".").is_empty());
    for recordings in 1..=2 {
        place.good("bench record --json results.jsonl --only batch --threads 1");
        assert_eq!(place.text("results.jsonl").lines().count(), recordings);
    }
    let line = &Place::json(&place.text("results.jsonl"))[0];
    assert_eq!(line["entry"], "batch norm + leaky 8x64x16x32x32, training");
    assert!(line["secs"].as_f64().unwrap() > 0.0 && line.get("ratio").is_none(), "{line}");
    assert_eq!((line["threads"].as_u64(), line["version"].as_u64()), (Some(1), Some(1)));
    assert!(line["cores"].as_u64().unwrap() >= 1 && line["date"].as_str().unwrap().ends_with('Z'), "{line}");
    place.error(
        "bench plot --json results.jsonl --page page.md",
        &["no comparison with PyTorch", "--against pytorch"],
    );
}

/// Stands in for Python with PyTorch: a second for whatever it is asked.
#[cfg(unix)]
#[test]
fn a_recording_beside_a_peer_has_its_seconds() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let python = place.join("python");
    std::fs::write(&python, "#!/bin/sh\nwhile read -r line; do echo 1.0; done\n").unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.good(
        "bench record --json results.jsonl --only batch --threads 1 --against pytorch --python ./python",
    );
    let line = &Place::json(&place.text("results.jsonl"))[0];
    assert_eq!((&line["peer"], &line["peer_secs"]), (&"pytorch".into(), &1.0.into()), "{line}");
    assert!(line["ratio"].as_f64().unwrap() > 0.0, "{line}");
}

const BEGIN: &str = "<!-- cargo xtask bench plot: begin -->";
const END: &str = "<!-- cargo xtask bench plot: end -->";

fn line(date: &str, entry: &str, ratio: f64) -> String {
    let json = serde_json::json!({
        "version": 1, "date": date, "revision": "0123abc", "cpu": "a processor", "cores": 4, "load": 0.25, "threads": 2,
        "entry": entry, "secs": 0.002, "gflops": 123.4, "peer": "pytorch", "peer_secs": 0.002 * ratio, "ratio": ratio,
    });
    format!("{json}\n")
}

#[test]
fn a_drawing_and_a_table_are_made_from_results() {
    let place = Place::new();
    let lines = [
        line("2001-01-01T00:00:00Z", "conv, forward", 0.5),
        line("2001-01-02T00:00:00Z", "conv, forward", 1.25),
    ];
    std::fs::write(place.join("results.jsonl"), lines.concat()).unwrap();
    std::fs::write(place.join("page.md"), format!("# Title\n{BEGIN}\nold\n{END}\nrest\n")).unwrap();
    let plot = "bench plot --json results.jsonl --svg results.svg --page page.md";
    place.good(plot);
    let page = place.text("page.md");
    let row =
        "| conv, forward | 2.000 ms | 123 | PyTorch, 2.500 ms | 1.25 | 0.50 | 2001-01-02, 0123abc, 0.25 |";
    for part in ["# Title\n", "](results.svg)", "a processor, 4 cores, 2 threads", row, "\nrest\n"] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(!page.contains("old"), "{page}");
    let svg = place.text("results.svg");
    assert!(svg.starts_with("<svg") && svg.contains("conv, forward") && svg.contains("1.25"), "{svg}");
    place.good(plot);
    assert_eq!(
        (place.text("page.md"), place.text("results.svg")),
        (page, svg),
        "a second time changes nothing"
    );
}

#[test]
fn results_that_cannot_be_drawn_are_named() {
    let place = Place::new();
    let plot = "bench plot --json results.jsonl --svg results.svg --page page.md";
    place.error(plot, &["results.jsonl does not exist", "bench record"]);
    std::fs::write(
        place.join("results.jsonl"),
        line("2001-01-01T00:00:00Z", "a", 1.0) + "{\"version\": 1}\n",
    )
    .unwrap();
    place.error(plot, &["results.jsonl, line 2, is no result", "date"]);
    std::fs::write(place.join("results.jsonl"), line("2001-01-01T00:00:00Z", "a", 1.0)).unwrap();
    place.error(plot, &["reading", "page.md"]);
    std::fs::write(place.join("page.md"), "# Title\n").unwrap();
    place.error(plot, &["page.md cannot take the table", BEGIN, "hint: "]);
    assert_eq!(place.names("."), ["page.md", "results.jsonl"], "a mistake writes nothing");
}

#[test]
fn the_committed_page_has_the_markers() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.find(BEGIN).zip(page.find(END)).is_some_and(|(begin, end)| begin < end));
}
