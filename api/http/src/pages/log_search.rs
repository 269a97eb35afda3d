//! Looking for a text in a log, so far a request at a time.

use slipway_records::Read;
use uuid::Uuid;

use super::address;
use super::ansi::{Line, Terminal};
use crate::problem::ApiError;
use crate::rest::logs::read_piece;
use crate::state::ServerState;

/// Bytes read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Bytes looked through in one request.
const SCAN_BYTES_MAX: u64 = 32 << 20;
/// Lines found in one request, at most.
const LINES_MAX: usize = 200;

/// A line that holds the text.
pub(super) struct Match {
    pub(super) line: Line,
    /// The window that begins with it.
    pub(super) address: String,
}

/// What was found.
pub(super) struct Matches {
    pub(super) found: Vec<Match>,
    /// Where to look on, if not all was looked through.
    pub(super) next: Option<String>,
}

/// The lines between `from` and `size` that hold `wanted`, letters A to Z compared without case.
pub(super) async fn search(
    state: &ServerState,
    read: &mut dyn Read,
    log: Uuid,
    (from, size): (u64, u64),
    wanted: &str,
    page: &str,
) -> Result<Matches, ApiError> {
    let needle = wanted.to_ascii_lowercase();
    let (mut offset, mut found) = (from, Vec::new());
    while offset < size && offset - from < SCAN_BYTES_MAX && found.len() < LINES_MAX {
        let piece = read_piece(state, read, log, offset, PIECE_BYTES.min(size - offset)).await?;
        let is_last = offset + piece.len() as u64 >= size;
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        let length = if is_last { piece.len() } else { whole.unwrap_or(piece.len()) };
        if length == 0 {
            break;
        }
        let mut next = offset + length as u64;
        for line in Terminal::default().lines(&piece[..length], offset) {
            if found.len() >= LINES_MAX {
                next = line.at;
                break;
            }
            if holds(&line, &needle) {
                let address = format!("{page}?from={at}#b{at}", at = line.at);
                found.push(Match { line, address });
            }
        }
        offset = next;
    }
    let from = offset.to_string();
    let next =
        (offset < size).then(|| address::with_query(page, [("find", wanted), ("from", from.as_str())]));
    Ok(Matches { found, next })
}

fn holds(line: &Line, needle: &str) -> bool {
    let text: String = line.spans.iter().map(|span| span.text.as_str()).collect();
    text.to_ascii_lowercase().contains(needle)
}
