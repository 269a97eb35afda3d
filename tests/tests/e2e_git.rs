//! The built-in git remote, with the real client.

use std::thread;

use slipway_tests::server::{GitRepository, Server, shop};

/// Content that does not compress: the pack is larger than git sends in one piece.
fn noise(bytes: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}

#[test]
fn what_was_pushed_is_cloned() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.write("web/noise", noise(6 << 20, 1));
    for number in 0..300 {
        repository.write("web/index.html", format!("{number}\n"));
        repository.commit(&number.to_string());
        repository.tag(&format!("mark-{number}"));
    }
    server.push(&app, &repository, &["main", "mark-7", "mark-250"]);
    let clone = GitRepository::new();
    let fetch = |refspecs: &[&str]| {
        let fetched = clone.remote(server.token(), &[&["fetch", "--quiet", &app.git_url], refspecs].concat());
        assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    };
    fetch(&["--depth=1", "main"]);
    assert_eq!(clone.git(&["rev-list", "--count", "FETCH_HEAD"]), "1");
    fetch(&["--unshallow", "refs/heads/*:refs/remotes/origin/*", "refs/tags/*:refs/tags/*"]);
    assert_eq!(clone.git(&["rev-parse", "refs/remotes/origin/main"]), repository.head());
    assert_eq!(clone.git(&["rev-list", "--count", "refs/remotes/origin/main"]), "300");
    assert_eq!(clone.git(&["tag", "--list"]), "mark-250\nmark-7");
    clone.git(&["fsck", "--strict"]);

    // What came later is fetched on top; a clone with much of its own negotiates in a large request.
    repository.write("web/index.html", "later\n");
    server.publish(&app, &repository, "main", "later");
    fetch(&["refs/heads/*:refs/remotes/origin/*"]);
    assert_eq!(clone.git(&["rev-parse", "refs/remotes/origin/main"]), repository.head());
}

#[test]
fn branches_are_forced_and_deleted() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    let first = repository.head();
    repository.write("web/index.html", "two\n");
    server.publish(&app, &repository, "main", "two");
    repository.git(&["reset", "--quiet", "--hard", &first]);
    repository.write("web/index.html", "other two\n");
    let other = repository.commit("other two");
    let plain = repository.push(&app.git_url, server.token(), &["main"]);
    assert!(plain.code != 0 && plain.stderr.contains("rejected"), "{}", plain.stderr);
    server.push(&app, &repository, &["--force", "main"]);
    assert_eq!(server.wait_run("shop", &other)["version"], "0.1.0-main.3");
    server.push(&app, &repository, &["main:topic"]);
    server.push(&app, &repository, &[":topic"]);
    let heads = repository.remote(server.token(), &["ls-remote", "--heads", &app.git_url]).text();
    assert_eq!(heads, format!("{other}\trefs/heads/main\n"));
    // A shallow clone can push.
    let clone = GitRepository::new();
    assert_eq!(
        clone.remote(server.token(), &["fetch", "--quiet", "--depth=1", &app.git_url, "main"]).code,
        0
    );
    clone.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]);
    clone.write("web/index.html", "from a shallow clone\n");
    assert_eq!(server.publish(&app, &clone, "main", "shallow")["version"], "0.1.0-main.4");
}

#[test]
fn all_or_nothing_pushes_are_kept() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "one");
    let first = repository.head();
    repository.commit("two");
    server.push(&app, &repository, &["main"]);
    repository.git(&["reset", "--quiet", "--hard", &first]);
    repository.commit("other two");
    let pushed = repository.push(&app.git_url, server.token(), &["--atomic", "main", "main:topic"]);
    assert_ne!(pushed.code, 0);
    let heads = repository.remote(server.token(), &["ls-remote", "--heads", &app.git_url]).text();
    assert!(!heads.contains("topic"), "{heads}");
}

#[test]
fn of_two_pushes_to_one_branch_one_wins_and_both_are_told() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repositories: Vec<_> = (0..4)
        .map(|number| {
            let repository = shop();
            repository.write("web/index.html", format!("{number}\n"));
            repository.commit(&number.to_string());
            repository
        })
        .collect();
    let pushes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = repositories
            .iter()
            .map(|repository| repository.path().to_owned())
            .map(|path| {
                let (url, token) = (&app.git_url, server.token());
                scope.spawn(move || GitRepository::push_from(&path, url, token, &["main"]))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won: Vec<_> = (0..4).filter(|number| pushes[*number].code == 0).collect();
    assert_eq!(won.len(), 1, "{pushes:#?}");
    assert!(
        pushes.iter().filter(|push| push.code != 0).all(|push| push.stderr.contains("rejected")),
        "{pushes:#?}"
    );
    let heads = repositories[0].remote(server.token(), &["ls-remote", "--heads", &app.git_url]).text();
    assert!(heads.starts_with(&repositories[won[0]].head()), "{heads}");
    assert_eq!(server.wait_run("shop", &repositories[won[0]].head())["state"], "done");
    assert_eq!(server.json(&["run", "list", "--app", "shop"]).as_array().unwrap().len(), 1);
}

#[test]
fn refusals_say_what_is_wrong() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    repository.commit("one");
    let absent = app.git_url.replace("shop.git", "absent.git");
    let pushed = repository.push(&absent, server.token(), &["main"]);
    assert!(pushed.code != 0 && pushed.stderr.contains("absent"), "{}", pushed.stderr);
    let pushed = repository.push(&app.git_url, "", &["main"]);
    assert!(pushed.code != 0 && pushed.stderr.contains("Authentication failed"), "{}", pushed.stderr);
    for hidden in ["refs/notes/commits", "refs/meta/config", "refs/pull/1/head"] {
        let pushed = repository.push(&app.git_url, server.token(), &[&format!("main:{hidden}")]);
        assert!(pushed.code != 0 && pushed.stderr.contains("rejected"), "{hidden}: {}", pushed.stderr);
    }
    assert!(server.json(&["run", "list"]).as_array().unwrap().is_empty());
    server.cli(&["app", "delete", "shop", "--yes"]).ok();
    assert_ne!(repository.push(&app.git_url, server.token(), &["main"]).code, 0);
}

#[test]
fn a_deleted_application_made_again_goes_on_counting() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    let first = server.publish(&app, &repository, "main", "one");
    server.cli(&["app", "delete", "shop", "--yes"]).ok();
    let pulled = server.get(&format!("/v2/default/shop/manifests/{}", first["digest"].as_str().unwrap()));
    assert_eq!(pulled.status, 200, "its versions stay pullable");
    let again = server.create_app("shop");
    assert_eq!(server.publish(&again, &repository, "main", "two")["version"], "0.1.0-main.2");
}
