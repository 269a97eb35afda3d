//! The layers of the configuration, one over the other.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize as _;
use toml::{Table, Value};

use super::{Config, check};

const DEFAULTS: &str = include_str!("../default.toml");
const ENV_PREFIX: &str = "SLIPWAY__";

/// The configuration with each value's origin, by `section.key`.
pub(crate) struct Layered {
    pub config: Config,
    pub origins: BTreeMap<String, String>,
}

/// Values given on the command line, by `section.key`.
pub(crate) type Flags = Vec<(&'static str, Value)>;

/// Reads all layers.
pub(crate) fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> Result<Layered> {
    let mut table: Table = DEFAULTS.parse().expect("invariant: the defaults are TOML");
    let mut origins = BTreeMap::new();
    for (section, value) in &table {
        for key in value.as_table().into_iter().flat_map(Table::keys) {
            origins.insert(format!("{section}.{key}"), "default".to_owned());
        }
    }
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let given: Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        for (section, value) in given {
            let Value::Table(keys) = value else {
                bail!("{}: `{section}` must be a section", path.display())
            };
            for (key, value) in keys {
                set(&mut table, &mut origins, &section, &key, value, &path.display().to_string())?;
            }
        }
    }
    for (name, text) in env {
        if !name.starts_with(ENV_PREFIX) {
            refuse_mistyped(&name, &table)?;
            continue;
        }
        let path = name[ENV_PREFIX.len()..].to_ascii_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            bail!("{name}: expected {ENV_PREFIX}SECTION__KEY");
        };
        let like = table.get(section).and_then(|section| section.get(key)).cloned();
        let value = parse_like(like.as_ref(), &text)
            .with_context(|| format!("{name} has a value of the wrong type"))?;
        set(&mut table, &mut origins, section, key, value, &name)?;
    }
    for (path, value) in flags {
        let (section, key) = path.split_once('.').expect("invariant: flags name section.key");
        set(&mut table, &mut origins, section, key, value, "flag")?;
    }
    let config = match Config::deserialize(Value::Table(table.clone())) {
        Ok(config) => config,
        Err(error) => {
            let culprit = culprit(&table, &origins).unwrap_or_else(|| "the configuration".to_owned());
            return Err(anyhow::Error::new(error).context(format!("{culprit} is not valid")));
        }
    };
    check(&config)?;
    Ok(Layered { config, origins })
}

/// Refuses `SLIPWAY_SECTION__KEY`, which would be passed over.
fn refuse_mistyped(name: &str, table: &Table) -> Result<()> {
    let section = name.strip_prefix("SLIPWAY_").and_then(|rest| rest.split_once("__"));
    match section {
        Some((section, key)) if table.contains_key(&section.to_ascii_lowercase()) => {
            bail!("{name} is not read: two underscores follow SLIPWAY, {ENV_PREFIX}{section}__{key}")
        }
        _ => Ok(()),
    }
}

/// The value that does not fit by itself, with where it comes from.
fn culprit(table: &Table, origins: &BTreeMap<String, String>) -> Option<String> {
    let fails = |path: &&String| {
        let mut alone: Table = DEFAULTS.parse().expect("invariant: the defaults are TOML");
        let (section, key) = path.split_once('.').expect("invariant: origins name section.key");
        alone[section][key] = table[section][key].clone();
        Config::deserialize(Value::Table(alone)).is_err()
    };
    let path = origins.keys().find(fails)?;
    Some(format!("{}: `{path}`", origins[path]))
}

fn set(
    table: &mut Table,
    origins: &mut BTreeMap<String, String>,
    section: &str,
    key: &str,
    value: Value,
    origin: &str,
) -> Result<()> {
    let path = format!("{section}.{key}");
    let Some(old) = table.get_mut(section).and_then(Value::as_table_mut).and_then(|keys| keys.get_mut(key))
    else {
        let near = nearest(&path, origins.keys());
        bail!("{origin}: unknown key `{path}`{near}; `slipway config show` lists all keys");
    };
    if old.type_str() != value.type_str() {
        bail!("{origin}: `{path}` must be of type {}, not {}", old.type_str(), value.type_str());
    }
    *old = value;
    origins.insert(path, origin.to_owned());
    Ok(())
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
