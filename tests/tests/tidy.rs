//! Rules of the repository that no compiler checks.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

const MAX_LINES: usize = 600;

/// From the ground up: a crate depends on crates of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["slipway-types", "slipway-network"],
    &["slipway-archive", "slipway-yaml", "slipway-plugins"],
    &["slipway-kubernetes", "slipway-objects", "slipway-records"],
    &[
        "slipway-git",
        "slipway-oci",
        "slipway-secrets",
        "slipway-buildkits",
        "slipway-records-sqlite",
        "slipway-records-postgres",
    ],
    &["slipway-oam", "slipway-definitions", "slipway-charts", "slipway-handoff", "slipway-health"],
    &["slipway-core", "slipway-notices"],
    &["slipway-builder", "slipway-packager", "slipway-deployer", "slipway-http"],
    &["slipway"],
    &["slipway-tests"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let done = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(done.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What each workspace crate depends on to be built, tests aside.
fn workspace_arrows(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: Vec<&Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"].is_null())
        .collect();
    let names: BTreeSet<&str> = members.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let arrows = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|name| names.contains(name))
            .map(str::to_owned)
            .collect()
    };
    members.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), arrows(package))).collect()
}

fn layer(name: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&name))
        .unwrap_or_else(|| panic!("{name} has no place in the architecture: give it one in LAYERS"))
}

#[test]
fn dependencies_point_one_way() {
    let arrows = workspace_arrows(&metadata());
    assert!(arrows.len() > 5, "the workspace was not found");
    let mut wrong = Vec::new();
    for (name, dependencies) in &arrows {
        for dependency in dependencies {
            if layer(dependency) >= layer(name) {
                wrong.push(format!("{name} -> {dependency}: not of a lower layer"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folder of each workspace crate, by its name.
fn folders(metadata: &Value) -> BTreeMap<String, String> {
    let workspace = Path::new(metadata["workspace_root"].as_str().unwrap());
    let members =
        metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_null());
    let folder = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        manifest.parent().unwrap().strip_prefix(workspace).unwrap().to_str().unwrap().to_owned()
    };
    members.map(|package| (package["name"].as_str().unwrap().to_owned(), folder(package))).collect()
}

/// What each folder's crate uses, as the table of docs/architecture.md says it: names without `slipway-`.
fn told_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = page.lines().skip_while(|line| !line.starts_with("| crate |"));
    let mut told = BTreeMap::new();
    for row in table.skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [folder, _, uses] = cells[..] else { panic!("not `| folder | holds | uses |`: {row}") };
        let uses = uses.split(", ").filter(|name| *name != "nothing").map(str::to_owned).collect();
        let before = told.insert(folder.trim_matches('`').to_owned(), uses);
        assert!(before.is_none(), "{folder} has two rows");
    }
    told
}

#[test]
fn the_table_of_crates_says_who_uses_whom() {
    let metadata = metadata();
    let arrows = workspace_arrows(&metadata);
    let mut told = told_arrows();
    let mut wrong = Vec::new();
    for (name, folder) in folders(&metadata) {
        let Some(told) = told.remove(&folder) else {
            wrong.push(format!("{folder} has no row"));
            continue;
        };
        let short = |name: &String| name.strip_prefix("slipway-").unwrap_or(name).to_owned();
        let used: BTreeSet<String> = arrows[&name].iter().map(short).collect();
        wrong.extend(
            used.difference(&told).map(|new| format!("{folder} uses {new}, which its row does not say")),
        );
        wrong.extend(
            told.difference(&used).map(|old| format!("{folder} does not use {old}, as its row says")),
        );
    }
    wrong.extend(told.into_keys().map(|folder| format!("{folder} has a row and is no crate")));
    assert!(wrong.is_empty(), "docs/architecture.md, Where things are:\n{}", wrong.join("\n"));
}

#[test]
fn one_tls_stack() {
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let names: BTreeSet<&str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| used.contains(package["id"].as_str().unwrap()))
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    assert!(names.contains("rustls"), "the dependency graph was not read");
    for unwanted in ["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert!(
            !names.contains(unwanted),
            "{unwanted} entered: `cargo tree -i {unwanted}` says through whom"
        );
    }
}

/// Every file that is or could be committed.
fn files() -> Vec<PathBuf> {
    let done = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(done.status.success(), "git ls-files: {}", String::from_utf8_lossy(&done.stderr));
    let listed = String::from_utf8(done.stdout).unwrap();
    let files: Vec<PathBuf> =
        listed.split_terminator('\0').map(|name| root().join(name)).filter(|path| path.is_file()).collect();
    assert!(files.len() > 20, "the repository was not found");
    files
}

fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).map(
        |path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        },
    )
}

#[test]
fn names_say_what_a_thing_is() {
    let vague = ["util", "utils", "common", "manager", "helper", "helpers", "misc"];
    for path in files() {
        let relative = path.strip_prefix(root()).unwrap();
        let bad = relative.components().find(|part| {
            let name = Path::new(part.as_os_str()).file_stem().unwrap().to_string_lossy();
            vague.contains(&name.as_ref())
        });
        assert!(bad.is_none(), "{}: name it by what it does", relative.display());
        assert!(!relative.ends_with("mod.rs"), "{}: modules are foo.rs + foo/", relative.display());
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<String> = rust_files()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| {
            format!("{}: {lines} lines, at most {MAX_LINES}: split it by idea", path.display())
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_test_is_ignored() {
    let attribute = concat!("#[", "ignore");
    for (path, text) in rust_files() {
        assert!(!text.contains(attribute), "{}: a test that does not run proves nothing", path.display());
    }
}

#[test]
fn no_machine_or_archive_is_named() {
    let unwanted = [
        concat!("/work", "/main"),
        concat!("/work", "/shared"),
        concat!("/work", "/.library"),
        concat!("/root", "/.cargo"),
        concat!("deb.debian", ".org"),
        concat!("security.debian", ".org"),
        concat!("snapshot.debian", ".org"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
        concat!("files.pythonhosted", ".org"),
        concat!("registry.npmjs", ".org"),
    ];
    for path in files() {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for word in unwanted {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
