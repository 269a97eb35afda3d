//! Looking for a text in a log, so far a request at a time.

use uuid::Uuid;

use super::address;
use super::ansi::{Line, Span, Terminal};
use super::log_window::{PAGE_WEIGHT, line_weight};
use crate::problem::ApiError;
use crate::rest::logs::read_piece;
use crate::state::ServerState;

/// Bytes read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Bytes looked through in one request.
const SCAN_BYTES_MAX: u64 = 32 << 20;
/// Lines found in one request, at most.
const LINES_MAX: usize = 200;
/// Characters of a found line that are shown; the window that begins with it has them all.
const LINE_CHARS_MAX: usize = 500;

/// A line that holds the text.
pub(super) struct Match {
    pub(super) line: Line,
    /// The window that begins with it, from the page of the log.
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
    log: Uuid,
    (from, size): (u64, u64),
    wanted: &str,
    page: &str,
) -> Result<Matches, ApiError> {
    let needle = wanted.to_ascii_lowercase();
    let (mut offset, mut found) = (from, Vec::new());
    let (mut weight, mut is_full) = (0, false);
    while offset < size && offset - from < SCAN_BYTES_MAX && !is_full {
        let piece = read_piece(state, log, offset, PIECE_BYTES.min(size - offset)).await?;
        let is_last = offset + piece.len() as u64 >= size;
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        let length = if is_last { piece.len() } else { whole.unwrap_or(piece.len()) };
        if length == 0 {
            break;
        }
        let mut next = offset + length as u64;
        for line in Terminal::default().lines(&piece[..length], offset) {
            if !holds(&line, &needle) {
                continue;
            }
            let line = cut(line);
            weight += line_weight(&line);
            is_full = found.len() >= LINES_MAX || weight > PAGE_WEIGHT;
            if is_full {
                next = line.at;
                break;
            }
            found.push(Match { address: format!("?from={at}#b{at}", at = line.at), line });
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

/// The beginning of a line, in its styles.
fn cut(line: Line) -> Line {
    let (mut left, mut spans) = (LINE_CHARS_MAX, Vec::new());
    for span in line.spans {
        let text: String = span.text.chars().take(left).collect();
        left -= text.chars().count();
        let is_cut = text.len() < span.text.len();
        spans.push(Span { text, ..span });
        if is_cut {
            spans.push(Span { class: String::new(), text: "…".to_owned() });
            break;
        }
    }
    Line { at: line.at, spans }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_beginning_is_shown() {
        let whole = "é".repeat(LINE_CHARS_MAX);
        for (text, ends) in [
            (whole.clone(), "é"),
            (format!("{whole}x"), "…"),
            (format!("{whole}\u{1b}[31mred"), "…"),
            (format!("\u{1b}[31m{}", "ab\u{1b}[1m".repeat(LINE_CHARS_MAX)), "…"),
            ("\u{1b}[1;2;3;4;41;95m\"\u{1b}[96m<".repeat(LINE_CHARS_MAX), "…"),
            ("short".to_owned(), "t"),
        ] {
            let line = Terminal::default().lines(text.as_bytes(), 7).remove(0);
            let shown = cut(line);
            let text: String = shown.spans.iter().map(|span| span.text.as_str()).collect();
            assert!(text.ends_with(ends) && text.chars().count() <= LINE_CHARS_MAX + 1, "{text}");
            assert_eq!(shown.at, 7);
            assert!(line_weight(&shown) < PAGE_WEIGHT, "one is shown at least");
        }
    }
}
