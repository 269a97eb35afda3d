use chrono::{DateTime, Utc};
use slipway_records::{CheckOrder, DeclaredCheck, Waiver};
use slipway_types::Fault;
use slipway_types::id::CheckId;
use slipway_types::state::{CheckEvent, DeclaredCheckState, EarlierCheck};

use super::prelude::*;

/// A queued check.
pub(super) fn new_check(run: &Run, version: VersionId, name: &str) -> DeclaredCheck {
    let order = CheckOrder {
        image: word(&format!("registry.slipway.internal/default/shop/i/api@{}", Digest::of("image"))),
        command: vec!["/test".into(), "-v".into()],
        env: [("A".to_owned(), "1".to_owned())].into(),
        timeout_seconds: 60,
        backend: "docker".into(),
        backend_why: "it answers".into(),
    };
    DeclaredCheck {
        id: CheckId::new(),
        version_id: version,
        application_id: run.application_id,
        run_id: run.id,
        name: word(name),
        inputs: order.inputs(),
        order,
        fresh: false,
        state: DeclaredCheckState::Queued { why: None },
        attempt: 0,
        waiver: None,
        generation: 0,
        created_at: at(1),
        started_at: None,
        finished_at: None,
    }
}

/// Every state.
pub(super) fn states() -> [DeclaredCheckState; 8] {
    let version: Version = word("1.0.0");
    [
        DeclaredCheckState::Queued { why: None },
        DeclaredCheckState::Running,
        DeclaredCheckState::Passed { from: None },
        DeclaredCheckState::Passed { from: Some(EarlierCheck { check: CheckId::new(), version }) },
        DeclaredCheckState::Failed { why: "exit code 1".into() },
        DeclaredCheckState::Error { fault: Fault::transient("x", "y") },
        DeclaredCheckState::TimedOut { which: "timeoutSeconds = 60".into() },
        DeclaredCheckState::Cancelled { by: "ann".into() },
    ]
}

async fn bundle(records: &Shared, run: &Run, version: &str) -> VersionId {
    let mut tx = begin(records).await;
    let made = tx.version_insert(new_version(run, None, version)).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    made.id
}

async fn insert(records: &Shared, checks: &[DeclaredCheck]) -> Vec<CheckId> {
    let mut tx = begin(records).await;
    let made = tx.declared_checks_insert(checks).await.unwrap();
    tx.commit().await.unwrap();
    made
}

async fn world(records: &Shared) -> (Run, VersionId, VersionId) {
    let shop = application(records, "shop").await;
    let run = insert_run(records, new_run(shop.id, 1)).await;
    let (one, two) = (bundle(records, &run, "1.0.0").await, bundle(records, &run, "1.0.1").await);
    (run, one, two)
}

pub async fn checks_of_a_bundle_are_kept_whole_and_made_once(records: Shared) {
    let (run, one, two) = world(&records).await;
    let (unit, lint) = (new_check(&run, one, "source/unit"), new_check(&run, one, "source/lint"));
    assert_eq!(insert(&records, &[unit.clone(), lint.clone()]).await, [unit.id, lint.id]);
    let again = [new_check(&run, one, "source/unit"), new_check(&run, two, "source/unit")];
    assert_eq!(insert(&records, &again).await, [again[1].id]);
    let mut read = read(&records).await;
    assert_eq!(read.declared_checks_of(one).await.unwrap(), [lint, unit.clone()]);
    assert_eq!(read.declared_check_get(unit.id).await.unwrap(), Some(unit));
    assert_eq!(read.declared_check_get(CheckId::new()).await.unwrap(), None);
}

pub async fn a_check_is_saved_only_on_the_generation_read(records: Shared) {
    let (run, one, _) = world(&records).await;
    let mut check = new_check(&run, one, "source/unit");
    insert(&records, std::slice::from_ref(&check)).await;
    let mut stale = check.clone();
    check.state = check.state.apply(CheckEvent::Start).unwrap();
    (check.attempt, check.fresh, check.started_at) = (1, true, Some(at(2)));
    check.waiver = Some(Waiver { by: "ann".into(), reason: "known".into(), at: at(3) });
    let mut tx = begin(&records).await;
    assert!(tx.declared_check_save(&mut check).await.unwrap());
    assert!(!tx.declared_check_save(&mut stale).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.declared_check_get(check.id).await.unwrap(), Some(check));
}

pub async fn what_is_not_green_holds_until_it_is_waived(records: Shared) {
    let (run, one, two) = world(&records).await;
    for state in states() {
        let mut check = new_check(&run, one, &format!("source/{}", state.word().replace('_', "-")));
        check.state = state;
        insert(&records, &[check]).await;
    }
    let green = DeclaredCheck {
        state: DeclaredCheckState::Passed { from: None },
        ..new_check(&run, two, "source/unit")
    };
    insert(&records, &[green]).await;
    let mut tx = begin(&records).await;
    let red = tx.declared_checks_red_last(9).await.unwrap();
    assert_eq!(red.len(), 4, "neither queued nor running, nor passed: {red:?}");
    assert!(red.iter().all(|check| check.holds() && check.state.is_terminal() && check.version_id == one));
    assert_eq!(tx.declared_checks_red_last(1).await.unwrap(), red[..1]);
    let holding = tx.declared_checks_holding(&[two, one]).await.unwrap();
    assert_eq!(holding.len(), 6, "{holding:?}");
    assert!(holding.iter().all(|check| check.holds() && check.version_id == one));
    for mut check in holding {
        check.waiver = Some(Waiver { by: "ann".into(), reason: "known".into(), at: at(3) });
        assert!(!check.holds() && tx.declared_check_save(&mut check).await.unwrap());
    }
    assert_eq!(tx.declared_checks_holding(&[one, two]).await.unwrap(), []);
    assert_eq!(tx.declared_checks_holding(&[]).await.unwrap(), []);
    assert_eq!(tx.declared_checks_red_last(9).await.unwrap(), []);
    tx.commit().await.unwrap();
}

pub async fn only_a_check_that_passed_by_itself_serves_others(records: Shared) {
    let (run, one, two) = world(&records).await;
    let other = application(&records, "other").await;
    let passed = |version: VersionId, name: &str, finished: DateTime<Utc>| DeclaredCheck {
        state: DeclaredCheckState::Passed { from: None },
        finished_at: Some(finished),
        ..new_check(&run, version, name)
    };
    let (old, new) = (passed(one, "source/old", at(10)), passed(two, "source/new", at(20)));
    let borrowed = DeclaredCheck {
        state: DeclaredCheckState::Passed {
            from: Some(EarlierCheck { check: new.id, version: word("1.0.1") }),
        },
        ..passed(one, "source/borrowed", at(30))
    };
    let failed = DeclaredCheck {
        state: DeclaredCheckState::Failed { why: "exit code 1".into() },
        ..passed(one, "source/failed", at(40))
    };
    insert(&records, &[old, new.clone(), borrowed, failed]).await;
    let mut read = read(&records).await;
    let inputs = new.inputs;
    let found = read.declared_check_passed(run.application_id, &inputs, at(5)).await.unwrap();
    assert_eq!(found.map(|check| check.id), Some(new.id));
    for (application, inputs, since) in [
        (run.application_id, inputs, at(21)),
        (other.id, inputs, at(5)),
        (run.application_id, Digest::of("others"), at(5)),
    ] {
        assert_eq!(read.declared_check_passed(application, &inputs, since).await.unwrap(), None);
    }
}
