//! Gates: what must hold before a revision goes out.
//!
//! Pure: [`Facts`] say what is known, [`ask`] says which gates are closed and what would open them.
//! What developers write opens none of them: labels under `source/` and checks named `source/…` cannot
//! be asked for, see [`slipway_types::environment::EnvironmentSettings::check`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde::Serialize;
use slipway_records::{Approval, BundleCheck, CheckState};
use slipway_types::Digest;
use slipway_types::environment::{Approvals, CheckOwner, EnvironmentSettings, Window};
use slipway_types::label::Labels;
use slipway_types::name::{ChannelName, CheckName, KeyName};

use crate::signatures::Signatures;

/// Most of those who reported a check that is not theirs who are named.
const OTHERS_MAX: usize = 3;

/// What gates are asked about.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Now.
    pub now: DateTime<Utc>,
    /// The frozen revision.
    pub revision: Digest,
    /// Those who cannot approve their own doing: who made the deployment, who pushed the commit.
    pub authors: BTreeSet<String>,
    /// What was said of the deployment.
    pub approvals: Vec<Approval>,
    /// The bundle's labels.
    pub labels: Labels,
    /// Channels that name the bundle.
    pub channels: BTreeSet<ChannelName>,
    /// What was reported of the bundle's checks, by whomever.
    pub checks: Vec<BundleCheck>,
    /// Whose signatures over the bundle hold.
    pub signatures: Signatures,
    /// How long the same components have run upstream without a break, in minutes; `None`: never.
    pub soaked_minutes: Option<u64>,
    /// Name of the environment upstream.
    pub upstream: Option<String>,
}

/// How one gate stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// `pin`, `order`, `approvals`, `window`, `labels`, `channel`, `check`, `signature`, `soak`; `rollback` where
    /// none of them is asked.
    pub gate: &'static str,
    /// Whether it is open.
    pub open: bool,
    /// What holds, or what is missing.
    pub detail: String,
    /// When it may open by itself, in seconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_in_s: Option<u64>,
}

impl Gate {
    fn new(gate: &'static str, open: bool, detail: impl Into<String>) -> Self {
        Self { gate, open, detail: detail.into(), opens_in_s: None }
    }
}

/// How every gate of an environment stands.
pub fn ask(settings: &EnvironmentSettings, facts: &Facts) -> Vec<Gate> {
    let gates = &settings.gates;
    let mut found = Vec::new();
    found.extend(gates.approvals.as_ref().map(|wanted| approvals(wanted, facts)));
    if !gates.windows.is_empty() {
        found.push(windows(&gates.windows, facts.now));
    }
    if let Some(selector) = &gates.labels {
        let open = selector.matches(&facts.labels);
        let detail = if open {
            format!("`{selector}` holds")
        } else {
            format!("the bundle's labels do not match `{selector}`")
        };
        found.push(Gate::new("labels", open, detail));
    }
    if !gates.channels.is_empty() {
        found.push(channels(&gates.channels, &facts.channels));
    }
    found.extend(gates.checks.iter().map(|name| check(name, settings.checks.get(name), facts)));
    found.extend(gates.signatures.iter().map(|signer| signature(&signer.name, &facts.signatures)));
    found.extend(gates.soak.as_ref().map(|wanted| soak(u64::from(wanted.minutes), facts)));
    found
}

/// The first moment at which a closed gate may open by itself.
pub fn next_look(gates: &[Gate]) -> Option<Duration> {
    gates.iter().filter(|gate| !gate.open).filter_map(|gate| gate.opens_in_s).min().map(Duration::from_secs)
}

/// Whether this person's word counts.
pub fn counts(wanted: &Approvals, facts: &Facts, approval: &Approval) -> bool {
    let is_author = facts.authors.contains(&approval.person) || facts.authors.contains(&approval.token);
    let is_named = wanted.of.is_empty() || wanted.of.contains(&approval.person);
    approval.revision == facts.revision && is_named && (wanted.author_may || !is_author)
}

fn approvals(wanted: &Approvals, facts: &Facts) -> Gate {
    let counted: BTreeMap<&str, &Approval> = facts
        .approvals
        .iter()
        .filter(|approval| counts(wanted, facts, approval))
        .map(|approval| (approval.person.as_str(), approval))
        .collect();
    let open = counted.len() >= wanted.count as usize;
    let mut detail = format!("{} of {} approvals", counted.len(), wanted.count);
    if !counted.is_empty() {
        detail.push_str(&format!(" ({})", counted.keys().copied().collect::<Vec<_>>().join(", ")));
    }
    let ignored: Vec<&str> = facts
        .approvals
        .iter()
        .filter(|approval| !counts(wanted, facts, approval))
        .map(|approval| approval.person.as_str())
        .collect();
    if !open && !ignored.is_empty() {
        detail.push_str(&format!(
            "; not counted: {} (author, not named, or of another revision)",
            ignored.join(", ")
        ));
    }
    if !open && !wanted.of.is_empty() {
        let named: Vec<&str> = wanted.of.iter().map(String::as_str).collect();
        detail.push_str(&format!("; may approve: {}", named.join(", ")));
    }
    Gate::new("approvals", open, detail)
}

/// Minutes since Monday 00:00 UTC.
pub fn minute_of_week(now: DateTime<Utc>) -> u32 {
    (now.weekday().num_days_from_monday() * 24 + now.hour()) * 60 + now.minute()
}

fn windows(windows: &[Window], now: DateTime<Utc>) -> Gate {
    let minute = minute_of_week(now);
    let shown = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if windows.iter().any(|window| window.contains(minute)) {
        return Gate::new("window", true, format!("within {shown}"));
    }
    let wait = windows.iter().map(|window| window.opens_in(minute)).min().unwrap_or(0);
    let seconds = u64::from(wait) * 60 - u64::from(now.second()).min(u64::from(wait) * 60);
    let mut gate =
        Gate::new("window", false, format!("outside of {shown}; opens in {}", duration(u64::from(wait))));
    gate.opens_in_s = Some(seconds.max(1));
    gate
}

/// Minutes for people.
fn duration(minutes: u64) -> String {
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes % 1440 / 60),
    }
}

fn channels(wanted: &BTreeSet<ChannelName>, named: &BTreeSet<ChannelName>) -> Gate {
    let list = |names: &mut dyn Iterator<Item = &ChannelName>| {
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    if let Some(channel) = wanted.intersection(named).next() {
        return Gate::new("channel", true, format!("channel `{channel}` names it"));
    }
    Gate::new(
        "channel",
        false,
        format!("none of the channels {} names this bundle", list(&mut wanted.iter())),
    )
}

fn check(name: &CheckName, owner: Option<&CheckOwner>, facts: &Facts) -> Gate {
    let Some(owner) = owner.map(|owner| owner.by.as_str()) else {
        let detail =
            format!("nobody's word on check `{name}` counts: name its owner under `checks` with `by`");
        return Gate::new("check", false, detail);
    };
    let reports = facts.checks.iter().filter(|check| check.name == *name);
    let (own, others): (Vec<_>, Vec<_>) = reports.partition(|check| check.reported_by == owner);
    let (open, mut detail) = match own.first() {
        None => (false, format!("check `{name}` was not reported yet; it is {owner}'s to report")),
        Some(check) => match check.state {
            CheckState::Passed => (true, format!("check `{name}` is green")),
            CheckState::Pending => (false, format!("check `{name}` is under way")),
            CheckState::Failed => {
                let why = check.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
                (false, format!("check `{name}` failed{why}"))
            }
        },
    };
    // Beside the owner's word only a red one is news.
    let told = others.into_iter().filter(|check| own.is_empty() || check.state == CheckState::Failed);
    let told: Vec<String> =
        told.map(|check| format!("{} ({})", check.reported_by, check.state.word())).collect();
    if !told.is_empty() {
        detail.push_str("; not counted: ");
        detail.push_str(&told[..told.len().min(OTHERS_MAX)].join(", "));
    }
    if told.len() > OTHERS_MAX {
        detail.push_str(&format!(" and {} more", told.len() - OTHERS_MAX));
    }
    Gate::new("check", open, detail)
}

fn signature(name: &KeyName, signatures: &Signatures) -> Gate {
    if signatures.by.contains_key(name) {
        return Gate::new("signature", true, format!("signed by `{name}`"));
    }
    let mut detail = format!("no signature by `{name}` over this bundle");
    if !signatures.unfit.is_empty() {
        detail.push_str(&format!(" ({})", signatures.unfit.join("; ")));
    }
    if !signatures.command.is_empty() {
        detail.push_str(&format!("; whoever holds the key: {}", signatures.command));
    }
    Gate::new("signature", false, detail)
}

fn soak(wanted: u64, facts: &Facts) -> Gate {
    let upstream = facts.upstream.as_deref().unwrap_or("upstream");
    match facts.soaked_minutes {
        None => Gate::new("soak", false, format!("the same components do not run in {upstream}")),
        Some(soaked) if soaked >= wanted => {
            Gate::new("soak", true, format!("ran in {upstream} for {}", duration(soaked)))
        }
        Some(soaked) => {
            let detail = format!("ran in {upstream} for {} of {}", duration(soaked), duration(wanted));
            let mut gate = Gate::new("soak", false, detail);
            gate.opens_in_s = Some((wanted - soaked) * 60);
            gate
        }
    }
}

#[cfg(test)]
mod tests;
