//! What each form may hold: a field that is misspelt is refused before anything is done.

use super::forms::Fields;
use super::origin;
use crate::problem::ApiError;

/// The most characters of a field's name that are repeated.
const SHOWN_CHARS_MAX: usize = 80;

/// The names of fields, in groups.
type Groups = &'static [&'static [&'static str]];

/// What the settings of an environment are filled in by.
const SETTINGS: &[&str] = &[
    "approvals_count",
    "approvals_of",
    "author_may",
    "checks",
    "create_namespace",
    "drift",
    "expire_after_hours",
    "follow_applications",
    "follow_branch",
    "follow_channel",
    "follow_from",
    "follow_range",
    "follow_selector",
    "follow_soak",
    "follow_windows",
    "gate_channels",
    "gate_checks",
    "gate_labels",
    "labels",
    "receiver",
    "soak_minutes",
    "upstream",
    "windows",
];

/// Refuses a form that holds a field which the forms sent to that route do not have.
pub(super) fn check(route: &str, fields: &Fields) -> Result<(), ApiError> {
    let Some(known) = known(route) else { return Ok(()) };
    let is_known = |name: &str| name == origin::FIELD || known.iter().any(|group| group.contains(&name));
    let Some(unknown) = fields.names().find(|name| !is_known(name)) else { return Ok(()) };
    let unknown: String = unknown.chars().take(SHOWN_CHARS_MAX).collect();
    let expected = listed(known);
    Err(ApiError::bad_request("bad_body", format!("unknown field `{unknown}`: {expected}")))
}

/// As a query's are told.
fn listed(known: Groups) -> String {
    let names = known.iter().flat_map(|group| group.iter());
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => "it takes none".to_owned(),
        [one] => format!("expected {one}"),
        [one, other] => format!("expected {one} or {other}"),
        several => format!("expected one of {}", several.join(", ")),
    }
}

/// The fields of the forms sent to a route; `None` where they are named by what is filled in.
fn known(route: &str) -> Option<Groups> {
    match route.strip_prefix("/infrastructure") {
        Some(route) => Some(of_infrastructure(route)),
        None => of_delivery(route),
    }
}

fn of_delivery(route: &str) -> Option<Groups> {
    let groups: Groups = match route {
        "/sign-in" => &[&["return_to", "token", "username"]],
        "/preferences" => &[&["language", "return_to", "theme", "times"]],
        "/applications" => &[&["name", "path", "source_url"]],
        "/applications/{application}/bundles/{version}/channels" => &[&["channel", "new_channel", "reason"]],
        "/applications/{application}/bundles/{version}/labels"
        | "/applications/{application}/packages/{component}/{version}/labels" => {
            &[&["act", "key", "new", "reason", "seen", "value"]]
        }
        "/deployments/{deployment}/{action}" => &[&["newest", "node", "reason", "revision", "target"]],
        "/deploy" => &[
            &["application", "branch", "bundle", "document", "environment"],
            &["newest", "reason", "revision"],
        ],
        "/deploy/configuration" | "/deploy/review" => {
            &[&["application", "branch", "bundle", "document", "environment"]]
        }
        "/deploy/part" => return None,
        _ => &[],
    };
    Some(groups)
}

fn of_infrastructure(route: &str) -> Groups {
    match route {
        "/new-environment" => &[&["name", "address"], SETTINGS],
        "/environments/{environment}/edit" => &[&["revision"], SETTINGS],
        "/environments/{environment}/settings" => &[&["document", "revision"]],
        "/new-cluster" => &[&["context", "kubeconfig", "labels", "name", "sensing"]],
        "/clusters/{cluster}/edit" => &[&["context", "kubeconfig", "labels", "replace", "sensing"]],
        "/clusters/{cluster}/cordon" => &[&["reason"]],
        "/definitions" => &[&["beside_builtin", "reference"]],
        "/definitions/{kind}/{name}/hold" => &[&["application", "major", "version"]],
        "/definitions/{kind}/{name}/release" => &[&["application", "version"]],
        "/new-addon" => {
            &[&["definition", "environment", "name", "owner", "properties"], &["team", "version"]]
        }
        "/addons/{addon}/edit" => &[&["owner", "properties", "team", "version"]],
        "/addons/{addon}/protection" => &[&["protected"]],
        "/addons/{addon}/bind" => &[&["application", "environment", "prefix"]],
        "/addons/{addon}/unbind" => &[&["application", "confirmed", "environment"]],
        "/secrets" => &[&["application", "environment", "name", "team", "value"]],
        "/secrets/{secret}/rotate" => &[&["reason", "restart", "value"]],
        "/tokens" => &[&["application", "break_glass", "days", "name", "person", "role"]],
        "/audit/verify" => &[&["broken_at", "digest", "entries", "from", "newest"]],
        "/addons/{addon}/release"
        | "/clusters/{cluster}/remove"
        | "/definitions/{kind}/{name}/{version}/remove"
        | "/environments/{environment}/remove"
        | "/secrets/{secret}/remove"
        | "/sources/{source}/webhook-secret"
        | "/tokens/{token}/revoke" => &[&["confirmed"]],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_refused_with_those_that_are_known() {
        for (route, form, said) in [
            ("/applications", "form_token=x&nmae=a", "expected one of `name`, `path`, `source_url`"),
            ("/sign-out", "nmae=a", "it takes none"),
            ("/infrastructure/definitions", "nmae=a", "expected `beside_builtin` or `reference`"),
            ("/infrastructure/tokens/{token}/revoke", "nmae=a", "expected `confirmed`"),
        ] {
            let refused = check(route, &Fields::read(form)).unwrap_err();
            assert_eq!(refused.detail(), format!("unknown field `nmae`: {said}"), "{route}");
        }
        for (route, form) in [
            ("/applications", "form_token=x&name=a&path="),
            ("/sign-out", "form_token=x"),
            ("/infrastructure/new-environment", "name=a&drift=correct"),
            ("/deploy/part", "p/replicas=3"),
        ] {
            assert!(check(route, &Fields::read(form)).is_ok(), "{route}");
        }
    }
}
