//! An environment's settings as people are told of them.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use slipway_types::environment::{
    Approvals, DriftPolicy, EnvironmentSettings, Follow, Gates, ReceiverSettings, Window,
};
use slipway_types::name::CheckName;

use super::facts::Facts;
use super::reading::lines_of;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;

/// Minutes in a day.
const DAY_MINUTES: u32 = 24 * 60;

/// What a receiver is called.
pub(super) fn receiver_name(own: &InfrastructureTexts, receiver: &ReceiverSettings) -> &'static str {
    match receiver {
        ReceiverSettings::Core {} => own.receiver_core,
        ReceiverSettings::Oci { .. } => own.receiver_oci,
        ReceiverSettings::Kubevela { .. } => own.receiver_kubevela,
        ReceiverSettings::Http { .. } => own.receiver_http,
    }
}

/// Which gates there are.
pub(super) fn gate_names(own: &InfrastructureTexts, gates: &Gates) -> Vec<&'static str> {
    let Gates { approvals, windows, labels, channels, checks, signatures, soak } = gates;
    let gates = [
        (approvals.is_some(), own.gate_approvals),
        (!windows.is_empty(), own.gate_windows),
        (labels.is_some(), own.gate_labels),
        (!channels.is_empty(), own.gate_channels),
        (!checks.is_empty(), own.gate_checks),
        (!signatures.is_empty(), own.gate_signatures),
        (soak.is_some(), own.gate_soak),
    ];
    gates.into_iter().filter_map(|(is_there, name)| is_there.then_some(name)).collect()
}

/// A window, and whether it is open.
fn window_line(t: &Texts, own: &InfrastructureTexts, window: &Window, now: DateTime<Utc>) -> String {
    let minute = now.weekday().num_days_from_monday() * DAY_MINUTES + now.hour() * 60 + now.minute();
    match window.opens_in(minute) {
        0 => format!("{window} ({})", own.open_now),
        minutes => format!("{window} ({} {})", own.opens_in, t.took(TimeDelta::minutes(i64::from(minutes)))),
    }
}

fn approvals_line(own: &InfrastructureTexts, approvals: &Approvals) -> String {
    let Approvals { count, of, author_may } = approvals;
    let of = of.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let of = if of.is_empty() { String::new() } else { format!(" ({of})") };
    let author = if *author_may { format!(", {}", own.author_may) } else { String::new() };
    format!("{count}{of}{author}")
}

fn minutes(t: &Texts, minutes: u32) -> String {
    t.took(TimeDelta::minutes(i64::from(minutes)))
}

fn gates(
    facts: Facts,
    t: &Texts,
    own: &InfrastructureTexts,
    settings: &EnvironmentSettings,
    now: DateTime<Utc>,
) -> Facts {
    let gates = &settings.gates;
    let owner =
        |check: &CheckName| settings.checks.get(check).map(|owner| owner.by.clone()).unwrap_or_default();
    let checks = gates.checks.iter().map(|check| format!("{check} ({})", owner(check)));
    let windows = gates.windows.iter().map(|window| window_line(t, own, window, now));
    facts
        .text(own.gate_approvals, gates.approvals.as_ref().map(|approvals| approvals_line(own, approvals)))
        .lines(own.gate_windows, windows.collect())
        .code(own.gate_labels, gates.labels.as_ref().map(ToString::to_string))
        .lines(own.gate_channels, gates.channels.iter().map(ToString::to_string).collect())
        .lines(own.gate_checks, checks.collect())
        .lines(own.gate_signatures, gates.signatures.iter().map(|signer| signer.name.to_string()).collect())
        .text(own.gate_soak, gates.soak.as_ref().map(|soak| minutes(t, soak.minutes)))
}

fn follow(facts: Facts, t: &Texts, own: &InfrastructureTexts, follow: &Follow, now: DateTime<Utc>) -> Facts {
    let windows = follow.windows.iter().map(|window| window_line(t, own, window, now));
    facts
        .lines(own.follow_applications, follow.applications.iter().cloned().collect())
        .text(own.follow_channel, follow.channel.as_ref().map(ToString::to_string))
        .text(own.follow_branch, follow.branch.as_ref().map(ToString::to_string))
        .code(own.follow_selector, follow.selector.as_ref().map(ToString::to_string))
        .code(own.follow_range, follow.range.as_ref().map(ToString::to_string))
        .text(own.follow_from, follow.from.as_ref().map(ToString::to_string))
        .text(own.follow_soak, follow.soak_minutes.map(|soak| minutes(t, soak)))
        .lines(own.follow_windows, windows.collect())
}

/// All that is set.
pub(super) fn facts_of(
    t: &Texts,
    own: &'static InfrastructureTexts,
    address: &str,
    settings: &EnvironmentSettings,
    now: DateTime<Utc>,
) -> Facts {
    let drift = match settings.drift() {
        DriftPolicy::Report => own.drift_report,
        DriftPolicy::Correct => own.drift_correct,
    };
    let namespace = if settings.create_namespace { own.namespace_made } else { own.namespace_there };
    let labels = settings.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let facts = Facts::default()
        .code(t.address, address.to_owned())
        .text(t.upstream, settings.upstream.as_ref().map(ToString::to_string))
        .text(own.receiver, receiver_name(own, &settings.receiver).to_owned())
        .code(own.pull_registry, settings.pull_registry.as_ref().map(|pull| pull.prefix.to_string()))
        .text(own.namespace, namespace.to_owned())
        .text(own.drift, drift.to_owned())
        .text(own.expires_after, t.took(TimeDelta::hours(i64::from(settings.expire_after_hours()))));
    let facts = gates(facts, t, own, settings, now);
    let facts = match &settings.follow {
        Some(wanted) => follow(facts, t, own, wanted, now),
        None => facts,
    };
    facts.codes(t.labels, labels.collect())
}

/// Windows as a form has them: one in each line.
pub(super) fn lines_of_windows(windows: &[Window]) -> String {
    lines_of(windows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::language::Language;

    #[test]
    fn settings_are_told_in_words() {
        let settings: EnvironmentSettings = serde_json::from_value(serde_json::json!({
            "upstream": "staging",
            "receiver": {"type": "core"},
            "gates": {
                "approvals": {"count": 2, "of": ["ann", "<b>"]},
                "windows": ["mon-fri 09:00-17:00", "sun 00:00-24:00"],
                "labels": "tested=yes",
                "soak": {"minutes": 90},
            },
            "follow": {"from": "staging", "soakMinutes": 5},
            "drift": "correct",
        }))
        .unwrap();
        // A Sunday.
        let now = DateTime::from_timestamp(1_700_352_000, 0).unwrap();
        for language in Language::ALL {
            let (t, own) = (language.texts(), InfrastructureTexts::of(language));
            let html = facts_of(t, own, "eu/kind/shop/default", &settings, now).to_string();
            for seen in [
                "eu/kind/shop/default",
                "2 (&#60;b&#62;, ann)",
                "tested=yes",
                "1 h 30 min",
                own.receiver_core,
                own.drift_correct,
            ] {
                assert!(html.contains(seen), "{seen}: {html}");
            }
            assert!(html.contains(&format!("sun 00:00-24:00 ({})", own.open_now)), "{html}");
            assert!(html.contains(&format!("mon-fri 09:00-17:00 ({} 33 h", own.opens_in)), "{html}");
        }
        let names = gate_names(InfrastructureTexts::of(Language::English), &settings.gates);
        assert_eq!(names.len(), 4);
    }
}
