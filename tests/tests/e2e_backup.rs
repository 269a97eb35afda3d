//! Backup, loss and restore.

use std::fs;

use slipway_tests::server::{GitRepository, Server, layout, packages, shop};

#[test]
fn a_restored_server_serves_every_bundle_and_goes_on_counting() {
    let mut server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    repository.write("web/index.html", "<p>Two.</p>\n");
    server.publish(&app, &repository, "main", "two");
    repository.tag("v1.0.0");
    server.push(&app, &repository, &["v1.0.0"]);
    server.bundle_of(&server.wait_run_of("shop", &repository.head(), "v1.0.0"));
    fs::write(server.scratch().join("value"), "kept").unwrap();
    server.cli(&["secret", "set", "kept", "--from-file", "value"]).ok();
    let before = server.bundles("shop");
    let (data, backup) = (server.data(), server.scratch().join("backup"));
    let (data_text, backup_text) = (data.to_str().unwrap().to_owned(), backup.to_str().unwrap().to_owned());

    // The server goes on running meanwhile.
    server.cli(&["admin", "backup", "--data", &data_text, "--to", &backup_text]).ok();
    assert_ne!(
        server.cli(&["admin", "backup", "--data", &data_text, "--to", &backup_text]).code,
        0,
        "it exists"
    );
    server.kill9();
    assert_ne!(
        server.cli(&["admin", "restore", "--data", &data_text, "--from", &backup_text]).code,
        0,
        "a database is there"
    );
    // All is lost but the object store.
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "blobs" {
            fs::remove_dir_all(path).unwrap();
        } else if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    server.cli(&["admin", "restore", "--data", &data_text, "--from", &backup_text]).ok();
    server.restart();

    assert_eq!(server.bundles("shop"), before);
    for (number, bundle) in before.iter().enumerate() {
        let to = server.scratch().join(format!("pulled-{number}"));
        let version = bundle["version"].as_str().unwrap();
        server.cli(&["bundle", "pull", "shop", version, "--to", to.to_str().unwrap()]).ok();
        let walked = layout::walk(&to);
        assert!(walked.indexes.contains(bundle["digest"].as_str().unwrap()));
        for package in packages(bundle) {
            assert!(walked.manifests.contains(package["digest"].as_str().unwrap()));
        }
    }
    let secrets = server.json(&["secret", "list"]);
    assert!(secrets.to_string().contains("kept"), "{secrets}");

    repository.write("web/index.html", "<p>Three.</p>\n");
    let next = server.publish(&app, &repository, "main", "three");
    assert_eq!(next["version"], "1.0.1-main.3");
    let reused: Vec<_> = packages(&next).iter().filter(|package| package["reused"] == true).collect();
    assert_eq!(reused.len(), 2, "{next:#}");
    // The git remote has its history.
    let clone = GitRepository::new();
    let fetched = clone.remote(server.token(), &["fetch", "--quiet", &app.git_url, "main"]);
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert_eq!(clone.git(&["rev-parse", "FETCH_HEAD"]), repository.head());
    assert_eq!(clone.git(&["rev-list", "--count", "FETCH_HEAD"]), "3");
}
