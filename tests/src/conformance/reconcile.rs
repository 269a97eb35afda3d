use futures::future::join_all;
use slipway_records::reconcile::STATE_BYTES_MAX;
use slipway_records::{
    Deployment, EventsKept, Observation, PAGE_ROWS_MAX, ReconcileEvent, ReconcileKey, ReconcileState,
};
use slipway_types::id::DeploymentId;
use slipway_types::state::DeploymentState;

use super::deployments::{bundle, environment, insert, new_deployment, save as save_deployment};
use super::prelude::*;

const PLACE: &str = "eu/kind/shop/default";

fn state(environment: &str, application: &str) -> ReconcileState {
    ReconcileState {
        environment: word(environment),
        application: word(application),
        generation: 1,
        sequence: 0,
        document: r#"{"nodes":{}}"#.into(),
        is_settled: false,
        updated_at: at(1),
        row_version: 0,
    }
}

fn event(sequence: u64, generation: u64) -> ReconcileEvent {
    let event = format!(r#"{{"sequence":{sequence},"state":"waiting"}}"#);
    ReconcileEvent { sequence, generation, event, at: at(2) }
}

async fn save(records: &Shared, state: &mut ReconcileState, events: &[ReconcileEvent]) -> bool {
    let mut tx = begin(records).await;
    let saved = tx.reconcile_save(state, events).await.unwrap();
    tx.commit().await.unwrap();
    saved
}

/// What is known, whose version is told alone just so.
async fn get(records: &Shared, state: &ReconcileState) -> Option<ReconcileState> {
    let mut read = read(records).await;
    let known = read.reconcile_get(&state.environment, &state.application).await.unwrap();
    let version = read.reconcile_version(&state.environment, &state.application).await.unwrap();
    assert_eq!(version, known.as_ref().map(|known| known.row_version));
    known
}

async fn events(records: &Shared, state: &ReconcileState, since: u64, limit: u32) -> Vec<ReconcileEvent> {
    let mut read = read(records).await;
    read.reconcile_events(&state.environment, &state.application, since, limit).await.unwrap()
}

async fn numbers(records: &Shared, state: &ReconcileState, since: u64, limit: u32) -> Vec<u64> {
    events(records, state, since, limit).await.iter().map(|event| event.sequence).collect()
}

pub async fn what_the_core_knows_is_kept_whole_and_saved_only_on_the_version_read(records: Shared) {
    let mut first = state(PLACE, "commerce/shop");
    assert_eq!(get(&records, &first).await, None);
    let mut second = first.clone();
    (first.sequence, first.document) = (1 << 62, r#"{"why":"„ä\u0000\n"}"#.into());
    assert!(save(&records, &mut first, &[event(1, 1)]).await);
    assert_eq!(first.row_version, 1);
    assert!(first.updated_at > at(1), "saving says when");
    assert_eq!(get(&records, &first).await, Some(first.clone()));

    let unsaved = second.clone();
    assert!(!save(&records, &mut second, &[event(2, 1)]).await, "somebody made it");
    assert_eq!(second, unsaved);
    let mut stale = first.clone();
    (first.generation, first.is_settled) = (2, true);
    assert!(save(&records, &mut first, &[]).await);
    assert!(!save(&records, &mut stale, &[event(3, 2)]).await, "somebody changed it");
    assert_eq!((first.row_version, stale.row_version), (2, 1));
    assert_eq!(get(&records, &first).await, Some(first.clone()));
    assert_eq!(events(&records, &first, 0, 10).await, [event(1, 1)], "who loses leaves no events");
}

pub async fn parallel_saves_of_a_state_have_one_winner(records: Shared) {
    let mut known = state(PLACE, "shop");
    for round in 1..=2 {
        let attempt = |n: u64| {
            let (records, mut state) = (&records, known.clone());
            async move { save(records, &mut state, &[event(n, round)]).await }
        };
        let saved = join_all((round * 10..round * 10 + 8).map(attempt)).await;
        assert_eq!(saved.into_iter().filter(|saved| *saved).count(), 1);
        known = get(&records, &known).await.unwrap();
        assert_eq!(numbers(&records, &known, round * 10 - 1, 10).await.len(), 1);
    }
    assert_eq!(known.row_version, 2);
}

pub async fn one_application_in_two_environments_is_two_states(records: Shared) {
    let mut states =
        [(PLACE, "shop"), ("eu/kind/shop/canary", "shop"), (PLACE, "commerce/shop")].map(|(place, name)| {
            ReconcileState { document: format!(r#"{{"at":"{place} {name}"}}"#), ..state(place, name) }
        });
    for (n, state) in (1..).zip(&mut states) {
        assert!(save(&records, state, &[event(1, n), event(2, n)]).await);
    }
    let [first, others @ ..] = &mut states;
    assert!(save(&records, first, &[]).await);
    let mut tx = begin(&records).await;
    let (environment, application) = (first.environment.clone(), first.application.clone());
    assert_eq!(tx.reconcile_forget_events(&environment, &application, 9).await.unwrap(), 2);
    assert!(tx.reconcile_remove(&environment, &application).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(get(&records, first).await, None);
    for (n, other) in (2..).zip(others) {
        assert_eq!(get(&records, other).await.as_ref(), Some(&*other));
        assert_eq!(events(&records, other, 0, 10).await, [event(1, n), event(2, n)]);
    }
}

pub async fn events_are_read_from_any_number_oldest_first(records: Shared) {
    let mut shop = state(PLACE, "shop");
    assert!(numbers(&records, &shop, 0, 10).await.is_empty());
    assert!(save(&records, &mut shop, &[event(3, 1), event(1, 1)]).await);
    assert!(save(&records, &mut shop, &[event(2, 1), event(7, 2)]).await);
    for (since, limit, expected) in [
        (0, 10, vec![1, 2, 3, 7]),
        (0, 2, vec![1, 2]),
        (2, 1, vec![3]),
        (3, 10, vec![7]),
        (7, 10, vec![]),
        (u64::MAX, 10, vec![]),
        (0, 0, vec![]),
    ] {
        assert_eq!(numbers(&records, &shop, since, limit).await, expected, "{limit} after {since}");
    }
    let many: Vec<_> = (8..8 + u64::from(PAGE_ROWS_MAX)).map(|n| event(n, 2)).collect();
    assert!(save(&records, &mut shop, &many).await);
    let page = events(&records, &shop, 0, u32::MAX).await;
    assert_eq!(page.len(), usize::try_from(PAGE_ROWS_MAX).unwrap());
    assert_eq!(page[3..], [&[event(7, 2)][..], &many[..many.len() - 4]].concat());
}

pub async fn the_number_of_an_event_is_taken_once(records: Shared) {
    let mut shop = state(PLACE, "shop");
    assert!(save(&records, &mut shop, &[event(1, 1)]).await);
    let kept = shop.clone();
    shop.is_settled = true;
    for taken in [vec![event(2, 1), event(1, 1)], vec![event(3, 1), event(3, 1)]] {
        let mut tx = begin(&records).await;
        let refused = tx.reconcile_save(&mut shop, &taken).await;
        assert!(is_conflict(&refused), "{refused:?}");
        drop(tx);
        assert_eq!((shop.row_version, shop.updated_at), (1, kept.updated_at));
        assert_eq!(get(&records, &kept).await.as_ref(), Some(&kept));
        assert_eq!(numbers(&records, &kept, 0, 10).await, [1]);
    }
}

pub async fn events_of_earlier_generations_are_forgotten(records: Shared) {
    let mut shop = state(PLACE, "shop");
    let told: Vec<_> = [1, 1, 2, 3].into_iter().zip(1..).map(|(of, n)| event(n, of)).collect();
    assert!(save(&records, &mut shop, &told).await);
    for (before, forgotten, left) in
        [(1, 0, vec![1, 2, 3, 4]), (3, 3, vec![4]), (3, 0, vec![4]), (4, 1, vec![])]
    {
        let mut tx = begin(&records).await;
        let count = tx.reconcile_forget_events(&shop.environment, &shop.application, before).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count, forgotten, "before {before}");
        assert_eq!(numbers(&records, &shop, 0, 10).await, left, "before {before}");
    }
    assert_eq!(get(&records, &shop).await.as_ref(), Some(&shop));
}

pub async fn the_first_and_the_newest_events_of_a_generation_are_kept(records: Shared) {
    let mut shop = state(PLACE, "shop");
    let told: Vec<_> = (1..=10).map(|n| event(n, if n <= 2 { 1 } else { 2 })).collect();
    assert!(save(&records, &mut shop, &told).await);
    for (generation, first, newest, removed, left) in [
        (2, 5, 5, 0, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (2, 4, 3, 1, vec![1, 2, 3, 4, 5, 6, 8, 9, 10]),
        (2, 2, 3, 2, vec![1, 2, 3, 4, 8, 9, 10]),
        (2, 2, 3, 0, vec![1, 2, 3, 4, 8, 9, 10]),
        (3, 1, 1, 0, vec![1, 2, 3, 4, 8, 9, 10]),
        (2, 0, 0, 3, vec![1, 2, 3, 10]),
    ] {
        let kept = EventsKept { first, newest };
        let mut tx = begin(&records).await;
        let count = tx.reconcile_thin_events(&shop.environment, &shop.application, generation, kept).await;
        tx.commit().await.unwrap();
        assert_eq!(count.unwrap(), removed, "{kept:?} of {generation}");
        assert_eq!(numbers(&records, &shop, 0, 20).await, left, "{kept:?} of {generation}");
    }
}

fn key(environment: &str, application: &str) -> ReconcileKey {
    (word(environment), word(application))
}

async fn page(records: &Shared, cluster: &str, after: Option<ReconcileKey>, limit: u32) -> Vec<ReconcileKey> {
    read(records).await.reconcile_of_cluster(cluster, after, limit).await.unwrap()
}

pub async fn keys_of_a_cluster_are_paged(records: Shared) {
    // In the byte order of their texts, in which `-` comes before `/`.
    let keys = [
        ("eu-west/kind/shop", "shop"),
        ("eu/kind/shop", "commerce/shop"),
        ("eu/kind/shop", "shop"),
        ("eu/kind/shop/canary-b", "shop"),
        ("eu/kind/web", "cart"),
    ]
    .map(|(place, name)| key(place, name));
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_by_key(|(environment, application)| (environment.to_string(), application.path()));
    let sorted: Vec<ReconcileKey> = sorted.into_iter().cloned().collect();
    for (environment, application) in keys.iter().rev() {
        let mut made = state(&environment.to_string(), &application.to_string());
        assert!(save(&records, &mut made, &[]).await);
    }
    for elsewhere in ["eu/kind-2/shop", "kind/eu/shop"] {
        assert!(save(&records, &mut state(elsewhere, "shop"), &[]).await);
    }
    assert_eq!(page(&records, "kind", None, u32::MAX).await, sorted);
    let mut walked: Vec<ReconcileKey> = Vec::new();
    loop {
        let next = page(&records, "kind", walked.last().cloned(), 2).await;
        assert!(next.len() <= 2);
        if next.is_empty() {
            break;
        }
        walked.extend(next);
    }
    assert_eq!(walked, sorted);
    assert_eq!(page(&records, "kind-2", None, 10).await, [key("eu/kind-2/shop", "shop")]);
    assert!(page(&records, "other", None, 10).await.is_empty());
}

pub async fn what_is_removed_takes_its_events_and_comes_back_by_nobody_late(records: Shared) {
    let mut shop = state(PLACE, "shop");
    assert!(save(&records, &mut shop, &[event(1, 1), event(2, 1)]).await);
    for there in [true, false] {
        let mut tx = begin(&records).await;
        assert_eq!(tx.reconcile_remove(&shop.environment, &shop.application).await.unwrap(), there);
        tx.commit().await.unwrap();
        assert_eq!(get(&records, &shop).await, None);
        assert!(numbers(&records, &shop, 0, 10).await.is_empty());
    }
    assert!(!save(&records, &mut shop.clone(), &[event(3, 1)]).await, "it is gone");
    assert_eq!(get(&records, &shop).await, None);

    let mut anew = ReconcileState { generation: 2, ..state(PLACE, "shop") };
    assert!(save(&records, &mut anew, &[event(1, 2)]).await);
    assert_eq!(anew.row_version, shop.row_version);
    assert!(!save(&records, &mut shop, &[event(3, 1)]).await, "it is another");
    assert_eq!(get(&records, &anew).await.as_ref(), Some(&anew));
    assert_eq!(events(&records, &anew, 0, 10).await, [event(1, 2)]);
}

pub async fn a_dropped_save_leaves_neither_state_nor_events(records: Shared) {
    let mut shop = state(PLACE, "shop");
    let mut tx = begin(&records).await;
    assert!(tx.reconcile_save(&mut shop, &[event(1, 1)]).await.unwrap());
    let (environment, application) = (shop.environment.clone(), shop.application.clone());
    assert_eq!(tx.reconcile_get(&environment, &application).await.unwrap().as_ref(), Some(&shop));
    assert_eq!(tx.reconcile_events(&environment, &application, 0, 10).await.unwrap(), [event(1, 1)]);
    drop(tx);
    assert_eq!(get(&records, &shop).await, None);
    assert!(numbers(&records, &shop, 0, 10).await.is_empty());

    let mut shop = state(PLACE, "shop");
    assert!(save(&records, &mut shop, &[event(1, 1)]).await);
    let kept = shop.clone();
    let mut tx = begin(&records).await;
    shop.is_settled = true;
    assert!(tx.reconcile_save(&mut shop, &[event(2, 1)]).await.unwrap());
    drop(tx);
    assert_eq!(get(&records, &kept).await.as_ref(), Some(&kept));
    assert_eq!(numbers(&records, &kept, 0, 10).await, [1]);
}

pub async fn a_document_is_kept_up_to_the_limit(records: Shared) {
    let mut shop = state(PLACE, "shop");
    shop.document = format!("\"{}\"", "x".repeat(STATE_BYTES_MAX - 2));
    assert!(save(&records, &mut shop, &[]).await);
    assert!(get(&records, &shop).await.is_some_and(|kept| kept == shop));
    shop.document.push(' ');
    let mut tx = begin(&records).await;
    let refused = tx.reconcile_save(&mut shop, &[event(1, 1)]).await;
    assert!(matches!(refused, Err(RecordsError::TooLarge { limit: STATE_BYTES_MAX, .. })), "{refused:?}");
    drop(tx);
    assert_eq!(shop.row_version, 1);
    assert!(numbers(&records, &shop, 0, 10).await.is_empty());
}

async fn hear(records: &Shared, deployment: &Deployment, sequence: u64) {
    let mut read = read(records).await;
    let known = read.observation_get(deployment.id).await.unwrap().unwrap_or_default();
    drop(read);
    let mut tx = begin(records).await;
    let mut observation = Observation { sequence, ..known };
    assert!(tx.observation_save(deployment.id, &mut observation).await.unwrap());
    tx.commit().await.unwrap();
}

async fn behind(records: &Shared) -> Vec<DeploymentId> {
    let found = read(records).await.observations_behind(10).await.unwrap();
    found.into_iter().map(|(deployment, _)| deployment).collect()
}

pub async fn deployments_of_which_less_was_heard_than_was_told_are_found(records: Shared) {
    let shop = application(&records, "shop").await;
    let bundle = bundle(&records, &shop, 1).await;
    let prod = environment(&records, "prod").await;
    let mut live = insert(&records, new_deployment(&shop, &prod, &bundle)).await;
    let mut told = ReconcileState { generation: live.generation, ..state("eu/kind/prod", "shop") };
    told.sequence = 3;
    assert!(save(&records, &mut told, &[event(3, 1)]).await);
    let mut elsewhere = ReconcileState { sequence: 3, ..state("eu/kind/dev", "shop") };
    assert!(save(&records, &mut elsewhere, &[event(3, 1)]).await);
    assert!(behind(&records).await.is_empty(), "no receiver has it yet");

    live.state = DeploymentState::Live;
    assert!(save_deployment(&records, &mut live).await);
    assert_eq!(behind(&records).await, [live.id], "nothing was heard");
    hear(&records, &live, 2).await;
    assert_eq!(behind(&records).await, [live.id], "the last was not heard");
    assert_eq!(read(&records).await.observations_behind(10).await.unwrap(), [(live.id, shop.id)]);
    assert!(read(&records).await.observations_behind(0).await.unwrap().is_empty());
    hear(&records, &live, 3).await;
    assert!(behind(&records).await.is_empty());

    // What is told of a newer generation is not for the one before.
    (told.sequence, told.generation) = (4, live.generation + 1);
    assert!(save(&records, &mut told, &[event(4, 2)]).await);
    assert!(behind(&records).await.is_empty());
}
