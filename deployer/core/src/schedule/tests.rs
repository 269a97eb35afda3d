use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use chrono::TimeDelta;
use serde_json::Value;
use slipway_handoff::{
    Approvals, Bundle, CONTRACT_VERSION, Call, Cause, Command, Configuration, Environment, Graph, Hold, Key,
    Mode, Node, Object, ObjectRef, Output, Pointer, Retry, Revision, Submission, Tasks, Wait, revision,
};
use slipway_types::Digest;

use super::*;

mod anew;
mod branches;
mod filling;
mod health;
mod late;
mod ordering;
mod random;
mod removal;
mod returning;
mod time;
mod undriven;
mod walking;

const HOUR: i64 = 3_600;

/// So many seconds after the beginning.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn reference(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

/// A node with one object, which needs `needs`.
fn node(name: &str, needs: &[&str]) -> (String, Node) {
    let object = Object::new(reference("ConfigMap", name), Digest::of(name));
    (name.to_owned(), Node { objects: vec![object], ..bare(needs) })
}

/// A node that does nothing.
fn bare(needs: &[&str]) -> Node {
    Node { needs: needs.iter().map(|&need| need.to_owned()).collect(), ..Node::default() }
}

fn call() -> Call {
    Call { method: "POST".into(), url: "https://example.com".into(), body: None, secret: None }
}

fn wait() -> Wait {
    Wait { object: reference("Job", "other"), until: "true".into() }
}

/// A submission with an hour from the beginning.
fn submission(mode: Mode, nodes: impl IntoIterator<Item = (String, Node)>) -> Submission {
    let graph = Graph::try_from(nodes.into_iter().collect::<BTreeMap<_, _>>()).unwrap();
    let document = Revision {
        format: revision::FORMAT,
        application: "shop".parse().unwrap(),
        bundle: Bundle {
            digest: Digest::of("bundle"),
            version: "1.4.2".parse().unwrap(),
            source: None,
            commit: None,
        },
        lock: Digest::of("lock"),
        environment: Environment {
            address: "eu/kind/shop".parse().unwrap(),
            settings: Digest::of("settings"),
        },
        configuration: Configuration { digest: Digest::of("configuration"), levels: BTreeMap::new() },
        definitions: BTreeSet::new(),
        graph,
        secrets: Vec::new(),
        allow_empty: true,
    };
    Submission {
        contract: CONTRACT_VERSION,
        key: Key {
            environment: document.environment.address.clone(),
            application: document.application.clone(),
        },
        generation: 7,
        mode,
        revision: document.digest(),
        document,
        proof: Vec::new(),
        predecessor: None,
        cause: Cause::Deploy { by: "ann".into() },
        deadline: at(HOUR),
        tasks: Tasks::Run,
        adopt: Vec::new(),
    }
}

/// A schedule with a clock, and what it told.
struct Rig {
    schedule: Schedule,
    now: DateTime<Utc>,
    told: Vec<Change>,
}

impl Rig {
    /// A schedule that has begun.
    fn new(nodes: impl IntoIterator<Item = (String, Node)>) -> Self {
        Self::of(Plan::new(&submission(Mode::Apply, nodes)).unwrap())
    }

    fn of(plan: Plan) -> Self {
        let mut rig = Self { schedule: Schedule::new(plan, at(0)), now: at(0), told: Vec::new() };
        rig.tick(0);
        rig
    }

    fn parallel(nodes: impl IntoIterator<Item = (String, Node)>, most: usize) -> Self {
        let pace = Pace { max_parallel: NonZeroUsize::new(most).unwrap(), ..Pace::default() };
        Self::of(Plan::new(&submission(Mode::Apply, nodes)).unwrap().paced(pace))
    }

    fn happen(&mut self, what: Happened) -> Vec<Change> {
        let changes = self.schedule.happened(what, self.now);
        self.told.extend(changes.clone());
        changes
    }

    /// Lets time pass up to so many seconds after the beginning.
    fn tick(&mut self, seconds: i64) -> Vec<Change> {
        self.now = at(seconds);
        self.happen(Happened::Tick)
    }

    fn order(&mut self, command: Command) -> Result<Vec<Change>, Refused> {
        self.schedule.order(&command, "ann", self.now)
    }

    fn turn(&self, node: &str) -> Turn {
        Turn { node: node.to_owned(), attempt: self.schedule.node(node).unwrap().attempt }
    }

    fn called(&mut self, node: &str, result: Result<(), Failure>) -> Vec<Change> {
        self.happen(Happened::Called { turn: self.turn(node), result })
    }

    fn applied(&mut self, node: &str) -> Vec<Change> {
        self.happen(Happened::Applied { turn: self.turn(node), result: Ok(Vec::new()) })
    }

    fn unapplied(&mut self, node: &str, failure: Failure) -> Vec<Change> {
        self.happen(Happened::Applied { turn: self.turn(node), result: Err(failure) })
    }

    fn looked(&mut self, node: &str, verdict: Verdict) -> Vec<Change> {
        self.happen(Happened::Looked { turn: self.turn(node), verdict })
    }

    fn pruned(&mut self, result: Result<(), Failure>) -> Vec<Change> {
        self.happen(Happened::Pruned { result })
    }

    /// Writes a node, and finds it ready.
    fn arrive(&mut self, node: &str) {
        self.applied(node);
        self.looked(node, ready());
        assert_eq!(self.state(node), NodeState::Ready, "{node}");
    }

    fn state(&self, node: &str) -> NodeState {
        self.schedule.node(node).unwrap().standing.state()
    }

    fn reason(&self, node: &str) -> String {
        self.schedule.node(node).unwrap().standing.reason()
    }

    fn whole(&self) -> WholeState {
        self.schedule.whole().state
    }

    /// What is to be done now, in short, without times.
    fn work(&self) -> Vec<String> {
        let actions = self.schedule.next(self.now).into_iter();
        actions
            .filter_map(|action| match action {
                Action::Call(turn) => Some(format!("call {}", turn.node)),
                Action::StartNode(turn) => Some(format!("start {}", turn.node)),
                Action::CheckNode(turn) => Some(format!("check {}", turn.node)),
                Action::Prune => Some("prune".to_owned()),
                Action::Look(turns) => {
                    let names: Vec<String> = turns.into_iter().map(|turn| turn.node).collect();
                    Some(format!("look {}", names.join(" ")))
                }
                Action::WakeAt(_) => None,
            })
            .collect()
    }

    /// When it wants to be woken, in seconds after the beginning.
    fn wake(&self) -> Option<i64> {
        self.schedule.next(self.now).into_iter().find_map(|action| match action {
            Action::WakeAt(when) => Some((when - at(0)).num_seconds()),
            _ => None,
        })
    }
}

fn ready() -> Verdict {
    Verdict::Ready { outputs: BTreeMap::new() }
}

fn not_yet(blocker: &str) -> Verdict {
    Verdict::NotYet { blocker: blocker.to_owned() }
}

fn retry(node: Option<&str>) -> Command {
    Command::Retry { node: node.map(str::to_owned) }
}

fn resume(node: Option<&str>) -> Command {
    Command::Resume { node: node.map(str::to_owned) }
}

/// The last word on a node, or on the whole.
fn last<'a>(changes: &'a [Change], node: Option<&str>) -> Option<&'a Change> {
    changes.iter().rev().find(|change| change.node.as_deref() == node)
}
