//! What may become of an approved deployment before its receiver has it.

use proptest::prelude::*;

use super::*;

use DeploymentEvent as E;

fn approved(events: impl IntoIterator<Item = E>) -> DeploymentState {
    follow([E::Freeze(digest()), approve()].into_iter().chain(events)).unwrap()
}

fn glass_broken(events: impl IntoIterator<Item = E>) -> DeploymentState {
    let broken = E::Approve(Some("ann".into()), DateTime::UNIX_EPOCH);
    follow([E::Freeze(digest()), broken].into_iter().chain(events)).unwrap()
}

fn cordon() -> E {
    E::Cordon("it is upgraded".into())
}

#[test]
fn the_deadline_counts_from_the_first_asking_however_often_it_is_asked() {
    let waits = || E::Wait("it is away".into());
    for (events, since) in [
        (vec![], 0),
        (vec![waits()], 0),
        (vec![E::Submit(minute(9))], 9),
        (vec![waits(), E::Submit(minute(9)), waits(), E::Submit(minute(70)), waits()], 9),
        (vec![cordon(), cordon()], 0),
        (vec![cordon(), E::Uncordon(minute(600))], 600),
        (vec![cordon(), E::Uncordon(minute(600)), waits(), E::Submit(minute(605))], 605),
    ] {
        assert_eq!(approved(events.clone()).deadline_since(), Some(minute(since)), "{events:?}");
    }
}

#[test]
fn what_an_earlier_release_asked_counts_from_its_approval() {
    let kept = |more: &str| {
        let start = format!(r#"{{"state":"approved","revision":"{}","at":"1970-01-01T00:00:00Z""#, digest());
        serde_json::from_str::<DeploymentState>(&format!("{start}{more}}}")).unwrap()
    };
    let asked = kept(r#","submitted":true"#);
    assert!(asked.was_asked());
    for events in [vec![], vec![E::Wait("x".into())], vec![E::Wait("x".into()), E::Submit(minute(9))]] {
        let state = events.clone().into_iter().try_fold(asked.clone(), DeploymentState::apply).unwrap();
        assert_eq!((state.deadline_since(), state.was_asked()), (Some(minute(0)), true), "{events:?}");
    }
    let waits = kept(r#","why":"the cluster kind is cordoned: x""#);
    assert!(!waits.was_asked());
    assert_eq!(waits.apply(E::Submit(minute(9))).unwrap().deadline_since(), Some(minute(9)));
}

#[test]
fn closed_gates_take_back_what_no_receiver_was_asked_for() {
    let missing = || vec!["outside of mon".to_owned()];
    let waits = || E::Wait("x".into());
    for back in [approved([]), approved([waits()]), approved([cordon(), E::Uncordon(minute(9))])] {
        let again = back.apply(E::Await(missing())).unwrap();
        assert_eq!(again, DeploymentState::Awaiting { revision: digest(), missing: missing() });
        let open = again.apply(E::Approve(None, minute(70))).unwrap();
        assert_eq!((open.deadline_since(), open.reason()), (Some(minute(70)), None));
    }
    let asked = [E::Submit(minute(1)), waits()];
    for stays in [approved([E::Submit(minute(1))]), approved(asked.clone()), glass_broken([])] {
        assert!(stays.clone().apply(E::Await(missing())).is_err(), "{stays:?}");
    }
    let too_long = || E::Expire("expireAfterHours = 168 passed".into());
    for ends in [approved([cordon()]), glass_broken([cordon()])] {
        assert_eq!(ends.apply(too_long()).unwrap().word(), "expired");
    }
    assert!(approved(asked).apply(too_long()).is_err(), "its receiver may have it");
}

#[test]
fn a_cordon_leaves_the_broken_glass_as_it_is_and_says_why_it_waits() {
    let waits = glass_broken([cordon()]);
    assert_eq!((waits.word(), waits.reason().as_deref()), ("approved", Some("it is upgraded")));
    assert!(waits.clone().apply(E::Submit(minute(1))).is_err(), "its cluster takes nothing");
    let goes = waits.apply(E::Uncordon(minute(600))).unwrap();
    assert_eq!(goes.reason().as_deref(), Some("ann went past the gates"));
    assert!(goes.apply(E::Uncordon(minute(601))).is_err());
    assert!(approved([E::Submit(minute(1))]).apply(cordon()).is_err(), "its receiver may have it");
}

/// One of the events that come between approval and answer, at that time.
fn event(which: u8, at: DateTime<Utc>) -> E {
    match which {
        0 => E::Await(vec!["x".into()]),
        1 => E::Approve(None, at),
        2 => E::Approve(Some("ann".into()), at),
        3 => E::Wait("y".into()),
        4 => cordon(),
        5 => E::Uncordon(at),
        6 => E::Expire("z".into()),
        _ => E::Submit(at),
    }
}

proptest! {
    #[test]
    fn who_was_asked_is_told_one_deadline_and_waits_for_no_gate(events in prop::collection::vec(0_u8..8, 0..40)) {
        let mut state = follow([E::Freeze(digest())]).unwrap();
        let (mut asked, mut allowed, mut glass) = (None, None, false);
        for (number, which) in (1..).zip(events) {
            let at = minute(number);
            let Ok(next) = state.clone().apply(event(which, at)) else { continue };
            state = next;
            match event(which, at) {
                E::Approve(by, _) => (allowed, glass) = (Some(at), by.is_some()),
                E::Uncordon(_) => allowed = Some(at),
                E::Submit(_) => asked = asked.or(Some(at)),
                _ => {}
            }
            prop_assert_eq!(state.was_asked(), asked.is_some());
            match &state {
                DeploymentState::Approved { break_glass, submitted, cordoned, .. } => {
                    prop_assert_eq!(state.deadline_since(), asked.or(allowed));
                    prop_assert_eq!(break_glass.is_some(), glass);
                    prop_assert!(!(*submitted && *cordoned));
                }
                DeploymentState::Awaiting { .. } => prop_assert!(asked.is_none() && !glass),
                _ => prop_assert!(asked.is_none()),
            }
            let kept = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(&serde_json::from_str::<DeploymentState>(&kept).unwrap(), &state);
        }
    }
}
