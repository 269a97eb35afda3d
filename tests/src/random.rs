//! Numbers that follow from a seed (SplitMix64).

use std::time::{SystemTime, UNIX_EPOCH};

/// A sequence that a seed determines.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// `SLIPWAY_TEST_SEED`, else the clock.
    pub fn seed_of_environment() -> u64 {
        let given = std::env::var("SLIPWAY_TEST_SEED").ok();
        given.map_or_else(Self::seed_of_clock, |seed| seed.parse().expect("SLIPWAY_TEST_SEED is a number"))
    }

    fn seed_of_clock() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_nanos()))
    }

    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = self.below(of.len() as u64);
        of[usize::try_from(index).expect("an index")]
    }

    /// Brings all into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).expect("an index");
            items.swap(last, other);
        }
    }
}
