//! Waiting for a condition, never for luck.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Asks `condition` until it gives a value, and returns that. Panics naming `what` once `deadline` has passed.
pub async fn wait_until<T, F, Fut>(what: &str, deadline: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Looks until there is a value, and gives that. What there is instead is in the panic that names `what` once
/// `within` has passed.
pub fn until<T, S: Display>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, S>) -> T {
    let end = Instant::now() + within;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => assert!(Instant::now() < end, "not within {within:?}: {what}: {seen:#}"),
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Looks until it holds.
pub fn holds(what: &str, within: Duration, mut look: impl FnMut() -> bool) {
    until(what, within, || if look() { Ok(()) } else { Err("no") });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_given_and_what_does_not_is_named() {
        let mut looks = 0;
        let third = until("a third look", Duration::from_secs(5), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(looks) }
        });
        assert_eq!(third, 3);
        let waited = std::panic::catch_unwind(|| holds("the moon", Duration::from_millis(1), || false));
        let said = waited.expect_err("it never holds");
        assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains("the moon: no")));
    }
}
