//! `slipway deploy objects`: how a deployment's objects stand in its cluster now.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::target::Target;
use crate::client::Client;
use crate::command::Global;
use crate::output::{age, data, json as print_json, one_line, say, table, text};

/// So many events of an object that is not ready are shown.
const EVENTS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct ObjectsArgs {
    #[command(flatten)]
    target: Target,
    /// Of this node; of all if absent
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

/// Asks for all objects, part by part, and shows them.
pub(super) async fn run(client: &Client, args: &ObjectsArgs, global: &Global) -> Result<()> {
    let path = format!("/api/v1/deployments/{}/objects", args.target.id(client).await?);
    let (mut objects, mut notes, mut from) = (Vec::new(), Vec::new(), 0);
    let asked_at = loop {
        let mut query: Vec<(&str, String)> = Vec::new();
        query.extend(args.node.clone().map(|node| ("node", node)));
        if from > 0 {
            query.push(("from", from.to_string()));
        }
        let found = client.get(&path, &query).await?;
        objects.extend(found["objects"].as_array().cloned().unwrap_or_default());
        notes.extend(found["notes"].as_array().cloned().unwrap_or_default());
        // Whatever a server says, it ends.
        match found["next"].as_u64().filter(|next| *next > from) {
            Some(next) => from = next,
            None => break found["asked_at"].clone(),
        }
    };
    if global.json() {
        print_json(&json!({"asked_at": asked_at, "objects": objects, "notes": notes}));
        return Ok(());
    }
    show(&objects);
    for note in &notes {
        say(format!("note: {}", one_line(&text(note))));
    }
    Ok(())
}

fn show(objects: &[Value]) {
    let rows: Vec<Vec<String>> = objects
        .iter()
        .map(|object| {
            let (state, why) = (text(&object["state"]), text(&object["why"]));
            vec![state, text(&object["object"]), text(&object["node"]), age(&object["created_at"]), why]
        })
        .collect();
    let empty = "No object: what was frozen has none there.";
    table(&["STATE", "OBJECT", "NODE", "AGE", "WHY"], &rows, empty);
    objects.iter().flat_map(told_of).for_each(data);
}

/// What the cluster told of an object that is not ready, in lines.
fn told_of(object: &Value) -> Vec<String> {
    let events = object["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    if object["state"] == "ready" || events.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), one_line(&text(&object["object"]))];
    lines.extend(events[events.len().saturating_sub(EVENTS)..].iter().map(|event| {
        let said = [&event["type"], &event["object"], &event["reason"], &event["message"]].map(text);
        let age = age(&event["at"]);
        one_line(&format!("  {age}  {}", said.join(": ")))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_ready_tells_its_newest_events() {
        let event = |reason: &str| json!({"type": "Warning", "object": "Pod web-1", "reason": reason, "message": "no\nroom"});
        let events: Vec<Value> = ["a", "b", "c", "d"].map(event).into();
        let object =
            |state: &str| json!({"state": state, "object": "apps/v1/Deployment shop/web", "events": events});
        assert!(told_of(&object("ready")).is_empty());
        let told = told_of(&object("progressing"));
        assert_eq!(told.len(), 2 + EVENTS);
        assert_eq!(told[1], "apps/v1/Deployment shop/web");
        assert_eq!(told[2], "  -  Warning: Pod web-1: b: no room");
        assert!(told_of(&json!({"state": "missing", "object": "x"})).is_empty());
    }
}
