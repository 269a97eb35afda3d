//! Jobs and Pods of hooks that failed, and Jobs that did not give what they were to: what is begun again is run again.

use serde_json::Value;
use slipway_handoff::Object;
use slipway_health::ObjectState;
use slipway_kubernetes::Cluster;

use super::{Work, key_of, message};
use crate::hitch::Hitch;
use crate::inventory::{Live, Verdict, Wanted, before_apply};

impl Work {
    /// Removes a task of this key that failed, or completed without its outputs: it never runs again, so the node that
    /// begins with it could never become ready. What is taken over from others stays, whatever became of it.
    pub(super) async fn clear_failed_task(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
    ) -> Result<(), Hitch> {
        let (graph, reference) = (&self.submission.document.graph, &object.object);
        if object.shared || !graph.has_task(reference) {
            return Ok(());
        }
        self.goes_on()?;
        let key = key_of(reference);
        let Some(found) = cluster.get(&key).await? else { return Ok(()) };
        if !has_failed(&found) && !message::is_lacking(cluster, graph, reference, &found).await? {
            return Ok(());
        }
        let live = Live::of(&found).map_err(|error| Hitch::Passing(format!("{reference}: {error}")))?;
        let wanted = Wanted { object, manifest, adopt: false };
        let is_own = matches!(
            before_apply(&wanted, &self.marks, Some(&live)),
            Verdict::Update(_) | Verdict::AlreadySame
        );
        if is_own && !self.may_adopt(reference, &live) {
            tracing::info!(object = %reference, "removing what failed or gave too little, to run it again");
            cluster.delete_exactly(&key, live.uid(), None).await?;
        }
        Ok(())
    }
}

fn has_failed(task: &Value) -> bool {
    slipway_health::of_object(task, false).state == ObjectState::Failed
}
