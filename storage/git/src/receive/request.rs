//! The commands at the head of a push.

use slipway_types::CommitId;
use tokio::io::AsyncRead;

use crate::error::GitError;
use crate::pkt_line::{self, Packet};

/// One ref update that the client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    old: CommitId,
    /// Zero to delete.
    pub(super) new: CommitId,
    /// The ref as sent.
    pub(super) name: String,
}

impl Command {
    /// What the client believes the ref points to.
    pub(super) fn old(&self) -> Option<CommitId> {
        (!self.old.is_zero()).then(|| self.old.clone())
    }
}

/// A push up to its pack.
#[derive(Debug, Default)]
pub(super) struct PushRequest {
    pub(super) commands: Vec<Command>,
    pub(super) report_status: bool,
    pub(super) sideband: bool,
    pub(super) quiet: bool,
    pub(super) atomic: bool,
}

impl PushRequest {
    /// Reads commands and capabilities up to the flush packet.
    pub(super) async fn read(
        body: &mut (impl AsyncRead + Unpin),
        max_commands: usize,
    ) -> Result<Self, GitError> {
        let mut request = Self::default();
        // Shallow boundaries come before the commands, one a commit.
        let mut shallow = 0;
        loop {
            let packet = pkt_line::read(body).await.map_err(|error| GitError::Protocol(error.to_string()))?;
            let line = match packet {
                Some(Packet::Data(line)) => line,
                Some(Packet::Flush) => return Ok(request),
                Some(Packet::Delimiter | Packet::ResponseEnd) => {
                    return Err(GitError::Protocol("unexpected packet among the commands".to_owned()));
                }
                None => return Err(GitError::Protocol("the push ends inside its commands".to_owned())),
            };
            if line.starts_with(b"shallow ") && shallow < max_commands {
                shallow += 1;
                continue;
            }
            if request.commands.len() >= max_commands {
                return Err(GitError::TooLarge {
                    what: "the number of ref updates in the push".to_owned(),
                    limit: "max_commands",
                    max: max_commands as u64,
                });
            }
            request.take(&line)?;
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), GitError> {
        let text = std::str::from_utf8(line)
            .map_err(|_| GitError::Protocol("a ref name is not valid UTF-8".to_owned()))?;
        let (command, capabilities) = match text.split_once('\0') {
            Some((command, capabilities)) if self.commands.is_empty() => (command, capabilities),
            Some(_) => return Err(GitError::Protocol("capabilities after the first command".to_owned())),
            None => (text, ""),
        };
        for capability in capabilities.split_ascii_whitespace() {
            match capability {
                "report-status" => self.report_status = true,
                "side-band-64k" => self.sideband = true,
                "quiet" => self.quiet = true,
                "atomic" => self.atomic = true,
                "push-options" => return Err(GitError::Protocol("push options are not supported".into())),
                other if other.starts_with("object-format=") && other != "object-format=sha1" => {
                    return Err(GitError::Protocol("only SHA-1 repositories are supported".to_owned()));
                }
                _ => {}
            }
        }
        let invalid = || GitError::Protocol("a line among the commands is no command".to_owned());
        let mut parts = command.trim_end_matches('\n').splitn(3, ' ');
        let mut id = || parts.next().and_then(|text| text.parse::<CommitId>().ok());
        let (old, new) = (id().ok_or_else(invalid)?, id().ok_or_else(invalid)?);
        let name = parts.next().filter(|name| !name.is_empty()).ok_or_else(invalid)?.to_owned();
        self.commands.push(Command { old, new, name });
        Ok(())
    }
}
