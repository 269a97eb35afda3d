//! `slipway bundle compare`.

use anyhow::Result;
use serde_json::Value;

use super::{Global, in_path};
use crate::client::Client;
use crate::output::{ago, data, json as print_json, say, table, text};

/// Tells how two bundles of an application differ.
pub(super) async fn compare(
    client: &Client,
    app: &str,
    from: String,
    to: String,
    global: &Global,
) -> Result<()> {
    let path = format!("/api/v1/bundles/{}/compare", in_path(app));
    let compared = client.get(&path, &[("from", from), ("to", to)]).await?;
    if global.json() {
        print_json(&compared);
    } else {
        show(&compared);
    }
    Ok(())
}

fn show(compared: &Value) {
    for key in ["from", "to"] {
        let side = &compared[key];
        let (version, commit) = (text(&side["version"]), short(&side["commit"], 8));
        data(format!(
            "{key:<6}{version}  {}  commit {commit}  {}",
            text(&side["digest"]),
            ago(&side["created_at"])
        ));
    }
    data("");
    if compared["same"] == true {
        say("They lock the same components.");
    }
    let components = rows(&compared["components"]);
    let cells: Vec<_> = components.iter().map(component_cells).collect();
    table(&["COMPONENT", "CHANGE", "FROM", "DIGEST", "TO", "DIGEST"], &cells, "Neither has components.");
    components.iter().for_each(show_configuration);
    show_commits(&compared["commits"]);
}

fn rows(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The beginning of a digest or commit; `-` where there is none.
fn short(value: &Value, length: usize) -> String {
    text(value).chars().take(length).collect()
}

fn component_cells(row: &Value) -> Vec<String> {
    let (from, to) = (&row["from"], &row["to"]);
    vec![
        text(&row["component"]),
        text(&row["change"]),
        text(&from["version"]),
        short(&from["digest"], 19),
        text(&to["version"]),
        short(&to["digest"], 19),
    ]
}

fn show_configuration(row: &Value) {
    let places = rows(&row["configuration"]);
    if places.is_empty() {
        return;
    }
    data("");
    let cells: Vec<Vec<String>> =
        places.iter().map(|place| ["path", "from", "to"].map(|key| text(&place[key])).into()).collect();
    let head = format!("CONFIGURATION OF {}", text(&row["component"]));
    table(&[head.as_str(), "FROM", "TO"], &cells, "");
    if let Some(more) = row["configuration_more"].as_u64().filter(|more| *more > 0) {
        data(format!("and {more} more"));
    }
}

fn show_commits(commits: &Value) {
    if commits.is_null() {
        say("Their commits cannot be compared: one is of no commit, or its history is not at hand now.");
        return;
    }
    for (key, head) in [("added", "ADDED"), ("dropped", "DROPPED")] {
        let cells: Vec<_> = rows(&commits[key])
            .iter()
            .map(|one| {
                let (author, at) = (text(&one["author"]), ago(&one["committed_at"]));
                vec![short(&one["commit"], 8), text(&one["subject"]), author, at]
            })
            .collect();
        if !cells.is_empty() {
            data("");
            table(&[head, "COMMIT", "AUTHOR", "WHEN"], &cells, "");
        }
    }
    if commits["more"] == true {
        say("There may be more commits: 50 of each kind are told.");
    }
}
