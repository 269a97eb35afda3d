//! Logs of programs that think they write to a terminal: colours become classes, all else that a terminal would
//! obey goes, and what would reorder text is shown. The text itself is never taken for HTML.

use std::mem;

use serde::Serialize;

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    /// Classes in the style sheet, with spaces between; empty for plain text.
    pub(super) class: String,
    pub(super) text: String,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// Place of its first byte in the log: its name, which no later line takes.
    pub(super) at: u64,
    pub(super) spans: Vec<Span>,
}

/// How text is written from here on (ECMA-48, 8.3.117, and the colours that xterm added).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    /// 0 to 15.
    foreground: Option<u16>,
    background: Option<u16>,
}

/// A terminal that only colours.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    style: Style,
}

/// A line under way.
#[derive(Debug, Default)]
struct Draft {
    spans: Vec<Span>,
    text: String,
}

impl Terminal {
    /// The lines of `bytes`, which begin at `offset` of the log. What follows the last line break is a line too.
    pub(super) fn lines(&mut self, bytes: &[u8], offset: u64) -> Vec<Line> {
        let mut at = offset;
        let mut lines = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\n').trim_end_matches('\r');
            lines.push(Line { at, spans: self.line(text) });
            at += line.len() as u64;
        }
        lines
    }

    fn line(&mut self, text: &str) -> Vec<Span> {
        let mut draft = Draft::default();
        let mut rest = text.chars();
        while let Some(char) = rest.next() {
            match char {
                '\u{1b}' => {
                    let (style, after) = escape(self.style, rest.as_str());
                    if style != self.style {
                        draft.end_span(self.style);
                        self.style = style;
                    }
                    rest = after.chars();
                }
                // What comes is written over what was there: a progress bar's last word stays.
                '\r' => draft = Draft::default(),
                '\t' => draft.text.push('\t'),
                '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    draft.text.push_str(&format!("⟨U+{:04X}⟩", u32::from(char)));
                }
                _ if char.is_control() => {}
                _ => draft.text.push(char),
            }
        }
        draft.end_span(self.style);
        draft.spans
    }
}

impl Draft {
    fn end_span(&mut self, style: Style) {
        if !self.text.is_empty() {
            self.spans.push(Span { class: style.classes(), text: mem::take(&mut self.text) });
        }
    }
}

/// The style after an escape sequence, and what follows the sequence.
fn escape(style: Style, text: &str) -> (Style, &str) {
    let mut chars = text.chars();
    match chars.next() {
        Some('[') => {
            let rest = chars.as_str();
            let Some((end, last)) = rest.char_indices().find(|(_, char)| ('@'..='~').contains(char)) else {
                return (style, "");
            };
            let style = if last == 'm' { style.after(&rest[..end]) } else { style };
            (style, &rest[end + last.len_utf8()..])
        }
        // A command to the terminal's own program, such as a title or a link: to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => (style, after_string(chars.as_str())),
        // Which letters follow is a word more.
        Some('(' | ')' | '*' | '+' | '#' | ' ') => {
            chars.next();
            (style, chars.as_str())
        }
        Some(_) => (style, chars.as_str()),
        None => (style, ""),
    }
}

/// What follows the string of a command, which ends with BEL or ESC \. No byte is looked at twice: one line may hold
/// a hundred thousand commands.
fn after_string(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| matches!(byte, 0x07 | 0x1b)) {
        let place = from + found;
        match (bytes[place], bytes.get(place + 1)) {
            (0x07, _) => return &text[place + 1..],
            (_, Some(b'\\')) => return &text[place + 2..],
            _ => from = place + 1,
        }
    }
    ""
}

impl Style {
    /// The style after the parameters of one `SGR`.
    fn after(mut self, parameters: &str) -> Self {
        let mut numbers = parameters.split([';', ':']).map(|number| match number {
            "" => Some(0),
            number => number.parse::<u16>().ok(),
        });
        while let Some(number) = numbers.next() {
            match number {
                Some(0) => self = Self::default(),
                Some(1) => self.bold = true,
                Some(2) => self.faint = true,
                Some(3) => self.italic = true,
                Some(4) => self.underlined = true,
                Some(22) => (self.bold, self.faint) = (false, false),
                Some(23) => self.italic = false,
                Some(24) => self.underlined = false,
                Some(colour @ 30..=37) => self.foreground = Some(colour - 30),
                Some(38) => self.foreground = palette(&mut numbers),
                Some(39) => self.foreground = None,
                Some(colour @ 40..=47) => self.background = Some(colour - 40),
                Some(48) => self.background = palette(&mut numbers),
                Some(49) => self.background = None,
                Some(colour @ 90..=97) => self.foreground = Some(colour - 90 + 8),
                Some(colour @ 100..=107) => self.background = Some(colour - 100 + 8),
                _ => {}
            }
        }
        self
    }

    fn classes(self) -> String {
        let words =
            [(self.bold, "bold"), (self.faint, "faint"), (self.italic, "italic"), (self.underlined, "under")];
        let mut classes: Vec<String> =
            words.into_iter().filter(|(set, _)| *set).map(|(_, word)| word.to_owned()).collect();
        classes.extend(self.foreground.map(|colour| format!("fg{colour}")));
        classes.extend(self.background.map(|colour| format!("bg{colour}")));
        classes.join(" ")
    }
}

/// One of the first sixteen colours of `5;N`; others, and those of `2;R;G;B`, are left to the page.
fn palette(numbers: &mut impl Iterator<Item = Option<u16>>) -> Option<u16> {
    match numbers.next().flatten() {
        Some(5) => numbers.next().flatten().filter(|colour| *colour < 16),
        Some(2) => {
            // Red, green and blue are taken off.
            numbers.nth(2);
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn spans(text: &str) -> Vec<(String, String)> {
        let lines = Terminal::default().lines(text.as_bytes(), 0);
        lines.into_iter().flat_map(|line| line.spans).map(|span| (span.class, span.text)).collect()
    }

    #[test]
    fn colours_become_classes_and_everything_else_goes() {
        for (text, wanted) in [
            ("plain", vec![("", "plain")]),
            ("a\u{1b}[31mb\u{1b}[0mc", vec![("", "a"), ("fg1", "b"), ("", "c")]),
            ("\u{1b}[1;92;41mx", vec![("bold fg10 bg1", "x")]),
            ("\u{1b}[38;5;4mx\u{1b}[39my", vec![("fg4", "x"), ("", "y")]),
            ("\u{1b}[38;2;1;2;3;4mx", vec![("under", "x")]),
            ("\u{1b}[2J\u{1b}[1;1Hx\u{1b}[K", vec![("", "x")]),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://e\u{1b}\\y", vec![("", "xy")]),
            ("\u{1b}]0;a\u{1b}[b\u{1b}\\x\u{1b}]never ends", vec![("", "x")]),
            ("\u{1b}(Bx", vec![("", "x")]),
            ("10%\r50%\r100%\r\n", vec![("", "100%")]),
            ("a\u{0}\u{8}b\tc", vec![("", "ab\tc")]),
            ("a\u{202e}b", vec![("", "a⟨U+202E⟩b")]),
            ("<b>&", vec![("", "<b>&")]),
            ("\u{1b}[", vec![]),
            ("\u{1b}", vec![]),
        ] {
            let wanted: Vec<_> =
                wanted.into_iter().map(|(class, text)| (class.to_owned(), text.to_owned())).collect();
            assert_eq!(spans(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_named_by_its_first_byte_and_colour_goes_on() {
        let lines = Terminal::default().lines("é\u{1b}[32m\nb\n\nc".as_bytes(), 100);
        let found: Vec<_> = lines
            .iter()
            .map(|line| (line.at, line.spans.first().map_or("-", |span| span.class.as_str())))
            .collect();
        assert_eq!(found, [(100, ""), (108, "fg2"), (110, "-"), (111, "fg2")]);
    }

    #[test]
    fn a_line_full_of_commands_takes_no_longer_than_its_length() {
        let line = "\u{1b}]a\u{7}".repeat(1 << 19);
        let began = Instant::now();
        assert!(spans(&line).is_empty());
        // Looking for each command's end through the whole rest would take minutes.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn bytes_that_are_no_text_break_nothing() {
        let lines = Terminal::default().lines(b"\xff\xfe\x1b[\xff31m\n", 0);
        assert_eq!(lines.len(), 1);
    }
}
