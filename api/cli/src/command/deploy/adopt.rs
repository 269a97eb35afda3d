//! `slipway adopt`.

use anyhow::Result;
use clap::Args;
use console::style;
use serde_json::Value;

use super::wanted::Wanted;
use super::{Follow, create_at};
use crate::client::Client;
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, say, text, violations};

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// What has the objects now
    #[arg(long, value_name = "TOOL", value_parser = ["helm", "argocd", "manifests"])]
    from: String,
    /// The Helm release or Argo CD application; any if absent
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Only say what would become of each object; change nothing
    #[arg(long, conflicts_with_all = ["reason", "no_wait"])]
    check: bool,
    /// Why; kept with the deployment
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    follow: Follow,
}

/// Takes over, or tells what that would do.
pub(crate) async fn run(args: AdoptArgs, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    let mut body = args.wanted.body()?;
    body["from"] = args.from.as_str().into();
    if let Some(release) = &args.release {
        body["release"] = release.as_str().into();
    }
    if args.check {
        return check(&client, &body, &args, global).await;
    }
    if let Some(reason) = &args.reason {
        body["reason"] = reason.as_str().into();
    }
    create_at(&client, "/api/v1/adoptions", &body, &args.follow, global).await
}

async fn check(client: &Client, body: &Value, args: &AdoptArgs, global: &Global) -> Result<Exit> {
    let plan = client.post("/api/v1/adoptions/plan", body).await?;
    let objects = plan["objects"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |fate: &str| objects.iter().filter(|object| object["fate"] == fate).count();
    let is_violated = plan["violations"].as_array().is_some_and(|found| !found.is_empty());
    let stands_against = is_violated || count("refused") > 0;
    let is_nothing = count("take_over") == 0;
    if global.json() {
        print_json(&plan);
    } else {
        show(&plan, objects);
        if stands_against {
            say("It cannot be taken over as it stands.");
        } else if is_nothing {
            say(format!("Nothing is to be taken over: slipway deploy create {}", args.wanted.again()));
        } else {
            say(format!("Take it over: slipway adopt {} {}", args.wanted.again(), again(args)));
        }
    }
    Ok(if stands_against { Exit(1) } else { Exit::OK })
}

fn again(args: &AdoptArgs) -> String {
    let release = args.release.as_ref().map(|release| format!(" --release {release}"));
    format!("--from {}{}", args.from, release.unwrap_or_default())
}

fn show(plan: &Value, objects: &[Value]) {
    data(format!("bundle      {}", text(&plan["bundle"])));
    for note in plan["notes"].as_array().into_iter().flatten() {
        data(format!("note        {}", text(note)));
    }
    for object in objects {
        for line in lines(object) {
            data(line);
        }
    }
    let left: Vec<&Value> = plan["left"].as_array().into_iter().flatten().collect();
    if !left.is_empty() {
        data("");
        data("left with who has it, for the bundle does not have it");
        for object in left {
            data(format!("  {}", text(object)));
        }
    }
    if plan["violations"].as_array().is_some_and(|found| !found.is_empty()) {
        data("");
        data(format!("{}", style("what stands against it").red()));
        violations(&plan["violations"]);
    }
}

/// What becomes of one object.
fn lines(object: &Value) -> Vec<String> {
    let name = text(&object["object"]);
    let fields: Vec<String> = object["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| format!("    {}", text(field)))
        .collect();
    let head = match object["fate"].as_str() {
        Some("create") => style(format!("+ {name}: is made")).green(),
        Some("ours") => style(format!("  {name}: is the application's already")),
        Some("take_over") if object["restarts"] == true => {
            style(format!("! {name}: is taken over from {}, its pods RESTART", text(&object["owner"]))).red()
        }
        Some("take_over") if fields.is_empty() => {
            style(format!("> {name}: is taken over from {}, unchanged", text(&object["owner"]))).green()
        }
        Some("take_over") => {
            style(format!("> {name}: is taken over from {}, changed", text(&object["owner"]))).yellow()
        }
        _ => style(format!("x {name}: cannot be taken over: {}", text(&object["why"]))).red(),
    };
    std::iter::once(head.to_string()).chain(fields).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_object_says_what_becomes_of_it() {
        console::set_colors_enabled(false);
        let told = |fate: &str, restarts: bool, fields: &[&str]| {
            lines(&json!({
                "object": "Deployment web", "fate": fate, "owner": "the Helm release shop/old",
                "restarts": restarts, "fields": fields, "why": "spec.selector is immutable",
            }))
        };
        let restarted = told("take_over", true, &["spec.template.spec.x: 1 → 2"]);
        assert_eq!(
            restarted[0],
            "! Deployment web: is taken over from the Helm release shop/old, its pods RESTART"
        );
        assert_eq!(restarted[1], "    spec.template.spec.x: 1 → 2");
        for (fate, fields, end) in [
            ("take_over", &["spec.replicas: 1 → 2"][..], "changed"),
            ("take_over", &[][..], "unchanged"),
            ("create", &[][..], "is made"),
            ("ours", &[][..], "already"),
            ("refused", &[][..], "immutable"),
        ] {
            let head = told(fate, false, fields).remove(0);
            assert!(head.ends_with(end), "{head}");
        }
    }
}
