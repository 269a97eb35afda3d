//! Waiting for what a server does: it is asked again and again, and may be away for a while.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::run::duration;
use crate::client::{Client, Silent, Unended, is_away};
use crate::output::say;

/// It has not ended: the wait ran out, or what is waited for stands at a gate.
pub(super) const NOT_ENDED: Exit = Exit(3);
/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(700);
/// How long the server may be away: one that is replaced by another is back by then.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// How long one answer may take: longer than the server asks a cluster that does not answer.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// How long it may take where the wait is all but over.
const LOOK_MIN: Duration = Duration::from_secs(5);

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
    look_max: Duration,
    /// The command that waits for the same, or looks at it.
    again: String,
}

impl<'a> Waiting<'a> {
    /// A wait that begins now; `again` is the command that waits for the same, or looks at it.
    pub(super) fn new(client: &'a Client, timeout: Duration, again: impl Into<String>) -> Self {
        let deadline = Instant::now().checked_add(timeout);
        Self { client, deadline, look_max: LOOK_MAX, again: again.into() }
    }

    /// Whether the wait ran out.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Lets the time between two looks pass.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(EVERY).await;
    }

    /// How long the next answer may take.
    fn look_within(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(self.look_max, |left| left.max(LOOK_MIN).min(self.look_max))
    }

    /// What the server answers. While it is away it is asked again, for up to 60 s and within the wait.
    pub(super) async fn ask<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut away: Option<Instant> = None;
        loop {
            let (began, limit) = (Instant::now(), self.look_within());
            let error = match tokio::time::timeout(limit, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => Silent::to_question(self.client.base(), limit).into(),
            };
            if !is_away(&error) {
                return Err(error);
            }
            let too_long = away.is_some_and(|since| since.elapsed() >= AWAY_MAX);
            if too_long || self.is_over() {
                let (server, again) = (self.client.base().to_owned(), self.again.clone());
                return Err(error.context(Unended { server, again }));
            }
            if away.is_none() {
                away = Some(began);
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

    use crate::client::{Problem, exit_code};

    use super::*;

    fn client() -> Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        Client::connect("http://127.0.0.1:1", None).unwrap()
    }

    /// Asks a server that answers with this status first, then well; gives how often it was asked.
    async fn asked(status: u16, timeout: Duration) -> (Result<u32>, u32) {
        let client = client();
        let waiting = Waiting::new(&client, timeout, "slipway run wait shop#1");
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
    async fn a_wait_for_who_stays_away_ends_as_not_ended() {
        let (answer, _) = asked(503, Duration::ZERO).await;
        let error = answer.unwrap_err();
        assert_eq!(exit_code(&error), NOT_ENDED.0);
        assert!(error.to_string().contains("slipway run wait shop#1"), "{error:#}");
        let (refused, _) = asked(404, Duration::ZERO).await;
        assert_eq!(exit_code(&refused.unwrap_err()), 1);
    }

    #[tokio::test]
    async fn who_is_silent_ends_no_wait_later_than_it_is_over() {
        let client = client();
        let waiting = Waiting {
            look_max: Duration::from_millis(20),
            ..Waiting::new(&client, Duration::from_millis(50), "slipway deploy watch shop@prod")
        };
        let answer = waiting.ask(std::future::pending::<Result<u32>>);
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("it ends by itself");
        let error = answer.unwrap_err();
        assert!(is_away(&error), "{error:#}");
        assert_eq!(exit_code(&error), NOT_ENDED.0);
    }

    #[tokio::test]
    async fn one_answer_is_waited_for_within_the_wait() {
        let client = client();
        let within = |timeout| Waiting::new(&client, timeout, "").look_within();
        assert_eq!(within(Duration::ZERO), LOOK_MIN);
        assert_eq!((within(Duration::from_secs(3600)), within(Duration::MAX)), (LOOK_MAX, LOOK_MAX));
        let between = within(Duration::from_secs(20));
        assert!(LOOK_MIN < between && between <= Duration::from_secs(20), "{between:?}");
    }

    #[tokio::test]
    async fn where_nothing_listens_the_server_is_away() {
        let error = client().get("/api/v1/addons/orders", &[]).await.unwrap_err();
        assert!(is_away(&error), "{error:#}");
    }
}
