//! Jobs that failed: what is begun again is run again.

use serde_json::Value;
use slipway_handoff::Object;
use slipway_health::ObjectState;
use slipway_kubernetes::{Cluster, ObjectKey};

use super::Work;
use crate::hitch::Hitch;
use crate::inventory::{Live, Verdict};

impl Work {
    /// Removes a Job of this key that failed: it never runs again, so the node that has it could never become
    /// ready. Gives whether it did.
    pub(super) async fn clear_failed_job(
        &self,
        cluster: &Cluster,
        object: &Object,
        key: &ObjectKey,
        found: Option<(&Value, &Live<'_>)>,
        verdict: &Verdict,
    ) -> Result<bool, Hitch> {
        let Some((job, live)) = found.filter(|(job, _)| has_failed(object, job)) else { return Ok(false) };
        if object.shared || !matches!(verdict, Verdict::Update(_) | Verdict::AlreadySame) {
            return Ok(false);
        }
        tracing::info!(object = %object.object, "removing the Job that failed, to run it again");
        cluster.delete_exactly(key, live.uid(), None).await?;
        Ok(true)
    }
}

fn has_failed(object: &Object, live: &Value) -> bool {
    let is_job = object.object.group() == "batch" && object.object.kind == "Job";
    is_job && slipway_health::of_object(live, false).state == ObjectState::Failed
}
