//! The definitions that are part of Slipway, and the library that every definition may load.

mod files;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::definition::{Definition, Origin};
use crate::folder::{Folder, FolderOptions};
use crate::kind::DefinitionKind;

/// What the library's modules are loaded under: `load("@slipway/pod.star", "container")`.
pub const LIBRARY_PREFIX: &str = "@slipway/";

static LIBRARY: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let modules = files::ALL.iter().filter_map(|(path, text)| Some((path.strip_prefix("lib/")?, *text)));
    modules.map(|(name, text)| (format!("{LIBRARY_PREFIX}{name}"), text)).collect()
});

static DEFINITIONS: LazyLock<Vec<Arc<Definition>>> = LazyLock::new(|| {
    let folders = folders().into_iter();
    folders.map(|(name, folder)| Arc::new(loaded(&name, folder))).collect()
});

/// The library's modules by the name they are loaded under.
pub fn library() -> &'static BTreeMap<String, &'static str> {
    &LIBRARY
}

/// The built-in definitions.
pub fn definitions() -> &'static [Arc<Definition>] {
    &DEFINITIONS
}

fn loaded(name: &str, files: BTreeMap<String, Vec<u8>>) -> Definition {
    let folder = Folder::new(files, &FolderOptions::default());
    let definition = folder.and_then(|folder| Definition::of(folder, Origin::Builtin));
    match definition {
        Ok(definition) => definition,
        Err(violations) => {
            panic!("invariant: the built-in {name} is a definition, held by a test: {violations:?}")
        }
    }
}

/// The files of each built-in definition by `kind/name`.
fn folders() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut folders: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (path, text) in files::ALL {
        let mut parts = path.splitn(3, '/');
        let (Some(kind), Some(name), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if DefinitionKind::ALL.iter().any(|known| known.folder() == kind) {
            let folder = folders.entry(format!("{kind}/{name}")).or_default();
            folder.insert(file.to_owned(), text.as_bytes().to_vec());
        }
    }
    folders
}

#[cfg(test)]
mod tests;
