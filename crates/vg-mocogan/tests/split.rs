//! Content and motion come apart: a generator that was trained on shapes, `tests/fixtures/shapes` (its README says how).

use std::path::Path;

use vg_core::checkpoint::Weights;
use vg_core::model::{Init, Model, config_of};
use vg_core::sample::{SampleRequest, Sampler};
use vg_mocogan::Mocogan;

/// Clips that are compared with each other.
const CLIPS: u64 = 16;
/// A pixel is of the shape when its largest channel is above this level (MoCoGAN's ACD on shapes).
const FOREGROUND: u8 = 25;

type Colour = [f64; 3];

/// Mean colours of the shape in levels of 255, by clip and frame.
fn colours(sampler: &dyn Sampler, request: &SampleRequest) -> Vec<Vec<Colour>> {
    let clips = sampler.sample(request).unwrap();
    let (n, c, t, h, w) = clips.tensor.dims5().unwrap();
    assert_eq!(c, 3);
    let pixels = clips.tensor.permute((0, 2, 3, 4, 1)).unwrap().reshape((n, t, h * w, 3)).unwrap();
    let pixels = pixels.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = pixels.into_iter().map(|x| clips.pixels.encode(x)).collect();
    let frames: Vec<Colour> = bytes.chunks_exact(3 * h * w).map(mean_colour).collect();
    frames.chunks_exact(t).map(<[Colour]>::to_vec).collect()
}

fn mean_colour(frame: &[u8]) -> Colour {
    let shape: Vec<&[u8]> = frame.chunks_exact(3).filter(|p| p.iter().any(|v| *v > FOREGROUND)).collect();
    let mean = |c: usize| shape.iter().map(|p| f64::from(p[c])).sum::<f64>() / shape.len().max(1) as f64;
    [mean(0), mean(1), mean(2)]
}

/// Mean distance between the colours of two clips at the same frame, over all pairs and frames.
fn spread(clips: &[Vec<Colour>]) -> f64 {
    let distance =
        |a: &Colour, b: &Colour| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt() };
    let mut all = Vec::new();
    for (i, a) in clips.iter().enumerate() {
        for b in &clips[..i] {
            all.extend(a.iter().zip(b).map(|(x, y)| distance(x, y)));
        }
    }
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn one_content_keeps_its_colour_under_many_motions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shapes");
    let weights = Weights::open(folder).unwrap();
    let config = config_of::<Mocogan>(&weights).unwrap();
    let sampler = Mocogan::sampler(&config, &weights, &Init::cpu(0)).unwrap();
    let fixed = |stream: &str, seed: u64| SampleRequest {
        streams: [(stream.to_owned(), vec![seed; CLIPS as usize])].into(),
        ..SampleRequest::seeds(100..100 + CLIPS)
    };
    let mean = |stream: &str| -> f64 {
        (0..4).map(|seed| spread(&colours(&sampler, &fixed(stream, seed)))).sum::<f64>() / 4.0
    };
    let (one_content, many_contents) = (mean("content"), mean("motion"));
    assert!(many_contents > 20.0, "contents differ in colour by {many_contents}");
    assert!(3.0 * one_content < many_contents, "{one_content} against {many_contents}");
}
