//! Contents of files.

use std::io::{self, Cursor, Read};
use std::process::{Child, ChildStdout};

use git2::ObjectType;

use super::{Snapshot, header, oid};
use crate::ObjectId;
use crate::error::{GitError, object_error};

/// Blobs up to this size are read into memory; larger ones are streamed by a `git` process, since
/// libgit2 cannot stream what is packed.
const MEMORY_BYTES: u64 = 8 << 20;

/// The content of one blob, as a stream of known length.
#[derive(Debug)]
pub struct BlobReader {
    size: u64,
    left: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Cursor<Vec<u8>>),
    Process(Child, ChildStdout),
}

impl BlobReader {
    /// How many bytes there are in all.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.content {
            Content::Memory(bytes) => bytes.read(buffer)?,
            Content::Process(_, stdout) => stdout.read(buffer)?,
        };
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "git ended inside a blob"));
        }
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        if let Content::Process(child, _) = &mut self.content {
            // It has ended already or is of no use any more.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Snapshot {
    /// The size of a blob.
    pub fn blob_size(&self, id: &ObjectId) -> Result<u64, GitError> {
        match header(&self.repository, id)? {
            (size, ObjectType::Blob) => Ok(size),
            _ => Err(GitError::NotFound { what: format!("blob {id}") }),
        }
    }

    /// A whole blob, if it has at most `max_bytes`.
    pub fn read_blob(&self, id: &ObjectId, max_bytes: u64) -> Result<Vec<u8>, GitError> {
        let size = self.blob_size(id)?;
        if size > max_bytes {
            let what = format!("blob {id} of {size} bytes");
            return Err(GitError::TooLarge { what, limit: "max_bytes", max: max_bytes });
        }
        let blob = self.repository.find_blob(oid(id)).map_err(object_error(&format!("blob {id}")))?;
        Ok(blob.content().to_vec())
    }

    /// A blob as a stream; memory stays flat whatever its size.
    pub fn open_blob(&self, id: &ObjectId) -> Result<BlobReader, GitError> {
        let size = self.blob_size(id)?;
        if size <= MEMORY_BYTES {
            let content = Content::Memory(Cursor::new(self.read_blob(id, MEMORY_BYTES)?));
            return Ok(BlobReader { size, left: size, content });
        }
        if size > self.max_blob_bytes {
            let what = format!("blob {id} of {size} bytes");
            return Err(GitError::TooLarge { what, limit: "max_blob_bytes", max: self.max_blob_bytes });
        }
        let mut command = self.git.blocking(&self.dir);
        command.args(["cat-file", "blob", id.as_str()]).stderr(std::process::Stdio::null());
        let mut child = command.spawn().map_err(GitError::io("start git"))?;
        let stdout = child.stdout.take().expect("invariant: standard output is piped");
        Ok(BlobReader { size, left: size, content: Content::Process(child, stdout) })
    }
}
