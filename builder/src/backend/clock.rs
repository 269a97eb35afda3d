//! The time that counts against a build: waiting for a place to build in does not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Runs from the beginning of an attempt, but for pauses.
#[derive(Debug)]
pub struct BuildClock(Mutex<Times>);

#[derive(Debug)]
struct Times {
    began: Instant,
    paused: Duration,
    pause: Option<Instant>,
}

/// A pause, while it is held.
pub(crate) struct Pause<'a>(&'a BuildClock);

impl Default for BuildClock {
    fn default() -> Self {
        Self(Mutex::new(Times { began: Instant::now(), paused: Duration::ZERO, pause: None }))
    }
}

impl BuildClock {
    /// Stops the clock until what is returned is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.times(|times| times.pause = Some(Instant::now()));
        Pause(self)
    }

    /// How much is left of `limit`.
    fn left(&self, limit: Duration) -> Duration {
        self.times(|times| {
            let end = times.pause.unwrap_or_else(Instant::now);
            limit.saturating_sub(end.duration_since(times.began).saturating_sub(times.paused))
        })
    }

    /// Returns once so much time has counted.
    pub(crate) async fn run_out(&self, limit: Duration) {
        /// While the clock stands, nothing else says when it goes on.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        loop {
            let left = self.left(limit);
            if left.is_zero() {
                return;
            }
            let stands = self.times(|times| times.pause.is_some());
            tokio::time::sleep(if stands { LOOK_EVERY } else { left }).await;
        }
    }

    fn times<T>(&self, act: impl FnOnce(&mut Times) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.times(|times| {
            times.paused += times.pause.take().map_or(Duration::ZERO, |since| since.elapsed());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_do_not_count() {
        let (clock, began) = (BuildClock::default(), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pause = clock.pause();
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(pause);
        clock.run_out(Duration::from_secs(10)).await;
        assert_eq!(began.elapsed().as_secs(), 110);
        let _pause = clock.pause();
        assert!(clock.left(Duration::from_secs(10)).is_zero());
    }
}
