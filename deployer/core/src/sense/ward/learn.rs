//! Which keys a cluster has and what they hold, as far as the records say.

use std::collections::BTreeSet;

use slipway_handoff::Key;
use slipway_records::PAGE_ROWS_MAX;
use slipway_types::{Class, Fault};
use tokio::time::Instant;

use super::{LEARN_EVERY, LEARN_EVERY_POLLED, Ward};
use crate::inventory::Inventory;
use crate::receiver::{Core, fault, wake_up};

/// Inventories are large, so each time only so many are read again, each in its turn: what another process took
/// for a key that is known is noticed by this. What this process takes is read at once.
const READ_AGAIN: usize = 50;

impl Ward {
    /// Looks which keys there are, and has sensed what they hold.
    pub(super) async fn learn(&mut self) {
        self.learnt_at = Instant::now();
        self.learn_at = self.learnt_at + if self.is_polled { LEARN_EVERY_POLLED } else { LEARN_EVERY };
        if let Err(fault) = self.learn_keys().await {
            let fault = fault.message;
            tracing::warn!(cluster = self.name, fault, "cannot read what is deployed there; trying again");
        }
        self.rewatch();
        self.watch_what_may_be().await;
        self.sight.tidy(Instant::now());
    }

    async fn learn_keys(&mut self) -> Result<(), Fault> {
        // Before the keys are listed: so what was handed off is among them.
        self.unread.append(&mut self.sight.post.handed_off());
        let all = self.core.keys_of(&self.name).await?;
        self.sight.index.retain(&all);
        self.unread.extend(self.sight.index.oldest(READ_AGAIN));
        self.unread.retain(|key| all.contains(key));
        self.unread.extend(all.into_iter().filter(|key| !self.sight.index.has(key)));
        while let Some(key) = self.unread.first().cloned() {
            self.read(&key).await?;
            self.unread.remove(&key);
        }
        Ok(())
    }

    async fn read(&mut self, key: &Key) -> Result<(), Fault> {
        let now = Instant::now();
        let inventory = match self.core.load(key).await {
            Ok(Some(loaded)) => loaded.kept.inventory,
            Ok(None) => {
                self.sight.index.remove(key);
                return Ok(());
            }
            Err(fault) if fault.class == Class::Transient => return Err(fault),
            // Its turns say so too, and the other keys are to be watched.
            Err(fault) => {
                tracing::debug!(%key, fault = fault.message, "what it holds cannot be read");
                Inventory::default()
            }
        };
        self.sight.learnt(key, &inventory, now);
        Ok(())
    }
}

impl Core {
    /// All keys of a cluster.
    async fn keys_of(&self, cluster: &str) -> Result<BTreeSet<Key>, Fault> {
        let mut all = BTreeSet::new();
        let mut after = None;
        loop {
            let mut read = self.records.read().await.map_err(|error| fault(&error))?;
            let page = read.reconcile_of_cluster(cluster, after.take(), PAGE_ROWS_MAX).await;
            let page = page.map_err(|error| fault(&error))?;
            after = page.last().cloned();
            all.extend(page.into_iter().map(|(environment, application)| Key { environment, application }));
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Has keys looked at now. They are sorted, so that two who wake the same do not wait for each other.
    pub(super) async fn wake(&self, keys: &[Key]) -> Result<(), Fault> {
        let mut tx = self.records.begin().await.map_err(|error| fault(&error))?;
        for key in keys {
            wake_up(tx.as_mut(), key).await?;
        }
        tx.commit().await.map_err(|error| fault(&error))
    }
}
