//! Taking over what other tools deployed: what is asked for, what would become of it, and the leave that is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use slipway_types::{Digest, Violation};

use crate::deploying::DeployRequest;

/// From which kind of tool objects are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdoptFrom {
    /// Releases of Helm.
    Helm,
    /// Applications of Argo CD.
    Argocd,
    /// Manifests that somebody applied, and objects made by hand.
    Manifests,
}

impl AdoptFrom {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Helm, Self::Argocd, Self::Manifests];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Argocd => "argocd",
            Self::Manifests => "manifests",
        }
    }
}

impl fmt::Display for AdoptFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A text that names no kind of tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is taken over from `{0}`: expected helm, argocd or manifests")]
pub struct UnknownTool(String);

impl FromStr for AdoptFrom {
    type Err = UnknownTool;

    fn from_str(text: &str) -> Result<Self, UnknownTool> {
        let found = Self::ALL.into_iter().find(|from| from.word() == text);
        found.ok_or_else(|| UnknownTool(text.chars().take(40).collect()))
    }
}

/// One object that a deployment may take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedObject {
    /// E.g. `apps/v1`.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// Its namespace; `None`: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID: another object of that name may not be taken over.
    pub uid: String,
}

/// What is to be taken over.
#[derive(Debug, Clone)]
pub struct AdoptRequest {
    /// What takes over: a bundle in an environment.
    pub deploy: DeployRequest,
    /// From which kind of tool.
    pub from: AdoptFrom,
    /// The Helm release or Argo CD application; `None`: any.
    pub release: Option<String>,
}

/// What would become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptFate {
    /// It is not there: it is made.
    Create,
    /// It is the application's already.
    Ours,
    /// It is taken over.
    TakeOver,
    /// It cannot be taken over.
    Refused,
}

/// One object of a revision, and what would become of the one in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdoptedView {
    /// Kind and name.
    pub object: String,
    /// What would become of it.
    pub fate: AdoptFate,
    /// Who has it now, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Fields that change, `path: old → new`.
    pub fields: Vec<String>,
    /// Whether its pods are made anew.
    pub restarts: bool,
    /// Why it cannot be taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What taking over would do; nothing of it was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdoptPlan {
    /// Digest of what would be frozen.
    pub revision: Option<Digest>,
    /// What stands against it.
    pub violations: Vec<Violation>,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// The objects in the order they would be applied.
    pub objects: Vec<AdoptedView>,
    /// What the tool has beside them, and keeps: kind, namespace and name.
    pub left: Vec<String>,
    /// The leave that a deployment would get.
    pub leave: Vec<AdoptedObject>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_tools_read_as_they_are_written() {
        for from in AdoptFrom::ALL {
            assert_eq!(from.to_string().parse(), Ok(from));
            assert_eq!(serde_json::to_value(from).unwrap(), from.word());
        }
        let error = "flux".parse::<AdoptFrom>().unwrap_err().to_string();
        assert!(error.contains("`flux`") && error.contains("argocd"), "{error}");
    }
}
