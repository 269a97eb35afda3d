//! `kustomize`: a kustomization and all it refers to; the package holds the whole context.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::context::{has_directory, has_file};
use crate::kit::{KitError, Planning};
use crate::path::{self, InvalidPath};
use crate::verb::Verb;
use slipway_yaml::{Node, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    path: Option<String>,
}

/// The names kustomize looks for.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Keys whose items may be a file or a directory with a kustomization.
const ROOTS: [&str; 3] = ["resources", "components", "bases"];
/// Keys whose items are files; plug-in configurations may be directories too.
const FILES: [&str; 5] = ["crds", "configurations", "generators", "transformers", "validators"];
/// Keys whose items hold a `path`.
const WITH_PATH: [&str; 3] = ["patches", "patchesJson6902", "replacements"];
const GENERATORS: [&str; 2] = ["configMapGenerator", "secretGenerator"];
/// Keys that make kustomize fetch charts.
const CHARTS: [&str; 2] = ["helmCharts", "helmChartInflationGenerator"];

pub(crate) fn plan(planning: &Planning<'_>) -> Result<Vec<Verb>, KitError> {
    let with: With = planning.with()?;
    let entry = match &with.path {
        Some(path) => path::resolve("", path)
            .map_err(|why| KitError::with("/path", format!("`{path}` {why}: it must lie in the context")))?,
        None => String::new(),
    };
    if kustomization_in(planning, &entry).is_none() {
        let place = if entry.is_empty() { "the context's top".to_owned() } else { format!("`{entry}`") };
        let pointer = if with.path.is_some() { "/path" } else { "" };
        return Err(KitError::with(pointer, format!("there is no kustomization.yaml in {place}"))
            .hint("name its directory by `with.path`"));
    }
    let mut walk = Walk { planning, seen: BTreeSet::new(), todo: vec![entry.clone()] };
    while let Some(directory) = walk.todo.pop() {
        walk.visit(&directory)?;
    }
    let entry = (!entry.is_empty()).then_some(entry);
    Ok(vec![planning.pack(planning.files.paths().to_vec(), entry)?])
}

fn kustomization_in(planning: &Planning<'_>, directory: &str) -> Option<String> {
    let path = |name: &&str| path::resolve(directory, name).ok();
    NAMES.iter().filter_map(path).find(|path| has_file(planning.files, path))
}

/// The kustomizations reached from the entry, each once.
struct Walk<'a> {
    planning: &'a Planning<'a>,
    seen: BTreeSet<String>,
    todo: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, directory: &str) -> Result<(), KitError> {
        let Some(file) = kustomization_in(self.planning, directory) else { return Ok(()) };
        if !self.seen.insert(directory.to_owned()) {
            return Ok(());
        }
        let documents = self.planning.read_yaml(&file)?;
        let [kustomization] = documents.as_slice() else {
            return Err(KitError::file(file, None, "must hold exactly one document"));
        };
        let Value::Map(entries) = &kustomization.value else {
            let message = format!("expected a kustomization, found {}", kustomization.kind());
            return Err(KitError::file(file, kustomization.at, message));
        };
        for entry in entries {
            if CHARTS.contains(&entry.key.as_str()) {
                return Err(KitError::file(&file, entry.key_at, format!("`{}` fetches charts", entry.key))
                    .hint("commit the chart and use the kit `helm`"));
            }
            self.visit_key(&file, &entry.key, &entry.value)?;
        }
        Ok(())
    }

    fn visit_key(&mut self, file: &str, key: &str, value: &Node) -> Result<(), KitError> {
        if key == "openapi" {
            return value.get("path").map_or(Ok(()), |path| self.refer(file, path, Kind::File));
        }
        for item in value.items() {
            match key {
                _ if ROOTS.contains(&key) => self.refer(file, item, Kind::FileOrRoot)?,
                _ if FILES.contains(&key) => self.refer_unless_inline(file, item, Kind::FileOrRoot)?,
                "patchesStrategicMerge" => self.refer_unless_inline(file, item, Kind::File)?,
                _ if WITH_PATH.contains(&key) => {
                    if let Some(path) = item.get("path") {
                        self.refer(file, path, Kind::File)?;
                    }
                }
                _ if GENERATORS.contains(&key) => self.visit_generator(file, item)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn visit_generator(&mut self, file: &str, generator: &Node) -> Result<(), KitError> {
        for source in generator.get("files").map(Node::items).unwrap_or_default() {
            self.refer(file, source, Kind::KeyedFile)?;
        }
        for source in generator.get("envs").map(Node::items).unwrap_or_default() {
            self.refer(file, source, Kind::File)?;
        }
        generator.get("env").map_or(Ok(()), |source| self.refer(file, source, Kind::File))
    }

    /// A text of several lines is the thing itself, not a path to it.
    fn refer_unless_inline(&mut self, file: &str, node: &Node, kind: Kind) -> Result<(), KitError> {
        if node.text().is_some_and(|text| text.contains('\n')) {
            Ok(())
        } else {
            self.refer(file, node, kind)
        }
    }

    fn refer(&mut self, file: &str, node: &Node, kind: Kind) -> Result<(), KitError> {
        let Some(text) = node.text() else {
            return Err(KitError::file(file, node.at, format!("expected a path, found {}", node.kind())));
        };
        let text = match kind {
            Kind::KeyedFile => text.split_once('=').map_or(text, |(_, path)| path),
            Kind::File | Kind::FileOrRoot => text,
        };
        if is_remote(text) {
            return Err(KitError::file(file, node.at, format!("`{text}` is remote"))
                .hint("commit a copy: nothing is fetched while packaging"));
        }
        let target = path::resolve(path::parent(file), text).map_err(|why| {
            let place = if why == InvalidPath::Outside { " of the context" } else { "" };
            KitError::file(file, node.at, format!("`{text}` {why}{place}"))
        })?;
        if has_file(self.planning.files, &target) {
            return Ok(());
        }
        if kind != Kind::FileOrRoot || !has_directory(self.planning.files, &target) {
            return Err(KitError::file(file, node.at, format!("`{text}` does not exist")));
        }
        if kustomization_in(self.planning, &target).is_none() {
            return Err(KitError::file(file, node.at, format!("`{text}` has no kustomization.yaml")));
        }
        self.todo.push(target);
        Ok(())
    }
}

/// What a reference may lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    KeyedFile,
    FileOrRoot,
}

/// What kustomize would fetch (its `RepoSpec` forms): URLs, `host:path`, well-known hosts, `?ref=`.
fn is_remote(text: &str) -> bool {
    let hosts = ["github.com/", "gitlab.com/", "bitbucket.org/", "git::", "git@"];
    text.contains("://")
        || text.contains("?ref=")
        || text.contains("//")
        || text.contains(".git/")
        || hosts.iter().any(|host| text.starts_with(host))
        || text.split('/').next().is_some_and(|first| first.contains('@') && first.contains(':'))
}
