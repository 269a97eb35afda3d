//! What people say to a deployment: yes, no, and never mind the gates.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::target::{self, Target};
use super::view::{self, name_of, state_of};
use crate::client::Client;
use crate::command::Global;
use crate::output::{ago, say, text};

fn path(deployment: &Value, what: &str) -> String {
    format!("/api/v1/deployments/{}/{what}", text(&deployment["id"]))
}

/// Approves the revision that is there now, after showing what that is.
pub(super) async fn approve(
    client: &Client,
    target: &Target,
    expected: Option<&str>,
    reason: Option<String>,
    global: &Global,
) -> Result<()> {
    let deployment = target.view(client).await?;
    let name = name_of(&deployment);
    let Some(revision) = deployment["revision"].as_str() else {
        bail!(nothing_to_approve(&deployment));
    };
    if expected.is_some_and(|expected| expected != revision) {
        bail!("{name} has the revision {revision} now: look at it with `slipway deploy show {name}`");
    }
    let made = format!("made by {}, {}", text(&deployment["created_by"]), ago(&deployment["created_at"]));
    say(format!("Approving {name}: bundle {}, {made}, revision {revision}", text(&deployment["bundle"])));
    let mut body = json!({"revision": revision});
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    client.post(&path(&deployment, "approve"), &body).await?;
    told(client, &deployment, global).await
}

/// Why there is no revision: none was made yet, or none will be.
fn nothing_to_approve(deployment: &Value) -> String {
    let (name, state) = (name_of(deployment), state_of(deployment));
    match deployment["state"].as_str() {
        Some("draft") => format!("{name} has no revision to approve yet: it is {state}"),
        _ => format!("{name} cannot be approved, it was {state}. See why: slipway deploy show {name}"),
    }
}

/// Says no.
pub(super) async fn decline(
    client: &Client,
    target: &Target,
    reason: Option<String>,
    global: &Global,
) -> Result<()> {
    let deployment = target.view(client).await?;
    let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    client.post(&path(&deployment, "decline"), &body).await?;
    told(client, &deployment, global).await
}

/// Takes it back.
pub(super) async fn withdraw(client: &Client, target: &Target, global: &Global) -> Result<()> {
    let deployment = target.view(client).await?;
    client.post(&path(&deployment, "withdraw"), &json!({})).await?;
    told(client, &deployment, global).await
}

/// Goes past closed gates.
pub(super) async fn break_glass(
    client: &Client,
    target: &Target,
    reason: &str,
    global: &Global,
) -> Result<()> {
    let deployment = target.view(client).await?;
    for gate in deployment["gates"].as_array().into_iter().flatten().filter(|gate| gate["open"] != true) {
        say(format!("Going past {}: {}", text(&gate["gate"]), text(&gate["detail"])));
    }
    client.post(&path(&deployment, "break-glass"), &json!({"reason": reason})).await?;
    told(client, &deployment, global).await
}

/// Tells the receiver something about a deployment that it has.
pub(super) async fn order(
    client: &Client,
    target: &Target,
    word: &str,
    node: Option<String>,
    reason: Option<String>,
    global: &Global,
) -> Result<()> {
    let deployment = target.view(client).await?;
    let mut body = json!({});
    for (key, value) in [("node", node), ("reason", reason)] {
        if let Some(value) = value {
            body[key] = value.into();
        }
    }
    client.post(&path(&deployment, word), &body).await?;
    told(client, &deployment, global).await
}

/// Says where it stands now.
async fn told(client: &Client, before: &Value, global: &Global) -> Result<()> {
    let now = target::view(client, &text(&before["id"])).await?;
    let name = name_of(&now);
    global.tell(&now, stands(&now));
    view::waiting_orders(&now).into_iter().for_each(say);
    if matches!(
        now["state"].as_str(),
        Some("awaiting" | "approved" | "handed_off" | "progressing" | "terminating")
    ) {
        say(format!("Watch it: slipway deploy watch {name}"));
    }
    Ok(())
}

/// Where it stands. Of gates the state tells what was closed when they were last asked, which was before the
/// word; beside it the server shows how they stand now.
fn stands(deployment: &Value) -> String {
    let name = name_of(deployment);
    let gates = deployment["gates"].as_array().map(Vec::as_slice).unwrap_or_default();
    if deployment["state"] != "awaiting" || gates.is_empty() {
        return format!("{name} is {}", state_of(deployment));
    }
    let closed: Vec<String> =
        gates.iter().filter(|gate| gate["open"] != true).map(|gate| text(&gate["detail"])).collect();
    if closed.is_empty() {
        return format!("{name}: every gate is open, so it goes on");
    }
    format!("{name} is awaiting: {}", closed.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(state: &str, gates: &Value) -> Value {
        json!({
            "application": "shop", "environment": "prod", "generation": 7, "state": state,
            "reason": "0 of 1 approvals; outside of mon", "gates": gates,
        })
    }

    #[test]
    fn gates_are_told_as_they_are_after_the_word() {
        let approved = json!({"gate": "approvals", "open": true, "detail": "1 of 1 approvals (ann)"});
        let shut = json!({"gate": "window", "open": false, "detail": "outside of mon"});
        let waits = deployment("awaiting", &json!([approved, shut]));
        assert_eq!(stands(&waits), "shop@prod#7 is awaiting: outside of mon");
        let open = deployment("awaiting", &json!([approved]));
        assert_eq!(stands(&open), "shop@prod#7: every gate is open, so it goes on");
    }

    #[test]
    fn what_has_no_revision_is_told_as_it_stands() {
        let rejected = nothing_to_approve(&deployment("rejected", &json!([])));
        assert!(rejected.starts_with("shop@prod#7 cannot be approved, it was rejected: "), "{rejected}");
        assert!(rejected.ends_with("See why: slipway deploy show shop@prod#7"), "{rejected}");
        assert!(nothing_to_approve(&deployment("draft", &json!([]))).contains("yet"));
    }

    #[test]
    fn other_states_tell_their_own_reason() {
        let wanted = "shop@prod#7 is declined: 0 of 1 approvals; outside of mon";
        assert_eq!(stands(&deployment("declined", &json!([]))), wanted);
    }
}
