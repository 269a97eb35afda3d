use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use futures::future::join_all;
use slipway_records::QueueDepth;
use slipway_records::queue::LOSSES_MAX;

use super::prelude::*;

/// A lease that no promise here waits for.
const LONG: Duration = Duration::from_mins(5);
/// A lease that runs out at once.
const SHORT: Duration = Duration::from_millis(1);

fn plan(application: Option<ApplicationId>) -> NewJob {
    NewJob::new(JobPayload::Plan { run: RunId::new() }, application)
}

async fn claim(records: &Shared) -> Option<Job> {
    records.queue().claim(&["plan"], "owner/1", LONG).await.unwrap()
}

/// Claims once there is something to claim.
async fn claim_soon(records: &Shared, lease: Duration) -> Job {
    let begun = Instant::now();
    loop {
        if let Some(job) = records.queue().claim(&["plan"], "owner/1", lease).await.unwrap() {
            return job;
        }
        assert!(begun.elapsed() < DEADLINE, "nothing to claim");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn depth(records: &Shared) -> Vec<(String, String, u64)> {
    let depth = records.queue().depth().await.unwrap();
    depth.into_iter().map(|QueueDepth { kind, state, count, .. }| (kind, state, count)).collect()
}

pub async fn a_job_is_claimed_once_and_done(records: Shared) {
    let shop = ApplicationId::new();
    let new = plan(Some(shop));
    let id = enqueue(&records, new.clone()).await;
    let job = claim(&records).await.unwrap();
    assert_eq!((job.id, &job.payload, job.application_id), (id, &new.payload, Some(shop)));
    assert_eq!((job.state, job.attempt, job.attempts_max, job.losses), (JobState::Leased, 1, 5, 0));
    assert_eq!(claim(&records).await, None);
    let queue = records.queue();
    assert!(queue.complete(id, job.token).await.unwrap());
    assert!(!queue.complete(id, job.token).await.unwrap());
    assert!(!queue.heartbeat(id, job.token, LONG).await.unwrap());
    assert!(!queue.give_back(id, job.token, SHORT, "x", true).await.unwrap());
    assert!(!queue.bury(id, job.token, "x").await.unwrap());
    assert_eq!(claim(&records).await, None);
    assert_eq!(depth(&records).await, []);
}

pub async fn only_the_kinds_asked_for_are_claimed(records: Shared) {
    enqueue(&records, NewJob::new(JobPayload::Collect, None)).await;
    assert_eq!(claim(&records).await, None);
    assert_eq!(records.queue().claim(&[], "owner", LONG).await.unwrap(), None);
    let job = records.queue().claim(&["plan", "collect"], "owner", LONG).await.unwrap().unwrap();
    assert_eq!(job.payload, JobPayload::Collect);
}

pub async fn a_delayed_job_waits(records: Shared) {
    let queue = records.queue();
    assert_eq!(queue.next_due(&["plan"]).await.unwrap(), None);
    let before = Utc::now();
    enqueue(&records, plan(None).after(Duration::from_mins(2))).await;
    enqueue(&records, plan(None).after(Duration::from_mins(1))).await;
    assert_eq!(claim(&records).await, None);
    let wait = queue.next_due(&["plan", "build"]).await.unwrap().unwrap() - before;
    assert!((55..65).contains(&wait.num_seconds()), "{wait}");
    assert_eq!(queue.next_due(&["build"]).await.unwrap(), None);
    let soon = plan(None).after(Duration::from_millis(30));
    let id = enqueue(&records, soon).await;
    let job = claim_soon(&records, LONG).await;
    assert_eq!(job.id, id);
    assert!(Utc::now() >= job.run_at);
}

pub async fn ready_jobs_with_one_key_are_one(records: Shared) {
    let new = plan(None);
    let first = enqueue(&records, new.clone().after(Duration::from_mins(1))).await;
    assert_eq!(enqueue(&records, new.clone().after(Duration::from_mins(2))).await, first);
    assert_eq!(claim(&records).await, None, "the earlier time holds, and it is not yet");
    assert_eq!(enqueue(&records, new.clone()).await, first);
    assert_eq!(claim(&records).await.unwrap().id, first);
    assert_eq!(depth(&records).await, [("plan".into(), "leased".into(), 1)]);
}

pub async fn a_leased_job_can_be_queued_anew(records: Shared) {
    let new = plan(None);
    let first = enqueue(&records, new.clone()).await;
    let job = claim(&records).await.unwrap();
    let second = enqueue(&records, new).await;
    assert_ne!(first, second);
    assert!(records.queue().complete(first, job.token).await.unwrap());
    assert_eq!(claim(&records).await.unwrap().id, second);
}

pub async fn a_job_given_back_merges_with_its_ready_twin(records: Shared) {
    let new = plan(None);
    enqueue(&records, new.clone()).await;
    let job = claim(&records).await.unwrap();
    let twin = enqueue(&records, new.after(Duration::from_mins(5))).await;
    assert!(records.queue().give_back(job.id, job.token, Duration::ZERO, "broke", true).await.unwrap());
    let next = claim(&records).await.unwrap();
    assert_eq!(next.id, twin, "due as early as the one given back");
    assert_eq!((next.attempt, next.last_error.as_deref()), (2, Some("broke")));
    assert_eq!(claim(&records).await, None);
}

pub async fn attempts_count_only_when_told(records: Shared) {
    enqueue(&records, plan(None)).await;
    let mut tokens = Vec::new();
    for (expected, counts) in [(1, true), (2, false), (2, false), (2, true), (3, true)] {
        let job = claim(&records).await.unwrap();
        assert_eq!((job.attempt, job.losses), (expected, 0));
        assert_eq!(job.last_error.is_some(), !tokens.is_empty());
        tokens.push(job.token);
        assert!(records.queue().give_back(job.id, job.token, Duration::ZERO, "no", counts).await.unwrap());
    }
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    let job = claim(&records).await.unwrap();
    let later = Duration::from_mins(1);
    assert!(records.queue().give_back(job.id, job.token, later, "no", true).await.unwrap());
    assert_eq!(claim(&records).await, None);
}

pub async fn a_lost_lease_counts_a_loss_and_fences_the_loser(records: Shared) {
    enqueue(&records, plan(None)).await;
    let lost = claim_soon(&records, SHORT).await;
    let taken = claim_soon(&records, LONG).await;
    assert_eq!((taken.id, taken.attempt, taken.losses), (lost.id, lost.attempt, 1));
    assert!(taken.token > lost.token);
    let queue = records.queue();
    assert!(!queue.heartbeat(lost.id, lost.token, LONG).await.unwrap());
    assert!(!queue.complete(lost.id, lost.token).await.unwrap());
    assert!(!queue.give_back(lost.id, lost.token, SHORT, "x", true).await.unwrap());
    assert!(!queue.bury(lost.id, lost.token, "x").await.unwrap());
    assert!(queue.complete(taken.id, taken.token).await.unwrap());
}

pub async fn a_heartbeat_keeps_the_lease(records: Shared) {
    enqueue(&records, plan(None)).await;
    let job = claim_soon(&records, SHORT).await;
    assert!(records.queue().heartbeat(job.id, job.token, LONG).await.unwrap());
    assert_eq!(claim(&records).await, None);
    // And shortens it, if told.
    assert!(records.queue().heartbeat(job.id, job.token, SHORT).await.unwrap());
    assert_eq!(claim_soon(&records, LONG).await.id, job.id);
}

pub async fn a_buried_job_is_dead_and_shown(records: Shared) {
    let new = plan(None);
    enqueue(&records, new.clone()).await;
    let job = claim(&records).await.unwrap();
    assert!(records.queue().bury(job.id, job.token, "beyond help").await.unwrap());
    assert_eq!(claim(&records).await, None);
    let dead = records.queue().dead(Page::default()).await.unwrap();
    let expected = Job { state: JobState::Dead, last_error: Some("beyond help".into()), ..job };
    assert_eq!(dead, [expected]);
    // The key is free for another try.
    assert_ne!(enqueue(&records, new).await, dead[0].id);
}

pub async fn dead_jobs_are_paged_newest_first(records: Shared) {
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.insert(0, enqueue(&records, plan(None)).await);
        let job = claim(&records).await.unwrap();
        assert!(records.queue().bury(job.id, job.token, "x").await.unwrap());
    }
    let ids = |jobs: Vec<Job>| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let first = ids(records.queue().dead(Page::first(2)).await.unwrap());
    assert_eq!(first, expected[..2]);
    let after = Page { limit: 9, after: Some(first[1].as_uuid()) };
    assert_eq!(ids(records.queue().dead(after).await.unwrap()), expected[2..]);
}

pub async fn released_jobs_are_ready_and_count_a_loss(records: Shared) {
    let queue = records.queue();
    for _ in 0..3 {
        enqueue(&records, plan(None)).await;
    }
    let mine = queue.claim(&["plan"], "one/boot-1", LONG).await.unwrap().unwrap();
    let others = queue.claim(&["plan"], "one%/boot-1", LONG).await.unwrap().unwrap();
    queue.claim(&["plan"], "oNe/boot-1", LONG).await.unwrap().unwrap();
    assert_eq!(queue.release("one/").await.unwrap(), 1);
    assert_eq!(queue.release("one_").await.unwrap(), 0, "a prefix, not a pattern");
    let again = claim(&records).await.unwrap();
    assert_eq!((again.id, again.attempt, again.losses), (mine.id, 1, 1));
    assert!(!queue.complete(mine.id, mine.token).await.unwrap());
    assert!(queue.complete(others.id, others.token).await.unwrap());
    assert_eq!(claim(&records).await, None);
}

pub async fn released_jobs_with_one_key_are_one(records: Shared) {
    let new = plan(None);
    enqueue(&records, new.clone()).await;
    claim(&records).await.unwrap();
    enqueue(&records, new.after(Duration::from_mins(1))).await;
    assert_eq!(records.queue().release("owner/").await.unwrap(), 1);
    assert_eq!(depth(&records).await, [("plan".into(), "ready".into(), 1)]);
    let job = claim(&records).await.unwrap();
    assert_eq!((job.attempt, job.losses), (1, 1), "the twin carries the loss on");
}

pub async fn a_job_given_back_has_lost_none(records: Shared) {
    let queue = records.queue();
    enqueue(&records, plan(None)).await;
    for _ in 0..2 {
        claim(&records).await.unwrap();
        queue.release("owner/").await.unwrap();
    }
    let job = claim(&records).await.unwrap();
    assert_eq!(job.losses, 2);
    assert!(queue.give_back(job.id, job.token, Duration::ZERO, "waits", false).await.unwrap());
    assert_eq!(claim(&records).await.unwrap().losses, 0);
}

pub async fn jobs_lost_again_and_again_are_due_apart(records: Shared) {
    let queue = records.queue();
    let news = [plan(None), plan(None)];
    for new in &news {
        enqueue(&records, new.clone()).await;
    }
    for _ in 0..2 {
        while claim(&records).await.is_some() {}
        assert_eq!(queue.release("owner/").await.unwrap(), 2);
    }
    while claim(&records).await.is_some() {}
    let before = Utc::now();
    assert_eq!(queue.release("owner/").await.unwrap(), 2);
    for new in news {
        enqueue(&records, new).await;
    }
    assert_eq!(claim(&records).await, None, "suspected of ending its process");
    let wait = queue.next_due(&["plan"]).await.unwrap().unwrap() - before;
    assert!((5..15).contains(&wait.num_seconds()), "{wait}");
}

pub async fn a_suspected_job_stays_apart_as_its_twin(records: Shared) {
    let queue = records.queue();
    let new = plan(None);
    enqueue(&records, new.clone()).await;
    for _ in 0..2 {
        claim(&records).await.unwrap();
        queue.release("owner/").await.unwrap();
    }
    let third = claim(&records).await.unwrap();
    enqueue(&records, new.clone()).await;
    assert_eq!(queue.release("owner/").await.unwrap(), 1);
    assert_eq!(claim(&records).await, None, "the twin is due no sooner");
    assert!(!queue.complete(third.id, third.token).await.unwrap());
}

/// A job that is buried stays one to be buried, also if that fails at first.
pub async fn a_poisoned_job_stays_poisoned(records: Shared) {
    let queue = records.queue();
    enqueue(&records, plan(None)).await;
    for losses in 0..=LOSSES_MAX {
        assert_eq!(claim_soon(&records, SHORT).await.losses, losses);
    }
    let job = claim_soon(&records, LONG).await;
    assert_eq!(job.losses, LOSSES_MAX + 1);
    assert!(queue.give_back(job.id, job.token, Duration::ZERO, "cannot bury", false).await.unwrap());
    assert_eq!(claim(&records).await.unwrap().losses, LOSSES_MAX + 1);
}

pub async fn one_key_is_never_leased_twice(records: Shared) {
    let new = plan(None);
    enqueue(&records, new.clone()).await;
    let first = claim(&records).await.unwrap();
    enqueue(&records, new).await;
    assert_eq!(claim(&records).await, None);
    assert!(records.queue().complete(first.id, first.token).await.unwrap());
    assert!(claim(&records).await.is_some());
}

pub async fn applications_take_turns(records: Shared) {
    let (busy, calm) = (ApplicationId::new(), ApplicationId::new());
    for _ in 0..3 {
        enqueue(&records, plan(Some(busy))).await;
    }
    assert_eq!(claim(&records).await.unwrap().application_id, Some(busy));
    enqueue(&records, plan(Some(calm))).await;
    enqueue(&records, plan(None)).await;
    let mut turns = Vec::new();
    while let Some(job) = claim(&records).await {
        turns.push(job.application_id);
    }
    // Whoever was served longest ago comes first; jobs of no application are one more.
    assert_eq!(turns, [Some(calm), None, Some(busy), Some(busy)]);
    for application in [Some(calm), Some(busy), None] {
        enqueue(&records, plan(application)).await;
    }
    assert_eq!(claim(&records).await.unwrap().application_id, Some(calm));
    assert_eq!(claim(&records).await.unwrap().application_id, None);
    assert_eq!(claim(&records).await.unwrap().application_id, Some(busy));
}

pub async fn older_jobs_of_an_application_go_first(records: Shared) {
    let shop = Some(ApplicationId::new());
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(enqueue(&records, plan(shop)).await);
    }
    for id in expected {
        assert_eq!(claim(&records).await.unwrap().id, id);
    }
}

pub async fn the_depth_counts_by_kind_and_state(records: Shared) {
    let before = Utc::now() - chrono::TimeDelta::milliseconds(1);
    for _ in 0..4 {
        enqueue(&records, plan(None)).await;
    }
    enqueue(&records, plan(None).after(LONG)).await;
    enqueue(&records, NewJob::new(JobPayload::Collect, None).after(LONG)).await;
    let queue = records.queue();
    let (dead, done) = (claim(&records).await.unwrap(), claim(&records).await.unwrap());
    claim(&records).await.unwrap();
    assert!(queue.bury(dead.id, dead.token, "x").await.unwrap());
    assert!(queue.complete(done.id, done.token).await.unwrap());
    let row = |kind: &str, state: &str, count| (kind.to_owned(), state.to_owned(), count);
    let expected = [
        row("collect", "ready", 1),
        row("plan", "dead", 1),
        row("plan", "leased", 1),
        row("plan", "ready", 2),
    ];
    assert_eq!(depth(&records).await, expected);
    for row in queue.depth().await.unwrap() {
        let due = row.kind == "plan" && row.state == "ready";
        assert_eq!(row.oldest_due.is_some(), due, "{row:?}");
        assert!(row.oldest_due.is_none_or(|at| before <= at && at <= Utc::now()));
    }
}

pub async fn done_jobs_are_forgotten_by_age(records: Shared) {
    let queue = records.queue();
    for end in ["done", "dead", "leased", "ready"] {
        enqueue(&records, plan(None)).await;
        if end == "ready" {
            break;
        }
        let job = claim(&records).await.unwrap();
        match end {
            "done" => assert!(queue.complete(job.id, job.token).await.unwrap()),
            "dead" => assert!(queue.bury(job.id, job.token, "x").await.unwrap()),
            _ => {}
        }
    }
    assert_eq!(queue.forget_done(LONG).await.unwrap(), 0);
    assert_eq!(queue.forget_done(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(queue.forget_done(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(depth(&records).await.len(), 3);
}

pub async fn news_of_a_job_comes_after_commit(records: Shared) {
    let mut news = records.changes().subscribe();
    let mut tx = begin(&records).await;
    tx.job_enqueue(plan(None)).await.unwrap();
    assert!(news.is_empty());
    tx.commit().await.unwrap();
    assert_eq!(news.recv().await.unwrap(), Change::Job);
}

/// Workers that finish, fail, wait, die and come too late, over jobs of three applications: in the
/// end each job was completed by exactly one claim, and no two live claims held it at once.
pub async fn every_job_is_completed_once_whatever_happens(records: Shared) {
    const JOBS: usize = 30;
    let applications = [Some(ApplicationId::new()), Some(ApplicationId::new()), None];
    for n in 0..JOBS {
        enqueue(&records, plan(applications[n % 3])).await;
    }
    let completed = Mutex::new(BTreeMap::<JobId, u32>::new());
    let begun = Instant::now();
    join_all((0..4).map(|worker| work(&records, worker, JOBS, &completed, begun))).await;
    let completed = completed.into_inner().unwrap();
    assert_eq!(completed.len(), JOBS);
    assert!(completed.values().all(|times| *times == 1), "{completed:?}");
    assert_eq!(depth(&records).await, []);
}

async fn work(
    records: &Shared,
    worker: usize,
    jobs: usize,
    completed: &Mutex<BTreeMap<JobId, u32>>,
    begun: Instant,
) {
    let queue = records.queue();
    let lease = Duration::from_millis(15);
    let complete = async |job: &Job| {
        if queue.complete(job.id, job.token).await.unwrap() {
            *completed.lock().unwrap().entry(job.id).or_default() += 1;
        }
    };
    for step in worker.. {
        if completed.lock().unwrap().len() == jobs {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "not all jobs were completed in time");
        let owner = format!("owner/{worker}");
        let Some(job) = queue.claim(&["plan"], &owner, lease).await.unwrap() else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        match step % 6 {
            // It dies.
            0 => {}
            // It comes too late, or just in time.
            1 => {
                tokio::time::sleep(lease).await;
                complete(&job).await;
            }
            2 => drop(queue.give_back(job.id, job.token, SHORT, "failed", true).await.unwrap()),
            3 => drop(queue.give_back(job.id, job.token, SHORT, "waits", false).await.unwrap()),
            _ => complete(&job).await,
        }
    }
}
