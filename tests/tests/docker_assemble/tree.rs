//! Layers laid over one another, by the rules of the OCI image specification and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

use slipway_types::Digest;

/// A description of each path: type, mode, owner, link target, content, extended attributes.
pub(crate) type Tree = BTreeMap<String, String>;

/// Longest content that is shown and not hashed.
const MAX_SHOWN_BYTES: usize = 200;

/// The merged tree of uncompressed layers, the lowest first.
pub(crate) fn flatten(layers: &[Vec<u8>]) -> Tree {
    let mut tree = Tree::new();
    for layer in layers {
        let below = tree.clone();
        apply(&mut tree, &below, layer);
    }
    tree
}

fn apply(tree: &mut Tree, below: &Tree, layer: &[u8]) {
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").trim_matches('/').to_owned();
        if path.is_empty() || entry.header().entry_type() == tar::EntryType::XGlobalHeader {
            continue;
        }
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".wh..wh..opq" {
            // Only what lower layers brought goes.
            let inside = format!("{directory}/");
            tree.retain(|path, line| !path.starts_with(&inside) || below.get(path) != Some(line));
            continue;
        }
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let gone = if directory.is_empty() { hidden.to_owned() } else { format!("{directory}/{hidden}") };
            remove(tree, &gone);
            continue;
        }
        imply_parents(tree, directory);
        let line = describe(&mut entry, tree);
        if !line.starts_with('d') {
            remove(tree, &path);
        }
        tree.insert(path, line);
    }
}

fn remove(tree: &mut Tree, path: &str) {
    let inside = format!("{path}/");
    tree.retain(|held, _| held != path && !held.starts_with(&inside));
}

/// Parents are directories, never links: what a layer says would else depend on who unpacks it.
fn imply_parents(tree: &mut Tree, directory: &str) {
    let ends = directory.match_indices('/').map(|(at, _)| at).chain([directory.len()]);
    for end in ends.filter(|&end| end > 0) {
        let line = tree.entry(directory[..end].to_owned()).or_insert_with(|| "d 755 0:0".to_owned());
        assert!(line.starts_with('d'), "a layer writes below {}, which is {line}", &directory[..end]);
    }
}

fn describe<R: Read>(entry: &mut tar::Entry<'_, R>, tree: &Tree) -> String {
    let mut attributes = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions().unwrap() {
        for extension in extensions {
            let extension = extension.unwrap();
            let (key, value) = (extension.key().unwrap(), extension.value_bytes());
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                attributes.insert(name.to_owned(), value.to_vec());
            } else {
                numbers.insert(key.to_owned(), String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    let header = entry.header().clone();
    let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
    let target = target.unwrap_or_default();
    if header.entry_type() == tar::EntryType::Link {
        let held = target.trim_start_matches("./").trim_start_matches('/');
        let line = tree.get(held);
        return line.unwrap_or_else(|| panic!("a hard link to {held:?}, which does not exist")).clone();
    }
    let owner = |key: &str, value: u64| numbers.get(key).map_or(value, |text| text.parse().unwrap());
    let (user, group) = (owner("uid", header.uid().unwrap()), owner("gid", header.gid().unwrap()));
    let kind = match header.entry_type() {
        tar::EntryType::Directory => 'd',
        tar::EntryType::Symlink => 'l',
        tar::EntryType::Fifo => 'p',
        tar::EntryType::Char => 'c',
        tar::EntryType::Block => 'b',
        _ => 'f',
    };
    let mut line = format!("{kind} {:o} {user}:{group}", header.mode().unwrap() & 0o7777);
    match kind {
        'l' => write!(line, " -> {target}").unwrap(),
        'f' => write!(line, " = {}", shown(entry)).unwrap(),
        _ => {}
    }
    if !attributes.is_empty() {
        write!(line, " {attributes:?}").unwrap();
    }
    line
}

fn shown<R: Read>(entry: &mut tar::Entry<'_, R>) -> String {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    match std::str::from_utf8(&bytes) {
        Ok(text) if bytes.len() <= MAX_SHOWN_BYTES => format!("{text:?}"),
        _ => format!("{} bytes, {}", bytes.len(), Digest::of(&bytes)),
    }
}
