//! Batches as a trainer sees them.

use candle_core::{DType, Tensor};
use vg_core::{Batch, BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::{Dataset, Loader, OpenOptions, open, source};

const CLIP: ClipSpec = ClipSpec { frames: 16, height: 64, width: 64, channels: 3 };

fn shapes(clips: usize) -> Box<dyn Dataset> {
    open("shapes", &OpenOptions { clips: Some(clips), ..OpenOptions::default() }).unwrap()
}

fn spec(clips: usize) -> BatchSpec {
    let labels = vec!["class".to_owned(), "size".to_owned()];
    BatchSpec { images: 3, labels, flip: true, ..BatchSpec::clips(clips, CLIP, Pixels::Unit) }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn everything(batch: &Batch) -> Vec<Vec<f32>> {
    let tensors = [&batch.clips, batch.images.as_ref().unwrap()];
    tensors.into_iter().chain(batch.labels.values()).map(values).collect()
}

fn run(mut loader: Loader, requests: &[(BatchSpec, u64)]) -> Vec<Vec<Vec<f32>>> {
    requests.iter().map(|(spec, position)| everything(&loader.batch(spec, *position).unwrap())).collect()
}

#[test]
fn prefetch_changes_nothing() {
    let smaller = BatchSpec { clip: ClipSpec { height: 32, width: 32, channels: 1, ..CLIP }, ..spec(2) };
    let requests = [
        (spec(4), 0),
        (spec(4), 4),
        (spec(4), 8),
        (spec(4), 100),
        (smaller.clone(), 104),
        (smaller, 106),
        (spec(4), 4),
        (spec(3), 8),
        (spec(3), 11),
    ];
    let plain = run(source(shapes(10), 5).with_prefetch(0), &requests);
    assert_eq!(plain, run(source(shapes(10), 5), &requests));
    assert_eq!(plain, run(source(shapes(10), 5).with_prefetch(1), &requests));
    assert_ne!(plain, run(source(shapes(10), 6), &requests));
}

#[test]
fn an_epoch_holds_every_clip_once_and_batches_span_epochs() {
    let unflipped = BatchSpec {
        images: 0,
        flip: false,
        ..BatchSpec::clips(4, ClipSpec { frames: 32, ..CLIP }, Pixels::Unit)
    };
    let mut loader = source(shapes(6), 1);
    let mut seen: Vec<Vec<u32>> = Vec::new();
    for position in [0, 4, 8] {
        let clips = loader.batch(&unflipped, position).unwrap().clips;
        for b in 0..4 {
            seen.push(values(&clips.get(b).unwrap()).iter().map(|v| v.to_bits()).collect());
        }
    }
    let sorted = |part: &[Vec<u32>]| {
        let mut part = part.to_vec();
        part.sort();
        part
    };
    assert_eq!(sorted(&seen[..6]), sorted(&seen[6..]));
    assert_ne!(seen[..6], seen[6..]);
    assert_eq!(seen[..6].iter().collect::<std::collections::HashSet<_>>().len(), 6);
}

#[test]
fn flipped_clips_are_mirrors_of_the_unflipped() {
    let plain = BatchSpec::clips(32, CLIP, Pixels::Unit);
    let flip = BatchSpec { flip: true, ..plain.clone() };
    let mut loader = source(shapes(40), 2);
    let (plain, flip) = (loader.batch(&plain, 0).unwrap().clips, loader.batch(&flip, 0).unwrap().clips);
    let (mut same, mut mirrored) = (0, 0);
    for b in 0..32 {
        let (a, f) = (values(&plain.get(b).unwrap()), values(&flip.get(b).unwrap()));
        let mirror: Vec<f32> = a.chunks_exact(64).flat_map(|row| row.iter().rev().copied()).collect();
        same += usize::from(f == a);
        mirrored += usize::from(f == mirror);
    }
    assert_eq!(same + mirrored, 32);
    assert!(same > 5 && mirrored > 5, "{same} {mirrored}");
}

#[test]
fn labels_and_grey_clips_fit_what_was_asked_for() {
    let grey = BatchSpec { clip: ClipSpec { channels: 1, height: 16, width: 16, ..CLIP }, ..spec(4) };
    let batch = source(shapes(10), 0).batch(&grey, 3).unwrap();
    assert_eq!(batch.clips.dims(), [4, 1, 16, 16, 16]);
    assert_eq!(batch.images.as_ref().unwrap().dims(), [3, 1, 16, 16]);
    assert_eq!(batch.label("class").unwrap().dtype(), DType::U32);
    assert!(batch.label("size").unwrap().to_vec1::<u32>().unwrap().iter().all(|size| *size < 4));
    let mut numbered = spec(10);
    numbered.labels.push(vg_core::batch::CLIP_NUMBER.to_owned());
    let batch = source(shapes(10), 0).batch(&numbered, 0).unwrap();
    let mut numbers = batch.label(vg_core::batch::CLIP_NUMBER).unwrap().to_vec1::<u32>().unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "an epoch has every clip once");
}

#[test]
fn what_cannot_be_served_is_refused_with_reasons() {
    let mut loader = source(shapes(4), 0);
    let mut message = |change: fn(&mut BatchSpec)| {
        let mut wanted = spec(2);
        change(&mut wanted);
        loader.batch(&wanted, 0).unwrap_err().to_string()
    };
    assert!(message(|s| s.clip.frames = 33).contains("longest of its 4 clips has 32"));
    assert!(message(|s| s.maps.push("flow".to_owned())).contains("\"flow\""));
    assert!(message(|s| s.labels.push("pose".to_owned())).contains("class, colour, kind, motion, size"));
    assert!(message(|s| s.clip.channels = 2).contains("1 (grey) or 3 (RGB)"));
    assert!(message(|s| s.clips = 0).contains("at least one clip"));
    assert!(message(|s| s.frame_stride = 0).contains("stride"));
    // An error does not spoil the loader.
    assert!(loader.batch(&spec(2), 0).is_ok());
    assert_eq!(loader.excluded(&BatchSpec::clips(1, ClipSpec { frames: 33, ..CLIP }, Pixels::Unit)), 4);
}

#[test]
fn unknown_names_are_answered_with_the_known() {
    let error = open("shape", &OpenOptions::default()).err().unwrap().to_string();
    assert!(error.contains("did you mean \"shapes\"?"), "{error}");
}
