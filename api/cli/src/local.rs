//! A working tree on this machine, checked as the server would check a commit of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use slipway_builder::dockerfile::Dockerfile;
use slipway_builder::manifest::{Component, Manifest, Problem, Problems};
use slipway_builder::plan::FILE_NAME;
use slipway_buildkits::{ContextListing, Kits, ReadError};

use crate::client::Usage;

/// The most files of one context.
const FILES_MAX: usize = 500_000;

/// A directory with a `slipway.yaml`, and the repository around it.
pub(crate) struct WorkTree {
    root: PathBuf,
    /// Path of `slipway.yaml` from the root.
    pub file: String,
}

impl WorkTree {
    /// Finds the repository around `path`, which is a directory with a `slipway.yaml` or that file.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        let absolute =
            path.canonicalize().map_err(|error| Usage(format!("cannot open {}: {error}", path.display())))?;
        let file = if absolute.is_dir() { absolute.join(FILE_NAME) } else { absolute };
        if !file.is_file() {
            bail!(Usage(format!("there is no {FILE_NAME} in {}", path.display())));
        }
        let directory = file.parent().context("the file has no directory")?;
        let root = directory.ancestors().find(|at| at.join(".git").exists()).unwrap_or(directory).to_owned();
        let relative = file.strip_prefix(&root).context("the file lies outside its repository")?;
        Ok(Self { file: relative.to_string_lossy().into_owned(), root })
    }

    /// The directory of `slipway.yaml`, from the root.
    pub(crate) fn directory(&self) -> &str {
        self.file.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// Reads the file and everything it names; all problems at once.
    pub(crate) fn validate(&self) -> Result<Result<Manifest, Problems>> {
        let bytes =
            fs::read(self.root.join(&self.file)).with_context(|| format!("cannot read {}", self.file))?;
        let manifest = match Manifest::parse(&bytes, &self.file) {
            Ok(manifest) => manifest,
            Err(problems) => return Ok(Err(problems)),
        };
        let mut problems = Vec::new();
        for component in &manifest.components {
            problems.extend(self.check(&manifest, component));
        }
        Ok(if problems.is_empty() { Ok(manifest) } else { Err(Problems::new(problems, 100)) })
    }

    fn check(&self, manifest: &Manifest, component: &Component) -> Vec<Problem> {
        let wrong = |message: String| vec![manifest.problem(&component.context, message)];
        let declared = component.context.value.as_str();
        let context = match self.root.join(declared).canonicalize() {
            Ok(context) if !context.starts_with(&self.root) => {
                return wrong(format!("`{declared}` leads outside the repository"));
            }
            Ok(context) if context.is_dir() => context,
            Ok(_) => return wrong(format!("`{declared}` is not a directory")),
            Err(_) => return wrong(format!("`{declared}` does not exist")),
        };
        let listing = match DirectoryListing::read(context.clone()) {
            Ok(listing) => listing,
            Err(error) => return wrong(format!("`{declared}` cannot be read: {error}")),
        };
        let Some(kit) = Kits::builtin().get(&component.kit.value) else {
            return vec![manifest.problem(&component.kit, "the kit does not exist")];
        };
        match kit.plan(&manifest.declaration(component), &listing) {
            Err(error) => vec![manifest.kit_problem(component, &error)],
            Ok(verbs) => verbs
                .iter()
                .filter_map(|verb| match verb {
                    slipway_buildkits::Verb::ImageBuild { dockerfile, .. } => Some(dockerfile),
                    _ => None,
                })
                .flat_map(|dockerfile| match fs::read(context.join(dockerfile)) {
                    Err(error) => wrong(format!("{dockerfile}: {error}")),
                    Ok(bytes) => match Dockerfile::parse(&bytes) {
                        Ok(_) => Vec::new(),
                        Err(error) => wrong(format!("{dockerfile}:{}: {}", error.line, error.message)),
                    },
                })
                .collect(),
        }
    }

    /// The commit that is checked out.
    pub(crate) fn head(&self) -> Result<String> {
        let output = Command::new("git")
            .args(["rev-parse", "--verify", "HEAD^{commit}"])
            .current_dir(&self.root)
            .output()
            .context("cannot run git: is it installed?")?;
        if !output.status.success() {
            bail!(Usage(format!("{} is no git repository with a commit", self.root.display())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The git directory.
    pub(crate) fn git_dir(&self) -> Result<PathBuf> {
        let output = Command::new("git")
            .args(["rev-parse", "--absolute-git-dir"])
            .current_dir(&self.root)
            .output()
            .context("cannot run git: is it installed?")?;
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    }
}

/// The files of a directory as kits see them.
struct DirectoryListing {
    root: PathBuf,
    paths: Vec<String>,
}

impl DirectoryListing {
    fn read(root: PathBuf) -> std::io::Result<Self> {
        let mut paths = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_name() == ".git" {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else if let Ok(path) = entry.path().strip_prefix(&root) {
                    paths.push(path.to_string_lossy().into_owned());
                }
                if paths.len() > FILES_MAX {
                    return Err(std::io::Error::other(format!("more than {FILES_MAX} files")));
                }
            }
        }
        paths.sort();
        Ok(Self { root, paths })
    }
}

impl ContextListing for DirectoryListing {
    fn paths(&self) -> &[String] {
        &self.paths
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::Missing,
            _ => ReadError::Unreadable(error.to_string()),
        };
        let path = self.root.join(path);
        let bytes = fs::metadata(&path).map_err(unreadable)?.len();
        if bytes > max_bytes {
            return Err(ReadError::TooLarge { bytes, max_bytes });
        }
        fs::read(path).map_err(unreadable)
    }
}
