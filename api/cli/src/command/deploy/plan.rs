//! `slipway deploy plan`.

use anyhow::Result;
use console::style;
use serde_json::Value;

use super::view;
use super::wanted::Wanted;
use crate::client::Client;
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, say, text, violations};

/// What is asked of a plan beside the bundle and the environment.
pub(super) struct Asked {
    /// A rollback instead of a bundle.
    pub(super) rollback: bool,
    /// The generation that it leads to, else the last live one.
    pub(super) to: Option<u64>,
    /// The objects themselves.
    pub(super) objects: bool,
}

pub(super) async fn run(client: &Client, wanted: &Wanted, asked: Asked, global: &Global) -> Result<Exit> {
    let mut body = wanted.body()?;
    if asked.rollback {
        super::put_rollback(&mut body, asked.to);
    }
    if asked.objects {
        body["objects"] = true.into();
    }
    let plan = client.post("/api/v1/deployments/plan", &body).await?;
    let stands_against = plan["violations"].as_array().is_some_and(|found| !found.is_empty());
    if global.json() {
        print_json(&plan);
    } else {
        show(&plan);
        for object in plan["objects"].as_array().into_iter().flatten() {
            data(format!("---\n{object:#}"));
        }
        if stands_against {
            say("It cannot be deployed as it stands.");
        } else if asked.rollback {
            let to = asked.to.map(|to| format!(" --to {to}")).unwrap_or_default();
            say(format!("Do it: slipway deploy rollback {}{to} --reason WHY", wanted.again()));
        } else {
            say(format!("Deploy it: slipway deploy create {}", wanted.again()));
        }
    }
    Ok(if stands_against { Exit(1) } else { Exit::OK })
}

fn show(plan: &Value) {
    let bundle = &plan["bundle"];
    let commit: String = text(&bundle["commit"]).chars().take(8).collect();
    let from =
        if bundle["branch"].is_null() { commit } else { format!("{}@{commit}", text(&bundle["branch"])) };
    data(format!("bundle      {} from {from}, {}", text(&bundle["version"]), text(&bundle["digest"])));
    for line in lines(&plan["explanation"]) {
        data(format!("            {line}"));
    }
    if !plan["revision"].is_null() {
        data(format!("revision    {}", text(&plan["revision"])));
    }
    let reaches = lines(&plan["reaches"]).collect::<Vec<_>>();
    if !reaches.is_empty() {
        data(format!("reaches     {}", reaches.join(", ")));
    }
    for note in lines(&plan["notes"]) {
        data(format!("note        {note}"));
    }
    differences(&plan["differences"]);
    running(&plan["running"]);
    if plan["violations"].as_array().is_some_and(|found| !found.is_empty()) {
        data("");
        data(format!("{}", style("what stands against it").red()));
        violations(&plan["violations"]);
    }
    view::gates(&plan["gates"]);
}

/// What differs from what runs, in few words: the fields are told where they meet the cluster.
fn running(running: &Value) {
    if running.is_null() {
        return;
    }
    let count = |change: &str| {
        let found = running["differences"].as_array().into_iter().flatten();
        found.filter(|one| one["change"] == change).count()
    };
    let words = [("create", "new"), ("update", "changed"), ("remove", "removed"), ("keep", "left behind")];
    let told: Vec<String> = words
        .iter()
        .map(|(change, word)| (count(change), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let told = if told.is_empty() { "no object differs".to_owned() } else { told.join(", ") };
    let (version, generation) = (text(&running["version"]), text(&running["generation"]));
    data("");
    data(format!("runs now    {version}, generation {generation}: {told}"));
}

fn lines(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().map(text)
}

fn differences(found: &Value) {
    let Some(found) = found.as_array().filter(|found| !found.is_empty()) else { return };
    data("");
    let (same, changed): (Vec<&Value>, Vec<&Value>) = found.iter().partition(|one| one["change"] == "same");
    for one in changed {
        for line in difference(one) {
            data(line);
        }
    }
    match same.len() {
        0 => {}
        1 => data("  1 object stays as it is"),
        many => data(format!("  {many} objects stay as they are")),
    }
}

/// The lines of one object's difference, coloured where a terminal reads them.
fn difference(one: &Value) -> Vec<String> {
    let object = text(&one["object"]);
    let head = match one["change"].as_str() {
        Some("create") => style(format!("+ {object}")).green(),
        Some("remove") => style(format!("- {object}")).red(),
        Some("keep") => style(format!("= {object} (no longer wanted)")).yellow(),
        Some("update") => style(format!("~ {object}")).yellow(),
        _ => style(format!("? {object} (the cluster could not say)")).yellow(),
    };
    std::iter::once(head.to_string()).chain(lines(&one["fields"]).map(|field| change(&field))).collect()
}

/// `path: old → new` with both values told apart.
fn change(field: &str) -> String {
    let parts = field.split_once(": ").and_then(|(path, values)| Some((path, values.split_once(" → ")?)));
    match parts {
        Some((path, (old, new))) => format!("    {path}: {} → {}", style(old).red(), style(new).green()),
        None => format!("    {field}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_reads_like_a_diff() {
        console::set_colors_enabled(false);
        let one = json!({
            "object": "apps/v1 Deployment web", "change": "update",
            "fields": ["spec.replicas: 2 → 3", "spec.paused"],
        });
        assert_eq!(
            difference(&one),
            ["~ apps/v1 Deployment web", "    spec.replicas: 2 → 3", "    spec.paused"]
        );
        let marks = ["create", "remove", "keep", "unknown"].map(|change| {
            let one = json!({"object": "v1 Service web", "change": change, "fields": []});
            difference(&one).remove(0).chars().next().unwrap()
        });
        assert_eq!(marks, ['+', '-', '=', '?']);
    }
}
