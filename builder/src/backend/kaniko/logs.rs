//! A container's log: every entry once, whoever reads it and however often the line breaks.
//!
//! The API server is asked for time stamps. An entry is stored together with a mark that says which it
//! was, in one transaction with its bytes; whoever goes on asks from that time and passes over what the
//! mark covers.

use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::LogParams;
use tokio::sync::watch;

use super::cluster::Cluster;
use crate::log::{LogWriter, Part};

/// Runtimes cut longer lines into entries of this size, in bytes.
const ENTRY_BYTES: usize = 16 * 1024;
/// The longest time stamp with the space behind it, in bytes.
const STAMP_BYTES_MAX: usize = 40;
/// A line that no runtime has cut is passed on in pieces of this size, in bytes.
const UNCUT_BYTES_MAX: usize = 1 << 20;
/// Pause before a broken stream is asked for again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Pause after a stream that ended though the container has not, as far as is known: most often it has, and
/// Kubernetes says so a little later. It doubles.
const ENDED_PAUSE: Duration = Duration::from_secs(2);
const ENDED_PAUSE_MAX: Duration = Duration::from_secs(16);
/// The longest silence before the stream is asked for anew, in case the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The last entry that was read: `POD TIME COUNT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pod: String,
    time: Timestamp,
    /// How many entries with that very time.
    count: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pod, self.time, self.count)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let (pod, time, count) = (word()?.to_owned(), word()?, word()?);
        Ok(Self { pod, time: time.parse().map_err(drop)?, count: count.parse().map_err(drop)? })
    }
}

/// One entry: a line, or a part of a long one.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    time: Timestamp,
    content: Bytes,
}

/// Cuts the stream into entries.
#[derive(Default)]
struct Cutter {
    buffer: Vec<u8>,
}

impl Cutter {
    /// The next whole entry; at the end of the stream also the last without its line end.
    fn next(&mut self, ended: bool) -> Option<Entry> {
        let space = self.buffer.iter().take(STAMP_BYTES_MAX).position(|byte| *byte == b' ');
        let Some(start) = space.map(|space| space + 1) else {
            // Not a log with time stamps: passed over.
            if self.buffer.len() >= STAMP_BYTES_MAX {
                self.buffer.clear();
            }
            return None;
        };
        let time = stamp(&self.buffer[..start - 1])?;
        let end = self.end_of_entry(start, ended)?;
        let entry: Vec<u8> = self.buffer.drain(..end).collect();
        Some(Entry { time, content: Bytes::from(entry).slice(start..) })
    }

    fn end_of_entry(&self, start: usize, ended: bool) -> Option<usize> {
        let content = &self.buffer[start..];
        let line = content.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        if let Some(line) = line.filter(|line| *line <= ENTRY_BYTES) {
            return Some(start + line);
        }
        let behind = content.get(ENTRY_BYTES..);
        match behind {
            // Long enough to see whether another entry follows without a line end.
            Some(behind) if ended || behind.len() >= STAMP_BYTES_MAX || line.is_some() => {
                let space = behind.iter().take(STAMP_BYTES_MAX).position(|byte| *byte == b' ');
                if space.is_some_and(|space| stamp(&behind[..space]).is_some()) {
                    return Some(start + ENTRY_BYTES);
                }
                let whole = line.or_else(|| (content.len() >= UNCUT_BYTES_MAX).then_some(content.len()));
                whole.or_else(|| ended.then_some(content.len())).map(|length| start + length)
            }
            _ => (ended && !content.is_empty()).then(|| start + content.len()),
        }
    }
}

/// A time to ask the log from: the client rounds it to the nearest second, which may be a later one.
fn before(time: Timestamp) -> Timestamp {
    time.checked_sub(SignedDuration::from_secs(1)).unwrap_or(time)
}

fn stamp(bytes: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Reads a pod's container into the log until it has ended.
pub(super) struct Reader<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) pod: String,
    /// Which of its containers.
    pub(super) container: &'static str,
    pub(super) log: &'a LogWriter,
    /// What was stored last, of this pod or another.
    pub(super) after: &'a mut Option<String>,
    /// Whether the container has ended, so that the end of a stream is the end of the log.
    pub(super) ended: watch::Receiver<bool>,
}

impl Reader<'_> {
    pub(super) async fn run(mut self) {
        let mut pause = ENDED_PAUSE;
        loop {
            let was_ended = *self.ended.borrow();
            match self.read_stream(!was_ended).await {
                Read::Gone => return,
                // Nothing more came after the container had ended.
                Read::Nothing if was_ended => return,
                Read::Something if was_ended => {}
                Read::Broken if was_ended => tokio::time::sleep(AGAIN_AFTER).await,
                Read::Broken => self.until_ended(AGAIN_AFTER).await,
                Read::Something => {
                    pause = ENDED_PAUSE;
                    self.until_ended(pause).await;
                }
                Read::Nothing => {
                    pause = (pause * 2).min(ENDED_PAUSE_MAX);
                    self.until_ended(pause).await;
                }
            }
        }
    }

    async fn until_ended(&mut self, limit: Duration) {
        drop(tokio::time::timeout(limit, self.ended.wait_for(|ended| *ended)).await);
    }

    /// Reads one stream.
    async fn read_stream(&mut self, follow: bool) -> Read {
        let mark = self.after.as_deref().and_then(|mark| mark.parse::<Mark>().ok());
        let mark = mark.filter(|mark| mark.pod == self.pod);
        let wanted = LogParams {
            container: Some(self.container.to_owned()),
            follow,
            timestamps: true,
            since_time: mark.as_ref().map(|mark| before(mark.time)),
            ..LogParams::default()
        };
        let Ok(pods) = self.cluster.pods().await else { return Read::Broken };
        let opened = tokio::time::timeout(SILENCE_MAX, pods.log_stream(&self.pod, &wanted)).await;
        match opened {
            Ok(Ok(stream)) => self.take_in(pin!(stream), mark).await,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Read::Gone,
            // Away, or the container is not quite up: asked again.
            Ok(Err(error)) => {
                tracing::debug!(pod = self.pod, %error, "the log cannot be read just now");
                Read::Broken
            }
            Err(_) => Read::Broken,
        }
    }

    async fn take_in(&mut self, mut stream: impl AsyncRead + Unpin, resumed: Option<Mark>) -> Read {
        let (mut cutter, mut mark, mut any) = (Cutter::default(), None::<Mark>, false);
        let mut piece = vec![0; 64 * 1024];
        loop {
            let read = tokio::time::timeout(SILENCE_MAX, stream.read(&mut piece)).await;
            let (length, whole) = match read {
                Ok(Ok(0)) => (0, true),
                Ok(Ok(length)) => (length, false),
                // What was cut off comes again.
                Ok(Err(_)) | Err(_) => return Read::Broken,
            };
            cutter.buffer.extend_from_slice(&piece[..length]);
            while let Some(entry) = cutter.next(whole) {
                let count = match &mark {
                    Some(mark) if mark.time == entry.time => mark.count + 1,
                    _ => 1,
                };
                let now = Mark { pod: self.pod.clone(), time: entry.time, count };
                mark = Some(now.clone());
                if resumed.as_ref().is_some_and(|old| (now.time, now.count) <= (old.time, old.count)) {
                    continue;
                }
                any = true;
                let to = now.to_string();
                let part = Part { after: self.after.replace(to.clone()), to };
                self.log.write_part(entry.content, part).await;
            }
            if whole {
                return if any { Read::Something } else { Read::Nothing };
            }
        }
    }
}

/// What became of one stream.
enum Read {
    /// It came to its end, with something new.
    Something,
    /// It came to its end, with nothing new.
    Nothing,
    /// It broke off, or there was none.
    Broken,
    /// The pod is no longer there.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], step: usize) -> Vec<(String, usize)> {
        let (mut cutter, mut entries) = (Cutter::default(), Vec::new());
        for piece in text.chunks(step) {
            cutter.buffer.extend_from_slice(piece);
            while let Some(entry) = cutter.next(false) {
                entries.push((entry.time.to_string(), entry.content.len()));
            }
        }
        while let Some(entry) = cutter.next(true) {
            entries.push((entry.time.to_string(), entry.content.len()));
        }
        entries
    }

    #[test]
    fn lines_are_entries_and_long_lines_are_several() {
        let long = "x".repeat(ENTRY_BYTES);
        let text = format!(
            "2026-01-01T00:00:00.5Z one\n2026-01-01T00:00:01.123456789Z {long}2026-01-01T00:00:02Z rest\n\
             2026-01-01T02:00:03+02:00 \n2026-01-01T00:00:04Z unended"
        );
        let expected = [
            ("2026-01-01T00:00:00.5Z", 4),
            ("2026-01-01T00:00:01.123456789Z", ENTRY_BYTES),
            ("2026-01-01T00:00:02Z", 5),
            ("2026-01-01T00:00:03Z", 1),
            ("2026-01-01T00:00:04Z", 7),
        ];
        let expected = expected.map(|(time, length)| (time.to_owned(), length));
        for step in [1, 7, 1000, text.len()] {
            assert_eq!(cut(text.as_bytes(), step), expected, "in steps of {step}");
        }
    }

    #[test]
    fn a_line_that_the_runtime_did_not_cut_is_one_entry() {
        let long = "y".repeat(3 * ENTRY_BYTES);
        let text = format!("2026-01-01T00:00:00Z {long}\n2026-01-01T00:00:01Z next\n");
        let lengths: Vec<usize> = cut(text.as_bytes(), 999).into_iter().map(|(_, length)| length).collect();
        assert_eq!(lengths, [3 * ENTRY_BYTES + 1, 5]);
    }

    #[test]
    fn the_log_is_asked_for_from_before_the_mark_however_it_is_rounded() {
        for time in ["2026-01-01T00:00:00.4Z", "2026-01-01T00:00:00.6Z", "2026-01-01T00:00:01Z"] {
            let time: Timestamp = time.parse().unwrap();
            let asked = LogParams { since_time: Some(before(time)), ..LogParams::default() };
            let request = kube::core::Request::new("/p").logs("x", &asked).unwrap();
            let (_, since) = request.uri().query().unwrap().split_once("sinceTime=").unwrap();
            let since: Timestamp = since.replace("%3A", ":").parse().unwrap();
            assert!(since <= time, "{since} is later than {time}");
        }
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        let mark = Mark { pod: "b-1-1-x".into(), time: "2026-01-01T00:00:00.1Z".parse().unwrap(), count: 3 };
        assert_eq!(mark.to_string().parse(), Ok(mark));
        assert!("x".parse::<Mark>().is_err());
    }
}
