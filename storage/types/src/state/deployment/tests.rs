mod approved;

use chrono::TimeDelta;

use super::*;

fn digest() -> Digest {
    Digest::of("x")
}

fn minute(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(number)
}

fn approve() -> DeploymentEvent {
    DeploymentEvent::Approve(None, DateTime::UNIX_EPOCH)
}

fn follow(events: impl IntoIterator<Item = DeploymentEvent>) -> Result<DeploymentState, InvalidTransition> {
    events.into_iter().try_fold(DeploymentState::Draft { why: None }, DeploymentState::apply)
}

#[test]
fn the_usual_way_leads_through_the_gates() {
    use DeploymentEvent as E;
    let state = follow([
        E::Freeze(digest()),
        E::Await(vec!["1 of 2 approvals".into()]),
        E::Await(vec![]),
        approve(),
        E::HandOff("run".into()),
        E::Progress(None),
        E::Live,
        E::Degrade("web".into()),
        E::Live,
    ]);
    assert_eq!(state, Ok(DeploymentState::Live));
}

#[test]
fn nothing_goes_out_that_was_not_frozen_and_approved() {
    use DeploymentEvent as E;
    for way in [
        vec![E::HandOff("r".into())],
        vec![approve()],
        vec![E::Freeze(digest()), E::HandOff("r".into())],
        vec![E::Freeze(digest()), E::Deliver("a".into())],
        vec![E::Reject(1), E::Freeze(digest())],
        vec![E::Freeze(digest()), E::Decline("a".into(), None), approve()],
    ] {
        assert!(follow(way.clone()).is_err(), "{way:?}");
    }
}

#[test]
fn what_ended_never_changes() {
    use DeploymentEvent as E;
    let ended = follow([E::Freeze(digest()), E::Withdraw("a".into())]).unwrap();
    assert!(ended.is_terminal());
    for event in [E::Live, approve(), E::Supersede(DeploymentId::new()), E::Delete("a".into())] {
        assert!(ended.clone().apply(event).is_err());
    }
}

#[test]
fn a_removal_that_is_not_confirmed_in_time_can_be_asked_for_again() {
    use DeploymentEvent as E;
    let going = [E::Freeze(digest()), approve(), E::HandOff("r".into()), E::Delete("ann".into())];
    let deleting = follow(going).unwrap();
    for event in [E::Live, E::Progress(None), E::Suspend("b".into()), E::Terminate("b".into())] {
        assert!(deleting.clone().apply(event).is_err(), "what goes does not come back");
    }
    let late = deleting.clone().apply(E::TimeOut(None, "60 min".into())).unwrap();
    assert!(late.is_out() && !late.is_under_way());
    assert!(matches!(late.apply(E::Delete("ann".into())), Ok(DeploymentState::Deleting { .. })));
    assert_eq!(deleting.apply(E::Deleted), Ok(DeploymentState::Deleted));
}

#[test]
fn what_a_hand_off_waits_for_leaves_its_approval_as_it_is() {
    use DeploymentEvent as E;
    let state = follow([E::Freeze(digest()), approve(), E::Wait("the receiver".into())]).unwrap();
    assert_eq!(state.reason().as_deref(), Some("the receiver"));
    let DeploymentState::Approved { at, .. } = state else { panic!("{state:?}") };
    assert_eq!(at, Some(DateTime::UNIX_EPOCH));
}

#[test]
fn that_a_receiver_is_asked_is_known_until_it_answers() {
    use DeploymentEvent as E;
    let is_submitted = |state: &DeploymentState| match state {
        DeploymentState::Approved { submitted, .. } => *submitted,
        other => panic!("{other:?}"),
    };
    let approved = follow([E::Freeze(digest()), approve()]).unwrap();
    assert!(!is_submitted(&approved));
    let asked = approved.apply(E::Submit(minute(1))).unwrap();
    assert!(is_submitted(&asked) && asked.word() == "approved");
    assert_eq!(asked.clone().apply(E::Submit(minute(2))).as_ref(), Ok(&asked), "twice is once");
    let kept = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<DeploymentState>(&kept).unwrap(), asked);
    let away = asked.clone().apply(E::Wait("it is away".into())).unwrap();
    assert!(!is_submitted(&away), "it said that it has nothing, or nothing at all");
    assert!(matches!(asked.apply(E::HandOff("run".into())), Ok(DeploymentState::HandedOff { .. })));
}

#[test]
fn only_what_others_changed_has_drifted() {
    let changed = format!("web: Deployment web {NOT_AS_APPLIED}: kubectl-edit changed spec.replicas");
    for (state, wanted) in [
        (DeploymentState::Degraded { why: changed.clone() }, true),
        (DeploymentState::Degraded { why: "web: 0 of 1 pods are ready".to_owned() }, false),
        (DeploymentState::Progressing { blocker: Some(changed) }, false),
        (DeploymentState::Live, false),
    ] {
        assert_eq!(state.has_drifted(), wanted, "{state:?}");
    }
}

#[test]
fn what_failed_says_why_after_it_was_superseded() {
    use DeploymentEvent as E;
    let out = || follow([E::Freeze(digest()), approve(), E::HandOff("r".into())]).unwrap();
    let by = DeploymentId::new();
    let fault = Fault::permanent("refused", "web: no such kind");
    for (event, why) in [
        (E::Fail(Some("web".into()), fault), "web: no such kind"),
        (E::TimeOut(None, "deadline_minutes = 60".into()), "deadline_minutes = 60"),
    ] {
        let failed = out().apply(event).unwrap();
        let superseded = failed.clone().apply(E::Supersede(by)).unwrap();
        assert_eq!((superseded.word(), superseded.failure()), ("superseded", Some(&failed)));
        assert_eq!(superseded.reason(), Some(format!("failed before that: {why}")));
        let kept = serde_json::to_string(&superseded).unwrap();
        assert_eq!(serde_json::from_str::<DeploymentState>(&kept).unwrap(), superseded);
    }
    let live = out().apply(E::Live).unwrap().apply(E::Supersede(by)).unwrap();
    assert_eq!((live.failure(), live.reason()), (None, None));
    // As earlier releases kept it.
    let kept = format!(r#"{{"state":"superseded","by":"{by}"}}"#);
    assert_eq!(serde_json::from_str::<DeploymentState>(&kept).unwrap(), live);
}
