use axum::extract::Request;
use axum::response::Response;
use secrecy::SecretString;
use slipway_objects::BlobsOptions;
use slipway_types::{Class, Fault, media_type};

use super::*;
use crate::builtin::tests::registry;
use crate::manifest::{ImageManifest, canonical_json};
use crate::source::Images;

mod fake;

use fake::{Fake, Memory, answer, with_header};

struct Client {
    _directory: tempfile::TempDir,
    blobs: Blobs,
    registries: Registries,
}

/// A client that may talk to `allowed`, with short times.
async fn client(allowed: &[&str], hosts: BTreeMap<String, HostSettings>) -> Client {
    // A second test of the process finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().join("objects").display());
    let blobs = Blobs::open(BlobsOptions::new(url, directory.path().join("spool"))).await.unwrap();
    let options = ClientOptions {
        allowed_private_hosts: allowed.iter().map(|&host| host.to_owned()).collect(),
        idle_timeout_ms: 300,
        backoff_ms: 1,
        max_attempts: 3,
        ..ClientOptions::default()
    };
    let registries = Registries::new(options, hosts, blobs.clone()).unwrap();
    Client { _directory: directory, blobs, registries }
}

fn image(host: &str, reference: &str) -> ImageReference {
    format!("{host}/{reference}").parse().unwrap()
}

fn credential(password: &str) -> HostSettings {
    let password = SecretString::from(password);
    HostSettings { credential: Some(Credential { user: "ann".into(), password }), ..HostSettings::default() }
}

fn bare_manifest() -> Bytes {
    canonical_json(&ImageManifest::artifact("application/vnd.test", Descriptor::empty(), vec![]))
}

/// A server whose every answer is made by `script`.
async fn scripted(script: impl Fn(&Request) -> Response + Clone + Send + Sync + 'static) -> Fake {
    Fake::serve(move |request| std::future::ready(script(&request))).await
}

#[tokio::test]
async fn what_was_pushed_is_pulled() {
    let memory = Memory::default();
    let fake = Fake::serve(move |request| {
        let memory = memory.clone();
        async move { memory.answer(request).await }
    })
    .await;
    let from = client(&[&fake.host], BTreeMap::new()).await;
    let tag = image(&fake.host, "a/b:v1");
    assert_eq!(from.registries.head_manifest(&tag).await.unwrap(), None);
    let blob = from.blobs.put("layer").await.unwrap();
    from.registries.push_blob(&tag, &blob).await.unwrap();
    let bytes = bare_manifest();
    let digest = from.registries.push_manifest(&tag, bytes.clone(), media_type::OCI_MANIFEST).await.unwrap();
    assert_eq!(from.registries.head_manifest(&tag).await.unwrap(), Some(digest));

    let to = client(&[&fake.host], BTreeMap::new()).await;
    assert_eq!(to.registries.fetch_manifest(&tag.pinned(digest)).await.unwrap().bytes, bytes);
    let layer = Descriptor::of("application/x", b"layer");
    assert_eq!(to.registries.fetch_blob(&tag, &layer).await.unwrap(), blob);
    assert_eq!(to.blobs.get(&blob.digest, 10).await.unwrap(), "layer");
    // There already: nothing is sent or fetched.
    let before = fake.requests();
    to.registries.fetch_blob(&tag, &layer).await.unwrap();
    from.registries.push_blob(&tag, &blob).await.unwrap();
    assert_eq!(fake.requests(), before + 1);
}

#[tokio::test]
async fn passing_failures_are_tried_again_and_lasting_ones_name_the_host() {
    let failures = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&failures);
    let fake = scripted(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => answer(503, ""),
        1 => answer(429, ""),
        2 => answer(200, bare_manifest()),
        _ => answer(500, r#"{"errors":[{"code":"BROKEN","message":"disk\u0007 gone"}]}"#),
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let tag = image(&fake.host, "a/b:v1");
    client.registries.fetch_manifest(&tag).await.unwrap();
    let fault = Fault::from(client.registries.fetch_manifest(&tag).await.unwrap_err());
    assert_eq!((fault.class, fault.code.as_str()), (Class::Transient, "registry_error"));
    assert!(fault.message.contains(&fake.host) && fault.message.contains("500"), "{fault}");
    assert!(fault.message.contains("BROKEN disk gone") && fault.hint.is_some(), "{fault}");
    assert_eq!(fake.requests(), 6);
}

#[tokio::test]
async fn a_registry_that_hangs_before_or_in_its_answer_is_left() {
    let fake = Fake::serve(|request: Request| async move {
        if request.uri().path().contains("blobs") {
            let first = futures::stream::iter([Ok::<_, std::io::Error>("la")]);
            let stream = futures::StreamExt::chain(first, futures::stream::pending());
            return answer(200, axum::body::Body::from_stream(stream));
        }
        std::future::pending().await
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let tag = image(&fake.host, "a/b:v1");
    let layer = Descriptor::of("application/x", b"layer");
    for error in [
        client.registries.head_manifest(&tag).await.unwrap_err(),
        client.registries.fetch_blob(&tag, &layer).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, ImageError::Timeout { limit: "idle_timeout_ms", limit_ms: 300, .. }),
            "{error}"
        );
        assert_eq!(Fault::from(error).class, Class::Transient);
    }
}

#[tokio::test]
async fn wrong_cut_and_overlong_blobs_are_never_stored() {
    let fake = scripted(|request| {
        let path = request.uri().path();
        if path.starts_with("/v2/cut/") {
            let parts = [Ok("la"), Err(std::io::Error::other("cut"))];
            return answer(200, axum::body::Body::from_stream(futures::stream::iter(parts)));
        }
        answer(200, if path.starts_with("/v2/wrong/") { "LAYER" } else { "layer and more" })
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let layer = Descriptor::of("application/x", b"layer");
    for (repository, code) in
        [("wrong/x", "registry_corrupt"), ("long/x", "registry_corrupt"), ("cut/x", "registry_unreachable")]
    {
        let error = client.registries.fetch_blob(&image(&fake.host, repository), &layer).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.is_transient());
    }
    assert_eq!(client.blobs.head(&layer.digest).await.unwrap(), None);
}

#[tokio::test]
async fn a_manifest_must_have_the_digest_it_was_asked_by_and_is_promised() {
    let fake = scripted(|request| match request.uri().path() {
        "/v2/a/b/manifests/v1" => {
            let other = Digest::of("other").to_string();
            Response::builder().header("docker-content-digest", other).body(bare_manifest().into()).unwrap()
        }
        _ => answer(200, bare_manifest()),
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let tag = image(&fake.host, "a/b:v1");
    for reference in [tag.clone(), tag.pinned(Digest::of("else"))] {
        let error = client.registries.fetch_manifest(&reference).await.unwrap_err();
        assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_in_references_redirects_and_realms() {
    let unlisted = scripted(|_| answer(200, "secret")).await;
    let elsewhere = unlisted.host.clone();
    let fake = scripted(move |request| match request.uri().path() {
        "/v2/meta/x/manifests/latest" => with_header(307, "location", "http://169.254.169.254/latest"),
        "/v2/tls/x/manifests/latest" => with_header(307, "location", "https://169.254.169.254/latest"),
        "/v2/plain/x/manifests/latest" => with_header(302, "location", "http://registry.example/"),
        "/v2/near/x/manifests/latest" => with_header(302, "location", &format!("http://{elsewhere}/")),
        "/v2/realm/x/manifests/latest" => {
            with_header(401, "www-authenticate", r#"Bearer realm="http://169.254.169.254/token""#)
        }
        "/v2/file/x/manifests/latest" => with_header(302, "location", "file:///etc/passwd"),
        other => panic!("{other}"),
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let mut references: Vec<ImageReference> = ["meta/x", "tls/x", "plain/x", "near/x", "realm/x", "file/x"]
        .iter()
        .map(|repository| image(&fake.host, repository))
        .collect();
    let hosts = [unlisted.host.as_str(), "169.254.169.254", "10.1.2.3:5000", "localhost:5000"];
    references.extend(hosts.map(|host| image(host, "a/b")));
    for reference in references {
        let error = client.registries.fetch_manifest(&reference).await.unwrap_err();
        assert!(matches!(error, ImageError::AddressRefused { .. }), "{reference}: {error}");
        assert!(!error.is_transient());
    }
    assert_eq!(unlisted.requests(), 0);
}

#[tokio::test]
async fn redirects_within_the_registry_are_followed_but_not_for_ever() {
    let fake = scripted(|request| match request.uri().path() {
        "/v2/a/b/manifests/v1" => with_header(307, "location", "/elsewhere"),
        "/elsewhere" => answer(200, bare_manifest()),
        path => with_header(307, "location", path),
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    client.registries.fetch_manifest(&image(&fake.host, "a/b:v1")).await.unwrap();
    let error = client.registries.fetch_manifest(&image(&fake.host, "a/b:v2")).await.unwrap_err();
    assert!(error.to_string().contains("max_redirects"), "{error}");
}

/// Asks for a bearer token, which its own token server gives to `ann` with password `right`.
async fn guarded() -> Fake {
    scripted(|request| {
        let header = |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
        if request.uri().path() == "/token" {
            let query = request.uri().query().unwrap();
            assert!(
                query.contains("service=reg") && query.contains("scope=repository%3Aa%2Fb%3Apull"),
                "{query}"
            );
            // ann:right
            let is_right = header("authorization") == "Basic YW5uOnJpZ2h0";
            return if is_right {
                answer(200, r#"{"token":"t1","expires_in":300}"#)
            } else {
                answer(401, "")
            };
        }
        if header("authorization") == "Bearer t1" {
            return answer(200, bare_manifest());
        }
        let challenge = format!(
            r#"Bearer realm="http://{}/token",service="reg",scope="repository:a/b:pull""#,
            header("host")
        );
        with_header(401, "www-authenticate", &challenge)
    })
    .await
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_the_token_kept() {
    let fake = guarded().await;
    let hosts = BTreeMap::from([(fake.host.clone(), credential("right"))]);
    let client = client(&[&fake.host], hosts).await;
    let tag = image(&fake.host, "a/b:v1");
    client.registries.fetch_manifest(&tag).await.unwrap();
    assert_eq!(fake.requests(), 3);
    client.registries.fetch_manifest(&tag).await.unwrap();
    assert_eq!(fake.requests(), 4);
}

#[tokio::test]
async fn a_wrong_or_missing_credential_is_a_lasting_fault_without_the_password() {
    let fake = guarded().await;
    for (settings, says) in
        [(credential("wrong-password"), "was not accepted"), (HostSettings::default(), "asks for a login")]
    {
        let hosts = BTreeMap::from([(fake.host.clone(), settings)]);
        let client = client(&[&fake.host], hosts).await;
        let error = client.registries.fetch_manifest(&image(&fake.host, "a/b:v1")).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let fault = Fault::from(error);
        assert_eq!((fault.class, fault.code.as_str()), (Class::Permanent, "registry_unauthorized"));
        assert!(!fault.to_string().contains("wrong-password") && fault.to_string().contains(&fake.host));
    }
}

#[tokio::test]
async fn basic_credentials_go_to_the_registry_that_asks_for_them() {
    let fake = scripted(|request| match request.headers().get("authorization") {
        Some(value) if value == "Basic YW5uOnJpZ2h0" => answer(200, bare_manifest()),
        Some(_) => answer(403, ""),
        None => with_header(401, "www-authenticate", r#"Basic realm="x""#),
    })
    .await;
    let hosts = BTreeMap::from([(fake.host.clone(), credential("right"))]);
    let client = client(&[&fake.host], hosts).await;
    client.registries.fetch_manifest(&image(&fake.host, "a/b:v1")).await.unwrap();
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_its_failure_is_none() {
    let mirror = scripted(|request| match request.uri().path() {
        "/v2/a/b/manifests/v1" => answer(200, bare_manifest()),
        _ => answer(500, ""),
    })
    .await;
    let origin = scripted(|_| answer(200, bare_manifest())).await;
    let settings = HostSettings {
        mirrors: vec![Mirror { at: mirror.host.parse().unwrap(), insecure_http: None, credential: None }],
        ..HostSettings::default()
    };
    let hosts = BTreeMap::from([(origin.host.clone(), settings)]);
    let client = client(&[&origin.host, &mirror.host], hosts).await;
    client.registries.fetch_manifest(&image(&origin.host, "a/b:v1")).await.unwrap();
    assert_eq!((mirror.requests(), origin.requests()), (1, 0));
    client.registries.fetch_manifest(&image(&origin.host, "a/b:v2")).await.unwrap();
    assert_eq!((mirror.requests(), origin.requests()), (2, 1));
}

#[tokio::test]
async fn a_mirrors_credential_serves_no_reference_that_names_it() {
    let mirror = scripted(|request| match request.headers().get("authorization") {
        Some(_) => answer(200, bare_manifest()),
        None => with_header(401, "www-authenticate", r#"Basic realm="x""#),
    })
    .await;
    let origin = scripted(|_| answer(500, "")).await;
    let at = Mirror {
        at: format!("{}/hub", mirror.host).parse().unwrap(),
        insecure_http: None,
        credential: credential("right").credential,
    };
    let settings = HostSettings { mirrors: vec![at], ..HostSettings::default() };
    let hosts = BTreeMap::from([(origin.host.clone(), settings)]);
    let client = client(&[&origin.host], hosts.clone()).await;
    client.registries.fetch_manifest(&image(&origin.host, "a/b:v1")).await.unwrap();
    assert_eq!(origin.requests(), 0);
    let named = image(&mirror.host, "hub/a/b:v1");
    let error = client.registries.fetch_manifest(&named).await.unwrap_err();
    assert_eq!(error.code(), "registry_address_refused", "{error}");
    let client = self::client(&[&origin.host, &mirror.host], hosts).await;
    client.registries.fetch_manifest(&image(&origin.host, "a/b:v1")).await.unwrap();
    let error = client.registries.fetch_manifest(&named).await.unwrap_err();
    assert_eq!(error.code(), "registry_unauthorized", "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_a_missing_image_is_not_there() {
    let fake = scripted(|_| answer(404, "")).await;
    let host = fake.host.clone();
    let client = client(&[&host], BTreeMap::new()).await;
    let error = client.registries.fetch_manifest(&image(&host, "a/b:v1")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("image_not_found", false));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = self::client(&[&closed], BTreeMap::new()).await;
    let error = client.registries.fetch_manifest(&image(&closed, "a/b:v1")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("registry_unreachable", true), "{error}");
    assert!(!error.to_string().contains("resolved"), "{error}");
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_told_as_one() {
    // Longer than a label may be, so that nobody is asked. TLS would refuse such a name before.
    let host = format!("{}.test:5000", "x".repeat(64));
    let plain = HostSettings { insecure_http: Some(true), ..HostSettings::default() };
    let client = client(&[], BTreeMap::from([(host.clone(), plain)])).await;
    let error = client.registries.fetch_manifest(&image(&host, "a/b:v1")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("registry_unreachable", true), "{error}");
    assert!(error.to_string().contains("its name cannot be resolved"), "{error}");
}

#[tokio::test]
async fn the_servers_own_address_is_answered_without_http() {
    let (_directory, builtin) = registry().await;
    let bytes = crate::builtin::tests::image(&builtin, "default/shop/i/api", b"layer").await;
    let client = client(&[], BTreeMap::new()).await;
    let options = ClientOptions { own_hosts: vec!["127.0.0.1:7070".to_owned()], ..ClientOptions::default() };
    let images = Images::new(builtin, Registries::new(options, BTreeMap::new(), client.blobs).unwrap());
    let own = image("127.0.0.1:7070", "default/shop/i/api:v1");
    let digest = images.push_manifest(&own, bytes, media_type::OCI_MANIFEST).await.unwrap();
    assert_eq!(images.head_manifest(&own).await.unwrap(), Some(digest));
    let error = images.head_manifest(&image("127.0.0.1:7071", "a/b")).await.unwrap_err();
    assert!(matches!(error, ImageError::AddressRefused { .. }), "{error}");
}

/// A built-in registry whose blob `layer` lies in repository `a/b` of `fake`.
async fn fronting(fake: &Fake, client: &Client) -> (tempfile::TempDir, crate::BuiltinRegistry, Blob) {
    let (directory, builtin) = registry().await;
    let builtin = builtin.with_upstream(client.registries.clone());
    let bytes = crate::builtin::tests::image(&builtin, "x/y", b"layer").await;
    let manifest = crate::NewManifest::new("default/shop", bytes).blobs_lie_in(image(&fake.host, "a/b"));
    builtin.put_manifest(manifest).await.unwrap();
    let blob = Blob { digest: Digest::of("layer"), size: 5 };
    builtin.blobs().delete(&blob.digest).await.unwrap();
    (directory, builtin, blob)
}

#[tokio::test]
async fn a_blob_is_passed_on_from_the_registry_that_keeps_it() {
    let memory = Memory::default();
    memory.put(&format!("/v2/a/b/blobs/{}", Digest::of("layer")), b"layer");
    let fake = Fake::serve(move |request| {
        let memory = memory.clone();
        async move { memory.answer(request).await }
    })
    .await;
    let client = client(&[&fake.host], BTreeMap::new()).await;
    let (_directory, builtin, blob) = fronting(&fake, &client).await;
    let body = builtin.read_blob("default/shop", &blob).await.unwrap();
    assert_eq!(body.size(), 5);
    let chunks: Vec<Bytes> = futures::TryStreamExt::try_collect(body).await.unwrap();
    assert_eq!(chunks.concat(), b"layer");
    assert_eq!(builtin.blobs().head(&blob.digest).await.unwrap(), None, "nothing is kept");
    // A build on top of the image has it brought here, where both keep their bytes.
    let descriptor = Descriptor::new("application/x", blob.digest, blob.size);
    let reference = image("registry.slipway.internal", "default/shop");
    builtin.fetch_blob(&reference, &descriptor).await.unwrap();
    assert_eq!(client.blobs.head(&blob.digest).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_blob_that_is_passed_on_is_never_completed_with_other_bytes() {
    let answers = [(200, "lyaer", 0), (200, "lay", 502), (404, "", 404), (500, "", 502), (403, "", 502)];
    for (status, body, refused) in answers {
        let fake = scripted(move |_| answer(status, body)).await;
        let client = client(&[&fake.host], BTreeMap::new()).await;
        let (_directory, builtin, blob) = fronting(&fake, &client).await;
        match builtin.read_blob("default/shop", &blob).await {
            Ok(body) => {
                assert_eq!(refused, 0, "{status} {body:?}");
                let got: Vec<_> = futures::StreamExt::collect(body).await;
                assert!(matches!(got.as_slice(), [Err(_)]), "{got:?}");
            }
            Err(error) => {
                assert_eq!(error.status(), refused, "{error}");
                assert!(error.to_string().contains(&fake.host), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_blob_is_mounted_where_another_repository_has_it() {
    for (mounts, sent) in [(201, 0), (202, 1), (405, 1)] {
        let sends = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&sends);
        let fake = scripted(move |request| {
            let query = request.uri().query().unwrap_or_default();
            match request.method().as_str() {
                "HEAD" => answer(404, ""),
                "POST" if query.contains("mount=") => {
                    assert!(query.contains("from=a%2Fb"), "{query}");
                    with_header(mounts, "location", "/v2/c/d/blobs/uploads/1")
                }
                "POST" => with_header(202, "location", "/v2/c/d/blobs/uploads/1"),
                _ => {
                    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    answer(201, "")
                }
            }
        })
        .await;
        let client = client(&[&fake.host], BTreeMap::new()).await;
        let blob = client.blobs.put("layer").await.unwrap();
        let to = image(&fake.host, "c/d");
        client.registries.push_blob_from(&to, &blob, Some("a/b")).await.unwrap();
        assert_eq!(sends.load(std::sync::atomic::Ordering::Relaxed), sent, "{mounts}");
    }
}
