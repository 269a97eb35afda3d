//! Digests of values under the master key. Two of them tell whether a value became another; none tells what it is,
//! not even whoever tries all that it may be.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use crate::master_key::MasterKey;

/// What the key of these digests is made of the master key for.
const PURPOSE: &[u8] = b"slipway digests of applied values";

/// The HMAC-SHA256 of a value, 64 hex digits, under a key that is made of the master key. `place` says, part by part,
/// where the value stands: equal values at two places have different digests.
pub(crate) fn keyed_digest(master: &MasterKey, place: &[&str], value: &[u8]) -> String {
    let mut purpose = keyed(master.expose());
    purpose.update(PURPOSE);
    let own = Zeroizing::new(purpose.finalize().into_bytes().to_vec());
    let mut digest = keyed(&own);
    for part in place {
        digest.update(part.as_bytes());
        // No name has such a byte, so no place reads as another.
        digest.update(&[0]);
    }
    digest.update(value);
    hex::encode(digest.finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_value_the_place_and_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let key = |name: &str| MasterKey::open(&directory.path().join(name)).unwrap();
        let (ours, theirs) = (key("a"), key("b"));
        let digest = keyed_digest(&ours, &["shop/db", "password"], b"hunter2");
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, keyed_digest(&ours, &["shop/db", "password"], b"hunter2"));
        for other in [
            keyed_digest(&ours, &["shop/db", "password"], b"hunter3"),
            keyed_digest(&ours, &["shop/db", "token"], b"hunter2"),
            keyed_digest(&ours, &["shop/dbpassword"], b"hunter2"),
            keyed_digest(&theirs, &["shop/db", "password"], b"hunter2"),
        ] {
            assert_ne!(digest, other);
        }
    }
}
