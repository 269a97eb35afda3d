//! Registries whose images are asked for at a mirror first.

use std::process::Command;
use std::time::Duration;

use slipway_tests::server::{Server, ServerOptions, StubRegistry, World, run_within};
use slipway_tests::services;

const COPY_WITHIN: Duration = Duration::from_secs(60);

/// Puts an image of Slipway's own making into the reference registry at `path`.
fn fill(server: &Server, path: &str) {
    let app = server.create_app("tools");
    let repository = crate::files("tools", "FROM scratch\nCOPY busybox /busybox\n");
    repository.write_executable("web/busybox", std::fs::read("/bin/busybox").expect("busybox-static"));
    let bundle = server.publish(&app, &repository, "main", "Begin");
    let image = slipway_tests::server::packages(&bundle)[0]["images"][0].as_str().unwrap().to_owned();
    let mut skopeo = Command::new(services::tool("skopeo"));
    skopeo.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    skopeo.args(["--src-creds", &format!("any:{}", server.token())]);
    skopeo.arg(format!("docker://{image}")).arg(format!("docker://{}/{path}", services::registry()));
    let finished = run_within(skopeo, COPY_WITHIN);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
}

fn server(mirrors: &str) -> Server {
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    Server::start(
        options
            .env("SLIPWAY__REGISTRIES__MIRRORS", mirrors)
            .env("SLIPWAY__REGISTRIES__RESOLVE_TIMEOUT_MS", "60000")
            .env("SLIPWAY__BUILD__DOCKER_HOST", &services::docker().host),
    )
}

#[test]
fn base_images_of_docker_hub_come_from_a_mirror_on_every_back_end() {
    let hub = format!("hub-{}", uuid::Uuid::now_v7().simple());
    let server = server(&format!("docker.io=http://{}/{hub}", services::registry()));
    fill(&server, &format!("{hub}/library/tools:1"));
    let app = server.create_app("shop");
    let repository = crate::files("shop", "FROM tools:1\nCOPY index.html /srv/\n");
    server.publish(&app, &repository, "main", "In this process");
    repository.write(
        "web/Dockerfile",
        "FROM tools:1\nRUN [\"/busybox\", \"sh\", \"-c\", \"echo hello > /made\"]\n",
    );
    server.publish(&app, &repository, "main", "By an engine");
    for (run, backend) in [("shop#1", "assemble"), ("shop#2", "docker")] {
        let log = server.cli(&["run", "logs", run, "web"]).ok().stdout;
        assert!(log.contains(&format!("building with {backend}")), "{log}");
    }
}

#[test]
fn a_mirror_that_lacks_an_image_or_is_gone_is_passed_over() {
    let registry = StubRegistry::start("one");
    // It takes connections, by its backlog, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let mirrors = format!(
        "{0}=http://{gone},{0}=http://{2},{0}={1}/empty",
        registry.address(),
        services::registry(),
        silent.local_addr().unwrap()
    );
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    let server = Server::start(
        options
            .env("SLIPWAY__REGISTRIES__MIRRORS", &mirrors)
            .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", registry.address()),
    );
    let app = server.create_app("shop");
    let repository =
        crate::files("shop", &format!("FROM {}/base:1\nCOPY index.html /srv/\n", registry.address()));
    server.publish(&app, &repository, "main", "From the registry itself");
}
