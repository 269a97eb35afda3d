//! Environments: where applications are deployed to.

mod settings;
mod window;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{InvalidName, is_name};

pub use settings::{
    Approvals, CheckOwner, ClusterFacts, ClusterLabels, ClusterSettings, DriftPolicy, EXPIRE_AFTER_HOURS,
    EnvironmentSettings, Follow, Gates, InvalidSettings, PullRegistry, ReceiverSettings, SecretHandling,
    Sensing, Signer, Soak,
};
pub use window::{InvalidWindow, Window};

/// The stage whose objects carry no suffix.
pub const DEFAULT_STAGE: &str = "default";

/// An environment's address, written `unit/cluster/namespace/stage`; a missing last part means the
/// stage `default`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    unit: String,
    cluster: String,
    namespace: String,
    stage: String,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not of the form.
    #[error("`{0}` is not an address: expected unit/cluster/namespace or unit/cluster/namespace/stage")]
    Form(String),
    /// One part is no name.
    #[error(transparent)]
    Part(#[from] InvalidName),
}

impl Address {
    /// A whole Slipway.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// A cluster that the unit drives.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A namespace of the cluster.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// One of the lines that share the namespace.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// Whether objects keep their plain names.
    pub fn is_default_stage(&self) -> bool {
        self.stage == DEFAULT_STAGE
    }

    /// Whether a text is a level of some address: nothing, or its first parts.
    pub fn is_level(level: &str) -> bool {
        level.is_empty() || (level.matches('/').count() <= 3 && level.split('/').all(is_name))
    }

    /// The levels that configuration is inherited along, from the widest: nothing, unit,
    /// unit/cluster, unit/cluster/namespace, the whole address.
    pub fn levels(&self) -> [String; 5] {
        let Self { unit, cluster, namespace, stage } = self;
        [
            String::new(),
            unit.clone(),
            format!("{unit}/{cluster}"),
            format!("{unit}/{cluster}/{namespace}"),
            format!("{unit}/{cluster}/{namespace}/{stage}"),
        ]
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let parts: Vec<&str> = text.split('/').collect();
        let (unit, cluster, namespace, stage) = match parts[..] {
            [unit, cluster, namespace] => (unit, cluster, namespace, DEFAULT_STAGE),
            [unit, cluster, namespace, stage] => (unit, cluster, namespace, stage),
            _ => return Err(InvalidAddress::Form(text.chars().take(200).collect())),
        };
        let part = |what: &'static str, text: &str| {
            if is_name(text) {
                Ok(text.to_owned())
            } else {
                Err(InvalidName { what, found: text.chars().take(80).collect() })
            }
        };
        Ok(Self {
            unit: part("unit", unit)?,
            cluster: part("cluster", cluster)?,
            namespace: part("namespace", namespace)?,
            stage: part("stage", stage)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.unit, self.cluster, self.namespace, self.stage)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_stage_is_the_default_one() {
        let address: Address = "eu/kind/shop".parse().unwrap();
        assert_eq!(address.to_string(), "eu/kind/shop/default");
        assert!(address.is_default_stage());
        assert_eq!(address.levels()[3], "eu/kind/shop");
        for bad in ["", "eu", "eu/kind", "eu/kind/shop/a/b", "eu//shop", "EU/kind/shop"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
