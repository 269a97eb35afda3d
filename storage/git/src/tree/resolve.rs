//! Following symbolic links inside the tree.

use std::collections::VecDeque;

use super::{EntryKind, Snapshot, TreeEntry, join};
use crate::error::{GitError, PathError};

/// The most links on one path, as Linux has it.
const LINKS_MAX: usize = 40;
/// The longest link target, in bytes.
const TARGET_BYTES_MAX: u64 = 4096;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is there; never a link.
    pub entry: TreeEntry,
    /// The links that were followed, in order. A change to one of them changes the path.
    pub links: Vec<TreeEntry>,
}

impl Snapshot {
    /// Follows `path` from the root, links on the way and at its end included. Nothing may lead out
    /// of the repository, not even to come back.
    pub fn resolve(&self, path: &str) -> Result<Resolved, GitError> {
        let shown = || path.to_owned();
        let mut ahead: VecDeque<String> = components(path);
        let mut here = self.entry("")?.expect("invariant: a commit has a root");
        let mut links: Vec<TreeEntry> = Vec::new();
        while let Some(name) = ahead.pop_front() {
            match name.as_str() {
                "." => continue,
                ".." => {
                    if here.path.is_empty() {
                        return Err(PathError::Outside { path: shown() }.into());
                    }
                    let parent = here.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    here = self.entry(parent)?.expect("invariant: the parent was passed on the way");
                    continue;
                }
                _ => {}
            }
            let next = self.entry(&join(&here.path, &name))?;
            let next = next.ok_or_else(|| PathError::NotFound { path: shown() })?;
            match next.kind {
                EntryKind::Symlink => {
                    if links.len() >= LINKS_MAX {
                        return Err(PathError::Loop { path: shown() }.into());
                    }
                    let target = self.link_target(&next)?;
                    if target.starts_with('/') {
                        return Err(PathError::Outside { path: shown() }.into());
                    }
                    for part in components(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                    links.push(next);
                }
                EntryKind::Submodule if !ahead.is_empty() => {
                    return Err(PathError::Submodule { path: shown() }.into());
                }
                EntryKind::File | EntryKind::Executable if !ahead.is_empty() => {
                    return Err(PathError::NotADirectory { path: shown() }.into());
                }
                _ => here = next,
            }
        }
        Ok(Resolved { entry: here, links })
    }

    /// Where a link points, as written.
    pub fn link_target(&self, link: &TreeEntry) -> Result<String, GitError> {
        let target = self.read_blob(&link.id, TARGET_BYTES_MAX)?;
        String::from_utf8(target).map_err(|_| PathError::NotUtf8 { path: link.path.clone() }.into())
    }
}

fn components(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
