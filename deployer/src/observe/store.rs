//! Keeping what a receiver said, together with what follows from it.

use chrono::{DateTime, TimeDelta, Utc};
use slipway_handoff::{Event, Revision};
use slipway_records::pipeline::Moved;
use slipway_records::{Change, Deployment, Environment, Observation, Seen, Trouble, incident};
use slipway_types::Fault;
use slipway_types::environment::ReceiverSettings;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::fold::{self, Nodes};
use super::verdict::{News, blocker, blocker_of_nodes, failed_node, moves, unready, word};
use crate::handler::{SLIPWAY, is_removal};
use crate::stage::Stage;
use crate::subject::Subject;
use crate::transition::advance;

/// So often a look is stored again, if others change the same rows.
const TRIES_MAX: usize = 5;
/// How often a look that brought nothing new is noted.
const NOTE_EVERY: TimeDelta = TimeDelta::seconds(30);
/// How long a receiver may give no answer until what it has counts as out of sight.
const SIGHT_LOST: TimeDelta = TimeDelta::minutes(2);
/// The largest number of an event: databases have no larger ones.
const SEQUENCE_MAX: u64 = i64::MAX.cast_unsigned();
/// The largest kept document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// What came of asking a receiver, or of listening to it.
#[derive(Debug)]
pub(crate) enum Look {
    /// It was asked, and these are all events after the last that were asked for.
    Answered(Vec<Event>),
    /// It said this by itself: there may be others that it did not say.
    Told(Vec<Event>),
    /// It gave no answer.
    Silent(String),
}

/// A deployment after a look.
pub(crate) struct Stored {
    /// Where it stands now.
    pub(crate) state: DeploymentState,
    /// Why its receiver cannot be asked.
    pub(crate) trouble: Option<Trouble>,
    /// How many events were new.
    pub(crate) taken: usize,
}

impl Stage {
    /// Stores a look and moves the deployment.
    pub(crate) async fn store(&self, subject: &Subject, look: &Look) -> Result<Stored, Fault> {
        let nodes = self.nodes_of(&subject.deployment, look).await?;
        for _ in 0..TRIES_MAX {
            if let Some(stored) = self.try_store(subject, look, &nodes).await? {
                return Ok(stored);
            }
        }
        Err(Fault::transient("changed_meanwhile", "a deployment changes faster than its receiver is heard"))
    }

    /// The nodes that a revision has; asked only where something is said.
    async fn nodes_of(&self, deployment: &Deployment, look: &Look) -> Result<Nodes, Fault> {
        let (Look::Answered(events) | Look::Told(events)) = look else { return Ok(Nodes::new()) };
        let Some(revision) = deployment.revision.filter(|_| !events.is_empty()) else {
            return Ok(Nodes::new());
        };
        let away =
            |error| Fault::transient("storage_unavailable", format!("the object store fails: {error}"));
        let document = self.blobs.get(&revision, DOCUMENT_BYTES_MAX).await.map_err(away)?;
        let document: Revision = serde_json::from_slice(&document).map_err(|_| {
            Fault::bug("revision_unreadable", format!("the revision {revision} cannot be read"))
        })?;
        Ok(fold::nodes_of(&document.graph))
    }

    /// How long the receiver of an environment may take, in minutes. The built-in core keeps the deadline itself,
    /// puts it off while something is held, and says when it has passed.
    pub(crate) fn minutes_of(&self, environment: &Environment) -> Option<u32> {
        let is_core = matches!(environment.settings.receiver, ReceiverSettings::Core {});
        (!is_core).then_some(self.options.deadline_minutes)
    }

    /// `None`: somebody changed the rows meanwhile.
    async fn try_store(
        &self,
        subject: &Subject,
        look: &Look,
        nodes: &Nodes,
    ) -> Result<Option<Stored>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let id = subject.deployment.id;
        let now = Utc::now();
        let mut tx = self.records.begin().await.map_err(fault)?;
        let Some(mut deployment) = tx.deployment_get(id).await.map_err(fault)? else {
            return Err(Fault::bug("deployment_unreadable", "a deployment is gone"));
        };
        let known = tx.observation_get(id).await.map_err(fault)?.unwrap_or_default();
        let mut observation = known.clone();
        let taken = hear(&mut observation, look, deployment.generation, nodes, now);
        let whole_of = |observation: &Observation| observation.whole.as_ref().map(|whole| whole.sequence);
        if taken > 0 {
            let application = fold::application(&observation, deployment.generation, nodes);
            observation.application = application.map(|state| state.word().to_owned());
        }
        let was = deployment.state.clone();
        let back_in_sight = known.trouble.is_some()
            && observation.trouble.is_none()
            && matches!(was, DeploymentState::Unreachable { .. });
        let news = News {
            of_whole: back_in_sight || whole_of(&known) != whole_of(&observation),
            removed_by: is_removal(&deployment).then_some(deployment.created_by.as_str()),
        };
        let mut events =
            if taken > 0 || back_in_sight { moves(&was, &observation, news) } else { Vec::new() };
        events.extend(lost(&was, &observation, now));
        for event in events {
            let moved = advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await.map_err(fault)?;
            if moved == Moved::Outrun {
                return Ok(None);
            }
        }
        let minutes = self.minutes_of(&subject.environment);
        if let Some(event) = overdue(&deployment.state, &observation, minutes, now) {
            let moved = advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await.map_err(fault)?;
            if moved == Moved::Outrun {
                return Ok(None);
            }
        }
        set_deadline(&mut observation, &deployment.state, minutes, now);
        note_stretch(&mut observation, &deployment.state, now);
        if let Some(word) = fails_under_way(&known, &observation, &deployment.state) {
            let why = blocker_of_nodes(&observation);
            incident::fails_under_way(tx.as_mut(), &deployment, word, why).await.map_err(fault)?;
        }
        let has_moved = deployment.state != was;
        let stored = Stored { state: deployment.state, trouble: observation.trouble.clone(), taken };
        if has_moved || is_noteworthy(&known, &observation) {
            if !tx.observation_save(id, &mut observation).await.map_err(fault)? {
                return Ok(None);
            }
            tx.commit().await.map_err(fault)?;
            self.records.changes().send(Change::Deployment(id));
        }
        Ok(Some(stored))
    }
}

/// Takes what is new of a look; gives how many events that were. Events of other generations and of nodes
/// that the revision has not are dropped, and so is what is not newer than what is known.
fn hear(
    observation: &mut Observation,
    look: &Look,
    generation: u64,
    nodes: &Nodes,
    now: DateTime<Utc>,
) -> usize {
    let (events, was_asked) = match look {
        Look::Answered(events) => (events, true),
        Look::Told(events) => (events, false),
        Look::Silent(why) => {
            let since = observation.trouble.as_ref().map_or(now, |trouble| trouble.since);
            observation.trouble = Some(Trouble { why: why.clone(), since });
            return 0;
        }
    };
    if was_asked {
        observation.trouble = None;
        observation.looked_at = Some(now);
        let numbers = events.iter().map(|event| event.sequence.min(SEQUENCE_MAX));
        observation.sequence = numbers.max().unwrap_or(0).max(observation.sequence);
    }
    let mut taken = 0;
    for event in events.iter().filter(|event| event.generation == generation) {
        if event.sequence > SEQUENCE_MAX {
            continue;
        }
        let known = match &event.node {
            None => observation.whole.as_ref(),
            Some(node) if nodes.contains_key(node) => observation.nodes.get(node),
            Some(_) => continue,
        };
        if known.is_some_and(|known| event.sequence <= known.sequence) {
            continue;
        }
        let seen = Seen {
            state: word(event.state),
            // It is shown on terminals.
            reason: event.reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
            sequence: event.sequence,
            at: event.observed_at,
        };
        match &event.node {
            None => observation.whole = Some(seen),
            Some(node) => drop(observation.nodes.insert(node.clone(), seen)),
        }
        taken += 1;
    }
    taken
}

/// The word for an application that has come to fail while its deployment goes on.
fn fails_under_way<'o>(
    known: &Observation,
    now: &'o Observation,
    state: &DeploymentState,
) -> Option<&'o str> {
    let goes_on = matches!(
        state,
        DeploymentState::HandedOff { .. }
            | DeploymentState::Progressing { .. }
            | DeploymentState::Suspended { .. }
    );
    let word = now.application.as_deref().filter(|_| goes_on && now.application != known.application)?;
    ["failed", "timed_out"].contains(&word).then_some(word)
}

/// Whether anything but the time of the look changed, or that is old.
fn is_noteworthy(known: &Observation, now: &Observation) -> bool {
    let same = Observation { looked_at: known.looked_at, ..now.clone() } == *known;
    let is_old = match (known.looked_at, now.looked_at) {
        (Some(before), Some(after)) => after - before >= NOTE_EVERY,
        (before, after) => before != after,
    };
    !same || is_old
}

/// What becomes of a deployment that was live and whose receiver gives no answer for long.
fn lost(state: &DeploymentState, observation: &Observation, now: DateTime<Utc>) -> Option<DeploymentEvent> {
    let was_live = matches!(state, DeploymentState::Live | DeploymentState::Degraded { .. });
    let trouble = observation.trouble.as_ref().filter(|_| was_live)?;
    (now - trouble.since >= SIGHT_LOST).then_some(DeploymentEvent::LoseSight(trouble.since))
}

/// What becomes of a deployment whose deadline has passed.
fn overdue(
    state: &DeploymentState,
    observation: &Observation,
    minutes: Option<u32>,
    now: DateTime<Utc>,
) -> Option<DeploymentEvent> {
    let minutes = minutes?;
    let runs = state.is_under_way() && !matches!(state, DeploymentState::Suspended { .. });
    let deadline = observation.deadline.filter(|_| runs)?;
    if now < deadline {
        return None;
    }
    let silent = observation.trouble.as_ref().map(|trouble| trouble.why.clone());
    let last =
        silent.or_else(|| blocker(observation)).unwrap_or_else(|| "its receiver said nothing".to_owned());
    let node = failed_node(observation).or_else(|| unready(observation).map(|(name, _)| name.clone()));
    Some(DeploymentEvent::TimeOut(node, format!("deadline_minutes = {minutes} passed; last: {last}")))
}

/// Since when all is as wanted, and whether it ever was not.
fn note_stretch(observation: &mut Observation, state: &DeploymentState, now: DateTime<Utc>) {
    use DeploymentState as S;
    // What was superseded keeps the time that it ran from.
    if !state.is_terminal() {
        let is_live = *state == S::Live;
        observation.interrupted |= observation.live_since.is_some() && !is_live;
        observation.live_since = is_live.then(|| observation.live_since.unwrap_or(now));
    }
    observation.interrupted |=
        matches!(state, S::Failed { .. } | S::TimedOut { .. } | S::Degraded { .. } | S::Unreachable { .. });
}

/// A deadline runs exactly while something is waited for, unless the receiver keeps it: then there are no
/// `minutes`.
fn set_deadline(
    observation: &mut Observation,
    state: &DeploymentState,
    minutes: Option<u32>,
    now: DateTime<Utc>,
) {
    let runs = state.is_under_way() && !matches!(state, DeploymentState::Suspended { .. });
    match minutes.filter(|_| runs) {
        Some(minutes) => {
            observation.deadline.get_or_insert(now + TimeDelta::minutes(i64::from(minutes)));
        }
        None => observation.deadline = None,
    }
}

#[cfg(test)]
mod tests {
    use slipway_handoff::{Key, NodeState};
    use slipway_health::ApplicationState;

    use super::*;

    fn event(sequence: u64, generation: u64, node: Option<&str>, state: NodeState) -> Event {
        Event {
            sequence,
            key: Key { environment: "eu/kind/shop".parse().unwrap(), application: "shop".parse().unwrap() },
            generation,
            node: node.map(|name| name.parse().unwrap()),
            state,
            reason: String::new(),
            observed_at: Utc::now(),
            outputs: std::collections::BTreeMap::new(),
            filled: Vec::new(),
        }
    }

    fn told(observation: &mut Observation, events: Vec<Event>) -> usize {
        hear(
            observation,
            &Look::Told(events),
            7,
            &Nodes::from([("web".to_owned(), ApplicationState::Live)]),
            Utc::now(),
        )
    }

    #[test]
    fn events_count_once_in_any_order_and_only_for_their_generation() {
        let mut observation = Observation::default();
        assert_eq!(told(&mut observation, vec![event(5, 7, None, NodeState::Ready)]), 1);
        // The same again, one from before, one of another generation, one of a node that is not there, one
        // with a number that no database has.
        let late = vec![
            event(5, 7, None, NodeState::Ready),
            event(4, 7, None, NodeState::Failed),
            event(9, 6, None, NodeState::Failed),
            event(9, 8, None, NodeState::Failed),
            event(9, 7, Some("other"), NodeState::Failed),
            event(u64::MAX, 7, None, NodeState::Failed),
        ];
        assert_eq!(told(&mut observation, late), 0);
        assert_eq!(observation.whole.as_ref().unwrap().state, "ready");
        // A node has a line of its own.
        assert_eq!(told(&mut observation, vec![event(2, 7, Some("web"), NodeState::Waiting)]), 1);
        // What was told leaves open what is to be asked for.
        assert_eq!((observation.sequence, observation.looked_at), (0, None));
        let asked = Look::Answered(vec![event(9, 6, None, NodeState::Failed)]);
        assert_eq!(hear(&mut observation, &asked, 7, &Nodes::new(), Utc::now()), 0);
        assert_eq!(observation.sequence, 9);
    }

    #[test]
    fn an_application_fails_once_while_its_deployment_goes_on() {
        let of = |word: &str| Observation { application: Some(word.to_owned()), ..Observation::default() };
        let under_way = DeploymentState::Progressing { blocker: None };
        let (good, failed) = (of("progressing"), of("failed"));
        assert_eq!(fails_under_way(&good, &failed, &under_way), Some("failed"));
        assert_eq!(fails_under_way(&failed, &failed, &under_way), None, "it is known");
        assert_eq!(fails_under_way(&failed, &good, &under_way), None);
        assert_eq!(
            fails_under_way(&good, &failed, &DeploymentState::Live),
            None,
            "that is told as what it is"
        );
    }

    #[test]
    fn a_deadline_runs_while_something_is_waited_for() {
        let now = Utc::now();
        let mut observation = Observation::default();
        let under_way = DeploymentState::Progressing { blocker: None };
        set_deadline(&mut observation, &under_way, Some(60), now);
        assert_eq!(observation.deadline, Some(now + TimeDelta::minutes(60)));
        set_deadline(&mut observation, &under_way, Some(60), now + TimeDelta::minutes(5));
        assert_eq!(observation.deadline, Some(now + TimeDelta::minutes(60)), "it is not put off");
        assert_eq!(overdue(&under_way, &observation, Some(60), now + TimeDelta::minutes(59)), None);
        let late = overdue(&under_way, &observation, Some(60), now + TimeDelta::minutes(60));
        assert!(
            matches!(late, Some(DeploymentEvent::TimeOut(None, which)) if which.contains("deadline_minutes = 60"))
        );
        let suspended = DeploymentState::Suspended { by: "ann".into() };
        assert_eq!(overdue(&suspended, &observation, Some(60), now + TimeDelta::minutes(90)), None);
        set_deadline(&mut observation, &suspended, Some(60), now);
        assert_eq!(observation.deadline, None);
    }

    #[test]
    fn a_receiver_that_keeps_its_deadline_has_no_other() {
        let now = Utc::now();
        let mut observation = Observation { deadline: Some(now), ..Observation::default() };
        let under_way = DeploymentState::Progressing { blocker: None };
        assert_eq!(overdue(&under_way, &observation, None, now + TimeDelta::days(1)), None);
        set_deadline(&mut observation, &under_way, None, now);
        assert_eq!(observation.deadline, None);
    }

    #[test]
    fn a_stretch_that_was_interrupted_stays_so() {
        let (now, later) = (Utc::now(), Utc::now() + TimeDelta::minutes(50));
        let mut observation = Observation::default();
        note_stretch(&mut observation, &DeploymentState::Progressing { blocker: None }, now);
        note_stretch(&mut observation, &DeploymentState::Live, now);
        assert_eq!((observation.live_since, observation.interrupted), (Some(now), false));
        for otherwise in [
            DeploymentState::Degraded { why: "web".into() },
            DeploymentState::Progressing { blocker: Some("1 of 2 replicas".into()) },
        ] {
            let mut observation = observation.clone();
            note_stretch(&mut observation, &otherwise, now);
            assert_eq!((observation.live_since, observation.interrupted), (None, true));
        }
        note_stretch(&mut observation, &DeploymentState::Degraded { why: "web".into() }, now);
        note_stretch(&mut observation, &DeploymentState::Live, later);
        let superseded =
            DeploymentState::Superseded { by: slipway_types::id::DeploymentId::new(), failed: None };
        note_stretch(&mut observation, &superseded, later);
        assert_eq!((observation.live_since, observation.interrupted), (Some(later), true));
    }

    #[test]
    fn what_was_live_is_out_of_sight_once_its_receiver_is_silent_for_long() {
        let now = Utc::now();
        let mut observation = Observation::default();
        for at in [now, now + TimeDelta::seconds(30)] {
            hear(&mut observation, &Look::Silent("no route".into()), 7, &Nodes::new(), at);
        }
        assert_eq!(observation.trouble.as_ref().unwrap().since, now, "since the first time");
        assert_eq!(lost(&DeploymentState::Live, &observation, now + TimeDelta::seconds(30)), None);
        let lost_at = lost(&DeploymentState::Live, &observation, now + SIGHT_LOST);
        assert_eq!(lost_at, Some(DeploymentEvent::LoseSight(now)));
        let progressing = DeploymentState::Progressing { blocker: None };
        assert_eq!(lost(&progressing, &observation, now + SIGHT_LOST), None, "that has a deadline");
    }
}
