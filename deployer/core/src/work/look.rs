//! Whether a node is ready: its objects, what it waits for, and what it gives.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::{Node, Object, ObjectRef, Ready, Wait};
use slipway_health::{Expression, ExpressionError, Health, ObjectState};
use slipway_kubernetes::Cluster;
use slipway_records::fault_point;

use super::drift::Drift;
use super::growing::is_growing;
use super::passing::goes_by_itself;
use super::{Prepared, Work, key_of};
use crate::hitch::Hitch;
use crate::schedule::Verdict;

/// Objects by reference as one look found them; `None`: the cluster said that it is not there.
pub(super) type Found = BTreeMap<ObjectRef, Option<Value>>;

/// What a look came to.
pub(super) struct Seen {
    /// How the node stands, whatever others changed.
    pub(super) verdict: Verdict,
    /// What others changed.
    pub(super) drifts: Vec<Drift>,
}

impl From<Verdict> for Seen {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, drifts: Vec::new() }
    }
}

impl Work {
    /// How a node stands. `applied`: its objects as they were applied, if it was ready before; then what falls
    /// behind or was changed by others is told as that.
    pub(super) async fn look(&self, name: &str, applied: Option<&Prepared>) -> Seen {
        let Some(node) = self.node(name) else {
            return Verdict::Failed { reason: format!("there is no node `{name}`") }.into();
        };
        let seen =
            self.look_at((name, node), applied).await.unwrap_or_else(|hitch| Verdict::from(hitch).into());
        fault_point::reach("core.checked");
        seen
    }

    async fn look_at(&self, node: (&str, &Node), applied: Option<&Prepared>) -> Result<Seen, Hitch> {
        let cluster = self.cluster().await?;
        let mut found = match applied {
            None => self.written.take(node.1),
            Some(_) => Found::new(),
        };
        let verdict = self.standing_of(&cluster, node, applied.is_some(), &mut found).await?;
        let drifts = match applied {
            Some(applied) => self.drifts(&cluster, applied, &mut found).await?,
            None => Vec::new(),
        };
        Ok(Seen { verdict, drifts })
    }

    async fn standing_of(
        &self,
        cluster: &Cluster,
        (own_name, node): (&str, &Node),
        was_live: bool,
        found: &mut Found,
    ) -> Result<Verdict, Hitch> {
        let mut growing = None;
        for object in node.objects.iter().filter(|object| was_live || object.ready != Ready::Applied) {
            let Some(live) = see(cluster, found, &object.object).await? else {
                match self.missing(object, was_live) {
                    Some(verdict) => return Ok(verdict),
                    None => continue,
                }
            };
            let Some(verdict) = stands_against(object, live, was_live) else { continue };
            let verdict = self.with_cause(cluster, Some(live), verdict).await;
            let grows = was_live && self.is_growing(cluster, object, live).await;
            match verdict {
                Verdict::NotYet { blocker } if grows => growing = Some(Verdict::Growing { blocker }),
                verdict => return Ok(verdict),
            }
        }
        if let Some(growing) = growing {
            return Ok(growing);
        }
        // What was waited for once need not hold for ever.
        for wait in node.waits.iter().filter(|_| !was_live) {
            let live = see(cluster, found, &wait.object).await?;
            if let Some(verdict) = unfulfilled(wait, live) {
                return Ok(verdict);
            }
        }
        // What it gave is kept from when it became ready.
        if was_live {
            return Ok(Verdict::Ready { outputs: BTreeMap::new() });
        }
        match self.outputs(cluster, (own_name, node), found).await? {
            Ok(outputs) => Ok(Verdict::Ready { outputs }),
            Err(verdict) => Ok(verdict),
        }
    }

    /// What it means that an object of a node is not there, which was written; `None`: nothing.
    fn missing(&self, object: &Object, was_live: bool) -> Option<Verdict> {
        let reference = &object.object;
        let goes_by_itself = self.manifest(object).is_some_and(|manifest| goes_by_itself(&manifest));
        match (was_live, goes_by_itself) {
            (true, true) => None,
            (true, false) => Some(Verdict::NotYet { blocker: format!("{reference} is not there") }),
            // Whether it succeeded nobody can say any more, and twice may be once too often.
            (false, true) => Some(Verdict::Failed {
                reason: format!(
                    "{reference} went before it was seen how it ended: give it a longer \
                     ttlSecondsAfterFinished, or try again"
                ),
            }),
            (false, false) => Some(Verdict::Gone { what: format!("{reference} is gone") }),
        }
    }

    async fn is_growing(&self, cluster: &Cluster, object: &Object, live: &Value) -> bool {
        match self.manifest(object) {
            Some(manifest) => is_growing(cluster, object, &manifest, live).await,
            None => false,
        }
    }
}

pub(super) async fn see<'f>(
    cluster: &Cluster,
    found: &'f mut Found,
    object: &ObjectRef,
) -> Result<Option<&'f Value>, Hitch> {
    if !found.contains_key(object) {
        let live = cluster.get(&key_of(object)).await?;
        found.insert(object.clone(), live);
    }
    Ok(found.get(object).and_then(Option::as_ref))
}

/// What stands against an object's being ready.
pub(super) fn stands_against(object: &Object, live: &Value, was_live: bool) -> Option<Verdict> {
    let reference = &object.object;
    let health = match &object.ready {
        Ready::Applied => return None,
        Ready::Kstatus => slipway_health::of_object(live, was_live),
        Ready::Cel(text) => return unless_true(text, live, &reference.to_string()),
    };
    verdict_of(reference, health)
}

fn verdict_of(reference: &ObjectRef, health: Health) -> Option<Verdict> {
    let told = format!("{reference}: {}", health.reason);
    match health.state {
        state if state.is_ready() => None,
        ObjectState::Failed => Some(Verdict::Failed { reason: told }),
        _ => Some(Verdict::NotYet { blocker: told }),
    }
}

pub(super) fn unfulfilled(wait: &Wait, live: Option<&Value>) -> Option<Verdict> {
    let reference = &wait.object;
    let Some(live) = live else {
        return Some(Verdict::NotYet { blocker: format!("waits for {reference}, which is not there") });
    };
    unless_true(&wait.until, live, &format!("waits for {reference}"))
}

/// What stands against a condition over an object, which is called `self`, and `object` in operators' files.
fn unless_true(text: &str, live: &Value, about: &str) -> Option<Verdict> {
    let values = BTreeMap::from([("self".to_owned(), live.clone()), ("object".to_owned(), live.clone())]);
    match Expression::parse(text).and_then(|expression| expression.eval_with(&values)) {
        Ok(true) => None,
        Ok(false) => Some(Verdict::NotYet { blocker: format!("{about}: not yet {text}") }),
        Err(error @ ExpressionError::Missing(_)) => {
            Some(Verdict::NotYet { blocker: format!("{about}: {error}") })
        }
        Err(error) => Some(Verdict::Failed { reason: format!("{about}: {error}") }),
    }
}
