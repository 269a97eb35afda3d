//! Waiting for what a server does: it is asked again and again, and may be away for a while.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::run::duration;
use crate::client::{Client, is_away};
use crate::output::say;

/// It has not ended: the wait ran out, or what is waited for stands at a gate.
pub(super) const NOT_ENDED: Exit = Exit(3);
/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(700);
/// How long the server may be away: one that is replaced by another is back by then.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// How long to wait for what was asked for.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long to wait, such as 90s, 10m or 1h
    #[arg(long, default_value = "10m", value_parser = duration, allow_hyphen_values = true)]
    pub(super) timeout: Duration,
}

/// A wait with its end.
pub(super) struct Waiting<'a> {
    client: &'a Client,
    /// `None`: further off than clocks go.
    deadline: Option<Instant>,
}

impl<'a> Waiting<'a> {
    /// A wait that begins now.
    pub(super) fn new(client: &'a Client, timeout: Duration) -> Self {
        Self { client, deadline: Instant::now().checked_add(timeout) }
    }

    /// Whether the wait ran out.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Lets the time between two looks pass.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(EVERY).await;
    }

    /// What the server answers. While it is away it is asked again, for up to 60 s and within the wait.
    pub(super) async fn ask<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut away: Option<Instant> = None;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let too_long = away.is_some_and(|since| since.elapsed() >= AWAY_MAX);
            if !is_away(&error) || too_long || self.is_over() {
                return Err(error);
            }
            if away.is_none() {
                away = Some(Instant::now());
                say(format!(
                    "The server at {} does not answer, as while it is being replaced: it is asked again for up to \
                     {} s.",
                    self.client.base(),
                    AWAY_MAX.as_secs()
                ));
            }
            self.pause().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::client::Problem;

    use super::*;

    fn client() -> Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        Client::connect("http://127.0.0.1:1", None).unwrap()
    }

    /// Asks a server that answers with this status first, then well; gives how often it was asked.
    async fn asked(status: u16, timeout: Duration) -> (Result<u32>, u32) {
        let client = client();
        let waiting = Waiting::new(&client, timeout);
        let times = Cell::new(0);
        let answer = waiting.ask(|| {
            times.set(times.get() + 1);
            let answer = match times.get() {
                1 => Err(anyhow::Error::new(Problem { status, ..Problem::default() })),
                times => Ok(times),
            };
            std::future::ready(answer)
        });
        (answer.await, times.get())
    }

    #[tokio::test]
    async fn who_is_away_is_asked_again_and_who_refuses_is_not() {
        for (status, timeout, times) in [(503, 60, 2), (502, 0, 1), (500, 60, 1), (404, 60, 1)] {
            let (answer, asked) = asked(status, Duration::from_secs(timeout)).await;
            assert_eq!((answer.is_ok(), asked), (times == 2, times), "{status}");
        }
    }

    #[tokio::test]
    async fn where_nothing_listens_the_server_is_away() {
        let error = client().get("/api/v1/addons/orders", &[]).await.unwrap_err();
        assert!(is_away(&error), "{error:#}");
    }
}
