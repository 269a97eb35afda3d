//! The build context: what COPY and ADD may read.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::AssembleError;
use super::ignore::{IgnoreFile, Matches};
use super::tree::{Content, Kind, Node, Origin, Tree, parent};

/// The files of a build context. Everything blocks; call it where blocking is allowed.
pub trait ContextFiles: Send + Sync {
    /// Every entry except the root, in any order. Modes and owners are not theirs to say: files are
    /// 0644 or 0755, directories 0755, all of user and group 0.
    fn entries(&self) -> io::Result<Vec<ContextEntry>>;

    /// Opens a file by the path of its entry.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>>;
}

/// One entry of a build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    /// Path from the root of the context, without slashes at the ends.
    pub path: String,
    /// What it is.
    pub kind: ContextKind,
}

/// What an entry of a build context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// A directory. Those that entries below imply need not be listed.
    Directory,
    /// A regular file.
    File {
        /// Whether its mode is 0755 and not 0644.
        executable: bool,
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points to, as it is written.
        target: String,
    },
}

/// A directory of this machine as a build context.
#[derive(Debug, Clone)]
pub struct DirectoryContext {
    root: PathBuf,
}

impl DirectoryContext {
    /// The context whose root is `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

fn walk(directory: &Path, prefix: &str, entries: &mut Vec<ContextEntry>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| not_utf8(&entry.path()))?;
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let metadata = entry.metadata()?;
        let kind = if metadata.is_dir() {
            walk(&entry.path(), &path, entries)?;
            ContextKind::Directory
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(entry.path())?;
            let target = target.to_str().ok_or_else(|| not_utf8(&target))?.to_owned();
            ContextKind::Symlink { target }
        } else {
            ContextKind::File { executable: is_executable(&metadata), size: metadata.len() }
        };
        entries.push(ContextEntry { path, kind });
    }
    Ok(())
}

fn not_utf8(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the path {} is not UTF-8", path.display()))
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

impl ContextFiles for DirectoryContext {
    fn entries(&self) -> io::Result<Vec<ContextEntry>> {
        let mut entries = Vec::new();
        walk(&self.root, "", &mut entries)?;
        Ok(entries)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(std::fs::File::open(self.root.join(path))?))
    }
}

/// The context as COPY sees it.
#[derive(Debug)]
pub(crate) struct ContextTree {
    /// What is not ignored.
    pub(crate) tree: Tree,
    /// What is ignored, by which pattern.
    pub(crate) ignored: BTreeMap<String, String>,
}

/// Name of the ignore file at the root of a context.
const IGNORE_FILE: &str = ".dockerignore";
/// Largest ignore file.
const MAX_IGNORE_BYTES: u64 = 1 << 20;

impl ContextTree {
    /// Reads the context; `ignore` is the ignore file that lies beside the Dockerfile, if one does.
    pub(crate) fn read(
        context: &dyn ContextFiles,
        ignore: Option<&[u8]>,
        max_entries: usize,
    ) -> Result<Self, AssembleError> {
        let failed = |source| AssembleError::Context { path: "/".to_owned(), source };
        let mut entries = context.entries().map_err(failed)?;
        if entries.len() > max_entries {
            return Err(AssembleError::Limit { name: "max_context_entries", limit: max_entries as u64 });
        }
        entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        let ignore = ignore_file(context, &entries, ignore)?;
        let mut reader = Reader {
            ignore,
            matches: BTreeMap::new(),
            read: Self { tree: Tree::default(), ignored: BTreeMap::new() },
        };
        for entry in entries {
            reader.add(entry)?;
        }
        Ok(reader.read)
    }
}

struct Reader {
    ignore: IgnoreFile,
    /// What matched each directory so far.
    matches: BTreeMap<String, Matches>,
    read: ContextTree,
}

impl Reader {
    fn add(&mut self, entry: ContextEntry) -> Result<(), AssembleError> {
        let valid = entry.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !valid {
            let message = format!("the context has the invalid path {:?}", entry.path);
            return Err(AssembleError::Context { path: entry.path, source: io::Error::other(message) });
        }
        if let Some(pattern) = self.ignored(&entry.path) {
            self.read.ignored.insert(entry.path, pattern);
            return Ok(());
        }
        let path = entry.path.as_bytes().to_vec();
        self.add_parents(&path);
        let node = match entry.kind {
            ContextKind::Directory => Node::new(Kind::Directory, 0o755),
            ContextKind::Symlink { target } => Node::new(Kind::Symlink(target.into_bytes()), 0o777),
            ContextKind::File { executable, size } => {
                let origin = Origin::Context(entry.path.into());
                Node::new(Kind::File(Content { size, origin }), if executable { 0o755 } else { 0o644 })
            }
        };
        self.read.tree.put(path, node);
        Ok(())
    }

    /// A directory that is ignored still exists if something below it is not.
    fn add_parents(&mut self, path: &[u8]) {
        let mut directory = parent(path);
        while !self.read.tree.exists(directory) {
            self.read.tree.put(directory.to_vec(), Node::new(Kind::Directory, 0o755));
            directory = parent(directory);
        }
    }

    fn ignored(&mut self, path: &str) -> Option<String> {
        if self.ignore.is_empty() {
            return None;
        }
        for (end, _) in path.match_indices('/') {
            let directory = &path[..end];
            if !self.matches.contains_key(directory) {
                self.matched(directory);
            }
        }
        self.matched(path)
    }

    fn matched(&mut self, path: &str) -> Option<String> {
        let above = path.rsplit_once('/').and_then(|(above, _)| self.matches.get(above));
        let (pattern, matches) = self.ignore.excludes(path, above);
        let pattern = pattern.map(str::to_owned);
        self.matches.insert(path.to_owned(), matches);
        pattern
    }
}

fn ignore_file(
    context: &dyn ContextFiles,
    entries: &[ContextEntry],
    beside: Option<&[u8]>,
) -> Result<IgnoreFile, AssembleError> {
    let invalid = |message| AssembleError::IgnoreFile { message };
    if let Some(bytes) = beside {
        return IgnoreFile::parse(bytes).map_err(invalid);
    }
    let is_ignore_file =
        |entry: &ContextEntry| entry.path == IGNORE_FILE && matches!(entry.kind, ContextKind::File { .. });
    if !entries.iter().any(is_ignore_file) {
        return Ok(IgnoreFile::default());
    }
    let failed = |source| AssembleError::Context { path: IGNORE_FILE.to_owned(), source };
    let mut bytes = Vec::new();
    let file = context.open(IGNORE_FILE).map_err(failed)?;
    file.take(MAX_IGNORE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_IGNORE_BYTES {
        return Err(AssembleError::Limit { name: "max_ignore_bytes", limit: MAX_IGNORE_BYTES });
    }
    IgnoreFile::parse(&bytes).map_err(invalid)
}

/// A context for tests and callers without files: an empty directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyContext;

impl ContextFiles for EmptyContext {
    fn entries(&self) -> io::Result<Vec<ContextEntry>> {
        Ok(Vec::new())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Err(io::Error::new(io::ErrorKind::NotFound, path.to_owned()))
    }
}
