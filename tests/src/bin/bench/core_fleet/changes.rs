//! How soon what changes in the cluster shows at our API.
//!
//! The status of a Deployment is its controller's: whatever another writes there is written over before anybody sees it.
//! So the controller is given reason to change it. A replica that no node takes is asked for, and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use slipway_kubernetes::{Applied, Cluster, ObjectKey};
use tokio::runtime::Runtime;

use super::witness::Witness;
use super::{Fleet, peer};
use crate::report::ms;

/// Changes in the cluster, one after another, and at once.
const CHANGES: usize = 100;
const SEEN_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What others than Slipway write as.
const WRITER: &str = "bench";

/// How fast many are changed.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// One after another, with so much from one to the next.
    Every(Duration),
    /// As fast as so many requests at once can be.
    AtOnce(usize),
}

impl Pace {
    /// How long after the first the change of this number is.
    fn pause(self, number: usize) -> Duration {
        match self {
            Self::Every(apart) => apart * u32::try_from(number).unwrap_or(u32::MAX),
            Self::AtOnce(_) => Duration::ZERO,
        }
    }

    fn at_once(self) -> usize {
        match self {
            Self::Every(_) => CHANGES,
            Self::AtOnce(count) => count,
        }
    }
}

/// Deployments by their id, with the name of their application.
fn chosen(deployments: &[Value]) -> Result<BTreeMap<String, String>> {
    let named = deployments.iter().take(CHANGES).map(|deployment| {
        let text = |key: &str| deployment[key].as_str().map(str::to_owned);
        text("id").zip(text("application")).context("a deployment has an id and an application")
    });
    named.collect()
}

impl Fleet {
    fn key(&self, api_version: &str, kind: &str, name: String) -> ObjectKey {
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        ObjectKey { api_version, kind, namespace: self.namespace.name.clone(), name }
    }

    /// Changes objects one after the other; gives after how many milliseconds each change was told.
    pub(super) fn change_one_by_one(&self, deployments: &[Value]) -> Result<Vec<f64>> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(peer::connected(&self.namespace))?;
        // Those that are changed at once are others, as far as there are.
        let last: Vec<Value> = deployments.iter().rev().take(CHANGES).cloned().collect();
        let mut took = Vec::new();
        for (id, application) in chosen(&last)? {
            let key = self.key("v1", "ConfigMap", format!("settings-1-{application}"));
            let patch = json!({"data": {"currency": "USD"}});
            runtime.block_on(merged(&cluster, &key, &patch))?;
            took.push(self.seen(&id)?);
            // It is as it was for whatever comes after.
            runtime.block_on(merged(&cluster, &key, &json!({"data": {"currency": "EUR"}})))?;
        }
        Ok(took)
    }

    /// After how many milliseconds a deployment is not live any more.
    fn seen(&self, id: &str) -> Result<f64> {
        let (began, path) = (Instant::now(), format!("/api/v1/deployments/{id}"));
        while self.server.get(&path).json()["state"] == "live" {
            ensure!(began.elapsed() < SEEN_WITHIN, "{id} is still live after {SEEN_WITHIN:?}");
            thread::sleep(LOOK_EVERY);
        }
        Ok(ms(began.elapsed()))
    }

    /// Asks for a replica of many Deployments, so many a second or all at once, and takes all back; gives how many
    /// milliseconds after the cluster itself said either of each it was told by us.
    pub(super) fn scale_all(&self, deployments: &[Value], pace: Pace) -> Result<(Vec<f64>, Vec<f64>)> {
        let chosen = chosen(deployments)?;
        self.await_all(&chosen, false)?;
        Ok((self.scale(&chosen, 1, pace)?, self.scale(&chosen, 0, pace)?))
    }

    fn scale(&self, chosen: &BTreeMap<String, String>, replicas: u64, pace: Pace) -> Result<Vec<f64>> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(peer::connected(&self.namespace))?;
        let witness = Witness::begin(&runtime, &cluster, &self.namespace.name);
        let name = |application: &str| format!("web-1-{application}");
        let seen = thread::scope(|scope| {
            let writing = scope.spawn(|| {
                runtime.block_on(async {
                    let all = chosen.values().enumerate().map(|(number, application)| {
                        let cluster = &cluster;
                        let key = self.key("apps/v1", "Deployment", name(application));
                        async move {
                            tokio::time::sleep(pace.pause(number)).await;
                            merged(cluster, &key, &json!({"spec": {"replicas": replicas}})).await
                        }
                    });
                    stream::iter(all).buffer_unordered(pace.at_once()).collect::<Vec<_>>().await
                })
            });
            let seen = self.await_all(chosen, replicas > 0)?;
            let written = writing.join().expect("a line of requests ends");
            written.into_iter().collect::<Result<Vec<()>>>()?;
            anyhow::Ok(seen)
        })?;
        let took = chosen.iter().map(|(id, application)| {
            let since =
                witness.since(&name(application), replicas == 0).context("the cluster never said it")?;
            let at = seen.get(id).context("it was never seen")?;
            Ok(ms(at.saturating_duration_since(since)))
        });
        took.collect()
    }

    /// Waits until all of these are degraded, or are not; gives when that was seen first of each.
    fn await_all(
        &self,
        chosen: &BTreeMap<String, String>,
        degraded: bool,
    ) -> Result<BTreeMap<String, Instant>> {
        let end = Instant::now() + SEEN_WITHIN;
        let mut seen = BTreeMap::new();
        while seen.len() < chosen.len() {
            let there = self.deployments("&state=degraded")?;
            let now = Instant::now();
            let there: BTreeSet<&str> =
                there.iter().filter_map(|deployment| deployment["id"].as_str()).collect();
            for id in chosen.keys().filter(|id| there.contains(id.as_str()) == degraded) {
                seen.entry(id.clone()).or_insert(now);
            }
            let (count, all) = (seen.len(), chosen.len());
            ensure!(now < end, "after {SEEN_WITHIN:?} degraded is {degraded} of {count} in {all} alone");
            thread::sleep(LOOK_EVERY);
        }
        Ok(seen)
    }
}

async fn merged(cluster: &Cluster, key: &ObjectKey, patch: &Value) -> Result<()> {
    let applied = cluster.merge_at(key, patch, WRITER).await?;
    ensure!(matches!(applied, Applied::Done(_)), "{key} could not be changed");
    Ok(())
}
