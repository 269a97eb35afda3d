//! A file tree as an index: names, types, modes, owners, link targets, and where contents lie.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

/// How many links one path may run through, as BuildKit has it.
const MAX_LINKS: usize = 255;

/// Opens something that is read from its beginning.
pub(crate) type Opener = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A tar stream, perhaps compressed, whose members are contents of files.
pub(crate) struct TarSource {
    /// For people: which layer or archive.
    pub(crate) label: String,
    /// Opens the stream as it is stored.
    pub(crate) open: Opener,
}

impl fmt::Debug for TarSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TarSource({})", self.label)
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Here.
    Bytes(Arc<[u8]>),
    /// In the build context, under this path.
    Context(Arc<str>),
    /// In a tar stream: the member whose data starts at this position.
    Tar { source: Arc<TarSource>, position: u64 },
}

/// The bytes of a file.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) size: u64,
    pub(crate) origin: Origin,
}

impl Content {
    /// Content that is at hand.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, origin: Origin::Bytes(bytes.into()) }
    }

    /// The member of a tar stream, if that is where the content is.
    pub(crate) fn member(&self) -> Option<(&Arc<TarSource>, u64)> {
        match &self.origin {
            Origin::Tar { source, position } => Some((source, *position)),
            _ => None,
        }
    }
}

/// What a path is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    Fifo,
    Device { character: bool, major: u32, minor: u32 },
}

/// One path of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    /// Extended attributes by name.
    pub(crate) attributes: Option<Arc<BTreeMap<String, Vec<u8>>>>,
    /// Whether another path of the same tar stream is a hard link to this content.
    pub(crate) linked: bool,
}

/// User and group by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: u64,
    pub(crate) group: u64,
}

impl Node {
    /// A node of user and group 0.
    pub(crate) fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, owner: Owner::default(), attributes: None, linked: false }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// A path ran through too many links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many links")]
pub(crate) struct TooManyLinks;

/// A tree. Paths are bytes without a slash at either end; the root is the empty path and always
/// exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// What `path` itself is, links not followed. The root is no node.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(crate) fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.get(path).is_some_and(Node::is_directory)
    }

    pub(crate) fn exists(&self, path: &[u8]) -> bool {
        path.is_empty() || self.nodes.contains_key(path)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Puts a node; one that is no directory takes the place of a whole subtree.
    pub(crate) fn put(&mut self, path: Vec<u8>, node: Node) {
        if !node.is_directory() && self.get(&path).is_some_and(Node::is_directory) {
            self.remove_below(&path, |_| true);
        }
        self.nodes.insert(path, node);
    }

    /// Removes a path and all below it.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        self.remove_below(path, |_| true);
        self.nodes.remove(path);
    }

    /// Removes those paths below `path` that `which` names.
    pub(crate) fn remove_below(&mut self, path: &[u8], which: impl Fn(&[u8]) -> bool) {
        let doomed: Vec<Vec<u8>> =
            self.below(path).map(|(path, _)| path).filter(|path| which(path)).map(<[u8]>::to_vec).collect();
        for path in doomed {
            self.nodes.remove(&path);
        }
    }

    /// All paths below `path`, parents before what they hold.
    pub(crate) fn below(&self, path: &[u8]) -> impl Iterator<Item = (&[u8], &Node)> {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let from: Bound<&[u8]> = Bound::Excluded(&prefix);
        self.nodes
            .range::<[u8], _>((from, Bound::Unbounded))
            .map(|(path, node)| (path.as_slice(), node))
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Where `path` leads inside the tree: all links followed, none leaves the root. What does not
    /// exist stays as it is written.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, TooManyLinks> {
        self.resolve_under(b"", path)
    }

    /// Like [`Tree::resolve`], with the directory `root` as the root.
    pub(crate) fn resolve_under(&self, root: &[u8], path: &[u8]) -> Result<Vec<u8>, TooManyLinks> {
        let mut open = components(path);
        open.reverse();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(component) = open.pop() {
            done.push(component);
            let Some(Kind::Symlink(target)) = self.get(&join(root, &done)).map(|node| &node.kind) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(TooManyLinks);
            }
            done.pop();
            let mut written = if target.starts_with(b"/") { Vec::new() } else { done.join(&b'/') };
            written.push(b'/');
            written.extend_from_slice(target);
            done.clear();
            open.extend(components(&written).into_iter().rev());
        }
        Ok(join(root, &done))
    }

    /// Like [`Tree::resolve_under`], but a link as the last component is not followed.
    pub(crate) fn resolve_parent(&self, root: &[u8], path: &[u8]) -> Result<Vec<u8>, TooManyLinks> {
        let mut parts = components(path);
        let Some(name) = parts.pop() else { return Ok(root.to_vec()) };
        let parent = self.resolve_under(root, &parts.join(&b'/'))?;
        Ok(child(&parent, &name))
    }
}

fn join(root: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    let mut path = root.to_vec();
    for part in parts {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    path
}

/// The components of a path, `.` and `..` worked out; `..` stops at the root.
pub(crate) fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part.to_vec()),
        }
    }
    parts
}

/// `path` without `.`, `..` and needless slashes.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    components(path).join(&b'/')
}

/// `name` in the directory `parent`.
pub(crate) fn child(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The directory of `path`; the root's is the root.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |at| &path[..at])
}

/// The last component of `path`.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(path, |at| &path[at + 1..])
}

/// A path for people.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}
