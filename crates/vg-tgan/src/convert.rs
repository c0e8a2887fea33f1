//! Tensor names of the official code and of its PyTorch twin.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use candle_core::npy::NpzTensors;
use vg_core::{Error, Result};

/// Networks: (official name, ours).
pub const NETWORKS: &[(&str, &str)] =
    &[("fsgen", "temporal_generator"), ("vgen", "image_generator"), ("vdis", "critic")];

/// Parameters: (Chainer's last part, ours). Layouts are equal, so nothing is transposed.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("W", "weight"),
    ("b", "bias"),
    ("gamma", "weight"),
    ("beta", "bias"),
    ("avg_mean", "running_mean"),
    ("avg_var", "running_var"),
];

/// Our name of `fsgen.dc0.weight` and the like; `None` for a network that TGAN does not have.
pub fn from_reference(name: &str) -> Option<String> {
    rename(name, |(official, ours)| (*official, *ours))
}

/// The official name of one of ours.
pub fn to_reference(name: &str) -> Option<String> {
    rename(name, |(official, ours)| (*ours, *official))
}

fn rename(
    name: &str,
    direction: impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str),
) -> Option<String> {
    let (network, rest) = name.split_once('.')?;
    let (_, to) = NETWORKS.iter().map(direction).find(|(from, _)| *from == network)?;
    Some(format!("{to}.{rest}"))
}

/// Renames all tensors to the official names; those of other networks are left out.
pub fn all_to_reference(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    tensors.into_iter().filter_map(|(name, t)| Some((to_reference(&name)?, t))).collect()
}

/// Reads a snapshot of one network written by the official code, `gen_iter_*.npz` (G0), `vgen_iter_*.npz` (G1) or
/// `vdis_iter_*.npz` (D), under our names.
///
/// `network` is the official name: `fsgen`, `vgen` or `vdis`. Update counters and the critic's unused `bn0` are left out.
///
/// # Errors
/// [`Error::Format`] for a file that is no such snapshot, [`Error::Unknown`] for another network.
pub fn from_npz(path: &Path, network: &str) -> Result<BTreeMap<String, Tensor>> {
    let names = NETWORKS.iter().map(|(official, _)| *official);
    let Some((_, ours)) = NETWORKS.iter().find(|(official, _)| *official == network) else {
        return Err(Error::unknown("TGAN network", network, names));
    };
    std::fs::File::open(path).map_err(Error::io("reading", path))?;
    let damaged = |e: candle_core::Error| Error::format(path, format!("not an npz file, or cut short ({e})"));
    let file = NpzTensors::new(path).map_err(damaged)?;
    let mut tensors = BTreeMap::new();
    let keys: Vec<String> = file.names().into_iter().cloned().collect();
    let unused = |key: &String| key.ends_with("/N") || (network == "vdis" && key.starts_with("bn0/"));
    for key in keys.iter().filter(|k| !unused(k)) {
        let name = chainer_name(key).ok_or_else(|| Error::format(path, format!("unexpected entry {key}")))?;
        let tensor = file.get(key).map_err(damaged)?;
        let tensor = tensor.ok_or_else(|| Error::format(path, format!("{key} cannot be read")))?;
        tensors.insert(format!("{ours}.{name}"), tensor);
    }
    Ok(tensors)
}

/// `dc0/W` -> `dc0.weight`.
fn chainer_name(key: &str) -> Option<String> {
    let (layer, parameter) = key.split_once('/')?;
    let (_, ours) = PARAMETERS.iter().find(|(official, _)| *official == parameter)?;
    Some(format!("{layer}.{ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_both_ways() {
        assert_eq!(from_reference("vgen.bn0s.running_var").unwrap(), "image_generator.bn0s.running_var");
        assert_eq!(to_reference("critic.c4.bias").unwrap(), "vdis.c4.bias");
        assert_eq!(from_reference("other.c4.bias"), None);
        assert_eq!(chainer_name("bn3/avg_var").unwrap(), "bn3.running_var");
        assert_eq!(chainer_name("dc0/Q"), None);
    }
}
