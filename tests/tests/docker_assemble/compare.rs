//! What two builders made of one case, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::assembled::assemble;
use crate::bases::Image;
use crate::case::{Builder, Case};
use crate::engine::Engine;
use crate::tree::{Tree, flatten};

/// What of `config` says how containers run.
const CONFIG_KEYS: [&str; 12] = [
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// Builds `case` both ways; says what differs, for people.
pub(crate) fn difference(
    case: &Case,
    builder: Builder,
    engine: &Engine,
    bases: &BTreeMap<String, Image>,
) -> Option<String> {
    let directory = case.write();
    let docker = engine.build(case, directory.path(), builder);
    let assembled = assemble(case, directory.path(), bases);
    let found = match (&case.refused, docker, assembled) {
        (None, Ok(docker), Ok(assembled)) => {
            let trees = lines(&flatten(&docker.layers), &flatten(&assembled.layers));
            format!("{}{trees}", lines(&config(&docker.config), &config(&assembled.config)))
        }
        (Some(text), Err(docker), Err(assembled)) => {
            eprintln!("{}: both refuse\n  docker: {}\n  assemble: {assembled}", case.name, docker.trim());
            if docker.contains(text) {
                return None;
            }
            format!("docker does not say {text:?}: {docker}")
        }
        (None, Err(docker), Err(assembled)) if case.either => {
            eprintln!("{}: both refuse\n  docker: {}\n  assemble: {assembled}", case.name, docker.trim());
            return None;
        }
        (_, docker, assembled) => {
            let verdict = |result: Result<Image, String>| match result {
                Ok(_) => "builds it".to_owned(),
                Err(message) => format!("refuses: {}", message.trim()),
            };
            format!("docker {}\nassemble {}", verdict(docker), verdict(assembled))
        }
    };
    if found.is_empty() {
        return None;
    }
    let dockerfile = String::from_utf8_lossy(case.dockerfile());
    Some(format!("== {} ({builder:?}; - docker, + assemble)\n{dockerfile}\n{found}", case.name))
}

/// The lines that one side has and the other has not.
pub(crate) fn lines(docker: &Tree, assembled: &Tree) -> String {
    let mut text = String::new();
    let paths: BTreeSet<&String> = docker.keys().chain(assembled.keys()).collect();
    for path in paths {
        let (left, right) = (docker.get(path), assembled.get(path));
        if left == right {
            continue;
        }
        for (sign, line) in [('-', left), ('+', right)] {
            if let Some(line) = line {
                writeln!(text, "{sign} {path} {line}").unwrap();
            }
        }
    }
    text
}

/// The configuration without what differs by nature; empty and absent are one.
fn config(config: &Value) -> Tree {
    let mut kept = Tree::new();
    let mut keep = |key: &str, value: &Value| {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            _ => false,
        };
        if !empty {
            kept.insert(format!("config {key}"), value.to_string());
        }
    };
    for key in ["architecture", "author", "os", "variant"] {
        keep(key, &config[key]);
    }
    for key in CONFIG_KEYS {
        keep(key, &config["config"][key]);
    }
    kept
}
