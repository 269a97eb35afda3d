//! The layers of the configuration, one over the other.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize as _;
use toml::de::DeTable;
use toml::{Table, Value};

use super::mistakes::{DEFAULT, Mistakes, Origins};
use super::{Config, check};
use crate::client::Usage;

const DEFAULTS: &str = include_str!("../default.toml");
const ENV_PREFIX: &str = "SLIPWAY__";

/// The configuration with each value's origin.
pub(crate) struct Layered {
    pub config: Config,
    pub origins: Origins,
}

/// Values given on the command line, by `section.key`.
pub(crate) type Flags = Vec<(&'static str, Value)>;

/// Reads all layers. What is wrong with them is told as [`Mistakes`].
pub(crate) fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> Result<Layered> {
    let (layered, mistakes) = read(file, env, flags)?;
    if mistakes.is_empty() { Ok(layered) } else { Err(mistakes.into()) }
}

/// Reads all layers, and tells what is wrong with them. What is wrong by itself is left out, so that the rest is
/// looked at too.
pub(crate) fn read(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> Result<(Layered, Mistakes)> {
    let mut layers = Layers::new();
    if let Some(path) = file {
        layers.file(path)?;
    }
    for (name, text) in env {
        layers.variable(&name, &text);
    }
    for (path, value) in flags {
        let (section, key) = path.split_once('.').expect("invariant: flags name section.key");
        layers.set(section, key, value, "flag", None);
    }
    let config = layers.config()?;
    let Layers { origins, mut mistakes, .. } = layers;
    check(&config, &mut mistakes);
    mistakes.place(&origins);
    Ok((Layered { config, origins }, mistakes))
}

/// The layers so far.
struct Layers {
    table: Table,
    origins: Origins,
    mistakes: Mistakes,
}

impl Layers {
    /// The defaults alone.
    fn new() -> Self {
        let table = defaults();
        let mut origins = Origins::default();
        for (section, value) in &table {
            for key in value.as_table().into_iter().flat_map(Table::keys) {
                origins.of.insert(format!("{section}.{key}"), DEFAULT.to_owned());
            }
        }
        Self { table, origins, mistakes: Mistakes::default() }
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Usage(format!("cannot read {}: {error}", path.display())))?;
        let from = path.display().to_string();
        self.origins.lines = lines(&text, &from)?;
        self.origins.file = Some(from.clone());
        let given: Table = text.parse().with_context(|| format!("{from} is not valid TOML"))?;
        for (section, value) in given {
            let line = self.origins.line(&from, &section);
            let Value::Table(keys) = value else {
                let message = format!("`{section}` must be a section, [{section}]");
                self.mistakes.note_in(&from, line, Some(&section), message);
                continue;
            };
            for (key, value) in keys {
                let line = self.origins.line(&from, &format!("{section}.{key}"));
                self.set(&section, &key, value, &from, line);
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, text: &str) {
        let Some(path) = name.strip_prefix(ENV_PREFIX) else {
            if let Some(message) = mistyped(name, &self.table) {
                self.mistakes.note_in(name, None, None, message);
            }
            return;
        };
        let path = path.to_ascii_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            let message = format!("expected {ENV_PREFIX}SECTION__KEY");
            return self.mistakes.note_in(name, None, None, message);
        };
        let like = self.table.get(section).and_then(|section| section.get(key)).cloned();
        match parse_like(like.as_ref(), text) {
            Ok(value) => self.set(section, key, value, name, None),
            Err(error) => {
                let path = format!("{section}.{key}");
                let wanted = like.as_ref().map_or("text", Value::type_str);
                let message = format!("`{path}` must be of type {wanted}: {error:#}");
                self.mistakes.note_in(name, None, Some(&path), message);
            }
        }
    }

    fn set(&mut self, section: &str, key: &str, value: Value, from: &str, line: Option<usize>) {
        let path = format!("{section}.{key}");
        let keys = self.table.get_mut(section).and_then(Value::as_table_mut);
        let Some(old) = keys.and_then(|keys| keys.get_mut(key)) else {
            let near = nearest(&path, self.origins.of.keys());
            let message = format!("unknown key `{path}`{near}; `slipway config show` lists all keys");
            return self.mistakes.note_in(from, line, Some(&path), message);
        };
        if old.type_str() != value.type_str() {
            let message = format!("`{path}` must be of type {}, not {}", old.type_str(), value.type_str());
            return self.mistakes.note_in(from, line, Some(&path), message);
        }
        *old = value;
        self.origins.of.insert(path, from.to_owned());
    }

    /// The configuration; values that do not fit by themselves are noted, and their defaults taken.
    fn config(&mut self) -> Result<Config> {
        if let Ok(config) = Config::deserialize(Value::Table(self.table.clone())) {
            return Ok(config);
        }
        let defaults = defaults();
        for path in self.origins.of.keys() {
            let (section, key) = path.split_once('.').expect("invariant: origins name section.key");
            let mut alone = defaults.clone();
            alone[section][key] = self.table[section][key].clone();
            if let Err(error) = Config::deserialize(Value::Table(alone)) {
                self.mistakes.note(path, format!("`{path}` is not valid: {}", error.message().trim()));
                self.table[section][key] = defaults[section][key].clone();
            }
        }
        Config::deserialize(Value::Table(self.table.clone())).context("the configuration is not valid")
    }
}

fn defaults() -> Table {
    DEFAULTS.parse().expect("invariant: the defaults are TOML")
}

/// The lines of a file's sections and keys. Of what is no TOML all mistakes are told, without the text that may
/// hold a secret.
fn lines(text: &str, from: &str) -> Result<BTreeMap<String, usize>, Mistakes> {
    let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut mistakes = Mistakes::default();
    for error in &errors {
        let message = format!("it is not valid TOML: {}", error.message().trim());
        mistakes.note_in(from, error.span().map(|span| line(span.start)), None, message);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut lines = BTreeMap::new();
    for (section, value) in document.get_ref() {
        lines.insert(section.get_ref().to_string(), line(section.span().start));
        for key in value.get_ref().as_table().into_iter().flat_map(DeTable::keys) {
            lines.insert(format!("{}.{}", section.get_ref(), key.get_ref()), line(key.span().start));
        }
    }
    Ok(lines)
}

/// What is wrong with `SLIPWAY_SECTION__KEY`, which would be passed over.
fn mistyped(name: &str, table: &Table) -> Option<String> {
    let (section, key) = name.strip_prefix("SLIPWAY_")?.split_once("__")?;
    let is_section = table.contains_key(&section.to_ascii_lowercase());
    is_section
        .then(|| format!("it is not read: two underscores follow SLIPWAY, {ENV_PREFIX}{section}__{key}"))
}

fn nearest<'a>(path: &str, known: impl Iterator<Item = &'a String>) -> String {
    let key = path.rsplit('.').next().unwrap_or(path);
    let same_key = |candidate: &&String| candidate.rsplit('.').next() == Some(key);
    known.into_iter().find(same_key).map_or(String::new(), |found| format!("; did you mean `{found}`?"))
}

/// Reads an environment value by the type of the default it replaces. Lists are comma-separated, or TOML
/// in brackets.
fn parse_like(like: Option<&Value>, text: &str) -> Result<Value> {
    Ok(match like {
        Some(Value::Integer(_)) => Value::Integer(text.parse()?),
        Some(Value::Boolean(_)) => Value::Boolean(text.parse()?),
        Some(Value::Array(_)) if text.trim_start().starts_with('[') => {
            let table: Table = format!("list = {text}").parse()?;
            table.get("list").cloned().unwrap_or_else(|| Value::Array(Vec::new()))
        }
        Some(Value::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}
