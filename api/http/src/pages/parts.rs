//! Parts of pages that stand in many of them. They are HTML already, made by templates that escape.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, Utc};
use slipway_types::Digest;

use super::texts::Texts;

/// How something stands: told by colour, by shape and by word.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/status.html")]
pub(super) struct Status {
    tone: &'static str,
    word: &'static str,
}

/// What a state means for those who look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Busy,
    Waiting,
    Bad,
    /// It becomes another.
    Changes,
    Off,
}

/// A time: how long ago, and exactly.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/moment.html")]
pub(super) struct Moment {
    iso: String,
    exact: String,
    relative: String,
}

/// A digest: short, with the whole at hand.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/digest.html")]
pub(super) struct ShortDigest {
    whole: String,
    short: String,
    copy: &'static str,
}

/// Text for a terminal, to be copied.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/command.html")]
pub(super) struct Command {
    text: String,
    copy: &'static str,
}

impl HtmlSafe for Status {}
impl HtmlSafe for Moment {}
impl HtmlSafe for ShortDigest {}
impl HtmlSafe for Command {}

impl Tone {
    /// Of the states of runs, builds, checks and deployments.
    fn of(state: &str) -> Self {
        match state {
            "done" | "pushed" | "reused" | "live" | "delivered" | "passed" => Self::Good,
            "planning" | "building" | "packaging" | "pushing" | "cancelling" | "progressing"
            | "handed_off" | "terminating" | "deleting" | "running" => Self::Busy,
            "queued" | "draft" | "frozen" | "awaiting" | "approved" | "suspended" | "pending" => {
                Self::Waiting
            }
            "failed" | "timed_out" | "degraded" | "unreachable" | "rejected" | "broken" | "error" => {
                Self::Bad
            }
            _ => Self::Off,
        }
    }

    /// Its class in the style sheet, which gives it colour and shape.
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Bad => "bad",
            Self::Changes => "change",
            Self::Off => "off",
        }
    }
}

impl Status {
    /// Of a run, build, check or deployment, by its state's word.
    pub(super) fn of(t: &Texts, state: &'static str) -> Self {
        Self { tone: Tone::of(state).class(), word: t.state(state) }
    }

    /// Of something else that has states of its own.
    pub(super) fn told(tone: Tone, word: &'static str) -> Self {
        Self { tone: tone.class(), word }
    }

    /// Its word.
    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    /// Its class in the style sheet.
    pub(super) fn tone(&self) -> &'static str {
        self.tone
    }
}

impl Moment {
    pub(super) fn new(t: &Texts, at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            exact: at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            relative: t.ago(now - at),
        }
    }
}

impl ShortDigest {
    pub(super) fn new(t: &Texts, digest: &Digest) -> Self {
        Self { whole: digest.to_string(), short: digest.short(), copy: t.copy }
    }
}

impl Command {
    pub(super) fn new(t: &Texts, text: impl Into<String>) -> Self {
        Self { text: text.into(), copy: t.copy }
    }
}

/// A size in bytes for people: three digits, in powers of 1000.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    let (mut whole, mut rest) = (bytes, 0);
    while whole >= 1000 && unit + 1 < units.len() {
        (rest, whole) = (whole % 1000, whole / 1000);
        unit += 1;
    }
    let unit_word = units[unit];
    match (unit, whole) {
        (1.., 0..10) => format!("{whole}.{} {unit_word}", rest / 100),
        _ => format!("{whole} {unit_word}"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::texts::{CHINESE, ENGLISH};
    use super::*;

    #[test]
    fn a_time_says_how_long_ago_and_exactly() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let moment = Moment::new(&ENGLISH, at, at + TimeDelta::minutes(3)).to_string();
        let wanted = "<time data-changing datetime=\"2023-11-14T22:13:20Z\" title=\"2023-11-14 22:13:20 UTC\"><span class=\"ago\">3 minutes ago</span><span class=\"exact\">2023-11-14 22:13:20 UTC</span></time>";
        assert_eq!(moment, wanted);
        assert!(Moment::new(&CHINESE, at, at).to_string().contains("刚刚"));
    }

    #[test]
    fn sizes_have_a_unit() {
        for (bytes, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12 kB"),
            (9_990_000, "9.9 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), wanted);
        }
    }

    #[test]
    fn what_a_part_is_given_is_escaped() {
        let command = Command::new(&ENGLISH, "<script>\"'").to_string();
        assert!(!command.contains("<script>") && command.contains("&#60;script&#62;&#34;&#39;"), "{command}");
    }
}
