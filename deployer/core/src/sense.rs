//! Sensing: whoever sees an object change has the key that owns it looked at.
//!
//! Sensing only wakes. What an object's change means is for the turn that follows to find out, so that a wake too
//! many costs a look and is never wrong. A wake too few is what matters: what is live and watched whole is looked
//! at by itself after a minute at first and after an hour at last (`sense/senses.rs`), and only then.
//!
//! Watched whole is a key whose objects are all labelled as its inventory's, and whose kinds were each listed to
//! the end by a watch that has not broken since. What is not watched whole is looked at by the usual ladder, be it
//! that the cluster is away, that a right is missing or that there are too many kinds. When a watch breaks, the
//! keys that relied on it are woken once, spread over half a minute, and are on the ladder from then on.
//!
//! Every process that runs turns senses for itself, for it is the one that must know what it may rely on. That
//! several wake the same key at once is one job.
//!
//! # Memory
//!
//! No object is kept. Of each object a watch keeps its name and its labels, and a cluster 24 bytes: which object,
//! whose it was and what it was, each by 8 bytes of a SHA-256; for at most 100,000 objects. Of each
//! key it keeps the kinds and the shared objects of its inventory. A cluster has at most 64 watches.

mod digests;
mod index;
mod kinds;
mod senses;
mod sight;
mod wakes;
mod ward;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use slipway_kubernetes::Cluster;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::receiver::Core;
use ward::Ward;

pub(crate) use senses::Senses;

/// How often it is asked which clusters there are.
const CLUSTERS_EVERY: Duration = Duration::from_secs(30);

/// Senses what changes in every cluster that the core drives.
pub struct Sensor {
    core: Core,
}

/// A cluster under watch.
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
        while let Some(clusters) = stop.run_until_cancelled(self.core.host.clusters()).await {
            match clusters {
                Ok(clusters) => self.tend(&mut watched, clusters, &stop),
                Err(fault) => tracing::warn!(fault = fault.message, "cannot ask which clusters to watch"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(CLUSTERS_EVERY)).await.is_none() {
                break;
            }
        }
        for (cluster, Watched { task, .. }) in watched {
            if let Err(error) = task.await {
                tracing::error!(cluster, %error, "watching ended badly");
            }
        }
    }

    /// Begins with clusters that are new, or reached in another way, and ends with those that are gone.
    fn tend(
        &self,
        watched: &mut BTreeMap<String, Watched>,
        clusters: Vec<(String, Arc<Cluster>)>,
        stop: &CancellationToken,
    ) {
        let clusters: BTreeMap<String, Arc<Cluster>> = clusters.into_iter().collect();
        watched.retain(|name, watched| {
            let is_same = clusters.get(name).is_some_and(|cluster| Arc::ptr_eq(cluster, &watched.cluster));
            let stays = is_same && !watched.task.is_finished();
            if !stays {
                watched.stop.cancel();
            }
            stays
        });
        for (name, cluster) in clusters {
            if watched.contains_key(&name) {
                continue;
            }
            let stop = stop.child_token();
            let ward = Ward::new(self.core.clone(), name.clone(), Arc::clone(&cluster));
            let task = tokio::spawn(ward.run(stop.clone()));
            watched.insert(name, Watched { cluster, stop, task });
        }
    }
}
