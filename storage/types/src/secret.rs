//! References to secrets: `secret://provider/path#key`, and for whom a built-in one is. Never the secret
//! itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{ApplicationName, EnvironmentName, TeamName};

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretProvider {
    /// Slipway's own envelope-encrypted store.
    Builtin,
    /// An environment variable of the server.
    Env,
    /// A file on the server.
    File,
    /// A Secret in a registered cluster.
    Kubernetes,
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
        "not a secret reference: expected secret://builtin/NAME, secret://kubernetes/NAMESPACE/NAME#KEY, \
         secret://env/VARIABLE or secret://file/PATH"
    )]
    Form,
    /// A provider this build does not have.
    #[error("unknown secret provider `{0}`: expected builtin, kubernetes, env or file")]
    Provider(String),
    /// Not a place in a cluster.
    #[error(
        "not a Secret of a cluster: expected secret://kubernetes/[CLUSTER/]NAMESPACE/NAME#KEY, in names as \
         Kubernetes has them"
    )]
    Kubernetes,
}

/// Where in Kubernetes a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubernetesSecret<'a> {
    /// The registered cluster; `None`: that of the environment.
    pub cluster: Option<&'a str>,
    /// The namespace.
    pub namespace: &'a str,
    /// The Secret's name.
    pub name: &'a str,
    /// The key in its data.
    pub key: &'a str,
}

impl SecretReference {
    /// The built-in secret `path`.
    pub fn builtin(path: impl Into<String>) -> Self {
        Self { provider: SecretProvider::Builtin, path: path.into(), key: None }
    }

    /// The Secret in a cluster that this names; `None` for other providers.
    pub fn kubernetes(&self) -> Option<KubernetesSecret<'_>> {
        if self.provider != SecretProvider::Kubernetes {
            return None;
        }
        let key = self.key.as_deref()?;
        let parts: Vec<&str> = self.path.split('/').collect();
        let (cluster, namespace, name) = match parts[..] {
            [namespace, name] => (None, namespace, name),
            [cluster, namespace, name] => (Some(cluster), namespace, name),
            _ => return None,
        };
        let is_key = |key: &str| {
            key.len() <= KUBERNETES_NAME_CHARS_MAX
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && !key.starts_with("..")
        };
        let sound = cluster.is_none_or(|cluster| is_dns_name(cluster, false))
            && is_dns_name(namespace, false)
            && is_dns_name(name, true)
            && is_key(key);
        sound.then_some(KubernetesSecret { cluster, namespace, name, key })
    }
}

/// The longest name of a Kubernetes object, and of a key, in characters.
const KUBERNETES_NAME_CHARS_MAX: usize = 253;
/// The longest DNS label, in characters.
const DNS_LABEL_CHARS_MAX: usize = 63;

/// A DNS label, or with `dots` a subdomain, as Kubernetes checks names (RFC 1123).
fn is_dns_name(text: &str, dots: bool) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if dots {
        text.len() <= KUBERNETES_NAME_CHARS_MAX && text.split('.').all(is_label)
    } else {
        text.len() <= DNS_LABEL_CHARS_MAX && is_label(text)
    }
}

/// For whom a built-in secret is. Who asks gets the narrowest that has the name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretScope {
    /// For the server, and every application.
    Global,
    /// For the applications of a team.
    Team(TeamName),
    /// For one application: its builds, and its components in every environment.
    Application(ApplicationName),
    /// For one application in one environment.
    Environment(ApplicationName, EnvironmentName),
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a scope of secrets: expected global, team/TEAM, application/TEAM/NAME or environment/TEAM/NAME/ENVIRONMENT"
)]
pub struct InvalidSecretScope;

impl SecretScope {
    /// The scopes that an application sees, the narrowest first.
    pub fn seen_by(application: &ApplicationName, environment: Option<&EnvironmentName>) -> Vec<Self> {
        let narrowest =
            environment.map(|environment| Self::Environment(application.clone(), environment.clone()));
        narrowest
            .into_iter()
            .chain([
                Self::Application(application.clone()),
                Self::Team(application.team().clone()),
                Self::Global,
            ])
            .collect()
    }

    /// The name under which a secret of this scope is stored and sealed: names have no `:`.
    pub fn key(&self, name: &str) -> String {
        match self {
            Self::Global => name.to_owned(),
            narrower => format!("{narrower}:{name}"),
        }
    }

    /// The scope and the name that make up a stored name.
    pub fn split(key: &str) -> (Self, &str) {
        let narrower = key.split_once(':').and_then(|(scope, name)| Some((scope.parse().ok()?, name)));
        narrower.unwrap_or((Self::Global, key))
    }

    /// What the names begin with under which secrets of this scope and of narrower ones are stored, in the order of
    /// those names. Some that begin so are of another scope: a global secret may be named `application/a/b`.
    pub fn key_prefixes(&self) -> Vec<String> {
        match self {
            Self::Global => vec![String::new()],
            Self::Team(team) => {
                vec![format!("application/{team}/"), format!("environment/{team}/"), format!("{self}:")]
            }
            Self::Application(application) => {
                vec![format!("{self}:"), format!("environment/{}/", application.path())]
            }
            Self::Environment(..) => vec![format!("{self}:")],
        }
    }

    /// Whether the other is this scope or a narrower one: all are narrower than global.
    pub fn holds(&self, other: &Self) -> bool {
        match self {
            Self::Global => true,
            Self::Team(team) => {
                other == self || other.application().is_some_and(|application| application.team() == team)
            }
            Self::Application(application) => other.application() == Some(application),
            Self::Environment(..) => other == self,
        }
    }

    /// The kind's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Team(_) => "team",
            Self::Application(_) => "application",
            Self::Environment(..) => "environment",
        }
    }

    /// The application it is for, where it is for one.
    pub fn application(&self) -> Option<&ApplicationName> {
        match self {
            Self::Application(application) | Self::Environment(application, _) => Some(application),
            Self::Global | Self::Team(_) => None,
        }
    }
}

impl fmt::Display for SecretScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Global => f.write_str(word),
            Self::Team(team) => write!(f, "{word}/{team}"),
            Self::Application(application) => write!(f, "{word}/{}", application.path()),
            Self::Environment(application, environment) => {
                write!(f, "{word}/{}/{environment}", application.path())
            }
        }
    }
}

impl fmt::Debug for SecretScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for SecretScope {
    type Err = InvalidSecretScope;

    fn from_str(text: &str) -> Result<Self, InvalidSecretScope> {
        let parts: Vec<&str> = text.split('/').collect();
        let application = |team: &str, name: &str| format!("{team}/{name}").parse().ok();
        let parsed = match parts[..] {
            ["global"] => Some(Self::Global),
            ["team", team] => team.parse().ok().map(Self::Team),
            ["application", team, name] => application(team, name).map(Self::Application),
            ["environment", team, name, environment] => application(team, name)
                .zip(environment.parse().ok())
                .map(|(application, environment)| Self::Environment(application, environment)),
            _ => None,
        };
        parsed.ok_or(InvalidSecretScope)
    }
}

impl Serialize for SecretScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
            "kubernetes" => SecretProvider::Kubernetes,
            other => return Err(InvalidSecretReference::Provider(other.chars().take(40).collect())),
        };
        if path.is_empty() || key.as_deref() == Some("") {
            return Err(InvalidSecretReference::Form);
        }
        let reference = Self { provider, path: path.to_owned(), key };
        if provider == SecretProvider::Kubernetes && reference.kubernetes().is_none() {
            return Err(InvalidSecretReference::Kubernetes);
        }
        Ok(reference)
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = match self.provider {
            SecretProvider::Builtin => "builtin",
            SecretProvider::Env => "env",
            SecretProvider::File => "file",
            SecretProvider::Kubernetes => "kubernetes",
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
    fn what_a_scope_holds_is_stored_under_names_that_begin_so() {
        let scopes = [
            "global",
            "team/a",
            "team/a-b",
            "application/a/b",
            "application/a/b-c",
            "application/a-b/b",
            "environment/a/b/c",
            "environment/a/b/c-d",
            "environment/a/b-c/c",
        ];
        let scopes: Vec<SecretScope> = scopes.iter().map(|text| text.parse().unwrap()).collect();
        let mut held = 0;
        for wide in &scopes {
            let prefixes = wide.key_prefixes();
            assert!(prefixes.is_sorted(), "{prefixes:?}");
            for narrow in &scopes {
                let begins = prefixes.iter().any(|prefix| narrow.key("x").starts_with(prefix));
                assert_eq!(begins, wide.holds(narrow), "{wide} {narrow}");
                held += usize::from(begins);
            }
        }
        // Everything is in the global one, and each in itself.
        assert_eq!(held, 9 + 6 + 2 + 3 + 2 + 1 + 3);
    }

    #[test]
    fn references_round_trip() {
        for text in ["secret://builtin/npm-token", "secret://env/TOKEN", "secret://file//etc/x#token"] {
            assert_eq!(text.parse::<SecretReference>().unwrap().to_string(), text);
        }
        for bad in ["npm-token", "secret://builtin", "secret://vault/x", "secret://env/", "secret://env/x#"] {
            assert!(bad.parse::<SecretReference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reference_into_a_cluster_is_made_of_kubernetes_names() {
        let short: SecretReference = "secret://kubernetes/shop/db.main#password".parse().unwrap();
        let found = short.kubernetes().unwrap();
        assert_eq!(
            (found.cluster, found.namespace, found.name, found.key),
            (None, "shop", "db.main", "password")
        );
        let long: SecretReference = "secret://kubernetes/kind/shop/db#tls.key".parse().unwrap();
        assert_eq!(long.kubernetes().unwrap().cluster, Some("kind"));
        assert_eq!(long.to_string(), "secret://kubernetes/kind/shop/db#tls.key");
        for bad in [
            "shop/db",
            "db#password",
            "a/b/c/d#x",
            "Shop/db#x",
            "shop/../db#x",
            "shop/db%2f#x",
            "shop/-db#x",
            "../db#x",
            "shop/db#a/b",
            "shop/db?x=1#a",
            "sh.op/db#x",
            "shop//db#x",
        ] {
            assert!(format!("secret://kubernetes/{bad}").parse::<SecretReference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn scopes_are_seen_narrowest_first_and_keep_their_names_apart() {
        let application: ApplicationName = "commerce/shop".parse().unwrap();
        let environment: EnvironmentName = "prod".parse().unwrap();
        let seen = SecretScope::seen_by(&application, Some(&environment));
        let shown: Vec<String> = seen.iter().map(ToString::to_string).collect();
        let expected =
            ["environment/commerce/shop/prod", "application/commerce/shop", "team/commerce", "global"];
        assert_eq!(shown, expected);
        assert_eq!(SecretScope::seen_by(&application, None).len(), 3);
        for scope in seen {
            let key = scope.key("db/main");
            assert_eq!(SecretScope::split(&key), (scope, "db/main"));
        }
        assert_eq!(SecretScope::split("webhook/shop"), (SecretScope::Global, "webhook/shop"));
        for bad in ["", "team", "team/", "application/shop", "environment/a/b", "Team/x", "global/x"] {
            assert!(bad.parse::<SecretScope>().is_err(), "{bad}");
        }
    }
}
