//! Folders in which something is built before it gets its name.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use vg_core::{Error, Result};

/// Name of the file that a living process keeps locked in its folder.
const LOCK: &str = ".lock";

/// A temporary folder that is removed with this value; what a killed process left is removed by the next one.
pub(crate) struct Staging {
    folder: TempDir,
    lock: File,
}

impl Staging {
    /// Makes a folder in `parent` whose name begins with `prefix`, after removing those that nobody works in any more.
    ///
    /// # Errors
    /// [`Error::Io`] when `parent` cannot be written.
    pub(crate) fn new(parent: &Path, prefix: &str) -> Result<Self> {
        sweep(parent, prefix)?;
        let failed = || Error::io("writing into", parent);
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(failed())?;
        // The file gets its name when it is locked: one that is there without a lock is taken for abandoned.
        let unnamed = folder.path().join(format!("{LOCK}-new"));
        let lock = File::create(&unnamed).map_err(failed())?;
        lock.lock().map_err(failed())?;
        std::fs::rename(&unnamed, folder.path().join(LOCK)).map_err(failed())?;
        Ok(Self { folder, lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder its final name, which must be free.
    pub(crate) fn rename(self, to: &Path) -> Result<()> {
        let Self { folder, lock } = self;
        std::fs::remove_file(folder.path().join(LOCK)).map_err(Error::io("writing", to))?;
        drop(lock);
        std::fs::rename(folder.path(), to).map_err(Error::io("writing", to))?;
        // Nothing is left to remove under the temporary name.
        let _ = folder.keep();
        Ok(())
    }
}

fn sweep(parent: &Path, prefix: &str) -> Result<()> {
    let entries = std::fs::read_dir(parent).map_err(Error::io("reading the folder", parent))?;
    let old =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    for path in entries.filter_map(|entry| entry.ok().map(|e| e.path())).filter(old) {
        let abandoned = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            // Another process may be sweeping too; what it removes first is gone all the same.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_folders_go_and_those_in_work_stay() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(".building-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), b"").unwrap();
        let one = Staging::new(parent.path(), ".building-").unwrap();
        assert!(!left.exists());
        let two = Staging::new(parent.path(), ".building-").unwrap();
        assert!(one.path().exists());
        two.rename(&parent.path().join("done")).unwrap();
        drop(one);
        let names: Vec<_> =
            std::fs::read_dir(parent.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["done"]);
    }

    /// Each thread sweeps while others begin.
    #[test]
    fn folders_that_are_being_made_are_not_swept() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let own = Staging::new(parent.path(), ".building-").unwrap();
                        std::fs::write(own.path().join("file"), b"x").unwrap();
                        std::thread::yield_now();
                        assert!(own.path().join("file").exists());
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
