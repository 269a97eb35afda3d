//! Clone and fetch: `git upload-pack` on the cache.

use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use slipway_types::id::SourceId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;

use crate::cache::GitStore;
use crate::error::GitError;
use crate::pkt_line;

/// The answer to a fetch, as it is made. Dropping it ends the process behind it.
#[derive(Debug)]
pub struct UploadStream {
    stdout: ReaderStream<ChildStdout>,
    feed: JoinHandle<()>,
    child: Child,
    idle: Pin<Box<tokio::time::Sleep>>,
    idle_timeout: std::time::Duration,
}

impl Stream for UploadStream {
    type Item = std::io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stdout).poll_next(context) {
            Poll::Ready(Some(item)) => {
                this.idle.as_mut().reset(tokio::time::Instant::now() + this.idle_timeout);
                Poll::Ready(Some(item))
            }
            Poll::Ready(None) => this.poll_end(context),
            Poll::Pending => match this.idle.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl UploadStream {
    /// A process that failed must cut the answer short, not end it.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<std::io::Result<Bytes>>> {
        let wait = std::pin::pin!(self.child.wait());
        match wait.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(status)) if status.success() => Poll::Ready(None),
            Poll::Ready(Ok(status)) => {
                Poll::Ready(Some(Err(std::io::Error::other(format!("git upload-pack: {status}")))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl Drop for UploadStream {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

impl GitStore {
    /// The answer to `GET info/refs?service=git-upload-pack`; `protocol` is the header
    /// `Git-Protocol`.
    pub async fn upload_advertise(
        &self,
        source: SourceId,
        protocol: Option<&str>,
    ) -> Result<Bytes, GitError> {
        let mut command = self.upload_command(source, protocol).await?;
        command.args(["--http-backend-info-refs", "--"]).arg(self.repository(source));
        let answer = self.git().run(command, "upload-pack", None).await?.expect_ok("upload-pack")?;
        let mut out = Vec::with_capacity(answer.len() + 64);
        // As git's own http-backend does: version 2 has no service line.
        if protocol.and_then(accepted_protocol) != Some("version=2") {
            pkt_line::write(&mut out, b"# service=git-upload-pack\n");
            out.extend_from_slice(pkt_line::FLUSH);
        }
        out.extend_from_slice(&answer);
        Ok(out.into())
    }

    /// The answer to `POST git-upload-pack`; `body` is already decoded.
    pub async fn upload_pack(
        &self,
        source: SourceId,
        protocol: Option<&str>,
        mut body: impl AsyncRead + Unpin + Send + 'static,
    ) -> Result<UploadStream, GitError> {
        let mut command = self.upload_command(source, protocol).await?;
        command.arg("--").arg(self.repository(source)).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(GitError::io("start git"))?;
        let mut stdin = child.stdin.take().expect("invariant: standard input is piped");
        let stdout = child.stdout.take().expect("invariant: standard output is piped");
        let idle_timeout = self.options().idle_timeout();
        let feed = tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            // A silent client ends the request; git then ends the answer.
            while let Ok(Ok(n)) = tokio::time::timeout(idle_timeout, body.read(&mut buffer)).await {
                if n == 0 || stdin.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        });
        let stdout = ReaderStream::with_capacity(stdout, 64 << 10);
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Ok(UploadStream { stdout, feed, child, idle, idle_timeout })
    }

    async fn upload_command(&self, source: SourceId, protocol: Option<&str>) -> Result<Command, GitError> {
        let dir = self.sync(source).await?;
        let mut command = self.git().command(&dir);
        if let Some(protocol) = protocol.and_then(accepted_protocol) {
            command.env("GIT_PROTOCOL", protocol);
        }
        command.args([
            "-c",
            "uploadpack.allowFilter=true",
            "-c",
            "uploadpack.allowReachableSHA1InWant=true",
            "upload-pack",
            "--strict",
            "--stateless-rpc",
        ]);
        Ok(command)
    }
}

/// The protocol versions that are passed on; anything else is as if it had not been said.
fn accepted_protocol(header: &str) -> Option<&'static str> {
    ["version=0", "version=1", "version=2"].into_iter().find(|version| *version == header)
}
