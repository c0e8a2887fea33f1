//! Clips and streams of frames from maps.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::config::{ConfigSource, resolve};
use vg_core::model::{Init, Model};
use vg_core::sample::{SampleRequest, Sampler, StreamRequest};
use vg_core::testing::random_maps;
use vg_core::train::Trainer;
use vg_core::{BatchSpec, ClipSpec, Rng};
use vg_vid2vid::{Config, Vid2vid, Vid2vidTrainer};

fn trainer(sets: &[&str]) -> Vid2vidTrainer {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    let source = ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() };
    Vid2vid::trainer(&resolve::<Config>(&source).unwrap(), &Init::cpu(3)).unwrap()
}

/// Maps of `clips` clips of `frames` frames.
fn maps(sampler: &dyn Sampler, clips: usize, frames: usize) -> BTreeMap<String, Tensor> {
    let spec = sampler.spec();
    let clip = ClipSpec { frames, ..spec.clip };
    let spec = BatchSpec { maps: spec.maps, ..BatchSpec::clips(clips, clip, spec.pixels) };
    random_maps(&spec, &mut Rng::new(5).stream("maps")).unwrap()
}

fn of_frame(maps: &BTreeMap<String, Tensor>, t: usize) -> BTreeMap<String, Tensor> {
    let frame = |map: &Tensor| map.narrow(2, t, 1).unwrap().squeeze(2).unwrap();
    maps.iter().map(|(name, map)| (name.clone(), frame(map))).collect()
}

fn given(frames: usize) -> Tensor {
    Rng::new(6)
        .stream("given")
        .uniform_tensor((1, 3, frames, 16, 32), -1.0, 1.0, DType::F32, &Device::Cpu)
        .unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// A stream makes what a request for the whole clip makes, behind the given frames.
#[test]
fn streams_and_clips_agree() {
    for (start, past) in [("given", 2), ("nothing", 0)] {
        let trainer = trainer(&[&format!("sample.start={start}")]);
        let sampler = trainer.sampler().unwrap();
        let maps = maps(&*sampler, 1, 6);
        let context = (past > 0).then(|| given(past));
        let request =
            SampleRequest { maps: maps.clone(), context: context.clone(), ..SampleRequest::seeds([1]) };
        let clip = sampler.sample(&request).unwrap().tensor;
        assert_eq!(clip.dims(), [1, 3, 6, 16, 32]);
        let mut stream = sampler.stream(&StreamRequest { context: context.clone() }).unwrap();
        for t in 0..6 {
            let whole = clip.narrow(2, t, 1).unwrap();
            match stream.next(&of_frame(&maps, t)).unwrap() {
                Some(made) => assert_eq!(values(&made.frame), values(&whole), "{start} {t}"),
                None => {
                    assert!(t < past);
                    let given = context.as_ref().unwrap().narrow(2, t, 1).unwrap();
                    assert_eq!(values(&given), values(&whole));
                }
            }
        }
        let (again, parts) = sampler.sample_parts(&request).unwrap();
        assert_eq!(values(&again.tensor), values(&clip));
        let names: Vec<&str> = parts.keys().copied().collect();
        assert_eq!(names, ["flow", "maps", "mask", "raw", "warped"]);
        assert!(parts.values().all(|part| part.tensor.dims() == [1, 3, 6, 16, 32]));
    }
}

/// A frame with strange labels is an error; frames before it are there, and the stream goes on behind it.
#[test]
fn a_broken_frame_in_the_middle_stops_nothing_else() {
    let trainer = trainer(&["sample.start=nothing"]);
    let sampler = trainer.sampler().unwrap();
    let maps = maps(&*sampler, 1, 5);
    let mut stream = sampler.stream(&StreamRequest::default()).unwrap();
    let mut made = Vec::new();
    for t in 0..5 {
        let mut maps = of_frame(&maps, t);
        if t == 2 {
            let broken = Tensor::full(200u32, (1, 1, 16, 32), &Device::Cpu).unwrap();
            maps.insert("segmentation".into(), broken);
        }
        match stream.next(&maps) {
            Ok(frame) => made.push(frame.unwrap().frame),
            Err(error) => {
                assert_eq!(t, 2);
                assert!(error.to_string().contains("label 200 at row 0, column 0"), "{error}");
            }
        }
    }
    assert_eq!(made.len(), 4);
    assert!(made.iter().all(|frame| values(frame).iter().all(|v| v.is_finite())));
}

#[test]
fn requests_that_cannot_be_met_are_named() {
    let with = trainer(&[]);
    let sampler = with.sampler().unwrap();
    let base = || SampleRequest {
        maps: maps(&*sampler, 1, 4),
        context: Some(given(2)),
        ..SampleRequest::seeds([1])
    };
    let text = |request: &SampleRequest| sampler.sample(request).unwrap_err().to_string();
    let without = |name: &str| {
        let mut request = base();
        request.maps.remove(name);
        request
    };
    for name in ["segmentation", "instances"] {
        let found = text(&without(name));
        assert!(found.contains(&format!("give {name:?}")), "{found}");
    }
    let found = text(&SampleRequest { context: None, ..base() });
    assert!(found.contains("given frames"), "{found}");
    let found = text(&SampleRequest { frames: Some(9), ..base() });
    assert!(found.contains("at least 9"), "{found}");
    let found = text(&SampleRequest { frames: Some(2), ..base() });
    assert!(found.contains("at least 3"), "{found}");
    let mut odd = base();
    odd.maps
        .insert("segmentation".into(), Tensor::zeros((1, 1, 4, 16, 31), DType::U32, &Device::Cpu).unwrap());
    assert!(text(&odd).contains("label maps: expected [1, 1, 1, 16, 32]"), "{}", text(&odd));

    let nothing = trainer(&["sample.start=nothing"]);
    let sampler = nothing.sampler().unwrap();
    let found = sampler.sample(&base()).unwrap_err().to_string();
    assert!(found.contains("starts from nothing"), "{found}");
}
