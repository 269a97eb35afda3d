//! Each real service does what the other tests take for granted.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::Path;
use std::process::Command;

use slipway_tests::services;

/// Runs a command to its end and returns what it printed; a failure shows its complaint.
fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn program(name: &str) -> Command {
    Command::new(services::tool(name))
}

mod docker {
    use super::*;

    #[test]
    fn this_release_runs_and_pushes_an_image() {
        runs_and_pushes(&services::docker(), "this-release");
    }

    #[test]
    fn later_release_runs_and_pushes_an_image() {
        runs_and_pushes(&services::docker_new(), "later-release");
    }

    fn runs_and_pushes(engine: &services::DockerEngine, name: &str) {
        let docker = || {
            let mut command = program("docker");
            command.args(["--host", &engine.host]);
            command
        };
        let image = format!("{}/services/{name}:1", services::registry());
        import_busybox(docker(), &image);
        let ran = output(docker().args([
            "run",
            "--rm",
            "--oom-score-adj",
            "-500",
            &image,
            "/busybox",
            "echo",
            "ran",
        ]));
        assert_eq!(ran, "ran\n");

        output(docker().args(["push", "--quiet", &image]));
        let config = output(
            program("skopeo").args(["inspect", "--tls-verify=false", "--config"]).arg(docker_url(&image)),
        );
        assert!(config.contains("diff_ids"), "{config}");
    }

    fn docker_url(image: &str) -> String {
        format!("docker://{image}")
    }

    fn import_busybox(mut docker: Command, image: &str) {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("root.tar");
        output(Command::new("tar").arg("-C").arg("/bin").arg("-cf").arg(&archive).arg("busybox"));
        output(docker.arg("import").arg(&archive).arg(image));
    }
}

#[test]
fn postgres_answers_and_creates_databases() {
    let database = format!("probe_{}", std::process::id());
    let psql = |statement: &str| output(program("psql").args([&services::postgres(), "-qtAc", statement]));
    psql(&format!("create database {database}"));
    assert_eq!(psql(&format!("select count(*) from pg_database where datname = '{database}'")), "1\n");
    psql(&format!("drop database {database}"));
}

#[test]
fn s3_gives_back_what_was_put() {
    let bucket = services::s3();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    fs::write(&file, "a body").unwrap();
    let url = format!("{}/{}/services/probe", bucket.endpoint, bucket.bucket);
    output(signed(&bucket, directory.path()).arg("--upload-file").arg(&file).arg(&url));
    assert_eq!(output(signed(&bucket, directory.path()).arg(&url)), "a body");
}

/// curl, its credentials in a file: command lines are readable by everyone.
fn signed(bucket: &services::S3Bucket, directory: &Path) -> Command {
    let credentials = directory.join("curl.conf");
    fs::write(&credentials, format!("user = \"{}:{}\"\n", bucket.access_key, bucket.secret_key)).unwrap();
    let mut curl = program("curl");
    curl.args(["--fail", "--silent", "--show-error", "--config"]).arg(credentials);
    curl.args(["--aws-sigv4", &format!("aws:amz:{}:s3", bucket.region)]);
    curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
    curl
}

#[test]
fn oci_clients_start() {
    for (client, argument) in
        [("oras", "version"), ("cosign", "version"), ("crane", "version"), ("skopeo", "--version")]
    {
        output(program(client).arg(argument));
    }
}
