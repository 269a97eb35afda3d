//! Bytes of files, wherever they lie. Members of tar streams are spooled to one file first, in one
//! pass over each stream.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::base::open_tar;
use super::layer::{Changes, size_changed};
use super::tree::{Content, Kind, Origin, TarSource};
use super::{AssembleError, ContextFiles};

/// Reads contents for one layer.
pub(crate) struct Contents<'a> {
    context: &'a dyn ContextFiles,
    spool: Option<Spool>,
}

struct Spool {
    file: Mutex<File>,
    /// Where each member lies in the file.
    offsets: HashMap<(usize, u64), u64>,
}

fn key(source: &Arc<TarSource>, position: u64) -> (usize, u64) {
    (Arc::as_ptr(source).addr(), position)
}

impl<'a> Contents<'a> {
    /// Makes all that `changes` need readable. Temporary files go to `spool_dir`.
    pub(crate) fn prepare(
        changes: &Changes,
        context: &'a dyn ContextFiles,
        spool_dir: &Path,
        max_spool_bytes: u64,
    ) -> Result<Self, AssembleError> {
        let mut wanted: HashMap<usize, (Arc<TarSource>, BTreeSet<u64>)> = HashMap::new();
        for node in changes.values() {
            if let Kind::File(content) = &node.kind
                && let Some((source, position)) = content.member()
            {
                let entry = wanted.entry(Arc::as_ptr(source).addr());
                entry.or_insert_with(|| (Arc::clone(source), BTreeSet::new())).1.insert(position);
            }
        }
        if wanted.is_empty() {
            return Ok(Self { context, spool: None });
        }
        let mut file = tempfile::tempfile_in(spool_dir).map_err(AssembleError::Spool)?;
        let mut offsets = HashMap::new();
        let mut used = 0;
        for (source, positions) in wanted.values() {
            let mut limited = Limited { file: &mut file, used, limit: max_spool_bytes };
            spool(source, positions, &mut limited, &mut offsets)?;
            used = limited.used;
        }
        Ok(Self { context, spool: Some(Spool { file: Mutex::new(file), offsets }) })
    }

    /// Writes exactly the bytes of `content`, which is to lie at `path`.
    pub(crate) fn copy(
        &self,
        content: &Content,
        path: &[u8],
        to: &mut impl Write,
    ) -> Result<(), AssembleError> {
        let shown = || String::from_utf8_lossy(path).into_owned();
        let (copied, source): (io::Result<u64>, Option<&str>) = match &content.origin {
            Origin::Bytes(bytes) => {
                to.write_all(bytes).map_err(AssembleError::Sink)?;
                return Ok(());
            }
            Origin::Context(path) => {
                let opened = self.context.open(path);
                (opened.and_then(|file| copy_all(file, content.size, to)), Some(path))
            }
            Origin::Tar { source, position } => {
                (self.copy_spooled(&key(source, *position), content.size, to), None)
            }
        };
        let failed = |error: io::Error| {
            if super::blocks::is_stopped(&error) {
                return AssembleError::Sink(error);
            }
            AssembleError::Context { path: source.map_or_else(shown, str::to_owned), source: error }
        };
        let copied = copied.map_err(failed)?;
        if copied != content.size {
            return Err(failed(size_changed(path, content.size)));
        }
        Ok(())
    }

    fn copy_spooled(&self, key: &(usize, u64), size: u64, to: &mut impl Write) -> io::Result<u64> {
        let missing = || io::Error::other("the member was not found when its archive was read again");
        let spool = self.spool.as_ref().ok_or_else(missing)?;
        let offset = spool.offsets.get(key).ok_or_else(missing)?;
        let mut file = spool.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(*offset))?;
        copy_all(&mut *file, size, to)
    }
}

/// Copies until the end, or one byte more than expected; returns how many there were.
fn copy_all(mut from: impl Read, size: u64, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut copied = 0;
    while copied < size {
        let room = usize::try_from(size - copied).unwrap_or(usize::MAX).min(buffer.len());
        let read = from.read(&mut buffer[..room])?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read])?;
        copied += read as u64;
    }
    Ok(copied)
}

struct Limited<'a> {
    file: &'a mut File,
    used: u64,
    limit: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.used + bytes.len() as u64 > self.limit {
            let message = format!("copied files exceed max_spool_bytes = {}", self.limit);
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        let written = self.file.write(bytes)?;
        self.used += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn spool(
    source: &Arc<TarSource>,
    positions: &BTreeSet<u64>,
    to: &mut Limited<'_>,
    offsets: &mut HashMap<(usize, u64), u64>,
) -> Result<(), AssembleError> {
    let failed = |error| AssembleError::Archive { archive: source.label.clone(), source: error };
    let mut archive = tar::Archive::new(open_tar(source).map_err(failed)?);
    let mut left = positions.len();
    for entry in archive.entries().map_err(failed)? {
        if left == 0 {
            break;
        }
        let mut entry = entry.map_err(failed)?;
        let position = entry.raw_file_position();
        if !positions.contains(&position) || !entry.header().entry_type().is_file() && entry.size() == 0 {
            continue;
        }
        offsets.insert(key(source, position), to.used);
        io::copy(&mut entry, to).map_err(AssembleError::Spool)?;
        left -= 1;
    }
    Ok(())
}
