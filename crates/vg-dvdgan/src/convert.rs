//! Tensor names of the reference, a network at a time.
//!
//! No weights of DVD-GAN were ever released. State dicts of the reference in `bench/pytorch/dvdgan.py` have our names behind the network's.
//! Those of the public port (Harrypotterrrr/DVD-GAN) fit no configuration of ours: its recurrent units are stacks of three cells with 3x3
//! and 5x5 kernels, its norms pool over time, and the batch norm before the last convolution is missing.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use vg_core::{Error, Result};

/// Networks: (reference's class or role, the start of our names).
pub const NETWORKS: &[(&str, &str)] =
    &[("generator", "generator"), ("ema", "generator"), ("spatial", "spatial"), ("temporal", "temporal")];

/// Names a state dict of a network of the reference as ours: `linear.weight` of the `generator`, or of its average `ema`, becomes
/// `generator.linear.weight`.
///
/// # Errors
/// [`Error::Unknown`] for another network.
pub fn from_state_dict(
    network: &str,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let network = ours(network)?;
    Ok(tensors.into_iter().map(|(name, tensor)| (format!("{network}.{name}"), tensor)).collect())
}

/// Reads a state dict that PyTorch wrote (its ZIP container, the default since 1.6), under our names.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] for a file that is no state dict, [`Error::Unknown`] for another network.
pub fn from_pth(path: &Path, network: &str) -> Result<BTreeMap<String, Tensor>> {
    std::fs::File::open(path).map_err(Error::io("reading", path))?;
    let read = candle_core::pickle::read_all(path);
    let damaged = |e: candle_core::Error| {
        let hint = "expected a state dict in PyTorch's ZIP container; save it with a current PyTorch";
        Error::format(path, format!("{hint} ({e})"))
    };
    from_state_dict(network, read.map_err(damaged)?)
}

/// The tensors of one network under the reference's names.
///
/// # Errors
/// [`Error::Unknown`] for another network.
pub fn to_state_dict(network: &str, tensors: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let prefix = format!("{}.", ours(network)?);
    let named = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?, t)));
    Ok(named.map(|(name, t)| (name.to_owned(), t.clone())).collect())
}

fn ours(network: &str) -> Result<&'static str> {
    let found = NETWORKS.iter().find(|(theirs, _)| *theirs == network).map(|(_, ours)| *ours);
    found.ok_or_else(|| Error::unknown("network of the reference", network, NETWORKS.iter().map(|(n, _)| *n)))
}
