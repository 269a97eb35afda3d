//! Printing the log of a build or a check: as it was written, or its lines as JSON.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Global;
use crate::client::{Client, Unended, is_away};
use crate::output::{bytes, json_line};

/// How often a log that does not grow is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Prints the log from byte `from` on; with `follow`, the command that does so, until nothing more comes. Whether
/// there was any of it.
pub(super) async fn print(
    client: &Client,
    path: &str,
    from: u64,
    follow: Option<&str>,
    global: &Global,
) -> Result<bool> {
    let mut lines = global.json().then(|| Lines { offset: from, rest: Vec::new() });
    let mut offset = from;
    loop {
        let query = [("offset", offset.to_string())];
        let headers = client.stream(path, &query, "text/plain", |piece| {
            match &mut lines {
                Some(lines) => lines.whole(piece).iter().for_each(json_line),
                None => bytes(piece),
            }
            Ok(())
        });
        let headers = headers.await.map_err(|error| ended(error, client, follow))?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let next = header("slipway-next-offset").and_then(|value| value.parse().ok()).unwrap_or(offset);
        let complete = header("slipway-log-complete") == Some("true");
        let more = next > offset;
        offset = next;
        if complete || (follow.is_none() && !more) {
            if let Some(lines) = &mut lines {
                lines.last().iter().for_each(json_line);
            }
            return Ok(offset > from);
        }
        if !more {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Why it ends; where it was followed and the server is away, as a wait that has not come to its end.
fn ended(error: anyhow::Error, client: &Client, follow: Option<&str>) -> anyhow::Error {
    match follow.filter(|_| is_away(&error)) {
        Some(again) => error.context(Unended { server: client.base().to_owned(), again: again.to_owned() }),
        None => error,
    }
}

/// The lines of a log that comes in pieces.
struct Lines {
    /// The byte at which the next line begins.
    offset: u64,
    /// What came of it so far.
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that end in this piece.
    fn whole(&mut self, piece: &[u8]) -> Vec<Value> {
        let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(piece);
            return Vec::new();
        };
        let (ended, begun) = piece.split_at(end + 1);
        self.rest.extend_from_slice(ended);
        let ended = std::mem::replace(&mut self.rest, begun.to_vec());
        ended.split_inclusive(|byte| *byte == b'\n').map(|line| self.line(line)).collect()
    }

    /// The line that nothing ended.
    fn last(&mut self) -> Option<Value> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| self.line(&rest))
    }

    fn line(&mut self, line: &[u8]) -> Value {
        let offset = self.offset;
        self.offset += line.len() as u64;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        json!({"offset": offset, "text": String::from_utf8_lossy(text)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Problem, exit_code};

    #[tokio::test]
    async fn who_follows_is_told_that_the_server_is_away_and_how_to_go_on() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::connect("http://127.0.0.1:1", None).unwrap();
        let error = |status| anyhow::Error::new(Problem { status, ..Problem::default() });
        let again = "slipway run logs shop#1 --follow";
        let away = ended(error(503), &client, Some(again));
        assert!(away.to_string().contains(again), "{away:#}");
        for (error, code) in
            [(away, 3), (ended(error(503), &client, None), 1), (ended(error(404), &client, Some(again)), 1)]
        {
            assert_eq!(exit_code(&error), code, "{error:#}");
        }
    }

    #[test]
    fn lines_are_whole_however_their_bytes_come() {
        let log = "Step 1\r\n\nä done\nlast";
        let wanted = [
            json!({"offset": 7, "text": "Step 1"}),
            json!({"offset": 15, "text": ""}),
            json!({"offset": 16, "text": "ä done"}),
            json!({"offset": 24, "text": "last"}),
        ];
        for size in [1, 3, 100] {
            let mut lines = Lines { offset: 7, rest: Vec::new() };
            let mut found: Vec<Value> =
                log.as_bytes().chunks(size).flat_map(|piece| lines.whole(piece)).collect();
            found.extend(lines.last());
            assert_eq!(found, wanted, "pieces of {size}");
            assert_eq!(lines.last(), None);
        }
    }
}
