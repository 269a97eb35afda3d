//! Proof that a webhook's sender knows the source's secret, in constant time over the raw body.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::forge::{Endpoint, first};

/// Stands in where there is no secret, so that such a request takes as long as any other.
const NOBODYS_SECRET: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The body comes from who knows the secret.
    Body,
    /// The request comes from who knows the secret; the body may be anything.
    Sender,
}

/// Why nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("the request carries no signature: expected the header {0}")]
    Missing(&'static str),
    #[error("the signature does not fit the body and the source's webhook secret")]
    Mismatch,
    #[error("the signature's time is too far from now: expected within {max_age_ms} ms")]
    Time { max_age_ms: u64 },
}

fn hmac(secret: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("invariant: HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Whether `header` is the body's HMAC in hex, after `prefix`.
fn hex_fits(header: &str, prefix: &str, secret: &str, body: &[u8]) -> bool {
    let claimed = header.trim().strip_prefix(prefix).and_then(|text| hex::decode(text).ok());
    // Computed in any case.
    let mac = hmac(secret.as_bytes(), &[body]);
    claimed.is_some_and(|claimed| mac.verify_slice(&claimed).is_ok())
}

/// Checks what the headers claim. Without a secret nothing holds.
pub(super) fn verify(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &[u8],
    secret: Option<&SecretString>,
    now: DateTime<Utc>,
    max_age_ms: u64,
) -> Result<Proof, Unproven> {
    let key = secret.map_or(NOBODYS_SECRET, ExposeSecret::expose_secret);
    let proof = match endpoint {
        Endpoint::Github | Endpoint::Gitea => {
            let bare = first(headers, &["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"]);
            let (header, prefix) = match (bare, first(headers, &["x-hub-signature-256"])) {
                (Some(bare), _) => (bare, ""),
                (None, Some(prefixed)) => (prefixed, "sha256="),
                (None, None) if endpoint == Endpoint::Github => {
                    return Err(Unproven::Missing("X-Hub-Signature-256"));
                }
                (None, None) => return Err(Unproven::Missing("X-Gitea-Signature")),
            };
            fits(hex_fits(header, prefix, key, body), Proof::Body)
        }
        Endpoint::Generic => {
            let header = first(headers, &["x-slipway-signature"]);
            let header = header.ok_or(Unproven::Missing("X-Slipway-Signature"))?;
            fits(hex_fits(header, "sha256=", key, body), Proof::Body)
        }
        Endpoint::Gitlab => gitlab(headers, body, key, now, max_age_ms),
    };
    match secret {
        Some(_) => proof,
        None => Err(proof.err().unwrap_or(Unproven::Mismatch)),
    }
}

fn fits(fits: bool, proof: Proof) -> Result<Proof, Unproven> {
    if fits { Ok(proof) } else { Err(Unproven::Mismatch) }
}

/// GitLab signs in newer releases (`webhook-signature`, as standardwebhooks.com writes it) and sends
/// the secret itself in all others. A signature that is there must hold.
fn gitlab(
    headers: &HeaderMap,
    body: &[u8],
    key: &str,
    now: DateTime<Utc>,
    max_age_ms: u64,
) -> Result<Proof, Unproven> {
    let Some(signatures) = first(headers, &["webhook-signature"]) else {
        let token = first(headers, &["x-gitlab-token"]).ok_or(Unproven::Missing("X-Gitlab-Token"))?;
        return fits(token.as_bytes().ct_eq(key.as_bytes()).into(), Proof::Sender);
    };
    let id = first(headers, &["webhook-id"]).ok_or(Unproven::Missing("webhook-id"))?;
    let at = first(headers, &["webhook-timestamp"]).ok_or(Unproven::Missing("webhook-timestamp"))?;
    let decoded = key.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let key = decoded.as_deref().unwrap_or(key.as_bytes());
    let parts = [id.as_bytes(), b".", at.as_bytes(), b".", body];
    let one_fits = signatures.split_ascii_whitespace().any(|signature| {
        let claimed = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        claimed.is_some_and(|claimed| hmac(key, &parts).verify_slice(&claimed).is_ok())
    });
    fits(one_fits, Proof::Body)?;
    let at = at.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let age_ms = at.map(|at| (now - at).num_milliseconds().unsigned_abs());
    if age_ms.is_some_and(|age_ms| age_ms <= max_age_ms) {
        Ok(Proof::Body)
    } else {
        Err(Unproven::Time { max_age_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn the_hmac_is_the_one_of_the_rfc() {
        let header = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(hex_fits(header, "sha256=", "Jefe", b"what do ya want for nothing?"));
        assert!(!hex_fits(header, "sha256=", "Jefe", b"what do ya want for nothing!"));
        assert!(!hex_fits(header, "", "Jefe", b"what do ya want for nothing?"));
    }

    #[test]
    fn without_a_secret_nothing_holds() {
        let body = b"x";
        let mac = hmac(NOBODYS_SECRET.as_bytes(), &[body]).finalize().into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature-256", format!("sha256={}", hex::encode(mac)).parse().unwrap());
        let verdict = verify(Endpoint::Github, &headers, body, None, Utc::now(), 1);
        assert_eq!(verdict, Err(Unproven::Mismatch));
    }
}
