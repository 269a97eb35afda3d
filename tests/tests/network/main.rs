//! Behind a proxy, with certificates of one's own, beside mirrors.
//!
//! The names below `corp.test` are known to the proxy alone: whatever goes round it does not arrive.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod company;
mod mirrors;

use serde_json::Value;
use slipway_tests::server::{App, GitRepository, Server, ServerOptions, World};
use slipway_tests::services;

use company::{Company, behind_proxy};

const PAGE: &str = "web/index.html";

fn files(name: &str, dockerfile: &str) -> GitRepository {
    let manifest = format!(
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\n\
         components:\n  - {{name: web, kit: dockerfile, context: web}}\n"
    );
    GitRepository::with(&[("slipway.yaml", &manifest), ("web/Dockerfile", dockerfile), (PAGE, "hello\n")])
}

fn reason(run: &Value) -> String {
    run["state_detail"].to_string() + &run["builds"].to_string() + &run["reason"].to_string()
}

/// An application of `server` whose source is the company's forge.
fn mirrored(server: &Server, company: &Company, name: &str) -> App {
    let url = company.git_url(name);
    server
        .create_app_with(name, &["--source", &url, "--credential", "secret://builtin/forge", "--poll", "24h"])
}

#[test]
fn sources_and_private_base_images_come_through_the_proxy() {
    let company = Company::start();
    let base = company.publish_base();
    let from_base = format!("FROM {base}\nCOPY index.html /srv/\n");
    let shop = company.publish_source("shop", &files("shop", &from_base));
    let spy = company.publish_source("spy", &files("spy", &from_base));

    let credential = format!(
        "[{{ host = \"{}\", user = \"any\", password = \"secret://env/SLIPWAY_SECRET_BASES\", applications = [\"shop\"] }}]",
        company.host()
    );
    let options = behind_proxy()
        .env("SLIPWAY__NETWORK__CA_BUNDLE", company.authority().to_str().unwrap())
        .env("SLIPWAY__REGISTRIES__CREDENTIALS", &credential)
        .env("SLIPWAY_SECRET_BASES", company.token());
    let server = Server::start(options);
    server.set_secret("forge", &format!("any:{}", company.token()));
    let app = mirrored(&server, &company, "shop");
    server.cli(&["source", "check", "shop"]).ok();
    server.tell(&app, "refs/heads/main", &shop);
    let run = server.wait_run("shop", &shop);
    assert_eq!(run["state"], "done", "{run:#}");
    let asked = company.asked_of_proxy();
    assert!(asked.contains(&format!("CONNECT {}", company.host())), "{asked}");

    // The credential is of one application; the base is no other's to read.
    let app = mirrored(&server, &company, "spy");
    server.tell(&app, "refs/heads/main", &spy);
    let run = server.wait_run("spy", &spy);
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(reason(&run).contains(company.host()), "{run:#}");

    for text in [server.log(), run.to_string(), server.cli(&["config", "show"]).stdout] {
        assert!(!text.contains("corporate") && !text.contains(company.token()), "a secret shows in: {text}");
    }
}

#[test]
fn what_keeps_a_source_from_working_is_named() {
    let company = Company::start();
    company.publish_source("shop", &files("shop", "FROM scratch\nCOPY index.html /srv/\n"));
    let check = |options: ServerOptions| {
        let server = Server::start(options);
        server.set_secret("forge", &format!("any:{}", company.token()));
        mirrored(&server, &company, "shop");
        let checked = server.cli(&["source", "check", "shop"]);
        assert_eq!(checked.code, 1, "{}", checked.stdout);
        checked.stdout
    };
    let authority = company.authority().to_str().unwrap().to_owned();
    let said = check(behind_proxy());
    assert!(said.contains("not trusted") && said.contains("network.ca_bundle"), "{said}");
    let said = check(
        behind_proxy().env("SLIPWAY__NETWORK__CA_BUNDLE", &authority).env("SLIPWAY_SECRET_PROXY", "wrong"),
    );
    assert!(said.contains("network.proxy_password"), "{said}");
    let unresolved = behind_proxy().env("SLIPWAY__NETWORK__CA_BUNDLE", &authority);
    let said = check(unresolved.env("SLIPWAY__NETWORK__PROXY_RESOLVES", "false"));
    assert!(said.contains("cannot be resolved"), "{said}");
    let direct = ServerOptions::default().env("SLIPWAY__NETWORK__CA_BUNDLE", &authority);
    let said = check(ServerOptions { world: Some(World::Embedded), ..direct });
    assert!(said.contains("cannot be resolved"), "{said}");
}

#[test]
fn the_object_store_is_reached_through_the_proxy() {
    let s3 = services::s3();
    let port = s3.endpoint.rsplit(':').next().unwrap();
    let prefix = format!("proxied-{}", uuid::Uuid::now_v7().simple());
    let options = behind_proxy()
        .env("SLIPWAY__STORAGE__URL", &format!("s3://{}/{prefix}", s3.bucket))
        .env("SLIPWAY__STORAGE__S3_ENDPOINT", &format!("http://s3.corp.test:{port}"))
        .env("SLIPWAY__STORAGE__S3_REGION", &s3.region)
        .env("SLIPWAY__STORAGE__S3_ACCESS_KEY", &s3.access_key)
        .env("SLIPWAY__STORAGE__S3_SECRET_KEY", "secret://env/SLIPWAY_SECRET_S3")
        .env("SLIPWAY__STORAGE__S3_ALLOW_HTTP", "true")
        .env("SLIPWAY_SECRET_S3", &s3.secret_key);
    let server = Server::start(options);
    let app = server.create_app("shop");
    let repository = files("shop", "FROM scratch\nCOPY index.html /srv/\n");
    server.publish(&app, &repository, "main", "Keep it behind the proxy");
    let asked = std::fs::read_to_string(services::corporate_proxy().log).unwrap();
    assert!(asked.contains(&format!("PUT http://s3.corp.test:{port}/{}/{prefix}/", s3.bucket)), "{prefix}");
}

#[test]
fn docker_builds_are_told_of_the_proxy_and_not_of_its_password() {
    let docker = services::docker();
    let options = behind_proxy()
        .env("SLIPWAY__BUILD__DOCKER_HOST", &docker.host)
        .env("SLIPWAY__NETWORK__NO_PROXY", "corp.example.com,10.0.0.0/8");
    let server = Server::start(options);
    let app = server.create_app("shop");
    let run = r#"["/busybox", "sh", "-c", "echo \"<$HTTP_PROXY|$https_proxy|$NO_PROXY>\""]"#;
    let repository =
        files("shop", &format!("FROM scratch\nCOPY busybox /busybox\nRUN {run}\nCMD [\"/busybox\"]\n"));
    repository.write_executable("web/busybox", std::fs::read("/bin/busybox").expect("busybox-static"));
    let bundle = server.publish(&app, &repository, "main", "Ask for the proxy");
    let log = server.cli(&["run", "logs", "shop#1", "web"]).ok().stdout;
    let proxy = services::corporate_proxy();
    assert!(log.contains(&format!("<{0}|{0}|localhost,", proxy.url)), "{log}");
    assert!(log.contains(",corp.example.com,10.0.0.0/8>"), "{log}");
    assert!(!log.contains(proxy.password), "{log}");
    // Neither is it left in the image.
    let to = server.scratch().join("pulled");
    server
        .cli(&["bundle", "pull", "shop", bundle["version"].as_str().unwrap(), "--to", to.to_str().unwrap()])
        .ok();
    for file in std::fs::read_dir(to.join("blobs/sha256")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(&proxy.url), "the proxy is in the image");
    }
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let server = Server::fresh();
    let check = |text: &str| {
        let file = server.scratch().join("slipway.toml");
        std::fs::write(&file, text).unwrap();
        server.cli(&["config", "check", "--config", file.to_str().unwrap()])
    };
    check(
        "[network]\nproxy = \"http://proxy.corp.test:3128\"\nno_proxy = [\".corp.test\", \"10.0.0.0/8\"]\n",
    )
    .ok();
    check("[registries]\nmirrors = [\"docker.io=http://mirror.corp.test:5000/hub\"]\n").ok();
    let kubeconfig = server.scratch().join("kubeconfig");
    std::fs::write(&kubeconfig, "users:\n- name: me\n  user:\n    token: hush-hush\n   wrong: x\n").unwrap();
    let clusters = format!(
        "[kaniko]\nclusters = [{{ name = \"test\", namespace = \"x\", kubeconfig = \"{}\" }}]\n",
        kubeconfig.display()
    );
    let checked = check(&clusters);
    assert!(checked.code != 0 && checked.stderr.contains("is not YAML, line 5"), "{}", checked.stderr);
    assert!(!checked.stderr.contains("hush"), "{}", checked.stderr);
    for (text, part) in [
        ("[build]\nbackend = \"kaniko\"\n", "kaniko.clusters is empty"),
        ("[network]\nproxy = \"proxy:3128\"\n", "http://HOST:PORT"),
        ("[network]\nproxy = \"http://me:pw@proxy:3128\"\n", "no password"),
        ("[network]\nproxy = \"http://proxy:3128\"\nno_proxy = [\"*.corp.test\"]\n", "network.no_proxy"),
        ("[network]\nno_proxy = [\"corp.test\"]\n", "network.proxy is empty"),
        ("[network]\nproxy = \"http://proxy:3128\"\nproxy_user = \"me\"\n", "belong together"),
        ("[network]\nca_bundle = \"/does/not/exist\"\n", "network.ca_bundle"),
        ("[registries]\nmirrors = [\"mirror.corp.test\"]\n", "HOST=[http://]MIRROR"),
        ("[registries]\nmirrors = [\"docker.io=Mirror/UPPER\"]\n", "registries.mirrors"),
        (
            "[registries]\ncredentials = [{ host = \"https://x\", user = \"u\", password = \"secret://env/X\" }]\n",
            "without scheme",
        ),
        (
            "[registries]\ncredentials = [{ host = \"x.y\", user = \"u\", password = \"plain\" }]\n",
            "not a secret reference",
        ),
    ] {
        let checked = check(text);
        assert!(checked.code != 0 && checked.stderr.contains(part), "{text}: {}", checked.stderr);
        assert!(!checked.stderr.contains("me:pw"), "{}", checked.stderr);
    }
}
