//! How each node of a deployment stands: what was frozen, and what its receiver says of it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use slipway_records::deploying::GraphNode;
use slipway_records::failure::FoundObject;
use slipway_records::{Deployment, Failure};
use slipway_types::state::DeploymentState;

use super::actions::Action;
use super::evidence::plain;
use super::objects::{self, ObjectsPart};
use crate::pages::graph::Node;
use crate::pages::parts::{Moment, Status, Tone};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::rest::deployment_views::NodeView;

/// How names of nodes that are steps of the workflow begin.
const STEP_PREFIX: &str = "step.";
/// Most objects that are listed of a node.
const OBJECTS_MAX: usize = 200;

/// A node.
pub(super) struct NodeRow {
    pub(super) name: String,
    /// Whether it is a step of the workflow.
    pub(super) is_step: bool,
    /// Absent where nobody says how it stands.
    pub(super) status: Option<Status>,
    pub(super) reason: Option<String>,
    pub(super) seen: Option<Moment>,
    pub(super) needs: Vec<String>,
    pub(super) after: Vec<String>,
    pub(super) when: Option<String>,
    /// What people are told where it stops.
    pub(super) message: Option<String>,
    pub(super) objects: Vec<ObjectRow>,
    /// How many there are.
    pub(super) objects_word: String,
    /// How many are not listed, if some are not.
    pub(super) more_word: Option<String>,
    /// Where they are shown as they are now.
    pub(super) look: String,
    /// The same, if that was asked for.
    pub(super) live: Option<ObjectsPart>,
    pub(super) actions: Vec<Link>,
}

/// An object of a node.
pub(super) struct ObjectRow {
    pub(super) object: String,
    /// Absent where the node's own state is all that is known.
    pub(super) status: Option<Status>,
    pub(super) why: Option<String>,
}

/// All that tells how nodes stand.
pub(super) struct Seen<'a> {
    pub(super) deployment: &'a Deployment,
    /// What was frozen; none where that is not known.
    pub(super) graph: &'a [GraphNode],
    /// What the receiver says.
    pub(super) observed: &'a [NodeView],
    pub(super) failures: &'a [Failure],
    /// Whether whoever looks may tell the receiver something.
    pub(super) may_order: bool,
}

/// The state of a node by the receiver's word.
pub(super) fn status(t: &'static Texts, word: &str) -> Status {
    let d = t.deployment;
    let (tone, word) = match word {
        "pending" => (Tone::Off, d.node_pending),
        "blocked" => (Tone::Waiting, d.node_blocked),
        "applying" => (Tone::Busy, d.node_applying),
        "waiting" => (Tone::Busy, d.node_waiting),
        "ready" => (Tone::Good, d.node_ready),
        "failed" => (Tone::Bad, t.state("failed")),
        "timed_out" => (Tone::Bad, t.state("timed_out")),
        "skipped" => (Tone::Off, t.state("skipped")),
        "terminated" => (Tone::Off, t.state("terminated")),
        "suspended" => (Tone::Waiting, t.state("suspended")),
        "degraded" => (Tone::Bad, t.state("degraded")),
        "unreachable" => (Tone::Bad, t.state("unreachable")),
        "deleting" => (Tone::Busy, t.state("deleting")),
        "deleted" => (Tone::Off, t.state("deleted")),
        _ => (Tone::Off, d.node_unknown),
    };
    Status::told(tone, word)
}

impl Seen<'_> {
    /// The nodes that were frozen, in their order, then others that the receiver tells of.
    pub(super) fn rows(&self, t: &'static Texts, now: DateTime<Utc>) -> Vec<NodeRow> {
        let mut observed: BTreeMap<&str, &NodeView> =
            self.observed.iter().map(|node| (node.node.as_str(), node)).collect();
        let mut rows: Vec<NodeRow> = self
            .graph
            .iter()
            .map(|node| self.row(t, node, observed.remove(node.name.as_str()), now))
            .collect();
        for (name, seen) in observed {
            let node = GraphNode { name: name.to_owned(), ..GraphNode::default() };
            rows.push(self.row(t, &node, Some(seen), now));
        }
        rows
    }

    fn row(
        &self,
        t: &'static Texts,
        node: &GraphNode,
        seen: Option<&NodeView>,
        now: DateTime<Utc>,
    ) -> NodeRow {
        let state = seen.map(|seen| seen.state.as_str());
        // One that never reports says nothing of its nodes.
        let reports = !matches!(self.deployment.state, DeploymentState::Delivered { .. });
        NodeRow {
            is_step: node.name.starts_with(STEP_PREFIX),
            status: state.or(reports.then_some("pending")).map(|word| status(t, word)),
            reason: seen.map(|seen| plain(&seen.reason)).filter(|reason| !reason.is_empty()),
            seen: seen.map(|seen| Moment::new(t, seen.observed_at, now)),
            needs: node.needs.clone(),
            after: node.after.clone(),
            when: node.when.clone(),
            message: node.message.clone(),
            objects: self.objects(t, node, state),
            objects_word: (t.deployment.objects)(node.objects.len()),
            more_word: node
                .objects
                .len()
                .checked_sub(OBJECTS_MAX + 1)
                .map(|more| (t.deployment.more)(more + 1)),
            look: objects::address_of(self.deployment.id, &node.name),
            live: None,
            actions: self.actions(t, &node.name, state),
            name: node.name.clone(),
        }
    }

    /// The node's objects: all ready where it is; else with what was found of those that were not.
    fn objects(&self, t: &'static Texts, node: &GraphNode, state: Option<&str>) -> Vec<ObjectRow> {
        let is_lost = matches!(state, Some("failed" | "timed_out"));
        let newest = self.failures.iter().rev().find(|failure| is_lost && failure.node == node.name);
        let found: &[FoundObject] =
            newest.map(|failure| failure.found.objects.as_slice()).unwrap_or_default();
        let row = |object: &String| {
            let bad = found.iter().find(|found| found.object == *object);
            let status = match (bad, state) {
                (Some(_), _) => Some(Status::told(Tone::Bad, t.deployment.not_ready)),
                (None, Some("ready")) => Some(Status::told(Tone::Good, t.deployment.node_ready)),
                (None, _) => None,
            };
            ObjectRow { object: object.clone(), status, why: bad.map(|bad| plain(&bad.reason)) }
        };
        node.objects.iter().take(OBJECTS_MAX).map(row).collect()
    }

    fn actions(&self, t: &'static Texts, node: &str, state: Option<&str>) -> Vec<Link> {
        let action = match state {
            Some("suspended") => Action::Resume,
            Some("failed" | "timed_out") => Action::Retry,
            _ => return Vec::new(),
        };
        if !self.may_order || !action.fits(&self.deployment.state) {
            return Vec::new();
        }
        let text = (t.deployment.action)(action).to_owned();
        vec![Link { text, address: action.address_at(self.deployment.id, Some(node)) }]
    }
}

/// The nodes as they are drawn.
pub(super) fn drawn(rows: &[NodeRow]) -> Vec<Node> {
    let numbers: HashMap<&str, usize> = rows.iter().map(|row| row.name.as_str()).zip(0..).collect();
    let known = |names: &[String]| -> Vec<usize> {
        names.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect()
    };
    let node = |row: &NodeRow| Node {
        name: row.name.clone(),
        status: row.status.clone(),
        needs: known(&row.needs),
        after: known(&row.after),
        is_step: row.is_step,
        ..Node::default()
    };
    rows.iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use slipway_records::failure::Found;
    use slipway_records::{DeploymentCause, NewDeployment};
    use slipway_types::id::{ApplicationId, EnvironmentId, VersionId};
    use slipway_types::{Digest, Version};
    use uuid::Uuid;

    use super::*;
    use crate::pages::texts::ENGLISH;

    fn deployment(state: DeploymentState) -> Deployment {
        let new = NewDeployment {
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            bundle_id: VersionId::new(),
            bundle_version: Version::release(1, 0, 0),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: serde_json::Value::Null,
            cause: DeploymentCause::Deploy,
            created_by: "ann".to_owned(),
            document: None,
        };
        Deployment { state, ..new.draft(1, DateTime::UNIX_EPOCH) }
    }

    fn node(name: &str, objects: &[&str]) -> GraphNode {
        let objects = objects.iter().map(|object| (*object).to_owned()).collect();
        GraphNode { name: name.to_owned(), objects, ..GraphNode::default() }
    }

    fn observed(name: &str, state: &str) -> NodeView {
        NodeView {
            node: name.to_owned(),
            state: state.to_owned(),
            reason: String::new(),
            observed_at: DateTime::UNIX_EPOCH,
        }
    }

    fn rows(deployment: &Deployment, observed: &[NodeView], failures: &[Failure]) -> Vec<NodeRow> {
        let graph = [node("step.look", &[]), node("web", &["Deployment web", "Service web"])];
        let seen = Seen { deployment, graph: &graph, observed, failures, may_order: true };
        seen.rows(&ENGLISH, Utc::now())
    }

    #[test]
    fn what_was_frozen_and_what_is_told_come_together() {
        let deployment = deployment(DeploymentState::Progressing { blocker: None });
        let rows = rows(&deployment, &[observed("web", "ready"), observed("old", "deleting")], &[]);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["step.look", "web", "old"]);
        let words: Vec<_> = rows.iter().map(|row| row.status.as_ref().map(Status::word)).collect();
        assert_eq!(words, [Some(ENGLISH.deployment.node_pending), Some("ready"), Some("deleting")]);
        assert!(rows[0].is_step && !rows[1].is_step);
        assert!(rows[1].objects.iter().all(|object| object.status.is_some()));
    }

    #[test]
    fn a_lost_node_says_which_object_was_not_ready_and_may_be_tried_again() {
        let failed = DeploymentState::TimedOut { node: None, which: "x".to_owned() };
        let deployment = deployment(failed);
        let object = FoundObject {
            object: "Deployment web".to_owned(),
            reason: "0 of 1".to_owned(),
            ..FoundObject::default()
        };
        let failure = Failure {
            id: Uuid::now_v7(),
            deployment_id: deployment.id,
            node: "web".to_owned(),
            attempt: 1,
            at: DateTime::UNIX_EPOCH,
            found: Found { objects: vec![object], ..Found::default() },
        };
        let rows = rows(&deployment, &[observed("web", "failed")], &[failure]);
        let why: Vec<_> = rows[1].objects.iter().map(|object| object.why.as_deref()).collect();
        assert_eq!(why, [Some("0 of 1"), None]);
        assert!(rows[1].actions[0].address.ends_with("/retry?node=web"));
    }

    #[test]
    fn a_held_step_may_be_resumed_while_the_rest_goes_on() {
        let held = [observed("step.look", "suspended")];
        let going = deployment(DeploymentState::Progressing { blocker: None });
        let seen = rows(&going, &held, &[]);
        assert!(seen[0].actions[0].address.ends_with("/resume?node=step.look"));
        assert!(rows(&deployment(DeploymentState::Live), &held, &[])[0].actions.is_empty());
    }

    #[test]
    fn nodes_are_drawn_with_those_they_wait_for_that_there_are() {
        let deployment = deployment(DeploymentState::Live);
        let mut rows = rows(&deployment, &[], &[]);
        rows[1].needs = vec!["step.look".to_owned(), "gone".to_owned()];
        let nodes = drawn(&rows);
        assert!(nodes[0].is_step && nodes[0].needs.is_empty());
        assert_eq!(nodes[1].needs, [0]);
    }

    #[test]
    fn one_that_never_reports_says_nothing_of_its_nodes() {
        let delivered = deployment(DeploymentState::Delivered { artifact: "x".to_owned() });
        assert!(rows(&delivered, &[], &[]).iter().all(|row| row.status.is_none()));
    }
}
