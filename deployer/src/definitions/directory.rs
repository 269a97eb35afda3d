//! Definitions in a directory of this machine: each a folder, directly in it or one level below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slipway_definitions::manifest::MANIFEST_FILE;
use slipway_definitions::{Definition, Folder, FolderError, FolderOptions, code};
use slipway_records::defining::DefinitionFault;
use slipway_types::{Digest, Violation};

/// The most definitions of one directory.
const DEFINITIONS_MAX: usize = 500;

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By the path of its folder.
    pub(super) definitions: BTreeMap<String, Arc<Definition>>,
    /// Folders that are no definition.
    pub(super) faults: Vec<DefinitionFault>,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        let digests = |found: &Self| -> Vec<(String, Digest)> {
            let all = found.definitions.iter();
            all.map(|(path, definition)| (path.clone(), definition.digest())).collect()
        };
        self.faults == other.faults && digests(self) == digests(other)
    }
}

/// Reads the directory. What is as it was in `known` is not compiled again.
pub(super) fn look(directory: &Path, known: &Found) -> Found {
    let mut found = Found::default();
    let folders = match folders(directory, &inside, &mut found) {
        Ok(folders) => folders,
        Err(message) => {
            found.fault(directory, vec![Violation::new(code::INVALID_DEFINITION, "", message)]);
            return found;
        }
    };
    for (index, path) in folders.iter().enumerate() {
        if index == DEFINITIONS_MAX {
            let message =
                format!("there are more than {DEFINITIONS_MAX} definitions; the others are left out");
            found.fault(directory, vec![Violation::new(code::INVALID_DEFINITION, "", message)]);
            break;
        }
        found.read(path, known);
    }
    found
}

/// Looks into a directory.
type Inside = dyn Fn(&Path) -> Result<Vec<PathBuf>, String>;

/// The folders that hold a definition, sorted. One that cannot be read takes away no other.
fn folders(directory: &Path, inside: &Inside, found: &mut Found) -> Result<Vec<PathBuf>, String> {
    let mut folders = Vec::new();
    for folder in inside(directory)? {
        if folder.join(MANIFEST_FILE).exists() {
            folders.push(folder);
            continue;
        }
        match inside(&folder) {
            Ok(below) => folders.extend(below.into_iter().filter(|below| below.join(MANIFEST_FILE).exists())),
            Err(message) => {
                found.fault(&folder, vec![Violation::new(code::INVALID_DEFINITION, "", message)]);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

/// The folders directly in one, those left out whose name begins with a dot.
fn inside(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let unread = |error: std::io::Error| format!("{} cannot be read: {error}", directory.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.file_type().map_err(unread)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

impl Found {
    fn fault(&mut self, path: &Path, violations: Vec<Violation>) {
        self.faults.push(DefinitionFault { place: path.display().to_string(), violations });
    }

    fn read(&mut self, path: &Path, known: &Self) {
        let folder = match Folder::read(path, &FolderOptions::default()) {
            Ok(folder) => folder,
            Err(FolderError::Violations(violations)) => return self.fault(path, violations),
            Err(error @ FolderError::Io { .. }) => {
                let violation = Violation::new(code::INVALID_DEFINITION, "", error.to_string());
                return self.fault(path, vec![violation]);
            }
        };
        let key = path.display().to_string();
        if let Some(same) = known.definitions.get(&key).filter(|known| known.digest() == folder.digest()) {
            self.definitions.insert(key, Arc::clone(same));
            return;
        }
        match Definition::load(folder) {
            Ok(definition) => drop(self.definitions.insert(key, Arc::new(definition))),
            Err(violations) => self.fault(path, violations),
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_definitions::{DefinitionKind, scaffold};

    use super::*;

    fn write(directory: &Path, name: &str) {
        for (path, text) in scaffold(DefinitionKind::Trait, &name.parse().unwrap()) {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn definitions_are_found_and_what_is_broken_is_told() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("here"), "here");
        write(&directory.path().join("traits/below"), "below");
        write(&directory.path().join("broken"), "broken");
        fs::write(directory.path().join("broken/definition.yaml"), "kind: Nonsense\n").unwrap();
        write(&directory.path().join(".git/hidden"), "hidden");
        fs::create_dir(directory.path().join("empty")).unwrap();
        let found = look(directory.path(), &Found::default());
        let names: Vec<&str> = found.definitions.values().map(|definition| definition.name()).collect();
        assert_eq!(names, ["here", "below"]);
        assert_eq!(found.faults.len(), 1);
        assert!(found.faults[0].place.ends_with("/broken"), "{:?}", found.faults);
        let again = look(directory.path(), &found);
        assert!(again == found);
        let (path, definition) = found.definitions.iter().next().unwrap();
        assert!(Arc::ptr_eq(definition, &again.definitions[path]), "what did not change is not read anew");
        write(&directory.path().join("more"), "more");
        assert!(look(directory.path(), &found) != found);
    }

    #[test]
    fn a_folder_that_cannot_be_read_takes_away_no_other() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("here"), "here");
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        // Who runs the tests may read everything.
        let refused = |path: &Path| match path.ends_with("lost+found") {
            true => Err("permission denied".to_owned()),
            false => inside(path),
        };
        let mut found = Found::default();
        let folders = folders(directory.path(), &refused, &mut found).unwrap();
        assert_eq!(folders, [directory.path().join("here")]);
        assert!(
            found.faults.len() == 1 && found.faults[0].place.ends_with("lost+found"),
            "{:?}",
            found.faults
        );
    }

    #[test]
    fn links_are_refused_and_a_missing_directory_is_told() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("linked"), "linked");
        let link = directory.path().join("linked/more.star");
        std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
        let found = look(directory.path(), &Found::default());
        assert!(found.definitions.is_empty() && found.faults.len() == 1);
        let missing = look(&directory.path().join("nowhere"), &Found::default());
        assert!(missing.faults[0].violations[0].message.contains("cannot be read"), "{:?}", missing.faults);
    }
}
