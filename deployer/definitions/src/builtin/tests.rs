use std::fs;
use std::path::Path;

use super::*;

fn files_below(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), &format!("{name}/"), found);
        } else {
            found.push(name);
        }
    }
}

#[test]
fn every_file_is_compiled_in() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("builtin");
    let mut there = Vec::new();
    files_below(&directory, "", &mut there);
    there.sort();
    let listed: Vec<&str> = files::ALL.iter().map(|(path, _)| *path).collect();
    let lines = there.iter().map(|path| format!("    {path:?},")).collect::<Vec<_>>().join("\n");
    assert_eq!(there, listed, "src/builtin/files.rs must list:\n{lines}");
}

#[test]
fn every_builtin_is_a_definition_in_the_folder_of_its_name() {
    for (place, files) in folders() {
        let definition = loaded(&place, files);
        assert_eq!(place, format!("{}/{}", definition.kind().folder(), definition.name()));
        assert_eq!(definition.origin(), Origin::Builtin);
    }
    let mut catalogue = crate::Catalogue::default();
    for definition in definitions() {
        catalogue.add(Arc::clone(definition)).unwrap();
    }
}
