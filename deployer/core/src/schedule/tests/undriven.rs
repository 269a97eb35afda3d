//! What is told while nobody can drive it.

use super::*;

/// Tells that it cannot be driven, and goes on as the next turn would.
fn undriven(rig: &mut Rig, why: &str) -> Option<Change> {
    let mut kept = rig.schedule.checkpoint();
    let told = kept.undriven(why, rig.now);
    rig.schedule = Schedule::restored(rig.schedule.plan().clone(), kept).unwrap();
    told
}

#[test]
fn what_is_live_is_out_of_sight_until_it_is_driven_again() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.arrive("a");
    rig.pruned(Ok(()));
    let told = undriven(&mut rig, "no room").unwrap();
    assert_eq!((told.node, told.state), (None, NodeState::Unreachable));
    assert_eq!(told.reason, "it cannot be driven: no room");
    assert_eq!(undriven(&mut rig, "no room"), None, "it is told once");
    assert!(undriven(&mut rig, "no answer").is_some(), "another reason is news");
    let changes = rig.tick(1);
    assert_eq!(last(&changes, None).map(|change| change.state), Some(NodeState::Ready));
}

#[test]
fn what_is_under_way_stays_so_and_says_why_it_does_not_go_on() {
    let mut rig = Rig::new([node("a", &[])]);
    let told = undriven(&mut rig, "no room").unwrap();
    assert_eq!((told.state, told.reason.as_str()), (NodeState::Applying, "it cannot be driven: no room"));
    let changes = rig.tick(1);
    assert_eq!(last(&changes, None).map(|change| change.reason.as_str()), Some(""));
    let mut removal = Rig::of(Plan::new(&submission(Mode::Delete, [])).unwrap());
    assert_eq!(undriven(&mut removal, "no room").unwrap().state, NodeState::Deleting);
}

#[test]
fn of_what_ended_or_is_held_nothing_is_told() {
    let mut rig = Rig::new([node("a", &[])]);
    rig.order(Command::Suspend).unwrap();
    assert_eq!(undriven(&mut rig, "no room"), None);
    rig.order(Command::Terminate).unwrap();
    assert_eq!(undriven(&mut rig, "no room"), None);
}
