//! The build context as one finished tar file.
//!
//! It is complete before its first byte is sent: an engine takes a tar that was cut between two
//! entries for a whole one.

use std::io::{self, Read};

use slipway_objects::{BlockingSpool, Spooled};
use slipway_types::Fault;
use tar::{Builder, EntryType, Header};

use super::blob_fault;
use crate::assemble::context::ContextTree;
use crate::assemble::tree::{Kind, Origin};
use crate::assemble::{AssembleError, ContextFiles};

/// What the rewritten Dockerfile is called; the commit's own stays as it is for COPY to find.
pub(super) const DOCKERFILE: &str = ".slipway.Dockerfile";
const DOCKERIGNORE: &str = ".dockerignore";
/// 1980-01-01T00:00:00Z in seconds.
const MTIME: u64 = 315_532_800;

/// What a context may be at most.
pub(super) struct Limits {
    pub(super) max_context_bytes: u64,
    pub(super) max_context_entries: usize,
}

/// Writes the context with `dockerfile` as its first entry.
pub(super) fn write(
    files: &dyn ContextFiles,
    beside: Option<&[u8]>,
    dockerfile: &[u8],
    spool: BlockingSpool,
    limits: &Limits,
) -> Result<Spooled, Fault> {
    let read = |error: AssembleError| error.fault("Dockerfile");
    let tree = ContextTree::read(files, beside, limits.max_context_entries).map_err(read)?.tree;
    let size = |kind: &Kind| if let Kind::File(content) = kind { content.size } else { 0 };
    let total: u64 = tree.below(b"").map(|(_, node)| size(&node.kind)).sum();
    if total > limits.max_context_bytes {
        let limit = limits.max_context_bytes;
        let message = format!("the build context has {total} bytes, more than max_context_bytes = {limit}");
        return Err(Fault::permanent("context_too_large", message)
            .hint("Leave out what the build does not need with a .dockerignore."));
    }
    let mut archive = Archive { builder: Builder::new(spool) };
    let written = archive.write(files, &tree, dockerfile).and_then(|()| archive.builder.into_inner());
    let spool = written.map_err(|error| match error.downcast() {
        Ok(own) => blob_fault(own),
        Err(error) => {
            Fault::transient("context_unreadable", format!("the build context cannot be read: {error}"))
        }
    })?;
    spool.finish().map_err(blob_fault)
}

struct Archive {
    builder: Builder<BlockingSpool>,
}

impl Archive {
    fn write(
        &mut self,
        files: &dyn ContextFiles,
        tree: &crate::assemble::tree::Tree,
        dockerfile: &[u8],
    ) -> io::Result<()> {
        self.file(DOCKERFILE, 0o644, dockerfile.len() as u64, dockerfile)?;
        let own = tree.get(DOCKERIGNORE.as_bytes()).and_then(|node| match &node.kind {
            Kind::File(content) => Some(content),
            _ => None,
        });
        let ignore = match own {
            Some(content) => Some(read_all(files, content)?),
            None => None,
        };
        let ignore = with_own_names(ignore);
        self.file(DOCKERIGNORE, 0o644, ignore.len() as u64, ignore.as_slice())?;
        for (path, node) in tree.below(b"") {
            let path = std::str::from_utf8(path).map_err(io::Error::other)?;
            match &node.kind {
                _ if path == DOCKERIGNORE || path == DOCKERFILE => {}
                Kind::Directory => self.entry(EntryType::Directory, path, 0o755, None)?,
                Kind::Symlink(target) => {
                    let target = std::str::from_utf8(target).map_err(io::Error::other)?;
                    self.entry(EntryType::Symlink, path, 0o777, Some(target))?;
                }
                Kind::File(content) => {
                    let reader = match &content.origin {
                        Origin::Context(origin) => files.open(origin)?,
                        Origin::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
                        Origin::Tar { .. } => {
                            return Err(io::Error::other(format!("{path} is in an archive")));
                        }
                    };
                    self.file(path, node.mode, content.size, reader)?;
                }
                Kind::Fifo | Kind::Device { .. } => {
                    return Err(io::Error::other(format!("{path} is neither file, directory nor link")));
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, size: u64, reader: impl Read) -> io::Result<()> {
        let mut header = header(EntryType::Regular, mode);
        header.set_size(size);
        let mut reader = Counted { reader: reader.take(size), count: 0 };
        self.builder.append_data(&mut header, path, &mut reader)?;
        if reader.count == size {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{path} is shorter than it was")))
    }

    fn entry(&mut self, kind: EntryType, path: &str, mode: u32, link: Option<&str>) -> io::Result<()> {
        let mut header = header(kind, mode);
        match link {
            Some(target) => self.builder.append_link(&mut header, path, target),
            None => self.builder.append_data(&mut header, format!("{path}/"), io::empty()),
        }
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MTIME);
    header.set_size(0);
    header
}

fn read_all(files: &dyn ContextFiles, content: &crate::assemble::tree::Content) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Origin::Context(path) = &content.origin {
        files.open(path)?.take(content.size).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The engine removes the Dockerfile from the context if the ignore file names it, and the ignore
/// file if that names itself. What is ours must not reach a `COPY . .`.
fn with_own_names(own: Option<Vec<u8>>) -> Vec<u8> {
    match own {
        Some(mut own) => {
            own.extend_from_slice(format!("\n{DOCKERFILE}\n").as_bytes());
            own
        }
        None => format!("{DOCKERIGNORE}\n{DOCKERFILE}\n").into_bytes(),
    }
}

struct Counted<R> {
    reader: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::DirectoryContext;
    use slipway_objects::{Blobs, BlobsOptions};

    const LIMITS: Limits = Limits { max_context_bytes: 1000, max_context_entries: 100 };

    async fn spool(directory: &std::path::Path) -> BlockingSpool {
        Blobs::open(BlobsOptions::new("memory:///", directory)).await.unwrap().blocking_spool().unwrap()
    }

    #[tokio::test]
    async fn the_archive_is_whole_sorted_and_without_what_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("context");
        std::fs::create_dir_all(root.join("b")).unwrap();
        for (name, content) in
            [("b/z", "1"), ("b/a", "22"), (".dockerignore", "*.log"), ("x.log", "3"), ("Dockerfile", "F")]
        {
            std::fs::write(root.join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("b/a", root.join("link")).unwrap();
        let long = "n".repeat(90) + "/" + &"m".repeat(160);
        std::fs::create_dir(root.join(&long[..90])).unwrap();
        std::fs::write(root.join(&long), "l").unwrap();
        let files = DirectoryContext::new(&root);
        let spooled = write(&files, None, b"FROM x\n", spool(directory.path()).await, &LIMITS).unwrap();
        let bytes = std::fs::read(spooled.path()).unwrap();
        assert_eq!(&bytes[257..263], b"ustar\0");
        assert!(bytes.ends_with(&[0; 1024]));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<(String, u32, u64, u64, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap(), content)
            })
            .collect();
        let names: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
        let folder = format!("{}/", &long[..90]);
        let expected = [DOCKERFILE, DOCKERIGNORE, "Dockerfile", "b/", "b/a", "b/z", "link", &folder, &long];
        assert_eq!(names, expected);
        assert_eq!(entries[1].4, format!("*.log\n{DOCKERFILE}\n"));
        assert!(entries.iter().all(|(_, mode, uid, mtime, _)| {
            [0o644, 0o755, 0o777].contains(mode) && *uid == 0 && *mtime == MTIME
        }));
    }

    #[tokio::test]
    async fn a_context_over_the_limit_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("context");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("big"), [0; 1001]).unwrap();
        let files = DirectoryContext::new(&root);
        let fault = write(&files, None, b"FROM x\n", spool(directory.path()).await, &LIMITS).unwrap_err();
        assert!(fault.message.contains("max_context_bytes = 1000"), "{fault}");
    }
}
