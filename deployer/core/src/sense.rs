//! Sensing: whoever sees an object change has the key that owns it looked at.
//!
//! Sensing only wakes. What an object's change means is for the turn that follows to find out, so that a wake too
//! many costs a look and is never wrong. A wake too few is what matters: what is live and sensed whole is looked
//! at by itself after half an hour at first and after an hour at last (`sense/senses.rs`), and only then.
//!
//! There are two ways to sense (`sense/sensing.rs`). One watches each kind; the other polls: it lists each kind now
//! and then, at pauses that grow while nothing changes ([`ladder`]). A cluster is watched unless its registration
//! says otherwise; a kind that the kubeconfig's user may list and not watch is polled by itself.
//!
//! Sensed whole is a key whose objects are all labelled as its inventory's, and whose kinds were each listed to
//! the end, and since then watched without a break or listed in time. What is not sensed whole is looked at by the
//! usual pauses, be it that the cluster is away, that a right is missing or that there are too many kinds. When a
//! watch breaks, or a cluster that is polled gives no answer three times in a row, the keys that relied on it are
//! woken once, spread over half a minute, and are looked at by those pauses from then on.
//!
//! Every process that runs turns senses for itself, for it is the one that must know what it may rely on. That
//! several wake the same key at once is one job.
//!
//! # Memory
//!
//! No object is kept. Of each object a watch keeps its name and its labels, a poll nothing, and a cluster 24 bytes:
//! which object, whose it was and what it was, each by 8 bytes of a SHA-256; for at most 100,000 objects. Of each
//! key it keeps the kinds and the shared objects of its inventory. At most 64 kinds of a cluster are sensed.

mod digests;
mod index;
mod kinds;
pub mod ladder;
mod pull;
mod rounds;
mod senses;
mod sensing;
mod sight;
mod wakes;
mod ward;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use slipway_kubernetes::Cluster;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::host::Driven;
use crate::receiver::Core;
use rounds::Rounds;
use ward::Ward;

pub(crate) use senses::Senses;

/// How often it is asked which clusters there are.
const CLUSTERS_EVERY: Duration = Duration::from_secs(30);

/// Senses what changes in every cluster that the core drives.
pub struct Sensor {
    core: Core,
}

/// A cluster that is sensed.
struct Watched {
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sensor {
    /// One that wakes keys of `core` and tells it, and its clones, what may be relied on.
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// Senses until `stop`. Each cluster has its own task, so that one that is away holds up no other.
    pub async fn run(self, stop: CancellationToken) {
        let mut watched = BTreeMap::new();
        let rounds = Arc::new(Rounds::new(self.core.options.ladder));
        let turns = tokio::spawn({
            let (rounds, stop) = (Arc::clone(&rounds), stop.clone());
            async move { stop.run_until_cancelled(rounds.run()).await }
        });
        while let Some(clusters) = stop.run_until_cancelled(self.core.host.clusters()).await {
            match clusters {
                Ok(clusters) => self.tend(&mut watched, clusters, &rounds, &stop),
                Err(fault) => tracing::warn!(fault = fault.message, "cannot ask which clusters to watch"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(CLUSTERS_EVERY)).await.is_none() {
                break;
            }
        }
        for (cluster, Watched { task, .. }) in watched {
            if let Err(error) = task.await {
                tracing::error!(cluster, %error, "sensing ended badly");
            }
        }
        if let Err(error) = turns.await {
            tracing::error!(%error, "giving turns to clusters ended badly");
        }
    }

    /// Begins with clusters that are new, or reached in another way, and ends with those that are gone.
    fn tend(
        &self,
        watched: &mut BTreeMap<String, Watched>,
        clusters: Vec<Driven>,
        rounds: &Arc<Rounds>,
        stop: &CancellationToken,
    ) {
        let clusters: BTreeMap<String, Driven> =
            clusters.into_iter().map(|driven| (driven.name.clone(), driven)).collect();
        watched.retain(|name, watched| {
            // Whoever changes how it is sensed gets it connected to anew.
            let is_same =
                clusters.get(name).is_some_and(|driven| Arc::ptr_eq(&driven.cluster, &watched.cluster));
            let stays = is_same && !watched.task.is_finished();
            if !stays {
                watched.stop.cancel();
            }
            stays
        });
        for (name, driven) in clusters {
            if watched.contains_key(&name) {
                continue;
            }
            let stop = stop.child_token();
            let cluster = Arc::clone(&driven.cluster);
            let ward = Ward::new(self.core.clone(), driven, Arc::clone(rounds));
            let task = tokio::spawn(ward.run(stop.clone()));
            watched.insert(name, Watched { cluster, stop, task });
        }
    }
}
