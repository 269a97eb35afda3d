//! As many lines of a log as a page may weigh, from a place on or up to one. Windows end where the next ones begin,
//! so whoever goes through all of them, either way, misses nothing.

use uuid::Uuid;

use super::ansi::{Line, Span, Terminal};
use crate::problem::ApiError;
use crate::rest::logs::{read_piece, whole_characters};
use crate::state::ServerState;

/// Bytes of HTML that the lines of a page have, at most: a first load has 100 kB, frame, style and script included.
/// Pages go out plain (`assets.rs`), so no log compresses worse than another.
pub(super) const PAGE_WEIGHT: usize = 60_000;
/// Those of a window that is fetched while somebody scrolls: a second and a half of a slow telephone.
pub(super) const FURTHER_WEIGHT: usize = 256_000;
/// What stands around the text of a line, at a place below 100 GB, in the longest of the languages.
const LINE_WEIGHT: usize = 132;
/// What stands around the text and the classes of a span.
const SPAN_WEIGHT: usize = "<span class=\"\"></span>".len();
/// What escaping adds to one of the characters that HTML takes for its own.
const ESCAPE_WEIGHT: usize = "&#60;".len() - "<".len();

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What begins at this byte.
    From(u64),
    /// What ends before this byte.
    Before(u64),
}

/// A window into a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first byte.
    pub(super) from: u64,
    /// The byte after its last.
    pub(super) to: u64,
    pub(super) lines: Vec<Line>,
}

/// The window of a log of `size` bytes that shows this part in at most `weight` bytes of HTML.
pub(super) async fn window(
    state: &ServerState,
    log: Uuid,
    size: u64,
    part: Part,
    weight: usize,
) -> Result<Window, ApiError> {
    // HTML is longer than most of what it shows, so this much is enough.
    let length = weight as u64;
    match part {
        Part::From(from) => {
            let to = size.min(from.saturating_add(length));
            let bytes = read_between(state, log, from, to).await?;
            let is_end = from + bytes.len() as u64 >= size;
            Ok(Window::first_of(&bytes, from, is_end, weight))
        }
        Part::Before(to) => {
            let begin = to.saturating_sub(length);
            // One byte more tells whether a line begins there.
            let probe = begin.saturating_sub(1);
            let bytes = read_between(state, log, probe, to).await?;
            let skipped = if begin == 0 { 0 } else { first_line(&bytes) };
            let to = probe + bytes.len() as u64;
            Ok(Window::last_of(&bytes[skipped..], to, weight))
        }
    }
}

/// The bytes between two places. One look into the records takes so many pieces and no more.
async fn read_between(state: &ServerState, log: Uuid, from: u64, to: u64) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    loop {
        let next = from + bytes.len() as u64;
        if next >= to {
            return Ok(bytes);
        }
        let piece = read_piece(state, log, next, to - next).await?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(piece);
    }
}

/// Where behind the first byte a line begins; in a line that is longer, its next character.
fn first_line(bytes: &[u8]) -> usize {
    let line = bytes.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
    line.filter(|begin| *begin < bytes.len()).unwrap_or_else(|| next_character(bytes, 1))
}

/// The first place at or after `from` where a character begins.
fn next_character(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let continued = rest.iter().take(3).take_while(|byte| (0x80..=0xBF).contains(*byte)).count();
    bytes.len().min(from + continued)
}

impl Window {
    /// The first lines of `bytes`, which begin at `from`; if not `is_end`, more of the last line may follow them.
    fn first_of(bytes: &[u8], from: u64, is_end: bool, weight: usize) -> Self {
        let whole_lines = bytes.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        let mut length = match whole_lines {
            _ if is_end => bytes.len(),
            Some(length) => length,
            None => whole_characters(bytes),
        };
        loop {
            let mut lines = Terminal::default().lines(&bytes[..length], from);
            let shown = fitting(lines.iter(), weight);
            if shown > 0 || lines.is_empty() {
                let to = lines.get(shown).map_or(from + length as u64, |next| next.at);
                lines.truncate(shown);
                return Self { from, to, lines };
            }
            // Of a line that is too long itself, what comes first.
            let line = bytes[..length].iter().position(|byte| *byte == b'\n').unwrap_or(length);
            length = whole_characters(&bytes[..line / 2]);
        }
    }

    /// The last lines of `bytes`, which begin with a line and end before `to`.
    fn last_of(bytes: &[u8], to: u64, weight: usize) -> Self {
        let mut begin = 0;
        loop {
            let rest = &bytes[begin..];
            let from = to - rest.len() as u64;
            let mut lines = Terminal::default().lines(rest, from);
            let shown = fitting(lines.iter().rev(), weight);
            if shown > 0 || lines.is_empty() {
                lines.drain(..lines.len() - shown);
                let from = lines.first().map_or(from, |first| first.at);
                return Self { from, to, lines };
            }
            // Of a line that is too long itself, what comes last.
            let before_last = &rest[..rest.len() - 1];
            let line = before_last.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
            begin += next_character(rest, line + (rest.len() - line).div_ceil(2));
        }
    }
}

/// How many of these lines come first and weigh no more together.
fn fitting<'l>(lines: impl Iterator<Item = &'l Line>, weight: usize) -> usize {
    let mut sum = 0;
    lines
        .take_while(|line| {
            sum += line_weight(line);
            sum <= weight
        })
        .count()
}

/// The last of these lines, as many as weigh no more together than `weight`, of which they take what they weigh.
pub(super) fn last_within(mut lines: Vec<Line>, weight: &mut usize) -> Vec<Line> {
    let shown = fitting(lines.iter().rev(), *weight);
    lines.drain(..lines.len() - shown);
    *weight -= lines.iter().map(line_weight).sum::<usize>();
    lines
}

/// Bytes of HTML that a line of a log is on its page (`log.html`), at most.
pub(super) fn line_weight(line: &Line) -> usize {
    LINE_WEIGHT + line.spans.iter().map(span_weight).sum::<usize>()
}

fn span_weight(span: &Span) -> usize {
    let escaped = span.text.bytes().filter(|byte| b"<>&\"'".contains(byte)).count();
    SPAN_WEIGHT + span.class.len() + span.text.len() + ESCAPE_WEIGHT * escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of 20 bytes weighs about this.
    const WEIGHT: usize = 10 * (LINE_WEIGHT + SPAN_WEIGHT + 20);

    fn logs() -> [Vec<u8>; 7] {
        [
            Vec::new(),
            b"compiling a package\n".repeat(100),
            b"\n".repeat(100),
            [b"short\n".as_slice(), &b"w".repeat(9_000), b"\nshort\n", &b"<".repeat(2_000), b"\n"].concat(),
            "汉字".repeat(2_000).into_bytes(),
            b"\x1b[1;3;4;31ma\x1b[32m\"".repeat(500),
            [b"10%\r".repeat(3_000).as_slice(), b"100%\nno line break at the end"].concat(),
        ]
    }

    fn text(lines: &[Line]) -> String {
        lines.iter().flat_map(|line| &line.spans).map(|span| span.text.as_str()).collect()
    }

    fn assert_bounded(window: &Window) {
        let weight: usize = window.lines.iter().map(line_weight).sum();
        assert!(weight <= WEIGHT, "{weight} bytes");
        assert!(window.lines.first().is_none_or(|line| line.at == window.from), "{window:?}");
    }

    /// All windows of a log, as links lead from one to the next.
    fn forwards(log: &[u8]) -> Vec<Window> {
        let (mut windows, mut from): (Vec<Window>, usize) = (Vec::new(), 0);
        while from < log.len() {
            let to = log.len().min(from + WEIGHT);
            let window = Window::first_of(&log[from..to], from as u64, to == log.len(), WEIGHT);
            assert_bounded(&window);
            assert!(window.to > from as u64, "{window:?} leads to itself");
            from = usize::try_from(window.to).unwrap();
            windows.push(window);
        }
        windows
    }

    fn backwards(log: &[u8]) -> Vec<Window> {
        let (mut windows, mut to): (Vec<Window>, usize) = (Vec::new(), log.len());
        while to > 0 {
            let begin = to.saturating_sub(WEIGHT);
            let probe = begin.saturating_sub(1);
            let skipped = if begin == 0 { 0 } else { first_line(&log[probe..to]) };
            let window = Window::last_of(&log[probe + skipped..to], to as u64, WEIGHT);
            assert_bounded(&window);
            assert!(window.from < to as u64 && window.to == to as u64, "{window:?} leads to itself");
            to = usize::try_from(window.from).unwrap();
            windows.push(window);
        }
        windows.reverse();
        windows
    }

    #[test]
    fn windows_are_small_and_leave_nothing_out_either_way() {
        for log in logs() {
            for windows in [forwards(&log), backwards(&log)] {
                let ends: Vec<u64> = windows.iter().map(|window| window.to).collect();
                let begins: Vec<u64> = windows.iter().skip(1).map(|window| window.from).collect();
                assert_eq!(begins, ends[..ends.len().saturating_sub(1)], "each begins where one ended");
                assert_eq!(ends.last().copied().unwrap_or_default(), log.len() as u64);
                assert!(windows.first().is_none_or(|first| first.from == 0));
            }
        }
    }

    #[test]
    fn no_character_is_cut_and_what_fits_is_whole() {
        let log = "汉字".repeat(2_000);
        for windows in [forwards(log.as_bytes()), backwards(log.as_bytes())] {
            let all: String = windows.iter().map(|window| text(&window.lines)).collect();
            assert_eq!(all, log);
        }
        let log = b"one\ntwo\nthree";
        let whole = Window { from: 0, to: 13, lines: Terminal::default().lines(log, 0) };
        assert_eq!(Window::first_of(log, 0, true, WEIGHT), whole);
        assert_eq!(Window::last_of(log, 13, WEIGHT), whole);
        // More may follow.
        assert_eq!(Window::first_of(log, 0, false, WEIGHT).to, 8);
    }
}
