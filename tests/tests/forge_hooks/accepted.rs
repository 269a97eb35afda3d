//! What is sent by who knows the secret.

use chrono::Utc;
use serde_json::json;

use crate::payload::{
    ELSEWHERE, ZERO, forgejo_push, generic_push, gitea_push, github, github_push, gitlab_signed_push,
    gitlab_token_push,
};
use crate::world::World;

#[test]
fn every_forge_s_push_gives_one_run_of_the_commit_it_names() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let now = Utc::now().timestamp();
    for (name, actor) in
        [("github", "ada"), ("gitea", "ada"), ("forgejo", "ada"), ("gitlab", "ada"), ("generic", "ada")]
    {
        let git_ref = format!("refs/heads/of-{name}");
        let commit = world.change(&git_ref);
        let hook = match name {
            "github" => github_push(&secret, "72d3162e-cc78-11e3-81ab-4c9367dc0958", &git_ref, &commit),
            "gitea" => gitea_push(&secret, "f6266f16-1bf3-46a5-9ea4-602e06ead473", &git_ref, &commit),
            "forgejo" => forgejo_push(&secret, "a6266f16-1bf3-46a5-9ea4-602e06ead473", &git_ref, &commit),
            "gitlab" => {
                gitlab_signed_push(&secret, "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", now, &git_ref, &commit)
            }
            _ => generic_push(&secret, "1", &git_ref, &commit),
        };
        let delivery = world.deliver(&hook);
        assert_eq!(delivery["state"], "planned", "{delivery:#}");
        assert_eq!(delivery["origin"], name, "{delivery:#}");
        let run = world.assert_one_run(&commit, &git_ref);
        assert_eq!(run["actor"], actor, "{run:#}");
        assert_eq!(run["branch"], format!("of-{name}"), "{run:#}");
        assert_eq!(delivery["runs"], json!([run["id"]]));
    }
    assert!(!world.server.log().contains(&secret), "the secret is in the log");
    assert!(!world.server.log().contains(ELSEWHERE), "an address of a payload was looked at");
}

#[test]
fn tags_are_delivered_as_branches_are() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let now = Utc::now().timestamp();
    let first = world.change("refs/tags/v1.0.0");
    world.deliver(&github_push(&secret, "1", "refs/tags/v1.0.0", &first));
    let run = world.assert_one_run(&first, "refs/tags/v1.0.0");
    assert_eq!(run["version"], "1.0.0");
    let second = world.change("refs/tags/v1.1.0");
    world.deliver(&gitlab_signed_push(&secret, "2", now, "refs/tags/v1.1.0", &second));
    let run = world.assert_one_run(&second, "refs/tags/v1.1.0");
    assert_eq!(run["version"], "1.1.0");
}

#[test]
fn deliveries_in_the_wrong_order_both_get_their_run() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let first = world.change("refs/heads/main");
    let second = world.change("refs/heads/main");
    world.deliver(&github_push(&secret, "late", "refs/heads/main", &second));
    world.assert_one_run(&second, "main");
    let delivery = world.deliver(&github_push(&secret, "early", "refs/heads/main", &first));
    assert_eq!(delivery["state"], "planned", "{delivery:#}");
    world.assert_one_run(&first, "main");
    world.assert_one_run(&second, "main");
}

#[test]
fn a_repeated_delivery_starts_nothing_and_says_which_run_it_is_about() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let commit = world.change("refs/heads/main");
    let hook = github_push(&secret, "once", "refs/heads/main", &commit);
    let first = world.deliver(&hook);
    let run = world.assert_one_run(&commit, "main");

    let again = world.send(&hook);
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!((&again.json()["delivery"], &again.json()["state"]), (&first["id"], &json!("planned")));

    // A redelivery under another id, and another forge's word for the same push.
    for other in [
        github_push(&secret, "twice", "refs/heads/main", &commit),
        generic_push(&secret, "3", "refs/heads/main", &commit),
        gitlab_token_push(&secret, "4", "refs/heads/main", &commit),
    ] {
        let delivery = world.deliver(&other);
        assert_ne!(delivery["id"], first["id"]);
        assert_eq!(delivery["runs"], json!([run["id"]]), "{delivery:#}");
    }
    world.assert_one_run(&commit, "main");
    assert_eq!(world.deliveries().len(), 4);
}

#[test]
fn many_at_once_of_one_commit_start_one_run() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let commit = world.change("refs/heads/main");
    std::thread::scope(|scope| {
        for id in 0..16 {
            let (world, secret, commit) = (&world.server, &secret, &commit);
            scope.spawn(move || {
                let hook = github_push(secret, &format!("at-once-{id}"), "refs/heads/main", commit);
                let headers: Vec<(&str, &str)> =
                    hook.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let answer = world.request("POST", "/hooks/shop/github", &headers, &hook.body);
                assert_eq!(answer.status, 202, "{}", answer.text());
            });
        }
    });
    let run = world.assert_one_run(&commit, "main");
    for delivery in world.deliveries() {
        let settled = world.settled(delivery["id"].as_str().expect("an id"));
        assert_eq!(settled["runs"], json!([run["id"]]), "{settled:#}");
    }
}

#[test]
fn what_builds_nothing_is_answered_well_and_listed_with_the_reason() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let commit = world.change("refs/heads/main");
    let pull_request = json!({"action": "opened", "number": 1, "pull_request": {"head": {"sha": commit}}});
    let ignored = [
        (github(&secret, "ping", "1", &json!({"zen": "Keep it logically awesome."})), "ping"),
        (github(&secret, "pull_request", "2", &pull_request), "pull_request"),
        (github_push(&secret, "3", "refs/heads/old", ZERO), "deleted"),
        (github_push(&secret, "4", "refs/tags/v9.0.0", ZERO), "deleted"),
        (github_push(&secret, "5", "refs/notes/commits", &commit), "neither a branch nor a tag"),
        (github_push(&secret, "6", "refs/pull/1/head", &commit), "neither a branch nor a tag"),
        (gitlab_token_push(&secret, "7", "refs/heads/old", ZERO), "deleted"),
        (
            gitlab_token_push(&secret, "8", "refs/merge-requests/1/head", &commit),
            "neither a branch nor a tag",
        ),
    ];
    for (hook, reason) in &ignored {
        let answer = world.send(hook);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = answer.json();
        assert_eq!(said["state"], "ignored");
        assert!(said["reason"].as_str().unwrap_or_default().contains(reason), "{reason}: {said}");
        let listed = world.settled(said["delivery"].as_str().expect("an id"));
        assert_eq!((&listed["state"], &listed["reason"]), (&said["state"], &said["reason"]));
    }
    assert_eq!(world.deliveries().len(), ignored.len());
    assert_eq!(world.runs("shop", &commit), Vec::<serde_json::Value>::new());
}

#[test]
fn a_commit_marked_to_be_skipped_is_skipped() {
    let world = World::new();
    let commit = world.repository.commit("Fix a typo [skip ci]");
    world.upload(&commit, "refs/heads/main");
    world.deliver(&github_push(&world.app.webhook_secret, "1", "refs/heads/main", &commit));
    let run = world.server.wait_run("shop", &commit);
    assert_eq!(run["state"], "skipped", "{run:#}");
    assert!(run["reason"].as_str().unwrap_or_default().contains("[skip ci]"), "{run:#}");
}

#[test]
fn a_source_feeds_every_application_that_uses_it() {
    let world = World::new();
    world.server.create_app_with("other", &["--source", "shop", "--path", "other"]);
    let commit = world.change("refs/heads/main");
    let delivery = world.deliver(&github_push(&world.app.webhook_secret, "1", "refs/heads/main", &commit));
    assert_eq!(delivery["runs"].as_array().map(Vec::len), Some(2), "{delivery:#}");
    world.assert_one_run(&commit, "main");
    let other = world.server.wait_run("other", &commit);
    assert_eq!(other["state"], "done", "{other:#}");
    assert_eq!(world.runs("other", &commit).len(), 1);
}

#[test]
fn of_who_only_shows_a_token_nothing_but_the_ref_is_believed() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let old = world.change("refs/heads/main");
    let head = world.change("refs/heads/main");
    // The token may have leaked with any request: the body is anybody's.
    let delivery = world.deliver(&gitlab_token_push(&secret, "1", "refs/heads/main", &old));
    assert_eq!(delivery["commit"], json!(null), "{delivery:#}");
    assert_eq!(delivery["actor"], "gitlab", "{delivery:#}");
    let run = world.assert_one_run(&head, "main");
    assert_ne!(run["actor"], "ada", "{run:#}");
    assert_eq!(world.runs("shop", &old), Vec::<serde_json::Value>::new());
    let gone = world.deliver(&gitlab_token_push(&secret, "2", "refs/heads/never", &old));
    assert_eq!(gone["state"], "ignored", "{gone:#}");
}

#[test]
fn after_the_answer_a_killed_server_loses_nothing() {
    let mut world = World::new();
    let secret = world.app.webhook_secret.clone();
    let mut sent = Vec::new();
    for round in 0..5 {
        let git_ref = format!("refs/heads/round-{round}");
        let commit = world.change(&git_ref);
        let answer = world.send(&github_push(&secret, &format!("{round}"), &git_ref, &commit));
        assert_eq!(answer.status, 202, "{}", answer.text());
        world.server.kill9();
        sent.push((git_ref, commit));
        world.server.restart();
    }
    for (git_ref, commit) in sent {
        world.assert_one_run(&commit, &git_ref);
    }
}
