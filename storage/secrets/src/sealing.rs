//! Envelope encryption: every value has a data key of its own, which the master key seals. Both
//! layers are XChaCha20-Poly1305 with a random nonce in front; the secret's name is associated data,
//! so that a sealed value cannot be moved to another name.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};
use slipway_records::SealedSecret;

use crate::master_key::MasterKey;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A sealed value that the key does not open: another key, another name, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value cannot be opened with this server's secret.key")]
pub struct CannotOpen;

/// Seals the value of the secret `name`.
pub fn seal(master: &MasterKey, name: &str, value: &str) -> SealedSecret {
    let data_key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
    SealedSecret {
        sealed_key: encrypt(master.expose(), name, data_key.as_slice()),
        sealed_value: encrypt(&data_key, name, value.as_bytes()),
    }
}

/// Opens the value of the secret `name`.
pub fn open(master: &MasterKey, name: &str, sealed: &SealedSecret) -> Result<SecretString, CannotOpen> {
    let data_key = Zeroizing::new(decrypt(master.expose(), name, &sealed.sealed_key)?);
    let data_key: &[u8; KEY_BYTES] = data_key.as_slice().try_into().map_err(|_| CannotOpen)?;
    let value = decrypt(data_key, name, &sealed.sealed_value)?;
    String::from_utf8(value).map(SecretString::from).map_err(|error| {
        error.into_bytes().zeroize();
        CannotOpen
    })
}

fn encrypt(key: &[u8; KEY_BYTES], name: &str, plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload { msg: plain, aad: name.as_bytes() };
    let sealed = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.expect("invariant: a secret is far shorter than the cipher's limit of 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(key: &[u8; KEY_BYTES], name: &str, sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CannotOpen)?;
    let payload = Payload { msg: sealed, aad: name.as_bytes() };
    XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload).map_err(|_| CannotOpen)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn key(directory: &tempfile::TempDir, name: &str) -> MasterKey {
        MasterKey::open(&directory.path().join(name)).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_under_its_key_and_name_only() {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (key(&directory, "a"), key(&directory, "b"));
        let sealed = seal(&ours, "npm-token", "hunter2");
        assert_eq!(open(&ours, "npm-token", &sealed).unwrap().expose_secret(), "hunter2");
        assert_eq!(open(&ours, "other", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(open(&theirs, "npm-token", &sealed).unwrap_err(), CannotOpen);
        let mut damaged = sealed.clone();
        damaged.sealed_value[NONCE_BYTES] ^= 1;
        assert_eq!(open(&ours, "npm-token", &damaged).unwrap_err(), CannotOpen);
        let cut = SealedSecret { sealed_key: vec![1; 5], ..sealed };
        assert_eq!(open(&ours, "npm-token", &cut).unwrap_err(), CannotOpen);
    }

    #[test]
    fn equal_values_are_sealed_differently() {
        let directory = tempfile::tempdir().unwrap();
        let key = key(&directory, "a");
        assert_ne!(seal(&key, "a", "x").sealed_value, seal(&key, "a", "x").sealed_value);
    }
}
