//! Whether a cluster answers, as far as that is known.
//!
//! A request without an answer is a doubt: it may be that request alone. So the cluster is asked for its version at
//! once, and only without an answer to that it is away. Then it is asked again at growing pauses, by one request at a
//! time, and whoever else wants something of it is refused. Any answer ends that.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use kube::runtime::watcher::DefaultBackoff;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// The pause between two questions, should the back-off ever end.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A cluster gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What the first request came to that had none.
    pub why: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When the cluster is asked again; all requests before are refused.
    pub next: DateTime<Utc>,
}

impl Outage {
    /// Why and since when: the same words for as long as it lasts.
    pub fn told(&self) -> String {
        format!("no answer since {}: {}", second(self.since), self.why)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; it is asked again at {}", self.told(), second(self.next))
    }
}

fn second(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether a cluster answers.
#[derive(Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    turned: Notify,
}

#[derive(Default)]
struct State {
    answered_at: Option<Instant>,
    silence: Option<Silence>,
    is_probed: bool,
}

/// Requests had no answer.
struct Silence {
    outage: Outage,
    ask_at: Instant,
    /// Whether the cluster was asked since.
    is_away: bool,
    backoff: DefaultBackoff,
}

/// What a request is to expect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// An answer.
    Answers,
    /// It is asked just now, or to be asked.
    Doubted(Outage),
    /// No answer; it is asked again then.
    Away(Outage, Instant),
}

impl Silence {
    fn new(why: &str) -> Self {
        let now = Utc::now();
        let outage = Outage { why: why.to_owned(), since: now, next: now };
        Self { outage, ask_at: Instant::now(), is_away: false, backoff: DefaultBackoff::default() }
    }
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes once where it stands may be another than when this was called.
    pub(crate) fn turned(&self) -> Notified<'_> {
        self.turned.notified()
    }

    pub(crate) fn stand(&self) -> Stand {
        let state = self.state();
        match &state.silence {
            None => Stand::Answers,
            Some(silence) if state.is_probed || silence.ask_at <= Instant::now() => {
                Stand::Doubted(silence.outage.clone())
            }
            Some(silence) => Stand::Away(silence.outage.clone(), silence.ask_at),
        }
    }

    /// Whether it was asked since requests had no answer, and had none either.
    pub(crate) fn is_away(&self) -> bool {
        self.state().silence.as_ref().is_some_and(|silence| silence.is_away)
    }

    /// Whether it is away, or answered in this time.
    pub(crate) fn is_known(&self, within: Duration) -> bool {
        let state = self.state();
        match &state.silence {
            Some(silence) => silence.is_away,
            None => state.answered_at.is_some_and(|at| at.elapsed() < within),
        }
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        state.answered_at = Some(Instant::now());
        let was_silent = state.silence.take().is_some();
        drop(state);
        if was_silent {
            self.turned.notify_waiters();
        }
    }

    /// A request that was sent at `began` had no answer; `true`: now that is to be looked into.
    pub(crate) fn unanswered(&self, began: Instant, why: &str) -> bool {
        let mut state = self.state();
        // Others had an answer meanwhile.
        if state.silence.is_some() || state.answered_at.is_some_and(|at| at >= began) {
            return false;
        }
        state.silence = Some(Silence::new(why));
        true
    }

    /// It was asked at `began` whether it answers, and it does not.
    pub(crate) fn found_away(&self, began: Instant, why: &str) {
        let mut state = self.state();
        if state.answered_at.is_some_and(|at| at >= began) {
            return;
        }
        let silence = state.silence.get_or_insert_with(|| Silence::new(why));
        silence.is_away = true;
        let pause = silence.backoff.next().unwrap_or(PAUSE_MAX);
        silence.ask_at = Instant::now() + pause;
        silence.outage.next = Utc::now() + TimeDelta::from_std(pause).unwrap_or_default();
    }

    /// It is to be asked now, however long the pause.
    pub(crate) fn hurry(&self) {
        if let Some(silence) = &mut self.state().silence {
            silence.ask_at = Instant::now();
        }
    }

    /// The right to ask whether it answers; `None`: somebody does.
    pub(crate) fn begin_probe(self: &Arc<Self>) -> Option<Probing> {
        let was_probed = std::mem::replace(&mut self.state().is_probed, true);
        (!was_probed).then(|| Probing(Arc::clone(self)))
    }
}

/// The right to ask a cluster whether it answers, given back when this is dropped.
pub(crate) struct Probing(Arc<Breaker>);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.state().is_probed = false;
        self.0.turned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::default())
    }

    /// Asks it, in vain.
    fn ask_in_vain(breaker: &Arc<Breaker>) {
        let probing = breaker.begin_probe().expect("nobody asks");
        breaker.found_away(Instant::now(), "no route");
        drop(probing);
    }

    fn until(breaker: &Breaker) -> Instant {
        match breaker.stand() {
            Stand::Away(_, until) => until,
            other => panic!("it is not away: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_is_a_doubt_until_the_cluster_was_asked() {
        let breaker = breaker();
        assert!(breaker.unanswered(Instant::now(), "no answer within 15 s"));
        assert!(matches!(breaker.stand(), Stand::Doubted(_)) && !breaker.is_away());
        assert!(!breaker.unanswered(Instant::now(), "another"), "it is looked into already");
        ask_in_vain(&breaker);
        assert!(breaker.is_away());
        let Stand::Away(outage, _) = breaker.stand() else { panic!("it is away") };
        assert_eq!(outage.why, "no answer within 15 s", "the first reason stays");
        let told = outage.to_string();
        assert!(told.starts_with("no answer since 2") && told.contains("asked again at 2"), "{told}");
        breaker.answered();
        assert_eq!(breaker.stand(), Stand::Answers);
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_request_says_nothing_while_others_are_answered() {
        let breaker = breaker();
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.answered();
        assert!(!breaker.unanswered(began, "slow"));
        breaker.found_away(began, "slow");
        assert_eq!(breaker.stand(), Stand::Answers);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(breaker.unanswered(Instant::now(), "slow"));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_a_minute_and_one_asks_at_a_time() {
        let breaker = breaker();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            ask_in_vain(&breaker);
            let until = until(&breaker);
            pauses.push(until - Instant::now());
            tokio::time::advance(until - Instant::now()).await;
            assert!(matches!(breaker.stand(), Stand::Doubted(_)), "it is to be asked");
        }
        ask_in_vain(&breaker);
        assert!(pauses[0] < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX), "{pauses:?}");
        assert!(pauses[11] >= Duration::from_secs(30), "{pauses:?}");
        breaker.hurry();
        assert!(matches!(breaker.stand(), Stand::Doubted(_)), "somebody would not wait");
        let probing = breaker.begin_probe().expect("nobody asks");
        assert!(breaker.begin_probe().is_none());
        drop(probing);
        assert!(breaker.begin_probe().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_grows_old() {
        let (breaker, within) = (breaker(), Duration::from_secs(30));
        assert!(!breaker.is_known(within), "nobody asked it ever");
        breaker.answered();
        assert!(breaker.is_known(within));
        tokio::time::advance(within).await;
        assert!(!breaker.is_known(within));
        breaker.unanswered(Instant::now(), "no route");
        assert!(!breaker.is_known(within), "a doubt");
        ask_in_vain(&breaker);
        assert!(breaker.is_known(within), "known to be away");
    }
}
