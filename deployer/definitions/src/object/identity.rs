//! What makes two descriptions one object.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A named object of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectKey {
    /// Group and version, e.g. `apps/v1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// The key of `object`, if it has one.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
        Some(Self { api_version: text("/apiVersion")?, kind: text("/kind")?, name: text("/metadata/name")? })
    }

    /// Its kind without the version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(&self.api_version, &self.kind)
    }

    /// Whether both mean one object of a namespace, whatever version of its kind they speak.
    pub fn is_same_object(&self, other: &Self) -> bool {
        self.name == other.name
            && self.kind == other.kind
            && group(&self.api_version) == group(&other.api_version)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// A kind whatever its version: clusters serve several versions of the same objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKind {
    /// The API group; empty for the core one.
    pub group: String,
    /// The kind.
    pub kind: String,
}

impl GroupKind {
    /// The kind `kind` of `api_version`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self { group: group(api_version).to_owned(), kind: kind.to_owned() }
    }

    /// The kind that `apps/v1/Deployment` or `v1/Service` names.
    pub fn parse(text: &str) -> Option<Self> {
        let (api_version, kind) = text.rsplit_once('/')?;
        let parts = api_version.split('/').count();
        let named = !api_version.is_empty() && kind.starts_with(|c: char| c.is_ascii_uppercase());
        (named && parts <= 2).then(|| Self::new(api_version, kind))
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}/{}", self.group, self.kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_kind_does_not_part_objects() {
        let key = |api_version: &str| ObjectKey {
            api_version: api_version.into(),
            kind: "CronJob".into(),
            name: "a".into(),
        };
        assert!(key("batch/v1").is_same_object(&key("batch/v1beta1")));
        assert!(!key("batch/v1").is_same_object(&key("v1")));
        assert_eq!(GroupKind::parse("v1/Service"), Some(GroupKind::new("v1", "Service")));
        for bad in ["Deployment", "apps/v1/deployment", "/Deployment", "a/b/c/Deployment"] {
            assert_eq!(GroupKind::parse(bad), None, "{bad}");
        }
    }
}
