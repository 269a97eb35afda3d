//! Image references and platforms.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// Host of references that name none, as the `docker` client reads them.
pub const DOCKER_HUB: &str = "docker.io";

/// `host[:port]/repository[:tag][@digest]`.
///
/// The first component is a host if it holds a `.` or `:` or is `localhost`; otherwise the
/// reference is Docker Hub's, and a single component there lies under `library/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    /// Registry host with optional port, lower case.
    pub host: String,
    /// Repository path on that host.
    pub repository: String,
    /// Tag, if given.
    pub tag: Option<String>,
    /// Digest, if given; it wins over the tag.
    pub digest: Option<Digest>,
}

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an image reference: {why}")]
pub struct InvalidImageReference {
    /// What was given, cut to 120 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl ImageReference {
    /// What to ask a registry for: the digest if there is one, else the tag, else `latest`.
    pub fn manifest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository, by digest and nothing else.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

/// Where an external registry keeps images: `HOST[:PORT][/PREFIX]`, under which repositories have the
/// paths that they have in the built-in registry.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryPrefix {
    /// Registry host with optional port, lower case.
    pub host: String,
    /// What stands before every repository path; empty: nothing.
    pub prefix: String,
}

/// A text that is no registry prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not HOST[:PORT]/PREFIX, such as registry.example.com/team: {why}")]
pub struct InvalidRegistryPrefix {
    /// What was given, cut to 120 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl RegistryPrefix {
    /// Leaves room for `team/app/i/component` below it.
    const MAX_PREFIX_CHARS: usize = 120;

    /// Whether the host stands for whichever machine asks, so that nobody else reaches this registry by it.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host.split_once(':').map_or(self.host.as_str(), |(host, _)| host))
    }

    /// The reference of the repository that the built-in registry calls `path`.
    pub fn reference(&self, path: &str, digest: Option<Digest>) -> ImageReference {
        let repository =
            if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        ImageReference { host: self.host.clone(), repository, tag: None, digest }
    }
}

impl FromStr for RegistryPrefix {
    type Err = InvalidRegistryPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidRegistryPrefix> {
        let invalid = |why| InvalidRegistryPrefix { found: text.chars().take(120).collect(), why };
        if text.contains("://") {
            return Err(invalid("leave the scheme out"));
        }
        let (host, prefix) = text.split_once('/').map_or((text, None), |(host, rest)| (host, Some(rest)));
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(invalid("the host needs a `.` or a port, else references to it are Docker Hub's"));
        }
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(invalid("the registry host is malformed"));
        }
        if prefix.is_some_and(|prefix| !is_repository(prefix) || prefix.len() > Self::MAX_PREFIX_CHARS) {
            return Err(invalid(
                "the prefix must be lower-case path components of letters and digits, at most 120 characters",
            ));
        }
        Ok(Self { host, prefix: prefix.unwrap_or_default().to_owned() })
    }
}

impl fmt::Display for RegistryPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// Whether a host, without its port, is the loopback of whoever asks.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether `path` is an OCI repository name (distribution specification, "Pulling manifests").
pub fn is_repository(path: &str) -> bool {
    let is_part = |part: &str| {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !part.is_empty()
            && part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part
                .split(alphanumeric)
                .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
    };
    path.len() <= 255 && path.split('/').all(is_part)
}

/// Whether `tag` is an OCI tag.
pub fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let name_valid = !name.is_empty()
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
        });
    name_valid && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, InvalidImageReference> {
        let invalid = |why| InvalidImageReference { found: text.chars().take(120).collect(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse().map_err(|_| invalid("what follows `@` must be sha256:<64 hex digits>"))?),
            ),
            None => (text, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_ascii_lowercase(), path)
            }
            _ => (DOCKER_HUB.to_owned(), rest),
        };
        if !is_host(&host) {
            return Err(invalid("the registry host is malformed"));
        }
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => {
                return Err(invalid("what follows `:` must be a tag of letters, digits, `_`, `.`, `-`"));
            }
            None => (path, None),
        };
        let repository = if host == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !is_repository(&repository) {
            return Err(invalid("the repository must be lower-case path components of letters and digits"));
        }
        Ok(Self { host, repository, tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// `os/architecture[/variant]`, e.g. `linux/amd64`, `linux/arm64/v8`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// Operating system in Go's words.
    pub os: String,
    /// CPU architecture in Go's words.
    pub architecture: String,
    /// CPU variant.
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected os/architecture[/variant] such as linux/amd64")]
pub struct InvalidPlatform(pub String);

impl Default for Platform {
    fn default() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !(2..=3).contains(&parts.len()) || text.len() > 40 || !parts.iter().all(is_word) {
            return Err(InvalidPlatform(text.chars().take(80).collect()));
        }
        Ok(Self {
            os: parts[0].to_owned(),
            architecture: parts[1].to_owned(),
            variant: parts.get(2).map(|&v| v.to_owned()),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

macro_rules! text_serde {
    ($type:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{self}\"")
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_serde!(ImageReference);
text_serde!(RegistryPrefix);
text_serde!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let read = |text: &str| text.parse::<ImageReference>().unwrap().to_string();
        assert_eq!(read("alpine"), "docker.io/library/alpine");
        assert_eq!(read("team/app:1"), "docker.io/team/app:1");
        assert_eq!(read("localhost:5000/a/b:v1"), "localhost:5000/a/b:v1");
        assert_eq!(read("ghcr.io/a/b"), "ghcr.io/a/b");
        let digest = Digest::of("x");
        assert_eq!(read(&format!("ghcr.io/a/b:1@{digest}")), format!("ghcr.io/a/b:1@{digest}"));
    }

    #[test]
    fn a_loopback_is_everybody_s_own() {
        let is_loopback = |text: &str| text.parse::<RegistryPrefix>().unwrap().is_loopback();
        assert!(["127.0.0.1:7300", "localhost:5000/team", "127.8.0.1"].into_iter().all(is_loopback));
        assert!(
            !["10.0.0.7:7300", "registry.example.com/team", "localhost.example.com"]
                .into_iter()
                .any(is_loopback)
        );
    }

    #[test]
    fn malformed_references_are_refused() {
        for bad in [
            "",
            "A",
            "a b",
            "ghcr.io/",
            "ghcr.io/a:",
            "a@sha256:1",
            "a..b/c",
            "http://x/y",
            "x.y/../z",
            "h:99999/a",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_registry_prefix_stands_before_the_path() {
        let of = |text: &str| {
            let prefix: RegistryPrefix = text.parse().unwrap();
            assert_eq!(prefix.to_string(), text.to_ascii_lowercase());
            prefix.reference("default/shop/i/web", None).to_string()
        };
        assert_eq!(of("Registry.example.com/team/x"), "registry.example.com/team/x/default/shop/i/web");
        assert_eq!(of("127.0.0.1:5000"), "127.0.0.1:5000/default/shop/i/web");
        let long = format!("r.io/{}", "x".repeat(121));
        for bad in ["", "team", "r.io/", "r.io/Team", "https://r.io/team", "r.io/team/", "r.io:x/team", &long]
        {
            assert!(bad.parse::<RegistryPrefix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn platforms_have_two_or_three_words() {
        assert_eq!("linux/arm64/v8".parse::<Platform>().unwrap().to_string(), "linux/arm64/v8");
        for bad in ["linux", "linux/", "a/b/c/d", "Linux/amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
