//! Slipway's image, built by Slipway.

use std::fs;
use std::process::Command;
use std::time::Duration;

use slipway_tests::server::{
    GitRepository, Server, ServerOptions, World, binary, packages, run_within, tool_output,
};
use slipway_tests::services;
use uuid::Uuid;

use crate::helm::deploy;

const TOOL_WITHIN: Duration = Duration::from_mins(3);

/// The other target, with the programs that it takes from public images taken from one of ours.
const FULL: &str = "  - {name: tools, kit: dockerfile, context: tools}
  - name: full
    kit: dockerfile
    context: .
    needs: [tools]
    with:
      target: full
      args: {BASE: \"@BASE@\", KUSTOMIZE: \"${tools.image}\", HELM: \"${tools.image}\"}
";

/// Builds it and gives its reference in the registry that the cluster's nodes pull from.
pub(crate) fn build() -> String {
    let target = format!("{}/{}", services::cluster_registry(), Uuid::now_v7().simple());
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() }
        .env("SLIPWAY__BUILD__DOCKER_HOST", "none")
        .env("SLIPWAY__REGISTRY__IMAGE_TARGET", &target)
        .env("SLIPWAY__REGISTRY__IMAGE_TARGET_ALLOW_HTTP", "true");
    let server = Server::start(options);
    let app = server.create_app("slipway");
    let run = server.deliver(&app, &repository(&push_base(&server)), "main", "Release it");
    assert_eq!(run["state"], "done", "{run:#}\n{}", server.cli(&["run", "show", "slipway#1"]).stdout);
    let builds = run["builds"].as_array().expect("builds");
    assert!(builds.iter().all(|build| build["backend"] == "assemble"), "{run:#}");
    let bundle = server.bundle_of(&run);
    let image = |component: &str| {
        let package = packages(&bundle).iter().find(|package| package["component"] == component);
        package.expect("a package")["images"][0].as_str().expect("an image").to_owned()
    };
    let slim = image("server");
    assert!(slim.starts_with(&target), "{slim} is not in {target}");
    assert_eq!(programs(&slim), ["slipway"]);
    assert_eq!(programs(&image("full")), ["helm", "kustomize", "slipway"]);
    slim
}

/// What an image has in /usr/local/bin.
fn programs(image: &str) -> Vec<String> {
    let tree = tool_output("crane", &["export", "--insecure", image, "-"]);
    let mut tree = tar::Archive::new(tree.as_slice());
    let entries = tree.entries().expect("a tree").map(|entry| entry.expect("an entry"));
    let paths = entries.map(|entry| entry.path().expect("a path").display().to_string());
    let mut programs: Vec<String> = paths
        .filter_map(|path| Some(path.trim_start_matches('/').strip_prefix("usr/local/bin/")?.to_owned()))
        .filter(|name| !name.is_empty())
        .collect();
    programs.sort();
    programs
}

/// Brings the base into the server's registry and gives its reference by digest.
fn push_base(server: &Server) -> String {
    let docker = services::kubernetes().docker_host;
    let local = format!("{}/server-base:1", services::cluster_registry());
    let engine = |args: &[&str]| {
        let mut command = Command::new(services::tool("docker"));
        command.args(["--host", &docker]).args(args).env("HOME", server.scratch());
        run(command);
    };
    engine(&["import", services::server_base().to_str().expect("a path in UTF-8"), &local]);
    engine(&["push", "--quiet", &local]);
    let base = format!("{}/base/git", server.address());
    let mut skopeo = Command::new(services::tool("skopeo"));
    skopeo.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    skopeo.args(["--dest-creds", &format!("any:{}", server.token())]);
    let digest = server.scratch().join("digest");
    skopeo.arg("--digestfile").arg(&digest);
    skopeo.args([&format!("docker://{local}"), &format!("docker://{base}:1")]);
    run(skopeo);
    format!("{base}@{}", fs::read_to_string(digest).expect("a digest").trim())
}

/// What lies in `deploy/image`, with the binary of this build and that base.
fn repository(base: &str) -> GitRepository {
    let read = |file: &str| fs::read_to_string(deploy("image").join(file)).expect("a file of deploy/image");
    let yaml = read("slipway.yaml");
    let args = yaml.lines().find(|line| line.trim_start().starts_with("args:")).expect("the base is named");
    let indented = &args[..args.len() - args.trim_start().len()];
    let yaml = yaml.replace(args, &format!("{indented}args: {{BASE: \"{base}\"}}"));
    let repository = GitRepository::with(&[
        ("slipway.yaml", &format!("{yaml}{}", FULL.replace("@BASE@", base))),
        ("tools/Dockerfile", "FROM scratch\nCOPY tool /app/kustomize\nCOPY tool /usr/bin/helm\n"),
        ("tools/tool", "#!/bin/sh\n"),
        ("Dockerfile", &read("Dockerfile")),
        (".dockerignore", &read(".dockerignore")),
    ]);
    let stripped = repository.path().join("slipway");
    let mut strip = Command::new(services::tool("strip"));
    strip.arg(binary()).arg("-o").arg(&stripped);
    run(strip);
    repository.write_executable("slipway", fs::read(stripped).expect("the binary"));
    repository
}

fn run(command: Command) {
    let name = format!("{command:?}");
    let finished = run_within(command, TOOL_WITHIN);
    assert_eq!(finished.code, 0, "{name}: {}{}", finished.text(), finished.stderr);
}
