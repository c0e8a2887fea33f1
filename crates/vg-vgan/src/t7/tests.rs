//! Files written by hand.

mod hostile;

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use vg_core::Rng;
use vg_core::config::{ConfigSource, resolve};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};

use super::*;
use crate::convert::{DISCRIMINATOR, Network};
use crate::{Config, Discriminator};

/// Writes values as Torch7 does.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    objects: i32,
}

impl Writer {
    fn int(&mut self, x: i32) -> &mut Self {
        self.bytes.extend(x.to_le_bytes());
        self
    }

    fn text(&mut self, x: &str) -> &mut Self {
        self.int(x.len() as i32).bytes.extend(x.as_bytes());
        self
    }

    fn key(&mut self, x: &str) -> &mut Self {
        self.int(2).text(x)
    }

    fn number(&mut self, x: f64) -> &mut Self {
        self.int(1).bytes.extend(x.to_le_bytes());
        self
    }

    fn start(&mut self, kind: i32) -> &mut Self {
        self.objects += 1;
        let index = self.objects;
        self.int(kind).int(index)
    }

    fn table(&mut self, entries: usize) -> &mut Self {
        self.start(3).int(entries as i32)
    }

    fn class(&mut self, name: &str) -> &mut Self {
        self.start(4).text("V 1").text(name)
    }

    fn longs(&mut self, values: &[usize]) -> &mut Self {
        values.iter().for_each(|x| self.bytes.extend((*x as i64).to_le_bytes()));
        self
    }

    fn signed(&mut self, values: &[i64]) -> &mut Self {
        values.iter().for_each(|x| self.bytes.extend(x.to_le_bytes()));
        self
    }

    /// A float tensor whose elements start at place `start`, counted from 1, of a storage of its own.
    fn tensor(&mut self, t: &Tensor, start: usize) -> &mut Self {
        let dims = t.dims();
        let strides: Vec<usize> = (0..dims.len()).map(|k| dims[k + 1..].iter().product()).collect();
        self.class("torch.FloatTensor").int(dims.len() as i32).longs(dims).longs(&strides).longs(&[start]);
        self.class("torch.FloatStorage").longs(&[t.elem_count() + start - 1]);
        (1..start).for_each(|_| self.bytes.extend(f32::NAN.to_le_bytes()));
        let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().for_each(|x| self.bytes.extend(x.to_le_bytes()));
        self
    }
}

fn parse(bytes: &[u8]) -> Result<File> {
    File::parse(Path::new("test.t7"), bytes.to_vec(), Long::Eight)
}

fn ramp(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n).map(|x| x as f32).collect::<Vec<_>>(), shape, &candle_core::Device::Cpu).unwrap()
}

/// The worked example of the format: 237 bytes.
#[test]
fn a_tensor_byte_by_byte() {
    let mut w = Writer::default();
    w.tensor(&ramp(&[2, 3, 4]), 1);
    assert_eq!(w.bytes.len(), 237);
    assert_eq!(w.bytes[..19], [4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, b'V', b' ', b'1', 17, 0, 0, 0]);
    let file = parse(&w.bytes).unwrap();
    let t = file.tensor(file.root(), "t").unwrap();
    assert_eq!(t.to_vec3::<f32>().unwrap(), ramp(&[2, 3, 4]).to_vec3::<f32>().unwrap());
}

#[test]
fn a_table_byte_by_byte() {
    let mut w = Writer::default();
    w.table(1).key("hello").number(123.0);
    assert_eq!(w.bytes.len(), 37);
    let file = parse(&w.bytes).unwrap();
    assert_eq!(file.field(file.root(), "hello"), Some(&Value::Number(123.0)));
    assert_eq!(file.field(file.root(), "other"), None);
}

#[test]
fn views_have_strides_and_an_offset() {
    let mut w = Writer::default();
    // Columns 1 and 2 of the transposed [3, 4] ramp.
    w.class("torch.FloatTensor").int(2).longs(&[2, 3]).longs(&[1, 4]).longs(&[2]);
    w.class("torch.FloatStorage").longs(&[12]);
    (0..12).for_each(|x| w.bytes.extend((x as f32).to_le_bytes()));
    let file = parse(&w.bytes).unwrap();
    let t = file.tensor(file.root(), "t").unwrap();
    assert_eq!(t.to_vec2::<f32>().unwrap(), [[1.0, 5.0, 9.0], [2.0, 6.0, 10.0]]);
}

#[test]
fn damaged_files_are_refused() {
    let mut w = Writer::default();
    w.tensor(&ramp(&[2, 3, 4]), 1);
    for cut in 0..w.bytes.len() {
        let text = parse(&w.bytes[..cut]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("test.t7") && text.contains("cut short"), "{cut}: {text}");
    }
    let refused = |w: &mut Writer| parse(&w.bytes).err().unwrap().to_string();
    assert!(refused(Writer::default().int(99)).contains("no type 99"));
    assert!(refused(Writer::default().table(1 << 30)).contains("entries"));
    let mut deep = Writer::default();
    for _ in 0..10_000 {
        deep.table(1);
    }
    assert!(refused(&mut deep).contains("nested") || refused(&mut deep).contains("entries"));
    // A view that reaches beyond its storage.
    let mut w = Writer::default();
    w.class("torch.FloatTensor").int(1).longs(&[3]).longs(&[5]).longs(&[1]);
    w.class("torch.FloatStorage").longs(&[4]).longs(&[0, 0]);
    let file = parse(&w.bytes).unwrap();
    assert!(file.tensor(file.root(), "t").unwrap_err().to_string().contains("beyond its storage"));
}

#[test]
fn an_object_may_hold_itself() {
    let mut w = Writer::default();
    w.class("nn.Thing").table(1).key("self").int(4).int(1);
    let file = parse(&w.bytes).unwrap();
    let inner = file.field(file.root(), "self").unwrap();
    assert_eq!((file.class(inner), inner), (Some("nn.Thing"), file.root()));
}

fn config() -> Config {
    let sets = ["clip.frames=16".to_owned()];
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap()
}

/// A discriminator as `main.lua` saves it, with the activations between its layers.
fn published(store: &ParamStore) -> Vec<u8> {
    let tensors = store.tensors("");
    let mut w = Writer::default();
    w.class("nn.Sequential").table(1).key("modules").table(13);
    for place in 1..=13 {
        w.number(f64::from(place));
        let layer = DISCRIMINATOR.iter().find(|(at, _)| *at == place.to_string());
        let Some((_, layer)) = layer else {
            w.class("nn.LeakyReLU").table(1).key("negval").number(0.2);
            continue;
        };
        let get = |field: &str| &tensors[&format!("discriminator.{layer}.{field}")];
        if layer.starts_with("bn") {
            // The old form, which keeps the inverse standard deviation.
            let std = ((get("running_var") + 1e-3).unwrap().sqrt().unwrap()).recip().unwrap();
            w.class("nn.VolumetricBatchNormalization").table(5);
            w.key("eps")
                .number(1e-3)
                .key("weight")
                .tensor(get("weight"), 1)
                .key("bias")
                .tensor(get("bias"), 3);
            w.key("running_mean").tensor(get("running_mean"), 1).key("running_std").tensor(&std, 1);
        } else {
            w.class("cudnn.VolumetricConvolution").table(2);
            w.key("weight").tensor(get("weight"), 2).key("bias").tensor(get("bias"), 1);
        }
    }
    w.bytes
}

/// Removes a file of a test at its end.
struct Saved(PathBuf);

impl Drop for Saved {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_published_discriminator_gives_the_same_logits() {
    let (config, device) = (config(), candle_core::Device::Cpu);
    let store = ParamStore::init(Rng::new(4), candle_core::DType::F32, &device);
    let original = Discriminator::new(&store.source().pp("discriminator"), &config).unwrap();
    let path = std::env::temp_dir().join(format!("vg-vgan-netD-{}.t7", std::process::id()));
    let saved = Saved(path);
    std::fs::write(&saved.0, published(&store)).unwrap();
    let tensors = read_network(&saved.0, Network::Discriminator, Long::Eight).unwrap();
    let init = Init::cpu(0);
    let loaded = ParamStore::load(tensors, "the file", init.dtype, &init.device).unwrap();
    let again = Discriminator::new(&loaded.source().pp("discriminator"), &config).unwrap();
    loaded.finish().unwrap();
    let dims = config.clip_spec().dims(2);
    let clips =
        Rng::new(1).stream("clips").uniform_tensor(&dims[..], -1.0, 1.0, init.dtype, &init.device).unwrap();
    let logits = |d: &Discriminator| d.forward(&clips, Mode::EVAL).unwrap().to_vec2::<f32>().unwrap();
    for (a, b) in logits(&original).concat().iter().zip(logits(&again).concat()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    let text = read_network(&saved.0, Network::Generator, Long::Eight).unwrap_err().to_string();
    assert!(text.contains("module 1.1.2 (fg.conv1) is missing") && text.contains("bg.conv5"), "{text}");
}

#[test]
fn old_transposed_convolutions_have_their_axes_swapped() {
    let mut w = Writer::default();
    w.class("nn.VolumetricFullConvolution").table(1).key("weight").tensor(&ramp(&[2, 3, 1, 1, 1]), 1);
    let file = parse(&w.bytes).unwrap();
    let found = file.parameters(file.root(), "x").unwrap();
    assert_eq!(found[0].1.as_ref().unwrap().dims(), [3, 2, 1, 1, 1]);
    assert!(found[1].1.is_none());
}
