//! Condition maps through the loader.

use vg_core::{BatchSource, BatchSpec, ClipSpec, Error, Pixels};
use vg_data::{OpenOptions, open, source};

const CLIP: ClipSpec = ClipSpec { frames: 5, height: 16, width: 32, channels: 3 };

fn spec(maps: &[&str], flip: bool) -> BatchSpec {
    let maps = maps.iter().map(|name| (*name).to_owned()).collect();
    BatchSpec { maps, flip, ..BatchSpec::clips(6, CLIP, Pixels::Symmetric) }
}

fn batch(name: &str, spec: &BatchSpec) -> vg_core::Result<vg_core::Batch> {
    let set = open(name, &OpenOptions { clips: Some(20), ..OpenOptions::default() })?;
    source(set, 4).with_prefetch(0).batch(spec, 0)
}

#[test]
fn maps_come_with_their_clips() {
    let names = ["segmentation", "instances", "flow", "confidence", "flow-3", "occlusion-3"];
    let batch = batch("street", &spec(&names, false)).unwrap();
    let dims = |name: &str| batch.maps[name].dims().to_vec();
    assert_eq!(batch.clips.dims(), [6, 3, 5, 16, 32]);
    assert_eq!((dims("segmentation"), dims("instances")), (vec![6, 1, 5, 16, 32], vec![6, 1, 5, 16, 32]));
    assert_eq!((dims("flow"), dims("confidence")), (vec![6, 2, 4, 16, 32], vec![6, 1, 4, 16, 32]));
    assert_eq!((dims("flow-3"), dims("occlusion-3")), (vec![6, 2, 2, 16, 32], vec![6, 1, 2, 16, 32]));
    assert_eq!(batch.maps["segmentation"].dtype(), candle_core::DType::U32);
}

/// Sky, which has class 0, is bluer and brighter than the road below: maps and pictures lie on each other, mirrored or not.
#[test]
fn maps_are_mirrored_with_their_clips() {
    let (plain, flipped) = (
        batch("street", &spec(&["segmentation", "flow"], false)).unwrap(),
        batch("street", &spec(&["segmentation", "flow"], true)).unwrap(),
    );
    let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let ids = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<u32>().unwrap();
    let mut mirrored = 0;
    for b in 0..6 {
        let pair = |batch: &vg_core::Batch| {
            let at = |t: &candle_core::Tensor| t.narrow(0, b, 1).unwrap();
            (
                values(&at(&batch.clips)),
                ids(&at(&batch.maps["segmentation"])),
                values(&at(&batch.maps["flow"])),
            )
        };
        let ((clip, labels, flow), (other, other_labels, other_flow)) = (pair(&plain), pair(&flipped));
        if clip == other {
            assert!(labels == other_labels && flow == other_flow);
            continue;
        }
        mirrored += 1;
        let reversed = |row: usize, k: usize| row * 32 + 31 - k;
        for (at, value) in clip.iter().enumerate() {
            assert_eq!(*value, other[reversed(at / 32, at % 32)]);
        }
        for (at, id) in labels.iter().enumerate() {
            assert_eq!(*id, other_labels[reversed(at / 32, at % 32)]);
        }
        let x = flow.len() / 2;
        for (at, value) in flow.iter().enumerate() {
            let sign = if at < x { -1.0 } else { 1.0 };
            assert_eq!(*value, sign * other_flow[reversed(at / 32, at % 32)]);
        }
    }
    assert!((1..6).contains(&mirrored), "{mirrored}");
}

#[test]
fn sets_without_a_map_say_so() {
    let error = |set: &str, name: &str| match batch(set, &spec(&[name], false)) {
        Err(Error::Data(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = error("shapes", "segmentation");
    assert!(
        text.contains("shapes") && text.contains("\"segmentation\"") && text.contains("street"),
        "{text}"
    );
    assert!(error("street", "conditions").contains("face:DIR"));
    assert!(error("street", "flow-5").contains("spans 6 frames"));
    let unknown = batch("street", &spec(&["depth"], false)).unwrap_err();
    assert!(matches!(unknown, Error::Unknown { .. }), "{unknown}");
}
