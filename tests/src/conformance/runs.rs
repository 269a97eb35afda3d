use futures::future::join_all;
use slipway_types::state::Step;

use super::prelude::*;

pub async fn a_run_is_kept_whole_and_numbered_in_its_application(records: Shared) {
    let (shop, other) = (application(&records, "shop").await.id, application(&records, "other").await.id);
    let run = NewRun { fresh: true, git_ref: GitRef::Tag("v1".into()), ..new_run(shop, 1) };
    let run = insert_run(&records, run).await;
    assert_eq!((run.number, &run.state), (1, &RunState::Queued { why: None }));
    assert_eq!(insert_run(&records, new_run(shop, 2)).await.number, 2);
    assert_eq!(insert_run(&records, new_run(other, 1)).await.number, 1);
    let mut read = read(&records).await;
    assert_eq!(read.run_get(run.id).await.unwrap().as_ref(), Some(&run));
    assert_eq!(read.run_by_number(shop, 1).await.unwrap().as_ref(), Some(&run));
    assert_eq!(read.run_by_number(shop, 3).await.unwrap(), None);
    assert_eq!(read.run_get(RunId::new()).await.unwrap(), None);
}

pub async fn a_commit_of_a_ref_makes_one_run(records: Shared) {
    let (shop, other) = (application(&records, "shop").await.id, application(&records, "other").await.id);
    let first = insert_run(&records, new_run(shop, 1)).await;
    let mut tx = begin(&records).await;
    let again = NewRun { actor: "bob".into(), ..new_run(shop, 1) };
    assert_eq!(tx.run_insert(again).await.unwrap(), Inserted::Existing(first));
    let elsewhere = NewRun { git_ref: branch("next"), ..new_run(shop, 1) };
    assert!(tx.run_insert(elsewhere).await.unwrap().is_new());
    assert!(tx.run_insert(new_run(shop, 2)).await.unwrap().is_new());
    assert!(tx.run_insert(new_run(other, 1)).await.unwrap().is_new());
}

pub async fn a_retry_is_a_new_run_and_the_latest_is_found(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let first = insert_run(&records, new_run(shop, 1)).await;
    let mut last = first.clone();
    for number in 2..4 {
        let mut tx = begin(&records).await;
        let retry = NewRun { retry_of: Some(last.id), ..new_run(shop, 1) };
        let Inserted::New(retry) = tx.run_insert(retry).await.unwrap() else { panic!("a retry is new") };
        tx.commit().await.unwrap();
        assert_eq!((retry.number, retry.retry_of), (number, Some(last.id)));
        last = retry;
    }
    let mut tx = begin(&records).await;
    assert_eq!(tx.run_insert(new_run(shop, 1)).await.unwrap(), Inserted::Existing(last));
}

pub async fn parallel_inserts_of_one_key_make_one_run(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let insert = || async {
        let mut tx = begin(&records).await;
        let inserted = tx.run_insert(new_run(shop, 1)).await.unwrap();
        tx.commit().await.unwrap();
        inserted
    };
    let all = join_all((0..8).map(|_| insert())).await;
    assert_eq!(all.iter().filter(|inserted| inserted.is_new()).count(), 1);
    let first = all[0].clone().into_inner();
    assert!(all.into_iter().all(|inserted| inserted.into_inner() == first));
    assert_eq!(read(&records).await.run_list(&RunFilter::default(), Page::default()).await.unwrap(), [first]);
}

pub async fn a_run_is_saved_only_on_the_generation_read(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut run = insert_run(&records, new_run(shop, 1)).await;
    let mut stale = run.clone();
    run.started_at = Some(at(5));
    run.version_number = Some(7);
    save_run(&records, &mut run, RunState::Planning).await;
    assert_eq!(run.generation, stale.generation + 1);
    run.finished_at = Some(at(9));
    let failed = RunState::Planning.apply(RunEvent::Skip("why \"so\"".into())).unwrap();
    save_run(&records, &mut run, failed).await;
    assert_eq!(read(&records).await.run_get(run.id).await.unwrap().as_ref(), Some(&run));

    let (before, mut tx) = (stale.clone(), begin(&records).await);
    assert!(!tx.run_save(&mut stale).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(stale, before);
    assert_eq!(read(&records).await.run_get(run.id).await.unwrap(), Some(run));
}

pub async fn parallel_saves_have_one_winner(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let run = insert_run(&records, new_run(shop, 1)).await;
    let save = |mut run: Run| {
        let records = &records;
        async move {
            run.state = RunState::Planning;
            let mut tx = begin(records).await;
            let saved = tx.run_save(&mut run).await.unwrap();
            tx.commit().await.unwrap();
            saved
        }
    };
    let saved = join_all((0..8).map(|_| save(run.clone()))).await;
    assert_eq!(saved.into_iter().filter(|saved| *saved).count(), 1);
}

async fn list(records: &Shared, filter: &RunFilter, page: Page) -> Vec<i64> {
    let runs = read(records).await.run_list(filter, page).await.unwrap();
    runs.iter().map(|run| run.number).collect()
}

pub async fn runs_are_paged_newest_first(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut third = None;
    for n in 1..=5 {
        let run = insert_run(&records, new_run(shop, n)).await;
        third = third.or((n == 3).then_some(run.id.as_uuid()));
    }
    for filter in [RunFilter::default(), RunFilter { application: Some(shop), ..RunFilter::default() }] {
        assert_eq!(list(&records, &filter, Page::first(2)).await, [5, 4]);
        assert_eq!(list(&records, &filter, Page { limit: 9, after: third }).await, [2, 1]);
    }
}

pub async fn runs_are_filtered_before_the_limit(records: Shared) {
    let (shop, other) = (application(&records, "shop").await.id, application(&records, "other").await.id);
    let mut first = insert_run(&records, new_run(shop, 1)).await;
    save_run(&records, &mut first, RunState::Planning).await;
    insert_run(&records, NewRun { git_ref: branch("next"), ..new_run(shop, 1) }).await;
    insert_run(&records, new_run(shop, 2)).await;
    for n in 10..14 {
        insert_run(&records, new_run(other, n)).await;
    }
    let none = RunFilter::default;
    let application = Some(shop);
    for (filter, expected) in [
        (RunFilter { application, ..none() }, vec![3, 2, 1]),
        (RunFilter { git_ref: Some(branch("next")), ..none() }, vec![2]),
        (RunFilter { application, git_ref: Some(branch("main")), ..none() }, vec![3, 1]),
        (RunFilter { commit: Some((&commit(1)).into()), ..none() }, vec![2, 1]),
        (RunFilter { application, commit: Some((&commit(2)).into()), ..none() }, vec![3]),
        (RunFilter { application, commit: Some("0000".parse().unwrap()), ..none() }, vec![3, 2, 1]),
        (RunFilter { commit: Some("0001".parse().unwrap()), ..none() }, vec![]),
        (RunFilter { states: vec!["planning", "done"], ..none() }, vec![1]),
        (RunFilter { application, states: vec!["queued"], ..none() }, vec![3, 2]),
        (RunFilter { application, states: vec!["done"], ..none() }, vec![]),
    ] {
        assert_eq!(list(&records, &filter, Page::first(3)).await, expected, "{filter:?}");
    }
}

pub async fn live_runs_are_listed_oldest_first(records: Shared) {
    let (shop, other) = (application(&records, "shop").await.id, application(&records, "other").await.id);
    let states = [
        RunState::Queued { why: Some("a turn".into()) },
        RunState::Skipped { why: "nothing to do".into() },
        RunState::Planning,
        RunState::Superseded { by: RunId::new() },
        RunState::Building,
        RunState::Packaging,
        RunState::Cancelling { by: "ann".into() },
        RunState::Cancelled { by: "ann".into() },
    ];
    let mut expected = Vec::new();
    for (n, state) in (1..).zip(states) {
        let mut run = insert_run(&records, new_run(shop, n)).await;
        save_run(&records, &mut run, state).await;
        if !run.state.is_terminal() {
            expected.push(run);
        }
    }
    insert_run(&records, new_run(other, 1)).await;
    assert_eq!(expected.len(), 5);
    assert_eq!(read(&records).await.runs_live(shop).await.unwrap(), expected);
}

pub async fn applications_whose_last_run_failed_are_found(records: Shared) {
    let failed = || RunState::TimedOut { step: Step::Plan, which: "a minute".into() };
    let done = || RunState::Done { bundle: None, version: Version::release(1, 0, 0) };
    let mut expected = Vec::new();
    for (name, states) in [
        ("once", vec![failed()]),
        ("mended", vec![failed(), done()]),
        ("again", vec![failed(), done(), failed()]),
        ("none", vec![]),
    ] {
        let application = application(&records, name).await.id;
        for (n, state) in (1..).zip(states) {
            let mut run = insert_run(&records, new_run(application, n)).await;
            save_run(&records, &mut run, state).await;
            if (name, n) == ("once", 1) || (name, n) == ("again", 3) {
                expected.insert(0, run);
            }
        }
    }
    let mut read = read(&records).await;
    assert_eq!(read.runs_failed_last(9).await.unwrap(), expected);
    assert_eq!(read.runs_failed_last(1).await.unwrap(), expected[..1]);
}

pub async fn the_last_done_run_of_a_ref_is_found(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut runs = Vec::new();
    for n in 1..=4 {
        runs.push(insert_run(&records, new_run(shop, n)).await);
    }
    let main = branch("main");
    assert_eq!(read(&records).await.run_last_done(shop, &main).await.unwrap(), None);
    // Ended out of order: the newest counts, not the last to end.
    for n in [2, 0] {
        let done = RunState::Done { bundle: None, version: Version::release(1, 0, 0) };
        save_run(&records, &mut runs[n], done).await;
    }
    save_run(&records, &mut runs[3], RunState::Skipped { why: "x".into() }).await;
    let mut read = read(&records).await;
    assert_eq!(read.run_last_done(shop, &main).await.unwrap().as_ref(), Some(&runs[2]));
    assert_eq!(read.run_last_done(shop, &branch("next")).await.unwrap(), None);
}
