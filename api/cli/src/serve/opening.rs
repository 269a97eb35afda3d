//! The beginning of a connection: until its first bytes tell which HTTP a client speaks, no limit of either HTTP has
//! begun, so whoever connects and stays silent is bounded here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What clients of HTTP/2 send first (RFC 9113, section 3.4). Whoever sends anything else speaks HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts as `inner` does, and gives up on what does not tell its HTTP in time.
#[derive(Debug, Clone)]
pub(super) struct TimedAcceptor<A> {
    inner: A,
    within: Duration,
}

/// A connection that fails, by the time out of a read, if its HTTP is not known in time.
#[derive(Debug)]
pub(super) struct Opening<S> {
    stream: S,
    /// Bytes of [`PREFACE`] that have come.
    matched: usize,
    /// `None` once the HTTP is known.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<A> TimedAcceptor<A> {
    pub(super) fn new(inner: A, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<A, I, S> Accept<I, S> for TimedAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Opening<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let within = self.within;
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((Opening::new(stream, within), service))
        })
    }
}

impl<S> Opening<S> {
    fn new(stream: S, within: Duration) -> Self {
        Self { stream, matched: 0, deadline: Some(Box::pin(sleep(within))) }
    }

    /// Takes note of bytes that came.
    fn took(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.matched..];
        if !bytes.is_empty() && bytes.len() < rest.len() && rest.starts_with(bytes) {
            self.matched += bytes.len();
        } else {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(deadline) = &mut this.deadline else { return read };
        if read.is_pending() {
            return deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        this.took(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(50);

    /// What a second read gives, if the client stays silent after `sent`: `None` if it goes on waiting.
    async fn second_read(sent: &[u8]) -> Option<io::Result<usize>> {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(sent).await.unwrap();
        let mut opening = Opening::new(server, WITHIN);
        let mut bytes = [0; 64];
        assert_eq!(opening.read(&mut bytes).await.unwrap(), sent.len());
        let second = tokio::time::timeout(WITHIN * 4, opening.read(&mut bytes)).await.ok();
        drop(client);
        second
    }

    #[tokio::test]
    async fn who_does_not_tell_the_http_in_time_is_given_up_and_nobody_else() {
        for undecided in [&PREFACE[..1], &PREFACE[..PREFACE.len() - 1]] {
            let refused = second_read(undecided).await.expect("it is given up").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        }
        for known in [b"GET".as_slice(), b"POST /", b"PRX", PREFACE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"]
        {
            assert!(second_read(known).await.is_none(), "{}", String::from_utf8_lossy(known));
        }
    }

    #[tokio::test]
    async fn whoever_says_nothing_is_given_up() {
        let (client, server) = tokio::io::duplex(64);
        let refused = Opening::new(server, WITHIN).read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
