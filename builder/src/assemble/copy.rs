//! COPY and ADD: what lands where, with which mode and owner. After BuildKit's copier.

use std::sync::Arc;

use crate::dockerfile::glob::{Glob, has_wildcard};

use super::ContextFiles;
use super::archive;
use super::layer::Changes;
use super::tree::{
    Kind, Node, Owner, TooManyLinks, Tree, child, clean, components, file_name, parent, shown,
};

/// Mode of directories that nothing else gives a mode.
const DIRECTORY_MODE: u32 = 0o755;
/// The bit by which new entries of a directory take over its group.
const SETGID: u32 = 0o2000;

/// One COPY or ADD, all variables expanded.
pub(crate) struct CopySpec {
    /// Absolute; a slash or `/.` at its end means a directory.
    pub(crate) destination: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) mode: Option<u32>,
    /// Set for ADD: archives are unpacked, read from here.
    pub(crate) unpack: Option<Arc<dyn ContextFiles>>,
}

/// Why a source cannot be copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("source not found")]
    Missing,
    #[error("{0}")]
    Refused(String),
    #[error("{archive}: {compression} archives are not supported")]
    Compression { archive: String, compression: &'static str },
    #[error("cannot read {archive}")]
    Archive { archive: String, source: std::io::Error },
}

impl From<TooManyLinks> for CopyError {
    fn from(error: TooManyLinks) -> Self {
        Self::Refused(error.to_string())
    }
}

/// A tree that is being changed, and the changes.
pub(crate) struct Target<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) changes: &'a mut Changes,
}

impl Target<'_> {
    pub(crate) fn put(&mut self, path: &[u8], node: Node) -> Result<(), CopyError> {
        if file_name(path).starts_with(b".wh.") {
            let message =
                format!("{}: names that start with .wh. mean deletions in image layers", shown(path));
            return Err(CopyError::Refused(message));
        }
        if !node.is_directory() && self.tree.get(path).is_some_and(Node::is_directory) {
            let below: Vec<Vec<u8>> = self.tree.below(path).map(|(path, _)| path.to_vec()).collect();
            for path in below {
                self.changes.remove(&path);
            }
        }
        self.tree.put(path.to_vec(), node.clone());
        self.changes.insert(path.to_vec(), node);
        Ok(())
    }

    /// Makes `path` and what it lies in; what exists is left as it is. As a kernel does it, a directory
    /// made in one with the setgid bit takes over the bit, and without an owner of its own the group.
    pub(crate) fn make_directories(&mut self, path: &[u8], owner: Option<Owner>) -> Result<(), CopyError> {
        let parts = components(path);
        for end in 1..=parts.len() {
            let directory = parts[..end].join(&b'/');
            if self.tree.is_directory(&directory) {
                continue;
            }
            if self.tree.exists(&directory) {
                return Err(CopyError::Refused(format!("{} is not a directory", shown(&directory))));
            }
            let setgid = self.tree.get(parent(&directory)).filter(|node| node.mode & SETGID != 0);
            let mode = DIRECTORY_MODE | setgid.map_or(0, |_| SETGID);
            let group = setgid.map_or(0, |node| node.owner.group);
            let owner = owner.unwrap_or(Owner { user: 0, group });
            self.put(&directory, Node { owner, ..Node::new(Kind::Directory, mode) })?;
        }
        Ok(())
    }
}

/// The paths of `source` that `pattern` names. A pattern with wildcards may name none.
pub(crate) fn matching(source: &Tree, pattern: &str) -> Result<Vec<Vec<u8>>, CopyError> {
    let parts: Vec<String> = components(pattern.as_bytes())
        .iter()
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    let Some(first) = parts.iter().position(|part| has_wildcard(part)) else {
        return Ok(vec![clean(pattern.as_bytes())]);
    };
    let root = source.resolve(parts[..first].join("/").as_bytes())?;
    let Ok(glob) = Glob::file_path(&parts[first..].join("/")) else {
        return Err(CopyError::Refused(format!("syntax error in pattern {pattern:?}")));
    };
    let skip = if root.is_empty() { 0 } else { root.len() + 1 };
    let mut found: Vec<Vec<u8>> = Vec::new();
    for (path, _) in source.below(&root) {
        let inside =
            found.last().is_some_and(|last| path.starts_with(last) && path.get(last.len()) == Some(&b'/'));
        if !inside && glob.matches(&String::from_utf8_lossy(&path[skip..])) {
            found.push(path.to_vec());
        }
    }
    Ok(found)
}

/// Copies one path of `source`, which a pattern has named.
pub(crate) fn copy(
    source: &Tree,
    path: &[u8],
    spec: &CopySpec,
    target: &mut Target<'_>,
) -> Result<(), CopyError> {
    let followed = source.resolve(path)?;
    if !source.exists(&followed) {
        return Err(CopyError::Missing);
    }
    if let Some(context) = &spec.unpack
        && let Some(archive) = archive::open(source.get(&followed), context)?
    {
        let directory = target.tree.resolve(spec.destination.as_bytes())?;
        target.make_directories(&directory, spec.owner)?;
        return archive::unpack(&archive, &directory, target);
    }
    let names_directory = spec.destination.ends_with('/') || spec.destination.ends_with("/.");
    let destination = clean(spec.destination.as_bytes());
    let ensured = if names_directory { destination.as_slice() } else { parent(&destination) };
    let ensured = target.tree.resolve(ensured)?;
    target.make_directories(&ensured, spec.owner)?;
    let mut destination = target.tree.resolve(&destination)?;
    let is_directory = source.is_directory(&followed);
    if !is_directory && target.tree.is_directory(&destination) {
        destination = child(&destination, file_name(path));
    }
    let needed = if is_directory { destination.as_slice() } else { parent(&destination) };
    if is_directory && target.tree.exists(&destination) && !target.tree.is_directory(&destination) {
        return Err(CopyError::Refused(format!("cannot copy to non-directory: {}", shown(&destination))));
    }
    target.make_directories(needed, spec.owner)?;
    if !is_directory {
        let node = source.get(&followed).expect("invariant: it exists and is not the root");
        return copy_node(node, &destination, spec, target);
    }
    let skip = if followed.is_empty() { 0 } else { followed.len() + 1 };
    for (path, node) in source.below(&followed) {
        copy_node(node, &child(&destination, &path[skip..]), spec, target)?;
    }
    Ok(())
}

fn copy_node(node: &Node, path: &[u8], spec: &CopySpec, target: &mut Target<'_>) -> Result<(), CopyError> {
    let mut copied = node.clone();
    copied.owner = spec.owner.unwrap_or(node.owner);
    if !matches!(node.kind, Kind::Symlink(_)) {
        copied.mode = spec.mode.unwrap_or(node.mode);
    }
    match (target.tree.get(path), node.is_directory()) {
        (Some(existing), true) if !existing.is_directory() => {
            Err(CopyError::Refused(format!("cannot copy to non-directory: {}", shown(path))))
        }
        (Some(existing), false) if existing.is_directory() => {
            Err(CopyError::Refused(format!("cannot replace directory {} with file", shown(path))))
        }
        (Some(existing), true) => {
            if copied.attributes.is_none() {
                copied.attributes.clone_from(&existing.attributes);
            }
            let same = existing.mode == copied.mode
                && existing.owner == copied.owner
                && existing.attributes == copied.attributes;
            if same { Ok(()) } else { target.put(path, copied) }
        }
        (_, _) => target.put(path, copied),
    }
}
