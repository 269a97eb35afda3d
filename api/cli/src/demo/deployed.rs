//! The sample on a cluster: what a person does by the command line, said and done.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};
use slipway_kubernetes::ObjectKey;

use super::reach::Reached;
use super::sample::SETTINGS;
use crate::client::Client;
use crate::command::in_path;
use crate::output::{one_line, say, say_violations, text};

/// The name of the cluster and of the environment.
const NAME: &str = "demo";
/// How long one deployment may take to where it is to be.
const ARRIVES_WITHIN: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Deployments that are looked through for what an earlier demonstration left.
const EARLIER_MAX: usize = 1000;
/// States that nothing leads out of by itself, beside the wanted one.
const LOST: [&str; 11] = [
    "rejected",
    "broken",
    "declined",
    "expired",
    "withdrawn",
    "superseded",
    "failed",
    "timed_out",
    "terminated",
    "live",
    "deleted",
];
/// States of what never went out, or is gone: nothing of it is in the cluster because of them.
const NOT_THERE: [&str; 6] = ["rejected", "broken", "declined", "expired", "withdrawn", "deleted"];

/// An application in the environment of the demonstration.
pub(super) struct Deployed<'a> {
    client: &'a Client,
    reached: &'a Reached,
    application: &'a str,
    /// What was done, a line each.
    done: Vec<String>,
}

impl<'a> Deployed<'a> {
    /// Registers the cluster and describes the environment.
    pub(super) async fn prepare(
        client: &'a Client,
        reached: &'a Reached,
        application: &'a str,
    ) -> Result<Self> {
        let namespace = &reached.namespace;
        say(format!("$ slipway cluster add {NAME} --kubeconfig-file FILE"));
        let secret = format!("/api/v1/secrets/{}", in_path(&format!("kubeconfig/{NAME}")));
        let kept = client.put(&secret, &json!({"value": reached.kubeconfig})).await?;
        // The directory may know a cluster that was made anew since.
        let settings = json!({"kubeconfig": kept["reference"], "replace": true});
        client.put(&format!("/api/v1/clusters/{NAME}"), &settings).await?;

        let address = format!("{NAME}/{NAME}/{namespace}");
        say(format!(
            "$ slipway env create {NAME} --address {address} --receiver core   # and createNamespace: true"
        ));
        let mut settings = json!({"receiver": {"type": "core"}, "createNamespace": true});
        if let Some(registry) = &reached.pull_registry {
            settings["pullRegistry"]["prefix"] = registry.to_string().into();
        }
        let environment = json!({"address": address, "settings": settings});
        client.put(&format!("/api/v1/environments/{NAME}"), &environment).await?;
        reached.tell_pods(client.base());
        let deployed = Self { client, reached, application, done: Vec::new() };
        deployed.clear().await?;
        Ok(deployed)
    }

    /// Takes away what an earlier demonstration left running: it has objects of the same names.
    async fn clear(&self) -> Result<()> {
        let query = [("environment", NAME.to_owned())];
        let rows = self.client.list("/api/v1/deployments", &query, EARLIER_MAX).await?;
        let mut left = BTreeSet::new();
        let mut gone = BTreeSet::new();
        // Those of one that was removed are told under its name too.
        for row in rows.iter().filter(|row| row["environment_removed_at"].is_null()) {
            let (application, state) = (text(&row["application"]), text(&row["state"]));
            // They come newest first: what was taken away since is gone.
            if state == "deleted" {
                gone.insert(application);
            } else if !gone.contains(&application) && !NOT_THERE.contains(&state.as_str()) {
                left.insert(application);
            }
        }
        for application in left {
            say(format!("{application} of an earlier demonstration is taken away first."));
            self.take_away(&application).await?;
        }
        Ok(())
    }

    /// Deploys a bundle; gives its generation.
    pub(super) async fn deploy(&mut self, version: &str, greeting: &str) -> Result<u64> {
        let app = self.application;
        say(format!("$ slipway deploy create {app} --env {NAME} --bundle {version}"));
        let body = json!({"application": app, "environment": NAME, "bundle": version});
        let live = self.arrive(&body, "live").await?;
        self.says(greeting).await?;
        self.done.push(format!("deployed {app} {version}: live"));
        live["generation"].as_u64().ok_or_else(|| anyhow!("the deployment has no generation"))
    }

    /// Returns to a generation, which ran `version`.
    pub(super) async fn roll_back(&mut self, generation: u64, version: &str, greeting: &str) -> Result<()> {
        let app = self.application;
        let reason = "to see it happen";
        say(format!("$ slipway deploy rollback {app} --env {NAME} --reason '{reason}'"));
        let body =
            json!({"application": app, "environment": NAME, "rollback_to": generation, "reason": reason});
        self.arrive(&body, "live").await?;
        self.says(greeting).await?;
        self.done.push(format!("rolled back to {app} {version}: live"));
        Ok(())
    }

    /// Takes the application away.
    pub(super) async fn remove(&mut self) -> Result<()> {
        self.take_away(self.application).await?;
        if self.greeting().await?.is_some() {
            bail!("the application is deleted, and the ConfigMap {SETTINGS} is still there");
        }
        let namespace = &self.reached.namespace;
        say(format!("The namespace stays: {} delete namespace {namespace}", self.reached.kubectl));
        self.done.push(format!("removed {}: deleted", self.application));
        Ok(())
    }

    async fn take_away(&self, app: &str) -> Result<()> {
        let reason = "the demonstration is over";
        say(format!("$ slipway deploy remove {app} --env {NAME} --reason '{reason}' --yes"));
        let body = json!({"application": app, "environment": NAME, "remove": true, "reason": reason});
        self.arrive(&body, "deleted").await.map(drop)
    }

    /// What was done, a line each; what is still there is told with how to look at it.
    pub(super) fn end(self, stays: bool) -> Vec<String> {
        if stays {
            let Reached { kubectl, namespace, .. } = self.reached;
            let app = self.application;
            say("Look at it:");
            say(format!("  slipway deploy show {app}@{NAME}"));
            say(format!(
                "  {kubectl} --namespace {namespace} get all,configmaps --selector slipway.dev/inventory"
            ));
            say("Take it away, while the server runs:");
            say(format!("  slipway deploy remove {app} --env {NAME} --reason 'seen it' --yes"));
        }
        self.done
    }

    /// Makes a deployment and follows it to where it is to be.
    async fn arrive(&self, body: &Value, wanted: &str) -> Result<Value> {
        let made = self.client.post("/api/v1/deployments", body).await?;
        let name = format!("{}@{NAME}#{}", text(&made["application"]), text(&made["generation"]));
        let path = format!("/api/v1/deployments/{}", text(&made["id"]));
        let began = Instant::now();
        let mut told = Told::default();
        loop {
            let deployment = self.client.get(&path, &[]).await?;
            told.tell(&deployment);
            if let Some(why) = self.in_vain(&deployment) {
                bail!("{name} cannot become {wanted}: {why}");
            }
            let state = text(&deployment["state"]);
            if state == wanted {
                say(format!("{name} is {state} after {} ms.\n", began.elapsed().as_millis()));
                return Ok(deployment);
            }
            let why = one_line(deployment["reason"].as_str().unwrap_or("nothing is known of why"));
            let namespace = &self.reached.namespace;
            if LOST.contains(&state.as_str()) {
                say_violations(&deployment["violations"]);
                bail!(
                    "{name} is {state}, not {wanted}: {why}. To begin anew: {} delete namespace {namespace}",
                    self.reached.kubectl
                );
            }
            if began.elapsed() > ARRIVES_WITHIN {
                bail!("{name} is not {wanted} within {} s but {state}: {why}", ARRIVES_WITHIN.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Why a node will never be ready, if that is certain.
    fn in_vain(&self, deployment: &Value) -> Option<String> {
        let nodes = deployment["receiver"]["nodes"].as_array().into_iter().flatten();
        nodes.filter_map(|node| node["reason"].as_str()).find_map(|reason| self.reached.in_vain(reason))
    }

    /// What the sample's ConfigMap says in the cluster.
    async fn greeting(&self) -> Result<Option<String>> {
        let key = ObjectKey {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: self.reached.namespace.clone(),
            name: SETTINGS.to_owned(),
        };
        let found = self.reached.cluster.get(&key).await.map_err(|error| anyhow!(error.says()))?;
        Ok(found.map(|object| text(&object["data"]["greeting"])))
    }

    async fn says(&self, expected: &str) -> Result<()> {
        let Reached { kubectl, namespace, .. } = self.reached;
        let found = self.greeting().await?.unwrap_or_else(|| "nothing: it is not there".to_owned());
        if found != expected {
            bail!("the ConfigMap {SETTINGS} should say `{expected}`; it says {found}");
        }
        say(format!(
            "$ {kubectl} --namespace {namespace} get configmap {SETTINGS} --output jsonpath={{.data.greeting}}"
        ));
        say(format!("{found}\n"));
        Ok(())
    }
}

/// What was told of nodes, a line once for each: what keeps one may alternate, as while an image is pulled again and
/// again.
#[derive(Default)]
struct Told {
    lines: BTreeSet<(String, String)>,
}

impl Told {
    fn tell(&mut self, deployment: &Value) {
        self.news(deployment).iter().for_each(say);
    }

    fn news(&mut self, deployment: &Value) -> Vec<String> {
        let mut news = Vec::new();
        for node in deployment["receiver"]["nodes"].as_array().into_iter().flatten() {
            let (name, state) = (text(&node["node"]), text(&node["state"]));
            let line = match node["reason"].as_str().filter(|reason| !reason.is_empty()) {
                Some(reason) => format!("{state}: {}", one_line(reason)),
                None => state,
            };
            let shown = format!("  {name:<10} {line}");
            if self.lines.insert((name, line)) {
                news.push(shown);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_node_is_told_once() {
        let nodes = |state: &str, reason: &str| {
            let web = json!({"node": "web", "state": state, "reason": reason});
            json!({"receiver": {"nodes": [{"node": "config", "state": "ready", "reason": ""}, web]}})
        };
        let mut told = Told::default();
        assert_eq!(told.news(&json!({"receiver": null})), Vec::<String>::new());
        let first = told.news(&nodes("waiting", "0 of 1\nreplicas"));
        assert_eq!(first, ["  config     ready", "  web        waiting: 0 of 1 replicas"]);
        assert!(told.news(&nodes("waiting", "0 of 1\nreplicas")).is_empty());
        assert_eq!(told.news(&nodes("waiting", "ErrImagePull")), ["  web        waiting: ErrImagePull"]);
        assert_eq!(told.news(&nodes("waiting", "ImagePullBackOff")).len(), 1);
        assert!(told.news(&nodes("waiting", "ErrImagePull")).is_empty());
        assert_eq!(told.news(&nodes("ready", "")), ["  web        ready"]);
    }
}
