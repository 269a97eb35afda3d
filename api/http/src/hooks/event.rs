//! What a verified webhook says.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use slipway_records::Origin;
use slipway_types::{CommitId, GitRef, json_words};
use url::form_urlencoded;

use super::forge::{Endpoint, first};
use super::signature::Proof;
use crate::problem::ApiError;

/// The longest actor, event or id kept, in characters.
const WORD_CHARS_MAX: usize = 100;

/// An event, as far as its sender is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) origin: Origin,
    /// In the sender's words.
    pub(super) name: String,
    /// The sender's own id, by which repeats are known.
    pub(super) external_id: Option<String>,
    pub(super) actor: String,
    pub(super) action: EventAction,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventAction {
    /// A branch or tag moved.
    Push {
        git_ref: GitRef,
        /// `None`: the mirror decides.
        commit: Option<CommitId>,
    },
    /// Nothing is built for it.
    Nothing { git_ref: Option<GitRef>, reason: String },
}

#[derive(Debug, Deserialize)]
struct Commit {
    id: String,
}

/// A push as GitHub, Gitea and Forgejo send it.
#[derive(Debug, Deserialize)]
struct Push {
    r#ref: String,
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<Commit>,
    pusher: Option<serde_json::Value>,
    sender: Option<serde_json::Value>,
}

/// A push as GitLab sends it.
#[derive(Debug, Deserialize)]
struct GitlabPush {
    object_kind: Option<String>,
    event_name: Option<String>,
    r#ref: Option<String>,
    after: Option<String>,
    checkout_sha: Option<String>,
    user_username: Option<String>,
}

/// A push as one's own scripts send it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenericPush {
    r#ref: String,
    commit: Option<CommitId>,
    actor: Option<String>,
}

/// Reads a verified body.
pub(super) fn read(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &[u8],
    proof: Proof,
) -> Result<Event, ApiError> {
    let origin = endpoint.origin(headers);
    match endpoint {
        Endpoint::Gitlab => gitlab(headers, body, proof),
        Endpoint::Generic => generic(headers, body),
        Endpoint::Github | Endpoint::Gitea => hub(origin, headers, body),
    }
}

/// JSON, also where the forge was told to send it as a form.
fn json<T: for<'de> Deserialize<'de>>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let bad = |error: serde_json::Error| {
        let message = error.to_string();
        let why = if error.is_data() { json_words::data(&message) } else { json_words::syntax(&message) };
        ApiError::bad_request("bad_payload", format!("the body: {why}"))
    };
    let form = first(headers, &[CONTENT_TYPE.as_str()])
        .is_some_and(|content| content.starts_with("application/x-www-form-urlencoded"));
    if !form {
        return serde_json::from_slice(body).map_err(bad);
    }
    let payload = form_urlencoded::parse(body).find(|(key, _)| key == "payload").map(|(_, value)| value);
    let payload = payload.ok_or_else(|| ApiError::bad_request("bad_payload", "the form has no `payload`"))?;
    serde_json::from_str(&payload).map_err(bad)
}

fn word(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORD_CHARS_MAX).collect()
}

fn header_word(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    first(headers, names).map(word).filter(|word| !word.is_empty())
}

/// A moved ref, or why its move builds nothing.
fn moved(name: &str, deleted: bool, commit: Option<CommitId>) -> EventAction {
    let Ok(git_ref) = name.parse::<GitRef>() else {
        let name: String = word(name);
        return EventAction::Nothing {
            git_ref: None,
            reason: format!("`{name}` is neither a branch nor a tag"),
        };
    };
    if deleted {
        let reason = format!("`{git_ref}` was deleted");
        return EventAction::Nothing { git_ref: Some(git_ref), reason };
    }
    EventAction::Push { git_ref, commit }
}

fn not_built(event: &str) -> EventAction {
    EventAction::Nothing { git_ref: None, reason: format!("events `{event}` build nothing, only pushes do") }
}

fn is_zero(id: Option<&str>) -> bool {
    id.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b == b'0'))
}

fn hub(origin: Origin, headers: &HeaderMap, body: &[u8]) -> Result<Event, ApiError> {
    let (events, ids): (&[&str], &[&str]) = match origin {
        Origin::Forgejo => (&["x-forgejo-event"], &["x-forgejo-delivery", "x-gitea-delivery"]),
        Origin::Gitea => (&["x-gitea-event", "x-gogs-event"], &["x-gitea-delivery", "x-gogs-delivery"]),
        _ => (&["x-github-event"], &["x-github-delivery"]),
    };
    let name = header_word(headers, events)
        .ok_or_else(|| ApiError::bad_request("bad_header", format!("the header {} is missing", events[0])))?;
    let external_id = header_word(headers, ids);
    let nobody = || origin.word().to_owned();
    if name != "push" {
        let action = not_built(&name);
        return Ok(Event { origin, external_id, actor: nobody(), action, name });
    }
    let push: Push = json(headers, body)?;
    let deleted = push.deleted || is_zero(push.after.as_deref());
    // `after` of an annotated tag is the tag object; the head commit is what is built.
    let head = push.head_commit.as_ref().map(|commit| commit.id.as_str());
    let head = head.or(push.after.as_deref().filter(|_| push.r#ref.starts_with("refs/heads/")));
    let commit = head.and_then(|id| id.parse().ok());
    let actor = [&push.pusher, &push.sender].into_iter().flatten().find_map(person);
    let action = moved(&push.r#ref, deleted, commit);
    Ok(Event { origin, name, external_id, actor: actor.unwrap_or_else(nobody), action })
}

/// A person's name; Gitea's people have both `login` and `username`.
fn person(value: &serde_json::Value) -> Option<String> {
    ["login", "username", "name"]
        .iter()
        .find_map(|key| value.get(key)?.as_str().map(word).filter(|name| !name.is_empty()))
}

fn gitlab(headers: &HeaderMap, body: &[u8], proof: Proof) -> Result<Event, ApiError> {
    let push: GitlabPush = json(headers, body)?;
    let name = push.object_kind.or(push.event_name).map(|kind| word(&kind));
    let name = name.or_else(|| header_word(headers, &["x-gitlab-event"])).unwrap_or_else(|| "unknown".into());
    // `X-Gitlab-Event-UUID` is shared by events that follow from each other and tells no repeats.
    let external_id = header_word(headers, &["webhook-id", "idempotency-key"]);
    let believed = proof == Proof::Body;
    let actor = push.user_username.map(|user| word(&user)).filter(|user| believed && !user.is_empty());
    let action = match push.r#ref {
        Some(git_ref) if matches!(name.as_str(), "push" | "tag_push") => {
            let deleted = is_zero(push.after.as_deref());
            let commit = push.checkout_sha.filter(|_| believed).and_then(|id| id.parse().ok());
            moved(&git_ref, deleted, commit)
        }
        _ => not_built(&name),
    };
    let actor = actor.unwrap_or_else(|| Origin::Gitlab.word().to_owned());
    Ok(Event { origin: Origin::Gitlab, name, external_id, actor, action })
}

fn generic(headers: &HeaderMap, body: &[u8]) -> Result<Event, ApiError> {
    let push: GenericPush = json(headers, body)?;
    let deleted = push.commit.as_ref().is_some_and(CommitId::is_zero);
    let action = moved(&push.r#ref, deleted, push.commit);
    let actor = push.actor.map(|actor| word(&actor)).filter(|actor| !actor.is_empty());
    Ok(Event {
        origin: Origin::Generic,
        name: "push".to_owned(),
        external_id: header_word(headers, &["x-slipway-delivery"]),
        actor: actor.unwrap_or_else(|| Origin::Generic.word().to_owned()),
        action,
    })
}
