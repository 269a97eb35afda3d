//! A gate that only the holders of keys open.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_oci::builtin::SIGNATURES_MAX;
use slipway_tests::server::{Answer, layout, run_within, tool_output};
use slipway_tests::services;

use crate::world::Field;

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A key pair of openssl's, as files.
fn key(field: &Field, name: &str) -> (String, String) {
    let path = |end: &str| field.server.scratch().join(format!("{name}.{end}")).display().to_string();
    let (private, public) = (path("key"), path("pub"));
    tool_output(
        "openssl",
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &private],
    );
    tool_output("openssl", &["pkey", "-in", &private, "-pubout", "-out", &public]);
    (private, public)
}

/// An environment that asks for signatures by these keys.
fn guarded(field: &Field, name: &str, stage: &str, keys: &[(&str, &str)]) {
    let signer = |(name, file): &(&str, &str)| json!({"name": name, "key": fs::read_to_string(file).expect("a public key")});
    let signers: Vec<Value> = keys.iter().map(signer).collect();
    field.environment(name, stage, &json!({"gates": {"signatures": signers}}));
}

fn deploy(field: &Field, environment: &str, version: &str) {
    let create = ["deploy", "create", "shop", "--env", environment, "--bundle", version, "--no-wait"];
    field.server.cli(&create).ok();
}

/// How the gate of the newest deployment in an environment stands.
fn gate(field: &Field, environment: &str) -> Value {
    let waiting = field.wait(environment, &["awaiting"]);
    field.server.json(&["deploy", "show", waiting["id"].as_str().expect("an id")])["gates"][0].clone()
}

fn says(gate: &Value, words: &str) {
    assert!(
        gate["open"] == false && gate["detail"].as_str().is_some_and(|text| text.contains(words)),
        "{gate}"
    );
}

fn digest(field: &Field, version: &str) -> String {
    field.server.bundle("shop", version)["digest"].as_str().expect("a digest").to_owned()
}

/// A request to the registry.
fn registry(field: &Field, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
    let authorization = format!("Basic {}", STANDARD.encode(format!("any:{}", field.server.token())));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", kind), ("Accept", "*/*")];
    field.server.request(method, &format!("/v2/default/shop/{path}"), &headers, body)
}

/// Puts bytes into the bundles' repository.
fn blob(field: &Field, bytes: &[u8]) -> Value {
    let digest = layout::digest_of(bytes);
    let path = format!("blobs/uploads/?digest={digest}");
    let put = registry(field, "POST", &path, "application/octet-stream", bytes);
    assert_eq!(put.status, 201, "{}", put.text());
    json!({"mediaType": SIMPLE_SIGNING, "digest": digest, "size": bytes.len()})
}

fn tag_of(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}

/// What lies under the tag of a bundle's signatures.
fn signatures(field: &Field, digest: &str) -> Value {
    let manifest = registry(field, "GET", &format!("manifests/{}", tag_of(digest)), "", b"");
    assert_eq!(manifest.status, 200, "{}", manifest.text());
    manifest.json()
}

/// Pushes these layers as signatures of a bundle.
fn push(field: &Field, digest: &str, layers: &[Value]) -> Answer {
    let config = b"{}";
    let mut about = blob(field, config);
    about["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": about, "layers": layers,
    });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    registry(field, "PUT", &format!("manifests/{}", tag_of(digest)), kind, manifest.to_string().as_bytes())
}

fn with_signature(mut layer: Value, signature: &str) -> Value {
    layer["annotations"] = json!({SIGNATURE: signature});
    layer
}

fn cosign(field: &Field, args: &[&str]) -> slipway_tests::server::Finished {
    let config = field.server.scratch().join("docker");
    fs::create_dir_all(&config).expect("a directory");
    let auth = STANDARD.encode(format!("any:{}", field.server.token()));
    let auths = json!({"auths": {field.server.address(): {"auth": auth}}});
    fs::write(config.join("config.json"), auths.to_string()).expect("a file");
    let mut command = Command::new(services::tool("cosign"));
    command.args(args).current_dir(field.server.scratch());
    command.env("DOCKER_CONFIG", config).env("COSIGN_PASSWORD", "").env("HOME", field.server.scratch());
    run_within(command, std::time::Duration::from_secs(60))
}

/// A pair that cosign makes: the name of its private half, and the file of the public one.
fn pair_of_cosign(field: &Field, name: &str) -> (String, String) {
    let made = cosign(field, &["generate-key-pair", "--output-key-prefix", name]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    (format!("{name}.key"), field.server.scratch().join(format!("{name}.pub")).display().to_string())
}

/// A file of keys of which any one counts.
fn either(field: &Field, name: &str, keys: [&String; 2]) -> String {
    let file = field.server.scratch().join(format!("{name}-either.pub"));
    let text = keys.map(|key| fs::read_to_string(key).expect("a key")).concat();
    fs::write(&file, text).expect("a file");
    file.display().to_string()
}

#[test]
fn a_bundle_goes_out_once_the_holders_of_keys_have_signed_it() {
    let field = Field::prepare();
    let ((release, release_pub), (audit, audit_pub)) = (key(&field, "release"), key(&field, "audit"));
    let (other, other_pub) = key(&field, "other");
    let ((cosign_release, cosign_release_pub), (cosign_audit, cosign_audit_pub)) =
        (pair_of_cosign(&field, "cosign-release"), pair_of_cosign(&field, "cosign-audit"));
    let release_any = either(&field, "release", [&release_pub, &cosign_release_pub]);
    let audit_any = either(&field, "audit", [&audit_pub, &cosign_audit_pub]);
    guarded(&field, "prod", "default", &[("release", &release_any), ("audit", &audit_any)]);
    let version = field.publish("one\n");
    deploy(&field, "prod", &version);
    says(&gate(&field, "prod"), "no signature by `release`");
    says(&gate(&field, "prod"), &format!("slipway bundle sign shop {version} --key-file"));

    let sign = |key: &str| field.server.json(&["bundle", "sign", "shop", &version, "--key-file", key]);
    sign(&other);
    says(&gate(&field, "prod"), "made by another key");
    let made = sign(&release);
    assert_eq!(sign(&release)["digest"], made["digest"], "one key signs a bundle once");
    let verified = |keys: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        field.server.cli(&[&["bundle", "verify", "shop", &version][..], &keys].concat()).code
    };
    assert_eq!((verified(&[&release_pub]), verified(&[&release_pub, &audit_pub])), (0, 1));
    let waiting = field.wait("prod", &["awaiting"]);
    let shown = field.server.json(&["deploy", "show", waiting["id"].as_str().expect("an id")]);
    assert_eq!((&shown["gates"][0]["open"], &shown["gates"][1]["open"]), (&json!(true), &json!(false)));
    sign(&audit);
    field.wait("prod", &["delivered"]);
    assert_eq!(verified(&[&release_pub, &audit_pub, &other_pub]), 0);

    // People see whose they are, and the record tells who brought them.
    let bundle = field.server.bundle("shop", &version);
    let named: Vec<&Value> =
        bundle["signatures"].as_array().expect("a list").iter().map(|one| &one["names"]).collect();
    assert!(named.contains(&&json!(["release"])) && named.contains(&&json!(["audit"])), "{bundle:#}");
    assert!(
        field.server.cli(&["bundle", "show", "shop", &version]).ok().stdout.contains("release (key sha256:")
    );
    let entries = field.server.json(&["audit", "list", "--subject", &format!("bundle/shop/{version}")]);
    let signed = entries.as_array().expect("a list").iter().filter(|entry| entry["action"] == "bundle.sign");
    assert_eq!(signed.count(), 3, "{entries:#}");

    // Referrers and cosign's own tag lead to the same manifest, and all signatures are in it.
    let about = digest(&field, &version);
    let listed = registry(&field, "GET", &format!("referrers/{about}"), "", b"").json();
    let manifest = signatures(&field, &about);
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(3), "{manifest:#}");
    assert_eq!(listed["manifests"].as_array().map(Vec::len), Some(1), "{listed:#}");

    // cosign verifies what Slipway signed, and the other way round.
    let reference = format!("{}/default/shop@{about}", field.server.address());
    let verify = |key: &str, reference: &str| {
        cosign(
            &field,
            &["verify", "--key", key, "--insecure-ignore-tlog", "--allow-http-registry", reference],
        )
    };
    let said = verify(&release_pub, &reference);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let second = field.publish("two\n");
    let about = digest(&field, &second);
    let reference = format!("{}/default/shop@{about}", field.server.address());
    assert_ne!(verify(&release_pub, &reference).code, 0);
    for key in [&cosign_release, &cosign_audit] {
        let signed = cosign(
            &field,
            &["sign", "--yes", "--key", key, "--tlog-upload=false", "--allow-http-registry", &reference],
        );
        assert_eq!(signed.code, 0, "{}", signed.stderr);
    }
    let verify =
        ["bundle", "verify", "shop", &second, "--key", &cosign_release_pub, "--key", &cosign_audit_pub];
    field.server.cli(&verify).ok();
    deploy(&field, "prod", &second);
    assert_eq!(field.wait("prod", &["delivered"])["bundle"], second.as_str());
    // One of Slipway's beside those of cosign; all go on being found by both.
    field.server.cli(&["bundle", "sign", "shop", &second, "--key-file", &other]).ok();
    assert_eq!(signatures(&field, &about)["layers"].as_array().map(Vec::len), Some(3));
    let said = cosign(
        &field,
        &[
            "verify",
            "--key",
            &cosign_audit_pub,
            "--insecure-ignore-tlog",
            "--allow-http-registry",
            &reference,
        ],
    );
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn forged_signatures_open_nothing() {
    let field = Field::prepare();
    let ((release, release_pub), (other, _)) = (key(&field, "release"), key(&field, "other"));
    guarded(&field, "prod", "default", &[("release", &release_pub)]);
    let (first, second) = (field.publish("one\n"), field.publish("two\n"));
    let (about, elsewhere) = (digest(&field, &first), digest(&field, &second));
    field.server.cli(&["bundle", "sign", "shop", &second, "--key-file", &release]).ok();
    field.server.cli(&["bundle", "sign", "shop", &first, "--key-file", &other]).ok();
    deploy(&field, "prod", &first);
    let (copied, own) = (
        signatures(&field, &elsewhere)["layers"][0].clone(),
        signatures(&field, &about)["layers"][0].clone(),
    );
    let genuine = copied["annotations"][SIGNATURE].as_str().expect("a signature").to_owned();
    let payload = |layer: &Value| {
        let digest = layer["digest"].as_str().expect("a digest");
        registry(&field, "GET", &format!("blobs/{digest}"), "", b"").body
    };
    let edited = String::from_utf8(payload(&copied)).expect("text").replace(&elsewhere, &about);
    let other_repository =
        String::from_utf8(payload(&own)).expect("text").replace("/default/shop", "/default/shoe");
    let layer = |text: &[u8], signature: &str| with_signature(blob(&field, text), signature);
    let forged = vec![
        own.clone(),
        copied.clone(),
        layer(edited.as_bytes(), &genuine),
        layer(other_repository.as_bytes(), &genuine),
        layer(&payload(&own), &genuine[..genuine.len() - 5]),
        layer(&payload(&own), &"A".repeat(100_000)),
        layer(&payload(&own), ""),
        layer(" ".repeat(100_000).as_bytes(), &genuine),
        layer(b"[[[[[[[[", &genuine),
        layer("[".repeat(60_000).as_bytes(), &genuine),
    ];
    // What is there is not pushed out by somebody who may only push.
    let dropped = push(&field, &about, &forged[1..]);
    assert_eq!(dropped.status, 403, "{}", dropped.text());
    let added = push(&field, &about, &forged);
    assert_eq!(added.status, 201, "{}", added.text());
    let shut = gate(&field, "prod");
    says(&shut, "no signature by `release`");
    says(&shut, &format!("it signs {elsewhere}"));
    let verify = field.server.cli(&["bundle", "verify", "shop", &first, "--key", &release_pub]);
    assert_eq!(verify.code, 1, "{}{}", verify.stdout, verify.stderr);
    let shown = field.server.bundle("shop", &first);
    assert_eq!(shown["signatures"].as_array().map(Vec::len), Some(10), "{shown:#}");

    // A thousand of them are more than any bundle may have.
    let many: Vec<Value> = (0..1000).map(|n| with_signature(own.clone(), &format!("{n:04}"))).collect();
    let refused = push(&field, &about, &[&forged[..], &many].concat());
    assert_eq!(refused.status, 400, "{}", refused.text());
    // What the server is told of by REST is looked at before it is kept.
    let post = |payload: &[u8], signature: &str| {
        let public = fs::read_to_string(&release_pub).expect("a key");
        let body = json!({"payload": STANDARD.encode(payload), "signature": signature, "public_key": public});
        let authorization = format!("Bearer {}", field.server.token());
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let path = format!("/api/v1/bundles/shop/{first}/signatures");
        field.server.request("POST", &path, &headers, body.to_string().as_bytes()).status
    };
    assert_eq!(post(&payload(&copied), &genuine), 422);
    assert_eq!(post(edited.as_bytes(), &genuine), 422);
    assert_eq!(post(&payload(&own), own["annotations"][SIGNATURE].as_str().expect("a signature")), 422);
    says(&gate(&field, "prod"), "no signature by `release`");
    assert_eq!(field.server.json(&["audit", "verify"])["ok"], true);

    // As many as there is room for keep nobody out who holds a key.
    let room = SIGNATURES_MAX - forged.len();
    let filled = push(&field, &about, &[&forged[..], &many[..room]].concat());
    assert_eq!(filled.status, 201, "{}", filled.text());
    field.server.cli(&["bundle", "sign", "shop", &first, "--key-file", &release]).ok();
    field.wait("prod", &["delivered"]);
}

#[test]
fn keys_that_cannot_be_meant_are_refused() {
    let field = Field::prepare();
    let (private, public) = key(&field, "release");
    let pem = |file: &str| fs::read_to_string(file).expect("a file");
    let address = format!("local/test/{}", field.namespace.name);
    let cases = [
        (json!([{"name": "release", "key": "nothing"}]), "no public key in it"),
        (json!([{"name": "release", "key": pem(&private)}]), "not a PUBLIC KEY"),
        (json!([{"name": "a", "key": pem(&public)}, {"name": "a", "key": pem(&public)}]), "twice"),
        (json!([{"name": "a", "key": pem(&public)}, {"name": "b", "key": pem(&public)}]), "the same key"),
    ];
    for (signatures, said) in cases {
        let file: PathBuf = field.server.scratch().join("wrong.json");
        fs::write(&file, json!({"gates": {"signatures": signatures}}).to_string()).expect("a file");
        let file = file.display().to_string();
        let refused = field.server.cli(&["env", "create", "prod", "--address", &address, "-f", &file]);
        assert!(refused.code != 0 && refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    let version = field.publish("one\n");
    let sign = field.server.cli(&["bundle", "sign", "shop", &version, "--key-file", &public]);
    assert!(sign.code == 2 && sign.stderr.contains("no private key"), "{}", sign.stderr);
}
