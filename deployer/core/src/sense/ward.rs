//! One cluster that is sensed: each kind that its keys hold is watched, or polled.
//!
//! A kind is polled where somebody chose that for the cluster, and where the kubeconfig's user may list it and not
//! watch it. Both ways tell of it under one number, so that what changed on the way from one to the other is seen.
//! One that the user may not even list in all namespaces is sensed in each namespace where a key has it, again
//! watched if that may be, else polled. What may be neither is looked at by the turns alone, object by object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use slipway_handoff::Key;
use slipway_kubernetes::{Cluster, Followed, Sensed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::kinds::{Kind, NARROW_WATCHES_MAX, Rewatch, WATCHES_MAX};
use super::pull::{Lists, Polls};
use super::rounds::Rounds;
use super::senses::Post;
use super::sensing::{Report, Sensing as _, Told};
use super::sight::Sight;
use super::wakes::Cause;
use super::watches::Watches;
use crate::host::Driven;
use crate::receiver::Core;

mod denied;
mod learn;

use denied::Denied;

/// How often it is looked which keys there are and what they hold.
const LEARN_EVERY: Duration = Duration::from_secs(30);
/// The same for a cluster that is polled: there may be very many of them.
const LEARN_EVERY_POLLED: Duration = Duration::from_secs(300);
/// The least time between two such looks, however much is heard of that is not known.
const LEARN_APART: Duration = Duration::from_secs(3);
/// So many keys are woken by one transaction.
const WAKES_AT_ONCE: usize = 64;
/// So many questions of what may be done are asked in one look: nothing is heard of meanwhile.
const ASKED_AT_ONCE: usize = 8;
/// When keys are woken that could not be, because the records did not answer.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

/// A cluster that is sensed.
pub(super) struct Ward {
    core: Core,
    name: String,
    cluster: Arc<Cluster>,
    sight: Sight,
    /// Whether all of it is polled.
    is_polled: bool,
    watches: Watches,
    polls: Polls,
    /// Kinds that are polled because they may not be watched.
    unwatchable: Denied,
    /// Kinds that are sensed in each namespace by itself, because they may not be listed in all.
    narrow: Denied,
    /// Numbers of the kinds that are sensed.
    numbers: BTreeMap<Kind, u64>,
    /// Keys whose inventories are to be read.
    unread: BTreeSet<Key>,
    learnt_at: Instant,
    learn_at: Instant,
    /// Whether requests there have no answer.
    is_away: bool,
    /// Whether it was told that some kinds are beyond the limit.
    is_limit_told: bool,
}

impl Ward {
    pub(super) fn new(core: Core, driven: Driven, rounds: Arc<Rounds>) -> Self {
        let Driven { name, cluster, is_polled } = driven;
        let post = Post::take(Arc::clone(&core.senses), name.clone());
        let now = Instant::now();
        let lists: Arc<dyn Lists> = Arc::<Cluster>::clone(&cluster);
        Self {
            core,
            sight: Sight::new(name.clone(), post),
            is_polled,
            watches: Watches::new(Arc::clone(&cluster)),
            polls: Polls::new(lists, name.clone(), rounds),
            unwatchable: Denied::default(),
            narrow: Denied::default(),
            numbers: BTreeMap::new(),
            name,
            cluster,
            unread: BTreeSet::new(),
            learnt_at: now,
            learn_at: now,
            is_away: false,
            is_limit_told: false,
        }
    }

    /// Senses until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if self.is_polled {
            tracing::info!(cluster = self.name, "is polled, as its registration says");
        }
        while stop.run_until_cancelled(self.step()).await.is_some() {}
    }

    async fn step(&mut self) {
        let wake_at = self.sight.wakes.next();
        tokio::select! {
            () = tokio::time::sleep_until(self.learn_at) => self.learn().await,
            () = self.sight.post.stirred() => {
                self.learn_soon();
                self.polls.hasten();
            }
            () = self.sight.post.restless() => {
                self.sight.doubt(self.polls.kinds());
                self.polls.hasten();
            }
            // One that is polled is tried by its polls, of which there are only so many a second.
            () = self.cluster.turned(self.is_away, !self.is_polled) => self.turned(),
            () = tokio::time::sleep_until(wake_at.unwrap_or(self.learn_at)), if wake_at.is_some() => {
                self.wake().await;
            }
            told = self.watches.told() => self.watched(told),
            told = self.polls.told() => self.polled(told),
        }
    }

    /// The cluster is away, or answers again. Whoever waits for it is woken then, and need not look before.
    fn turned(&mut self) {
        self.is_away = !self.is_away;
        if self.is_away {
            tracing::warn!(cluster = self.name, "gives no answer: it is asked now and then whether it does");
        } else {
            tracing::info!(cluster = self.name, "answers again");
        }
        if !self.is_polled {
            self.sight.post.tell_expired(self.is_away);
        }
        if !self.is_away {
            self.polls.hasten();
            self.sight.returned(Instant::now());
        }
    }

    /// Takes in what a watch told. A kind that may not be watched may be listed.
    fn watched(&mut self, told: Told) {
        match told {
            Told::Of { kind, number, report: Report::One(Sensed::Denied(why)) } => {
                tracing::info!(
                    cluster = self.name,
                    kind = kind.kind,
                    namespace = kind.namespace.as_deref(),
                    why,
                    "is polled, since it may not be watched"
                );
                self.watches.end(&kind);
                self.polls.begin(&kind, number);
                self.unwatchable.add(Kind::clone(&kind), Instant::now());
            }
            told => self.take(told),
        }
    }

    /// Takes in what a poll told. A kind that may not be listed in all namespaces may be in those that matter.
    fn polled(&mut self, told: Told) {
        match told {
            Told::Of { kind, number, report: Report::One(Sensed::Denied(why)) }
                if self.may_be_narrowed(&kind, number) =>
            {
                tracing::info!(
                    cluster = self.name,
                    kind = kind.kind,
                    why,
                    "is sensed namespace by namespace, since it may not be listed in all"
                );
                self.narrow.add(Kind::clone(&kind), Instant::now());
                self.sense_anew(&kind);
            }
            told => self.take(told),
        }
    }

    fn may_be_narrowed(&self, kind: &Kind, number: u64) -> bool {
        kind.namespace.is_none()
            && self.numbers.get(kind) == Some(&number)
            && self.sight.index.is_namespaced(kind)
    }

    /// A kind is sensed in other places from now on. What changes on the way there no one tells, so whoever holds
    /// some of it is woken.
    fn sense_anew(&mut self, kind: &Kind) {
        let now = Instant::now();
        for key in self.sight.index.holding(kind) {
            self.sight.wakes.spread(key, Cause::Change, now);
        }
        self.rewatch();
    }

    fn take(&mut self, told: Told) {
        let now = Instant::now();
        let is_strange = match told {
            Told::Of { kind, number, report: Report::One(sensed) } => {
                self.sight.take(&kind, number, sensed, now)
            }
            Told::Of { kind, number, report: Report::All(glimpses) } => {
                self.sight.take_all(&kind, number, &glimpses, now)
            }
            Told::Expired(why) => {
                self.sight.post.tell_expired(self.is_polled || self.is_away);
                self.sight.expired(self.polls.kinds(), &why, now);
                false
            }
            Told::Returned => {
                self.sight.post.tell_expired(self.is_away && !self.is_polled);
                self.sight.returned(now);
                false
            }
        };
        if is_strange {
            self.learn_soon();
        }
    }

    /// Something was heard of that is not known.
    fn learn_soon(&mut self) {
        self.learn_at = self.learn_at.min(self.learnt_at + LEARN_APART);
    }

    /// Wakes the keys that are due.
    async fn wake(&mut self) {
        let keys = self.sight.wakes.take(Instant::now(), WAKES_AT_ONCE);
        if keys.is_empty() {
            return;
        }
        if let Err(fault) = self.core.wake(&keys).await {
            tracing::warn!(cluster = self.name, fault = fault.message, "keys are woken later");
            self.sight.wakes.again(&keys, Instant::now() + WAKE_AGAIN);
        }
    }

    /// Senses the kinds that keys hold now, and no others.
    fn rewatch(&mut self) {
        let index = &self.sight.index;
        self.narrow.retain(|kind| index.is_namespaced(kind));
        let narrow = self.narrow.kinds();
        let limit = if narrow.is_empty() { WATCHES_MAX } else { NARROW_WATCHES_MAX };
        let rewatch = Rewatch::of(&self.sight.watched(), &index.kinds(&narrow), limit);
        for kind in &rewatch.end {
            self.end(kind);
        }
        for kind in rewatch.begin {
            self.begin(kind);
        }
        let is_limited = !rewatch.left_out.is_empty();
        if is_limited && !self.is_limit_told {
            tracing::warn!(
                cluster = self.name,
                kinds = rewatch.left_out.len(),
                "more kinds than {limit} are in use: what has others is looked at more often instead"
            );
        }
        self.is_limit_told = is_limited;
    }

    fn begin(&mut self, kind: Kind) {
        let number = self.sight.begin(kind.clone());
        if self.is_polled {
            self.polls.begin(&kind, number);
        } else {
            self.watches.begin(&kind, number);
        }
        self.numbers.insert(kind, number);
    }

    fn end(&mut self, kind: &Kind) {
        self.watches.end(kind);
        self.polls.end(kind);
        self.unwatchable.remove(kind);
        self.numbers.remove(kind);
        self.sight.end(kind);
    }

    /// Watches again what it was not allowed to watch and is by now, and senses in all namespaces what it may.
    async fn watch_what_may_be(&mut self) {
        for _ in 0..ASKED_AT_ONCE {
            let now = Instant::now();
            let narrow = self.narrow.due(now);
            let is_narrow = narrow.is_some();
            let Some(kind) = narrow.or_else(|| self.unwatchable.due(now)) else { return };
            let (api_version, name) = (kind.api_version.as_str(), kind.kind.as_str());
            let answer = self.cluster.may_follow(api_version, name, kind.namespace.as_deref()).await;
            let is_silent = answer.is_err();
            // No answer says nothing: it is asked about again later.
            let followed = answer.unwrap_or(Followed::Not);
            if is_narrow {
                self.widen(&kind, followed);
            } else {
                self.watch(&kind, followed);
            }
            if is_silent {
                return;
            }
        }
    }

    /// A kind that may be listed in all namespaces by now is sensed there.
    fn widen(&mut self, kind: &Kind, followed: Followed) {
        let may_list = followed != Followed::Not;
        self.narrow.asked(kind, may_list, Instant::now());
        if may_list {
            tracing::info!(
                cluster = self.name,
                kind = kind.kind,
                "is sensed in all namespaces, since it may be by now"
            );
            self.sense_anew(kind);
        }
    }

    /// A kind that may be watched by now is not polled any more.
    fn watch(&mut self, kind: &Kind, followed: Followed) {
        let may_watch = followed == Followed::Watched;
        self.unwatchable.asked(kind, may_watch, Instant::now());
        if let Some(number) = self.numbers.get(kind).copied().filter(|_| may_watch) {
            tracing::info!(cluster = self.name, kind = kind.kind, "is watched, since it may be by now");
            self.polls.end(kind);
            self.watches.begin(kind, number);
        }
    }
}
