//! The pages of packages and bundles: what they show, what they change, and how two are compared.

use axum::http::Method;
use serde_json::{Value, json};
use slipway_oci::builtin::{BuiltinRegistry, NewManifest};
use slipway_oci::manifest::{Descriptor, ImageManifest, canonical_json};
use slipway_oci::signature::{SIGNATURE_ARTIFACT, signature_tag};
use slipway_records::{ManifestRow, NewVersion, Run};
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::label::Labels;
use slipway_types::media_type::{
    ANNOTATION_TITLE, COMPONENT_ARTIFACT, COMPONENT_CONFIG, IN_TOTO, OCI_LAYER_GZIP,
};
use slipway_types::{Digest, Role};

use crate::pages::{Browser, hostile, hostile_run, is_page};
use crate::server::Server;

const REPOSITORY: &str = "default/shop/c/api";

/// Stores bytes and puts them into the packages' repository.
async fn blob(server: &Server, registry: &BuiltinRegistry, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let blob = server.blobs.put(bytes).await.unwrap();
    registry.link_blob(REPOSITORY, &blob).await.unwrap();
    Descriptor::new(media_type, blob.digest, blob.size)
}

/// A package of `api` with that workload, and a statement attached to it; gives its digest.
async fn package(server: &Server, run: &Run, version: &str, workload: Value) -> Digest {
    let registry = BuiltinRegistry::new(server.records.clone(), server.blobs.clone());
    let kit = json!({"name": "dockerfile", "digest": Digest::of("kit")});
    let config = json!({"kit": kit, "workload": workload, "builtAs": version});
    let config = blob(server, &registry, COMPONENT_CONFIG, config.to_string().into_bytes()).await;
    let layer = blob(server, &registry, OCI_LAYER_GZIP, b"files".to_vec()).await;
    let layer = layer.annotated(ANNOTATION_TITLE, "<script>alert(1)</script>.tar.gz");
    let manifest = canonical_json(&ImageManifest::artifact(COMPONENT_ARTIFACT, config, vec![layer]));
    let pushed = registry.put_manifest(NewManifest::new(REPOSITORY, manifest)).await.unwrap();
    let statement = json!({
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"resolvedDependencies": [{"name": hostile(), "digest": {"sha256": "12"}}]},
            "runDetails": {"builder": {"id": "https://slipway.dev/builder/v1"}},
        },
    });
    let statement = blob(server, &registry, IN_TOTO, statement.to_string().into_bytes()).await;
    let empty = blob(server, &registry, "application/vnd.oci.empty.v1+json", b"{}".to_vec()).await;
    let attached = ImageManifest::artifact(IN_TOTO, empty, vec![statement]).about(pushed.descriptor());
    registry.put_manifest(NewManifest::new(REPOSITORY, canonical_json(&attached))).await.unwrap();
    let new = NewVersion {
        component: Some("api".parse().unwrap()),
        digest: pushed.digest(),
        detail: json!({"kit": "dockerfile", "images": []}),
        ..new_version(run, version)
    };
    insert(server, new).await;
    pushed.digest()
}

/// A bundle of that one package.
async fn bundle(server: &Server, run: &Run, version: &str, package: &Digest) {
    let member = json!({
        "component": "api", "version": version, "built_as": version, "digest": package, "manifest_size": 1,
        "size": 2, "kit": "dockerfile", "images": [], "reused": false, "fingerprint": Digest::of("fingerprint"),
    });
    insert(server, NewVersion { detail: json!({"members": [member]}), ..new_version(run, version) }).await;
}

fn new_version(run: &Run, version: &str) -> NewVersion {
    NewVersion {
        application_id: run.application_id,
        component: None,
        version: version.parse().unwrap(),
        digest: Digest::of(version),
        size: 10,
        built_as: version.parse().unwrap(),
        run_id: run.id,
        git_ref: run.git_ref.clone(),
        commit: run.commit.clone(),
        fingerprint: Digest::of(format!("lock {version}")),
        detail: json!({}),
        labels: Labels::from([(
            "source/team".parse().unwrap(),
            "<script>alert(1)</script>".parse().unwrap(),
        )]),
    }
}

async fn insert(server: &Server, version: NewVersion) {
    let mut tx = server.records.begin().await.unwrap();
    tx.version_insert(version).await.unwrap();
    tx.commit().await.unwrap();
}

/// A server whose application `shop` has the bundles 1.0.0 and 1.1.0.
async fn shop() -> Server {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    for (version, replicas) in [("1.0.0", 1), ("1.1.0", 2)] {
        let workload = json!({"properties": {"replicas": replicas, "motto": "<b>\"'&"}, "type": "web"});
        let package = package(&server, &run, version, workload).await;
        bundle(&server, &run, version, &package).await;
    }
    server
}

const BUNDLE: &str = "/applications/shop/bundles/1.1.0";
const PACKAGE: &str = "/applications/shop/packages/api/1.1.0";

#[tokio::test]
async fn a_reported_check_is_shown_with_whose_word_it_is() {
    let server = shop().await;
    let path = "/api/v1/bundles/shop/1.1.0/checks/e2e";
    for (person, state) in [("ci", "passed"), ("<b>ann", "failed")] {
        let token = server.token(person, Some(Role::Developer), None, vec![]).await;
        server.call(&token, Method::PUT, path, Some(json!({"state": state}))).await.is(204);
    }
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (language, said) in [("en", "reported by"), ("zh", "报告人")] {
        let page = browser.get_in(BUNDLE, language).await.text();
        for person in ["ci", "&#60;b&#62;ann"] {
            let chip = format!("<span class=\"chip\">{said} <bdi>{person}</bdi></span>");
            assert!(page.contains(&chip), "{chip}: {page}");
        }
    }
}

#[tokio::test]
async fn a_bundle_and_a_package_say_where_they_come_from_and_how_to_get_them() {
    let server = shop().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for path in [
        BUNDLE,
        PACKAGE,
        "/applications/shop",
        "/applications/shop/packages",
        "/applications/shop/bundles/compare",
        "/applications/shop/bundles/compare?from=1.0.0&to=1.1.0",
        "/applications/shop/packages/compare",
        "/applications/shop/packages/compare?from=api%2F1.0.0&to=api%2F1.1.0",
    ] {
        for language in ["en", "zh"] {
            let text = is_page(&browser.get_in(path, language).await.is(200));
            assert!(!text.contains("<script>alert") && !text.contains("<b>\""), "{path}: {text}");
        }
    }
    let bundle = browser.get(BUNDLE).await.text();
    for seen in [
        "/applications/shop/runs/1",
        PACKAGE,
        "slipway bundle pull shop 1.1.0 --to ./shop-1.1.0",
        "skopeo copy --all docker://slipway.example/default/shop@sha256:",
        "name=\"from\" value=\"1.0.0\"",
        "source/team=&#60;script&#62;",
        "Audit",
    ] {
        assert!(bundle.contains(seen), "{seen}: {bundle}");
    }
    let package = browser.get(PACKAGE).await.text();
    for seen in [
        BUNDLE,
        "oras pull slipway.example/default/shop/c/api@sha256:",
        "https://slipway.dev/builder/v1",
        "&#60;script&#62;alert(1)&#60;/script&#62;.tar.gz",
        "replicas",
    ] {
        assert!(package.contains(seen), "{seen}: {package}");
    }
    for gone in ["/applications/shop/bundles/9.9.9", "/applications/shop/packages/api/9.9.9"] {
        is_page(&browser.get(gone).await.is(404));
    }
}

#[tokio::test]
async fn packages_are_found_by_channel_place_version_and_commit() {
    let server = shop().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let stable = Some(json!({"version": "1.0.0", "reason": "it was looked at"}));
    server.call(&server.admin, Method::PUT, "/api/v1/channels/shop/stable", stable).await.is(200);
    let mut tx = server.records.begin().await.unwrap();
    let (name, address) = ("prod".parse().unwrap(), "eu/kind/shop".parse().unwrap());
    tx.environment_insert(&name, &address, &EnvironmentSettings::default(), "root").await.unwrap();
    tx.commit().await.unwrap();
    let digest = Digest::of("of no package");
    // What is asked for, and whether 1.0.0 and 1.1.0 are found.
    for (query, found) in [
        ("channel=stable".to_owned(), [true, false]),
        ("channel=stable&q=1.1.0".to_owned(), [false, false]),
        ("q=1.1.0".to_owned(), [false, true]),
        ("q=1.1.0&component=web".to_owned(), [false, false]),
        ("q=1111".to_owned(), [true, true]),
        (format!("q={}", "1".repeat(40)), [true, true]),
        ("q=2222".to_owned(), [false, false]),
        (format!("q={digest}"), [false, false]),
        ("place=prod".to_owned(), [false, false]),
    ] {
        let text = is_page(&browser.get(&format!("/applications/shop/packages?{query}")).await.is(200));
        let seen = ["1.0.0", "1.1.0"].map(|version| text.contains(&format!("/packages/api/{version}\"")));
        assert_eq!(seen, found, "{query}: {text}");
    }
    for (query, said) in [
        ("channel=none", "there is no channel"),
        ("place=none", "there is no environment"),
        ("q=Ann+Lee", "q: expected a version"),
    ] {
        let text = is_page(&browser.get(&format!("/applications/shop/packages?{query}")).await.is(200));
        assert!(text.contains(said) && text.contains("role=\"alert\""), "{query}: {text}");
    }
}

#[tokio::test]
async fn a_package_that_was_released_alone_is_found_by_its_version() {
    let server = shop().await;
    let run = Run { commit: "ab12".repeat(10).parse().unwrap(), ..hostile_run(&server).await };
    package(&server, &run, "1.1.1", json!({"type": "web"})).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (query, is_found) in [
        ("q=1.1.1", true),
        ("q=1.1.1&component=api", true),
        ("q=1.1.1&component=web", false),
        ("q=1.1.2", false),
        ("q=ab12a", true),
        ("q=ab13", false),
    ] {
        let text = is_page(&browser.get(&format!("/applications/shop/packages?{query}")).await.is(200));
        assert_eq!(text.contains("/packages/api/1.1.1\""), is_found, "{query}: {text}");
    }
}

#[tokio::test]
async fn a_label_is_changed_in_place_and_what_is_wrong_is_said_beside_it() {
    let server = shop().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (page, subject) in [(BUNDLE, "bundle"), (PACKAGE, "package")] {
        let labels = format!("{page}/labels");
        let made = browser.post(&labels, "key=tier&value=gold&reason=paid&new=yes").await.is(303);
        assert_eq!(made.header("location"), format!("{page}#labels"));
        let shown = is_page(&browser.get(page).await.is(200));
        assert!(
            shown.contains("tier=gold") && shown.contains("paid") && shown.contains("label.set"),
            "{subject}"
        );
        for (fields, status, typed) in [
            ("key=no+key&value=x&reason=y&new=yes", 400, "value=\"no key\""),
            ("key=tier&value=silver&seen=gold", 400, "value=\"silver\""),
            ("key=tier&value=silver&reason=%3Cb%3E&seen=bronze", 409, "value=\"&#60;b&#62;\""),
            ("key=slipway%2Fbranch&value=x&reason=y&new=yes", 403, "value=\"slipway/branch\""),
        ] {
            let refused = is_page(&browser.post(&labels, fields).await.is(status));
            assert!(refused.contains("role=\"alert\"") && refused.contains(typed), "{fields}: {refused}");
        }
        let changed = "key=tier&value=silver&reason=less&seen=gold&act=set";
        browser.post(&labels, changed).await.is(303);
        browser.post(&labels, "key=tier&value=silver&reason=over&seen=silver&act=remove").await.is(303);
        let gone = is_page(&browser.get(page).await.is(200));
        assert!(!gone.contains("tier=silver") && gone.contains("<del><bdi>silver</bdi></del>"), "{gone}");
    }
}

#[tokio::test]
async fn a_bundle_is_put_on_a_channel_from_what_was_seen() {
    let server = shop().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let channels = format!("{BUNDLE}/channels");
    let made = browser.post(&channels, "channel=&new_channel=stable&reason=tested").await.is(303);
    assert_eq!(made.header("location"), format!("{BUNDLE}#channel"));
    assert!(is_page(&browser.get(BUNDLE).await.is(200)).contains("channel=stable"));
    let other = "/applications/shop/bundles/1.0.0";
    assert!(browser.get(other).await.text().contains("value=\"stable=1.1.0\""));
    let back = format!("{other}/channels");
    let stale = is_page(&browser.post(&back, "channel=stable%3D0.9.0&reason=worse").await.is(409));
    assert!(stale.contains("names 1.1.0 now") && stale.contains("value=\"worse\""), "{stale}");
    browser.post(&back, "channel=stable%3D1.1.0&reason=worse").await.is(303);
    let names = server.get("/api/v1/channels/shop/stable").await.is(200).json();
    assert_eq!(names["version"], "1.0.0");
}

#[tokio::test]
async fn two_versions_differ_in_what_is_told() {
    let server = shop().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let path = "/applications/shop/bundles/compare?from=1.0.0&to=1.1.0";
    let bundles = is_page(&browser.get(path).await.is(200));
    for seen in ["properties.replicas", "<del>1</del>", "<ins>2</ins>", "packages/compare?from=api%2F1.0.0"] {
        assert!(bundles.contains(seen), "{seen}: {bundles}");
    }
    assert!(!bundles.contains("properties.motto"), "{bundles}");
    let told = server.get("/api/v1/bundles/shop/compare?from=1.0.0&to=1.1.0").await.is(200).json();
    let api = &told["components"][0];
    assert_eq!((&told["same"], &api["change"]), (&json!(false), &json!("changed")), "{told:#}");
    assert_ne!(api["from"]["digest"], api["to"]["digest"]);
    let replicas = json!({"path": "properties.replicas", "from": "1", "to": "2"});
    assert!(api["configuration"].as_array().unwrap().contains(&replicas), "{told:#}");
    let told = server.get("/api/v1/bundles/shop/compare?from=1.0.0&to=1.0.0").await.is(200).json();
    assert_eq!((&told["same"], &told["components"][0]["change"]), (&json!(true), &json!("same")));
    server.get("/api/v1/bundles/shop/compare?from=1.0.0&to=9.9.9").await.is(404);
    let same = is_page(&browser.get("/applications/shop/bundles/compare?from=1.0.0&to=1.0.0").await.is(200));
    assert!(same.contains("They lock the same components."), "{same}");
    let path = "/applications/shop/packages/compare?from=api%2F1.0.0&to=api%2F1.1.0";
    assert!(is_page(&browser.get(path).await.is(200)).contains("properties.replicas"));
    for (path, status) in [
        ("bundles/compare?from=%3Cb%3E&to=1.0.0", 400),
        ("bundles/compare?from=1.0.0&to=9.9.9", 404),
        ("packages/compare?from=api%2F1.0.0&to=web%2F1.0.0", 400),
        ("packages/compare?from=api&to=api", 400),
    ] {
        let refused = is_page(&browser.get(&format!("/applications/shop/{path}")).await.is(status));
        assert!(refused.contains("role=\"alert\"") && !refused.contains("<b>"), "{path}: {refused}");
    }
}

#[tokio::test]
async fn where_only_builds_of_branches_are_a_plan_names_the_branch() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    let package = package(&server, &run, "0.1.0-main.1", json!({"type": "web"})).await;
    bundle(&server, &run, "0.1.0-main.1", &package).await;
    let mut tx = server.records.begin().await.unwrap();
    let settings = ClusterSettings::default();
    tx.cluster_insert(&"kind".parse().unwrap(), "a uid", &settings, None, "root").await.unwrap();
    tx.commit().await.unwrap();
    let body = json!({"address": "eu/kind/shop"});
    server.call(&server.admin, Method::PUT, "/api/v1/environments/staging", Some(body)).await.is(201);
    let body = json!({"application": "shop", "environment": "staging"});
    let refused = server.call(&server.admin, Method::POST, "/api/v1/deployments/plan", Some(body)).await;
    let problem = refused.problem(422, "no_bundle");
    assert!(problem["detail"].as_str().unwrap().lines().count() > 2, "{problem:#}");
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("--branch {}", run.git_ref.short())), "{hint}");
}

#[tokio::test]
async fn each_role_sees_the_forms_that_it_may_send() {
    let server = shop().await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let reader = Browser::of(&server, &reader).await;
    for page in [BUNDLE, PACKAGE] {
        let seen = is_page(&reader.get(page).await.is(200));
        assert!(
            !seen.contains("/labels\"") && !seen.contains("/channels\"") && !seen.contains("Audit"),
            "{seen}"
        );
        let refused = reader.post(&format!("{page}/labels"), "key=a&value=b&reason=c&new=yes").await.is(403);
        is_page(&refused);
    }
    is_page(&reader.post(&format!("{BUNDLE}/channels"), "new_channel=edge&reason=x").await.is(403));
    let path = "/api/v1/bundles/shop/1.1.0/labels/tier";
    server.call(&server.admin, Method::PUT, path, Some(json!({"value": "gold"}))).await.is(204);
    let developer = server.token_for("shop", Role::Developer).await;
    let developer = Browser::of(&server, &developer).await;
    let seen = is_page(&developer.get(BUNDLE).await.is(200));
    assert!(seen.contains("name=\"seen\" value=\"gold\"") && !seen.contains("Audit"), "{seen}");
    server.application("commerce/till").await;
    is_page(&developer.get("/applications/commerce%2Ftill/bundles/compare").await.is(404));
}

#[tokio::test]
async fn the_list_leads_to_what_is_offered_as_signatures() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        crate::rest::bundle(&server, &run, version).await;
    }
    let signature = |version: &str, subject: Option<Digest>| ManifestRow {
        repository: "default/shop".to_owned(),
        digest: Digest::of(format!("signature of {version}")),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        artifact_type: subject.map(|_| SIGNATURE_ARTIFACT.to_owned()),
        subject,
        size: 1,
        annotations: serde_json::Map::new(),
        created_at: chrono::Utc::now(),
    };
    let (tagged, referring) = (signature("1.0.0", None), signature("1.1.0", Some(Digest::of("1.1.0"))));
    let mut tx = server.records.begin().await.unwrap();
    tx.manifest_put(&tagged).await.unwrap();
    tx.manifest_put(&referring).await.unwrap();
    tx.tag_put("default/shop", &signature_tag(&Digest::of("1.0.0")), &tagged.digest).await.unwrap();
    tx.commit().await.unwrap();
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = is_page(&browser.get("/applications/shop").await.is(200));
    for (version, is_signed) in [("1.0.0", true), ("1.1.0", true), ("1.2.0", false)] {
        let link = format!("/applications/shop/bundles/{version}#signatures-title");
        assert_eq!(page.contains(&link), is_signed, "{version}: {page}");
    }
    // Nobody looked at what is offered.
    assert!(page.contains(">signed<") && !page.contains("verified"), "{page}");
}

#[tokio::test]
async fn lists_of_a_new_application_lead_to_its_first_push() {
    let server = Server::start().await;
    server.application("shop").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (list, text) in [("packages", "Nothing is published yet."), ("runs", "Nothing ran yet: ")] {
        let path = format!("/applications/shop/{list}");
        let page = is_page(&browser.get(&path).await.is(200));
        assert!(page.contains(text) && page.contains("To the application"), "{page}");
        let narrowed = is_page(&browser.get(&format!("{path}?branch=other")).await.is(200));
        assert!(narrowed.contains("Nothing was found.") && !narrowed.contains(text), "{narrowed}");
    }
}

#[tokio::test]
async fn packages_are_found_by_their_labels_and_digests() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    let one = package(&server, &run, "1.0.0", json!({})).await;
    package(&server, &run, "1.1.0", json!({})).await;
    let label = "/api/v1/packages/shop/api/1.1.0/labels/qa";
    server.call(&server.admin, Method::PUT, label, Some(json!({"value": "passed"}))).await.is(204);
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let list = "/applications/shop/packages";
    let all = is_page(&browser.get(list).await.is(200));
    assert!(all.contains(&format!("href=\"{list}?labels=qa%3Dpassed\"")), "{all}");
    let (first, second) = (format!("{list}/api/1.0.0\""), format!("{list}/api/1.1.0\""));
    for (query, wanted) in [
        ("", [true, true]),
        ("?labels=qa%3Dpassed", [false, true]),
        ("?labels=qa%3Dfailed", [false, false]),
        (format!("?digest={one}").as_str(), [true, false]),
    ] {
        let page = is_page(&browser.get(&format!("{list}{query}")).await.is(200));
        assert_eq!([&first, &second].map(|link| page.contains(link.as_str())), wanted, "{query}: {page}");
    }
    for (query, why) in [("labels=%3Cscript%3E", "expected KEY=VALUE"), ("digest=%22%3Cb%3E", "digest: ")] {
        let page = is_page(&browser.get(&format!("{list}?{query}")).await.is(200));
        assert!(page.contains(why) && page.contains("role=\"alert\""), "{query}: {page}");
    }
}
