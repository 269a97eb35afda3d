//! Keys that verify signatures of bundles: ECDSA over P-256, the kind that `cosign generate-key-pair` and
//! `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` make.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// What stands before the point in a `SubjectPublicKeyInfo` of a P-256 key (RFC 5480, section 2).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// First byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;
/// An uncompressed point: that byte and two coordinates.
const POINT_BYTES: usize = 65;
/// The most keys that one text may hold.
pub const KEYS_MAX: usize = 8;
/// The longest text that is read for keys, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A public key. That it lies on the curve is found when it verifies something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; POINT_BYTES]);

/// One or more public keys, as PEM: whatever one of them signed counts. Several stand together while one
/// takes the place of another.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

/// A text that holds no usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKey {
    /// Nothing between `BEGIN` and `END`.
    #[error("no public key in it: expected PEM, `-----BEGIN PUBLIC KEY-----` and so on")]
    NoPem,
    /// Something else than a public key.
    #[error("it holds a {0}, not a PUBLIC KEY: `openssl pkey -in KEY -pubout` prints the public one")]
    Label(String),
    /// Not base64 within.
    #[error("what stands between BEGIN and END is not base64")]
    Base64,
    /// Another algorithm or curve.
    #[error("it is no ECDSA key of the curve P-256, the kind that cosign makes")]
    Algorithm,
    /// More than can be meant.
    #[error("it holds more than {KEYS_MAX} keys or {TEXT_BYTES_MAX} bytes")]
    TooMany,
}

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidPublicKey> {
        let point = der.strip_prefix(&P256_INFO).ok_or(InvalidPublicKey::Algorithm)?;
        Self::from_point(point)
    }

    /// Reads an uncompressed point.
    pub fn from_point(point: &[u8]) -> Result<Self, InvalidPublicKey> {
        let point: [u8; POINT_BYTES] = point.try_into().map_err(|_| InvalidPublicKey::Algorithm)?;
        if point[0] == UNCOMPRESSED { Ok(Self(point)) } else { Err(InvalidPublicKey::Algorithm) }
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8] {
        &self.0
    }

    /// The DER `SubjectPublicKeyInfo`.
    pub fn der(&self) -> Vec<u8> {
        [&P256_INFO[..], &self.0].concat()
    }

    /// By what people tell keys apart: the SHA-256 of [`PublicKey::der`].
    pub fn id(&self) -> Digest {
        Digest::of(self.der())
    }
}

impl TrustedKeys {
    /// The keys, at least one.
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }
}

impl From<PublicKey> for TrustedKeys {
    fn from(key: PublicKey) -> Self {
        Self(vec![key])
    }
}

/// What stands between `BEGIN` and `END` lines of PEM (RFC 7468), with its label, one after the other.
pub fn pem_blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        let named = |word: &str| line.strip_prefix(word)?.strip_suffix("-----");
        if let Some(label) = named("-----BEGIN ") {
            open = Some((label.to_owned(), String::new()));
        } else if named("-----END ").is_some() {
            found.extend(open.take());
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    found
}

impl FromStr for TrustedKeys {
    type Err = InvalidPublicKey;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(InvalidPublicKey::TooMany);
        }
        let key = |(label, body): (String, String)| {
            if label != "PUBLIC KEY" {
                return Err(InvalidPublicKey::Label(label.chars().take(40).collect()));
            }
            PublicKey::from_der(&STANDARD.decode(body).map_err(|_| InvalidPublicKey::Base64)?)
        };
        let keys = pem_blocks(text).into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(InvalidPublicKey::NoPem),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(InvalidPublicKey::TooMany),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = STANDARD.encode(self.der());
        let (first, second) = body.split_at(body.len().min(64));
        write!(f, "-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl fmt::Display for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| write!(f, "{key}"))
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for TrustedKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TrustedKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout`.
    const OPENSSL: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExBnNbxb08OUNmI2V0efYuL3P5ede\n\
        vLxm1h/2OyfzyTqclRWw0jqM9hEL7WFxZ2A0Rsyix+K1VihBKZnlc6dSfQ==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_of_openssl_is_read_and_written_as_it_was() {
        let keys: TrustedKeys = OPENSSL.parse().unwrap();
        assert_eq!(keys.to_string(), OPENSSL);
        assert_eq!(PublicKey::from_der(&keys.keys()[0].der()), Ok(keys.keys()[0]));
        let both: TrustedKeys = format!("old one\n{OPENSSL}\n{OPENSSL}").parse().unwrap();
        assert_eq!(both.keys().len(), 2);
        assert_eq!(serde_json::from_value::<TrustedKeys>(serde_json::json!(both)).unwrap(), both);
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_the_reason() {
        let block =
            |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let cases = [
            (String::new(), InvalidPublicKey::NoPem),
            ("-----BEGIN PUBLIC KEY-----\nMFkw".to_owned(), InvalidPublicKey::NoPem),
            (block("PRIVATE KEY", "MIGH"), InvalidPublicKey::Label("PRIVATE KEY".to_owned())),
            (block("PUBLIC KEY", "%%"), InvalidPublicKey::Base64),
            (block("PUBLIC KEY", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7"), InvalidPublicKey::Algorithm),
            (OPENSSL.repeat(9), InvalidPublicKey::TooMany),
            ("x".repeat(20_000), InvalidPublicKey::TooMany),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<TrustedKeys>(), Err(why), "{text}");
        }
    }
}
