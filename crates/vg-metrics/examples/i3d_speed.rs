//! Clips a second through I3D and the most memory that it took: `i3d_speed [CLIPS [FRAMES [SIDE]]]`, for as many clips, 4 of 16
//! frames of 64x64 when absent.
//!
//! The clips arrive one by one and are looked at four at a time, after one more batch to warm up. The same work in PyTorch:
//! `python bench/pytorch/metrics.py bench`. RAYON_NUM_THREADS sets the number of threads.

use std::time::Instant;

use candle_core::{Device, Tensor};
use vg_core::Result;
use vg_metrics::network::i3d::{Config, I3d};
use vg_metrics::network::stream;
use vg_metrics::resize::Resize;

/// Clips looked at together.
const BATCH: usize = 4;

fn main() -> Result<()> {
    let mut sizes = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut size = |default| match sizes.next() {
        Some(size) => size.map_err(|e| vg_core::Error::Unsupported(format!("a size: {e}"))),
        None => Ok(default),
    };
    let (clips, frames, side) = (size(BATCH)?, size(16)?, size(64)?);
    let network = network()?;
    let warm = run(&network, BATCH.min(clips), [frames, side])?;
    let start = Instant::now();
    let sum = run(&network, clips, [frames, side])?;
    let secs = start.elapsed().as_secs_f64();
    #[allow(clippy::print_stdout, reason = "an example's result")]
    {
        println!(
            "{{\"clips\": {clips}, \"frames\": {frames}, \"side\": {side}, \"secs\": {secs:.4}, \"clips_per_sec\": {:.4}, \
             \"peak_rss_mib\": {}, \"checks\": [{warm:.6e}, {sum:.6e}]}}",
            clips as f64 / secs,
            peak_rss_mib().map_or("null".to_owned(), |mib| mib.to_string()),
        );
    }
    Ok(())
}

/// Sum of all logits, so that nothing can be left out.
fn run(network: &I3d, clips: usize, [frames, side]: [usize; 2]) -> Result<f64> {
    let mut numbers = Numbers(1);
    let clips = (0..clips).map(|_| {
        let values: Vec<u8> = (0..3 * frames * side * side).map(|_| (numbers.next() * 256.0) as u8).collect();
        Ok(Tensor::from_vec(values, (3, frames, side, side), &Device::Cpu)?)
    });
    let features = |batch: &Tensor| Ok(network.features(&I3d::prepare(batch, Resize::HalfPixel)?)?.logits);
    stream(clips, BATCH, features)
        .try_fold(0.0, |sum, row| Ok(sum + row?.iter().map(|v| f64::from(*v)).sum::<f64>()))
}

/// The full network with made-up weights: speed does not depend on them.
fn network() -> Result<I3d> {
    let mut numbers = Numbers(7);
    let mut tensors = std::collections::BTreeMap::new();
    for (name, shape) in I3d::layout(Config::default())? {
        let count: usize = shape.iter().product();
        let scale = (6.0 / (count / shape[0]).max(1) as f32).sqrt();
        let values: Vec<f32> = match name.rsplit('.').next() {
            Some("running_var") => vec![1.0; count],
            Some("weight") => (0..count).map(|_| scale * (2.0 * numbers.next() - 1.0)).collect(),
            _ => vec![0.0; count],
        };
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
    }
    I3d::new(&tensors, Config::default(), "made-up weights")
}

/// Numbers in [0, 1).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}

/// On Linux.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
