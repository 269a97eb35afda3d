//! A message in words for people.

use chrono::{DateTime, Utc};

use crate::message::{Content, Message, Notice, NoticeEvent};

/// The longest line, in characters.
const LINE_CHARS_MAX: usize = 400;
/// Notices that are named in a message of several.
const NAMED_MAX: usize = 20;

/// A title, lines below it, and where more is to be read. No line has control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
    pub(crate) link: Option<String>,
}

impl Letter {
    pub(crate) fn of(message: &Message) -> Self {
        let (title, lines, link) = match &message.content {
            Content::One(notice) => (title(notice), lines(notice), Some(notice.link.clone())),
            Content::Several(notices) => several(notices),
            Content::Test(by) => {
                let line = format!("{by} has asked for it. Notices of deployments will come this way.");
                ("A test of Slipway's notices".to_owned(), vec![line], None)
            }
        };
        Self { title: line(&title), lines: lines.iter().map(|text| line(text)).collect(), link }
    }
}

fn title(notice: &Notice) -> String {
    let Notice { application, environment, version, generation, .. } = notice;
    let what = match notice.event {
        NoticeEvent::Failed => format!("{application} failed in {environment}"),
        NoticeEvent::TimedOut => format!("{application} timed out in {environment}"),
        NoticeEvent::Degraded => format!("{application} is degraded in {environment}"),
        NoticeEvent::Unreachable => format!("{application} is out of sight in {environment}"),
        NoticeEvent::Recovered => format!("{application} has recovered in {environment}"),
        NoticeEvent::WaitsForApproval => format!("{application} waits for approval in {environment}"),
        NoticeEvent::GatesBroken => format!("Gates were broken for {application} in {environment}"),
        NoticeEvent::Rejected => format!("{application} was rejected for {environment}"),
        NoticeEvent::Broken => format!("{application} could not be handed off to {environment}"),
        NoticeEvent::Expired => format!("{application} was not let into {environment} in time"),
    };
    format!("{what}: {version}, generation {generation}")
}

fn lines(notice: &Notice) -> Vec<String> {
    let blocker = notice.blocker.as_ref().map(|blocker| match notice.event {
        NoticeEvent::Recovered => format!("It was: {blocker}"),
        _ => blocker.clone(),
    });
    let times = match notice.until {
        Some(until) => format!("From {} to {}", time(notice.since), time(until)),
        None => format!("Since {}", time(notice.since)),
    };
    let deployed = format!("Deployed by {} to {}", notice.deployed_by, notice.address);
    blocker.into_iter().chain([deployed, times, notice.command.clone()]).collect()
}

fn several(notices: &[Notice]) -> (String, Vec<String>, Option<String>) {
    let mut lines: Vec<String> = notices.iter().take(NAMED_MAX).map(title).collect();
    if notices.len() > NAMED_MAX {
        lines.push(format!("and {} others", notices.len() - NAMED_MAX));
    }
    lines.push("slipway incident list".to_owned());
    (format!("And {} more notices", notices.len()), lines, None)
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// One line of what others may have written.
fn line(text: &str) -> String {
    let flat = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= LINE_CHARS_MAX {
        return flat.collect();
    }
    flat.take(LINE_CHARS_MAX - 1).chain(['…']).collect()
}
