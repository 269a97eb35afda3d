//! Where definitions stand in their list: by kind, name and rising version.

use std::fmt;
use std::str::FromStr;

use slipway_records::defining::KnownDefinition;
use slipway_types::name::DefinitionName;
use slipway_types::{DefinitionKind, Digest, Version};

/// Where a definition stands in the list. Written `KIND/NAME/VERSION/DIGEST`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DefinitionKey {
    kind: DefinitionKind,
    name: DefinitionName,
    /// Sorts as the version does.
    precedence: String,
    version: String,
    digest: Digest,
}

impl DefinitionKey {
    /// Where this one stands.
    pub(super) fn of(known: &KnownDefinition) -> Self {
        Self {
            kind: known.kind,
            name: known.name.clone(),
            precedence: known.version.sort_key(),
            version: known.version.to_string(),
            digest: known.digest,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let [kind, name, version, digest]: [&str; 4] = text.split('/').collect::<Vec<_>>().try_into().ok()?;
        let version: Version = version.parse().ok()?;
        Some(Self {
            kind: kind.parse().ok()?,
            name: name.parse().ok()?,
            precedence: version.sort_key(),
            version: version.to_string(),
            digest: digest.parse().ok()?,
        })
    }
}

impl fmt::Display for DefinitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, version, digest, .. } = self;
        write!(f, "{kind}/{name}/{version}/{digest}")
    }
}

impl FromStr for DefinitionKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::read(text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_sorts_as_its_version_does() {
        let digest = Digest::of("x");
        let key = |text: &str| format!("{text}/{digest}").parse::<DefinitionKey>().unwrap();
        let rising =
            ["component/z/1.0.0", "trait/a/1.9.0-rc.1", "trait/a/1.9.0", "trait/a/1.10.0", "trait/a-b/0.1.0"];
        assert!(rising.map(key).is_sorted());
        for text in rising {
            assert_eq!(key(text).to_string(), format!("{text}/{digest}"));
        }
        for bad in ["", "trait", "trait/a/1.0.0", "trait/a/1/x", "other/a/1.0.0/x"] {
            assert!(bad.parse::<DefinitionKey>().is_err(), "{bad}");
        }
    }
}
