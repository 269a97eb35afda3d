//! How soon what changes in the cluster shows at our API.
//!
//! The status of a Deployment is its controller's: whatever another writes there is written over before anybody sees it.
//! So the controller is given reason to change it. A replica that no node takes is asked for, and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use slipway_kubernetes::{Applied, Cluster, ObjectKey};
use tokio::runtime::Runtime;

use super::{Fleet, peer};
use crate::report::ms;

/// Changes in the cluster, one after another, and at once.
const CHANGES: usize = 100;
/// Requests to the API server at once.
const AT_ONCE: usize = 8;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What others than Slipway write as.
const WRITER: &str = "bench";

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

    /// Asks for a replica of many Deployments at once, and takes all back; gives after how many milliseconds either
    /// was told of each.
    pub(super) fn scale_at_once(&self, deployments: &[Value]) -> Result<(Vec<f64>, Vec<f64>)> {
        let chosen = chosen(deployments)?;
        self.await_all(&chosen, false)?;
        Ok((self.scale(&chosen, 1)?, self.scale(&chosen, 0)?))
    }

    fn scale(&self, chosen: &BTreeMap<String, String>, replicas: u64) -> Result<Vec<f64>> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(peer::connected(&self.namespace))?;
        let sent: Mutex<BTreeMap<&str, Instant>> = Mutex::default();
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                runtime.block_on(async {
                    let all = chosen.iter().map(|(id, application)| {
                        let (cluster, sent) = (&cluster, &sent);
                        let key = self.key("apps/v1", "Deployment", format!("web-1-{application}"));
                        async move {
                            let began = Instant::now();
                            sent.lock().unwrap_or_else(PoisonError::into_inner).insert(id.as_str(), began);
                            merged(cluster, &key, &json!({"spec": {"replicas": replicas}})).await
                        }
                    });
                    stream::iter(all).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
                })
            });
            let seen = self.await_all(chosen, replicas > 0)?;
            let written = writing.join().expect("a line of requests ends");
            written.into_iter().collect::<Result<Vec<()>>>()?;
            let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            let took = seen
                .iter()
                .filter_map(|(id, at)| Some(ms(at.saturating_duration_since(*sent.get(id.as_str())?))));
            Ok(took.collect())
        })
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
