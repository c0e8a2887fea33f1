//! Tensor names of the official code.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use vg_core::{Error, Result};

/// Networks: (key of an official checkpoint, the start of our names). Names within a network are the official ones. The last two keys are
/// those of the checkpoints for KTH (`edenton/kth_svg_model`).
pub const NETWORKS: &[(&str, &str)] = &[
    ("encoder", "encoder"),
    ("decoder", "decoder"),
    ("frame_predictor", "frame_predictor"),
    ("posterior", "posterior"),
    ("prior", "prior"),
    ("lstm", "frame_predictor"),
    ("oracle", "posterior"),
];

/// Starts of names that other versions of the official recurrent networks have (`lstm2` and `oracle_lstm` of the checkpoints for KTH), and ours.
const CELLS: &[(&str, &str)] = &[
    ("lstm0.", "lstm.0."),
    ("lstm1.", "lstm.1."),
    ("lstm.weight_", "lstm.0.weight_"),
    ("lstm.bias_", "lstm.0.bias_"),
];

/// Names a state dict of an official network as ours: `embed.weight` of `posterior` becomes `posterior.embed.weight`. Counters of batches
/// (`num_batches_tracked`, newer PyTorch) are left out.
///
/// # Errors
/// [`Error::Unknown`] for another key.
pub fn from_state_dict(
    key: &str,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let network = network(key)?;
    let kept = tensors.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    Ok(kept.map(|(name, t)| (format!("{network}.{}", cell(&name)), t)).collect())
}

/// Reads a state dict that PyTorch wrote (its ZIP container, the default since 1.6), under our names.
///
/// The official checkpoints hold whole modules, which only Python with their classes can read; there, write for each network
/// `torch.save(torch.load("model.pth", weights_only=False)["encoder"].state_dict(), "encoder.pth")`.
///
/// # Errors
/// [`Error::Format`] for a file that is no state dict, [`Error::Unknown`] for another key.
pub fn from_pth(path: &Path, key: &str) -> Result<BTreeMap<String, Tensor>> {
    std::fs::File::open(path).map_err(Error::io("reading", path))?;
    let damaged = |e: candle_core::Error| {
        let hint = "expected a state dict in PyTorch's ZIP container; save `checkpoint[key].state_dict()` with a current PyTorch";
        Error::format(path, format!("{hint} ({e})"))
    };
    from_state_dict(key, candle_core::pickle::read_all(path).map_err(damaged)?)
}

/// The tensors of one network under their official names.
///
/// # Errors
/// [`Error::Unknown`] for another key.
pub fn to_state_dict(key: &str, tensors: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let prefix = format!("{}.", network(key)?);
    let named = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?, t)));
    Ok(named.map(|(name, t)| (name.to_owned(), t.clone())).collect())
}

fn network(key: &str) -> Result<&'static str> {
    let found = NETWORKS.iter().find(|(official, _)| *official == key);
    let keys = NETWORKS.iter().map(|(official, _)| *official);
    found.map(|(_, ours)| *ours).ok_or_else(|| Error::unknown("network of an official checkpoint", key, keys))
}

/// Our name of a tensor of a recurrent cell; other names are the same.
fn cell(name: &str) -> String {
    let other = CELLS.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)));
    other.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn one(name: &str) -> [(String, Tensor); 1] {
        [(name.to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())]
    }

    #[test]
    fn names_map_both_ways() {
        let mut given = Vec::from(one("c1.main.0.weight"));
        given.extend(one("c1.main.1.num_batches_tracked"));
        let ours = from_state_dict("encoder", given).unwrap();
        assert_eq!(ours.keys().collect::<Vec<_>>(), ["encoder.c1.main.0.weight"]);
        assert_eq!(to_state_dict("encoder", &ours).unwrap().keys().collect::<Vec<_>>(), ["c1.main.0.weight"]);
        assert!(to_state_dict("prior", &ours).unwrap().is_empty());
        let error = from_state_dict("poster", []).unwrap_err().to_string();
        assert!(error.contains("did you mean \"posterior\""), "{error}");
    }

    #[test]
    fn cells_of_the_checkpoints_for_kth_are_numbered() {
        for (key, theirs, ours) in [
            ("oracle", "lstm.weight_ih", "posterior.lstm.0.weight_ih"),
            ("oracle", "lstm.bias_hh", "posterior.lstm.0.bias_hh"),
            ("lstm", "lstm0.weight_hh", "frame_predictor.lstm.0.weight_hh"),
            ("lstm", "lstm1.bias_ih", "frame_predictor.lstm.1.bias_ih"),
            ("lstm", "lstm.1.bias_ih", "frame_predictor.lstm.1.bias_ih"),
            ("lstm", "output.0.bias", "frame_predictor.output.0.bias"),
        ] {
            assert!(from_state_dict(key, one(theirs)).unwrap().contains_key(ours), "{key}, {theirs}");
        }
    }

    #[test]
    fn files_that_are_no_state_dicts_are_named() {
        let path = std::env::temp_dir().join(format!("vg-svg-{}", std::process::id()));
        std::fs::write(&path, b"not a container").unwrap();
        let error = from_pth(&path, "encoder").unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("state_dict()"), "{error}");
        let error = from_pth(Path::new("/nowhere.pth"), "encoder").unwrap_err().to_string();
        assert!(error.contains("reading"), "{error}");
    }
}
