//! An incident is told once, whatever a deployment goes through.

use chrono::Utc;
use proptest::prelude::*;
use serde_json::json;
use slipway_records::incident::{awaits_approval, gates_broken};
use slipway_records::{NoticeState, Topic};
use slipway_types::state::DeploymentState;
use slipway_types::{Fault, Violation};

use super::world::{World, failed, here};
use crate::NoticeOptions;

fn written() -> serde_json::Value {
    json!([
        {"name": "all", "kind": "slack", "url": "secret://builtin/x"},
        {"name": "failures", "kind": "slack", "url": "secret://builtin/x", "events": ["failed", "recovered"]},
        {"name": "others", "kind": "slack", "url": "secret://builtin/x", "teams": ["other"]},
    ])
}

fn state(number: u8) -> DeploymentState {
    match number {
        0 => failed(),
        1 => DeploymentState::TimedOut { node: None, which: "deadline_minutes = 60 passed".into() },
        2 => DeploymentState::Degraded { why: "web: 0 of 1".into() },
        3 => DeploymentState::Unreachable { since: Utc::now() },
        4 => DeploymentState::Live,
        _ => DeploymentState::Progressing { blocker: None },
    }
}

async fn count(world: &World, channel: &str, end: &str) -> usize {
    let told = world.told().await;
    told.iter().filter(|one| one.channel.as_str() == channel && one.once.ends_with(end)).count()
}

fn on_a_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_incident_is_told_once_and_its_end_once(steps in proptest::collection::vec((0..6_u8, any::<bool>()), 0..16)) {
        on_a_runtime(async move {
            let world = World::new(written(), here()).await;
            let mut deployment = world.deployment(1);
            let (mut opened, mut closed, mut is_open, mut has_failed, mut failures) = (0, 0, false, false, 0);
            for (number, is_new) in steps {
                if is_new {
                    deployment = world.deployment(deployment.generation + 1);
                }
                world.moves(&mut deployment, state(number)).await;
                match number {
                    0..4 => {
                        opened += usize::from(!is_open);
                        failures += usize::from(number == 0 && !has_failed);
                        is_open = true;
                        has_failed |= number == 0;
                    }
                    4 => {
                        closed += usize::from(is_open);
                        (is_open, has_failed) = (false, false);
                    }
                    _ => {}
                }
            }
            assert_eq!(world.incidents().await.len(), opened);
            assert_eq!(count(&world, "all", "/opened").await, opened);
            assert_eq!(count(&world, "all", "/recovered").await, closed);
            // It hears of the first state that it wants to, and of the end of what it heard of.
            assert_eq!(count(&world, "failures", "/opened").await, failures);
            assert!(count(&world, "failures", "/recovered").await <= failures);
            assert_eq!(count(&world, "others", "").await, 0);
        });
    }
}

#[tokio::test]
async fn what_comes_and_goes_within_the_grace_is_not_told_and_is_one_incident() {
    let world = World::new(written(), NoticeOptions { grace_s: 3600, ..here() }).await;
    let mut deployment = world.deployment(1);
    for number in [2, 4, 3, 5, 2, 4] {
        world.moves(&mut deployment, state(number)).await;
    }
    assert!(world.told().await.is_empty());
    world.moves(&mut deployment, state(0)).await;
    world.moves(&mut deployment, state(4)).await;
    world.moves(&mut deployment, state(0)).await;
    assert_eq!((world.incidents().await.len(), count(&world, "all", "/opened").await), (1, 1));
    assert_eq!(count(&world, "all", "/recovered").await, 0);

    // It was well for long enough: told as over, once.
    world.moves(&mut deployment, state(4)).await;
    let incident = world.incidents().await.remove(0);
    for _ in 0..2 {
        world.notices.spread(incident.id, Utc::now() + chrono::TimeDelta::hours(2)).await.unwrap();
    }
    assert_eq!(count(&world, "all", "/recovered").await, 1);
    assert!(world.incidents().await[0].closed_at.is_some());
}

#[tokio::test]
async fn approvals_and_broken_gates_are_told_and_end_in_silence() {
    let world = World::new(written(), here()).await;
    let mut deployment = world.deployment(1);
    let revision = slipway_types::Digest::of("r");
    deployment.state =
        DeploymentState::Awaiting { revision, missing: vec!["0 of 2 approvals".into(), "soak".into()] };
    for missing in [Some("0 of 2 approvals"), Some("1 of 2 approvals (ann)"), None, None] {
        let mut tx = world.notices.records.begin().await.unwrap();
        awaits_approval(tx.as_mut(), &deployment, missing).await.unwrap();
        tx.commit().await.unwrap();
        for incident in world.incidents().await {
            world.notices.spread(incident.id, Utc::now()).await.unwrap();
        }
    }
    let mut tx = world.notices.records.begin().await.unwrap();
    gates_broken(tx.as_mut(), &deployment, "ann went past the gates: fire").await.unwrap();
    tx.commit().await.unwrap();
    let broken = world.incidents().await.remove(0);
    world.notices.spread(broken.id, Utc::now()).await.unwrap();
    let told = world.told().await;
    let words: Vec<_> = told.iter().map(|one| one.body["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(words, ["waits_for_approval", "gates_broken"]);
    assert_eq!(told[0].body["blocker"], "0 of 2 approvals");
    assert_eq!(told[1].body["blocker"], "ann went past the gates: fire");
    assert!(told.iter().all(|one| one.state == NoticeState::Pending));
    assert!(world.incidents().await.iter().all(|incident| incident.closed_at.is_some()));
}

#[tokio::test]
async fn what_never_left_is_told_once_with_its_reason_and_is_no_trouble() {
    let world = World::new(written(), here()).await;
    let expired = "its gates stayed closed for longer than expireAfterHours = 72";
    for (generation, state, blocker) in [
        (1, DeploymentState::Rejected { violations: 2 }, "components[web]: no such image (and 1 more)"),
        (
            2,
            DeploymentState::Broken { fault: Fault::permanent("gone", "no such cluster") },
            "no such cluster",
        ),
        (3, DeploymentState::Expired { which: expired.into() }, expired),
    ] {
        let mut deployment = world.deployment(generation);
        let first = Violation::new("image", "components[web]", "no such image");
        deployment.violations = vec![first, Violation::new("port", "components[api]", "no such port")];
        deployment.state = DeploymentState::Draft { why: None };
        let word = state.word();
        world.moves(&mut deployment, state).await;
        let incident = world.incidents().await.remove(0);
        assert_eq!((incident.topic, incident.closed_at.is_some()), (Topic::NotDeployed, true), "{word}");
        let told = world.told().await.pop().unwrap();
        assert_eq!((&told.body["event"], &told.body["blocker"]), (&json!(word), &json!(blocker)));
        assert_eq!(count(&world, "all", "/opened").await, usize::try_from(generation).unwrap());
    }
    assert_eq!(count(&world, "all", "/recovered").await, 0);
    assert_eq!(count(&world, "failures", "").await, 0);
    // What runs is not in trouble by it.
    let mut deployment = world.deployment(4);
    world.moves(&mut deployment, failed()).await;
    let topics: Vec<Topic> = world.incidents().await.iter().map(|incident| incident.topic).collect();
    assert_eq!(topics.first(), Some(&Topic::Trouble), "{topics:?}");
    assert_eq!(topics.iter().filter(|topic| **topic == Topic::Trouble).count(), 1);
}
