//! References to secrets: `secret://provider/path#key`. Never the secret itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretProvider {
    /// Slipway's own envelope-encrypted store.
    Builtin,
    /// An environment variable of the server.
    Env,
    /// A file on the server.
    File,
}

/// A pointer to one secret value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretReference {
    /// Where it is kept.
    pub provider: SecretProvider,
    /// Name of the secret, variable or file inside the provider.
    pub path: String,
    /// One field of a secret that has several.
    pub key: Option<String>,
}

/// A text that is no secret reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretReference {
    /// Not of the form.
    #[error(
        "not a secret reference: expected secret://builtin/NAME, secret://env/VARIABLE or secret://file/PATH"
    )]
    Form,
    /// A provider this build does not have.
    #[error("unknown secret provider `{0}`: expected builtin, env or file")]
    Provider(String),
}

impl SecretReference {
    /// The built-in secret `path`.
    pub fn builtin(path: impl Into<String>) -> Self {
        Self { provider: SecretProvider::Builtin, path: path.into(), key: None }
    }
}

impl FromStr for SecretReference {
    type Err = InvalidSecretReference;

    fn from_str(text: &str) -> Result<Self, InvalidSecretReference> {
        let rest = text.strip_prefix("secret://").ok_or(InvalidSecretReference::Form)?;
        let (rest, key) = match rest.split_once('#') {
            Some((rest, key)) => (rest, Some(key.to_owned())),
            None => (rest, None),
        };
        let (provider, path) = rest.split_once('/').ok_or(InvalidSecretReference::Form)?;
        let provider = match provider {
            "builtin" => SecretProvider::Builtin,
            "env" => SecretProvider::Env,
            "file" => SecretProvider::File,
            other => return Err(InvalidSecretReference::Provider(other.chars().take(40).collect())),
        };
        if path.is_empty() || key.as_deref() == Some("") {
            return Err(InvalidSecretReference::Form);
        }
        Ok(Self { provider, path: path.to_owned(), key })
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = match self.provider {
            SecretProvider::Builtin => "builtin",
            SecretProvider::Env => "env",
            SecretProvider::File => "file",
        };
        write!(f, "secret://{provider}/{}", self.path)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "#{key}"))
    }
}

impl fmt::Debug for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for SecretReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        for text in ["secret://builtin/npm-token", "secret://env/TOKEN", "secret://file//etc/x#token"] {
            assert_eq!(text.parse::<SecretReference>().unwrap().to_string(), text);
        }
        for bad in ["npm-token", "secret://builtin", "secret://vault/x", "secret://env/", "secret://env/x#"] {
            assert!(bad.parse::<SecretReference>().is_err(), "{bad}");
        }
    }
}
