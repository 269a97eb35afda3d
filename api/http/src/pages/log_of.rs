//! Which log of a run is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use slipway_types::ComponentName;

/// A log of a run, by a word in the address: `run`, `build.NAME` or `check.NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogOf {
    /// Planning and packaging.
    Run,
    /// A component's build.
    Build(ComponentName),
    /// A check, by its name without `source/`.
    Check(ComponentName),
}

impl FromStr for LogOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |name: &str| name.parse::<ComponentName>().map_err(|error| error.to_string());
        match text.split_once('.') {
            None if text == "run" => Ok(Self::Run),
            Some(("build", component)) => Ok(Self::Build(name(component)?)),
            Some(("check", check)) => Ok(Self::Check(name(check)?)),
            _ => Err("a log is named `run`, `build.NAME` or `check.NAME`".to_owned()),
        }
    }
}

impl fmt::Display for LogOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::Build(component) => write!(f, "build.{component}"),
            Self::Check(check) => write!(f, "check.{check}"),
        }
    }
}

impl<'de> Deserialize<'de> for LogOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_one_name() {
        for text in ["run", "build.api", "check.unit"] {
            assert_eq!(text.parse::<LogOf>().unwrap().to_string(), text);
        }
        for bad in ["", "build", "build.", "build.A", "run.x", "other.x"] {
            assert!(bad.parse::<LogOf>().is_err(), "{bad}");
        }
    }
}
