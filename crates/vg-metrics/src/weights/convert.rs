//! From published files to ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use super::catalogue::Network;
use super::store::{self, Origin};
use super::{foreign, rename};
use crate::network::{Layout, check_layout};

/// Converts published weights into `NAME.safetensors` in `folder`, whole or not at all, and returns its path.
///
/// `from` is a folder with the files of [`Network::files`] under their published names, or the first of these files under any name;
/// further ones are looked for beside it.
///
/// # Errors
/// [`Error::Data`] when a file is missing, [`Error::Format`] when one is damaged or holds other weights than the network's known ones,
/// [`Error::Weights`] that names every tensor that does not fit, [`Error::Io`] from the disk.
pub fn convert(network: Network, from: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<PathBuf> {
    let (mut parts, mut sources) = (Vec::new(), Vec::new());
    let paths = locate(network, from.as_ref())?;
    for path in &paths {
        let data = std::fs::read(path).map_err(Error::io("reading", path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sources.push(Origin {
            name,
            bytes: data.len() as u64,
            sha256: format!("{:x}", Sha256::digest(&data)),
        });
        parts.push(foreign::parse(path, &data)?);
    }
    let what = paths[0].display().to_string();
    let tensors = rename::ours(network, parts).map_err(|problem| Error::format(&paths[0], problem))?;
    check_layout(&layout_for(network, &tensors)?, &tensors, &what)?;
    check_sums(network, &tensors).map_err(|problem| Error::format(&paths[0], problem))?;
    store::write(network, folder.as_ref(), &tensors, sources)
}

/// The network's layout; C3D's mean clip is published in two widths.
fn layout_for(network: Network, tensors: &BTreeMap<String, Tensor>) -> Result<Layout> {
    let mut layout = network.layout()?;
    if let (Network::C3d, Some(mean), Some((_, shape))) = (network, tensors.get("mean"), layout.last_mut()) {
        *shape = mean.dims().to_vec();
    }
    Ok(layout)
}

/// The files that the network needs.
fn locate(network: Network, from: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (number, names) in network.files().iter().enumerate() {
        if number == 0 && from.is_file() {
            paths.push(from.to_path_buf());
            continue;
        }
        let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new(".")) };
        let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let missing = || {
            let names = names.join(" or ");
            Error::Data(format!(
                "{}: {names} is missing in {}; it comes from {}",
                network.name(),
                folder.display(),
                network.place()
            ))
        };
        paths.push(found.ok_or_else(missing)?);
    }
    Ok(paths)
}

/// Sum and sum of absolute values of some tensors of the known weights; 0 where it is not known.
const SUMS: &[(Network, &str, f64, f64)] = &[
    (Network::I3d, "Conv3d_1a_7x7.conv3d.weight", -56.431416, 7658.220616),
    (Network::I3d, "Conv3d_1a_7x7.bn.running_mean", 11.404708, 0.0),
    (Network::I3d, "Conv3d_1a_7x7.bn.running_var", 2713.185397, 0.0),
    (Network::I3d, "Mixed_5c.b2b.conv3d.weight", -177.013441, 6179.192949),
    (Network::I3d, "logits.conv3d.weight", 11.181122, 83267.629537),
    (Network::I3d, "logits.conv3d.bias", -3.389e-5, 78.583091),
    (Network::LpipsHeads, "alex.lin0.model.1.weight", 2.349532, 0.0),
    (Network::LpipsHeads, "alex.lin1.model.1.weight", 16.143027, 0.0),
    (Network::LpipsHeads, "alex.lin2.model.1.weight", 39.268439, 0.0),
    (Network::LpipsHeads, "alex.lin3.model.1.weight", 27.197178, 0.0),
    (Network::LpipsHeads, "alex.lin4.model.1.weight", 20.317177, 0.0),
    (Network::LpipsHeads, "vgg.lin0.model.1.weight", 6.925992, 0.0),
    (Network::LpipsHeads, "vgg.lin1.model.1.weight", 8.858334, 0.0),
    (Network::LpipsHeads, "vgg.lin2.model.1.weight", 17.515006, 0.0),
    (Network::LpipsHeads, "vgg.lin3.model.1.weight", 51.521323, 0.0),
    (Network::LpipsHeads, "vgg.lin4.model.1.weight", 47.034854, 0.0),
];

/// Refuses other weights of the same shape: numbers made with them would not compare.
fn check_sums(network: Network, tensors: &BTreeMap<String, Tensor>) -> std::result::Result<(), String> {
    for (_, name, sum, magnitude) in SUMS.iter().filter(|(of, ..)| *of == network) {
        let tensor = tensors.get(*name).ok_or_else(|| format!("{name} is missing"))?;
        let sums = |t: &Tensor| -> candle_core::Result<(f64, f64)> {
            let t = t.to_dtype(DType::F64)?;
            Ok((t.sum_all()?.to_scalar()?, t.abs()?.sum_all()?.to_scalar()?))
        };
        let got = sums(tensor).map_err(|e| e.to_string())?;
        let near = |got: f64, known: f64| (got - known).abs() <= 1e-6 + 1e-7 * known.abs();
        if !near(got.0, *sum) || (*magnitude != 0.0 && !near(got.1, *magnitude)) {
            return Err(format!(
                "these are not the known weights of {}: {name} sums to {:.6} instead of {sum:.6}; {} has them",
                network.name(),
                got.0,
                network.place()
            ));
        }
    }
    Ok(())
}
