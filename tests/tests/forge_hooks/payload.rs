//! Bodies and headers in the shapes that the forges document.

use serde_json::{Value, json};

use crate::hmac;

pub(crate) const ZERO: &str = "0000000000000000000000000000000000000000";
/// Where a lying payload says the repository is.
pub(crate) const ELSEWHERE: &str = "https://elsewhere.example/evil.git";

/// A request to a webhook address.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) forge: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Hook {
    fn new(forge: &'static str, headers: &[(&str, &str)], body: &Value) -> Self {
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        Self { forge, headers, body: body.to_string().into_bytes() }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }
}

fn commit(id: &str) -> Value {
    json!({
        "id": id, "tree_id": "1".repeat(40), "distinct": true, "message": "Change\n",
        "timestamp": "2026-01-02T03:04:05+01:00", "url": format!("{ELSEWHERE}/commit/{id}"),
        "author": {"name": "Ada", "email": "ada@example.com", "username": "ada"},
        "committer": {"name": "Ada", "email": "ada@example.com", "username": "ada"},
        "added": [], "removed": [], "modified": ["web/index.html"],
    })
}

/// A push as GitHub describes it; `after` of zeros is a deletion.
pub(crate) fn github_push(secret: &str, id: &str, git_ref: &str, after: &str) -> Hook {
    let deleted = after == ZERO;
    let body = json!({
        "ref": git_ref, "before": "2".repeat(40), "after": after, "base_ref": null,
        "created": false, "deleted": deleted, "forced": false, "compare": ELSEWHERE,
        "commits": if deleted { json!([]) } else { json!([commit(after)]) },
        "head_commit": if deleted { Value::Null } else { commit(after) },
        "repository": {"id": 1, "full_name": "ada/shop", "private": true, "clone_url": ELSEWHERE,
            "ssh_url": "git@elsewhere.example:evil.git", "default_branch": "main"},
        "pusher": {"name": "ada", "email": "ada@example.com"},
        "sender": {"login": "ada", "id": 7, "type": "User"},
    });
    github(secret, "push", id, &body)
}

/// Any event of GitHub.
pub(crate) fn github(secret: &str, event: &str, id: &str, body: &Value) -> Hook {
    let hook = Hook::new(
        "github",
        &[("User-Agent", "GitHub-Hookshot/044aadd"), ("X-GitHub-Event", event), ("X-GitHub-Delivery", id)],
        body,
    )
    .with("X-GitHub-Hook-ID", "292430182");
    let signature = format!("sha256={}", hmac::hex(secret, &hook.body));
    hook.with("X-Hub-Signature-256", &signature)
}

/// A push as Gitea describes it.
pub(crate) fn gitea_push(secret: &str, id: &str, git_ref: &str, after: &str) -> Hook {
    let person =
        json!({"id": 1, "login": "ada", "full_name": "Ada", "email": "ada@example.com", "username": "ada"});
    let body = json!({
        "ref": git_ref, "before": "2".repeat(40), "after": after, "compare_url": ELSEWHERE,
        "commits": [commit(after)], "total_commits": 1, "head_commit": commit(after),
        "repository": {"id": 140, "full_name": "ada/shop", "clone_url": ELSEWHERE},
        "pusher": person, "sender": person,
    });
    let hook = Hook::new("gitea", &[], &body);
    let bare = hmac::hex(secret, &hook.body);
    [
        ("X-GitHub-Delivery", id),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Event-Type", "push"),
        ("X-Gitea-Delivery", id),
        ("X-Gitea-Event", "push"),
        ("X-Gitea-Event-Type", "push"),
        ("X-Gitea-Signature", &bare),
        ("X-Gogs-Delivery", id),
        ("X-Gogs-Event", "push"),
        ("X-Gogs-Event-Type", "push"),
        ("X-Gogs-Signature", &bare),
        ("X-Hub-Signature", "sha1=0000000000000000000000000000000000000000"),
        ("X-Hub-Signature-256", &format!("sha256={bare}")),
    ]
    .into_iter()
    .fold(hook, |hook, (name, value)| hook.with(name, value))
}

/// A push as Forgejo sends it: Gitea's, and its own headers beside.
pub(crate) fn forgejo_push(secret: &str, id: &str, git_ref: &str, after: &str) -> Hook {
    let hook = gitea_push(secret, id, git_ref, after);
    let bare = hmac::hex(secret, &hook.body);
    hook.with("X-Forgejo-Delivery", id)
        .with("X-Forgejo-Event", "push")
        .with("X-Forgejo-Event-Type", "push")
        .with("X-Forgejo-Signature", &bare)
}

/// GitLab's body of a push.
fn gitlab_body(git_ref: &str, after: &str) -> Value {
    let kind = if git_ref.starts_with("refs/tags/") { "tag_push" } else { "push" };
    json!({
        "object_kind": kind, "event_name": kind, "before": "2".repeat(40), "after": after, "ref": git_ref,
        "ref_protected": true, "checkout_sha": if after == ZERO { Value::Null } else { json!(after) },
        "message": null, "user_id": 4, "user_name": "Ada", "user_username": "ada", "user_email": "",
        "project_id": 15, "project": {"id": 15, "git_http_url": ELSEWHERE, "default_branch": "main"},
        "commits": [commit(after)], "total_commits_count": 1, "push_options": {},
        "repository": {"name": "shop", "git_http_url": ELSEWHERE},
    })
}

fn gitlab_hook(id: &str, git_ref: &str, after: &str) -> Hook {
    let event = if git_ref.starts_with("refs/tags/") { "Tag Push Hook" } else { "Push Hook" };
    Hook::new(
        "gitlab",
        &[
            ("User-Agent", "GitLab/18.3.0"),
            ("X-Gitlab-Event", event),
            ("X-Gitlab-Instance", "https://gitlab.example"),
            ("X-Gitlab-Webhook-UUID", "02affd2d-2cba-4033-917d-ec22d5dc4b38"),
            ("X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e"),
            ("Idempotency-Key", id),
        ],
        &gitlab_body(git_ref, after),
    )
}

/// A push as GitLab sends it with a secret token: the token itself, in a header.
pub(crate) fn gitlab_token_push(secret: &str, id: &str, git_ref: &str, after: &str) -> Hook {
    gitlab_hook(id, git_ref, after).with("X-Gitlab-Token", secret)
}

/// A push as GitLab signs it.
pub(crate) fn gitlab_signed_push(secret: &str, id: &str, at: i64, git_ref: &str, after: &str) -> Hook {
    let hook = gitlab_hook(id, git_ref, after);
    let signature = hmac::standard_webhook(secret, id, at, &hook.body);
    hook.with("webhook-id", id)
        .with("webhook-timestamp", &at.to_string())
        .with("webhook-signature", &signature)
}

/// A push as a script of one's own tells it.
pub(crate) fn generic_push(secret: &str, id: &str, git_ref: &str, commit: &str) -> Hook {
    let body = json!({"ref": git_ref, "commit": commit, "actor": "ada"});
    let hook = Hook::new("generic", &[("X-Slipway-Delivery", id)], &body);
    let signature = format!("sha256={}", hmac::hex(secret, &hook.body));
    hook.with("X-Slipway-Signature", &signature)
}
