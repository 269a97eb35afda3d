use super::*;

fn parse(text: &str, sent_as: Option<&str>) -> Result<(Manifest, String), InvalidManifest> {
    Manifest::parse(text.as_bytes(), sent_as, &ManifestLimits::default())
}

fn descriptor(of: &str) -> String {
    String::from_utf8(canonical_json(&Descriptor::of("application/x", of.as_bytes())).to_vec()).unwrap()
}

#[test]
fn canonical_json_sorts_keys_at_every_depth() {
    let value: serde_json::Value = serde_json::from_str(r#"{"b": [{"z":1, "a":2}], "a": "é\n"}"#).unwrap();
    assert_eq!(canonical_json(&value), r#"{"a":"é\n","b":[{"a":2,"z":1}]}"#);
}

#[test]
fn an_artifact_without_layers_gets_the_empty_one_and_reads_back() {
    let manifest = ImageManifest::artifact("application/vnd.test", Descriptor::empty(), vec![])
        .annotated("k", "v")
        .about(Descriptor::of(media_type::OCI_MANIFEST, b"x"));
    let bytes = canonical_json(&manifest);
    let (read, media_type) =
        Manifest::parse(&bytes, Some(media_type::OCI_MANIFEST), &ManifestLimits::default()).unwrap();
    assert_eq!(media_type, media_type::OCI_MANIFEST);
    assert_eq!(read.artifact_type(), Some("application/vnd.test"));
    assert_eq!(read.blobs().count(), 2);
    assert_eq!(read, Manifest::Image(manifest));
}

#[test]
fn what_registries_refuse_is_refused_with_the_field_named() {
    let d = descriptor("x");
    let config = r#"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
    for (text, says) in [
        (format!(r#"{{"schemaVersion":1,"config":{d},"layers":[]}}"#), "schemaVersion"),
        (format!(r#"{{"config":{d},"layers":[]}}"#), "schemaVersion"),
        (format!(r#"{{"schemaVersion":2,"config":{d},"layers":[],"manifests":[]}}"#), "ambiguous"),
        (format!(r#"{{"schemaVersion":2,"layers":[{d}]}}"#), "config"),
        (format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#), "artifactType"),
        (
            format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, d.replace("sha256:", "sha256:g")),
            "digest",
        ),
        (
            format!(
                r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#,
                d.replace("\"size\":1", "\"size\":-1")
            ),
            "whole number",
        ),
        (format!(r#"{{"schemaVersion":2,"mediaType":"text/plain","config":{d}}}"#), "text/plain"),
        ("[]".to_owned(), "cannot be read"),
    ] {
        let error = parse(&text, None).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn the_media_type_must_be_the_one_it_was_sent_with() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":null}}"#,
        media_type::OCI_MANIFEST,
        descriptor("x")
    );
    assert!(parse(&text, Some(media_type::OCI_MANIFEST)).is_ok());
    let error = parse(&text, Some(media_type::DOCKER_MANIFEST)).unwrap_err();
    assert!(matches!(error, InvalidManifest::MediaTypeDiffers { .. }));
    let bare = format!(r#"{{"schemaVersion":2,"config":{}}}"#, descriptor("x"));
    assert!(parse(&bare, Some(media_type::OCI_INDEX)).is_err());
}

#[test]
fn limits_hold() {
    let limits = ManifestLimits { max_manifest_bytes: 10_000, max_descriptors: 2 };
    let index = ImageIndex::new(vec![Descriptor::empty(); 3]);
    let error = Manifest::parse(&canonical_json(&index), None, &limits).unwrap_err().to_string();
    assert!(error.contains("max_descriptors = 2"), "{error}");
    let error = Manifest::parse(&[b' '; 10_001], None, &limits).unwrap_err().to_string();
    assert!(error.contains("max_manifest_bytes = 10000"), "{error}");
}

#[test]
fn an_image_configuration_keeps_what_it_does_not_name() {
    let text = r#"{"architecture":"arm64","os":"linux","variant":"v8","config":{"Env":["A=b"],"Cmd":null,"Future":1},"rootfs":{"type":"layers","diff_ids":[]},"history":null,"moby.x":{"y":1}}"#;
    let config: ImageConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.platform().to_string(), "linux/arm64/v8");
    let written = String::from_utf8(canonical_json(&config).to_vec()).unwrap();
    assert!(written.contains(r#""Future":1"#) && written.contains(r#""moby.x":{"y":1}"#), "{written}");
}

#[test]
fn attestations_have_no_platform() {
    let unknown = DescriptorPlatform { os: "unknown".into(), ..(&Platform::default()).into() };
    assert_eq!(unknown.platform(), None);
}
