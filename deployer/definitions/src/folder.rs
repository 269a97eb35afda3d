//! The files of a definition: read from a directory or a package, bounded, with one digest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use slipway_types::{Digest, Hasher, Violation};

use crate::code;
use crate::manifest::MANIFEST_FILE;
use crate::schema::SCHEMA_FILE;

/// The module that defines what is called.
pub const ENTRY_FILE: &str = "main.star";
/// The folder of the golden tests.
pub const EXAMPLES: &str = "examples/";

/// Limits of one folder.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// The most files.
    pub max_files: usize,
    /// The longest file, in bytes.
    pub max_file_bytes: u64,
    /// All files together, in bytes.
    pub max_total_bytes: u64,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self { max_files: 200, max_file_bytes: 512 << 10, max_total_bytes: 2 << 20 }
    }
}

/// The files of one definition by their path, `/` between its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    files: BTreeMap<String, Vec<u8>>,
}

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The files are no definition.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Violations(Vec<Violation>),
}

impl Folder {
    /// The folder of these files, as a package or an upload brings them.
    pub fn new(files: BTreeMap<String, Vec<u8>>, options: &FolderOptions) -> Result<Self, Vec<Violation>> {
        let folder = Self { files };
        let violations = folder.faults(options);
        if violations.is_empty() { Ok(folder) } else { Err(violations) }
    }

    /// Reads the directory `path`. Names that begin with a dot are passed over, links are refused.
    pub fn read(path: &Path, options: &FolderOptions) -> Result<Self, FolderError> {
        let mut reading = Reading { options, files: BTreeMap::new(), bytes: 0 };
        reading.directory(path, "", true)?;
        Self::new(reading.files, options).map_err(FolderError::Violations)
    }

    /// The files by path.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The bytes of one file.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The digest of all files, their paths and lengths: the identity of what they hold.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (path, bytes) in &self.files {
            hasher.update(&(path.len() as u64).to_be_bytes());
            hasher.update(path.as_bytes());
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
        hasher.finish()
    }

    /// The modules in Starlark by name.
    pub(crate) fn modules(&self) -> Result<BTreeMap<String, String>, Vec<Violation>> {
        let mut modules = BTreeMap::new();
        let mut violations = Vec::new();
        for (path, bytes) in self.files.iter().filter(|(path, _)| is_module(path)) {
            match std::str::from_utf8(bytes) {
                Ok(text) => {
                    modules.insert(path.clone(), text.to_owned());
                }
                Err(_) => violations.push(Violation::new(
                    code::INVALID_DEFINITION,
                    path,
                    "the file is not UTF-8 text",
                )),
            }
        }
        if violations.is_empty() { Ok(modules) } else { Err(violations) }
    }

    fn faults(&self, options: &FolderOptions) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut fault = |path: &str, message: String, hint: &str| {
            violations.push(Violation::new(code::INVALID_DEFINITION, path, message).hint(hint));
        };
        if self.files.len() > options.max_files {
            let message =
                format!("holds {} files, the limit max_files is {}", self.files.len(), options.max_files);
            fault("", message, "remove what does not belong to the definition");
        }
        let total: u64 = self.files.values().map(|bytes| bytes.len() as u64).sum();
        if total > options.max_total_bytes {
            let message =
                format!("holds {total} bytes, the limit max_total_bytes is {}", options.max_total_bytes);
            fault("", message, "remove what does not belong to the definition");
        }
        for (path, bytes) in &self.files {
            if bytes.len() as u64 > options.max_file_bytes {
                let (is, may) = (bytes.len(), options.max_file_bytes);
                fault(
                    path,
                    format!("has {is} bytes, the limit max_file_bytes is {may}"),
                    "shorten or split it",
                );
            }
            if !belongs(path) {
                let message = format!("`{}` is no file of a definition", crate::suggestion::shortened(path));
                fault(
                    path,
                    message,
                    "a definition has definition.yaml, schema.json, main.star and other modules NAME.star, \
                     examples/NAME.yaml, README.md and LICENSE",
                );
            }
        }
        for required in [MANIFEST_FILE, SCHEMA_FILE, ENTRY_FILE] {
            if !self.files.contains_key(required) {
                fault(
                    required,
                    format!("there is no `{required}`"),
                    "`slipway definition new` shows a whole definition",
                );
            }
        }
        violations
    }
}

fn is_module(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "star")
}

/// Whether `path` may stand in a definition's folder.
fn belongs(path: &str) -> bool {
    let name = |text: &str, extension: &str| {
        text.strip_suffix(extension).is_some_and(|stem| {
            !stem.is_empty()
                && stem.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                && !stem.starts_with('.')
        })
    };
    [MANIFEST_FILE, SCHEMA_FILE, "README.md", "LICENSE"].contains(&path)
        || name(path, ".star")
        || path.strip_prefix(EXAMPLES).is_some_and(|example| name(example, ".yaml"))
}

struct Reading<'a> {
    options: &'a FolderOptions,
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Reading<'_> {
    fn directory(&mut self, path: &Path, prefix: &str, enter: bool) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(refused(&entry.path(), "the name is not UTF-8 text"));
            };
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(io)?;
            let inside = format!("{prefix}{name}");
            if kind.is_dir() && enter {
                self.directory(&entry.path(), &format!("{inside}/"), false)?;
            } else if kind.is_file() {
                self.file(&entry.path(), inside)?;
            } else {
                return Err(refused(
                    &entry.path(),
                    "a definition holds files and the folder `examples`, no links",
                ));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, inside: String) -> Result<(), FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        self.bytes += fs::metadata(path).map_err(io)?.len();
        // Before reading, so that a wrong directory costs no memory.
        if self.bytes > self.options.max_total_bytes || self.files.len() >= self.options.max_files {
            return Err(refused(
                path,
                "the folder holds more than a definition may: see max_total_bytes and max_files",
            ));
        }
        self.files.insert(inside, fs::read(path).map_err(io)?);
        Ok(())
    }
}

fn refused(path: &Path, message: &str) -> FolderError {
    FolderError::Violations(vec![Violation::new(
        code::INVALID_DEFINITION,
        path.display().to_string(),
        message,
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect()
    }

    const WHOLE: [&str; 3] = [MANIFEST_FILE, SCHEMA_FILE, ENTRY_FILE];

    fn faults(names: &[&str], options: &FolderOptions) -> Vec<String> {
        Folder::new(files(names), options).unwrap_err().into_iter().map(|violation| violation.path).collect()
    }

    #[test]
    fn only_a_definitions_files_belong_to_it() {
        let options = FolderOptions::default();
        assert!(
            Folder::new(
                files(&[&WHOLE[..], &["pod.star", "examples/a.yaml", "README.md"]].concat()),
                &options
            )
            .is_ok()
        );
        assert_eq!(
            faults(&["main.star", "a.py", "examples/a.json", "x/y.star"], &options),
            ["a.py", "examples/a.json", "x/y.star", "definition.yaml", "schema.json"]
        );
        let tight = FolderOptions { max_files: 2, max_file_bytes: 0, max_total_bytes: 2 };
        assert_eq!(faults(&WHOLE, &tight), ["", "", "definition.yaml", "main.star", "schema.json"]);
    }

    #[test]
    fn the_digest_tells_names_from_contents() {
        let folder = |pairs: [(&str, &str); 2]| Folder {
            files: pairs.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into(),
        };
        assert_ne!(folder([("a", "bc"), ("d", "")]).digest(), folder([("a", "b"), ("cd", "")]).digest());
        assert_eq!(folder([("a", "1"), ("b", "2")]).digest(), folder([("b", "2"), ("a", "1")]).digest());
    }

    #[test]
    fn a_directory_is_read_without_following_links() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".hidden", MANIFEST_FILE, SCHEMA_FILE, ENTRY_FILE] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        fs::create_dir(directory.path().join("examples")).unwrap();
        fs::write(directory.path().join("examples/a.yaml"), "x").unwrap();
        let folder = Folder::read(directory.path(), &FolderOptions::default()).unwrap();
        assert_eq!(folder.files().len(), 4);
        let tight = FolderOptions { max_total_bytes: 3, ..FolderOptions::default() };
        assert!(matches!(Folder::read(directory.path(), &tight), Err(FolderError::Violations(_))));
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("more.star")).unwrap();
        assert!(
            Folder::read(directory.path(), &FolderOptions::default())
                .unwrap_err()
                .to_string()
                .contains("no links")
        );
        assert!(matches!(Folder::read(Path::new("/nowhere"), &tight), Err(FolderError::Io { .. })));
    }
}
