//! Which receiver an environment has, as its settings say it.

use serde::{Deserialize, Serialize};
use slipway_types::{RegistryPrefix, SecretReference, Violation};
use url::Url;

use crate::receiver::ReceiverKind;

/// The receiver of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ReceiverSettings {
    /// The built-in reconcile core.
    Core {},
    /// An OCI artifact that others pull.
    Oci {
        /// Which registry; `None`: the built-in one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
        /// What happens to Secrets.
        #[serde(default)]
        secrets: SecretHandling,
        /// Whether every object tells Argo CD its wave.
        #[serde(default)]
        argo_waves: bool,
    },
    /// An `Application` object in the environment's cluster.
    Kubevela {
        /// Where the object lies; `None`: the environment's namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// What happens to Secrets.
        #[serde(default)]
        secrets: SecretHandling,
    },
    /// An HTTP service.
    Http {
        /// Its base address.
        url: String,
        /// Which key signs.
        key_id: String,
        /// The key.
        key: SecretReference,
    },
}

/// What a receiver that resolves no secrets itself does with Secrets that refer to the secret store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretHandling {
    /// A revision with such Secrets is refused.
    #[default]
    Refuse,
    /// Such Secrets are left out: somebody else keeps them in the cluster under the same names.
    External,
}

impl ReceiverSettings {
    /// Of which kind the receiver is.
    pub fn kind(&self) -> ReceiverKind {
        match self {
            Self::Core {} => ReceiverKind::Core,
            Self::Oci { .. } => ReceiverKind::Oci,
            Self::Kubevela { .. } => ReceiverKind::Kubevela,
            Self::Http { .. } => ReceiverKind::Http,
        }
    }

    /// What is wrong with them, on a server that has the receivers `available`. `http` without TLS is
    /// taken if `allow_http`.
    pub fn violations(&self, available: &[ReceiverKind], allow_http: bool) -> Vec<Violation> {
        let mut found = Vec::new();
        if !available.contains(&self.kind()) {
            let message = format!("this server has no receiver `{}`", self.kind());
            let names: Vec<String> = available.iter().map(ToString::to_string).collect();
            let unavailable = Violation::new("receiver_unavailable", "receiver.kind", message);
            found.push(unavailable.hint(format!("choose one of: {}", names.join(", "))));
        }
        match self {
            Self::Core {} | Self::Kubevela { .. } => {}
            Self::Oci { registry, .. } => {
                if let Some(Err(error)) = registry.as_ref().map(|text| text.parse::<RegistryPrefix>()) {
                    found.push(Violation::new("registry_invalid", "receiver.registry", error.to_string()));
                }
            }
            Self::Http { url, key_id, .. } => {
                if let Err(why) = base_url(url, allow_http) {
                    found.push(Violation::new("url_invalid", "receiver.url", why));
                }
                if !is_key_id(key_id) {
                    let message = "expected 1 to 64 letters, digits, `-`, `_` and `.`";
                    found.push(Violation::new("key_id_invalid", "receiver.key_id", message));
                }
            }
        }
        found
    }
}

/// The base address of an HTTP receiver.
pub fn base_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
    if !(url.scheme() == "https" || (allow_http && url.scheme() == "http")) {
        return Err("expected https://: submissions are signed, not encrypted".to_owned());
    }
    if url.host().is_none() {
        return Err("the address names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the address must hold no user and no password: requests are signed".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address must end with its path".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Whether `text` can name a key.
pub fn is_key_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        let settings: ReceiverSettings = serde_json::from_str(text).unwrap();
        let available = [ReceiverKind::Oci, ReceiverKind::Http, ReceiverKind::Kubevela];
        settings.violations(&available, false).into_iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn a_receiver_that_is_not_there_is_said_so_before_anything_is_handed_off() {
        assert_eq!(codes(r#"{"kind":"core"}"#), ["receiver_unavailable"]);
        assert!(codes(r#"{"kind":"oci"}"#).is_empty());
        assert!(codes(r#"{"kind":"kubevela","namespace":"vela","secrets":"external"}"#).is_empty());
    }

    #[test]
    fn addresses_and_keys_are_checked() {
        let http = |url: &str, id: &str| {
            codes(&format!(r#"{{"kind":"http","url":"{url}","key_id":"{id}","key":"secret://builtin/k"}}"#))
        };
        assert!(http("https://core.example.com/slipway", "k1").is_empty());
        for url in
            ["http://x.example.com", "https://u:p@x/", "https://x/?a=1", "x", "https://x/#a", "file:///x"]
        {
            assert_eq!(http(url, "k1"), ["url_invalid"], "{url}");
        }
        assert_eq!(http("https://x/", "k 1"), ["key_id_invalid"]);
        assert_eq!(codes(r#"{"kind":"oci","registry":"https://x"}"#), ["registry_invalid"]);
        assert_eq!(base_url("https://x/a", false).unwrap().as_str(), "https://x/a/");
    }

    #[test]
    fn unknown_settings_are_refused() {
        for text in [r#"{"kind":"oci","tag":"x"}"#, r#"{"kind":"argo"}"#, r#"{"kind":"core","x":1}"#] {
            assert!(serde_json::from_str::<ReceiverSettings>(text).is_err(), "{text}");
        }
    }
}
