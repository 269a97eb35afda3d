//! Cases as text files: options, a Dockerfile and a build context.
//!
//! Lines before the first section are options (`engine:`, `target:`, `arg:`, `refused:`) or comments
//! (`#`). A section is `-- NAME --`: `dir/` is an empty directory, `link -> target` a link, `exec: name`
//! is executable, `tar: name` and `tar.gz: name` hold one member a line (see [`crate::bases::archive`]).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::bases::{archive, gzip};

/// Which builder of an engine a case is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builder {
    /// Through the engine's API: the context is a tar stream, ignore files are not looked at.
    Buildkit,
    /// `docker build` without BuildKit.
    Classic,
}

/// One file of a context.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Directory,
    Link(String),
    File { bytes: Vec<u8>, executable: bool },
}

/// A Dockerfile with its context, and what is to become of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) builders: Vec<Builder>,
    pub(crate) target: Option<String>,
    pub(crate) arguments: Vec<(String, String)>,
    /// Both refuse, and Docker's message holds this text.
    pub(crate) refused: Option<String>,
    /// Nobody said what is to become of it; both must do the same.
    pub(crate) either: bool,
    pub(crate) files: Vec<(String, Entry)>,
}

impl Case {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut case = Self { name: name.to_owned(), builders: vec![Builder::Buildkit], ..Self::default() };
        let mut section: Option<(&str, String)> = None;
        for line in text.split_inclusive('\n') {
            let header = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
            match (header, &mut section) {
                (Some(header), _) => {
                    if let Some((name, content)) = section.replace((header, String::new())) {
                        case.section(name, &content);
                    }
                }
                (None, Some((_, content))) => content.push_str(line),
                (None, None) => case.option(line.trim()),
            }
        }
        if let Some((name, content)) = section {
            case.section(name, &content);
        }
        case
    }

    fn option(&mut self, line: &str) {
        match line.split_once(": ") {
            _ if line.is_empty() || line.starts_with('#') => {}
            Some(("engine", "both")) => self.builders = vec![Builder::Buildkit, Builder::Classic],
            Some(("engine", "classic")) => self.builders = vec![Builder::Classic],
            Some(("target", target)) => self.target = Some(target.to_owned()),
            Some(("refused", text)) => self.refused = Some(text.to_owned()),
            Some(("arg", pair)) => {
                let (name, value) = pair.split_once('=').unwrap();
                self.arguments.push((name.to_owned(), value.to_owned()));
            }
            _ => panic!("{}: unknown option {line:?}", self.name),
        }
    }

    fn section(&mut self, header: &str, content: &str) {
        let file = |bytes: Vec<u8>, executable| Entry::File { bytes, executable };
        let (name, entry) = if let Some((path, target)) = header.split_once(" -> ") {
            (path, Entry::Link(target.to_owned()))
        } else if let Some(path) = header.strip_suffix('/') {
            (path, Entry::Directory)
        } else if let Some(path) = header.strip_prefix("exec: ") {
            (path, file(content.into(), true))
        } else if let Some(path) = header.strip_prefix("tar: ") {
            (path, file(archive(content), false))
        } else if let Some(path) = header.strip_prefix("tar.gz: ") {
            (path, file(gzip(&archive(content)), false))
        } else {
            (header, file(content.into(), false))
        };
        self.files.push((name.to_owned(), entry));
    }

    /// Writes the context, Dockerfile included, whatever the umask.
    pub(crate) fn write(&self) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, entry) in &self.files {
            let path = directory.path().join(name);
            make_directories(directory.path(), path.parent().unwrap());
            match entry {
                Entry::Directory => make_directories(directory.path(), &path),
                Entry::Link(target) => symlink(target, &path).unwrap(),
                Entry::File { bytes, executable } => {
                    fs::write(&path, bytes).unwrap();
                    set_mode(&path, if *executable { 0o755 } else { 0o644 });
                }
            }
        }
        directory
    }

    /// The Dockerfile's text.
    pub(crate) fn dockerfile(&self) -> &[u8] {
        let found = self.files.iter().find(|(name, _)| name == "Dockerfile");
        match found {
            Some((_, Entry::File { bytes, .. })) => bytes,
            _ => panic!("{}: no Dockerfile", self.name),
        }
    }
}

fn make_directories(root: &Path, path: &Path) {
    fs::create_dir_all(path).unwrap();
    let mut open = path;
    while open != root {
        set_mode(open, 0o755);
        open = open.parent().unwrap();
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
