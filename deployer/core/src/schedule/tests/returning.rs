//! A revision that was live and comes back.

use serde_json::json;

use super::*;
use crate::task_memory::TaskMemory;

/// A node with a Job that gives something.
fn migrate() -> (String, Node) {
    let job = ObjectRef { api_version: "batch/v1".into(), ..reference("Job", "migrate") };
    let from = Output::From { object: job.clone(), path: "/status/schema".parse().unwrap() };
    let objects = vec![Object::new(job, Digest::of("migrate"))];
    ("migrate".to_owned(), Node { objects, outputs: [("schema".to_owned(), from)].into(), ..bare(&[]) })
}

#[test]
fn its_jobs_do_not_run_again_and_what_they_gave_is_known() {
    let first = submission(Mode::Apply, [migrate(), node("web", &["migrate"])]);
    let graph = first.document.graph.clone();
    let mut rig = Rig::of(Plan::new(&first).unwrap());
    assert_eq!(rig.work(), ["start migrate"]);
    rig.applied("migrate");
    let outputs = BTreeMap::from([("schema".to_owned(), json!(7))]);
    rig.looked("migrate", Verdict::Ready { outputs: outputs.clone() });
    let memory = TaskMemory::of(&graph);
    let second = submission(Mode::Apply, [node("web", &[])]);
    let memory = memory.followed_by(&rig.schedule.checkpoint(), &second.document.graph);
    let rig = Rig::of(Plan::new(&second).unwrap());
    let memory = memory.followed_by(&rig.schedule.checkpoint(), &graph);

    assert_eq!(memory.carried_out(first.clone()).document.graph, graph, "only a rollback passes over tasks");
    let back = memory.carried_out(Submission { tasks: Tasks::Done, ..first.clone() });
    let rig = Rig::of(Plan::new(&back).unwrap());
    assert_eq!((rig.state("migrate"), rig.work()), (NodeState::Ready, vec!["start web".to_owned()]));
    assert_eq!(rig.schedule.node("migrate").unwrap().outputs, outputs);

    // Of a Job that nobody remembers the output is read, should it still be there.
    let back = TaskMemory::of(&graph).carried_out(Submission { tasks: Tasks::Done, ..first });
    let rig = Rig::of(Plan::new(&back).unwrap());
    assert_eq!((rig.state("migrate"), rig.work()), (NodeState::Waiting, vec!["check migrate".to_owned()]));
}

#[test]
fn nobody_is_asked_and_nothing_stands_beside_what_runs() {
    let approvals = Some(Approvals { count: 1, author_may: false });
    let sure = Node { hold: Some(Hold { approvals, ..Hold::default() }), ..bare(&["canary"]) };
    let (name, mut canary) = node("canary", &[]);
    canary.temporary = true;
    let live = submission(Mode::Apply, [(name, canary), ("sure".to_owned(), sure), node("web", &["sure"])]);
    assert_eq!(Rig::of(Plan::new(&live).unwrap()).work(), ["start canary"]);
    let memory = TaskMemory::of(&live.document.graph);
    let back = memory.carried_out(Submission { tasks: Tasks::Done, ..live });
    let rig = Rig::of(Plan::new(&back).unwrap());
    assert_eq!((rig.state("canary"), rig.state("sure")), (NodeState::Skipped, NodeState::Ready));
    assert_eq!(rig.work(), ["start web"]);
    assert_eq!(rig.schedule.unwanted(), [reference("ConfigMap", "canary")]);
}
