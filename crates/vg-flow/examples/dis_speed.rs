//! Milliseconds and errors of Dense Inverse Search on frames whose motion is known.
//!
//! ```text
//! cargo run --release -p vg-flow --example dis_speed                 a table
//! cargo run --release -p vg-flow --example dis_speed -- make DIR     writes the frames and their motions
//! cargo run --release -p vg-flow --example dis_speed -- serve DIR    computes what standard input asks for: bench/opencv/dense_flow.py
//! ```
//!
//! One pair is computed by one thread.

#![allow(clippy::print_stdout)]

#[path = "../tests/scene/mod.rs"]
#[allow(dead_code)]
mod scene;

use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use vg_flow::{Dis, Flow, Gray, flo};

const HEIGHT: usize = 256;
const WIDTH: usize = 512;
const SEARCHES: [&str; 4] = ["ultrafast", "fast", "medium", "medium-0"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => table(),
        ["make", folder] => make(folder.as_ref()),
        ["serve", folder] => serve(folder.as_ref()),
        _ => Err("expected nothing, `make DIR` or `serve DIR`".into()),
    }
}

fn search(name: &str) -> Result<Dis, Box<dyn Error>> {
    match name {
        "ultrafast" => Ok(Dis::ultrafast()),
        "fast" => Ok(Dis::fast()),
        "medium" => Ok(Dis::medium()),
        "medium-0" => Ok(Dis::medium().finest_scale(0)),
        _ => Err(format!("no search {name:?}; known: {SEARCHES:?}").into()),
    }
}

/// Left out of the errors: points that a motion takes out of the frame cannot be found.
const RIM: usize = 25;

fn motions() -> [(&'static str, Flow); 5] {
    [
        ("shift", scene::shift(HEIGHT, WIDTH, 3.0, -2.0)),
        ("zoom", scene::about_centre(HEIGHT, WIDTH, 0.03, 0.0)),
        ("zoom-block", scene::zoom_and_block(HEIGHT, WIDTH)),
        ("long-shift", scene::shift(HEIGHT, WIDTH, 25.0, 0.0)),
        ("turn", scene::about_centre(HEIGHT, WIDTH, 0.0, 0.03)),
    ]
}

/// The flow, and the least milliseconds of some runs.
fn timed(dis: &Dis, from: &Gray<'_>, to: &Gray<'_>, runs: usize) -> Result<(Flow, f64), Box<dyn Error>> {
    let mut least = f64::INFINITY;
    let mut flow = Flow::zeros(0, 0);
    for _ in 0..runs {
        let begin = Instant::now();
        flow = dis.flow(from, to)?;
        least = least.min(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok((flow, least))
}

fn table() -> Result<(), Box<dyn Error>> {
    println!("{:12}{:>11}{:>12}{:>10}", "motion", "search", "EPE, px", "ms");
    for (name, motion) in motions() {
        let (previous, current) = scene::pair(scene::clouds, &motion);
        let (from, to) = (Gray::new(HEIGHT, WIDTH, &current)?, Gray::new(HEIGHT, WIDTH, &previous)?);
        for search_name in SEARCHES {
            let (flow, ms) = timed(&search(search_name)?, &from, &to, 10)?;
            let error = flow.end_point_error(&motion, RIM)?;
            println!("{name:12}{search_name:>11}{error:>12.4}{ms:>10.1}");
        }
    }
    Ok(())
}

/// `NAME.current` and `NAME.previous`, luminance in bytes, and the motion `NAME.flo`.
fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    for (name, motion) in motions() {
        let (previous, current) = scene::pair(scene::clouds, &motion);
        for (frame, what) in [(previous, "previous"), (current, "current")] {
            let bytes: Vec<u8> = frame.into_iter().map(|x| x as u8).collect();
            std::fs::write(folder.join(format!("{name}.{what}")), bytes)?;
        }
        flo::write(folder.join(format!("{name}.flo")), &motion)?;
    }
    Ok(())
}

/// For each line `NAME HEIGHT WIDTH SEARCH RUNS`: writes `NAME.SEARCH.flo`, prints the least milliseconds.
fn serve(folder: &Path) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [name, height, width, search_name, runs] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("expected NAME HEIGHT WIDTH SEARCH RUNS, got {line:?}").into());
        };
        let (height, width) = (height.parse()?, width.parse()?);
        let frame = |what: &str| -> std::io::Result<Vec<f32>> {
            let bytes = std::fs::read(folder.join(format!("{name}.{what}")))?;
            Ok(bytes.into_iter().map(f32::from).collect())
        };
        let (current, previous) = (frame("current")?, frame("previous")?);
        let (from, to) = (Gray::new(height, width, &current)?, Gray::new(height, width, &previous)?);
        let (flow, ms) = timed(&search(search_name)?, &from, &to, runs.parse()?)?;
        flo::write(folder.join(format!("{name}.{search_name}.flo")), &flow)?;
        println!("{ms}");
    }
    Ok(())
}
