//! `--threads` counts all threads that work: ours, and those of candle's own pool.
#![cfg(target_os = "linux")]

mod program;

use program::Place;

/// Names of the threads of a process.
fn threads(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
}

#[test]
fn one_thread_leaves_candle_none_of_its_own() {
    let place = Place::new();
    let mut child = place.spawn("train svg --preset tiny --steps 100000 --samples 0 --threads 1 --out run");
    let started = place.wait_for("run/stats.jsonl", &mut child);
    let names = threads(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(started && !names.is_empty());
    assert!(!names.iter().any(|name| name.starts_with("candle-")), "{names:?}");
}
