//! Tensor names and layouts of the official code and of its PyTorch twin.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use vg_core::{Error, Result};

/// Networks: (the PyTorch twin's name, ours).
const NETWORKS: &[(&str, &str)] =
    &[("G", "generator"), ("D", "trunk"), ("Encoder", "encoder"), ("Generator", "decoder")];
/// Tensors that are named otherwise: (the twin's name, ours).
const RENAMED: &[(&str, &str)] = &[
    ("Encoder.swd.swd_proj", "encoder.0.proj"),
    ("Encoder.swd1.swd_proj", "encoder.1.proj"),
    ("Encoder.swd2.swd_proj", "encoder.2.proj"),
    ("R.proj", "dual.0.proj"),
    ("R.scale", "dual.0.scale"),
    ("R.offset", "dual.0.offset"),
];

/// Our name of a tensor of the twin, such as `G.4x4.Dense.weight`; `None` for a network that there is not. Those of the image model
/// are ours already.
pub fn from_reference(name: &str) -> Option<String> {
    renamed(name, |(theirs, ours)| (*theirs, *ours))
}

/// The twin's name of one of our tensors.
pub fn to_reference(name: &str) -> Option<String> {
    renamed(name, |(theirs, ours)| (*ours, *theirs))
}

fn renamed(
    name: &str,
    direction: impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str),
) -> Option<String> {
    if let Some((_, to)) = RENAMED.iter().map(&direction).find(|(from, _)| *from == name) {
        return Some(to.to_owned());
    }
    let (network, rest) = name.split_once('.')?;
    let (_, to) = NETWORKS.iter().map(direction).find(|(from, _)| *from == network)?;
    Some(format!("{to}.{rest}"))
}

/// Weights of a run of the official code, under our names and in our layouts: a safetensors file of its variables, made once with a
/// script that reads nothing but them out of the snapshot.
///
/// - Video: `NETWORK/NAME` of the tuple `(G, D, Gs, R)`, such as `Gs/8x8/Conv0_up/weight`. The generator is Gs where it is there.
/// - Images and auto-encoder: the names of the TensorFlow checkpoint, such as `Generator.Res1.Conv1/Generator.Res1.Conv1.Filters`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a file that is no safetensors file or holds a name that is not known.
pub fn from_safetensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::format(path, format!("not a safetensors file, or cut short ({e})")))?;
    let mut ours = BTreeMap::new();
    let averaged = tensors.keys().any(|name| name.starts_with("Gs/"));
    for (name, tensor) in tensors {
        if (averaged && name.starts_with("G/")) || is_unused(&name) {
            continue;
        }
        let known = from_official(&name, &tensor)?;
        let (name, tensor) = known.ok_or_else(|| Error::format(path, format!("unexpected tensor {name}")))?;
        ours.insert(name, tensor);
    }
    Ok(ours)
}

/// Moving averages that the official code makes and never uses, and the critic's level of detail.
fn is_unused(name: &str) -> bool {
    name.ends_with("moving_mean") || name.ends_with("moving_variance") || name == "D/lod"
}

/// An official tensor under our name and in our layout; `None` for a name that is not known.
///
/// # Errors
/// [`Error::Tensor`] for tensors of other ranks than the official ones.
pub fn from_official(name: &str, tensor: &Tensor) -> Result<Option<(String, Tensor)>> {
    match name.split_once('/') {
        Some((network @ ("G" | "Gs" | "D" | "R"), rest)) => video(network, rest, tensor),
        _ => image(name.rsplit('/').next().unwrap_or(name), tensor),
    }
}

fn video(network: &str, rest: &str, tensor: &Tensor) -> Result<Option<(String, Tensor)>> {
    let network = match network {
        "D" => "trunk",
        "R" => return dual(rest.rsplit('.').next().unwrap_or(rest), 0, tensor).map(Some),
        _ => "generator",
    };
    if rest == "lod" {
        return Ok(Some((format!("{network}.lod"), tensor.flatten_all()?.to_dtype(DType::F32)?)));
    }
    let name = format!("{network}.{}", rest.replace('/', "."));
    let tensor = match (rest.rsplit('/').next(), tensor.rank()) {
        (Some("bias"), 1) => tensor.clone(),
        (Some("weight"), 2) => tensor.t()?.contiguous()?,
        // Enlarging layers are (T, H, W, out, in), with their axes the other way around.
        (Some("weight"), 5) if rest.contains("Conv0_up") => [2, 3, 4]
            .into_iter()
            .try_fold(tensor.permute([3, 4, 0, 1, 2])?.contiguous()?, |t, axis| reversed(&t, axis))?,
        (Some("weight"), 5) => tensor.permute([4, 3, 0, 1, 2])?.contiguous()?,
        _ => return Ok(None),
    };
    Ok(Some((name, tensor)))
}

fn reversed(tensor: &Tensor, axis: usize) -> Result<Tensor> {
    let order: Vec<u32> = (0..tensor.dim(axis)? as u32).rev().collect();
    Ok(tensor.index_select(&Tensor::new(order, tensor.device())?, axis)?)
}

/// A tensor of a dual block; scale and offset are rows there.
fn dual(name: &str, block: usize, tensor: &Tensor) -> Result<(String, Tensor)> {
    let tensor = if name == "proj" { tensor.clone() } else { tensor.flatten_all()? };
    Ok((format!("dual.{block}.{name}"), tensor))
}

fn image(name: &str, tensor: &Tensor) -> Result<Option<(String, Tensor)>> {
    let is_encoder = name.starts_with("Encoder.");
    let Some((network, rest)) = name.split_once('.') else { return Ok(None) };
    let (layer, parameter) = rest.rsplit_once('.').unwrap_or(("", rest));
    if let Some(block) = numbered(parameter, "SWD_proj").filter(|_| network == "Discriminator") {
        return dual("proj", block, tensor).map(Some);
    }
    if let Some(block) = numbered(layer, "idt") {
        return dual(parameter, block, tensor).map(Some);
    }
    if let ("swd_proj", true) = (parameter, is_encoder) {
        let block = if layer == "swd" { Some(0) } else { numbered(layer, "swd") };
        return Ok(block.map(|block| (format!("encoder.{block}.proj"), tensor.clone())));
    }
    // The decoder is called generator too; its layers are not residual ones.
    let is_decoder = layer == "Linear" || numbered(layer, "Input").is_some();
    let network = match network {
        "Encoder" => "encoder",
        "Generator" if is_decoder => "decoder",
        "Generator" => "generator",
        "Discriminator" => "trunk",
        _ => return Ok(None),
    };
    let (parameter, tensor) = match parameter {
        "W" => ("weight", tensor.t()?.contiguous()?),
        "Filters" => ("weight", tensor.permute([3, 2, 0, 1])?.contiguous()?),
        "b" | "Biases" => ("bias", tensor.clone()),
        "scale" | "offset" => (parameter, tensor.flatten_all()?),
        _ => return Ok(None),
    };
    Ok(Some((format!("{network}.{layer}.{parameter}"), tensor)))
}

/// The number behind a prefix.
fn numbered(name: &str, prefix: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        Tensor::from_vec((0..n).map(|k| k as f32).collect(), shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn names_map_both_ways() {
        for (theirs, ours) in [
            ("G.8x8.Conv0_up.weight", "generator.8x8.Conv0_up.weight"),
            ("D.FromRGB_lod0.bias", "trunk.FromRGB_lod0.bias"),
            ("R.proj", "dual.0.proj"),
            ("Encoder.swd1.swd_proj", "encoder.1.proj"),
            ("Generator.Input9.weight", "decoder.Input9.weight"),
        ] {
            assert_eq!(from_reference(theirs).as_deref(), Some(ours));
            assert_eq!(to_reference(ours).as_deref(), Some(theirs));
        }
        assert_eq!(from_reference("other.weight"), None);
    }

    /// Section 9.
    #[test]
    fn official_names_and_layouts() {
        let of = |name: &str, shape: &[usize]| {
            let (name, t) = from_official(name, &tensor(shape)).unwrap().unwrap();
            (name, t.dims().to_vec(), t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let (name, shape, values) = of("Gs/8x8/Conv0_up/weight", &[1, 1, 3, 2, 1]);
        assert_eq!((name.as_str(), &shape[..]), ("generator.8x8.Conv0_up.weight", &[2, 1, 1, 1, 3][..]));
        assert_eq!(values, [4.0, 2.0, 0.0, 5.0, 3.0, 1.0]);
        let (name, shape, values) = of("D/8x8/Conv1_down/weight", &[1, 1, 3, 1, 2]);
        assert_eq!((name.as_str(), &shape[..]), ("trunk.8x8.Conv1_down.weight", &[2, 1, 1, 1, 3][..]));
        assert_eq!(values, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert_eq!(of("D/4x4/Dense0/weight", &[3, 2]).1, [2, 3]);
        assert_eq!(of("R/Discriminator.dualswd/Discriminator.dualswd.proj", &[2, 2]).0, "dual.0.proj");
        let (name, shape, _) = of("R/Discriminator.idf0/Discriminator.idf0.offset", &[1, 4]);
        assert_eq!((name.as_str(), &shape[..]), ("dual.0.offset", &[4][..]));
        assert_eq!(of("G/lod", &[]).1, [1]);
        let filters = "Generator.Res1.Conv1/Generator.Res1.Conv1.Filters";
        let (name, shape, _) = of(filters, &[3, 3, 2, 5]);
        assert_eq!((name.as_str(), &shape[..]), ("generator.Res1.Conv1.weight", &[5, 2, 3, 3][..]));
        assert_eq!(of("Discriminator.SWD/Discriminator.SWD.SWD_proj3", &[2, 2]).0, "dual.3.proj");
        assert_eq!(
            of("Discriminator.SWD/Discriminator.idt2/Discriminator.idt2.scale", &[1, 2]).0,
            "dual.2.scale"
        );
        assert_eq!(of("Generator.Res4.BN2.scale", &[4]).0, "generator.Res4.BN2.scale");
        assert_eq!(of("Generator.Input9/Generator.Input9.Filters", &[3, 3, 1, 2]).0, "decoder.Input9.weight");
        assert_eq!(of("Encoder.swd2/Encoder.swd2.swd_proj", &[2, 2]).0, "encoder.2.proj");
        assert!(from_official("beta1_power", &tensor(&[1])).unwrap().is_none());
    }
}
