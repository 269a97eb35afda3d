//! What people and scripts see: data on standard output, talk on standard error.
#![expect(clippy::print_stderr, reason = "this module is where the command line speaks")]

use std::io::{IsTerminal, Write as _};

use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_types::Violation;
use unicode_width::UnicodeWidthStr;

use crate::client::Problem;

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
    let mut out = std::io::stdout().lock();
    if let Err(failure) = writeln!(out, "{}", line.as_ref()) {
        end_unwritten(&failure);
    }
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
    data(text.unwrap_or_default());
}

/// Says something to the person.
pub(crate) fn say(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}

/// Says that something failed.
pub(crate) fn error(line: &str) {
    eprintln!("error: {line}");
}

/// Says what failed, why, and what to do.
pub(crate) fn report(failure: &anyhow::Error) {
    if let Some(problem) = failure.downcast_ref::<Problem>() {
        error(&problem.to_string());
        for line in problem.violations.iter().flat_map(violation) {
            eprintln!("{line}");
        }
        if let Some(hint) = &problem.hint {
            eprintln!("hint: {hint}");
        }
        return;
    }
    error(&failure.to_string());
    for cause in failure.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// What stands against something, in lines: its place, what is wrong, the way out.
pub(crate) fn violation(violation: &Violation) -> impl Iterator<Item = String> {
    let hint = violation.hint.as_ref().map(|hint| format!("    hint: {hint}"));
    std::iter::once(format!("  {violation}")).chain(hint)
}

/// Violations of a server's answer as data.
pub(crate) fn violations(found: &Value) {
    let found: Vec<Violation> = serde_json::from_value(found.clone()).unwrap_or_default();
    for line in found.iter().flat_map(violation) {
        data(line);
    }
}

/// A table with aligned columns; nothing but a remark for an empty one.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>], empty: &str) {
    if rows.is_empty() {
        say(empty);
        return;
    }
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
    for row in rows {
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
