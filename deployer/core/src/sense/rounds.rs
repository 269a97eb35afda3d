//! The ladder at work: it says to each cluster that is polled when it is its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slipway_types::Digest;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::digests::head;
use super::ladder::{Climber, Ladder, LadderOptions, Next, Polled, Turned};

/// The turns of all clusters that this process polls.
#[derive(Debug)]
pub(super) struct Rounds {
    since: Instant,
    state: Mutex<State>,
    /// The next turn may be another than it was.
    stirred: Notify,
}

#[derive(Debug)]
struct State {
    ladder: Ladder,
    turns: HashMap<Climber, Arc<Notify>>,
}

/// A cluster's part in them, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    rounds: Arc<Rounds>,
    climber: Climber,
    turn: Arc<Notify>,
}

impl Rounds {
    pub(super) fn new(options: LadderOptions) -> Self {
        let state = State { ladder: Ladder::new(options), turns: HashMap::new() };
        Self { since: Instant::now(), state: Mutex::new(state), stirred: Notify::new() }
    }

    /// Gives turns for ever.
    pub(super) async fn run(&self) {
        loop {
            match self.give() {
                Next::Poll(_) => {}
                Next::At(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.since + at) => {}
                        () = self.stirred.notified() => {}
                    }
                }
                Next::Nothing => self.stirred.notified().await,
            }
        }
    }

    fn give(&self) -> Next {
        let now = self.now();
        let mut state = self.state();
        let next = state.ladder.next(now);
        if let Next::Poll(climber) = next
            && let Some(turn) = state.turns.get(&climber)
        {
            turn.notify_one();
        }
        next
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// A cluster's, by its name.
    pub(super) fn take(rounds: Arc<Rounds>, cluster: &str) -> Self {
        let turn = Arc::new(Notify::new());
        let now = rounds.now();
        let mut state = rounds.state();
        let climber = state.ladder.add(head(&Digest::of(cluster)), now);
        state.turns.insert(climber, Arc::clone(&turn));
        drop(state);
        rounds.stirred.notify_one();
        Self { rounds, climber, turn }
    }

    /// Returns when it is the cluster's turn; [`Seat::polled`] must follow.
    pub(super) async fn turn(&self) {
        self.turn.notified().await;
    }

    /// Tells what came of a turn.
    pub(super) fn polled(&self, polled: Polled) -> Option<Turned> {
        let now = self.rounds.now();
        let turned = self.rounds.state().ladder.polled(self.climber, polled, now);
        self.rounds.stirred.notify_one();
        turned
    }

    /// Something is not good there.
    pub(super) fn hasten(&self) {
        let now = self.rounds.now();
        self.rounds.state().ladder.hasten(self.climber, now);
        self.rounds.stirred.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.rounds.state();
        state.turns.remove(&self.climber);
        state.ladder.remove(self.climber);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn turning() -> Arc<Rounds> {
        let rounds = Arc::new(Rounds::new(LadderOptions::default()));
        tokio::spawn({
            let rounds = Arc::clone(&rounds);
            async move { rounds.run().await }
        });
        rounds
    }

    /// A seat's number may be another's as soon as it is given up, so nothing of a poll that was under way then may
    /// reach the other.
    #[tokio::test(start_paused = true)]
    async fn who_takes_the_number_of_a_seat_that_was_polled_waits_for_a_turn_of_its_own() {
        let rounds = turning();
        let first = Seat::take(Arc::clone(&rounds), "kind");
        first.turn().await;
        let number = first.climber;
        drop(first);
        let second = Seat::take(Arc::clone(&rounds), "other");
        assert_eq!(second.climber, number, "the number is free at once");
        assert!(
            second.turn().now_or_never().is_none(),
            "it is not its turn by the one that was given before"
        );
        let before = rounds.now();
        second.turn().await;
        assert!(rounds.now() > before);
        assert_eq!(second.polled(Polled::Unchanged), None);
        assert_eq!(second.polled(Polled::Unreachable), None, "only one poll was under way");
        assert!(second.turn().now_or_never().is_none());
    }

    /// The turn was given, and nobody has taken it up.
    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_took_up_is_lost_with_its_seat() {
        let rounds = turning();
        let first = Seat::take(Arc::clone(&rounds), "kind");
        tokio::time::sleep(Duration::from_secs(10)).await;
        let number = first.climber;
        drop(first);
        let second = Seat::take(Arc::clone(&rounds), "other");
        assert_eq!(second.climber, number);
        assert!(second.turn().now_or_never().is_none());
        second.turn().await;
    }
}
