//! Directories for objects that nothing refers to yet.
//!
//! Each boot has a directory of its own beside a lock file that it holds while it lives, so that a
//! later boot can tell leftovers from what another process on the same cache is using.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// This boot's directory.
#[derive(Debug)]
pub(crate) struct QuarantineRoot {
    dir: PathBuf,
    _lock: File,
}

/// Objects of one push or fetch; removed when dropped.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: tempfile::TempDir,
}

impl QuarantineRoot {
    /// Removes what earlier boots left and makes this boot's directory.
    pub(crate) fn open(cache_dir: &Path) -> io::Result<Self> {
        let parent = cache_dir.join("quarantine");
        fs::create_dir_all(&parent)?;
        remove_leftovers(&parent)?;
        let name = Uuid::now_v7().to_string();
        let lock = File::create(parent.join(format!("{name}.lock")))?;
        lock.lock()?;
        let dir = parent.join(name);
        fs::create_dir(&dir)?;
        Ok(Self { dir, _lock: lock })
    }

    /// A new quarantine whose objects may refer to those in `repository`.
    pub(crate) fn create(&self, repository: &Path) -> io::Result<Quarantine> {
        let dir = tempfile::Builder::new().prefix("q").tempdir_in(&self.dir)?;
        fs::create_dir_all(dir.path().join("objects/pack"))?;
        fs::create_dir_all(dir.path().join("objects/info"))?;
        let mut alternates = repository.join("objects").into_os_string().into_encoded_bytes();
        alternates.push(b'\n');
        fs::write(dir.path().join("objects/info/alternates"), alternates)?;
        Ok(Quarantine { dir })
    }
}

impl Drop for QuarantineRoot {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        drop(fs::remove_dir_all(&self.dir));
        drop(fs::remove_file(self.dir.with_extension("lock")));
    }
}

fn remove_leftovers(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        match lock.try_lock() {
            Ok(()) => {
                // A git of a killed boot may outlive it for a moment and still write there: then the
                // next start removes it.
                if let Err(error) = remove_leftover(&path) {
                    tracing::debug!(path = %path.display(), %error, "a left quarantine stays for now");
                }
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The directory first: as long as its lock file is there, a later start finds it.
fn remove_leftover(lock: &Path) -> io::Result<()> {
    match fs::remove_dir_all(lock.with_extension("")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_file(lock),
    }
}

impl Quarantine {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its object directory.
    pub(crate) fn objects(&self) -> PathBuf {
        self.dir.path().join("objects")
    }

    /// The packs in it, sorted.
    pub(crate) fn packs(&self) -> io::Result<Vec<PathBuf>> {
        let mut packs = Vec::new();
        for entry in fs::read_dir(self.objects().join("pack"))? {
            let path = entry?.path();
            let indexed = path.with_extension("idx").exists();
            if path.extension().is_some_and(|extension| extension == "pack") && indexed {
                packs.push(path);
            }
        }
        packs.sort();
        Ok(packs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_dead_boots_go_and_those_in_use_stay() {
        let cache = tempfile::tempdir().unwrap();
        let parent = cache.path().join("quarantine");
        let living = QuarantineRoot::open(cache.path()).unwrap();
        let used = living.create(cache.path()).unwrap();
        fs::create_dir_all(parent.join("dead/q1/objects")).unwrap();
        fs::write(parent.join("dead.lock"), "").unwrap();
        let _second = QuarantineRoot::open(cache.path()).unwrap();
        assert!(!parent.join("dead").exists() && !parent.join("dead.lock").exists());
        assert!(used.objects().exists());
    }
}
