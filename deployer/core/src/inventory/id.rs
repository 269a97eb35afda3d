//! The name of an inventory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slipway_handoff::Key;
use slipway_types::Digest;
use slipway_types::name::BareApplicationName;

/// 80 bits: with the longest name it still is a label's value.
const HASH_CHARS: usize = 20;

/// Names what one application has in one environment: a value of the label [`super::INVENTORY`], at most 61
/// characters. The application's name for people, and the hash of the whole key: `shop-0123456789abcdef0123`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InventoryId(String);

/// A text that names no inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no inventory: expected an application's name, `-` and {HASH_CHARS} hex digits")]
pub struct InvalidInventoryId {
    /// What was given, cut to 80 characters.
    pub found: String,
}

impl InventoryId {
    /// The inventory of a key. It must never change: objects in clusters carry it.
    pub fn of(key: &Key) -> Self {
        let whole = format!("{} {}", key.environment, key.application.path());
        let hash: String = Digest::of(whole).hex().chars().take(HASH_CHARS).collect();
        Self(format!("{}-{hash}", key.application.bare()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InventoryId {
    type Err = InvalidInventoryId;

    fn from_str(text: &str) -> Result<Self, InvalidInventoryId> {
        let is_hash = |hash: &str| {
            hash.len() == HASH_CHARS && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_name = |name: &str| name.parse::<BareApplicationName>().is_ok();
        match text.rsplit_once('-') {
            Some((name, hash)) if is_name(name) && is_hash(hash) => Ok(Self(text.to_owned())),
            _ => Err(InvalidInventoryId { found: text.chars().take(80).collect() }),
        }
    }
}

impl fmt::Display for InventoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InventoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for InventoryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InventoryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(environment: &str, application: &str) -> InventoryId {
        InventoryId::of(&Key {
            environment: environment.parse().unwrap(),
            application: application.parse().unwrap(),
        })
    }

    #[test]
    fn an_id_never_changes() {
        assert_eq!(id("eu/kind/shop", "commerce/shop").as_str(), "shop-93922037b6415388d0f3");
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let keys = [
            ("eu/kind/shop", "commerce/shop"),
            ("us/kind/shop", "commerce/shop"),
            ("eu/prod/shop", "commerce/shop"),
            ("eu/kind/other", "commerce/shop"),
            ("eu/kind/shop/blue", "commerce/shop"),
            ("eu/kind/shop", "shop"),
            ("eu/kind/shop", "commerce/web"),
        ];
        let ids: std::collections::BTreeSet<_> = keys.iter().map(|(at, name)| id(at, name)).collect();
        assert_eq!(ids.len(), keys.len());
        assert_eq!(id("eu/kind/shop", "shop"), id("eu/kind/shop/default", "default/shop"));
    }

    #[test]
    fn the_longest_id_is_a_value_of_a_label_and_reads_back() {
        let long = id("eu/kind/shop", &"a".repeat(40));
        assert_eq!(long.as_str().len(), 61);
        assert_eq!(long.as_str().parse(), Ok(long.clone()));
        for bad in [
            "",
            "shop",
            "shop-",
            "-0123456789abcdef0123",
            "shop-0123456789ABCDEF0123",
            "a_b-0123456789abcdef0123",
        ] {
            assert!(bad.parse::<InventoryId>().is_err(), "{bad}");
        }
    }
}
