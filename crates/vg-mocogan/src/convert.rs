//! Tensor names of the official code.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use vg_core::{Error, Result};

/// Networks: (official class, the start of our names). Names within a network are the official ones.
pub const NETWORKS: &[(&str, &str)] = &[
    ("VideoGenerator", "generator"),
    ("ImageDiscriminator", "image_discriminator"),
    ("PatchImageDiscriminator", "image_discriminator"),
    ("VideoDiscriminator", "video_discriminator"),
    ("PatchVideoDiscriminator", "video_discriminator"),
    ("CategoricalVideoDiscriminator", "video_discriminator"),
];

/// Names a state dict of an official class as ours: `recurrent.weight_ih` of a `VideoGenerator` becomes
/// `generator.recurrent.weight_ih`. Counters of batches (`num_batches_tracked`, newer PyTorch) are left out.
///
/// # Errors
/// [`Error::Unknown`] for another class.
pub fn from_state_dict(
    class: &str,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<BTreeMap<String, Tensor>> {
    let network = network(class)?;
    let kept = tensors.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    Ok(kept.map(|(name, t)| (format!("{network}.{name}"), t)).collect())
}

/// Reads a state dict that PyTorch wrote (its ZIP container, the default since 1.6), under our names.
///
/// The official trainer pickles whole modules, which only Python with its classes can read; there, write
/// `torch.save(generator.state_dict(), "generator.pth")`.
///
/// # Errors
/// [`Error::Format`] for a file that is no state dict, [`Error::Unknown`] for another class.
pub fn from_pth(path: &Path, class: &str) -> Result<BTreeMap<String, Tensor>> {
    std::fs::File::open(path).map_err(Error::io("reading", path))?;
    let read = candle_core::pickle::read_all(path);
    let damaged = |e: candle_core::Error| {
        let hint = "expected a state dict in PyTorch's ZIP container; save `generator.state_dict()` with a current PyTorch";
        Error::format(path, format!("{hint} ({e})"))
    };
    from_state_dict(class, read.map_err(damaged)?)
}

/// The tensors of one network under their official names.
///
/// # Errors
/// [`Error::Unknown`] for another class.
pub fn to_state_dict(class: &str, tensors: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let prefix = format!("{}.", network(class)?);
    let named = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?, t)));
    Ok(named.map(|(name, t)| (name.to_owned(), t.clone())).collect())
}

fn network(class: &str) -> Result<&'static str> {
    let found = NETWORKS.iter().find(|(official, _)| *official == class);
    let names = NETWORKS.iter().map(|(official, _)| *official);
    found.map(|(_, ours)| *ours).ok_or_else(|| Error::unknown("class of the official code", class, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn names_map_both_ways() {
        let t = || Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let given = [("main.0.weight".to_owned(), t()), ("main.1.num_batches_tracked".to_owned(), t())];
        let ours = from_state_dict("VideoGenerator", given).unwrap();
        assert_eq!(ours.keys().collect::<Vec<_>>(), ["generator.main.0.weight"]);
        assert_eq!(
            to_state_dict("VideoGenerator", &ours).unwrap().keys().collect::<Vec<_>>(),
            ["main.0.weight"]
        );
        assert!(to_state_dict("PatchVideoDiscriminator", &ours).unwrap().is_empty());
        let error = from_state_dict("VideoGenerater", []).unwrap_err().to_string();
        assert!(error.contains("did you mean \"VideoGenerator\""), "{error}");
    }

    #[test]
    fn files_that_are_no_state_dicts_are_named() {
        let dir = std::env::temp_dir().join(format!("vg-mocogan-{}", std::process::id()));
        std::fs::write(&dir, b"not a container").unwrap();
        let error = from_pth(&dir, "VideoGenerator").unwrap_err().to_string();
        std::fs::remove_file(&dir).unwrap();
        assert!(error.contains("state_dict()"), "{error}");
        assert!(
            from_pth(Path::new("/nowhere.pth"), "VideoGenerator")
                .unwrap_err()
                .to_string()
                .contains("reading")
        );
    }
}
