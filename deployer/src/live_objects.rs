//! How the objects of a deployment stand in its cluster, for people: looked at when somebody asks, told to all who ask
//! within the next seconds, and never stored.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use slipway_core::Inspection;
use slipway_records::{Application, Deployment, Environment, LiveObjects, LiveWanted, Observation};
use slipway_types::Fault;
use slipway_types::id::DeploymentId;
use tokio::sync::{Mutex, Semaphore};

use crate::receivers::key;
use crate::records_fault;
use crate::stage::Stage;

/// How long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(3);
/// So many requests to one cluster are under way at once, whoever looks.
const REQUESTS_AT_ONCE: usize = 8;
/// States of nodes that were ready in their generation.
const WERE_LIVE: [&str; 3] = ["ready", "degraded", "unreachable"];

type Wanted = (DeploymentId, LiveWanted);
type Found = Result<Option<LiveObjects>, Fault>;
/// What was found last, and when. Whoever asks meanwhile waits for it.
type Slot = Arc<Mutex<Option<(Instant, Found)>>>;

/// The looks of the last seconds. Clones share them.
#[derive(Clone, Default)]
pub struct Looks {
    /// By cluster, so that who looks at one does not wait for another that is slow.
    permits: Arc<std::sync::Mutex<HashMap<String, Arc<Semaphore>>>>,
    slots: Arc<std::sync::Mutex<HashMap<Wanted, Slot>>>,
}

impl Looks {
    /// What bounds the requests to a cluster; those of clusters that nobody looks at are dropped.
    fn permits(&self, cluster: &str) -> Arc<Semaphore> {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        permits.retain(|_, kept| Arc::strong_count(kept) > 1);
        let kept = permits.entry(cluster.to_owned());
        Arc::clone(kept.or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_AT_ONCE))))
    }

    /// The place of one question; those that nobody needs any more are dropped.
    fn slot(&self, wanted: Wanted) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|kept| is_new(kept.as_ref()))
        });
        Arc::clone(slots.entry(wanted).or_default())
    }

    /// What `look` finds, or what it found within the last seconds.
    async fn once(&self, wanted: Wanted, look: impl Future<Output = Found>) -> Found {
        let slot = self.slot(wanted);
        let mut kept = slot.lock().await;
        if let Some((_, found)) = kept.as_ref().filter(|kept| is_new(Some(kept))) {
            return found.clone();
        }
        let found = look.await;
        *kept = Some((Instant::now(), found.clone()));
        found
    }
}

fn is_new(kept: Option<&(Instant, Found)>) -> bool {
    kept.is_some_and(|(at, _)| at.elapsed() < KEPT_FOR)
}

impl Stage {
    /// How objects of a deployment's frozen revision stand now; `None`: nothing is frozen, or it is not kept any more.
    pub(crate) async fn live_objects_of(
        &self,
        deployment: &Deployment,
        application: &Application,
        environment: &Environment,
        wanted: &LiveWanted,
    ) -> Found {
        let look = self.look_at_objects(deployment, application, environment, wanted);
        self.looks.once((deployment.id, wanted.clone()), look).await
    }

    async fn look_at_objects(
        &self,
        deployment: &Deployment,
        application: &Application,
        environment: &Environment,
        wanted: &LiveWanted,
    ) -> Found {
        let Some(revision) = &deployment.revision else { return Ok(None) };
        let Some(document) = self.revision_document(revision).await? else { return Ok(None) };
        if let Some(node) = &wanted.node
            && !document.graph.nodes().contains_key(node)
        {
            let message = format!("there is no node `{node}` in what was frozen");
            return Err(Fault::permanent("unknown_node", message)
                .hint("`slipway deploy show` and the deployment's graph name its nodes"));
        }
        let key = key(&application.name, environment);
        let frozen = match Inspection::needs_manifests(&document) {
            true => self.kept_revision(&key, revision).await.ok(),
            false => None,
        };
        let fault = |error| records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let observation = read.observation_get(deployment.id).await.map_err(fault)?;
        drop(read);
        let cluster = self.cluster_of(environment).await?;
        let permits = self.looks.permits(key.environment.cluster());
        let inspection = Inspection {
            cluster: &cluster,
            key: &key,
            document: &document,
            manifests: frozen.as_ref().map(|frozen| &frozen.manifests),
            was_live: &were_live(&observation.unwrap_or_default()),
            permits: &permits,
        };
        Ok(Some(inspection.look(wanted).await))
    }
}

/// The nodes that were ready in this generation, by the receiver's word.
fn were_live(observation: &Observation) -> BTreeSet<String> {
    let nodes = observation.nodes.iter();
    let were = nodes.filter(|(_, seen)| WERE_LIVE.contains(&seen.state.as_str()));
    were.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::DateTime;
    use slipway_records::Seen;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_at_once_are_told_the_same() {
        let (looks, asked) = (Looks::default(), AtomicUsize::new(0));
        let look = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Found::Err(Fault::transient("cluster_unavailable", "it does not answer"))
        };
        let id = DeploymentId::new();
        let wanted = |node: &str| (id, LiveWanted { node: Some(node.to_owned()), from: 0 });
        let both = tokio::join!(looks.once(wanted("web"), look()), looks.once(wanted("web"), look()));
        assert_eq!((both.0.is_err(), both.0 == both.1, asked.load(Ordering::Relaxed)), (true, true, 1));
        assert!(looks.once(wanted("api"), look()).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 2, "another question is asked");
    }

    #[test]
    fn requests_are_bounded_by_cluster_for_as_long_as_somebody_looks() {
        let looks = Looks::default();
        let (one, other) = (looks.permits("one"), looks.permits("other"));
        assert!(Arc::ptr_eq(&one, &looks.permits("one")) && !Arc::ptr_eq(&one, &other));
        drop((one, other));
        drop(looks.permits("third"));
        assert_eq!(looks.permits.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_node_that_fell_behind_was_live() {
        let seen = |state: &str| {
            let (reason, at) = (String::new(), DateTime::UNIX_EPOCH);
            Seen { state: state.to_owned(), reason, sequence: 1, at }
        };
        let nodes = [("a", "ready"), ("b", "degraded"), ("c", "waiting"), ("d", "failed")];
        let nodes = nodes.map(|(name, state)| (name.to_owned(), seen(state))).into();
        let observation = Observation { nodes, ..Observation::default() };
        assert_eq!(were_live(&observation), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
