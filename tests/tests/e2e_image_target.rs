//! Images in an external registry: the real one, and one that fails.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::server::{
    App, FickleProxy, Finished, GitRepository, Mood, Server, ServerOptions, StubRegistry, layout, packages,
    run_within,
};
use slipway_tests::services;

const TOOL_WITHIN: Duration = Duration::from_secs(90);
const RETRY_WITHIN: Duration = Duration::from_mins(2);

/// A prefix that no other test or round has used: what is pushed stays in the registry.
fn prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
    format!("target/t{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A server whose images go to `target`, and that soon gives up waiting.
fn options(target: &str) -> ServerOptions {
    ServerOptions::default()
        .env("SLIPWAY__REGISTRY__IMAGE_TARGET", target)
        .env("SLIPWAY__REGISTRIES__IDLE_TIMEOUT_MS", "5000")
        .env("SLIPWAY__REGISTRIES__MAX_ATTEMPTS", "1")
}

/// All kinds of images: of two platforms, on top of another component's, and pinned.
fn shop(pinned: &str) -> GitRepository {
    let yaml = format!(
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: shop}}\ncomponents:\n  \
         - {{name: web, kit: dockerfile, context: web, with: {{platforms: [linux/amd64, linux/arm64]}}}}\n  \
         - {{name: base, kit: dockerfile, context: base}}\n  \
         - {{name: api, kit: dockerfile, context: api, needs: [base], with: {{args: {{BASE: \"${{base.image}}\"}}}}}}\n  \
         - {{name: proxy, kit: image, with: {{image: \"{pinned}/base:1\"}}}}\n  \
         - {{name: config, kit: manifests, context: config}}\n"
    );
    GitRepository::with(&[
        ("slipway.yaml", &yaml),
        ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
        ("web/index.html", "<p>Hello.</p>\n"),
        ("base/Dockerfile", "FROM scratch\nCOPY lib /lib/\n"),
        ("base/lib", "lib\n"),
        ("api/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY server /bin/server\n"),
        ("api/server", "#!/bin/sh\n"),
        ("config/settings.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
    ])
}

/// One image and nothing else.
fn small(dockerfile: &str) -> GitRepository {
    GitRepository::with(&[
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  \
             - {name: web, kit: dockerfile, context: web}\n  - {name: config, kit: manifests, context: config}\n",
        ),
        ("web/Dockerfile", dockerfile),
        ("web/index.html", "0\n"),
        ("config/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n"),
    ])
}

fn images(bundle: &Value) -> Vec<String> {
    let images = packages(bundle).iter().flat_map(|package| package["images"].as_array().expect("images"));
    images.map(|image| image.as_str().expect("a reference").to_owned()).collect()
}

fn digest(reference: &str) -> String {
    reference.rsplit('@').next().unwrap_or_default().to_owned()
}

/// Digests of all that was published.
fn published(bundle: &Value) -> Vec<String> {
    let own = ["digest", "lock_digest"].map(|key| bundle[key].to_string());
    let packages = packages(bundle).iter().map(|package| package["digest"].to_string());
    own.into_iter().chain(packages).chain(images(bundle).iter().map(|image| digest(image))).collect()
}

fn try_tool(server: &Server, name: &str, args: &[&str]) -> Finished {
    let auth = STANDARD.encode(format!("anyone:{}", server.token()));
    let auth = json!({"auths": {server.address(): {"auth": auth}}});
    let file = server.scratch().join("config.json");
    fs::write(&file, auth.to_string()).expect("a file");
    let mut command = Command::new(services::tool(name));
    command.args(args).current_dir(server.scratch()).env("HOME", server.scratch().join("home"));
    command.env("DOCKER_CONFIG", server.scratch()).env("REGISTRY_AUTH_FILE", file);
    run_within(command, TOOL_WITHIN)
}

fn tool(server: &Server, name: &str, args: &[&str]) -> String {
    let finished = try_tool(server, name, args);
    assert_eq!(finished.code, 0, "{name} {}:\n{}{}", args.join(" "), finished.text(), finished.stderr);
    finished.text()
}

/// Configurations and layers of an image, as the registry it names has them.
fn blobs_of(server: &Server, reference: &str) -> BTreeSet<String> {
    let bytes = tool(server, "crane", &["manifest", "--insecure", reference]);
    let manifest: Value = serde_json::from_str(&bytes).expect("a manifest");
    let at = reference.split('@').next().unwrap_or_default();
    let text = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
    match manifest["manifests"].as_array() {
        Some(children) => {
            children.iter().flat_map(|child| blobs_of(server, &format!("{at}@{}", text(child)))).collect()
        }
        None => {
            let layers = manifest["layers"].as_array().into_iter().flatten();
            layers.chain([&manifest["config"]]).map(text).collect()
        }
    }
}

#[test]
fn a_bundle_is_the_same_and_whole_wherever_its_images_lie() {
    let target = format!("{}/{}", services::registry(), prefix());
    let pinned = StubRegistry::start("pinned");
    let allow =
        |options: ServerOptions| options.env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", pinned.address());
    let external = Server::start(allow(options(&target)));
    let builtin = Server::start(allow(ServerOptions::default()));
    let publish = |server: &Server| {
        let (app, repository) = (server.create_app("shop"), shop(pinned.address()));
        let bundle = server.publish(&app, &repository, "main", "Add the shop");
        (app, repository, bundle)
    };
    let (app, repository, bundle) = publish(&external);
    assert_eq!(published(&bundle), published(&publish(&builtin).2));

    let mut forgotten = BTreeSet::new();
    for image in images(&bundle) {
        assert!(image.starts_with(&format!("{target}/default/shop/i/")), "{image}");
        tool(&external, "crane", &["validate", "--insecure", "--remote", &image]);
        forgotten.extend(blobs_of(&external, &image));
    }
    external.delete_blobs(&forgotten);
    assert_eq!(images(&bundle).len(), 4);
    assert_whole_at(&external, &bundle, &forgotten);

    // On top of an image whose layers are no longer here.
    repository.write("api/server", "#!/bin/sh\ntrue\n");
    let second = external.publish(&app, &repository, "main", "Change the api");
    for (old, new) in packages(&bundle).iter().zip(packages(&second)) {
        assert_eq!(new["reused"], new["component"] != "api", "{new:#}");
        assert_eq!(new["images"] == old["images"], new["component"] != "api", "{new:#}");
    }
    let listed = &external.bundles("shop")[0]["packages"];
    assert_eq!(listed, &second["packages"], "lists name the external registry too");
    let api = images(&second).into_iter().find(|image| image.contains("/i/api@")).expect("the api");
    tool(&external, "crane", &["validate", "--insecure", "--remote", &api]);
}

/// Copies the bundle from the built-in registry by several clients.
fn assert_whole_at(server: &Server, bundle: &Value, elsewhere: &BTreeSet<String>) {
    let reference =
        format!("{}/default/shop:{}", server.address(), bundle["version"].as_str().expect("text"));
    let at = |name: &str| server.scratch().join(name).display().to_string();
    let (docker, oci) = (format!("docker://{reference}"), format!("oci:{}:shop", at("skopeo")));
    tool(server, "skopeo", &["copy", "--all", "--src-tls-verify=false", &docker, &oci]);
    let to = format!("{}:shop", at("oras"));
    tool(server, "oras", &["cp", "-r", "--from-plain-http", &reference, "--to-oci-layout", &to]);
    server
        .cli(&["bundle", "pull", "shop", bundle["version"].as_str().expect("text"), "--to", &at("cli")])
        .ok();
    for copy in ["skopeo", "oras", "cli"] {
        let walked = layout::walk(&server.scratch().join(copy));
        assert!(elsewhere.is_subset(&walked.blobs), "{copy} has not all of {elsewhere:?}: {walked:?}");
        // lock, five packages, base, api, proxy, web for two platforms
        assert_eq!(walked.manifests.len(), 11, "{copy}: {walked:?}");
    }
    // Images are there by the built-in registry's name too, with the version as their tag.
    let image = format!("docker://{}/default/shop/i/api:0.1.0-main.1", server.address());
    let to = format!("oci:{}", at("image"));
    tool(server, "skopeo", &["copy", "--src-tls-verify=false", &image, &to]);
    layout::walk(&server.scratch().join("image"));
}

/// A server before which a fickle registry stands.
struct Fickle {
    proxy: FickleProxy,
    server: Server,
    app: App,
}

impl Fickle {
    fn start() -> Self {
        let proxy = FickleProxy::start(&services::registry());
        let server = Server::start(options(&format!("{}/{}", proxy.address(), prefix())));
        let app = server.create_app("shop");
        Self { proxy, server, app }
    }

    /// Asserts that the run failed and names the registry, and that a retry succeeds once it is well.
    fn assert_fails_and_recovers(&self, run: &Value, part: &str) -> Value {
        assert_eq!(run["state"], "failed", "{run:#}");
        let reason = run["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(part) && reason.contains(self.proxy.address()), "`{part}`: {run:#}");
        self.proxy.is(Mood::Well);
        let retried = self.server.json(&["run", "retry", run["id"].as_str().expect("an id")]);
        let id = retried["id"].as_str().expect("an id").to_owned();
        let run = slipway_tests::wait::until("the retry ends", RETRY_WITHIN, || {
            let run = self.server.json(&["run", "show", &id]);
            if run["finished_at"].is_string() { Ok(run) } else { Err(run) }
        });
        self.server.bundle_of(&run)
    }
}

#[test]
fn faults_of_the_image_target_fail_the_run_by_name_and_a_retry_succeeds() {
    let fickle = Fickle::start();
    let repository = small("FROM scratch\nCOPY index.html /srv/\n");
    let moods = [
        (Mood::Status(401), "refused"),
        (Mood::Status(403), "forbids"),
        (Mood::Status(500), "answered 500"),
        (Mood::Hangs, "idle_timeout_ms = 5000 ms"),
    ];
    for (number, (mood, part)) in moods.into_iter().enumerate() {
        fickle.proxy.is(mood);
        repository.write("web/index.html", format!("{number}\n"));
        let run = fickle.server.deliver(&fickle.app, &repository, "main", "Change");
        let bundle = fickle.assert_fails_and_recovers(&run, part);
        tool(&fickle.server, "crane", &["validate", "--insecure", "--remote", &images(&bundle)[0]]);
    }
}

#[test]
fn faults_of_the_image_target_when_asked_whether_a_result_is_there() {
    let fickle = Fickle::start();
    let repository = small("FROM scratch\nCOPY index.html /srv/\n");
    let first = fickle.server.publish(&fickle.app, &repository, "main", "Add");
    let pushes = |requests: Vec<String>| requests.iter().filter(|line| line.starts_with("PUT")).count();
    let pushed = pushes(fickle.proxy.requests());
    fickle.proxy.is(Mood::Status(500));
    repository.write("config/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n");
    let run = fickle.server.deliver(&fickle.app, &repository, "main", "Change");
    assert!(run["reason"].as_str().unwrap_or_default().contains("component web"), "{run:#}");
    let second = fickle.assert_fails_and_recovers(&run, "answered 500");
    assert_eq!(images(&second), images(&first));
    assert_eq!(pushes(fickle.proxy.requests()), pushed, "nothing is sent again");
}

#[test]
fn faults_of_the_image_target_at_a_pull_are_told_as_a_registry_does() {
    let fickle = Fickle::start();
    let server = &fickle.server;
    let repository = small("FROM scratch\nCOPY index.html /srv/\n");
    let bundle = server.publish(&fickle.app, &repository, "main", "Add");
    let blobs = blobs_of(server, &images(&bundle)[0]);
    server.delete_blobs(&blobs);
    let path = format!("/v2/default/shop/blobs/{}", blobs.first().expect("a blob"));
    let bearer = format!("Bearer {}", server.token());
    let ask = |method: &str| server.request(method, &path, &[("Authorization", &bearer)], b"");
    for (mood, status, code) in [
        (Mood::Status(404), 404, "BLOB_UNKNOWN"),
        (Mood::Status(401), 502, "UNKNOWN"),
        (Mood::Status(500), 502, "UNKNOWN"),
        (Mood::Hangs, 502, "UNKNOWN"),
    ] {
        fickle.proxy.is(mood);
        let answer = ask("GET");
        assert_eq!(answer.status, status, "{mood:?}: {}", answer.text());
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], code, "{mood:?}");
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains(fickle.proxy.address())),
            "{error}"
        );
        let doctor = server.cli(&["doctor", "-o", "json"]);
        assert_eq!(doctor.code == 0, mood == Mood::Status(404), "{}", doctor.stdout);
        assert!(doctor.stdout.contains(fickle.proxy.address()), "{}", doctor.stdout);
    }
    let head = ask("HEAD");
    assert_eq!(head.status, 200, "the built-in registry knows it");
    fickle.proxy.is(Mood::Well);
    let whole = ask("GET");
    assert_eq!(whole.status, 200);
    assert_eq!(layout::digest_of(&whole.body), *blobs.first().expect("a blob"));
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
}

#[test]
fn what_the_operator_may_reach_a_dockerfile_may_not() {
    let registry = StubRegistry::start("one");
    let server = Server::start(options(&format!("{}/{}", registry.address(), prefix())));
    let app = server.create_app("shop");
    let repository = small(&format!("FROM {}/base:1\nCOPY index.html /srv/\n", registry.address()));
    let run = server.deliver(&app, &repository, "main", "From a private registry");
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(run["reason"].as_str().is_some_and(|reason| reason.contains("private address")), "{run:#}");
}

#[test]
fn a_mistake_in_the_image_target_is_found_before_a_server_starts() {
    let server = Server::fresh();
    let file = server.scratch().join("slipway.toml");
    let check = |text: &str| {
        fs::write(&file, text).expect("a file");
        server.cli(&["config", "check", "--config", file.to_str().expect("text")])
    };
    check("[registry]\nimage_target = \"registry.example.com/team\"\n").ok();
    for wrong in ["https://registry.example.com", "team", "registry.example.com/Team"] {
        let checked = check(&format!("[registry]\nimage_target = \"{wrong}\"\n"));
        assert_ne!(checked.code, 0);
        assert!(checked.stderr.contains("registry.image_target"), "{}", checked.stderr);
    }
    // Every mistake is told in one go.
    let text = "[network]\nno_proxy = [\"corp.test\"]\n\n[registry]\nimage_target = \"team\"\n";
    fs::write(&file, text).expect("a file");
    let path = file.to_str().expect("text");
    let checked = server.cli(&["config", "check", "--config", path, "-o", "json"]);
    assert_eq!(checked.code, 1, "{}", checked.stderr);
    let told = checked.json();
    assert_eq!(told["valid"], false, "{told:#}");
    for (index, (field, line)) in
        [("registry.image_target", 5), ("network.no_proxy", 2)].into_iter().enumerate()
    {
        let mistake = &told["mistakes"][index];
        assert_eq!((&mistake["field"], &mistake["from"]), (&field.into(), &path.into()), "{told:#}");
        assert_eq!(mistake["line"], line, "{told:#}");
    }
}

#[test]
fn docker_builds_go_to_the_image_target() {
    let engine = services::docker();
    let target = format!("{}/{}", services::registry(), prefix());
    let server = Server::start(options(&target).env("SLIPWAY__BUILD__DOCKER_HOST", &engine.host));
    let app = server.create_app("shop");
    let repository = small(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"touch\", \"/made\"]\nCOPY index.html /srv/\n",
    );
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    let run = server.deliver(&app, &repository, "main", "Run a command");
    let bundle = server.bundle_of(&run);
    let build = run["builds"].as_array().expect("builds").iter().find(|build| build["component"] == "web");
    assert_eq!(build.expect("the build")["backend"], "docker", "{run:#}");
    let image = &images(&bundle)[0];
    assert!(image.starts_with(&target), "{image}");
    tool(&server, "crane", &["validate", "--insecure", "--remote", image]);
    let blobs = blobs_of(&server, image);
    server.delete_blobs(&blobs);
    let to = server.scratch().join("pulled");
    let version = bundle["version"].as_str().expect("text");
    server.cli(&["bundle", "pull", "shop", version, "--to", to.to_str().expect("text")]).ok();
    assert!(blobs.is_subset(&layout::walk(&to).blobs));
}

#[test]
fn the_image_target_gets_the_configured_credential() {
    // A registry that asks for one: another server.
    let keeper = Server::fresh();
    let target = format!("{}/kept", keeper.address());
    let start = |password: &str| {
        let options = options(&target).env("SLIPWAY__REGISTRY__IMAGE_TARGET_USER", "slipway");
        let options =
            options.env("SLIPWAY__REGISTRY__IMAGE_TARGET_PASSWORD", "secret://env/SLIPWAY_SECRET_TARGET");
        Server::start(options.env("SLIPWAY_SECRET_TARGET", password))
    };
    let repository = small("FROM scratch\nCOPY index.html /srv/\n");
    let refused = start("wrong-password");
    let run = refused.deliver(&refused.create_app("shop"), &repository, "main", "Add");
    let reason = run["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("its credential was not accepted") && reason.contains(keeper.address()),
        "{run:#}"
    );
    assert!(!refused.log().contains("wrong-password"));

    let server = start(keeper.token());
    let bundle = server.publish(&server.create_app("shop"), &repository, "main", "Add again");
    let image = &images(&bundle)[0];
    assert!(image.starts_with(&format!("{target}/default/shop/i/web@")), "{image}");
    let manifest = keeper.get(&format!("/v2/kept/default/shop/i/web/manifests/{}", digest(image)));
    assert_eq!(layout::digest_of(&manifest.body), digest(image));
}
