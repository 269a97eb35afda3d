//! HMAC-SHA-256 as RFC 2104 writes it down, so that the server is not measured by its own code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const BLOCK_BYTES: usize = 64;

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// The signature in hex: Gitea, Forgejo, Gogs; with `sha256=` in front GitHub.
pub(crate) fn hex(secret: &str, body: &[u8]) -> String {
    hex::encode(hmac(secret.as_bytes(), body))
}

/// A signature by the rules of standardwebhooks.com: GitLab.
pub(crate) fn standard_webhook(secret: &str, id: &str, at: i64, body: &[u8]) -> String {
    let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(hmac(secret.as_bytes(), &signed)))
}

#[test]
fn the_signature_is_that_of_the_rfc() {
    // RFC 4231, test cases 2 and 6.
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex("Jefe", b"what do ya want for nothing?"), expected);
    let long = hex::encode(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"));
    assert_eq!(long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
