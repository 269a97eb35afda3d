//! Taking an application away.

use super::*;

fn removal() -> Rig {
    Rig::of(Plan::new(&submission(Mode::Delete, [node("a", &[])])).unwrap())
}

#[test]
fn a_removal_starts_no_node_and_ends_in_deleted() {
    let mut rig = removal();
    assert_eq!((rig.whole(), rig.work()), (WholeState::Deleting, vec!["prune".to_owned()]));
    assert_eq!(rig.told[0].state, NodeState::Deleting);
    assert_eq!((rig.schedule.nodes().count(), rig.wake()), (0, Some(HOUR)));
    let changes = rig.pruned(Err(Failure::transient("Deployment shop/a still stands")));
    assert!(last(&changes, None).unwrap().reason.contains("Deployment shop/a still stands"));
    rig.tick(1);
    let changes = rig.pruned(Ok(()));
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Deleted);
    assert!(rig.schedule.is_ended() && rig.schedule.waits().is_empty());
    assert_eq!(rig.happen(Happened::Superseded { by: 8 }), [], "it is gone");
    assert_eq!(last(&rig.order(retry(None)).unwrap(), None).unwrap().state, NodeState::Deleted);
}

#[test]
fn a_removal_that_takes_too_long_says_what_still_stands() {
    let mut rig = removal();
    rig.pruned(Err(Failure::transient("Deployment shop/a still stands")));
    rig.tick(HOUR);
    let whole = rig.schedule.whole();
    assert_eq!(whole.state, WholeState::TimedOut);
    assert!(whole.reason.contains("Deployment shop/a still stands"), "{}", whole.reason);
    rig.order(retry(None)).unwrap();
    assert_eq!((rig.whole(), rig.work()), (WholeState::Deleting, vec!["prune".to_owned()]));
}

#[test]
fn a_removal_that_failed_is_tried_again() {
    let mut rig = removal();
    rig.pruned(Err(Failure::permanent("forbidden")));
    assert_eq!(rig.whole(), WholeState::Failed);
    rig.order(retry(None)).unwrap();
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Deleted);
}

#[test]
fn a_removal_is_neither_held_nor_stopped_but_a_newer_generation_ends_it() {
    let mut rig = removal();
    assert_eq!(rig.order(Command::Suspend), Err(Refused::Removal { wanted: "suspended" }));
    assert_eq!(rig.order(Command::Terminate), Err(Refused::Removal { wanted: "stopped" }));
    assert_eq!(last(&rig.order(resume(None)).unwrap(), None).unwrap().state, NodeState::Deleting);
    rig.happen(Happened::Superseded { by: 8 });
    assert_eq!((rig.whole(), rig.work()), (WholeState::Superseded, vec![]));
}

#[test]
fn a_removal_waits_for_the_older_generation() {
    let plan = Plan::new(&submission(Mode::Delete, [])).unwrap();
    let mut rig = Rig { schedule: Schedule::new(plan, at(0)).behind(6), now: at(0), told: Vec::new() };
    rig.tick(0);
    assert_eq!((rig.work(), rig.wake()), (vec![], Some(HOUR)));
    rig.happen(Happened::OlderEnded);
    assert_eq!(rig.work(), ["prune"]);
}

#[test]
fn a_dry_run_has_no_schedule() {
    let refused = Plan::new(&submission(Mode::DryRun, [])).unwrap_err();
    assert_eq!(refused, InvalidPlan::DryRun);
}

#[test]
fn what_is_found_later_is_removed_too() {
    let mut rig = removal();
    rig.pruned(Ok(()));
    rig.tick(2 * HOUR);
    let changes = rig.happen(Happened::Found);
    assert_eq!(last(&changes, None).unwrap().state, NodeState::Deleting);
    assert_eq!((rig.work(), rig.wake()), (vec!["prune".to_owned()], Some(3 * HOUR)), "it has time anew");
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Deleted);

    let mut rig = Rig::new([node("a", &[])]);
    assert_eq!(rig.happen(Happened::Found), [], "nothing was removed yet");
    rig.arrive("a");
    rig.pruned(Ok(()));
    rig.happen(Happened::Found);
    assert_eq!((rig.whole(), rig.work()), (WholeState::Progressing, vec!["prune".to_owned()]));
    rig.pruned(Ok(()));
    assert_eq!(rig.whole(), WholeState::Live);
}
