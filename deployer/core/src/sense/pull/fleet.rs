//! Very many clusters that are polled, in simulated time: all that the core has of each but the client that asks it.
//!
//! Some hundred are the test. `./bench pull-ladder` runs the same with `SLIPWAY_BENCH_CLUSTERS` set, one size after
//! another, and prints what it counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slipway_handoff::{Collect, Key, ObjectRef};
use slipway_types::Digest;
use tokio::time::Instant;

use super::*;
use crate::inventory::{Entry, Inventory, InventoryId};
use crate::sense::ladder::{LadderOptions, PAUSES_S};
use crate::sense::senses::{Post, Senses};
use crate::sense::sight::Sight;

/// Clusters, if nobody says how many.
const CLUSTERS: u64 = 300;
/// Kinds that are in use in each, and objects of each kind.
const KINDS: [&str; 4] = ["ConfigMap", "Deployment", "Secret", "Service"];
const OBJECTS: usize = 3;
/// How long settled clusters are simulated: a change is noticed within 300 s, however late in it.
const CALM: Duration = Duration::from_secs(3_600);
/// One in so many changes meanwhile.
const CHANGES_PART: u64 = 10;
const SETTLED_WITHIN: Duration = Duration::from_secs(16 * 60);
/// Half of the longest pause, and what the limit may add.
const DELAY_MEAN_MAX_S: f64 = 160.0;

/// What is counted of all clusters.
struct Tally {
    began: Instant,
    polls: AtomicUsize,
    /// The polls of the last second, and the most that any second had.
    second: Mutex<(VecDeque<Instant>, usize)>,
    settled: AtomicUsize,
    /// When the last of them settled, in milliseconds.
    settled_ms: AtomicU64,
    /// After how many seconds changes woke a key.
    delays: Mutex<Vec<f64>>,
}

impl Tally {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            polls: AtomicUsize::new(0),
            second: Mutex::default(),
            settled: AtomicUsize::new(0),
            settled_ms: AtomicU64::new(0),
            delays: Mutex::default(),
        })
    }

    fn polled(&self, now: Instant) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, most) = &mut *second;
        times.push_back(now);
        while times.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1)) {
            times.pop_front();
        }
        *most = times.len().max(*most);
    }

    /// A cluster stood on the last rung from `at` on.
    fn settled(&self, at: Instant) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        let ms = u64::try_from(at.duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.settled_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// Gives the most polls of a second since it was last asked.
    fn most(&self) -> usize {
        std::mem::take(&mut self.second.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

/// A cluster that answers at once.
struct Stub {
    tally: Arc<Tally>,
    label: String,
    content: AtomicU64,
    state: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    polled_at: Option<Instant>,
    is_settled: bool,
    changed_at: Option<Instant>,
}

impl Stub {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.times().changed_at = Some(Instant::now());
        self.content.fetch_add(1, Ordering::Relaxed);
    }

    /// A poll begins.
    fn begun(&self) {
        let (now, mut times) = (Instant::now(), self.times());
        self.tally.polled(now);
        let before = times.polled_at.replace(now);
        // The pause of the last rung, jitter apart, and longer than that of any other.
        let last = Duration::from_secs(PAUSES_S[PAUSES_S.len() - 1] * 8 / 10);
        if let Some(before) = before.filter(|before| now.duration_since(*before) >= last)
            && !std::mem::replace(&mut times.is_settled, true)
        {
            self.tally.settled(before);
        }
    }

    /// A key was woken.
    fn woken(&self) {
        if let Some(changed_at) = self.times().changed_at.take() {
            let mut delays = self.tally.delays.lock().unwrap_or_else(PoisonError::into_inner);
            delays.push(changed_at.elapsed().as_secs_f64());
        }
    }
}

fn object(kind: &str, number: usize) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some("shop".to_owned()),
        name: format!("web-{number}"),
    }
}

#[async_trait]
impl Lists for Stub {
    async fn list(&self, kind: &Kind) -> Result<Vec<Glimpse>, CallError> {
        if kind.kind == KINDS[0] {
            self.begun();
        }
        let content = self.content.load(Ordering::Relaxed);
        let glimpse = |number: usize| Glimpse {
            place: Place::of(&object(&kind.kind, number)),
            label: self.label.clone(),
            digest: Digest::of(format!("{content} {number}")),
        };
        Ok((0..OBJECTS).map(glimpse).collect())
    }

    async fn answers(&self) -> Result<(), CallError> {
        Ok(())
    }
}

/// A cluster as the core has it.
struct Polled {
    stub: Arc<Stub>,
    sight: Sight,
    polls: Polls,
}

impl Polled {
    fn begin(number: u64, tally: &Arc<Tally>, senses: &Arc<Senses>, rounds: &Arc<Rounds>) -> Self {
        let name = format!("cluster-{number}");
        let key = Key {
            environment: format!("eu/{name}/shop").parse().expect("an address"),
            application: "commerce/shop".parse().expect("a name"),
        };
        let label = InventoryId::of(&key).as_str().to_owned();
        let stub = Arc::new(Stub {
            tally: Arc::clone(tally),
            label,
            content: AtomicU64::new(0),
            state: Mutex::default(),
        });
        let objects = KINDS.iter().flat_map(|kind| (0..OBJECTS).map(|number| object(kind, number)));
        let entries = objects.map(|object| Entry {
            object,
            uid: None,
            generation: 1,
            collect: Collect::OnUpdate,
            shared: false,
        });
        let inventory = Inventory::try_from(entries.collect::<Vec<_>>()).expect("each object once");
        let mut sight = Sight::new(name.clone(), Post::take(Arc::clone(senses), name.clone()));
        sight.index.put(&key, &inventory, Instant::now());
        let lists: Arc<dyn Lists> = Arc::<Stub>::clone(&stub);
        let mut polls = Polls::new(lists, name, Arc::clone(rounds));
        for kind in KINDS {
            let kind = Kind { api_version: "v1".to_owned(), kind: kind.to_owned(), namespace: None };
            let number = sight.begin(kind.clone());
            polls.begin(&kind, number);
        }
        Self { stub, sight, polls }
    }

    async fn run(mut self) {
        loop {
            let told = self.polls.told().await;
            let now = Instant::now();
            match told {
                Told::Of { kind, number, report: Report::All(glimpses) } => {
                    self.sight.take_all(&kind, number, &glimpses, now);
                }
                other => panic!("it answers always: {other:?}"),
            }
            if !self.sight.wakes.take(now, 1).is_empty() {
                self.stub.woken();
            }
        }
    }
}

/// Memory of this process, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn approximate(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[tokio::test(start_paused = true)]
async fn very_many_polled_clusters_stay_below_the_limit_settle_and_tell_what_changes() {
    let asked = std::env::var("SLIPWAY_BENCH_CLUSTERS").ok();
    let clusters = asked.as_ref().map_or(CLUSTERS, |asked| asked.parse().expect("a number of clusters"));
    let before = memory();
    let (tally, senses, began) = (Tally::new(), Arc::<Senses>::default(), std::time::Instant::now());
    let rounds = Arc::new(Rounds::new(LadderOptions::default()));
    tokio::spawn({
        let rounds = Arc::clone(&rounds);
        async move { rounds.run().await }
    });
    let mut stubs = Vec::new();
    for number in 0..clusters {
        let polled = Polled::begin(number, &tally, &senses, &rounds);
        stubs.push(Arc::clone(&polled.stub));
        tokio::spawn(polled.run());
    }
    // Whether a pause was the longest is known at its end.
    tokio::time::sleep(SETTLED_WITHIN + Duration::from_secs(PAUSES_S[PAUSES_S.len() - 1] + 10)).await;
    let limit = usize::try_from(LadderOptions::default().polls_per_second).expect("a number");
    let start = tally.most();
    let settled_s = Duration::from_millis(tally.settled_ms.load(Ordering::Relaxed)).as_secs_f64();
    let settled = tally.settled.load(Ordering::Relaxed);
    let bytes = memory().saturating_sub(before) / clusters;

    let polls = tally.polls.load(Ordering::Relaxed);
    let changes = stubs.len().div_ceil(usize::try_from(CHANGES_PART).expect("a number"));
    let apart = CALM / u32::try_from(changes).expect("a number");
    for stub in stubs.iter().step_by(usize::try_from(CHANGES_PART).expect("a number")) {
        stub.change();
        tokio::time::sleep(apart).await;
    }
    let polls = tally.polls.load(Ordering::Relaxed) - polls;
    tokio::time::sleep(Duration::from_secs(310)).await;
    let calm = tally.most();
    let delays = tally.delays.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mean = delays.iter().sum::<f64>() / approximate(delays.len().max(1));
    if asked.is_some() {
        println!(
            "{clusters:>7} clusters: settled after {settled_s:4.0} s; {:6.1} polls a second then, at most {} in any; \
             a change is seen after {mean:3.0} s on average; {bytes} bytes a cluster; {:.1} s of work",
            approximate(polls) / CALM.as_secs_f64(),
            start.max(calm),
            began.elapsed().as_secs_f64()
        );
    }
    assert!(start.max(calm) <= limit, "{start} and {calm} polls in a second");
    assert_eq!(settled, stubs.len(), "not all have settled");
    assert!(settled_s < SETTLED_WITHIN.as_secs_f64(), "{settled_s} s");
    assert_eq!(delays.len(), changes, "each change is seen");
    assert!(mean < DELAY_MEAN_MAX_S, "{mean} s");
}
