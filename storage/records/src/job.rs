//! Payloads of jobs. Each arrow of the pipeline is one; they live beside the queue, so that no
//! library needs to know the one that does the next step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use slipway_types::id::{
    AddonId, ApplicationId, BuildId, CheckId, DeliveryId, DeploymentId, IncidentId, RunId, SourceId,
};
use slipway_types::name::NoticeChannelName;
use slipway_types::{Address, ApplicationName};

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobPayload {
    /// Turn a delivery into runs.
    Deliver {
        /// Which.
        delivery: DeliveryId,
    },
    /// Read the commit and decide what to build.
    Plan {
        /// Which run.
        run: RunId,
    },
    /// Build one component's image on this machine.
    Build {
        /// Which build.
        build: BuildId,
    },
    /// Have one component's image built by a cluster: it takes a place there and none here.
    ClusterBuild {
        /// Which build.
        build: BuildId,
    },
    /// Run a check that developers declare on this machine.
    Check {
        /// Which.
        check: CheckId,
    },
    /// Have one run by a cluster: it takes a place there and none here.
    ClusterCheck {
        /// Which.
        check: CheckId,
    },
    /// Write packages and the bundle.
    Package {
        /// Which run.
        run: RunId,
    },
    /// Compare a source's heads with what was delivered.
    Sweep {
        /// Which source.
        source: SourceId,
    },
    /// Tell the forge where a run stands.
    Status {
        /// Which run.
        run: RunId,
    },
    /// Stop what a cancelled run still has going.
    Cancel {
        /// Which run.
        run: RunId,
    },
    /// Bring a deployment on: check and freeze, ask its gates, hand it off.
    Deploy {
        /// Which deployment.
        deployment: DeploymentId,
    },
    /// Ask the receiver how a deployment goes.
    Observe {
        /// Which deployment.
        deployment: DeploymentId,
    },
    /// Deploy what matches, where environments follow.
    Follow {
        /// Whose bundles.
        application: ApplicationId,
    },
    /// Restart what runs with a secret that got its next value.
    Rotate {
        /// The name under which it is stored.
        secret: String,
        /// The version that it got.
        version: u64,
    },
    /// Take over operators' configuration that is followed from a source.
    Configure {
        /// Which source.
        source: SourceId,
    },
    /// Bring what runs on towards what was handed off to the built-in core.
    Reconcile {
        /// Where.
        environment: Address,
        /// What.
        application: ApplicationName,
    },
    /// Decide which channels are to be told of an incident, and what.
    Incident {
        /// Which.
        incident: IncidentId,
    },
    /// Send what waits for a channel.
    Notice {
        /// Which channel.
        channel: NoticeChannelName,
    },
    /// Bring an instance of an add-on on: plan it, hand it off, hear what becomes of it.
    Addon {
        /// Which instance.
        addon: AddonId,
    },
    /// Remove what nothing refers to any more.
    Collect,
}

impl JobPayload {
    /// Every kind's word.
    pub const KINDS: [&'static str; 20] = [
        "deliver",
        "plan",
        "build",
        "cluster_build",
        "check",
        "cluster_check",
        "package",
        "sweep",
        "status",
        "cancel",
        "deploy",
        "observe",
        "follow",
        "rotate",
        "configure",
        "reconcile",
        "incident",
        "notice",
        "addon",
        "collect",
    ];

    /// The kind's word, by which workers claim.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deliver { .. } => "deliver",
            Self::Plan { .. } => "plan",
            Self::Build { .. } => "build",
            Self::ClusterBuild { .. } => "cluster_build",
            Self::Check { .. } => "check",
            Self::ClusterCheck { .. } => "cluster_check",
            Self::Package { .. } => "package",
            Self::Sweep { .. } => "sweep",
            Self::Status { .. } => "status",
            Self::Cancel { .. } => "cancel",
            Self::Deploy { .. } => "deploy",
            Self::Observe { .. } => "observe",
            Self::Follow { .. } => "follow",
            Self::Rotate { .. } => "rotate",
            Self::Configure { .. } => "configure",
            Self::Reconcile { .. } => "reconcile",
            Self::Incident { .. } => "incident",
            Self::Notice { .. } => "notice",
            Self::Addon { .. } => "addon",
            Self::Collect => "collect",
        }
    }

    /// Two ready jobs with the same key are one.
    pub fn dedupe_key(&self) -> String {
        match self {
            Self::Deliver { delivery } => format!("deliver/{delivery}"),
            Self::Plan { run } => format!("plan/{run}"),
            Self::Build { build } | Self::ClusterBuild { build } => format!("build/{build}"),
            Self::Check { check } | Self::ClusterCheck { check } => format!("check/{check}"),
            Self::Package { run } => format!("package/{run}"),
            Self::Sweep { source } => format!("sweep/{source}"),
            Self::Status { run } => format!("status/{run}"),
            Self::Cancel { run } => format!("cancel/{run}"),
            Self::Deploy { deployment } => format!("deploy/{deployment}"),
            Self::Observe { deployment } => format!("observe/{deployment}"),
            Self::Follow { application } => format!("follow/{application}"),
            Self::Rotate { secret, version } => format!("rotate/{version}/{secret}"),
            Self::Configure { source } => format!("configure/{source}"),
            Self::Reconcile { environment, application } => format!("reconcile/{environment}/{application}"),
            Self::Incident { incident } => format!("incident/{incident}"),
            Self::Notice { channel } => format!("notice/{channel}"),
            Self::Addon { addon } => format!("addon/{addon}"),
            Self::Collect => "collect".to_owned(),
        }
    }
}

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What to do.
    pub payload: JobPayload,
    /// For whom: the queue takes turns between applications.
    pub application_id: Option<ApplicationId>,
    /// Not before this long from now.
    pub delay: Duration,
    /// Attempts before it is dead.
    pub attempts_max: u32,
}

impl NewJob {
    /// A job due now with five attempts.
    pub fn new(payload: JobPayload, application_id: Option<ApplicationId>) -> Self {
        Self { payload, application_id, delay: Duration::ZERO, attempts_max: 5 }
    }

    /// The same job, due later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reconcile(environment: &str, application: &str) -> JobPayload {
        JobPayload::Reconcile {
            environment: environment.parse().unwrap(),
            application: application.parse().unwrap(),
        }
    }

    #[test]
    fn a_job_to_reconcile_is_one_per_environment_and_application() {
        let job = reconcile("eu/kind/shop", "commerce/shop");
        assert_eq!(job.dedupe_key(), "reconcile/eu/kind/shop/default/commerce/shop");
        for other in [reconcile("eu/kind/shop/canary", "commerce/shop"), reconcile("eu/kind/shop", "shop")] {
            assert_ne!(other.dedupe_key(), job.dedupe_key());
        }
        assert!(JobPayload::KINDS.contains(&job.kind()));
    }

    #[test]
    fn a_job_to_reconcile_is_stored_with_its_key() {
        let job = reconcile("eu/kind/shop", "commerce/shop");
        let stored = serde_json::to_value(&job).unwrap();
        let expected = serde_json::json!({
            "kind": "reconcile",
            "environment": "eu/kind/shop/default",
            "application": "commerce/shop",
        });
        assert_eq!(stored, expected);
        assert_eq!(serde_json::from_value::<JobPayload>(stored).unwrap(), job);
    }
}
