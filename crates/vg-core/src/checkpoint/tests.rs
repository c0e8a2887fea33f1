use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::*;
use crate::sample::ClassNames;

fn write(path: &Path, step: u64) {
    let mut writer = CheckpointWriter::default();
    let t = Tensor::new(&[step as f32, 2.0, 3.0], &Device::Cpu).unwrap();
    writer.model("g.weight", &t).unwrap();
    writer.train("d.weight", &(&t * 2.0).unwrap()).unwrap();
    writer.value("group.steps", &step).unwrap();
    writer.classes(ClassNames::new([("class".to_owned(), vec!["cat".to_owned(), "dog".to_owned()])]));
    writer.write(path, "toy", "{}", Progress { step, clips_seen: 8 * step }).unwrap();
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step-000020");
    write(&path, 20);
    let reader = CheckpointReader::open(&path).unwrap();
    assert_eq!(reader.progress(), Progress { step: 20, clips_seen: 160 });
    assert_eq!(reader.model_tensors()["g.weight"].to_vec1::<f32>().unwrap(), [20.0, 2.0, 3.0]);
    assert_eq!(reader.train_all("d")["weight"].to_vec1::<f32>().unwrap(), [40.0, 4.0, 6.0]);
    assert_eq!(reader.value::<u64>("group.steps").unwrap(), 20);
    assert!(reader.value::<u64>("nothing").unwrap_err().to_string().contains("nothing is missing"));
    let weights = Weights::open(&path).unwrap();
    assert_eq!((weights.tensors().len(), weights.classes().find("class", "dog").unwrap()), (1, 1));
    assert_eq!(weights.classes(), reader.classes());
    let published = dir.path().join("published");
    weights.save(&published).unwrap();
    assert_eq!(Weights::open(&published).unwrap().classes(), reader.classes());
    fs::remove_dir_all(published).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "temporary folders stay behind: {left:?}");
}

#[test]
fn every_truncation_is_refused_and_the_previous_checkpoint_is_used() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("step-000010"), 10);
    let path = dir.path().join("step-000020");
    write(&path, 20);
    for name in [CONFIG_FILE, MODEL_FILE, TRAIN_TENSORS, TRAIN_VALUES, CLASSES_FILE, MANIFEST_FILE] {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            let found = newest(dir.path()).unwrap();
            assert_eq!(found.checkpoint.unwrap().progress().step, 10, "{name} cut at {cut}");
            assert!(found.refused[0].1.to_string().contains(name), "{}", found.refused[0].1);
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(newest(dir.path()).unwrap().checkpoint.unwrap().progress().step, 20);
}

#[test]
fn a_changed_byte_and_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step-000020");
    write(&path, 20);
    let file = path.join(MODEL_FILE);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(Weights::open(&path).unwrap_err().to_string().contains("has changed"));
    write(&path, 20);
    let manifest = path.join(MANIFEST_FILE);
    let text = fs::read_to_string(&manifest).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&manifest, text).unwrap();
    assert!(CheckpointReader::open(&path).unwrap_err().to_string().contains("format 2"));
}
