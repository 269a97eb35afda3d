//! What people and scripts see: data on standard output, talk on standard error.
#![expect(clippy::print_stderr, reason = "this module is where the command line speaks")]

use std::borrow::Cow;
use std::io::{IsTerminal, Write as _};

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_types::Violation;
use unicode_width::UnicodeWidthStr;

use crate::client::{Problem, Unended};

/// The longest first line of a text that is shown in a table.
const LINE_CHARS_MAX: usize = 80;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// JSON for scripts.
    Json,
}

/// Writes a line of data.
pub(crate) fn data(line: impl AsRef<str>) {
    written(&printable(line.as_ref()));
}

fn written(line: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(failure) = writeln!(out, "{line}") {
        end_unwritten(&failure);
    }
}

/// Whether it turns the direction of the text around it, so that what is shown is not what was written.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` without what would drive the terminal: much of what is shown was written by others.
fn printable(text: &str) -> Cow<'_, str> {
    let drives = |c: char| turns(c) || (c.is_control() && !matches!(c, '\n' | '\t'));
    if !text.contains(drives) {
        return Cow::Borrowed(text);
    }
    // The end of a line of a file of Windows drives nothing.
    let lines =
        text.split("\r\n").map(|line| line.chars().map(|c| if drives(c) { ' ' } else { c }).collect());
    Cow::Owned(lines.collect::<Vec<String>>().join("\r\n"))
}

/// `text` in one line, so that it cannot pass for a line of its own.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// The first line of a text, cut to 80 characters: what else there is, the thing's own page or command tells.
pub(crate) fn first_line(value: &Value) -> String {
    let whole = text(value);
    let line = whole.lines().next().unwrap_or_default();
    if line.chars().count() <= LINE_CHARS_MAX {
        return line.to_owned();
    }
    line.chars().take(LINE_CHARS_MAX - 1).chain(['…']).collect()
}

/// A reader that went away (`slipway … | head`) ends the program quietly, anything else with a word.
fn end_unwritten(failure: &std::io::Error) -> ! {
    if failure.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    error(&format!("cannot write the output: {failure}"));
    std::process::exit(1);
}

/// Writes raw bytes of data.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(failure) = out.write_all(bytes).and_then(|()| out.flush()) {
        end_unwritten(&failure);
    }
}

/// Writes JSON, indented on a terminal.
pub(crate) fn json(value: &Value) {
    let text = if std::io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    written(&escaped(text.unwrap_or_default()));
}

/// Writes JSON in one line, one document of many.
pub(crate) fn json_line(value: &Value) {
    written(&escaped(value.to_string()));
}

/// JSON in which no character drives the terminal: JSON itself lets pass those from U+007F on.
fn escaped(json: String) -> String {
    let drives = |c: char| turns(c) || (c.is_control() && !c.is_ascii_whitespace());
    if !json.contains(drives) {
        return json;
    }
    let escape = |c: char| if drives(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(escape).collect()
}

/// Says something to the person.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("{}", printable(line.as_ref()));
}

/// Says that something failed.
pub(crate) fn error(line: &str) {
    eprintln!("error: {}", printable(line));
}

/// Says what failed, why, and what to do.
pub(crate) fn report(failure: &anyhow::Error) {
    let refused = failure.downcast_ref::<Problem>().filter(|_| !failure.is::<Unended>());
    if let Some(problem) = refused {
        for line in refusal(&problem.to_string(), &problem.violations) {
            say(line);
        }
        if let Some(hint) = &problem.hint {
            say(format!("hint: {hint}"));
        }
        return;
    }
    error(&failure.to_string());
    for cause in causes(failure.chain().map(ToString::to_string)) {
        say(format!("  because: {cause}"));
    }
}

/// The causes of what failed, without those that the one before ends with.
fn causes(chain: impl Iterator<Item = String>) -> Vec<String> {
    let chain: Vec<String> = chain.collect();
    let news = chain.windows(2).filter(|pair| !pair[0].ends_with(&pair[1]));
    news.map(|pair| pair[1].clone()).collect()
}

/// What was refused, in lines; what its `detail` says of a violation is not said twice.
fn refusal(detail: &str, violations: &[Violation]) -> Vec<String> {
    let first = violations.first().map(ToString::to_string).unwrap_or_default();
    let hint = violations.first().and_then(|violation| violation.hint.as_ref());
    if violations.len() == 1 && first == detail {
        let hint = hint.map(|hint| format!("    hint: {hint}"));
        return std::iter::once(format!("error: {detail}")).chain(hint).collect();
    }
    let detail =
        match detail.strip_suffix(first.as_str()).and_then(|count| count.strip_suffix("; the first: ")) {
            Some(count) => format!("error: {count}:"),
            None => format!("error: {detail}"),
        };
    std::iter::once(detail).chain(violations.iter().flat_map(violation)).collect()
}

/// What stands against something, in lines: its place, what is wrong, the way out. Further lines of a
/// message stand further in, so that they pass for nothing else.
pub(crate) fn violation(violation: &Violation) -> impl Iterator<Item = String> {
    let inside = |text: String| text.replace('\n', "\n      ");
    let hint = violation.hint.as_ref().map(|hint| inside(format!("    hint: {hint}")));
    std::iter::once(inside(format!("  {violation}"))).chain(hint)
}

/// Violations of a server's answer as data.
pub(crate) fn violations(found: &Value) {
    lines_of(found).into_iter().for_each(data);
}

/// The same, beside what was asked for.
pub(crate) fn say_violations(found: &Value) {
    lines_of(found).into_iter().for_each(say);
}

fn lines_of(found: &Value) -> Vec<String> {
    let found: Vec<Violation> = serde_json::from_value(found.clone()).unwrap_or_default();
    found.iter().flat_map(violation).collect()
}

/// A table with aligned columns; nothing but a remark for an empty one.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>], empty: &str) {
    if rows.is_empty() {
        say(empty);
        return;
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain(std::iter::once(head[column].width())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - cell.width()));
        }
        text.trim_end().to_owned()
    };
    data(line(&mut head.iter().copied()));
    for row in &rows {
        data(line(&mut row.iter().map(String::as_str)));
    }
}

/// `3 min`, `5 h`, `12 d`.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago an RFC 3339 text was, without the word.
pub(crate) fn age(value: &Value) -> String {
    match value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok()) {
        Some(at) => span((Utc::now() - at).num_seconds().max(0)),
        None => "-".into(),
    }
}

/// `3 min ago`, from an RFC 3339 text.
pub(crate) fn ago(value: &Value) -> String {
    match age(value).as_str() {
        "-" => "-".into(),
        age => format!("{age} ago"),
    }
}

/// The text of a field, `-` where it is absent.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_tells_its_place_and_the_way_out() {
        let found =
            Violation::new("field_conflict", "components[web]", "is written twice").hint("remove one");
        let place = slipway_types::Place { file: "shop.yaml".into(), line: 3, column: 7 };
        let lines: Vec<String> = violation(&found.at(place)).collect();
        assert_eq!(lines, ["  shop.yaml:3:7: components[web]: is written twice", "    hint: remove one"]);
    }

    #[test]
    fn what_others_wrote_drives_no_terminal_and_forges_no_line() {
        assert_eq!(printable("a\u{1b}[31m\tb\n\u{9b}c\r"), "a [31m\tb\n c ");
        assert_eq!(printable("\u{5e9}\u{202e}abc\u{2069}"), "\u{5e9} abc ");
        assert_eq!(one_line("fine\nKIND NAME"), "fine KIND NAME");
        let json = serde_json::json!({"a": "\u{1b}\u{9b}\u{7f}"});
        let shown = escaped(json.to_string());
        assert_eq!(shown, r#"{"a":"\u001b\u009b\u007f"}"#);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), json);
        let lines: Vec<String> = violation(&Violation::new("x", "a", "is wrong\n  b: too")).collect();
        assert_eq!(lines, ["  a: is wrong\n        b: too"]);
    }

    #[test]
    fn a_cause_is_said_once() {
        let chain = ["cannot open it", "the driver says: (11) malformed", "(11) malformed", "gone"];
        let told = causes(chain.into_iter().map(str::to_owned));
        assert_eq!(told, ["the driver says: (11) malformed", "gone"]);
    }

    #[test]
    fn what_is_refused_is_said_once() {
        let one = Violation::new("x", "a", "is wrong").hint("right it");
        let other = Violation::new("x", "b", "is wrong too");
        let single = refusal("a: is wrong", std::slice::from_ref(&one));
        assert_eq!(single, ["error: a: is wrong", "    hint: right it"]);
        let both = refusal("2 violations; the first: a: is wrong", &[one.clone(), other]);
        assert_eq!(
            both,
            ["error: 2 violations:", "  a: is wrong", "    hint: right it", "  b: is wrong too"]
        );
        assert_eq!(refusal("it is refused", &[one])[..2], ["error: it is refused", "  a: is wrong"]);
        assert_eq!(refusal("gone", &[]), ["error: gone"]);
    }

    #[test]
    fn spans_have_one_unit() {
        for (seconds, shown) in [(59, "59 s"), (3599, "59 min"), (172_799, "47 h"), (172_800, "2 d")] {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn sizes_are_rounded_to_one_decimal() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
