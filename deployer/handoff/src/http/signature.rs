//! Signed requests: HMAC-SHA256 over what a request is for, which key, when, and the body.
//!
//! ```text
//! Slipway-Key: k1
//! Slipway-Time: 1763740800
//! Slipway-Signature: v1=HEX(HMAC-SHA256(key, text))
//!
//! text = "slipway-v1\n" PURPOSE "\n" KEY "\n" TIME "\n" HEX(SHA-256(body))
//! ```
//!
//! The purpose is the last part of the path, so that a request for one thing is none for another, nor
//! back to its sender. A request is good for a window of time; inside it a repetition is harmless,
//! because submissions, orders and reports are idempotent.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use slipway_types::Digest;

use crate::settings::is_key_id;

/// Names the key.
pub const HEADER_KEY: &str = "slipway-key";
/// When it was signed, in seconds since 1970.
pub const HEADER_TIME: &str = "slipway-time";
/// The signature.
pub const HEADER_SIGNATURE: &str = "slipway-signature";
/// The shortest key, in bytes.
pub const KEY_BYTES_MIN: usize = 32;
/// How far a signature's time may be from now, in milliseconds.
pub const WINDOW_MS_DEFAULT: u64 = 300_000;

/// Stands in for a key that is not known, so that such a request takes as long as any other.
const NOBODYS_KEY: &str = "00000000000000000000000000000000";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A receiver is asked what it is.
    Describe,
    /// A submission.
    Submit,
    /// A receiver is asked what happened.
    Observe,
    /// An order about a generation.
    Command,
    /// A receiver tells what happened.
    Report,
    /// People are told what becomes of a deployment.
    Notice,
}

impl Purpose {
    /// The last part of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Submit => "submit",
            Self::Observe => "observe",
            Self::Command => "command",
            Self::Report => "report",
            Self::Notice => "notice",
        }
    }
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    secret: SecretString,
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Its name.
    #[error("a key's name must be 1 to 64 letters, digits, `-`, `_` and `.`")]
    Id,
    /// Its length.
    #[error("a key must have at least {KEY_BYTES_MIN} bytes: `openssl rand -hex 32` makes a good one")]
    Short,
}

impl SigningKey {
    /// The key `id`. White space around the secret, as files end with, is no part of it.
    pub fn new(id: impl Into<String>, secret: &SecretString) -> Result<Self, InvalidKey> {
        let (id, secret) = (id.into(), secret.expose_secret().trim());
        if !is_key_id(&id) {
            return Err(InvalidKey::Id);
        }
        if secret.len() < KEY_BYTES_MIN {
            return Err(InvalidKey::Short);
        }
        Ok(Self { id, secret: secret.to_owned().into() })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What to send with a body.
    pub fn sign(&self, purpose: Purpose, body: &[u8], now: DateTime<Utc>) -> Claim {
        let time = now.timestamp().to_string();
        let mac = mac(self.secret.expose_secret(), purpose, &self.id, &time, body);
        let signature = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
        Claim { key: Some(self.id.clone()), time: Some(time), signature: Some(signature) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn mac(secret: &str, purpose: Purpose, key: &str, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: HMAC takes keys of any length");
    let body = Digest::of(body).hex();
    mac.update(format!("slipway-v1\n{}\n{key}\n{time}\n{body}", purpose.as_str()).as_bytes());
    mac
}

/// What the headers of a request claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// [`HEADER_KEY`].
    pub key: Option<String>,
    /// [`HEADER_TIME`].
    pub time: Option<String>,
    /// [`HEADER_SIGNATURE`].
    pub signature: Option<String>,
}

impl Claim {
    /// The claim of a request whose headers `get` knows, by lower-case names.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let get = |name| get(name).map(str::to_owned);
        Self { key: get(HEADER_KEY), time: get(HEADER_TIME), signature: get(HEADER_SIGNATURE) }
    }

    /// Key, time and signature, if all are there.
    pub fn parts(&self) -> Result<(&str, &str, &str), Unproven> {
        let key = self.key.as_deref().ok_or(Unproven::Missing(HEADER_KEY))?;
        let time = self.time.as_deref().ok_or(Unproven::Missing(HEADER_TIME))?;
        let signature = self.signature.as_deref().ok_or(Unproven::Missing(HEADER_SIGNATURE))?;
        Ok((key, time, signature))
    }

    /// The headers of it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            (HEADER_KEY, self.key.as_deref()),
            (HEADER_TIME, self.time.as_deref()),
            (HEADER_SIGNATURE, self.signature.as_deref()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Why a request is not taken for its sender's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// A header is missing.
    #[error("the request carries no header {0}")]
    Missing(&'static str),
    /// The signature does not fit, or nobody has the key.
    #[error("the signature fits no known key, or not this request")]
    Mismatch,
    /// Too old, or from the future.
    #[error("the signature's time is too far from now: expected within {window_ms} ms")]
    Time {
        /// The window, in milliseconds.
        window_ms: u64,
    },
}

/// Keys that are believed, by name.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, SigningKey>);

impl Keys {
    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }

    /// The key that signed a request, checked in constant time.
    pub fn verify(
        &self,
        purpose: Purpose,
        claim: &Claim,
        body: &[u8],
        now: DateTime<Utc>,
        window_ms: u64,
    ) -> Result<&SigningKey, Unproven> {
        let (key, time, signature) = claim.parts()?;
        let known = self.0.get(key);
        let secret = known.map_or(NOBODYS_KEY, |key| key.secret.expose_secret());
        let claimed =
            signature.strip_prefix("v1=").and_then(|text| hex::decode(text).ok()).unwrap_or_default();
        let fits = mac(secret, purpose, key, time, body).verify_slice(&claimed).is_ok();
        let key = known.filter(|_| fits).ok_or(Unproven::Mismatch)?;
        let at = time.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let age_ms = at.map(|at| (now - at).num_milliseconds().unsigned_abs());
        if age_ms.is_some_and(|age_ms| age_ms <= window_ms) {
            Ok(key)
        } else {
            Err(Unproven::Time { window_ms })
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key(id: &str) -> SigningKey {
        SigningKey::new(id, &SECRET.to_owned().into()).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn verify(claim: &Claim, purpose: Purpose, body: &[u8], now: i64) -> Result<String, Unproven> {
        let keys = Keys::new([key("k1"), key("k2")]);
        keys.verify(purpose, claim, body, at(now), 300_000).map(|key| key.id().to_owned())
    }

    #[test]
    fn the_signature_is_the_documented_one() {
        // printf 'slipway-v1\nsubmit\nk1\n1763740800\n<sha256 of {}>' | openssl dgst -sha256 -hmac KEY
        let claim = key("k1").sign(Purpose::Submit, b"{}", at(1_763_740_800));
        assert_eq!(
            claim.signature.as_deref(),
            Some("v1=a5b49a040004e35aadc1f6ae299cae03edd52bad50212c1c5cec7d93083dab51")
        );
        assert_eq!(verify(&claim, Purpose::Submit, b"{}", 1_763_740_800), Ok("k1".into()));
    }

    #[test]
    fn every_part_of_a_request_is_signed() {
        let good = key("k1").sign(Purpose::Submit, b"{}", at(1_000_000));
        let mismatch = Err(Unproven::Mismatch);
        assert_eq!(verify(&good, Purpose::Submit, b"{ }", 1_000_000), mismatch);
        for other in [Purpose::Observe, Purpose::Command, Purpose::Report, Purpose::Describe] {
            assert_eq!(verify(&good, other, b"{}", 1_000_000), mismatch);
        }
        for (what, claim) in [
            ("another key's name", Claim { key: Some("k2".into()), ..good.clone() }),
            ("an unknown key", Claim { key: Some("k9".into()), ..good.clone() }),
            ("a later time", Claim { time: Some("1000001".into()), ..good.clone() }),
            ("no hex", Claim { signature: Some("v1=zz".into()), ..good.clone() }),
            ("nothing", Claim { signature: Some("v1=".into()), ..good.clone() }),
            (
                "another version",
                Claim { signature: good.signature.clone().map(|s| s.replace("v1", "v2")), ..good.clone() },
            ),
            (
                "a part",
                Claim { signature: good.signature.clone().map(|s| s[..40].to_owned()), ..good.clone() },
            ),
        ] {
            assert_eq!(verify(&claim, Purpose::Submit, b"{}", 1_000_000), mismatch, "{what}");
        }
        for (missing, claim) in [
            (HEADER_KEY, Claim { key: None, ..good.clone() }),
            (HEADER_TIME, Claim { time: None, ..good.clone() }),
            (HEADER_SIGNATURE, Claim { signature: None, ..good.clone() }),
        ] {
            let found = verify(&claim, Purpose::Submit, b"{}", 1_000_000);
            assert_eq!(found, Err(Unproven::Missing(missing)));
        }
    }

    #[test]
    fn a_key_that_nobody_has_signs_nothing() {
        let nobody = SigningKey::new("k9", &NOBODYS_KEY.to_owned().into()).unwrap();
        let claim = nobody.sign(Purpose::Submit, b"{}", at(1_000_000));
        assert_eq!(verify(&claim, Purpose::Submit, b"{}", 1_000_000), Err(Unproven::Mismatch));
    }

    #[test]
    fn old_and_future_requests_are_refused() {
        let claim = key("k1").sign(Purpose::Submit, b"{}", at(1_000_000));
        for (now, good) in [(1_000_300, true), (999_700, true), (1_000_301, false), (999_699, false)] {
            assert_eq!(verify(&claim, Purpose::Submit, b"{}", now).is_ok(), good, "{now}");
        }
        for time in ["", "x", "99999999999999999999", "-1"] {
            let mac = mac(SECRET, Purpose::Submit, "k1", time, b"{}");
            let signature = Some(format!("v1={}", hex::encode(mac.finalize().into_bytes())));
            let claim = Claim { key: Some("k1".into()), time: Some(time.into()), signature };
            let verdict = verify(&claim, Purpose::Submit, b"{}", 1_000_000);
            assert_eq!(verdict, Err(Unproven::Time { window_ms: 300_000 }), "{time}");
        }
    }

    #[test]
    fn weak_keys_are_refused_and_none_is_shown() {
        let short = SigningKey::new("k1", &" short ".to_owned().into());
        assert_eq!(short.unwrap_err(), InvalidKey::Short);
        let odd = SigningKey::new("k 1", &SECRET.to_owned().into());
        assert_eq!(odd.unwrap_err(), InvalidKey::Id);
        assert!(!format!("{:?} {:?}", key("k1"), Keys::new([key("k1")])).contains("0123"));
    }
}
