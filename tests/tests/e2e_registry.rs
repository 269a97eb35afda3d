//! The registry as other people's clients use it, on a pushed application.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::server::{App, Finished, GitRepository, Server, layout, packages, run_within};
use slipway_tests::services;

const TOOL_WITHIN: Duration = Duration::from_secs(90);
const YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - {name: web, kit: dockerfile, context: web, with: {platforms: [linux/amd64, linux/arm64]}}
  - {name: api, kit: dockerfile, context: api}
  - {name: config, kit: manifests, context: config}
";

/// A server with one bundle, and clients that know its token from a file.
struct Shop {
    server: Server,
    app: App,
    repository: GitRepository,
    bundle: Value,
}

impl Shop {
    fn pushed() -> Self {
        let server = Server::fresh();
        let app = server.create_app("shop");
        let repository = GitRepository::with(&[
            ("slipway.yaml", YAML),
            ("web/Dockerfile", "FROM scratch\nCOPY site /srv/\n"),
            ("web/.dockerignore", "*.md\n"),
            ("web/README.md", "Not in the image.\n"),
            ("web/site/index.html", "<p>Hello.</p>\n"),
            ("api/Dockerfile", "FROM scratch\nCOPY server /bin/server\n"),
            ("api/server", "#!/bin/sh\n"),
            ("config/settings.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
            ("config/deep/er/role.yaml", "kind: Role\napiVersion: v1\nmetadata: {name: b}\n"),
        ]);
        let bundle = server.publish(&app, &repository, "main", "Add the shop");
        let auth = STANDARD.encode(format!("anyone:{}", server.token()));
        let auth = json!({"auths": {server.address(): {"auth": auth}}});
        fs::write(server.scratch().join("config.json"), auth.to_string()).unwrap();
        Self { server, app, repository, bundle }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.scratch().join(name)
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/default/shop{rest}", self.server.address())
    }

    fn try_tool(&self, name: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(services::tool(name));
        command.args(args).current_dir(self.server.scratch());
        command.env("DOCKER_CONFIG", self.server.scratch()).env("HOME", self.path("home"));
        command.env("REGISTRY_AUTH_FILE", self.path("config.json"));
        run_within(command, TOOL_WITHIN)
    }

    fn tool(&self, name: &str, args: &[&str]) -> String {
        let finished = self.try_tool(name, args);
        assert_eq!(finished.code, 0, "{name} {}:\n{}{}", args.join(" "), finished.text(), finished.stderr);
        finished.text()
    }

    /// Manifest digests that a copy of the bundle must hold, as the server lists them.
    fn promised(&self) -> Vec<String> {
        let images = packages(&self.bundle).iter().flat_map(|package| package["images"].as_array().unwrap());
        let images = images.map(|image| image.as_str().unwrap().rsplit('@').next().unwrap().to_owned());
        let digests =
            packages(&self.bundle).iter().map(|package| package["digest"].as_str().unwrap().to_owned());
        digests.chain(images).collect()
    }

    /// Walks a copied bundle and asserts that every child is there. The index itself may be another:
    /// skopeo before 1.13 writes every index anew, without the fields that it does not know.
    fn assert_whole(&self, directory: &Path) {
        let walked = layout::walk(directory);
        // lock, three packages, api, web for two platforms
        assert_eq!(walked.manifests.len(), 7, "{walked:?}");
        let multi_platform =
            packages(&self.bundle).iter().find(|package| package["component"] == "web").unwrap();
        let multi_platform = multi_platform["images"][0].as_str().unwrap().rsplit('@').next().unwrap();
        for digest in self.promised() {
            let there = walked.manifests.contains(&digest)
                // An index of platforms travels as a layer of the lock, so that no client meets a nested index.
                || (digest == multi_platform && walked.blobs.contains(&digest));
            assert!(there, "{digest} is not in the copy: {walked:?}");
        }
    }
}

#[test]
fn skopeo_inspects_and_copies_a_bundle() {
    let shop = Shop::pushed();
    let raw = shop.tool(
        "skopeo",
        &["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", shop.reference(":0.1.0-main.1"))],
    );
    assert_eq!(layout::digest_of(raw.as_bytes()), shop.bundle["digest"].as_str().unwrap());
    let index: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(index["artifactType"], "application/vnd.slipway.bundle.v1");
    let by_digest = packages(&shop.bundle).iter().find(|package| package["component"] == "api").unwrap();
    let by_digest = format!("docker://{}", by_digest["images"][0].as_str().unwrap());
    let inspected: Value =
        serde_json::from_str(&shop.tool("skopeo", &["inspect", "--tls-verify=false", &by_digest])).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");

    let to = shop.path("copied");
    let source = format!("docker://{}", shop.reference(":0.1.0-main.1"));
    let target = format!("oci:{}:shop", to.display());
    shop.tool("skopeo", &["copy", "--all", "--src-tls-verify=false", &source, &target]);
    shop.assert_whole(&to);
}

#[test]
fn oras_copies_a_bundle_with_its_referrers() {
    let shop = Shop::pushed();
    let to = shop.path("copied");
    let target = format!("{}:shop", to.display());
    shop.tool(
        "oras",
        &["cp", "-r", "--from-plain-http", &shop.reference(":0.1.0-main.1"), "--to-oci-layout", &target],
    );
    let walked = layout::walk(&to);
    assert!(walked.indexes.contains(shop.bundle["digest"].as_str().unwrap()), "{walked:?}");
    for digest in shop.promised() {
        let there = walked.manifests.contains(&digest) || walked.blobs.contains(&digest);
        assert!(there, "{digest} is not in the copy: {walked:?}");
    }
}

#[test]
fn crane_reads_and_copies() {
    let shop = Shop::pushed();
    let manifest = shop.tool("crane", &["manifest", "--insecure", &shop.reference(":0.1.0-main.1")]);
    assert_eq!(layout::digest_of(manifest.trim_end().as_bytes()), shop.bundle["digest"].as_str().unwrap());
    let to = shop.path("pulled");
    shop.tool(
        "crane",
        &["pull", "--insecure", "--format=oci", &shop.reference(":0.1.0-main.1"), to.to_str().unwrap()],
    );
    shop.assert_whole(&to);
    assert!(layout::walk(&to).indexes.contains(shop.bundle["digest"].as_str().unwrap()));
    let tags = shop.tool("crane", &["ls", "--insecure", &shop.reference("")]);
    assert!(tags.lines().any(|tag| tag == "0.1.0-main.1"), "{tags}");
    for digest in packages(&shop.bundle).iter().flat_map(|package| package["images"].as_array().unwrap()) {
        shop.tool("crane", &["validate", "--insecure", "--remote", digest.as_str().unwrap()]);
    }
}

#[test]
fn the_command_line_pulls_bundles_and_packages() {
    let shop = Shop::pushed();
    let to = shop.path("bundle");
    shop.server.cli(&["bundle", "pull", "shop", "0.1.0-main.1", "--to", to.to_str().unwrap()]).ok();
    shop.assert_whole(&to);
    assert!(layout::walk(&to).indexes.contains(shop.bundle["digest"].as_str().unwrap()));
    let told = shop.server.json(&["bundle", "pull", "shop", "0.1.0-main.1", "--to", to.to_str().unwrap()]);
    assert_eq!(told["digest"], shop.bundle["digest"]);
    for package in packages(&shop.bundle) {
        let component = package["component"].as_str().unwrap();
        let to = shop.path(component);
        shop.server
            .cli(&["package", "pull", "shop", component, "0.1.0-main.1", "--to", to.to_str().unwrap()])
            .ok();
        assert!(layout::walk(&to).manifests.contains(package["digest"].as_str().unwrap()));
    }
    let absent =
        shop.server.cli(&["bundle", "pull", "shop", "9.9.9", "--to", shop.path("absent").to_str().unwrap()]);
    assert_ne!(absent.code, 0);
    assert!(!shop.path("absent").exists(), "a refused pull should leave nothing behind");
}

#[test]
fn oras_pulls_each_package_with_the_files_of_the_commit() {
    let shop = Shop::pushed();
    let expected = [
        ("web", vec!["web/Dockerfile", "web/.dockerignore"]),
        ("api", vec!["api/Dockerfile"]),
        ("config", vec!["config/settings.yaml", "config/deep/er/role.yaml"]),
    ];
    for (component, paths) in expected {
        let to = shop.path(&format!("pulled-{component}"));
        shop.tool(
            "oras",
            &[
                "pull",
                "--plain-http",
                &shop.reference(&format!("/c/{component}:0.1.0-main.1")),
                "-o",
                to.to_str().unwrap(),
            ],
        );
        let archive = to.join(format!("{component}-0.1.0-main.1.tar.gz"));
        let files = untar(&archive);
        let committed: BTreeMap<String, Vec<u8>> = paths
            .iter()
            .map(|path| {
                let inside = path.strip_prefix(&format!("{component}/")).unwrap().to_owned();
                (inside, shop.repository.try_git(&["show", &format!("HEAD:{path}")]).stdout)
            })
            .collect();
        assert_eq!(files, committed, "{component}");
    }
}

#[test]
fn clients_push_into_the_registry() {
    let shop = Shop::pushed();
    // An image by crane, from a layout that it pulled.
    let pulled = shop.path("image");
    let image = shop.reference("/i/web");
    let web = packages(&shop.bundle).iter().find(|package| package["component"] == "web").unwrap();
    let by_digest = web["images"][0].as_str().unwrap();
    shop.tool("crane", &["pull", "--insecure", "--format=oci", by_digest, pulled.to_str().unwrap()]);
    shop.tool("crane", &["push", "--insecure", pulled.to_str().unwrap(), &format!("{image}:by-crane")]);
    // The same by skopeo, and an artifact by oras.
    let source = format!("docker://{image}:by-crane");
    let target = format!("docker://{image}:by-skopeo");
    shop.tool(
        "skopeo",
        &["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", &source, &target],
    );
    let digest = |tag: &str| shop.tool("crane", &["digest", "--insecure", &format!("{image}:{tag}")]);
    assert_eq!(digest("by-crane"), digest("by-skopeo"));
    fs::write(shop.path("notes.txt"), "notes\n").unwrap();
    let notes = shop.reference("/i/notes:1");
    shop.tool("oras", &["push", "--plain-http", &notes, "notes.txt:text/plain"]);
    shop.tool("oras", &["pull", "--plain-http", &notes, "-o", shop.path("back").to_str().unwrap()]);
    assert_eq!(fs::read_to_string(shop.path("back/notes.txt")).unwrap(), "notes\n");
}

#[test]
fn published_versions_cannot_be_overwritten_by_a_client() {
    let shop = Shop::pushed();
    fs::write(shop.path("notes.txt"), "notes\n").unwrap();
    for repository in ["", "/c/web"] {
        let reference = shop.reference(&format!("{repository}:0.1.0-main.1"));
        let pushed = shop.try_tool("oras", &["push", "--plain-http", &reference, "notes.txt:text/plain"]);
        assert_ne!(pushed.code, 0, "{reference} was overwritten: {}", pushed.text());
    }
    let bundle = shop.server.get("/v2/default/shop/manifests/0.1.0-main.1");
    assert_eq!(bundle.header("docker-content-digest"), shop.bundle["digest"].as_str());
}

#[test]
fn attached_artifacts_are_discovered() {
    let shop = Shop::pushed();
    fs::write(shop.path("scan.json"), "{}\n").unwrap();
    let bundle = shop.reference(&format!("@{}", shop.bundle["digest"].as_str().unwrap()));
    shop.tool(
        "oras",
        &[
            "attach",
            "--plain-http",
            "--artifact-type",
            "application/vnd.example.scan",
            &bundle,
            "scan.json:application/json",
        ],
    );
    let found: Value =
        serde_json::from_str(&shop.tool("oras", &["discover", "--plain-http", "--format", "json", &bundle]))
            .unwrap();
    assert!(found.to_string().contains("application/vnd.example.scan"), "{found}");
    // The server itself attaches the provenance of each package.
    for package in packages(&shop.bundle) {
        let (component, digest) =
            (package["component"].as_str().unwrap(), package["digest"].as_str().unwrap());
        let package = shop.reference(&format!("/c/{component}@{digest}"));
        let found = shop.tool("oras", &["discover", "--plain-http", "--format", "json", &package]);
        assert!(found.contains("in-toto"), "{found}");
    }
    // A copy with referrers carries what was attached.
    let to = format!("{}:shop", shop.path("copied").display());
    shop.tool("oras", &["cp", "-r", "--from-plain-http", &bundle, "--to-oci-layout", &to]);
    let scan = layout::digest_of(b"{}\n");
    assert_eq!(layout::blob(&shop.path("copied"), &scan), b"{}\n");
}

#[test]
fn releases_are_found_under_their_version_for_every_component() {
    let shop = Shop::pushed();
    shop.repository.tag("v1.0.0");
    shop.server.push(&shop.app, &shop.repository, &["v1.0.0"]);
    shop.server.bundle_of(&shop.server.wait_run_of("shop", &shop.repository.head(), "v1.0.0"));
    for package in packages(&shop.bundle) {
        let component = package["component"].as_str().unwrap();
        let reference = format!("docker://{}", shop.reference(&format!("/c/{component}:1.0.0")));
        let raw = shop.tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &reference]);
        assert_eq!(layout::digest_of(raw.as_bytes()), package["digest"].as_str().unwrap());
    }
}

/// Path and content of every file in a `tar.gz`; anything else in it fails.
fn untar(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = fs::File::open(archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert!(entry.header().entry_type().is_file(), "{:?}", entry.path());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}
