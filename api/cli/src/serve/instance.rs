//! The data directory: made private, locked for one process, with this instance's stable name.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use slipway_types::id::InstanceId;

/// An opened data directory. The lock ends with it, also when the process is killed.
pub(crate) struct DataDirectory {
    path: PathBuf,
    name: InstanceId,
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {shown}"))?;
        let path = path.canonicalize().with_context(|| format!("cannot open the data directory {shown}"))?;
        let lock = private().create(true).truncate(false).open(path.join("lock"));
        let lock = lock.with_context(|| format!("cannot write into the data directory {shown}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                bail!(
                    "another slipway process uses {shown}: stop it, or give this one its own --data directory"
                )
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data directory {shown}"));
            }
        }
        let name = instance_name(&path)?;
        Ok(Self { path, name, _lock: lock })
    }

    /// Where it is, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The stable name under which this instance leases jobs; what it leased before it was killed is
    /// told by it.
    pub(crate) fn name(&self) -> InstanceId {
        self.name
    }
}

/// Options of a file that nobody else may read.
pub(crate) fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn instance_name(directory: &Path) -> Result<InstanceId> {
    let path = directory.join("instance");
    if let Ok(text) = fs::read_to_string(&path)
        && let Ok(name) = text.trim().parse()
    {
        return Ok(name);
    }
    let name = InstanceId::new();
    fs::write(&path, format!("{name}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}
