//! What people write about an environment: a file, options, or both.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::json_words;
use slipway_types::name::EnvironmentName;
use slipway_yaml::{Node, Value as Yaml};

use crate::client::Usage;
use crate::command::document::Document;

/// Groups of settings that can each be left out, so that a mistake can be looked for inside.
const GROUPS: [&str; 2] = ["gates", "follow"];

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The environment's name, if the file is a whole document.
    pub(super) name: Option<String>,
    /// Its address, if the file is a whole document and says it.
    pub(super) address: Option<String>,
    /// Its settings.
    pub(super) settings: Value,
}

/// The most common settings.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingFlags {
    /// The environment that bundles run in before; `none`: no such one
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// So many people must approve each revision; 0: nobody
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    approvals: Option<u32>,
    /// Who is handed the frozen revisions
    #[arg(long, value_name = "TYPE", value_parser = ["oci", "kubevela", "http", "core"])]
    receiver: Option<String>,
    /// Where the receiver `http` listens
    #[arg(long, value_name = "URL", requires = "receiver")]
    receiver_url: Option<String>,
    /// The key that the receiver `http` and Slipway sign with, as secret://…
    #[arg(long, value_name = "REF", requires = "receiver")]
    receiver_key: Option<String>,
    /// What the receiver core does about what others change
    #[arg(long, value_name = "POLICY", value_parser = ["report", "correct"])]
    drift: Option<String>,
    /// Deploy by itself what is published from this branch
    #[arg(long, value_name = "BRANCH")]
    follow_branch: Option<String>,
    /// Deploy by itself what this channel names
    #[arg(long, value_name = "CHANNEL")]
    follow_channel: Option<String>,
    /// Deploy by itself what runs in this environment
    #[arg(long, value_name = "NAME")]
    follow_from: Option<String>,
    /// Deploy nothing by itself
    #[arg(long, conflicts_with_all = ["follow_branch", "follow_channel", "follow_from"])]
    no_follow: bool,
}

impl SettingFlags {
    /// Whether nothing is to be set.
    pub(super) fn is_empty(&self) -> bool {
        self.upstream.is_none()
            && self.approvals.is_none()
            && self.receiver.is_none()
            && self.drift.is_none()
            && self.follow().next().is_none()
            && !self.no_follow
    }

    fn follow(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let given =
            [("branch", &self.follow_branch), ("channel", &self.follow_channel), ("from", &self.follow_from)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }

    /// Changes `settings` by what is given.
    pub(super) fn apply(&self, settings: &mut Value) -> Result<()> {
        if settings.is_null() {
            *settings = json!({});
        }
        match self.upstream.as_deref() {
            Some("none") => remove(settings, "upstream"),
            Some(upstream) => settings["upstream"] = upstream.into(),
            None => {}
        }
        match self.approvals {
            Some(0) => remove(&mut settings["gates"], "approvals"),
            Some(count) => settings["gates"]["approvals"]["count"] = count.into(),
            None => {}
        }
        if let Some(receiver) = &self.receiver {
            settings["receiver"] = self.receiver(receiver)?;
        }
        if let Some(drift) = &self.drift {
            settings["drift"] = drift.as_str().into();
        }
        if self.no_follow {
            remove(settings, "follow");
        }
        for (key, value) in self.follow() {
            settings["follow"][key] = value.as_str().into();
        }
        Ok(())
    }

    fn receiver(&self, kind: &str) -> Result<Value> {
        match (kind, &self.receiver_url, &self.receiver_key) {
            ("http", Some(url), Some(key)) => {
                Ok(json!({"type": "http", "url": url, "keyId": "slipway", "key": key}))
            }
            ("http", _, _) => {
                bail!(Usage(
                    "the receiver http needs --receiver-url URL and --receiver-key secret://…".into()
                ))
            }
            (_, None, None) => Ok(json!({"type": kind})),
            (kind, _, _) => bail!(Usage(format!("the receiver {kind} takes no address and no key"))),
        }
    }
}

fn remove(settings: &mut Value, key: &str) {
    if let Value::Object(fields) = settings {
        fields.remove(key);
    }
}

impl Written {
    /// Reads a file of settings or of a whole environment; its mistakes are told with their places.
    pub(super) fn open(path: Option<&Path>) -> Result<Option<Self>> {
        path.map(|path| Self::of(&Document::open(path)?)).transpose()
    }

    fn of(document: &Document) -> Result<Self> {
        let mut mistakes = Vec::new();
        let written = match document.root.entry("kind") {
            Some(_) => Self::of_environment(document, &mut mistakes),
            None => {
                Self { settings: settings(document, &document.root, &[], &mut mistakes), ..Self::default() }
            }
        };
        if mistakes.is_empty() { Ok(written) } else { bail!(Usage(mistakes.join("\n"))) }
    }

    /// A document of `kind: Environment`.
    fn of_environment(document: &Document, mistakes: &mut Vec<String>) -> Self {
        let root = &document.root;
        let mut expect = |node: Option<&Node>, key: &str, wanted: &str| match node {
            Some(node) if node.text() == Some(wanted) => {}
            Some(node) => mistakes.push(document.mistake(node.at, &format!("`{key}` must be {wanted}"))),
            None => mistakes.push(document.mistake(root.at, &format!("`{key}: {wanted}` is missing"))),
        };
        expect(root.get("apiVersion"), "apiVersion", "slipway.dev/v1");
        expect(root.get("kind"), "kind", "Environment");
        let mut unknown = |node: &Node, known: &[&str]| {
            if let Yaml::Map(entries) = &node.value {
                for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
                    let message = format!("unknown field `{}`: expected {}", entry.key, known.join(", "));
                    mistakes.push(document.mistake(entry.key_at, &message));
                }
            }
        };
        unknown(root, &["apiVersion", "kind", "metadata", "spec"]);
        let metadata = root.get("metadata");
        if let Some(metadata) = metadata {
            unknown(metadata, &["name"]);
        }
        let name = metadata.and_then(|metadata| metadata.get("name"));
        if name.and_then(Node::text).is_none() {
            let at = name.or(metadata).map_or(root.at, |node| node.at);
            mistakes.push(document.mistake(at, "`metadata.name` must be the environment's name"));
        }
        let Some(spec) = root.get("spec") else {
            mistakes.push(document.mistake(root.at, "`spec` is missing"));
            return Self::default();
        };
        let address = spec.get("address");
        if let Some(node) = address
            && let Err(error) = node.text().unwrap_or_default().parse::<slipway_types::Address>()
        {
            mistakes.push(document.mistake(node.at, &error.to_string()));
        }
        Self {
            name: name.and_then(Node::text).map(str::to_owned),
            address: address.and_then(Node::text).map(str::to_owned),
            settings: settings(document, spec, &["address"], mistakes),
        }
    }
}

/// The settings that `node` holds beside `besides`.
fn settings(document: &Document, node: &Node, besides: &[&str], mistakes: &mut Vec<String>) -> Value {
    let Yaml::Map(entries) = &node.value else {
        mistakes.push(document.mistake(node.at, &format!("expected settings, found {}", node.kind())));
        return Value::Null;
    };
    let before = mistakes.len();
    let mut settings = json!({});
    for entry in entries.iter().filter(|entry| !besides.contains(&entry.key.as_str())) {
        let value = entry.value.to_json();
        settings[entry.key.as_str()] = value.clone();
        let Err(why) = taken(json!({entry.key.as_str(): value})) else { continue };
        let inside = mistakes.len();
        if let (true, Yaml::Map(entries)) = (GROUPS.contains(&entry.key.as_str()), &entry.value.value) {
            for part in entries {
                let alone = json!({entry.key.as_str(): {part.key.as_str(): part.value.to_json()}});
                if let Err(why) = taken(alone) {
                    let path = format!("{}.{}", entry.key, part.key);
                    mistakes.push(document.mistake(part.key_at, &at(&path, &why)));
                }
            }
        }
        if mistakes.len() == inside {
            mistakes.push(document.mistake(entry.key_at, &at(&entry.key, &why)));
        }
    }
    if mistakes.len() == before {
        mistakes.extend(contradictions(document, node, &settings));
    }
    settings
}

fn taken(settings: Value) -> Result<EnvironmentSettings, String> {
    serde_json::from_value(settings).map_err(|error| json_words::data(&error.to_string()))
}

/// What is wrong below `path`; an unknown field says its own name.
fn at(path: &str, why: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    if why.contains(&format!("`{name}`")) { why.to_owned() } else { format!("{path}: {why}") }
}

/// What is wrong between settings that are each right.
fn contradictions(document: &Document, node: &Node, settings: &Value) -> Vec<String> {
    let nobody: EnvironmentName = "unnamed".parse().expect("invariant: the word is a name");
    let Ok(settings) = taken(settings.clone()) else { return Vec::new() };
    let place = |field: &str| {
        let mut at = (node.at, node);
        for key in field.split('.') {
            let Some(entry) = at.1.entry(key) else { break };
            at = (entry.key_at, &entry.value);
        }
        at.0
    };
    settings
        .check(&nobody)
        .iter()
        .map(|wrong| document.mistake(place(wrong.field), &wrong.to_string()))
        .collect()
}

/// Settings as lines: the path of each value, and the value.
pub(super) fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, lines);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, lines);
            }
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(crate::output::text).collect();
            lines.push((path.to_owned(), items.join(", ")));
        }
        value => lines.push((path.to_owned(), crate::output::text(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Written> {
        Written::of(&Document::parse("e.yaml", text)?)
    }

    fn mistakes(text: &str) -> Vec<String> {
        read(text).unwrap_err().to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn settings_alone_or_a_whole_environment() {
        let written = read("upstream: staging\ngates: {approvals: {count: 2}}\n").unwrap();
        assert_eq!((written.name, written.address), (None, None));
        assert_eq!(written.settings, json!({"upstream": "staging", "gates": {"approvals": {"count": 2}}}));
        let text = "apiVersion: slipway.dev/v1\nkind: Environment\nmetadata: {name: prod}\n\
                    spec: {address: eu/kind/shop, upstream: staging}\n";
        let written = read(text).unwrap();
        assert_eq!(written.name.as_deref(), Some("prod"));
        assert_eq!(written.address.as_deref(), Some("eu/kind/shop"));
        assert_eq!(written.settings, json!({"upstream": "staging"}));
    }

    #[test]
    fn every_mistake_of_a_file_is_told_with_its_place() {
        let found = mistakes(
            "upstrem: a\ngates:\n  windows: [monday]\n  aprovals: {count: 1}\nreceiver: {type: ftp}\n",
        );
        let places: Vec<_> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["e.yaml:1:1", "e.yaml:3:3", "e.yaml:4:3", "e.yaml:5:1"], "{found:?}");
        assert!(found[0].contains("unknown field `upstrem`"), "{found:?}");
        assert!(found[1].contains("`monday` is no window"), "{found:?}");
        assert!(mistakes("- a\n")[0].contains("expected settings, found a list"));
    }

    #[test]
    fn a_mistake_names_its_field_and_no_type_of_rust() {
        let found = mistakes("upstream: [a]\ngates:\n  approvals: {count: two}\n  soak: {}\nreceiver: {}\n");
        assert!(found[0].starts_with("e.yaml:1:1: upstream: expected a text, found "), "{found:?}");
        assert_eq!(found[1], "e.yaml:3:3: gates.approvals: expected a whole number, found \"two\"");
        assert!(found[2].starts_with("e.yaml:4:3: gates.soak: `minutes` is missing"), "{found:?}");
        assert!(found[3].starts_with("e.yaml:5:1: receiver: `type` is missing"), "{found:?}");
    }

    #[test]
    fn contradictions_have_a_place_too() {
        let found = mistakes("gates:\n  soak: {minutes: 5}\n  approvals:\n    count: 0\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("e.yaml:4:5: gates.approvals.count"), "{found:?}");
        assert!(found[1].starts_with("e.yaml:2:3: gates.soak"), "{found:?}");
    }

    #[test]
    fn a_whole_environment_says_no_more_than_it_may() {
        let found = mistakes(
            "apiVersion: v1\nkind: Environment\nmetadata: {labels: {}}\nspec: {address: a/b}\nstatus: {}\n",
        );
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn options_change_one_thing_each() {
        let mut settings = json!({"upstream": "test", "gates": {"approvals": {"count": 1, "of": ["ann"]}}});
        let flags = SettingFlags {
            approvals: Some(2),
            follow_branch: Some("main".into()),
            receiver: Some("kubevela".into()),
            ..SettingFlags::default()
        };
        flags.apply(&mut settings).unwrap();
        assert_eq!(settings["gates"]["approvals"], json!({"count": 2, "of": ["ann"]}));
        assert_eq!(settings["follow"], json!({"branch": "main"}));
        assert_eq!(settings["receiver"], json!({"type": "kubevela"}));
        let flags = SettingFlags {
            upstream: Some("none".into()),
            approvals: Some(0),
            no_follow: true,
            ..SettingFlags::default()
        };
        flags.apply(&mut settings).unwrap();
        assert_eq!(settings, json!({"gates": {}, "receiver": {"type": "kubevela"}}));
        assert!(!flags.is_empty() && SettingFlags::default().is_empty());
        let http = SettingFlags { receiver: Some("http".into()), ..SettingFlags::default() };
        assert!(http.apply(&mut settings).is_err());
    }

    #[test]
    fn settings_are_shown_by_their_paths() {
        let mut lines = Vec::new();
        flatten(
            "",
            &json!({"gates": {"checks": ["e2e", "load"], "soak": null}, "a": [{"b": 1}]}),
            &mut lines,
        );
        let lines: Vec<_> = lines.iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(lines, ["a[0].b=1", "gates.checks=e2e, load"]);
    }
}
