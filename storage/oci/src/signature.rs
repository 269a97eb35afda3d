//! Signatures as cosign makes them with a key: a payload of the "simple signing" form names a digest, and
//! ECDSA over P-256 with SHA-256 signs the payload's bytes. Both lie in the repository of what is signed, as
//! a layer with an annotation of the manifest under the tag `sha256-HEX.sig` (cosign's
//! `specs/SIGNATURE_SPEC.md`).
//!
//! A [`Signature`] is only had for what it names: one that was copied from elsewhere is an [`Unfit`] one,
//! whoever made it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::Deserialize;
use serde_json::json;
use slipway_types::signing::{PublicKey, pem_blocks};
use slipway_types::{Digest, ImageReference};

use crate::manifest::canonical_json;

/// Media type of a payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of a payload's layer: the signature in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Annotation of a payload's layer: the key that made the signature, as base64 of DER. A hint, never
/// believed.
pub const KEY_ANNOTATION: &str = "dev.slipway.signature/key";
/// `artifactType` of a manifest of signatures.
pub const SIGNATURE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The largest payload that is read, in bytes.
pub const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;
/// The longest text of a signature, in bytes: one of P-256 takes 96.
const SIGNATURE_TEXT_MAX: usize = 1024;
/// What a payload says it is (cosign's `specs/SIGNATURE_SPEC.md`, "Payload Specification").
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// The tag under which signatures of `subject` lie.
pub fn signature_tag(subject: &Digest) -> String {
    format!("sha256-{}.sig", subject.hex())
}

/// Whose signatures lie under a tag; `None` for any other tag.
pub fn signed_by_tag(tag: &str) -> Option<Digest> {
    Digest::from_hex(tag.strip_prefix("sha256-")?.strip_suffix(".sig")?).ok()
}

/// The payload that says: `digest` in the repository that is reached as `reference` (host and path).
pub fn payload(reference: &str, digest: &Digest) -> Bytes {
    canonical_json(&json!({
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": PAYLOAD_TYPE,
        },
        "optional": null,
    }))
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: Digest,
}

/// A signature over a payload that names what it was asked for. Which key made it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    payload: Bytes,
    signature: Vec<u8>,
}

/// What cannot be the signature that is asked for, whatever key made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too much to read.
    #[error("its payload has more than {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes of the payload are not to be had.
    #[error("its payload is missing")]
    Missing,
    /// Not of the form.
    #[error("its payload is not of the simple signing form: {0}")]
    Payload(String),
    /// Not base64, or too long.
    #[error("it is not base64")]
    Encoding,
    /// It is about something else.
    #[error("it signs {0}")]
    OtherDigest(Digest),
    /// It was made for another repository.
    #[error("it was made for `{0}`")]
    OtherRepository(String),
}

impl Signature {
    /// Reads a signature over `payload`, which must name `subject` in `repository`. The host that the
    /// payload names is not compared: a registry is reached by more than one.
    pub fn read(payload: Bytes, signature: &str, repository: &str, subject: &Digest) -> Result<Self, Unfit> {
        if payload.len() as u64 > PAYLOAD_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        if signature.len() > SIGNATURE_TEXT_MAX {
            return Err(Unfit::Encoding);
        }
        let said: Payload =
            serde_json::from_slice(&payload).map_err(|error| Unfit::Payload(error.to_string()))?;
        let critical = said.critical;
        if critical.r#type != PAYLOAD_TYPE {
            return Err(Unfit::Payload(format!("its type is not `{PAYLOAD_TYPE}`")));
        }
        if critical.image.docker_manifest_digest != *subject {
            return Err(Unfit::OtherDigest(critical.image.docker_manifest_digest));
        }
        let named = critical.identity.docker_reference;
        if named.parse::<ImageReference>().ok().is_none_or(|named| named.repository != repository) {
            return Err(Unfit::OtherRepository(named.chars().take(120).collect()));
        }
        let signature = STANDARD.decode(signature).map_err(|_| Unfit::Encoding)?;
        Ok(Self { payload, signature })
    }

    /// Whether this key made it.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        let key = ring::signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point());
        key.verify(&self.payload, &self.signature).is_ok()
    }

    /// By what it is known: the SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.signature)
    }

    /// What was signed.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// It as an annotation holds it.
    pub fn text(&self) -> String {
        STANDARD.encode(&self.signature)
    }
}

/// A key that signs. It never leaves the process that read it.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// A text that holds no key to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    /// Sealed by a password.
    #[error(
        "the key is sealed by a password: sign with the program that made it (`cosign sign --key`), or unseal \
         it by `openssl pkcs8 -in KEY -topk8 -nocrypt`"
    )]
    Sealed,
    /// Another form of private key.
    #[error("the key is not PKCS#8: write it as such by `openssl pkcs8 -topk8 -nocrypt -in KEY`")]
    Form,
    /// No private key.
    #[error(
        "no private key in it: make one by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    Missing,
    /// Another algorithm or curve, or broken.
    #[error("it is no whole ECDSA key of the curve P-256, the kind that cosign reads")]
    Algorithm,
}

impl SigningKey {
    /// Reads a private key as PEM of PKCS#8.
    pub fn from_pem(text: &str) -> Result<Self, InvalidSigningKey> {
        let blocks = pem_blocks(text);
        let private = blocks.iter().find(|(label, _)| label.contains("PRIVATE KEY"));
        let (label, body) = private.ok_or(InvalidSigningKey::Missing)?;
        match label.as_str() {
            "PRIVATE KEY" => {}
            label if label.contains("ENCRYPTED") => return Err(InvalidSigningKey::Sealed),
            _ => return Err(InvalidSigningKey::Form),
        }
        let der = STANDARD.decode(body).map_err(|_| InvalidSigningKey::Algorithm)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new())
            .map_err(|_| InvalidSigningKey::Algorithm)?;
        let public =
            PublicKey::from_point(pair.public_key().as_ref()).map_err(|_| InvalidSigningKey::Algorithm)?;
        Ok(Self { pair, public })
    }

    /// A new key that is kept nowhere.
    #[cfg(test)]
    pub(crate) fn new() -> Result<Self, InvalidSigningKey> {
        Self::from_pem(&tests::key_pem())
    }

    /// The public one of the pair.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a payload; gives the signature as an annotation holds it.
    pub fn sign(&self, payload: &[u8]) -> String {
        let signed = self.pair.sign(&SystemRandom::new(), payload);
        STANDARD.encode(signed.expect("invariant: the system gives random numbers"))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public).finish()
    }
}

#[cfg(test)]
mod tests;
