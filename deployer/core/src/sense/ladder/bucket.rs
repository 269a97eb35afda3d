//! So many a second and no more, whichever second is looked at.

use std::time::Duration;

/// Of what one second allows, one part in so many may come at once.
const BURST_PART: u32 = 50;

/// A token bucket, kept as the time at which it would be full: the generic cell rate algorithm (ITU-T I.371). Its
/// burst is part of the limit: with a burst of `b` and one token each `t`, any second has at most `b - 1 + 1 s / t`.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// From one token to the next.
    each: Duration,
    /// How much earlier than it would be even a token may be taken.
    early: Duration,
    /// When the next token would be even.
    even: Duration,
}

impl Bucket {
    /// A full one, for at least one token a second.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let burst = (per_second / BURST_PART).max(1);
        let evenly = u64::from(per_second - burst + 1);
        let each = Duration::from_nanos(1_000_000_000_u64.div_ceil(evenly));
        Self { each, early: each * (burst - 1), even: Duration::ZERO }
    }

    /// Takes a token, or says from when on there is one.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let from = self.even.saturating_sub(self.early);
        if now < from {
            return Err(from);
        }
        self.even = self.even.max(now) + self.each;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// The most tokens that any second saw, if as many as possible are taken after each of these pauses.
    fn most_in_a_second(per_second: u32, pauses: impl IntoIterator<Item = Duration>) -> usize {
        let (mut bucket, mut now, mut most) = (Bucket::new(per_second), Duration::ZERO, 0);
        let mut taken: VecDeque<Duration> = VecDeque::new();
        for pause in pauses {
            now += pause;
            while bucket.take(now).is_ok() {
                taken.push_back(now);
                while taken.front().is_some_and(|first| *first + Duration::from_secs(1) <= now) {
                    taken.pop_front();
                }
                most = most.max(taken.len());
            }
        }
        most
    }

    #[test]
    fn who_takes_all_that_there_is_gets_nearly_the_limit() {
        for per_second in [1, 2, 49, 100, 1_500] {
            let most = most_in_a_second(per_second, (0..5_000).map(|_| Duration::from_millis(1)));
            let limit = usize::try_from(per_second).unwrap();
            assert!(most <= limit && most * 10 >= limit * 9, "{most} of {per_second}");
        }
    }

    #[test]
    fn it_says_when_there_is_one() {
        let mut bucket = Bucket::new(1);
        assert_eq!(bucket.take(Duration::from_secs(3)), Ok(()));
        let at = bucket.take(Duration::from_secs(3)).unwrap_err();
        assert_eq!(at, Duration::from_secs(4));
        assert_eq!(bucket.take(at), Ok(()));
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_limit(
            per_second in 1_u32..200,
            pauses_ms in proptest::collection::vec(0_u64..700, 1..60),
        ) {
            let most = most_in_a_second(per_second, pauses_ms.into_iter().map(Duration::from_millis));
            prop_assert!(most <= usize::try_from(per_second).unwrap(), "{} of {}", most, per_second);
        }
    }
}
