//! Deliveries that wait for their commit go together: one transaction, one `fsync`, for all that came
//! while the one before was being written. Each is answered only once it is committed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use slipway_records::{Delivery, Inserted, JobPayload, NewDelivery, NewJob, Records, RecordsError};
use slipway_types::id::ApplicationId;
use slipway_types::state::DeliveryState;
use tokio::sync::oneshot;

/// Deliveries in one transaction: enough for a flood, and no reader waits long for its end.
const BATCH_MAX: usize = 64;

/// What waits to be committed.
pub(crate) struct Intake {
    records: Arc<dyn Records>,
    waiting: Mutex<VecDeque<Waiting>>,
    /// Whoever holds it writes for all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    delivery: NewDelivery,
    /// By whose turn the job is served.
    application: Option<ApplicationId>,
    answer: oneshot::Sender<Result<Inserted<Delivery>, RecordsError>>,
}

impl Intake {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self { records, waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Commits a delivery and, if it is new and names a push, the job that looks at it.
    pub(crate) async fn keep(
        &self,
        delivery: NewDelivery,
        application: Option<ApplicationId>,
    ) -> Result<Inserted<Delivery>, RecordsError> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push_back(Waiting { delivery, application, answer });
        loop {
            tokio::select! {
                biased;
                result = &mut answered => {
                    return result.unwrap_or_else(|error| Err(RecordsError::Unavailable(error.into())));
                }
                _turn = self.turn.lock() => {
                    let batch = self.next_batch();
                    // The others must not lose their commit if this one's client goes away.
                    let writing = tokio::spawn(commit(Arc::clone(&self.records), batch));
                    // A panic drops the senders, which answers everybody.
                    drop(writing.await);
                }
            }
        }
    }

    fn next_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_MAX);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them in one transaction; if that is refused, each in one of its own, so that a bad one fails alone.
async fn commit(records: Arc<dyn Records>, batch: Vec<Waiting>) {
    match write(records.as_ref(), &batch).await {
        Ok(kept) => {
            for (waiting, inserted) in batch.into_iter().zip(kept) {
                // Its client may be gone.
                drop(waiting.answer.send(Ok(inserted)));
            }
        }
        // Nobody waits for the same answer many times over; dropping the senders is it.
        Err(error) if error.is_transient() => {
            tracing::warn!(deliveries = batch.len(), %error, "deliveries cannot be committed");
        }
        Err(_) => one_by_one(records.as_ref(), batch).await,
    }
}

async fn one_by_one(records: &dyn Records, batch: Vec<Waiting>) {
    for waiting in batch {
        let kept = write(records, std::slice::from_ref(&waiting)).await;
        let inserted = kept.map(|mut kept| kept.pop().expect("invariant: one row for each delivery"));
        drop(waiting.answer.send(inserted));
    }
}

async fn write(records: &dyn Records, batch: &[Waiting]) -> Result<Vec<Inserted<Delivery>>, RecordsError> {
    let mut tx = records.begin().await?;
    let mut kept = Vec::with_capacity(batch.len());
    for waiting in batch {
        let inserted = tx.delivery_insert(waiting.delivery.clone()).await?;
        if let Inserted::New(delivery) = &inserted
            && matches!(delivery.state, DeliveryState::Received)
        {
            let payload = JobPayload::Deliver { delivery: delivery.id };
            tx.job_enqueue(NewJob::new(payload, waiting.application)).await?;
        }
        kept.push(inserted);
    }
    tx.commit().await?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use slipway_records::{NewSource, Origin, Page, SourceKind};
    use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
    use slipway_types::GitRef;
    use slipway_types::id::SourceId;

    use super::*;

    fn push(source_id: SourceId, external_id: &str) -> NewDelivery {
        NewDelivery {
            source_id,
            origin: Origin::Github,
            external_id: Some(external_id.to_owned()),
            event: "push".to_owned(),
            git_ref: Some(GitRef::Branch("main".to_owned())),
            commit: None,
            actor: "ann".to_owned(),
            fresh: false,
            state: DeliveryState::Received,
        }
    }

    async fn fresh() -> (tempfile::TempDir, Arc<dyn Records>, SourceId) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slipway.db");
        let records: Arc<dyn Records> =
            Arc::new(SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap());
        let mut tx = records.begin().await.unwrap();
        let source = NewSource {
            name: "shop".parse().unwrap(),
            kind: SourceKind::Builtin,
            credential: None,
            poll_interval_s: 60,
        };
        let source = tx.source_insert(source).await.unwrap().id;
        tx.commit().await.unwrap();
        (directory, records, source)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_are_all_kept_and_repeats_are_told() {
        let (_directory, records, source) = fresh().await;
        let intake = Intake::new(Arc::clone(&records));
        // Each twice.
        let kept = join_all((0..300).map(|n| intake.keep(push(source, &format!("{}", n / 2)), None))).await;
        let new = kept.into_iter().filter(|kept| kept.as_ref().unwrap().is_new()).count();
        assert_eq!(new, 150);
        let mut read = records.read().await.unwrap();
        assert_eq!(read.delivery_list(source, Page::first(500)).await.unwrap().len(), 150);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_that_is_refused_fails_alone() {
        let (_directory, records, source) = fresh().await;
        let intake = Intake::new(Arc::clone(&records));
        let sources = (0..100).map(|n| if n == 50 { SourceId::new() } else { source });
        let kept = sources.enumerate().map(|(n, source)| intake.keep(push(source, &n.to_string()), None));
        let kept = join_all(kept).await;
        let refused: Vec<usize> =
            kept.iter().enumerate().filter(|(_, kept)| kept.is_err()).map(|(n, _)| n).collect();
        assert_eq!(refused, [50]);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_holds_nobody_up() {
        let (_directory, records, source) = fresh().await;
        let intake = Intake::new(records);
        for n in 0..50 {
            let gone = intake.keep(push(source, &format!("gone-{n}")), None);
            // Polled once: it took its turn and began to write.
            assert!(futures::poll!(Box::pin(gone)).is_pending());
        }
        assert!(intake.keep(push(source, "stays"), None).await.unwrap().is_new());
    }
}
