//! What a cluster tells of a node that failed: conditions, events, and the ends of containers' logs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_handoff::{Node, Object, ObjectRef, Wait};
use slipway_kubernetes::{CallError, Cluster};
use slipway_records::failure::{Found, FoundObject};
use slipway_records::fault_point;
use slipway_secrets::Mask;
use slipway_types::{Class, Fault};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::look::{stands_against, unfulfilled};
use super::{Work, key_of};
use crate::evidence::Evidence;
use crate::schedule::{Turn, Verdict};

mod conditions;
mod containers;
pub(super) mod events;
mod logs;
pub(super) mod masking;

/// How long gathering may take in all, and one request of it.
const WITHIN: Duration = Duration::from_secs(10);
const REQUEST_WITHIN: Duration = Duration::from_secs(4);
/// So often and so far apart it is tried to keep what was found.
const TRIES_MAX: u32 = 4;
const TRY_EVERY: Duration = Duration::from_secs(1);
/// So many objects that are not ready are told of.
const OBJECTS_MAX: usize = 20;
/// So many notes are kept.
const NOTES_MAX: usize = 20;
/// The longest text that others wrote and that is kept, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

/// A node that failed or timed out.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// Which attempt of which node.
    pub(crate) turn: Turn,
    /// `failed` or `timed_out`.
    pub(crate) state: &'static str,
    /// What stood in the way.
    pub(crate) blocker: String,
    /// When it failed.
    pub(crate) at: DateTime<Utc>,
}

/// The requests of one gathering: bounded in time, and in how many are under way.
pub(super) struct Asking<'a> {
    permits: &'a Semaphore,
    until: Instant,
}

impl<'a> Asking<'a> {
    /// From now on, for so long.
    pub(super) fn new(permits: &'a Semaphore, within: Duration) -> Self {
        Self { permits, until: Instant::now() + within }
    }

    /// What came of it, or why nothing did.
    async fn within<T>(&self, call: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        // Waiting for one's turn is not the cluster's silence.
        let permitted = async {
            let _permit = self.permits.acquire().await;
            tokio::time::timeout(REQUEST_WITHIN, call).await
        };
        let answer = tokio::time::timeout_at(self.until, permitted).await.flatten();
        answer.unwrap_or_else(|_| Err("there was no answer in time".to_owned()))
    }

    /// The same of a request to a cluster.
    pub(super) async fn ask<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, String> {
        self.within(async { call.await.map_err(|error| error.says()) }).await
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Work {
    /// Gathers what is found of a node that failed, and has it kept, unless that is done already.
    pub(crate) async fn keep_evidence(&self, failed: Failed) {
        fault_point::reach("core.gathering");
        if let Err(fault) = self.try_keep_evidence(&failed).await {
            let (key, node) = (&self.submission.key, &failed.turn.node);
            tracing::warn!(%key, node, fault = fault.message, "what was found of a failure is not kept");
        }
    }

    async fn try_keep_evidence(&self, failed: &Failed) -> Result<(), Fault> {
        let (host, key) = (&self.core.host, &self.submission.key);
        let generation = self.submission.generation;
        if host.has_evidence(key, generation, &failed.turn).await? {
            return Ok(());
        }
        let evidence = self.evidence(failed).await;
        for _ in 1..TRIES_MAX {
            match host.keep_evidence(key, generation, &evidence).await {
                Err(fault) if fault.class == Class::Transient => tokio::time::sleep(TRY_EVERY).await,
                kept => return kept,
            }
        }
        host.keep_evidence(key, generation, &evidence).await
    }

    async fn evidence(&self, failed: &Failed) -> Evidence {
        let asking = Asking::new(&self.looks, WITHIN);
        let mut found =
            Found { state: failed.state.to_owned(), blocker: failed.blocker.clone(), ..Found::default() };
        let mut log = String::new();
        if let Some(node) = self.node(&failed.turn.node) {
            let environment = &self.submission.key.environment;
            let cluster = async { self.core.host.cluster(environment).await.map_err(|fault| fault.message) };
            match asking.within(cluster).await {
                Ok(cluster) => self.gather(node, &cluster, &asking, &mut found, &mut log).await,
                Err(why) => note(&mut found, format!("the cluster could not be asked: {why}")),
            }
        }
        found.blocker = bounded(&found.blocker);
        Evidence { turn: failed.turn.clone(), at: failed.at, found, log }
    }

    async fn gather(
        &self,
        node: &Node,
        cluster: &Cluster,
        asking: &Asking<'_>,
        found: &mut Found,
        log: &mut String,
    ) {
        let objects = unready(node, cluster, asking, found).await;
        let pods = containers::troubled(&objects, cluster, asking, found).await;
        let mask = self.mask(&pods, cluster, asking).await;
        logs::read(&pods, mask.as_ref(), cluster, asking, found, log).await;
        found.events = events::about(&objects, &pods, cluster, asking, &mut found.notes).await;
        if mask.is_err() {
            // The end of a log may be in it.
            found.containers.iter_mut().for_each(|container| container.message.clear());
        }
        hide(found, &mask.unwrap_or_else(|_| Mask::new(&[])));
    }
}

/// Objects of a node that are not ready, and those that it waits for, as they are; what they say is told.
async fn unready(node: &Node, cluster: &Cluster, asking: &Asking<'_>, found: &mut Found) -> Vec<Value> {
    let own = node.objects.iter().map(|object| (&object.object, Wanted::Ready(object)));
    let awaited = node.waits.iter().map(|wait| (&wait.object, Wanted::Awaited(wait)));
    let wanted: Vec<(&ObjectRef, Wanted<'_>)> = own.chain(awaited).collect();
    let mut unready = Vec::new();
    for (reference, wanted) in wanted {
        if found.objects.len() >= OBJECTS_MAX {
            note(found, format!("more than {OBJECTS_MAX} objects are not ready: the others are left out"));
            break;
        }
        let live = match asking.ask(cluster.get(&key_of(reference))).await {
            Ok(live) => live,
            Err(why) => {
                note(found, format!("{reference} could not be read: {why}"));
                if asking.is_over() {
                    break;
                }
                continue;
            }
        };
        let verdict = match wanted {
            Wanted::Ready(object) => match &live {
                Some(live) => stands_against(object, live, false),
                None => Some(Verdict::Gone { what: format!("{reference} is not there") }),
            },
            Wanted::Awaited(wait) => unfulfilled(wait, live.as_ref()),
        };
        let Some(verdict) = verdict else { continue };
        found.objects.push(FoundObject {
            object: reference.to_string(),
            reason: reason(&verdict).to_owned(),
            conditions: live.as_ref().map(conditions::of).unwrap_or_default(),
        });
        unready.extend(live);
    }
    unready
}

/// What a node wants of an object.
enum Wanted<'a> {
    Ready(&'a Object),
    Awaited(&'a Wait),
}

pub(super) fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Ready { .. } => "",
        Verdict::NotYet { blocker } | Verdict::Growing { blocker } => blocker,
        Verdict::Gone { what } => what,
        Verdict::Failed { reason } => reason,
        Verdict::Unreachable { why } => why,
    }
}

/// Hides values of secrets in all that others wrote, and then cuts it: what is left of a value that was cut would
/// show. The ends of logs are hidden before they are taken apart.
fn hide(found: &mut Found, mask: &Mask) {
    let mut texts: Vec<&mut String> = vec![&mut found.blocker];
    for object in &mut found.objects {
        texts.push(&mut object.reason);
        texts.extend(object.conditions.iter_mut().map(|condition| &mut condition.message));
    }
    texts.extend(found.events.iter_mut().map(|event| &mut event.message));
    for container in &mut found.containers {
        texts.push(&mut container.message);
        texts.extend(container.log.problem.as_mut());
    }
    for text in texts {
        *text = bounded(&mask.mask(text));
    }
}

/// Says that something could not be read, or was left out.
fn note(found: &mut Found, said: String) {
    push_note(&mut found.notes, said);
}

pub(super) fn push_note(notes: &mut Vec<String>, said: String) {
    if notes.len() < NOTES_MAX {
        notes.push(bounded(&said));
    }
}

/// A text that others wrote, cut to what is kept.
pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A text in an object; empty if it is not there.
pub(super) fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A time as API servers write it.
pub(super) fn time_at(object: &Value, pointer: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text_at(object, pointer)).ok().map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use slipway_records::failure::{FoundContainer, FoundEvent};

    use super::*;

    #[test]
    fn a_value_of_a_secret_is_hidden_wherever_others_wrote_it() {
        let said = || "it is hunter2!".to_owned();
        let mut found = Found {
            blocker: said(),
            events: vec![FoundEvent { message: said(), ..Default::default() }],
            containers: vec![FoundContainer { message: said(), ..Default::default() }],
            objects: vec![FoundObject { reason: said(), ..Default::default() }],
            ..Default::default()
        };
        hide(&mut found, &Mask::new(&[SecretString::from("hunter2")]));
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert_eq!(found.events[0].message, "it is ***!");
        let cut = format!("{}hunter2", "ö".repeat(TEXT_CHARS_MAX - 3));
        let mut found = Found { blocker: cut, ..Default::default() };
        hide(&mut found, &Mask::new(&[SecretString::from("hunter2")]));
        assert!(found.blocker.ends_with("ö***"), "{}", found.blocker);
    }

    #[test]
    fn what_others_wrote_is_kept_up_to_a_length() {
        assert_eq!(bounded("short"), "short");
        assert_eq!(bounded(&"ö".repeat(2 * TEXT_CHARS_MAX)).chars().count(), TEXT_CHARS_MAX + 1);
    }

    #[tokio::test]
    async fn a_request_without_an_answer_ends_in_time() {
        let permits = Semaphore::new(1);
        let asking = Asking { permits: &permits, until: Instant::now() + Duration::from_millis(20) };
        assert_eq!(asking.within(async { Ok(1) }).await, Ok(1));
        let taken = permits.acquire().await;
        assert!(asking.within(async { Ok(1) }).await.is_err(), "nobody gives way");
        drop(taken);
        assert!(asking.is_over());
        assert!(asking.within(std::future::pending::<Result<(), String>>()).await.is_err());
    }
}
