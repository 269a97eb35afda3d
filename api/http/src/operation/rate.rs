//! Counting events by key in fixed windows of a minute.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_mins(1);
/// Most keys counted at once; beyond that any other is over its limit until some window is over.
const KEYS_MAX: usize = 10_000;

/// So many events a minute for each key.
#[derive(Debug)]
pub(crate) struct RateLimit<K> {
    per_minute: u32,
    windows: Mutex<HashMap<K, (Instant, u32)>>,
}

impl<K: Eq + Hash + Clone> RateLimit<K> {
    pub(crate) fn per_minute(per_minute: u32) -> Self {
        Self { per_minute, windows: Mutex::default() }
    }

    /// Counts one event; `false` if it goes beyond the limit.
    pub(crate) fn allow(&self, key: &K) -> bool {
        let now = Instant::now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KEYS_MAX && !windows.contains_key(key) {
            windows.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
            if windows.len() >= KEYS_MAX {
                return false;
            }
        }
        let (began, count) = windows.entry(key.clone()).or_insert((now, 0));
        if now.duration_since(*began) >= WINDOW {
            (*began, *count) = (now, 0);
        }
        *count += 1;
        *count <= self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_count() {
        let limit = RateLimit::per_minute(2);
        assert!(limit.allow(&"a") && limit.allow(&"a"));
        assert!(!limit.allow(&"a"));
        assert!(limit.allow(&"b"));
    }
}
