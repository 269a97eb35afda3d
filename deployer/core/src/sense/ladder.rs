//! When which cluster is polled next. Pure: whoever asks says what time it is, counted from a moment of its own.
//!
//! A cluster in which nothing changes climbs from rung to rung, with three polls at the pause of each: after 15 min
//! 45 s at most it stands on the last. One that changes, or in which something is not good, begins below again. One
//! that gives no answer is tried less and less often; after some tries nothing is known of it any more, and it
//! counts as expired.
//!
//! All clusters share one limit of polls a second. Beyond it they wait in the order in which they were due, so that
//! every pause grows alike and nobody is passed over; and a rung then ends by its time, with fewer polls.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

mod bucket;

use bucket::Bucket;

/// The pauses between polls, in seconds, from rung to rung.
pub const PAUSES_S: [u64; 7] = [5, 10, 20, 40, 80, 160, 300];
/// So many polls are made on each rung but the last.
pub const POLLS_A_RUNG: u8 = 3;
/// A pause is shorter than its rung's by up to this share, so that clusters that began together part.
const JITTER: u32 = 10;
/// What is left of a rung's time ends it, if it is less than its pause without this share of it.
const LEFT_OVER: u32 = 20;

/// Limits of a [`Ladder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LadderOptions {
    /// How many polls may begin within any second.
    pub polls_per_second: u32,
    /// So many polls in a row without an answer make a cluster expired.
    pub expired_after: u16,
    /// The longest pause between tries of a cluster that gives no answer, in seconds.
    pub away_most_s: u64,
}

impl Default for LadderOptions {
    fn default() -> Self {
        Self { polls_per_second: 1_500, expired_after: 3, away_most_s: 900 }
    }
}

/// A cluster on a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Climber(u32);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Poll this cluster; [`Ladder::polled`] is to be told what came of it.
    Poll(Climber),
    /// Nothing before then.
    At(Duration),
    /// Nothing before a cluster is added or a poll ends.
    Nothing,
}

/// What came of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// All is as it was.
    Unchanged,
    /// Something is not as it was.
    Changed,
    /// There was no answer.
    Unreachable,
}

/// What a poll made of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It gave no answer so often that nothing is known of it any more.
    Expired,
    /// It was expired, and answers again.
    Returned,
}

/// All clusters that are polled: about 100 bytes each.
#[derive(Debug)]
pub struct Ladder {
    options: LadderOptions,
    /// By number; `None`: free.
    standings: Vec<Option<Standing>>,
    free: Vec<u32>,
    /// Those that wait, by when they are due.
    queue: BTreeSet<(Duration, Climber)>,
    bucket: Bucket,
}

/// Where a cluster stands.
#[derive(Debug)]
struct Standing {
    /// By which its times part from those of others.
    seed: u64,
    /// Since when nothing changed.
    calm_since: Duration,
    wait: Wait,
    /// Pauses there have been.
    pauses: u32,
    /// Polls in a row without an answer.
    misses: u16,
    rung: u8,
    /// Polls on this rung.
    polls: u8,
}

#[derive(Debug, Clone, Copy)]
enum Wait {
    Until(Duration),
    /// A poll is under way; whether the first rung is asked for meanwhile.
    Polled {
        is_hastened: bool,
    },
}

impl Ladder {
    /// One without clusters.
    pub fn new(options: LadderOptions) -> Self {
        Self {
            options,
            standings: Vec::new(),
            free: Vec::new(),
            queue: BTreeSet::new(),
            bucket: Bucket::new(options.polls_per_second),
        }
    }

    /// Adds a cluster on the first rung. `hash`, of its name, says when in the first pause it is polled first.
    pub fn add(&mut self, hash: u64, now: Duration) -> Climber {
        let number = self.free.pop().unwrap_or_else(|| {
            self.standings.push(None);
            u32::try_from(self.standings.len() - 1).expect("invariant: memory ends before numbers do")
        });
        let phase = Duration::from_micros(hash % first_pause_us());
        let standing = Standing {
            seed: hash,
            calm_since: now,
            wait: Wait::Until(now + phase),
            pauses: 0,
            misses: 0,
            rung: 0,
            polls: 0,
        };
        *self.slot(number) = Some(standing);
        self.queue.insert((now + phase, Climber(number)));
        Climber(number)
    }

    /// Forgets a cluster. What comes of a poll that is under way must not be told any more: its number may be
    /// another's by then.
    pub fn remove(&mut self, climber: Climber) {
        let Some(standing) = self.standings.get_mut(climber.0 as usize).and_then(Option::take) else {
            return;
        };
        if let Wait::Until(due) = standing.wait {
            self.queue.remove(&(due, climber));
        }
        self.free.push(climber.0);
    }

    /// What is to be done now. A poll that is named counts as begun.
    pub fn next(&mut self, now: Duration) -> Next {
        let Some(&(due, climber)) = self.queue.first() else { return Next::Nothing };
        if due > now {
            return Next::At(due);
        }
        if let Err(at) = self.bucket.take(now) {
            return Next::At(at);
        }
        self.queue.pop_first();
        if let Some(standing) = self.slot(climber.0) {
            standing.wait = Wait::Polled { is_hastened: false };
        }
        Next::Poll(climber)
    }

    /// Takes in what came of a poll that was named.
    pub fn polled(&mut self, climber: Climber, polled: Polled, now: Duration) -> Option<Turned> {
        let options = self.options;
        let standing = self.standings.get_mut(climber.0 as usize)?.as_mut()?;
        let Wait::Polled { is_hastened } = standing.wait else { return None };
        let was_expired = standing.misses >= options.expired_after;
        standing.misses = match polled {
            Polled::Unreachable => standing.misses.saturating_add(1),
            Polled::Unchanged | Polled::Changed => 0,
        };
        match polled {
            Polled::Unreachable if !is_hastened => {}
            Polled::Unchanged if !is_hastened && !was_expired => standing.climb(now),
            _ => standing.restart(now),
        }
        let due = now + standing.next_pause(&options);
        standing.wait = Wait::Until(due);
        let is_expired = standing.misses >= options.expired_after;
        self.queue.insert((due, climber));
        match (was_expired, is_expired) {
            (false, true) => Some(Turned::Expired),
            (true, false) => Some(Turned::Returned),
            _ => None,
        }
    }

    /// Something in a cluster is not good: it is polled at the pause of the first rung from now on. Of one that
    /// gives no answer the next try is as soon.
    pub fn hasten(&mut self, climber: Climber, now: Duration) {
        let Some(standing) = self.standings.get_mut(climber.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        match standing.wait {
            Wait::Polled { .. } => standing.wait = Wait::Polled { is_hastened: true },
            Wait::Until(before) => {
                standing.restart(now);
                let soon = before.min(now + standing.jittered(pause(0)));
                standing.wait = Wait::Until(soon);
                self.queue.remove(&(before, climber));
                self.queue.insert((soon, climber));
            }
        }
    }

    /// The pause of the rung on which a cluster stands.
    pub fn pause(&self, climber: Climber) -> Option<Duration> {
        let standing = self.standings.get(climber.0 as usize)?.as_ref()?;
        Some(pause(standing.rung))
    }

    /// Whether a cluster stands on the last rung.
    pub fn is_settled(&self, climber: Climber) -> bool {
        let standing = self.standings.get(climber.0 as usize).and_then(Option::as_ref);
        standing.is_some_and(|standing| standing.rung == last_rung())
    }

    /// Whether a cluster gave no answer so often that nothing is known of it any more.
    pub fn is_expired(&self, climber: Climber) -> bool {
        let standing = self.standings.get(climber.0 as usize).and_then(Option::as_ref);
        standing.is_some_and(|standing| standing.misses >= self.options.expired_after)
    }

    /// How many clusters there are.
    pub fn len(&self) -> usize {
        self.standings.len() - self.free.len()
    }

    /// Whether there is no cluster.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&mut self, number: u32) -> &mut Option<Standing> {
        self.standings.get_mut(number as usize).expect("invariant: numbers come from the ladder itself")
    }
}

impl Standing {
    /// Below again.
    fn restart(&mut self, now: Duration) {
        self.calm_since = now;
        self.rung = 0;
        self.polls = 0;
    }

    /// One poll more that saw nothing new.
    fn climb(&mut self, now: Duration) {
        self.polls = self.polls.saturating_add(1);
        let calm = now.saturating_sub(self.calm_since);
        while self.rung < last_rung() {
            let pause = pause(self.rung);
            // One poll more would come later than the rung ends.
            let is_over = calm + pause > end(self.rung) + pause / LEFT_OVER;
            if self.polls < POLLS_A_RUNG && !is_over {
                return;
            }
            self.rung += 1;
            self.polls = 0;
        }
    }

    /// How long until the next poll.
    fn next_pause(&mut self, options: &LadderOptions) -> Duration {
        let whole = match self.misses {
            0 => pause(self.rung),
            misses => {
                let doubled =
                    pause(0).saturating_mul(1_u32.checked_shl(u32::from(misses) - 1).unwrap_or(u32::MAX));
                doubled.min(Duration::from_secs(options.away_most_s))
            }
        };
        self.jittered(whole)
    }

    /// A pause that is up to a tenth shorter, differently each time and for each cluster.
    fn jittered(&mut self, whole: Duration) -> Duration {
        self.pauses = self.pauses.wrapping_add(1);
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u32(self.pauses);
        let [a, b, ..] = hasher.finish().to_be_bytes();
        whole.saturating_sub(whole / JITTER * u32::from(u16::from_be_bytes([a, b])) / (1 << 16))
    }
}

fn last_rung() -> u8 {
    u8::try_from(PAUSES_S.len() - 1).expect("invariant: there are seven")
}

fn pause(rung: u8) -> Duration {
    let [.., last] = PAUSES_S;
    Duration::from_secs(PAUSES_S.get(usize::from(rung)).copied().unwrap_or(last))
}

fn first_pause_us() -> u64 {
    let [first, ..] = PAUSES_S;
    first * 1_000_000
}

/// How long after the last change a rung ends.
fn end(rung: u8) -> Duration {
    let so_far: u64 = PAUSES_S.iter().take(usize::from(rung) + 1).sum();
    Duration::from_secs(so_far * u64::from(POLLS_A_RUNG))
}

#[cfg(test)]
mod tests;
