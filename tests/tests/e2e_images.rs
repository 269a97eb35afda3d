//! Images that come from elsewhere, and images that need one another.

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions, StubRegistry, layout, packages};

fn server_allowed(registry: &StubRegistry) -> Server {
    Server::start(
        ServerOptions::default().env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", registry.address()),
    )
}

fn yaml(name: &str, image: &str) -> String {
    format!(
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\ncomponents:\n  - {{name: proxy, kit: image, with: {{image: \"{image}\"}}}}\n"
    )
}

fn pinning(name: &str, image: &str) -> GitRepository {
    GitRepository::with(&[("slipway.yaml", &yaml(name, image))])
}

fn package<'a>(bundle: &'a Value, component: &str) -> &'a Value {
    packages(bundle).iter().find(|package| package["component"] == component).expect("the component")
}

fn image(bundle: &Value, component: &str) -> String {
    package(bundle, component)["images"][0].as_str().expect("an image").to_owned()
}

#[test]
fn an_external_image_is_pinned_to_what_its_tag_names_now() {
    let registry = StubRegistry::start("one");
    let server = server_allowed(&registry);
    let app = server.create_app("shop");
    let repository = pinning("shop", &format!("{}/base:1", registry.address()));
    let first = server.publish(&app, &repository, "main", "one");
    assert!(image(&first, "proxy").ends_with(&registry.digest()), "{first:#}");
    let same = server.publish(&app, &repository, "main", "two");
    assert_eq!(package(&same, "proxy")["reused"], true);
    registry.set_content("two");
    let moved = server.publish(&app, &repository, "main", "three");
    assert!(image(&moved, "proxy").ends_with(&registry.digest()), "{moved:#}");
    assert_eq!(package(&moved, "proxy")["reused"], false);

    // The bundles hold the images themselves: they stay pullable when the other registry is gone.
    registry.hold();
    for (number, bundle) in [&first, &moved].into_iter().enumerate() {
        let to = server.scratch().join(format!("pulled-{number}"));
        let version = bundle["version"].as_str().unwrap();
        server.cli(&["bundle", "pull", "shop", version, "--to", to.to_str().unwrap()]).ok();
        let digest = image(bundle, "proxy").rsplit('@').next().unwrap().to_owned();
        assert!(layout::walk(&to).manifests.contains(&digest));
    }
    registry.release();
}

#[test]
fn an_image_of_the_built_in_registry_is_pinned() {
    let server = Server::fresh();
    let base: App = server.create_app("base");
    let files = [
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: base}\ncomponents:\n  - {name: tool, kit: dockerfile, context: .}\n",
        ),
        ("Dockerfile", "FROM scratch\nCOPY a /a\n"),
        ("a", "a\n"),
    ];
    let built = server.publish(&base, &GitRepository::with(&files), "main", "one");
    let reference = image(&built, "tool");
    let app = server.create_app("shop");
    let run = server.deliver(&app, &pinning("shop", &reference), "main", "one");
    let bundle = server.bundle_of(&run);
    let digest = reference.rsplit('@').next().unwrap();
    assert!(image(&bundle, "proxy").ends_with(digest), "{bundle:#}");
}

#[test]
fn an_image_that_cannot_be_had_fails_by_name() {
    let registry = StubRegistry::start("one");
    let server = server_allowed(&registry);
    let app = server.create_app("shop");
    let absent = format!("{}/base@sha256:{}", registry.address(), "0".repeat(64));
    let repository = pinning("shop", &absent);
    let run = server.deliver(&app, &repository, "main", "one");
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(run["reason"].as_str().unwrap().contains(registry.address()), "{run:#}");
    // A private address that the operator did not allow.
    let other = StubRegistry::start("other");
    repository.write("slipway.yaml", yaml("shop", &format!("{}/base:1", other.address())));
    let run = server.deliver(&app, &repository, "main", "two");
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(run["reason"].as_str().unwrap().contains(other.address()), "{run:#}");
}

#[test]
fn a_component_is_built_on_another_and_again_when_that_changes() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let yaml = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - {name: api, kit: dockerfile, context: api, needs: [base], with: {args: {BASE: \"${base.image}\"}}}
  - {name: base, kit: dockerfile, context: base}
  - {name: other, kit: dockerfile, context: other}
";
    let repository = GitRepository::with(&[
        ("slipway.yaml", yaml),
        ("base/Dockerfile", "FROM scratch\nCOPY lib /lib/\nENV BASE_LEVEL=1\n"),
        ("base/lib", "one\n"),
        ("api/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY server /bin/server\n"),
        ("api/server", "#!/bin/sh\n"),
        ("other/Dockerfile", "FROM scratch\nCOPY a /a\n"),
        ("other/a", "a\n"),
    ]);
    let first = server.publish(&app, &repository, "main", "one");
    let layers = |reference: &str| {
        let digest = reference.rsplit('@').next().unwrap();
        let repository = if reference.contains("/i/base") { "base" } else { "api" };
        let bearer = format!("Bearer {}", server.token());
        let headers =
            [("Authorization", bearer.as_str()), ("Accept", "application/vnd.oci.image.manifest.v1+json")];
        let manifest = server
            .request("GET", &format!("/v2/default/shop/i/{repository}/manifests/{digest}"), &headers, b"")
            .json();
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect::<Vec<_>>()
    };
    let below = layers(&image(&first, "base"));
    assert_eq!(layers(&image(&first, "api"))[..below.len()], below, "the base's layers lie below");

    repository.write("base/lib", "two\n");
    let second = server.publish(&app, &repository, "main", "two");
    assert_ne!(image(&second, "api"), image(&first, "api"));
    assert_eq!(package(&second, "other")["reused"], true);
    let below = layers(&image(&second, "base"));
    assert_eq!(layers(&image(&second, "api"))[..below.len()], below);

    repository.write("api/server", "#!/bin/sh\ntrue\n");
    let third = server.publish(&app, &repository, "main", "three");
    assert_eq!(package(&third, "base")["reused"], true);
    assert_eq!(package(&third, "api")["reused"], false);
}
