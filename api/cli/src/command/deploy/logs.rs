//! `slipway deploy logs`: what containers wrote before their node failed.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::target::Target;
use super::view::name_of;
use crate::client::{Client, Usage};
use crate::command::Global;
use crate::output::{bytes, json as print_json, say, text};

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    target: Target,
    /// Of this node; of the one that failed last if absent
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Of this attempt of the node; of its last one that failed if absent
    #[arg(long, value_name = "NUMBER", requires = "node", allow_negative_numbers = true)]
    attempt: Option<u32>,
    /// Of this pod
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
    /// Of this container; of the first that wrote something if absent
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// What it wrote before it was started again
    #[arg(long)]
    previous: bool,
}

/// What was found when nodes of a deployment failed, the newest last; none of a server that keeps none.
pub(super) async fn failures(client: &Client, deployment: &Value) -> Result<Vec<Value>> {
    let path = format!("/api/v1/deployments/{}/failures", text(&deployment["id"]));
    let found = client.find(&path, &[]).await?.unwrap_or_default();
    Ok(found["items"].as_array().cloned().unwrap_or_default())
}

/// The piece of a container's log that is meant.
fn piece(container: &Value, previous: bool) -> &Value {
    &container[if previous { "previous" } else { "log" }]
}

impl LogArgs {
    fn is_meant(&self, container: &Value) -> bool {
        let fits = |wanted: Option<&str>, name: &Value| wanted.is_none_or(|wanted| name == wanted);
        fits(self.pod.as_deref(), &container["pod"])
            && fits(self.container.as_deref(), &container["container"])
    }

    /// The failure and the container that are meant.
    fn choose<'f>(&self, name: &str, failures: &'f [Value]) -> Result<(&'f Value, &'f Value)> {
        let is_meant = |failure: &&Value| {
            self.node.as_ref().is_none_or(|node| failure["node"] == *node)
                && self.attempt.is_none_or(|attempt| failure["attempt"] == attempt)
        };
        let Some(failure) = failures.iter().rev().find(is_meant) else {
            bail!(
                "nothing is kept of a failure there: `slipway deploy show {name}` tells how its nodes stand"
            );
        };
        let containers = failure["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let meant: Vec<&Value> = containers.iter().filter(|container| self.is_meant(container)).collect();
        let wrote = |container: &&Value| piece(container, self.previous)["bytes"].as_u64() > Some(0);
        if let Some(container) = meant.iter().copied().find(wrote) {
            return Ok((failure, container));
        }
        let node = text(&failure["node"]);
        let Some(first) = meant.first() else {
            let names: Vec<String> =
                containers.iter().map(|container| text(&container["container"])).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!(Usage(format!("no such container of node {node} is known; known: {known}")));
        };
        let why = piece(first, self.previous)["problem"].as_str().unwrap_or("it was not started again");
        bail!("{} of node {node} has no log: {why}", text(&first["container"]))
    }
}

/// Prints the log.
pub(super) async fn run(client: &Client, args: &LogArgs, global: &Global) -> Result<()> {
    let deployment = args.target.view(client).await?;
    let failures = failures(client, &deployment).await?;
    let (failure, container) = args.choose(&name_of(&deployment), &failures)?;
    let log = piece(container, args.previous);
    let (pod, name) = (text(&container["pod"]), text(&container["container"]));
    let path =
        format!("/api/v1/deployments/{}/failures/{}/log", text(&deployment["id"]), text(&failure["id"]));
    let query = [("pod", pod.clone()), ("container", name.clone()), ("previous", args.previous.to_string())];
    let mut gathered = Vec::new();
    let stored = client.stream(&path, &query, "text/plain", |piece| {
        gathered.extend_from_slice(piece);
        Ok(())
    });
    stored.await?;
    if global.json() {
        print_json(&json!({
            "node": failure["node"],
            "attempt": failure["attempt"],
            "at": failure["at"],
            "pod": pod,
            "container": name,
            "previous": args.previous,
            "lines": log["lines"],
            "text": String::from_utf8_lossy(&gathered),
        }));
        return Ok(());
    }
    say(format!("The last {} lines of container {name} in pod {pod}:", text(&log["lines"])));
    bytes(&gathered);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: LogArgs,
    }

    fn chosen(words: &[&str], failures: &[Value]) -> Result<(String, String), String> {
        let line = Line::try_parse_from([&["logs", "shop@prod"][..], words].concat()).unwrap();
        let chosen = line.args.choose("shop@prod#1", failures).map_err(|error| error.to_string())?;
        Ok((text(&chosen.0["id"]), format!("{}/{}", text(&chosen.1["pod"]), text(&chosen.1["container"]))))
    }

    #[test]
    fn that_nothing_is_kept_is_no_wrong_usage() {
        let line = Line::try_parse_from(["logs", "shop@prod"]).unwrap();
        let error = line.args.choose("shop@prod#1", &[]).unwrap_err();
        assert_eq!(crate::client::exit_code(&error), 1, "{error:#}");
    }

    #[test]
    fn the_newest_failure_and_what_wrote_something_are_meant() {
        let wrote =
            |bytes: u64| json!({"bytes": bytes, "problem": (bytes == 0).then_some("it has not started")});
        let container = |pod: &str, name: &str, bytes, previous: Value| json!({"pod": pod, "container": name, "log": wrote(bytes), "previous": previous});
        let failures = [
            json!({"id": "0", "node": "web", "attempt": 1, "containers": [container("a", "main", 1, json!(null))]}),
            json!({"id": "1", "node": "web", "attempt": 2, "containers": [container("a", "main", 1, json!(null))]}),
            json!({"id": "2", "node": "db", "containers": [
                container("b", "first", 0, json!(null)), container("b", "main", 1, wrote(2)),
            ]}),
        ];
        let at = |id: &str, name: &str| Ok((id.to_owned(), name.to_owned()));
        assert_eq!(chosen(&[], &failures), at("2", "b/main"));
        assert_eq!(chosen(&["--node", "web"], &failures), at("1", "a/main"));
        assert_eq!(chosen(&["--node", "web", "--attempt", "1"], &failures), at("0", "a/main"));
        assert_eq!(chosen(&["--previous"], &failures), at("2", "b/main"));
        let told = |words: &[&str]| chosen(words, &failures).unwrap_err();
        assert!(told(&["--container", "first"]).contains("it has not started"));
        assert!(told(&["--node", "web", "--previous"]).contains("was not started again"));
        assert!(told(&["--container", "other"]).contains("known: first, main"));
        assert!(told(&["--node", "other"]).contains("slipway deploy show shop@prod#1"));
        assert!(told(&["--node", "web", "--attempt", "9"]).contains("nothing is kept"));
    }
}
