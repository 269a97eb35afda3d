//! Blobs as files of this machine: moved into place by a rename, durable before anybody refers to them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use slipway_types::Digest;
use tempfile::TempPath;

use crate::spool::SpoolDirectory;

/// The directory of a `file://` store.
#[derive(Debug, Clone)]
pub(crate) struct LocalDirectory {
    root: PathBuf,
}

impl LocalDirectory {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    /// Where files from another file system are copied before they are moved into place.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Makes the directories themselves durable.
    pub(crate) fn sync_layout(&self) -> io::Result<()> {
        let blobs = self.root.join("blobs");
        let parents = self.root.parent().into_iter();
        parents.chain([self.root.as_path(), &blobs]).try_for_each(sync_directory)
    }

    /// Makes an existing blob durable, whoever moved it here.
    pub(crate) fn adopt(&self) -> io::Result<()> {
        sync_directory(&self.blobs())
    }

    /// Moves a finished file in under its digest.
    pub(crate) fn install(&self, file: TempPath, digest: &Digest, spool: &SpoolDirectory) -> io::Result<()> {
        File::open(&file)?.sync_all()?;
        if let Err(error) = file.persist(self.path(digest)) {
            if error.error.kind() != io::ErrorKind::CrossesDevices {
                return Err(error.error);
            }
            self.copy_in(&error.path, digest, spool)?;
        }
        sync_directory(&self.blobs())
    }

    fn copy_in(&self, file: &Path, digest: &Digest, spool: &SpoolDirectory) -> io::Result<()> {
        let mut copy = spool.file_in(&self.incoming())?;
        io::copy(&mut File::open(file)?, &mut copy)?;
        copy.as_file().sync_all()?;
        copy.persist(self.path(digest)).map(drop).map_err(|e| e.error)
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
