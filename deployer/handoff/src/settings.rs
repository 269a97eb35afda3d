//! Which receiver an environment has, as its settings say it.

use slipway_types::Violation;
pub use slipway_types::environment::{ReceiverSettings, SecretHandling};
use url::Url;

use crate::receiver::ReceiverKind;

/// Of which kind an environment's receiver is.
pub fn kind(settings: &ReceiverSettings) -> ReceiverKind {
    match settings {
        ReceiverSettings::Core {} => ReceiverKind::Core,
        ReceiverSettings::Oci { .. } => ReceiverKind::Oci,
        ReceiverSettings::Kubevela { .. } => ReceiverKind::Kubevela,
        ReceiverSettings::Http { .. } => ReceiverKind::Http,
    }
}

/// What is wrong with a receiver's settings, on a server that has the receivers `available`. `http`
/// without TLS is taken if `allow_http`.
pub fn violations(
    settings: &ReceiverSettings,
    available: &[ReceiverKind],
    allow_http: bool,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let kind = kind(settings);
    if !available.contains(&kind) {
        let message = format!("this server has no receiver `{kind}`");
        let names: Vec<String> = available.iter().map(ToString::to_string).collect();
        let unavailable = Violation::new("receiver_unavailable", "receiver.type", message);
        found.push(unavailable.hint(format!("choose one of: {}", names.join(", "))));
    }
    if let ReceiverSettings::Http { url, key_id, .. } = settings {
        if let Err(why) = base_url(url, allow_http) {
            found.push(Violation::new("url_invalid", "receiver.url", why));
        }
        if !is_key_id(key_id) {
            let message = "expected 1 to 64 letters, digits, `-`, `_` and `.`";
            found.push(Violation::new("key_id_invalid", "receiver.keyId", message));
        }
    }
    found
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
        violations(&settings, &available, false).into_iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn a_receiver_that_is_not_there_is_said_so_before_anything_is_handed_off() {
        assert_eq!(codes(r#"{"type":"core"}"#), ["receiver_unavailable"]);
        assert!(codes(r#"{"type":"oci"}"#).is_empty());
        assert!(codes(r#"{"type":"kubevela","namespace":"vela","secrets":"external"}"#).is_empty());
    }

    #[test]
    fn addresses_and_keys_are_checked() {
        let http = |url: &str, id: &str| {
            codes(&format!(r#"{{"type":"http","url":"{url}","keyId":"{id}","key":"secret://builtin/k"}}"#))
        };
        assert!(http("https://core.example.com/slipway", "k1").is_empty());
        for url in
            ["http://x.example.com", "https://u:p@x/", "https://x/?a=1", "x", "https://x/#a", "file:///x"]
        {
            assert_eq!(http(url, "k1"), ["url_invalid"], "{url}");
        }
        assert_eq!(http("https://x/", "k 1"), ["key_id_invalid"]);
        assert_eq!(base_url("https://x/a", false).unwrap().as_str(), "https://x/a/");
    }

    #[test]
    fn unknown_settings_are_refused() {
        for text in [
            r#"{"type":"oci","tag":"x"}"#,
            r#"{"type":"oci","registry":"https://x"}"#,
            r#"{"type":"argo"}"#,
            r#"{"type":"core","x":1}"#,
        ] {
            assert!(serde_json::from_str::<ReceiverSettings>(text).is_err(), "{text}");
        }
    }
}
