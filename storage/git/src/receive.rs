//! Receiving a push: git's smart HTTP receive-pack (gitprotocol-pack, gitprotocol-http) in our own
//! process, so that nothing is accepted that is not committed.

mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use slipway_records::{Origin, RefMove, RefRow};
use slipway_types::fault::chain;
use slipway_types::id::{DeliveryId, SourceId};
use slipway_types::{CommitId, GitRef};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::accept::{ATOMIC, Decision, Proposal, peel, version_tag_refusal};
use crate::cache::GitStore;
use crate::command::tail;
use crate::error::GitError;
use crate::pkt_line;
use crate::quarantine::Quarantine;
use request::{Command, PushRequest};

/// What this side can do; only what is implemented.
const CAPABILITIES: &str = concat!(
    "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=slipway/",
    env!("CARGO_PKG_VERSION")
);

/// Faults of old commits that every forge accepts, since they cannot be mended without new ids.
const STRICT: &str = "--strict=badTimezone=warn,missingSpaceBeforeDate=warn,zeroPaddedFilemode=warn";

/// What a push came to.
#[derive(Debug, Default)]
pub struct Received {
    /// The report for the client: send this first.
    pub report: Bytes,
    /// Refs that moved, with the delivery of each that was created or updated.
    pub moved: Vec<(RefMove, Option<DeliveryId>)>,
    /// Refs that did not, and why.
    pub refused: Vec<(String, String)>,
    /// Whether text may follow on band 2.
    pub sideband: bool,
    /// Whether the client shows no progress, be it for `--quiet` or because nobody watches a
    /// terminal. Messages still reach it, as a hook's would: send whole lines then, and few.
    pub quiet: bool,
}

impl Received {
    /// The deliveries of the push, in the order of its refs.
    pub fn deliveries(&self) -> impl Iterator<Item = DeliveryId> {
        self.moved.iter().filter_map(|(_, delivery)| *delivery)
    }

    /// Text for the pusher's terminal, if it may be sent. Lines end in `\n`.
    pub fn progress_packet(&self, text: &str) -> Option<Bytes> {
        self.sideband.then(|| pkt_line::progress_packet(text))
    }

    /// What ends the answer: send this last.
    pub fn end(&self) -> Bytes {
        if self.sideband { pkt_line::flush() } else { Bytes::new() }
    }
}

/// Who pushes.
#[derive(Debug, Clone, Default)]
pub struct Pusher {
    /// Their name, for records.
    pub actor: String,
    /// Refs that they may not move, and why.
    pub closed: BTreeMap<GitRef, String>,
}

impl From<&str> for Pusher {
    fn from(actor: &str) -> Self {
        Self { actor: actor.to_owned(), closed: BTreeMap::new() }
    }
}

/// What happened to the pack of a push.
enum Unpacked {
    Ok,
    /// The pack was refused, with git's reason.
    Refused(String),
}

impl GitStore {
    /// The answer to `GET info/refs?service=git-receive-pack`.
    pub async fn receive_advertise(&self, source: SourceId) -> Result<Bytes, GitError> {
        let rows = self.records().read().await?.git_refs(source).await?;
        let mut lines: Vec<(String, CommitId)> =
            rows.into_iter().map(|row| (row.name.to_string(), row.object)).collect();
        lines.sort();
        if lines.is_empty() {
            lines.push(("capabilities^{}".to_owned(), CommitId::zero()));
        }
        let mut out = Vec::new();
        pkt_line::write(&mut out, b"# service=git-receive-pack\n");
        out.extend_from_slice(pkt_line::FLUSH);
        for (position, (name, object)) in lines.iter().enumerate() {
            let capabilities = if position == 0 { format!("\0{CAPABILITIES}") } else { String::new() };
            pkt_line::write(&mut out, format!("{object} {name}{capabilities}\n").as_bytes());
        }
        out.extend_from_slice(pkt_line::FLUSH);
        Ok(out.into())
    }

    /// Takes a push: the body of `POST git-receive-pack`, already decoded.
    ///
    /// Once this answers, every ref in `moved` is committed together with its delivery. From the
    /// end of the body on, dropping this future stops nothing.
    pub async fn receive(
        &self,
        source: SourceId,
        body: impl AsyncRead + Unpin + Send,
        pusher: impl Into<Pusher>,
    ) -> Result<Received, GitError> {
        let mut body = BufReader::with_capacity(64 << 10, body);
        let read = PushRequest::read(&mut body, self.options().max_commands);
        let request = self.in_time(read).await??;
        if request.commands.is_empty() {
            return Ok(Received::default());
        }
        let request = Arc::new(request);
        match self.take(source, Arc::clone(&request), &mut body, pusher.into()).await {
            // git shows its person nothing of an error answer, but all of a report.
            Err(error) if request.report_status && !matches!(error, GitError::Timeout { .. }) => {
                tracing::error!(%source, error = %chain(&error), "a push failed");
                self.drain(&mut body).await?;
                // What the disk said is of use to everybody; what a database or store said is not.
                let why =
                    if matches!(error, GitError::Io { .. }) { chain(&error) } else { error.to_string() };
                let refused = request.commands.iter().map(|c| (c.name.clone(), "not accepted".to_owned()));
                Ok(answer(&request, &why, Decision::default(), refused.collect()))
            }
            received => received,
        }
    }

    async fn take(
        &self,
        source: SourceId,
        request: Arc<PushRequest>,
        body: &mut (impl AsyncRead + Unpin + Send),
        pusher: Pusher,
    ) -> Result<Received, GitError> {
        self.sync(source).await?;
        let quarantine = self.quarantine(source).await?;
        let unpacked = if request.commands.iter().any(|command| !command.new.is_zero()) {
            self.unpack(source, &quarantine, body).await?
        } else {
            Unpacked::Ok
        };
        let store = self.clone();
        let accepting =
            tokio::spawn(async move { store.conclude(source, &request, quarantine, unpacked, pusher).await });
        match accepting.await {
            Ok(received) => received,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn conclude(
        &self,
        source: SourceId,
        request: &PushRequest,
        quarantine: Quarantine,
        unpacked: Unpacked,
        pusher: Pusher,
    ) -> Result<Received, GitError> {
        if let Unpacked::Refused(why) = unpacked {
            let refused = request.commands.iter().map(|c| (c.name.clone(), "unpacker error".to_owned()));
            let refused = refused.collect();
            return Ok(answer(request, &why, Decision::default(), refused));
        }
        let (moves, mut refused) = self.judge(source, request, &quarantine, &pusher.closed).await?;
        if request.atomic && !refused.is_empty() {
            refused.extend(moves.into_iter().map(|change| (change.name.to_string(), ATOMIC.to_owned())));
            return Ok(answer(request, "ok", Decision::default(), refused));
        }
        let deliver = moves.iter().filter(|c| c.new.is_some()).map(|c| c.name.clone()).collect();
        let Pusher { actor, .. } = pusher;
        let proposal =
            Proposal { source, moves, atomic: request.atomic, origin: Origin::Push, actor, deliver };
        let decision = self.accept(&quarantine, proposal).await?;
        Ok(answer(request, "ok", decision, refused))
    }

    /// Streams the pack into the quarantine.
    async fn unpack(
        &self,
        source: SourceId,
        quarantine: &Quarantine,
        body: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<Unpacked, GitError> {
        let mut header = [0; 12];
        let read = self.in_time(body.read_exact(&mut header)).await?;
        if read.is_err() || !header.starts_with(b"PACK") {
            return Ok(Unpacked::Refused("the push ends before its pack".to_owned()));
        }
        if header[8..] == [0; 4] {
            // A pack of no objects: only its checksum follows.
            self.drain(body).await?;
            return Ok(Unpacked::Ok);
        }
        let mut command = self.git().command(&self.repository(source));
        command
            .env("GIT_OBJECT_DIRECTORY", quarantine.objects())
            .args(["index-pack", "--stdin", "--fix-thin", STRICT])
            .arg(format!("--max-input-size={}", self.options().max_pack_bytes))
            .stdin(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::io("start git"))?;
        let mut stdin = child.stdin.take().expect("invariant: standard input is piped");
        let mut stdout = child.stdout.take().expect("invariant: standard output is piped");
        let stderr = child.stderr.take().expect("invariant: standard error is piped");
        let feed = async {
            let fed = self.feed(&header, body, &mut stdin).await;
            drop(stdin);
            fed
        };
        let mut hash = String::new();
        let (fed, _, stderr) = tokio::join!(feed, stdout.read_to_string(&mut hash), tail(stderr));
        let status = child.wait().await.map_err(GitError::io("run git index-pack"))?;
        fed?;
        if status.success() {
            return Ok(Unpacked::Ok);
        }
        // What is left is read, so that the client hears the answer.
        self.drain(body).await?;
        Ok(Unpacked::Refused(unpack_reason(&stderr, self.options().max_pack_bytes)))
    }

    /// Copies the body to git until either ends.
    async fn feed(
        &self,
        header: &[u8],
        body: &mut (impl AsyncRead + Unpin),
        stdin: &mut (impl tokio::io::AsyncWrite + Unpin),
    ) -> Result<(), GitError> {
        if stdin.write_all(header).await.is_err() {
            return Ok(());
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            // A body that breaks off is a pack that ends early: git says so.
            let n = self.in_time(body.read(&mut buffer)).await?.unwrap_or(0);
            if n == 0 || stdin.write_all(&buffer[..n]).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn drain(&self, body: &mut (impl AsyncRead + Unpin)) -> Result<(), GitError> {
        let mut buffer = vec![0; 64 << 10];
        let mut left = self.options().max_pack_bytes;
        while left > 0 {
            let n = self.in_time(body.read(&mut buffer)).await?.unwrap_or(0);
            if n == 0 {
                return Ok(());
            }
            left = left.saturating_sub(n as u64);
        }
        Err(GitError::TooLarge {
            what: "the pack".to_owned(),
            limit: "max_pack_bytes",
            max: self.options().max_pack_bytes,
        })
    }

    async fn in_time<T>(&self, reading: impl Future<Output = T>) -> Result<T, GitError> {
        tokio::time::timeout(self.options().idle_timeout(), reading).await.map_err(|_| GitError::Timeout {
            what: "waiting for the client".to_owned(),
            limit: "idle_timeout_ms",
            ms: self.options().idle_timeout_ms,
        })
    }

    /// Sorts the commands into moves that may be tried and refusals.
    async fn judge(
        &self,
        source: SourceId,
        request: &PushRequest,
        quarantine: &Quarantine,
        closed: &BTreeMap<GitRef, String>,
    ) -> Result<(Vec<RefMove>, Vec<(String, String)>), GitError> {
        let rows = self.ref_rows(source).await?;
        let mut refused = Vec::new();
        let mut wanted: Vec<(GitRef, &Command)> = Vec::new();
        for (name, command) in parse_names(&request.commands, &mut refused) {
            match closed.get(&name).cloned().or_else(|| stale(rows.get(&name), command)) {
                Some(why) => refused.push((command.name.clone(), why)),
                None => wanted.push((name, command)),
            }
        }
        self.refuse_unconnected(source, quarantine, &mut wanted, &mut refused).await?;
        let tips: Vec<_> = wanted
            .iter()
            .filter(|(_, command)| !command.new.is_zero())
            .map(|(name, command)| (name.clone(), command.new.clone()))
            .collect();
        let names: Vec<GitRef> = tips.iter().map(|(name, _)| name.clone()).collect();
        let peeled = peel(quarantine, self.repository(source), tips).await?;
        let mut peeled: BTreeMap<GitRef, _> = names.into_iter().zip(peeled).collect();
        let mut moves = Vec::new();
        for (name, command) in wanted {
            let new = match peeled.remove(&name) {
                None => None,
                Some(Ok(commit)) => Some((command.new.clone(), commit)),
                Some(Err(why)) => {
                    refused.push((command.name.clone(), why));
                    continue;
                }
            };
            match version_tag_refusal(rows.get(&name), new.as_ref().map(|(_, commit)| commit)) {
                Some(why) => refused.push((command.name.clone(), why)),
                None => moves.push(RefMove { name, old: command.old(), new }),
            }
        }
        Ok((moves, refused))
    }

    /// Refuses new tips from which not every object can be reached.
    async fn refuse_unconnected(
        &self,
        source: SourceId,
        quarantine: &Quarantine,
        wanted: &mut Vec<(GitRef, &Command)>,
        refused: &mut Vec<(String, String)>,
    ) -> Result<(), GitError> {
        let tips: Vec<&CommitId> = wanted.iter().map(|(_, c)| &c.new).filter(|new| !new.is_zero()).collect();
        if tips.is_empty() || self.connected(source, quarantine, &tips).await? {
            return Ok(());
        }
        let mut kept = Vec::new();
        for (name, command) in wanted.drain(..) {
            if command.new.is_zero() || self.connected(source, quarantine, &[&command.new]).await? {
                kept.push((name, command));
            } else {
                let why = "objects are missing; from a shallow clone run `git fetch --unshallow` first";
                refused.push((command.name.clone(), why.to_owned()));
            }
        }
        *wanted = kept;
        Ok(())
    }

    /// Whether everything that `tips` reach and the refs do not is there.
    pub(crate) async fn connected(
        &self,
        source: SourceId,
        quarantine: &Quarantine,
        tips: &[&CommitId],
    ) -> Result<bool, GitError> {
        let mut command = self.git().command(&self.repository(source));
        command.env("GIT_OBJECT_DIRECTORY", quarantine.objects()).args([
            "rev-list",
            "--objects",
            "--stdin",
            "--not",
            "--all",
            "--quiet",
        ]);
        let mut input = String::new();
        for tip in tips {
            input.push_str(tip.as_str());
            input.push('\n');
        }
        Ok(self.git().run(command, "rev-list", Some(input.into_bytes())).await?.ok)
    }
}

/// Commands whose ref may be pushed and is named once.
fn parse_names<'a>(
    commands: &'a [Command],
    refused: &mut Vec<(String, String)>,
) -> Vec<(GitRef, &'a Command)> {
    let mut seen = BTreeSet::new();
    let mut parsed = Vec::new();
    for command in commands {
        let why = match command.name.parse::<GitRef>() {
            Ok(name) if seen.insert(name.clone()) => {
                parsed.push((name, command));
                continue;
            }
            Ok(_) => "named twice in one push",
            Err(_) if command.name.starts_with("refs/heads/") || command.name.starts_with("refs/tags/") => {
                "not a ref name that git and Slipway accept"
            }
            Err(_) => "only branches and tags are accepted",
        };
        refused.push((command.name.clone(), why.to_owned()));
    }
    parsed
}

/// Why a command does not fit what the ref points to.
fn stale(row: Option<&RefRow>, command: &Command) -> Option<String> {
    match (row, command.old()) {
        (None, None) if command.new.is_zero() => Some("there is no such ref".to_owned()),
        (None, Some(_)) if command.new.is_zero() => Some("there is no such ref".to_owned()),
        (None, None) => None,
        (Some(row), Some(old)) if row.object == old => None,
        _ => Some("the ref has moved meanwhile: fetch and push again".to_owned()),
    }
}

fn unpack_reason(stderr: &str, max_pack_bytes: u64) -> String {
    if stderr.contains("pack exceeds maximum allowed size") {
        return format!("the pack is larger than {max_pack_bytes} bytes (limit `max_pack_bytes`)");
    }
    let fatal = stderr.lines().rev().find_map(|line| {
        line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).map(str::to_owned)
    });
    fatal.unwrap_or_else(|| "git index-pack refused the pack".to_owned())
}

fn answer(
    request: &PushRequest,
    unpack: &str,
    decision: Decision,
    mut refused: Vec<(String, String)>,
) -> Received {
    refused.extend(decision.refused.into_iter().map(|(name, why)| (name.to_string(), why)));
    let mut report = Vec::new();
    if request.report_status {
        let mut status = Vec::new();
        pkt_line::write(&mut status, format!("unpack {}\n", one_line(unpack)).as_bytes());
        for command in &request.commands {
            let why = refused.iter().find(|(name, _)| *name == command.name).map(|(_, why)| why);
            let line = match why {
                None => format!("ok {}\n", command.name),
                Some(why) => format!("ng {} {}\n", command.name, one_line(why)),
            };
            pkt_line::write(&mut status, line.as_bytes());
        }
        status.extend_from_slice(pkt_line::FLUSH);
        if request.sideband {
            pkt_line::write_band(&mut report, 1, &status);
        } else {
            report = status;
        }
    }
    Received {
        report: report.into(),
        moved: decision.moved,
        refused,
        sideband: request.sideband,
        quiet: request.quiet,
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}
