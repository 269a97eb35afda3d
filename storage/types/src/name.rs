//! Names people choose: teams, applications, components, sources.
//!
//! One rule for all: `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 40 characters, so that every name is
//! also a DNS label, an OCI path component and a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::text_type;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 40;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a valid {what} name: use lower-case letters, digits and single `-` between them, \
     start with a letter, at most {NAME_CHARS_MAX} characters"
)]
pub struct InvalidName {
    /// What kind of name was wanted, e.g. `component`.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub found: String,
}

pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { what: $what, found: text.chars().take(80).collect() })
                }
            }
        }

        text_type!($type);
    };
}

name!(
    /// A team: owns applications. A bare application name means the team `default`.
    TeamName,
    "team"
);
name!(
    /// One deployable part of an application.
    ComponentName,
    "component"
);
name!(
    /// A git source.
    SourceName,
    "source"
);
name!(
    /// An application's name inside its team.
    BareApplicationName,
    "application"
);
name!(
    /// A place applications are deployed to.
    EnvironmentName,
    "environment"
);
name!(
    /// A registered Kubernetes cluster.
    ClusterName,
    "cluster"
);
name!(
    /// A definition: a component type, trait, policy, workflow step or add-on.
    DefinitionName,
    "definition"
);
name!(
    /// An instance of an add-on.
    AddonName,
    "add-on"
);
name!(
    /// A value that an add-on gives to those who are bound to it.
    OutputName,
    "output"
);
name!(
    /// A key that signs bundles.
    KeyName,
    "key"
);
name!(
    /// A movable pointer to a version, such as `stable`.
    ChannelName,
    "channel"
);
name!(
    /// Where notices go to: a group, a mailbox, a service.
    NoticeChannelName,
    "notice channel"
);

/// What the names of checks that developers declare begin with.
pub const SOURCE_CHECK_PREFIX: &str = "source/";

/// A check of a bundle: a name, or `source/NAME` for one that developers declare.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckName(String);

impl CheckName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether developers declare it.
    pub fn is_source(&self) -> bool {
        self.0.starts_with(SOURCE_CHECK_PREFIX)
    }
}

impl FromStr for CheckName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_name(text.strip_prefix(SOURCE_CHECK_PREFIX).unwrap_or(text)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { what: "check", found: text.chars().take(80).collect() })
        }
    }
}

text_type!(CheckName);

/// The team that a bare application name belongs to.
pub const DEFAULT_TEAM: &str = "default";
/// The team under which instances of add-ons are handed off; no application belongs to it.
pub const ADDON_TEAM: &str = "addons";

/// An application's full name, `team/name`. Shown and parsed bare for the default team.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationName {
    team: TeamName,
    name: BareApplicationName,
}

impl ApplicationName {
    /// The application `name` of `team`.
    pub fn new(team: TeamName, name: BareApplicationName) -> Self {
        Self { team, name }
    }

    /// What an instance of an add-on is handed off as: `addons/NAME`.
    pub fn of_addon(addon: &AddonName) -> Self {
        Self { team: TeamName(ADDON_TEAM.to_owned()), name: BareApplicationName(addon.0.clone()) }
    }

    /// The instance of an add-on that is handed off under this name; `None`: an application.
    pub fn addon(&self) -> Option<AddonName> {
        (self.team.as_str() == ADDON_TEAM).then(|| AddonName(self.name.0.clone()))
    }

    /// The application that an OCI repository belongs to, by its path: `team/name/…`.
    pub fn owning(repository: &str) -> Option<Self> {
        let mut parts = repository.split('/');
        Some(Self { team: parts.next()?.parse().ok()?, name: parts.next()?.parse().ok()? })
    }

    /// The owning team.
    pub fn team(&self) -> &TeamName {
        &self.team
    }

    /// The name without the team.
    pub fn bare(&self) -> &BareApplicationName {
        &self.name
    }

    /// `team/name`, also for the default team: the form used in OCI repositories.
    pub fn path(&self) -> String {
        format!("{}/{}", self.team, self.name)
    }
}

impl FromStr for ApplicationName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (team, name) = text.split_once('/').unwrap_or((DEFAULT_TEAM, text));
        Ok(Self { team: team.parse()?, name: name.parse()? })
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.team.as_str() == DEFAULT_TEAM {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.team, self.name)
        }
    }
}

impl fmt::Debug for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for ApplicationName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ApplicationName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_one_rule() {
        for good in ["a", "api", "api-2", "a1-b2", &"a".repeat(40)] {
            assert!(good.parse::<ComponentName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "a--b", "a-", "-a", "a_b", "a.b", "ä", &"a".repeat(41), "a/b"] {
            assert!(bad.parse::<ComponentName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_application_belongs_to_the_default_team() {
        let shop: ApplicationName = "shop".parse().unwrap();
        assert_eq!(shop.path(), "default/shop");
        assert_eq!(shop.to_string(), "shop");
        let other: ApplicationName = "commerce/shop".parse().unwrap();
        assert_eq!(other.to_string(), "commerce/shop");
    }

    #[test]
    fn an_add_on_is_handed_off_under_a_name_of_no_application() {
        let orders: AddonName = "orders".parse().unwrap();
        let handed_off = ApplicationName::of_addon(&orders);
        assert_eq!((handed_off.to_string().as_str(), handed_off.addon()), ("addons/orders", Some(orders)));
        assert_eq!("commerce/orders".parse::<ApplicationName>().unwrap().addon(), None);
    }
}
