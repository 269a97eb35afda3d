use futures::future::join_all;
use tokio::sync::broadcast::error::TryRecvError;

use super::prelude::*;

pub async fn a_dropped_transaction_never_happened(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut tx = begin(&records).await;
    let run = tx.run_insert(new_run(shop, 1)).await.unwrap().into_inner();
    tx.job_enqueue(NewJob::new(JobPayload::Plan { run: run.id }, Some(shop))).await.unwrap();
    tx.number_next(shop, "main").await.unwrap();
    drop(tx);
    assert_eq!(read(&records).await.run_get(run.id).await.unwrap(), None);
    assert_eq!(records.queue().claim(&["plan"], "me", DEADLINE).await.unwrap(), None);
    let mut tx = begin(&records).await;
    assert_eq!(tx.number_next(shop, "main").await.unwrap(), 1);
    assert!(tx.run_insert(new_run(shop, 1)).await.unwrap().is_new());
}

pub async fn readers_see_nothing_before_commit(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut reader = read(&records).await;
    let mut tx = begin(&records).await;
    let run = tx.run_insert(new_run(shop, 1)).await.unwrap().into_inner();
    assert_eq!(reader.run_get(run.id).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(reader.run_get(run.id).await.unwrap(), Some(run));
}

pub async fn a_writer_sees_its_own_writes(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut tx = begin(&records).await;
    let run = tx.run_insert(new_run(shop, 1)).await.unwrap().into_inner();
    assert_eq!(tx.run_get(run.id).await.unwrap(), Some(run));
}

pub async fn news_of_runs_comes_after_commit_only(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let mut news = records.changes().subscribe();
    let mut tx = begin(&records).await;
    tx.run_insert(new_run(shop, 1)).await.unwrap();
    drop(tx);
    let mut tx = begin(&records).await;
    let mut run = tx.run_insert(new_run(shop, 1)).await.unwrap().into_inner();
    assert_eq!(news.try_recv(), Err(TryRecvError::Empty));
    tx.commit().await.unwrap();
    assert_eq!(news.recv().await.unwrap(), Change::Run(run.id));
    save_run(&records, &mut run, RunState::Planning).await;
    assert_eq!(news.recv().await.unwrap(), Change::Run(run.id));
    let build = new_build(&run, "api", 0);
    let mut tx = begin(&records).await;
    tx.builds_insert(std::slice::from_ref(&build)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(news.recv().await.unwrap(), Change::Build(run.id, build.id));
}

pub async fn writers_wait_for_their_turn(records: Shared) {
    let shop = application(&records, "shop").await.id;
    join_all((0..40).map(|n| insert_run(&records, new_run(shop, n)))).await;
    let runs = read(&records).await.run_list(&RunFilter::default(), Page::first(100)).await.unwrap();
    let numbers: Vec<_> = runs.iter().map(|run| run.number).collect();
    assert_eq!(numbers, (1..=40).rev().collect::<Vec<_>>());
}

pub async fn the_records_answer_and_describe_themselves(records: Shared) {
    records.ping().await.unwrap();
    assert!(!records.describe().is_empty());
}
