//! What a request to an API server came to.

use std::time::Duration;

use kube::core::Status;
use kube::core::response::StatusCause;
use slipway_types::fault::chain;

use crate::breaker::Outage;

/// The part of an API server's words that is shown to people, in characters.
const SAID_CHARS_MAX: usize = 300;
/// How many of the fields that are wrong are named.
const CAUSES_MAX: usize = 3;

/// What an HTTP client says where a name leads to no address.
const NO_ADDRESS: &str = "dns error";
/// What people are told of that.
const UNRESOLVED: &str = "the host's name of its API server cannot be resolved";

/// Whether that is why a cluster is away.
pub fn is_unresolved(why: &str) -> bool {
    why.starts_with(UNRESOLVED)
}

/// Why a request did not give what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The API server is away or overloaded: ask again.
    #[error("{0}")]
    Away(String),
    /// It has given no answer for a while, so it was not asked: ask again once it was.
    #[error("{0}")]
    Unreachable(Outage),
    /// It said no.
    #[error("{} {}", .0.code, .0.message)]
    Refused(Box<Status>),
}

impl CallError {
    /// What an error of the client means.
    pub fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if passes(&status) => {
                Self::Away(format!("{} {}", status.code, status.message))
            }
            kube::Error::Api(status) => Self::Refused(status),
            other => {
                let why = chain(&other);
                Self::Away(if why.contains(NO_ADDRESS) { format!("{UNRESOLVED}: {why}") } else { why })
            }
        }
    }

    /// Whether the name of the API server's host leads to no address.
    pub fn is_unresolved(&self) -> bool {
        match self {
            Self::Away(why) => is_unresolved(why),
            Self::Unreachable(outage) => is_unresolved(&outage.why),
            Self::Refused(_) => false,
        }
    }

    /// Nothing came within `limit`.
    pub(crate) fn no_answer(limit: Duration) -> Self {
        Self::Away(format!("no answer within {} ms", limit.as_millis()))
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.has_code(404)
    }

    /// The fields that make an object invalid, as the API server writes them: `spec.containers[0].image`. `None` if
    /// that is not why it said no.
    pub fn invalid_fields(&self) -> Option<Vec<&str>> {
        let Self::Refused(status) = self else { return None };
        let causes = status.details.as_ref().filter(|_| status.code == 422)?.causes.iter();
        Some(causes.map(|cause| cause.field.as_str()).collect())
    }

    /// Whether a right is missing, which the message names.
    pub fn is_forbidden(&self) -> bool {
        self.has_code(403)
    }

    pub(crate) fn has_code(&self, code: u16) -> bool {
        matches!(self, Self::Refused(status) if status.code == code)
    }

    /// The next step after a refusal, where the API server's words leave it open and it is known.
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Refused(status) => way_out(status),
            Self::Away(_) | Self::Unreachable(_) => None,
        }
    }

    /// What to tell people: one short line that names what is wrong and, where that is known, the next
    /// step.
    pub fn says(&self) -> String {
        let said = match self {
            Self::Away(why) => why.clone(),
            Self::Unreachable(outage) => outage.told(),
            Self::Refused(status) => refusal(status),
        };
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(SAID_CHARS_MAX) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        }
    }
}

/// The name of the namespace, if that is what is not there.
pub(crate) fn missing_namespace(status: &Status) -> Option<&str> {
    let details = status.details.as_ref().filter(|details| details.kind == "namespaces")?;
    (status.code == 404).then_some(details.name.as_str())
}

/// Ports are told apart by number and protocol, whose default older servers do not put in before they apply
/// (<https://github.com/kubernetes-sigs/structured-merge-diff/issues/130>).
fn way_out(status: &Status) -> Option<&'static str> {
    let lacks_protocol = status.message.contains("omits key field \"protocol\"");
    lacks_protocol.then_some("write `protocol: TCP`, or what it is; this cluster's version asks for it")
}

fn refusal(status: &Status) -> String {
    let message = &status.message;
    if let Some(way_out) = way_out(status) {
        return format!("{message}: {way_out}");
    }
    match status.code {
        401 => "it does not know the credential: renew it in the kubeconfig".to_owned(),
        403 if message.contains("is forbidden: User ") => {
            format!("{message}: give the user of its kubeconfig this right")
        }
        404 => match missing_namespace(status) {
            Some(name) => format!("there is no namespace {name}: create it"),
            None => message.clone(),
        },
        422 => invalid(status),
        _ => format!("{message} ({})", status.code),
    }
}

/// The first of the fields that are wrong.
fn invalid(status: &Status) -> String {
    let Some(details) = status.details.as_ref().filter(|details| !details.causes.is_empty()) else {
        return status.message.clone();
    };
    let told: Vec<String> = details.causes.iter().take(CAUSES_MAX).map(cause).collect();
    let more = match details.causes.len().saturating_sub(CAUSES_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{} {} is invalid: {}{more}", details.kind, details.name, told.join("; "))
}

fn cause(cause: &StatusCause) -> String {
    if cause.field.is_empty() { cause.message.clone() } else { format!("{}: {}", cause.field, cause.message) }
}

/// Whether what the API server said holds for now alone: overload, a full quota, a change by another.
fn passes(status: &Status) -> bool {
    match status.code {
        // What older servers say of an object that is not of its kind's shape.
        500 if status.message.contains("failed to create typed patch object") => false,
        403 => status.message.contains("exceeded quota"),
        409 => status.reason == "Conflict",
        code => code == 429 || code >= 500,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_name_that_cannot_be_resolved_is_told_as_one() {
        let away = |why: &str| CallError::of(kube::Error::Service(why.to_owned().into()));
        let unresolved = away("client error (Connect): dns error: failed to lookup address information");
        assert!(unresolved.is_unresolved(), "{unresolved}");
        assert!(unresolved.says().contains("cannot be resolved"), "{unresolved}");
        assert!(!away("client error (Connect): tcp connect error").is_unresolved());
    }

    fn says(status: Value) -> String {
        let status: Status = serde_json::from_value(status).expect("a status");
        CallError::of(kube::Error::Api(status.boxed())).says()
    }

    #[test]
    fn people_are_told_what_is_wrong_and_the_next_step() {
        let namespace = json!({
            "code": 404, "reason": "NotFound", "message": "namespaces \"shop\" not found",
            "details": {"name": "shop", "kind": "namespaces"},
        });
        assert_eq!(says(namespace), "there is no namespace shop: create it");
        let right = says(json!({
            "code": 403, "reason": "Forbidden",
            "message": "configmaps is forbidden: User \"slipway\" cannot list resource \"configmaps\"",
        }));
        assert!(right.ends_with("\"configmaps\": give the user of its kubeconfig this right"), "{right}");
        let webhook = says(json!({
            "code": 403, "message": "admission webhook \"guard.test\" denied the request: no\n tag",
        }));
        assert_eq!(webhook, "admission webhook \"guard.test\" denied the request: no tag (403)");
        let port = says(json!({
            "code": 500,
            "message": "failed to create typed patch object: .spec.ports: element 0: associative list with keys has an element that omits key field \"protocol\" (and doesn't have default value)",
        }));
        assert!(
            port.ends_with("write `protocol: TCP`, or what it is; this cluster's version asks for it"),
            "{port}"
        );
    }

    #[test]
    fn of_many_wrong_fields_the_first_are_named() {
        let causes: Vec<Value> = (0..5)
            .map(|number| json!({"field": format!("spec.f{number}"), "message": "Required value"}))
            .collect();
        let told = says(json!({
            "code": 422, "reason": "Invalid", "message": "a long list",
            "details": {"name": "web", "kind": "Deployment", "causes": causes},
        }));
        let expected = "Deployment web is invalid: spec.f0: Required value; spec.f1: Required value; \
                        spec.f2: Required value; and 2 more";
        assert_eq!(told, expected);
        assert_eq!(says(json!({"code": 422, "message": "as it is"})), "as it is");
    }

    #[test]
    fn the_fields_that_make_an_object_invalid_are_known() {
        let error = |status: Value| {
            let status: Status = serde_json::from_value(status).expect("a status");
            CallError::of(kube::Error::Api(status.boxed()))
        };
        let invalid = error(json!({
            "code": 422, "reason": "Invalid",
            "details": {"causes": [{"field": "spec.strategy.rollingUpdate", "message": "Forbidden"}]},
        }));
        assert_eq!(invalid.invalid_fields(), Some(vec!["spec.strategy.rollingUpdate"]));
        assert_eq!(error(json!({"code": 403, "reason": "Forbidden"})).invalid_fields(), None);
        assert_eq!(CallError::Away("no route".to_owned()).invalid_fields(), None);
    }

    #[test]
    fn what_people_are_told_is_short() {
        let told = says(json!({"code": 422, "message": "ö".repeat(1000)}));
        assert_eq!(told.chars().count(), SAID_CHARS_MAX + 1);
    }

    #[test]
    fn what_holds_for_now_alone_is_asked_again() {
        let kept = |code: u16, reason: &str, message: &str| {
            let status = json!({"code": code, "reason": reason, "message": message});
            let status: Status = serde_json::from_value(status).expect("a status");
            matches!(CallError::of(kube::Error::Api(status.boxed())), CallError::Refused(_))
        };
        assert!(!kept(409, "Conflict", "the object has been modified"));
        assert!(!kept(403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: q"));
        assert!(!kept(503, "ServiceUnavailable", "") && !kept(429, "TooManyRequests", ""));
        assert!(kept(409, "AlreadyExists", "it exists"));
        assert!(kept(500, "", "failed to create typed patch object: .spec"));
        assert!(kept(422, "Invalid", "") && kept(403, "Forbidden", "no"));
    }
}
