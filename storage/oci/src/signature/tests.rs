use super::*;

const REFERENCE: &str = "registry.example.com:5000/default/shop";
const REPOSITORY: &str = "default/shop";

/// A new key as PEM of PKCS#8.
pub(super) fn key_pem() -> String {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(made.as_ref()))
}

fn signed(key: &SigningKey, about: &Digest) -> (Bytes, String) {
    let payload = payload(REFERENCE, about);
    let text = key.sign(&payload);
    (payload, text)
}

#[test]
fn a_signature_holds_for_its_key_and_what_it_names() {
    let (key, about) = (SigningKey::from_pem(&key_pem()).unwrap(), Digest::of("bundle"));
    let (payload, text) = signed(&key, &about);
    let signature = Signature::read(payload.clone(), &text, REPOSITORY, &about).unwrap();
    assert!(signature.is_by(&key.public()));
    assert_eq!((signature.text(), signature.payload()), (text.clone(), &payload));
    let other = PublicKey::from_point(&[4; 65]).unwrap();
    assert!(!signature.is_by(&other), "a point that is on no curve verifies nothing");

    let read = |payload: &[u8], text: &str, repository: &str, about: &Digest| {
        Signature::read(Bytes::copy_from_slice(payload), text, repository, about)
    };
    let elsewhere = Digest::of("another");
    assert_eq!(read(&payload, &text, REPOSITORY, &elsewhere), Err(Unfit::OtherDigest(about)));
    let path = Err(Unfit::OtherRepository(REFERENCE.to_owned()));
    assert_eq!(read(&payload, &text, "default/shop2", &about), path);
    assert_eq!(read(&payload, &text[..text.len() - 3], REPOSITORY, &about), Err(Unfit::Encoding));
    assert_eq!(read(&payload, &"A".repeat(2000), REPOSITORY, &about), Err(Unfit::Encoding));
    let huge = vec![b' '; 70_000];
    assert_eq!(read(&huge, &text, REPOSITORY, &about), Err(Unfit::TooLarge));
    for bad in ["", "{}", "[]", "{\"critical\": 1}", "\u{0}"] {
        assert!(matches!(read(bad.as_bytes(), &text, REPOSITORY, &about), Err(Unfit::Payload(_))), "{bad}");
    }
    // The same words in other bytes are not what was signed.
    let edited = [&payload[..], b" "].concat();
    assert!(!read(&edited, &text, REPOSITORY, &about).unwrap().is_by(&key.public()));
    // Bytes of a signature that is none.
    assert!(!read(&payload, "AAAA", REPOSITORY, &about).unwrap().is_by(&key.public()));
    assert!(!read(&payload, "", REPOSITORY, &about).unwrap().is_by(&key.public()));
}

#[test]
fn a_payload_is_what_cosign_writes() {
    let about = Digest::of("bundle");
    let expected = format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{REFERENCE}\"}},\"image\":\
         {{\"docker-manifest-digest\":\"{about}\"}},\"type\":\"cosign container image signature\"}},\
         \"optional\":null}}"
    );
    assert_eq!(payload(REFERENCE, &about), expected);
}

#[test]
fn tags_of_signatures_name_what_is_signed() {
    let about = Digest::of("bundle");
    assert_eq!(signed_by_tag(&signature_tag(&about)), Some(about));
    for tag in ["1.0.0", "sha256-00.sig", "sha256-.sig", &format!("sha256-{}.att", about.hex())] {
        assert_eq!(signed_by_tag(tag), None, "{tag}");
    }
}

#[test]
fn keys_that_cannot_sign_are_refused_with_the_way_out() {
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let cases = [
        (String::new(), InvalidSigningKey::Missing),
        (block("PUBLIC KEY", "MFkw"), InvalidSigningKey::Missing),
        (block("EC PRIVATE KEY", "MHc"), InvalidSigningKey::Form),
        (block("ENCRYPTED PRIVATE KEY", "MHc"), InvalidSigningKey::Sealed),
        (block("ENCRYPTED SIGSTORE PRIVATE KEY", "MHc"), InvalidSigningKey::Sealed),
        (block("PRIVATE KEY", "MIGHAgEAMBMG"), InvalidSigningKey::Algorithm),
        (block("PRIVATE KEY", "?"), InvalidSigningKey::Algorithm),
    ];
    for (text, why) in cases {
        assert_eq!(SigningKey::from_pem(&text).err(), Some(why), "{text}");
    }
    let shown = format!("{:?}", SigningKey::from_pem(&key_pem()).unwrap());
    assert!(shown.starts_with("SigningKey(PublicKey(sha256:"), "{shown}");
}
