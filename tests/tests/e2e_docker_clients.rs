//! Docker's own client against the registry.

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use slipway_tests::server::{GitRepository, Server, layout, packages, run_within};
use slipway_tests::services;

const DOCKER_WITHIN: Duration = Duration::from_mins(2);

mod docker {
    use super::*;

    #[test]
    fn pulls_runs_and_pushes_an_assembled_image() {
        let server = Server::fresh();
        let app = server.create_app("shop");
        let yaml = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\ncomponents:\n  - {name: web, kit: dockerfile, context: web}\n";
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY --chmod=0755 hello /bin/hello\nENV GREETING=hello\nUSER 7:8\nWORKDIR /work\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"/bin/hello\"]\n";
        let repository = GitRepository::with(&[
            ("slipway.yaml", yaml),
            ("web/Dockerfile", dockerfile),
            ("web/hello", "echo $GREETING from $PWD as $(/bin/busybox id -u):$(/bin/busybox id -g)\n"),
        ]);
        repository.write_executable("web/busybox", fs::read("/bin/busybox").unwrap());
        let bundle = server.publish(&app, &repository, "main", "one");
        let image = packages(&bundle)[0]["images"][0].as_str().unwrap();

        let auth = json!({"auths": {server.address(): {"auth": STANDARD.encode(format!("any:{}", server.token()))}}});
        fs::write(server.scratch().join("config.json"), auth.to_string()).unwrap();
        let docker = |args: &[&str]| {
            let mut command = Command::new(services::tool("docker"));
            command.args(["--host", &services::docker().host]).args(args);
            command.env("DOCKER_CONFIG", server.scratch());
            let finished = run_within(command, DOCKER_WITHIN);
            assert_eq!(
                finished.code,
                0,
                "docker {}:\n{}{}",
                args.join(" "),
                finished.text(),
                finished.stderr
            );
            finished.text()
        };
        docker(&["pull", "--quiet", image]);
        assert_eq!(docker(&["run", "--rm", "--oom-score-adj", "-500", image]), "hello from /work as 7:8\n");
        let pushed = format!("{}/default/shop/i/web:by-docker", server.address());
        docker(&["tag", image, &pushed]);
        docker(&["push", "--quiet", &pushed]);
        docker(&["rmi", "--force", &pushed, image]);
        docker(&["pull", "--quiet", &pushed]);
        assert_eq!(docker(&["run", "--rm", "--oom-score-adj", "-500", &pushed]), "hello from /work as 7:8\n");
        docker(&["rmi", "--force", &pushed]);
    }

    #[test]
    fn an_image_in_another_registry_is_pinned() {
        let server = Server::fresh();
        let registry = services::registry();
        let allowed = slipway_tests::server::ServerOptions::default()
            .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", &registry);
        let other = Server::start(allowed);
        // The image is built by one server, copied to the registry, and pinned by the other.
        let app = server.create_app("base");
        let yaml = |name: &str, component: &str| {
            format!(
                "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\ncomponents:\n  - {component}\n"
            )
        };
        let tool = yaml("base", "{name: tool, kit: dockerfile, context: .}");
        let files =
            [("slipway.yaml", tool.as_str()), ("Dockerfile", "FROM scratch\nCOPY a /a\n"), ("a", "a\n")];
        let bundle = server.publish(&app, &GitRepository::with(&files), "main", "one");
        let image = packages(&bundle)[0]["images"][0].as_str().unwrap();
        let target = format!("{registry}/e2e/tool:1");
        let mut copy = Command::new(services::tool("skopeo"));
        copy.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds"]);
        copy.arg(format!("any:{}", server.token()))
            .args([format!("docker://{image}"), format!("docker://{target}")]);
        let copied = run_within(copy, DOCKER_WITHIN);
        assert_eq!(copied.code, 0, "{}", copied.stderr);

        let app = other.create_app("shop");
        let proxy = yaml("shop", &format!("{{name: proxy, kit: image, with: {{image: \"{target}\"}}}}"));
        let bundle = other.publish(&app, &GitRepository::with(&[("slipway.yaml", &proxy)]), "main", "one");
        let pinned = packages(&bundle)[0]["images"][0].as_str().unwrap();
        assert_eq!(pinned.rsplit('@').next(), image.rsplit('@').next());
        // The bundle holds the image itself: it stays pullable when the other registry is gone.
        let to = other.scratch().join("pulled");
        let version = bundle["version"].as_str().unwrap();
        other.cli(&["bundle", "pull", "shop", version, "--to", to.to_str().unwrap()]).ok();
        assert!(layout::walk(&to).manifests.contains(pinned.rsplit('@').next().unwrap()));
    }
}
