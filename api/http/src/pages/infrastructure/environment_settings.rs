//! An environment's settings as a form has them. What no field says (keys of signers, a registry to pull from, an HTTP
//! receiver's address) stays as it was.

use std::collections::BTreeMap;

use slipway_types::environment::{
    Approvals, CheckOwner, DriftPolicy, EnvironmentSettings, Follow, Gates, ReceiverSettings, SecretHandling,
    Soak,
};
use slipway_types::name::{ChannelName, CheckName};

use super::environment_facts::{lines_of_windows, receiver_name};
use super::field::Field;
use super::form::Form;
use super::reading::{Reading, lines_of, lines_of_pairs};
use crate::pages::forms::Fields;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;

/// The word for a ticked box.
const TICKED: &str = "yes";

/// The word of a receiver, as settings have it.
fn receiver_word(receiver: &ReceiverSettings) -> &'static str {
    match receiver {
        ReceiverSettings::Core {} => "core",
        ReceiverSettings::Oci { .. } => "oci",
        ReceiverSettings::Kubevela { .. } => "kubevela",
        ReceiverSettings::Http { .. } => "http",
    }
}

/// A receiver of that word: as it was, if it was one of these.
fn receiver(word: Option<&str>, before: ReceiverSettings) -> ReceiverSettings {
    let secrets = SecretHandling::default();
    match word {
        Some(word) if word == receiver_word(&before) => before,
        Some("core") => ReceiverSettings::Core {},
        Some("oci") => ReceiverSettings::Oci { registry: None, secrets, argo_waves: false },
        Some("kubevela") => ReceiverSettings::Kubevela { namespace: None, secrets },
        _ => before,
    }
}

fn drift_word(drift: DriftPolicy) -> &'static str {
    match drift {
        DriftPolicy::Report => "report",
        DriftPolicy::Correct => "correct",
    }
}

fn ticked(is: bool) -> String {
    if is { TICKED.to_owned() } else { String::new() }
}

fn shown<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// What the fields hold where this is set.
pub(super) fn held(settings: &EnvironmentSettings) -> Vec<(&'static str, String)> {
    let gates = &settings.gates;
    let approvals = gates.approvals.as_ref();
    let owners: BTreeMap<String, &str> =
        settings.checks.iter().map(|(check, owner)| (check.to_string(), owner.by.as_str())).collect();
    let mut held = vec![
        ("upstream", shown(settings.upstream.as_ref())),
        ("receiver", receiver_word(&settings.receiver).to_owned()),
        ("create_namespace", ticked(settings.create_namespace)),
        ("approvals_count", shown(approvals.map(|approvals| &approvals.count))),
        ("approvals_of", lines_of(approvals.into_iter().flat_map(|approvals| &approvals.of))),
        ("author_may", ticked(approvals.is_some_and(|approvals| approvals.author_may))),
        ("windows", lines_of_windows(&gates.windows)),
        ("gate_labels", shown(gates.labels.as_ref())),
        ("gate_channels", lines_of(&gates.channels)),
        ("gate_checks", lines_of(&gates.checks)),
        ("checks", lines_of_pairs(&owners)),
        ("soak_minutes", shown(gates.soak.as_ref().map(|soak| &soak.minutes))),
        ("expire_after_hours", shown(settings.expire_after_hours.as_ref())),
        ("drift", settings.drift.map(drift_word).unwrap_or_default().to_owned()),
        ("labels", lines_of_pairs(&settings.labels)),
    ];
    if let Some(follow) = &settings.follow {
        held.extend([
            ("follow_channel", shown(follow.channel.as_ref())),
            ("follow_branch", shown(follow.branch.as_ref())),
            ("follow_range", shown(follow.range.as_ref())),
            ("follow_selector", shown(follow.selector.as_ref())),
            ("follow_from", shown(follow.from.as_ref())),
            ("follow_soak", shown(follow.soak_minutes.as_ref())),
            ("follow_windows", lines_of_windows(&follow.windows)),
            ("follow_applications", lines_of(&follow.applications)),
        ]);
    }
    held
}

fn owners(reading: &mut Reading<'_>) -> BTreeMap<CheckName, CheckOwner> {
    let mut owners = BTreeMap::new();
    for (check, by) in reading.pairs("checks") {
        match check.parse::<CheckName>() {
            Ok(check) => {
                owners.insert(check, CheckOwner { by });
            }
            Err(error) => reading.refuse("checks", error),
        }
    }
    owners
}

fn gates(reading: &mut Reading<'_>, before: Gates) -> Gates {
    let of = reading.each::<String>("approvals_of");
    let author_may = reading.ticked("author_may");
    let count = reading.number("approvals_count");
    if count.is_none() && !of.is_empty() {
        reading.refuse("approvals_count", "is empty, while people are named: say how many of them");
    }
    Gates {
        approvals: count.map(|count| Approvals { count, of: of.into_iter().collect(), author_may }),
        windows: reading.each("windows"),
        labels: reading.one("gate_labels"),
        channels: reading.each::<ChannelName>("gate_channels").into_iter().collect(),
        checks: reading.each::<CheckName>("gate_checks").into_iter().collect(),
        soak: reading.number("soak_minutes").map(|minutes| Soak { minutes }),
        signatures: before.signatures,
    }
}

fn follow(reading: &mut Reading<'_>) -> Option<Follow> {
    let follow = Follow {
        applications: reading.each::<String>("follow_applications").into_iter().collect(),
        channel: reading.one("follow_channel"),
        branch: reading.one("follow_branch"),
        selector: reading.one("follow_selector"),
        range: reading.one("follow_range"),
        from: reading.one("follow_from"),
        soak_minutes: reading.number("follow_soak"),
        windows: reading.each("follow_windows"),
    };
    (follow != Follow::default()).then_some(follow)
}

/// The settings that a form asks for, over those that were.
pub(super) fn read(reading: &mut Reading<'_>, before: EnvironmentSettings) -> EnvironmentSettings {
    let drift = match reading.text("drift").as_deref() {
        Some("report") => Some(DriftPolicy::Report),
        Some("correct") => Some(DriftPolicy::Correct),
        _ => None,
    };
    EnvironmentSettings {
        upstream: reading.one("upstream"),
        receiver: receiver(reading.text("receiver").as_deref(), before.receiver),
        create_namespace: reading.ticked("create_namespace"),
        gates: gates(reading, before.gates),
        checks: owners(reading),
        follow: follow(reading),
        expire_after_hours: reading.number("expire_after_hours"),
        drift,
        labels: reading.pairs("labels"),
        pull_registry: before.pull_registry,
    }
}

fn first(none: &str, names: &[String]) -> Vec<(String, String)> {
    let names = names.iter().map(|name| (name.clone(), name.clone()));
    std::iter::once((String::new(), none.to_owned())).chain(names).collect()
}

fn gate_fields(form: Form, own: &'static InfrastructureTexts, fields: &Fields) -> Form {
    form.group(own.gates)
        .field(
            Field::number("approvals_count", own.approvals_count, fields)
                .place("settings.gates.approvals.count")
                .help(own.approvals_count_help),
        )
        .field(
            Field::lines("approvals_of", own.approvals_of, fields)
                .place("settings.gates.approvals.of")
                .help(own.approvals_of_help),
        )
        .field(Field::check("author_may", own.author_may, fields).place("settings.gates.approvals.authorMay"))
        .field(
            Field::lines("windows", own.gate_windows, fields)
                .place("settings.gates.windows")
                .help(own.windows_help),
        )
        .field(
            Field::text("gate_labels", own.gate_labels, fields)
                .place("settings.gates.labels")
                .help(own.selector_help),
        )
        .field(
            Field::lines("gate_channels", own.gate_channels, fields)
                .place("settings.gates.channels")
                .help(own.one_a_line),
        )
        .field(
            Field::lines("gate_checks", own.gate_checks, fields)
                .place("settings.gates.checks")
                .help(own.one_a_line),
        )
        .field(
            Field::lines("checks", own.check_owners, fields)
                .place("settings.checks")
                .help(own.check_owners_help),
        )
        .field(
            Field::number("soak_minutes", own.soak_minutes, fields)
                .place("settings.gates.soak")
                .help(own.soak_help),
        )
}

fn follow_fields(
    form: Form,
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    fields: &Fields,
    environments: &[String],
) -> Form {
    form.group(own.follow)
        .field(
            Field::text("follow_channel", own.follow_channel, fields)
                .place("settings.follow")
                .help(own.follow_help),
        )
        .field(Field::text("follow_branch", own.follow_branch, fields).place("settings.follow.branch"))
        .field(
            Field::text("follow_range", own.follow_range, fields)
                .place("settings.follow.range")
                .help(own.range_help),
        )
        .field(
            Field::text("follow_selector", own.follow_selector, fields)
                .place("settings.follow.selector")
                .help(own.selector_help),
        )
        .field(
            Field::choice("follow_from", own.follow_from, fields, first(t.nothing, environments))
                .place("settings.follow.from"),
        )
        .field(
            Field::number("follow_soak", own.follow_soak_minutes, fields)
                .place("settings.follow.soakMinutes"),
        )
        .field(
            Field::lines("follow_windows", own.follow_windows, fields)
                .place("settings.follow.windows")
                .help(own.windows_help),
        )
        .field(
            Field::lines("follow_applications", own.follow_applications, fields)
                .place("settings.follow.applications")
                .help(own.follow_applications_help),
        )
}

/// The fields of all that a form may set.
pub(super) fn fields_of(
    form: Form,
    (t, own): (&'static Texts, &'static InfrastructureTexts),
    fields: &Fields,
    environments: &[String],
    before: &EnvironmentSettings,
) -> Form {
    let kinds = [("core", own.receiver_core), ("oci", own.receiver_oci), ("kubevela", own.receiver_kubevela)];
    // Of another kind it can only be told as a whole.
    let other = Some((receiver_word(&before.receiver), receiver_name(own, &before.receiver)));
    let other = other.filter(|(word, _)| kinds.iter().all(|(known, _)| known != word));
    let receivers = kinds.into_iter().chain(other).map(|(word, text)| (word.to_owned(), text.to_owned()));
    let drifts = [("", own.as_usual), ("report", own.drift_report), ("correct", own.drift_correct)];
    let drifts = drifts.map(|(word, text)| (word.to_owned(), text.to_owned()));
    let form = form
        .group("")
        .field(
            Field::choice("upstream", t.upstream, fields, first(t.nothing, environments))
                .place("settings.upstream")
                .help(own.upstream_help),
        )
        .field(
            Field::choice("receiver", own.receiver, fields, receivers)
                .place("settings.receiver")
                .help(own.receiver_help),
        )
        .field(
            Field::check("create_namespace", own.create_namespace, fields).place("settings.createNamespace"),
        );
    let form = gate_fields(form, own, fields);
    follow_fields(form, t, own, fields, environments)
        .group(own.further)
        .field(
            Field::number("expire_after_hours", own.expire_after_hours, fields)
                .place("settings.expireAfterHours"),
        )
        .field(Field::choice("drift", own.drift, fields, drifts).place("settings.drift"))
        .field(Field::lines("labels", t.labels, fields).place("settings.labels").help(own.labels_help))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_form_shows_it_reads_again_and_the_rest_stays() {
        let settings = json!({
            "upstream": "staging",
            "receiver": {"type": "http", "url": "https://x.example", "keyId": "k", "key": "secret://builtin/k"},
            "pullRegistry": {"prefix": "registry.example/shop"},
            "gates": {
                "approvals": {"count": 2, "of": ["ann", "bob"], "authorMay": true},
                "windows": ["mon-fri 09:00-17:00 +08:00", "sun 10:00-12:00"],
                "labels": "tested=yes",
                "channels": ["stable"],
                "checks": ["load"],
                "soak": {"minutes": 30},
            },
            "checks": {"load": {"by": "ci"}},
            "follow": {
                "applications": ["shop"], "branch": "main", "from": "staging", "soakMinutes": 5,
                "windows": ["daily 00:00-06:00"],
            },
            "createNamespace": true,
            "expireAfterHours": 12,
            "drift": "correct",
            "labels": {"ring": "1"},
        });
        let settings: EnvironmentSettings = serde_json::from_value(settings).unwrap();
        let fields = Fields::filled(held(&settings));
        let mut reading = Reading::new(&fields);
        assert_eq!(read(&mut reading, settings.clone()), settings);
        assert!(reading.finish().is_ok());
        let empty = EnvironmentSettings::default();
        let fields = Fields::filled(held(&empty));
        assert_eq!(read(&mut Reading::new(&fields), empty.clone()), empty);
    }

    #[test]
    fn a_field_that_was_emptied_sets_nothing() {
        let before = json!({
            "gates": {"approvals": {"count": 2}, "soak": {"minutes": 30}},
            "follow": {"branch": "main"},
            "drift": "correct",
        });
        let before: EnvironmentSettings = serde_json::from_value(before).unwrap();
        let fields = Fields::filled([("receiver", "core".to_owned())]);
        let read = read(&mut Reading::new(&fields), before);
        let wanted =
            EnvironmentSettings { receiver: ReceiverSettings::Core {}, ..EnvironmentSettings::default() };
        assert_eq!(read, wanted);
    }

    #[test]
    fn people_without_a_number_are_refused_at_the_number() {
        let fields = Fields::filled([("approvals_of", "ann".to_owned()), ("windows", "never".to_owned())]);
        let mut reading = Reading::new(&fields);
        read(&mut reading, EnvironmentSettings::default());
        let refused = reading.finish().unwrap_err();
        let places: Vec<_> = refused.all_violations().iter().map(|wrong| wrong.path.as_str()).collect();
        assert_eq!(places, ["approvals_count", "windows"]);
    }
}
