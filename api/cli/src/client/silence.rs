//! How long a server may be silent, and what is said when it was for longer.

use std::time::Duration;

use crate::output::span;

/// How long each silence of a server may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until a connection stands.
    pub(super) connection: Duration,
    /// Until it is said that an answer is waited for.
    pub(super) unsaid: Duration,
    /// Until the answer to a question begins.
    pub(super) question: Duration,
    /// Until the answer to a change begins.
    pub(super) change: Duration,
    /// Between two pieces of an answer.
    pub(super) piece: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connection: Duration::from_secs(10),
            // Longer than the server asks a cluster that does not answer.
            unsaid: Duration::from_secs(20),
            question: Duration::from_secs(120),
            // The copy of a large image takes minutes.
            change: Duration::from_secs(15 * 60),
            piece: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The same where an answer to a question is worth no more than `limit`.
    #[must_use]
    pub(super) fn for_answers_within(self, limit: Duration) -> Self {
        Self { question: self.question.min(limit), piece: self.piece.min(limit), ..self }
    }
}

/// What listens took a question or a change, or began an answer, and was silent from then on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Silent(String);

impl Silent {
    /// No answer began to a question.
    pub(crate) fn to_question(server: &str, waited: Duration) -> Self {
        Self(format!(
            "what listens at {server} did not answer within {}: is that the address of a Slipway server (--server, \
             SLIPWAY_SERVER, `slipway login`), and are it and any proxy before it well?",
            shown(waited)
        ))
    }

    /// No answer began to what changes something.
    pub(super) fn to_change(server: &str, waited: Duration) -> Self {
        Self(format!(
            "what listens at {server} did not answer within {}: what was asked for may be done all the same. Look \
             whether it is before asking again; `slipway doctor` looks at the server",
            shown(waited)
        ))
    }

    /// An answer began and does not go on.
    pub(super) fn in_answer(server: &str, waited: Duration) -> Self {
        Self(format!(
            "the answer of {server} broke off: nothing of it came for {}. Ask again; if that goes on, look at the \
             server, and at any proxy before it",
            shown(waited)
        ))
    }
}

/// `2 min`, `15 s`.
pub(super) fn shown(waited: Duration) -> String {
    span(i64::try_from(waited.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::{Client, Problem, is_away};

    /// Takes a connection and a request, sends `head`, and is silent from then on; gives its address.
    async fn silent(head: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "a request");
            stream.write_all(head.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        base
    }

    /// A client that waits for nothing long, and asks no proxy.
    fn impatient(base: &str) -> Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        let soon = Duration::from_millis(200);
        let patience =
            Patience { unsaid: soon / 2, question: soon, change: soon, piece: soon, ..Patience::default() };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Client { http, patience, ..Client::connect(base, None).unwrap() }
    }

    #[tokio::test]
    async fn who_is_silent_is_given_up_with_the_address_and_the_next_step() {
        let begun = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{";
        for (head, method, part) in [
            ("", Method::GET, "SLIPWAY_SERVER"),
            ("", Method::POST, "may be done all the same"),
            (begun, Method::GET, "broke off"),
            (begun, Method::POST, "broke off"),
        ] {
            let base = silent(head).await;
            let error = asked(&impatient(&base), &method).await;
            let told = error.to_string();
            assert!(told.contains(part) && told.contains(&base), "{head:?} {method}: {told}");
            assert!(is_away(&error), "{told}");
        }
    }

    #[tokio::test]
    async fn a_refusal_that_breaks_off_is_one() {
        let base = silent("HTTP/1.1 409 Conflict\r\ncontent-length: 9\r\n\r\n{").await;
        let error = asked(&impatient(&base), &Method::GET).await;
        assert_eq!(error.downcast_ref::<Problem>().map(|problem| problem.status), Some(409), "{error:#}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_told_as_one() {
        let base = format!("http://{}:7300", "x".repeat(64));
        let told = asked(&impatient(&base), &Method::GET).await.to_string();
        assert!(told.contains("cannot be resolved") && told.contains(&base), "{told}");
    }

    #[test]
    fn an_answer_that_is_worth_little_is_waited_for_shortly() {
        let (limit, usual) = (Duration::from_secs(15), Patience::default());
        let patience = usual.for_answers_within(limit);
        assert_eq!((patience.question, patience.piece, patience.change), (limit, limit, usual.change));
    }

    /// Why a request was in vain; it ends by itself.
    async fn asked(client: &Client, method: &Method) -> anyhow::Error {
        let body = json!({});
        let asked = client.send_json(method.clone(), "/api/v1/server", &body);
        let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
        asked.expect("it ends by itself").unwrap_err()
    }
}
