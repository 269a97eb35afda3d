//! Whether what was applied for an instance before has come to its end.
//!
//! What is run at a release takes back what was run before. A Job whose pod has not started holds no lock: were it
//! overtaken, it would make anew what was just taken away, and nobody would know of it.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_definitions::label;
use slipway_kubernetes::{CallError, Cluster, Freshness, ObjectKey};
use slipway_types::Fault;

use super::subject::AddonSubject;
use super::{AddonHandler, hearing};
use crate::clusters::fault_of;
use crate::plan::addon::component_of_runs;
use crate::stage::Stage;

/// What Jobs are called by the API.
const JOBS: (&str, &str) = ("batch/v1", "Job");

impl AddonHandler {
    /// What of the generations before this one may still begin or end something, in words; `None`: nothing.
    pub(super) async fn under_way(&self, subject: &AddonSubject) -> Result<Option<String>, Fault> {
        let events = self.ask(subject, 0).await?;
        match hearing::of_earlier(subject.addon.generation, &events) {
            Some(what) => Ok(Some(what)),
            None => self.stage.addon_job_under_way(subject).await,
        }
    }
}

impl Stage {
    /// The Job of an instance that has not ended, or the pod of a container that is run for it. A receiver may give a Job
    /// up before it has ended, and a Job its pod.
    async fn addon_job_under_way(&self, subject: &AddonSubject) -> Result<Option<String>, Fault> {
        let AddonSubject { addon, environment, .. } = subject;
        let address = &environment.address;
        let cluster = self.cluster_of(environment).await?;
        let fault = |error: CallError| fault_of(address.cluster(), &error);
        let application = addon.handed_off_as();
        let own = [
            (label::TEAM, application.team().as_str()),
            (label::APPLICATION, application.bare().as_str()),
            (label::STAGE, address.stage()),
        ];
        let own = own.map(|(key, value)| format!("{key}={value}")).join(",");
        let kinds = BTreeSet::from([(JOBS.0.to_owned(), JOBS.1.to_owned())]);
        let jobs = match cluster.labelled(&own, &kinds, Some(address.namespace()), Freshness::Now).await {
            // Without the right to list them they are looked at one by one.
            Err(CallError::Refused(_)) => self.addon_jobs(subject, &cluster).await?,
            jobs => jobs.map_err(fault)?,
        };
        if let Some(job) = jobs.iter().find(|job| !has_ended(job)) {
            return Ok(Some(format!("the Job {} has not ended", name_of(job))));
        }
        let of_runs = format!("{own},{}={}", label::COMPONENT, component_of_runs(addon.name.as_str()));
        match cluster.pods_of(address.namespace(), &of_runs, Freshness::Now).await {
            Ok(pods) => {
                let alive = pods.iter().find(|pod| !is_over(pod));
                Ok(alive.map(|pod| format!("the pod {} has not ended", name_of(pod))))
            }
            // The Jobs have ended; more cannot be known without that right.
            Err(CallError::Refused(_)) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// The Jobs that its receiver may have by the revision before, as far as they are there.
    async fn addon_jobs(&self, subject: &AddonSubject, cluster: &Cluster) -> Result<Vec<Value>, Fault> {
        let address = &subject.environment.address;
        let mut jobs = Vec::new();
        for name in self.jobs_before(subject).await? {
            let key = ObjectKey {
                api_version: JOBS.0.to_owned(),
                kind: JOBS.1.to_owned(),
                namespace: address.namespace().to_owned(),
                name,
            };
            jobs.extend(cluster.get(&key).await.map_err(|error| fault_of(address.cluster(), &error))?);
        }
        Ok(jobs)
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether a Job succeeded or failed for good.
fn has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["status"] == "True" && ["Complete", "Failed"].iter().any(|end| condition["type"] == *end)
    })
}

/// Whether no container of a pod runs any more or ever will.
fn is_over(pod: &Value) -> bool {
    ["Succeeded", "Failed"].iter().any(|end| pod["status"]["phase"] == *end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_has_ended_by_its_conditions_and_a_pod_by_its_phase() {
        let job =
            |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        for (job, expected) in [
            (job("Complete", "True"), true),
            (job("Failed", "True"), true),
            (job("Failed", "False"), false),
            (job("FailureTarget", "True"), false),
            (json!({"status": {"active": 1}}), false),
            (json!({}), false),
        ] {
            assert_eq!(has_ended(&job), expected, "{job}");
        }
        for (phase, expected) in
            [("Pending", false), ("Running", false), ("Succeeded", true), ("Failed", true)]
        {
            assert_eq!(is_over(&json!({"status": {"phase": phase}})), expected, "{phase}");
        }
    }
}
