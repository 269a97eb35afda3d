use std::sync::Mutex;
use std::time::Duration;

use slipway_types::Digest;

use super::*;
use crate::sense::ladder::LadderOptions;

fn kind(name: &str) -> Kind {
    Kind { api_version: "v1".to_owned(), kind: name.to_owned(), namespace: None }
}

fn glimpse(name: &str, content: &str) -> Glimpse {
    let key = slipway_kubernetes::ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    Glimpse { place: Place::of_key(&key), label: "shop".to_owned(), digest: Digest::of(content) }
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Nothing answers.
    Away,
    /// The API of Secrets is silent.
    HalfAway,
}

/// A cluster that has one Service and no Secrets.
struct Farm {
    mood: Mutex<Mood>,
    content: Mutex<&'static str>,
    lists: Mutex<usize>,
    /// How long a list takes.
    slow: Mutex<Duration>,
}

#[async_trait]
impl Lists for Farm {
    async fn list(&self, kind: &Kind) -> Result<Vec<Glimpse>, CallError> {
        *self.lists.lock().unwrap() += 1;
        let slow = *self.slow.lock().unwrap();
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let mood = *self.mood.lock().unwrap();
        let is_service = kind.kind == "Service";
        match mood {
            Mood::Away => Err(CallError::Away("no route".to_owned())),
            Mood::HalfAway if !is_service => Err(CallError::Away("503".to_owned())),
            Mood::Well | Mood::HalfAway if is_service => {
                Ok(vec![glimpse("a", *self.content.lock().unwrap()), glimpse("b", "1")])
            }
            Mood::Well | Mood::HalfAway => Ok(Vec::new()),
        }
    }

    async fn answers(&self) -> Result<(), CallError> {
        match *self.mood.lock().unwrap() {
            Mood::Away => Err(CallError::Away("no route".to_owned())),
            Mood::Well | Mood::HalfAway => Ok(()),
        }
    }
}

struct Rig {
    farm: Arc<Farm>,
    polls: Polls,
}

impl Rig {
    /// Polls Services and Secrets.
    fn new() -> Self {
        let farm = Arc::new(Farm {
            mood: Mutex::new(Mood::Well),
            content: Mutex::new("1"),
            lists: Mutex::new(0),
            slow: Mutex::default(),
        });
        let rounds = Arc::new(Rounds::new(LadderOptions::default()));
        tokio::spawn({
            let rounds = Arc::clone(&rounds);
            async move { rounds.run().await }
        });
        let lists: Arc<dyn Lists> = Arc::<Farm>::clone(&farm);
        let mut polls = Polls::new(lists, "kind".to_owned(), rounds);
        polls.begin(&kind("Service"), 1);
        polls.begin(&kind("Secret"), 2);
        Self { farm, polls }
    }

    fn is(&self, mood: Mood) {
        *self.farm.mood.lock().unwrap() = mood;
    }

    /// What is told within so many seconds, in short.
    async fn told(&mut self, seconds: u64) -> Vec<String> {
        let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let mut all = Vec::new();
        while let Ok(told) = tokio::time::timeout_at(end, self.polls.told()).await {
            all.push(match told {
                Told::Of { kind, number, report: Report::All(glimpses) } => {
                    format!("{} {number}: {}", kind.kind, glimpses.len())
                }
                Told::Of { kind, number, report: Report::One(sensed) } => {
                    format!("{} {number}: {sensed:?}", kind.kind)
                }
                Told::Expired(why) => format!("expired: {why}"),
                Told::Returned => "returned".to_owned(),
            });
        }
        all
    }
}

#[tokio::test(start_paused = true)]
async fn all_is_told_at_first_and_then_what_changed_alone() {
    let mut rig = Rig::new();
    assert_eq!(rig.told(5).await, ["Secret 2: 0", "Service 1: 2"]);
    assert!(rig.told(1_000).await.is_empty());
    let lists = *rig.farm.lists.lock().unwrap();
    assert!((36..=42).contains(&lists), "two kinds, 18 times to the last pause: {lists}");
    *rig.farm.content.lock().unwrap() = "2";
    assert_eq!(rig.told(300).await, ["Service 1: 2"]);
    *rig.farm.content.lock().unwrap() = "3";
    assert_eq!(rig.told(300).await, ["Service 1: 2"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_change_or_a_word_it_is_asked_often() {
    let mut rig = Rig::new();
    rig.told(2_000).await;
    rig.polls.hasten();
    *rig.farm.content.lock().unwrap() = "2";
    assert_eq!(rig.told(5).await, ["Service 1: 2"]);
    *rig.farm.content.lock().unwrap() = "3";
    assert_eq!(rig.told(5).await, ["Service 1: 2"], "it changed a moment ago");
}

#[tokio::test(start_paused = true)]
async fn one_that_gives_no_answer_is_expired_after_three_polls_and_all_is_told_when_it_is_back() {
    let mut rig = Rig::new();
    rig.told(2).await;
    rig.told(3).await;
    rig.is(Mood::Away);
    assert_eq!(rig.told(60).await, ["expired: no route"]);
    assert!(rig.told(7_200).await.is_empty(), "it is said once");
    rig.is(Mood::Well);
    assert_eq!(rig.told(900).await, ["returned", "Secret 2: 0", "Service 1: 2"]);
    rig.is(Mood::Away);
    rig.told(6).await;
    rig.is(Mood::Well);
    assert!(rig.told(60).await.is_empty(), "once or twice without an answer says nothing");
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_takes_only_its_own_kinds_with_it() {
    let mut rig = Rig::new();
    rig.told(5).await;
    rig.is(Mood::HalfAway);
    let told = rig.told(30).await;
    assert!(!told.is_empty() && told.iter().all(|told| told == "Secret 2: Broken(503)"), "{told:?}");
    rig.is(Mood::Well);
    assert_eq!(rig.told(30).await, ["Secret 2: 0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_kind_nothing_is_asked() {
    let mut rig = Rig::new();
    rig.told(5).await;
    rig.polls.end(&kind("Secret"));
    rig.polls.end(&kind("Service"));
    let lists = *rig.farm.lists.lock().unwrap();
    assert!(rig.told(1_000).await.is_empty());
    assert_eq!(*rig.farm.lists.lock().unwrap(), lists);
    rig.polls.begin(&kind("Service"), 3);
    assert_eq!(rig.told(5).await, ["Service 3: 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_the_last_kind_went_reaches_nobody() {
    let mut rig = Rig::new();
    *rig.farm.slow.lock().unwrap() = Duration::from_secs(20);
    assert!(rig.told(10).await.is_empty(), "a list is under way");
    assert_eq!(*rig.farm.lists.lock().unwrap(), 1);
    rig.polls.end(&kind("Secret"));
    rig.polls.end(&kind("Service"));
    *rig.farm.slow.lock().unwrap() = Duration::ZERO;
    rig.polls.begin(&kind("Service"), 3);
    assert_eq!(rig.told(15).await, ["Service 3: 2"]);
    assert!(rig.told(30).await.is_empty());
}
