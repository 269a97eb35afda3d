//! Which settings make channels, and whom these are for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::settings;
use crate::channels;
use crate::message::NoticeEvent;

fn refused(written: Value) -> String {
    let found = channels(&settings(&json!([written])), false);
    found.err().unwrap_or_else(|| panic!("{written} was taken")).to_string()
}

#[test]
fn channels_of_every_kind_are_taken() {
    let secret = "secret://builtin/notices/x";
    let written = json!([
        {"name": "hook", "kind": "webhook", "url": "https://x.example.com/notices", "secret": secret},
        {"name": "hook2", "kind": "webhook", "url": secret, "secret": secret, "key_id": "k1"},
        {"name": "mail", "kind": "mail", "server": "smtp.example.com", "from": "slipway@example.com",
            "to": ["Ops <ops@example.com>"], "user": "slipway", "secret": secret},
        {"name": "slack", "kind": "slack", "url": secret},
        {"name": "dingtalk", "kind": "dingtalk", "url": secret, "secret": secret},
        {"name": "feishu", "kind": "feishu", "url": secret},
        {"name": "wecom", "kind": "wecom", "url": "secret://file/etc/slipway/wecom"},
    ]);
    let made = channels(&settings(&written), false).unwrap();
    let kinds: Vec<&str> = made.iter().map(|channel| channel.way.kind().word()).collect();
    assert_eq!(kinds, ["webhook", "webhook", "mail", "slack", "dingtalk", "feishu", "wecom"]);
    let needed: Vec<usize> = made.iter().map(|channel| channel.way.secrets().len()).collect();
    assert_eq!(needed, [1, 2, 1, 1, 2, 1, 1]);
}

#[test]
fn what_makes_no_channel_is_named_and_no_secret_repeated() {
    let reference = "secret://builtin/x";
    let mail = json!({"name": "m", "kind": "mail", "server": "smtp.example.com", "from": "a@example.com",
        "to": ["b@example.com"]});
    let with = |field: &str, value: Value| {
        let mut changed = mail.clone();
        changed[field] = value;
        changed
    };
    for (written, part) in [
        (json!({"name": "No", "kind": "slack", "url": reference}), "name: "),
        (json!({"name": "a", "kind": "slack"}), "url: give the secret's reference"),
        (
            json!({"name": "a", "kind": "slack", "url": "https://hooks.slack.com/t0ken"}),
            "url: give the secret",
        ),
        (
            json!({"name": "a", "kind": "slack", "url": reference, "secret": reference}),
            "secret: the kind slack",
        ),
        (json!({"name": "a", "kind": "wecom", "url": reference, "to": ["x"]}), "to: the kind wecom has none"),
        (
            json!({"name": "a", "kind": "webhook", "url": "https://x.example.com/"}),
            "secret: messages are signed",
        ),
        (
            json!({"name": "a", "kind": "webhook", "url": "http://x.example.com/", "secret": reference}),
            "https://",
        ),
        (json!({"name": "a", "kind": "webhook", "url": "https://x/?t0ken", "secret": reference}), "query"),
        (json!({"name": "a", "kind": "feishu", "url": reference, "teams": ["No"]}), "teams: "),
        (json!({"name": "a", "kind": "feishu", "url": reference, "selector": "a in ("}), "selector: "),
        (with("tls", json!("none")), "notices.allow_plain"),
        (with("user", json!("x")), "belong together"),
        (with("secret", json!(reference)), "belong together"),
        (with("to", json!([])), "1 to 50 mailboxes"),
        (with("to", json!(["nobody"])), "user@example.com"),
        (with("server", json!("smtp.example.com/x")), "HOST:PORT"),
        (with("server", json!("")), "HOST:PORT"),
    ] {
        let message = refused(written.clone());
        assert!(message.contains(part), "{written}: {message}");
        assert!(!message.contains("t0ken"), "{message}");
    }
    let twice = json!({"name": "a", "kind": "slack", "url": reference});
    let message = channels(&settings(&json!([twice, twice])), false).unwrap_err().to_string();
    assert_eq!(message, "channel `a`: name: another channel has it");
}

#[test]
fn a_channel_hears_of_its_teams_places_and_events_alone() {
    let heard = |filters: Value| {
        let mut written = json!({"name": "a", "kind": "slack", "url": "secret://builtin/x"});
        for (key, value) in filters.as_object().unwrap() {
            written[key] = value.clone();
        }
        let channel = channels(&settings(&json!([written])), false).unwrap().remove(0);
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let (team, place) = ("commerce".parse().unwrap(), "prod".parse().unwrap());
        channel.audience.hears(NoticeEvent::Failed, &team, &place, &labels)
    };
    for (filters, expected) in [
        (json!({}), true),
        (json!({"teams": ["commerce"]}), true),
        (json!({"teams": ["other"]}), false),
        (json!({"environments": ["staging", "prod"]}), true),
        (json!({"environments": ["staging"]}), false),
        (json!({"selector": "tier=gold"}), true),
        (json!({"selector": "tier=silver"}), false),
        (json!({"events": ["failed", "recovered"]}), true),
        (json!({"events": ["recovered"]}), false),
        (json!({"teams": ["commerce"], "environments": ["staging"]}), false),
    ] {
        assert_eq!(heard(filters.clone()), expected, "{filters}");
    }
}
