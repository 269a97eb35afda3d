//! What a kustomization refers to must lie in the package: kustomize would fetch the rest.

use std::collections::BTreeSet;

use slipway_types::{Place, Violation};
use slipway_yaml::{Dialect, Node, References, Value, YamlOptions};

use crate::request::{ChartFiles, KustomizeRequest, Request};

/// The names kustomize looks for.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Keys whose items are files or directories with a kustomization; where they are not, kustomize clones.
const ROOTS: [&str; 3] = ["resources", "components", "bases"];
/// Keys whose items are such, or the thing itself as text of several lines.
const PLUGINS: [&str; 3] = ["generators", "transformers", "validators"];
/// Keys that fetch charts or run programs.
const REFUSED: [(&str, &str); 3] = [
    ("helmCharts", "render the chart by the component type `helm`"),
    ("helmChartInflationGenerator", "render the chart by the component type `helm`"),
    ("helmGlobals", "render the chart by the component type `helm`"),
];
/// Keys whose text is never a path.
const TEXTS: [&str; 12] = [
    "annotations",
    "buildMetadata",
    "commonAnnotations",
    "commonLabels",
    "images",
    "labels",
    "literals",
    "metadata",
    "namespace",
    "options",
    "patch",
    "vars",
];
/// The most kustomizations of one component.
const MAX_KUSTOMIZATIONS: usize = 500;

/// All that leads out of the package.
pub(crate) fn check(request: &KustomizeRequest<'_>) -> Vec<Violation> {
    let component = &request.component;
    let Some(entry) = resolve("", request.directory) else {
        let message = format!("{:?} leads out of the package", request.directory);
        return vec![component.property("invalid_property", "path", message)];
    };
    if kustomization_in(component.files, &entry).is_none() {
        let message = format!("there is no kustomization.yaml in {:?}", request.directory);
        return vec![component.property("invalid_property", "path", message)];
    }
    let mut walk = Walk { request: component, found: Vec::new(), seen: BTreeSet::new(), todo: vec![entry] };
    while let Some(directory) = walk.todo.pop() {
        if walk.seen.insert(directory.clone()) && walk.seen.len() <= MAX_KUSTOMIZATIONS {
            walk.visit(&directory);
        }
    }
    walk.found
}

fn kustomization_in(files: &ChartFiles, directory: &str) -> Option<String> {
    NAMES.iter().filter_map(|name| resolve(directory, name)).find(|path| files.contains_key(path))
}

/// `path` as seen from `directory`, without dots; nothing if it leads out.
fn resolve(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

struct Walk<'a> {
    request: &'a Request<'a>,
    found: Vec<Violation>,
    seen: BTreeSet<String>,
    todo: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, directory: &str) {
        let Some(file) = kustomization_in(self.request.files, directory) else { return };
        for document in self.documents(&file) {
            let Value::Map(entries) = &document.value else { continue };
            for entry in entries {
                let refused = REFUSED.iter().find(|(key, _)| *key == entry.key);
                if let Some((key, hint)) = refused {
                    let message = format!("`{key}` fetches charts");
                    self.tell(&file, entry.key_at, message, hint);
                } else if ROOTS.contains(&entry.key.as_str()) || PLUGINS.contains(&entry.key.as_str()) {
                    let inline = PLUGINS.contains(&entry.key.as_str());
                    entry.value.items().iter().for_each(|item| self.root(directory, &file, item, inline));
                } else if !TEXTS.contains(&entry.key.as_str()) {
                    self.texts(&file, &entry.value);
                }
            }
        }
    }

    fn documents(&mut self, file: &str) -> Vec<Node> {
        let Some(bytes) = self.request.files.get(file) else { return Vec::new() };
        let options = YamlOptions {
            max_bytes: bytes.len(),
            references: References::Followed,
            dialect: Dialect::Kubernetes,
            ..YamlOptions::default()
        };
        slipway_yaml::read(bytes, &options).unwrap_or_else(|errors| {
            for error in errors {
                self.tell(file, error.at, error.message, "correct it");
            }
            Vec::new()
        })
    }

    /// A file of the package, or a directory of it with a kustomization.
    fn root(&mut self, directory: &str, file: &str, item: &Node, inline: bool) {
        let Some(text) = item.text() else {
            return self.tell(
                file,
                item.at,
                format!("expected a path, found {}", item.kind()),
                "name a file",
            );
        };
        if inline && text.contains('\n') {
            return self.inline(file, item, text);
        }
        let target = resolve(directory, text).filter(|_| !is_remote(text));
        let Some(target) = target else {
            let message = format!("`{}` is not in the package", shown(text));
            return self.tell(file, item.at, message, "commit a copy: nothing is fetched here");
        };
        if self.request.files.contains_key(&target) {
            if inline {
                for document in self.documents(&target) {
                    self.texts(&target, &document);
                }
            }
        } else if kustomization_in(self.request.files, &target).is_some() {
            self.todo.push(target);
        } else {
            let message = format!("`{}` is not in the package", shown(text));
            self.tell(file, item.at, message, "commit it with the component: nothing is fetched here");
        }
    }

    /// The configuration of a generator or transformer, written out.
    fn inline(&mut self, file: &str, item: &Node, text: &str) {
        let options = YamlOptions { references: References::Followed, ..YamlOptions::default() };
        match slipway_yaml::read(text.as_bytes(), &options) {
            Ok(documents) => documents.iter().for_each(|document| self.texts(file, document)),
            Err(errors) => {
                for error in errors {
                    self.tell(file, item.at, error.message, "correct it");
                }
            }
        }
    }

    /// No text may be an address, where text may be a path.
    fn texts(&mut self, file: &str, node: &Node) {
        match &node.value {
            Value::Text(text) if !text.contains('\n') && is_remote(text) => {
                let message = format!("`{}` is remote", shown(text));
                self.tell(file, node.at, message, "commit a copy: nothing is fetched here");
            }
            Value::List(items) => items.iter().for_each(|item| self.texts(file, item)),
            Value::Map(entries) => {
                for entry in entries.iter().filter(|entry| !TEXTS.contains(&entry.key.as_str())) {
                    self.texts(file, &entry.value);
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, file: &str, at: slipway_yaml::Position, message: impl Into<String>, hint: &str) {
        let place = Place { file: file.to_owned(), line: at.line, column: at.column };
        let violation = self.request.whole("invalid_kustomization", message).at(Some(place));
        self.found.push(violation.hint(hint));
    }
}

fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What kustomize takes for an address, `KEY=ADDRESS` of generators included.
fn is_remote(text: &str) -> bool {
    let schemes = ["://", "git::", "git@"];
    schemes.iter().any(|scheme| text.contains(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Target;
    use crate::secrets::SecretScope;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        let files: ChartFiles =
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let scope = SecretScope { application: "shop".into(), environment: "prod".into() };
        let target = Target::default();
        let component = Request {
            path: "c",
            files: &files,
            namespace: "shop",
            target: &target,
            scope: &scope,
            secrets: &[],
        };
        let found = check(&KustomizeRequest { component, directory: "." });
        found
            .iter()
            .map(|v| format!("{}: {}", v.at.as_ref().map_or(String::new(), Place::to_string), v.message))
            .collect()
    }

    #[test]
    fn nothing_leads_out() {
        let entry = "resources:\n- https://x.example/a.yaml\n- github.com/a/b?ref=v1\n- git@x.example:a/b\n\
                     - ../outside\n- base\n- /etc\ngenerators:\n- gen.yaml\n- |\n  kind: ConfigMapGenerator\n  files: [a=https://x.example/f]\n\
                     patches:\n- path: https://x.example/p\n- patch: |\n    see: https://fine.example\n  target: {kind: A}\n\
                     configMapGenerator:\n- name: a\n  literals: [url=https://fine.example]\n  files: [k=https://x.example/k]\n\
                     helmCharts: [{name: a}]\nopenapi: {path: http://x.example/o}\n";
        let found = told(&[
            ("kustomization.yaml", entry),
            ("base/kustomization.yml", "bases: [../other]\n"),
            ("gen.yaml", "kind: SecretGenerator\nfiles: ['s=git::https://x.example/s']\n"),
        ]);
        let places: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "kustomization.yaml:2:3",
                "kustomization.yaml:3:3",
                "kustomization.yaml:4:3",
                "kustomization.yaml:5:3",
                "kustomization.yaml:7:3",
                "gen.yaml:2:9",
                "kustomization.yaml:2:9",
                "kustomization.yaml:14:9",
                "kustomization.yaml:21:11",
                "kustomization.yaml:22:1",
                "kustomization.yaml:23:17",
                "base/kustomization.yml:1:9",
            ],
            "{found:#?}"
        );
    }

    #[test]
    fn what_is_there_passes() {
        let files = [
            (
                "kustomization.yaml",
                "resources: [./a.yaml, overlay/../base/]\ncommonAnnotations: {see: https://x.example}\n",
            ),
            ("a.yaml", "kind: A\n"),
            ("base/Kustomization", "nameSuffix: -x\n"),
        ];
        assert_eq!(told(&files), Vec::<String>::new());
    }
}
