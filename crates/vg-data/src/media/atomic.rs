//! Files that appear whole or not at all.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use tempfile::NamedTempFile;
use vg_core::{Error, Result};

/// Writes a file through a temporary one in the same folder, which replaces `path` after it has reached the disk.
/// Missing parent folders are made; on any error the temporary file is removed and `path` is as it was.
///
/// # Errors
/// [`Error::Io`] from the disk, and those of `fill`.
pub fn write_atomic(path: &Path, fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<()>) -> Result<()> {
    replace(path, |temp| {
        let mut writer = BufWriter::new(temp.as_file_mut());
        fill(&mut writer)?;
        writer.flush().map_err(Error::io("writing", path))
    })
}

/// The same for a program that opens the file by its name.
pub(crate) fn write_atomic_at(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    replace(path, |temp| fill(temp.path()))
}

fn replace(path: &Path, fill: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(Error::io("making the folder", folder))?;
    let mut temp = temp_file(folder).map_err(Error::io("writing into", folder))?;
    fill(&mut temp)?;
    temp.as_file().sync_all().map_err(Error::io("writing", path))?;
    temp.persist(path).map_err(|e| Error::io("writing", path)(e.error))?;
    Ok(())
}

/// A temporary file with the permissions of an ordinary new one.
fn temp_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vg-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(folder)
    }
    #[cfg(not(unix))]
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, |w| w.write_all(b"old").map_err(Error::io("writing", "a"))).unwrap();
        let failed = write_atomic(&path, |w| {
            w.write_all(b"new").map_err(Error::io("writing", "a"))?;
            Err(Error::Data("stop".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
