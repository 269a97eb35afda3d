//! What proves nothing starts nothing, and says why.

use chrono::Utc;
use serde_json::{Value, json};

use crate::payload::{
    Hook, forgejo_push, generic_push, gitea_push, github_push, gitlab_signed_push, gitlab_token_push,
};
use crate::world::World;

/// Asserts that a request is refused, kept with its reason, and starts nothing.
fn assert_refused(world: &World, hook: &Hook, status: u16, code: &str, reason: &str) {
    let before = refusals(world);
    let answer = world.send(hook);
    assert_eq!(answer.status, status, "{}: {}", hook.forge, answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem:#}");
    assert!(problem["detail"].as_str().unwrap_or_default().contains(reason), "{problem:#}");
    let after = refusals(world);
    assert_eq!(after["total"].as_u64(), before["total"].as_u64().map(|total| total + 1), "{after:#}");
    assert!(after["items"][0]["reason"].as_str().unwrap_or_default().contains(reason), "{after:#}");
    assert_eq!(after["items"][0]["address"], "127.0.0.1");
}

fn refusals(world: &World) -> Value {
    world.server.json(&["source", "refusals", "shop"])
}

#[test]
fn forged_truncated_oversized_and_replayed_requests_start_nothing_and_say_why() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    let commit = world.change("refs/heads/main");
    let main = "refs/heads/main";
    let now = Utc::now().timestamp();
    let mismatch = "does not fit";
    let of_each = |secret: &str| {
        [
            github_push(secret, "1", main, &commit),
            gitea_push(secret, "1", main, &commit),
            forgejo_push(secret, "1", main, &commit),
            gitlab_token_push(secret, "1", main, &commit),
            gitlab_signed_push(secret, "1", now, main, &commit),
            generic_push(secret, "1", main, &commit),
        ]
    };
    for hook in of_each("another secret") {
        assert_refused(&world, &hook, 401, "signature_invalid", mismatch);
    }
    for mut hook in of_each(&secret) {
        if hook.headers.iter().any(|(name, _)| name == "X-Gitlab-Token") {
            continue;
        }
        let mut forged = hook.clone();
        let text = String::from_utf8(forged.body).expect("JSON is UTF-8");
        forged.body = text.replace("ada", "eve").into_bytes();
        assert_refused(&world, &forged, 401, "signature_invalid", mismatch);
        hook.body.truncate(hook.body.len() - 2);
        assert_refused(&world, &hook, 401, "signature_invalid", mismatch);
    }
    let unsigned = github_push(&secret, "1", main, &commit).without("X-Hub-Signature-256");
    assert_refused(&world, &unsigned, 401, "signature_invalid", "X-Hub-Signature-256");
    let weak = unsigned.with("X-Hub-Signature", "sha1=0123");
    assert_refused(&world, &weak, 401, "signature_invalid", "X-Hub-Signature-256");
    for at in [now - 3_600, now + 3_600] {
        let replayed = gitlab_signed_push(&secret, "1", at, main, &commit);
        assert_refused(&world, &replayed, 401, "signature_invalid", "too far from now");
    }
    let mut oversized = github_push(&secret, "1", main, &commit);
    oversized.body.resize(6 << 20, b' ');
    assert_refused(&world, &oversized, 413, "body_too_large", "max_hook_body_bytes");

    assert_eq!(world.deliveries(), Vec::<Value>::new());
    assert_eq!(world.runs("shop", &commit), Vec::<Value>::new());
    let kept = refusals(&world).to_string();
    assert!(!kept.contains(&commit) && !kept.contains(&secret), "a body or secret was kept: {kept}");
}

#[test]
fn a_signed_body_that_is_no_push_is_refused_by_what_is_wrong_with_it() {
    let world = World::new();
    let secret = world.app.webhook_secret.clone();
    for body in ["{\"ref\": ", "[]", "null", "\u{0}"] {
        let mut hook = github_push(&secret, "1", "refs/heads/main", &"1".repeat(40));
        hook.body = body.as_bytes().to_vec();
        let signature = format!("sha256={}", crate::hmac::hex(&secret, &hook.body));
        let hook = hook.without("X-Hub-Signature-256").with("X-Hub-Signature-256", &signature);
        let answer = world.send(&hook);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_eq!(answer.json()["code"], "bad_payload");
    }
    assert_eq!(world.deliveries(), Vec::<Value>::new());
}

#[test]
fn a_source_that_does_not_exist_answers_as_one_that_does() {
    let world = World::new();
    let hook = github_push("another secret", "1", "refs/heads/main", &"1".repeat(40));
    let (known, unknown) = (world.send(&hook), world.send_to("nothing", &hook));
    assert_eq!(known.status, unknown.status);
    let told = |answer: &slipway_tests::server::Answer| {
        let mut problem = answer.json();
        problem["request_id"] = json!(null);
        let names: Vec<String> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        (problem.to_string().replace("nothing", "shop"), names)
    };
    assert_eq!(told(&known), told(&unknown));
}

#[test]
fn forges_that_come_later_are_refused_by_name() {
    let world = World::new();
    for forge in ["bitbucket", "gitee"] {
        let answer = world.server.request("POST", &format!("/hooks/shop/{forge}"), &[], b"{}");
        assert_eq!(answer.status, 501, "{}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["code"], "forge_not_supported");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(forge), "{problem:#}");
    }
    assert_eq!(world.server.request("POST", "/hooks/shop/unheard-of", &[], b"{}").status, 404);
}

#[test]
fn a_rotated_secret_ends_the_one_before() {
    let world = World::new();
    let old = world.app.webhook_secret.clone();
    let commit = world.change("refs/heads/main");
    let made = world.server.json(&["source", "rotate-secret", "shop"]);
    let new = made["webhook_secret"].as_str().expect("the new secret").to_owned();
    assert_refused(
        &world,
        &github_push(&old, "1", "refs/heads/main", &commit),
        401,
        "signature_invalid",
        "does not fit",
    );
    world.deliver(&github_push(&new, "2", "refs/heads/main", &commit));
    world.assert_one_run(&commit, "main");
}
