//! Reading the tree of one commit. Everything here blocks: call it from `spawn_blocking`.

mod blob;
mod hazard;
mod matching;
mod resolve;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use git2::{ObjectType, Oid, Repository};

use crate::ObjectId;
use crate::command::Git;
use crate::error::{GitError, PathError, object_error};
use crate::options::GitOptions;

pub use blob::BlobReader;
pub use hazard::{Hazard, HazardKind};
pub use resolve::Resolved;

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub id: ObjectId,
    /// Its root tree.
    pub tree: ObjectId,
    /// Its parents, the first one first.
    pub parents: Vec<ObjectId>,
    /// Who wrote the change, `Name <address>`.
    pub author: String,
    /// When it was committed.
    pub committed_at: DateTime<Utc>,
    /// The first line of the message.
    pub subject: String,
    /// The whole message.
    pub message: String,
}

impl CommitInfo {
    pub(crate) fn of(commit: &git2::Commit<'_>) -> Self {
        let author = commit.author();
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        Self {
            id: object_id(commit.id()),
            tree: object_id(commit.tree_id()),
            parents: commit.parent_ids().map(object_id).collect(),
            author: format!(
                "{} <{}>",
                String::from_utf8_lossy(author.name_bytes()),
                String::from_utf8_lossy(author.email_bytes())
            ),
            committed_at: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
            subject: message.trim_start().lines().next().unwrap_or_default().trim_end().to_owned(),
            message,
        }
    }

    /// The mark in the message by which its author asks for no run, if there is one: `[skip ci]`,
    /// `[ci skip]`, `[no ci]` anywhere, or a trailer `skip-ci: true` or `skip-checks: true`.
    pub fn skip_mark(&self) -> Option<&'static str> {
        let message = self.message.to_lowercase();
        let bracketed = ["[skip ci]", "[ci skip]", "[no ci]"].into_iter().find(|m| message.contains(m));
        bracketed.or_else(|| {
            let trailers = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
            ["skip-ci: true", "skip-checks: true"].into_iter().find(|wanted| {
                let has = |line: &str| {
                    let (key, value) = line.split_once(':')?;
                    Some(format!("{}: {}", key.trim(), value.trim()) == **wanted)
                };
                trailers.lines().any(|line| has(line).unwrap_or(false))
            })
        })
    }
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its blob is the target.
    Symlink,
    /// A directory.
    Directory,
    /// A link to a commit of another repository.
    Submodule,
}

impl EntryKind {
    fn of_mode(mode: i32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Submodule,
            _ if mode & 0o111 != 0 => Self::Executable,
            _ => Self::File,
        }
    }

    /// Whether it is a file, executable or not.
    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path from the repository's root, without a slash at either end; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The object: a blob, a tree, or the commit of a submodule.
    pub id: ObjectId,
}

/// The tree of one commit. May be sent to another thread, but not shared.
pub struct Snapshot {
    repository: Repository,
    dir: PathBuf,
    git: Git,
    commit: ObjectId,
    root: Oid,
    max_blob_bytes: u64,
    max_tree_entries: usize,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("commit", &self.commit).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Opens the tree of `commit` in the git directory `dir`.
    pub fn open(dir: &Path, commit: &ObjectId, options: &GitOptions) -> Result<Self, GitError> {
        let repository = open_objects(&[dir.join("objects")])?;
        let root =
            repository.find_commit(oid(commit)).map_err(object_error(&format!("commit {commit}")))?.tree_id();
        Ok(Self {
            repository,
            dir: dir.to_owned(),
            git: Git::new(options, dir),
            commit: commit.clone(),
            root,
            max_blob_bytes: options.max_blob_bytes,
            max_tree_entries: options.max_tree_entries,
        })
    }

    /// The same tree for another thread.
    pub fn reopen(&self) -> Result<Self, GitError> {
        Ok(Self {
            repository: open_objects(&[self.dir.join("objects")])?,
            dir: self.dir.clone(),
            git: self.git.clone(),
            commit: self.commit.clone(),
            ..*self
        })
    }

    /// The commit.
    pub fn commit(&self) -> &ObjectId {
        &self.commit
    }

    /// What the commit says about itself.
    pub fn commit_info(&self) -> Result<CommitInfo, GitError> {
        let commit = self.repository.find_commit(oid(&self.commit)).map_err(object_error("commit"))?;
        Ok(CommitInfo::of(&commit))
    }

    /// The entry at `path`, links not followed. The empty path is the root.
    pub fn entry(&self, path: &str) -> Result<Option<TreeEntry>, GitError> {
        let path = path.trim_matches('/');
        if path.is_empty() {
            let id = object_id(self.root);
            return Ok(Some(TreeEntry { path: String::new(), kind: EntryKind::Directory, id }));
        }
        let root = self.tree(self.root)?;
        match root.get_path(Path::new(path)) {
            Ok(entry) => Ok(Some(TreeEntry {
                path: path.to_owned(),
                kind: EntryKind::of_mode(entry.filemode()),
                id: object_id(entry.id()),
            })),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(GitError::Damaged(error)),
        }
    }

    /// The id of the directory at `path`, by which unchanged directories are known.
    pub fn tree_id(&self, path: &str) -> Result<Option<ObjectId>, GitError> {
        let entry = self.entry(path)?;
        Ok(entry.filter(|entry| entry.kind == EntryKind::Directory).map(|entry| entry.id))
    }

    /// What lies in the directory at `path`, sorted by path bytes; `recursive` lists all that lies
    /// below, directories included.
    pub fn list(&self, path: &str, recursive: bool) -> Result<Vec<TreeEntry>, GitError> {
        let path = path.trim_matches('/');
        let Some(entry) = self.entry(path)? else {
            return Err(PathError::NotFound { path: path.to_owned() }.into());
        };
        if entry.kind != EntryKind::Directory {
            return Err(PathError::NotADirectory { path: path.to_owned() }.into());
        }
        let mut found = Vec::new();
        let mut open = vec![(path.to_owned(), oid(&entry.id))];
        while let Some((path, tree)) = open.pop() {
            let from = found.len();
            self.list_one(&path, tree, &mut found)?;
            if recursive {
                let directories = found[from..].iter().filter(|e| e.kind == EntryKind::Directory);
                open.extend(directories.map(|entry| (entry.path.clone(), oid(&entry.id))));
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn list_one(&self, path: &str, tree: Oid, found: &mut Vec<TreeEntry>) -> Result<(), GitError> {
        for entry in &self.tree(tree)? {
            if found.len() >= self.max_tree_entries {
                return Err(GitError::TooLarge {
                    what: format!("the number of files in `{path}`"),
                    limit: "max_tree_entries",
                    max: self.max_tree_entries as u64,
                });
            }
            let name = std::str::from_utf8(entry.name_bytes()).map_err(|_| PathError::NotUtf8 {
                path: join(path, &String::from_utf8_lossy(entry.name_bytes())),
            })?;
            found.push(TreeEntry {
                path: join(path, name),
                kind: EntryKind::of_mode(entry.filemode()),
                id: object_id(entry.id()),
            });
        }
        Ok(())
    }

    /// The content of the file at `path`, links not followed, if it has at most `max_bytes`.
    pub fn read_file(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, GitError> {
        match self.entry(path)? {
            None => Err(PathError::NotFound { path: path.to_owned() }.into()),
            Some(entry) if entry.kind.is_file() => self.read_blob(&entry.id, max_bytes),
            Some(_) => Err(PathError::NotAFile { path: path.to_owned() }.into()),
        }
    }

    fn tree(&self, id: Oid) -> Result<git2::Tree<'_>, GitError> {
        self.repository.find_tree(id).map_err(object_error(&format!("tree {id}")))
    }
}

/// A repository of nothing but object directories: no configuration, no refs, no owner check.
pub(crate) fn open_objects(dirs: &[PathBuf]) -> Result<Repository, GitError> {
    let odb = git2::Odb::new().map_err(GitError::Damaged)?;
    for dir in dirs {
        if !dir.is_dir() {
            return Err(GitError::NotFound { what: "the repository".to_owned() });
        }
        let dir = dir.to_str().ok_or_else(|| GitError::Io {
            what: "open the git cache: its path must be UTF-8".to_owned(),
            source: std::io::ErrorKind::InvalidInput.into(),
        })?;
        odb.add_disk_alternate(dir).map_err(GitError::Damaged)?;
    }
    Repository::from_odb(odb).map_err(GitError::Damaged)
}

pub(crate) fn oid(id: &ObjectId) -> Oid {
    Oid::from_str(id.as_str()).expect("invariant: an object id is 40 hex digits")
}

pub(crate) fn object_id(oid: Oid) -> ObjectId {
    oid.to_string().parse().expect("invariant: libgit2 writes object ids as 40 hex digits")
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The size and type of an object, without its content.
fn header(repository: &Repository, id: &ObjectId) -> Result<(u64, ObjectType), GitError> {
    let odb = repository.odb().map_err(GitError::Damaged)?;
    let (size, kind) = odb.read_header(oid(id)).map_err(object_error(&format!("object {id}")))?;
    Ok((size as u64, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(message: &str) -> CommitInfo {
        CommitInfo {
            id: ObjectId::zero(),
            tree: ObjectId::zero(),
            parents: vec![],
            author: String::new(),
            committed_at: DateTime::default(),
            subject: String::new(),
            message: message.into(),
        }
    }

    #[test]
    fn marks_that_ask_for_no_run_are_seen() {
        for message in
            ["fix [skip ci]", "x\n\nbody [CI Skip] more", "x\n\nbody\n\nSkip-CI: true\nSigned-off-by: a\n"]
        {
            assert!(info(message).skip_mark().is_some(), "{message}");
        }
        for message in ["skip ci", "x\n\nskip-ci: true\n\nbody", "x\n\nskip-ci: false"] {
            assert_eq!(info(message).skip_mark(), None, "{message}");
        }
    }
}
