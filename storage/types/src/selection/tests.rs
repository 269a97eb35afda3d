use serde_json::json;

use super::*;

fn selection(value: serde_json::Value) -> Selection {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_selection_reads_as_it_writes_and_refuses_the_unknown() {
    assert_eq!(selection(json!({})), Selection::default());
    assert_eq!(Selection::default().to_string(), "any bundle");
    let value = json!({
        "range": "^1.4.2", "selector": "source/team=shop,tier!=x", "branch": "feature/x", "channel": "stable",
        "commit": "AbCd12", "author": "Ann <ann@example.com>", "published_after": "2026-01-02T03:04:05Z",
        "published_before": "2026-02-02T00:00:00Z", "deployed_in": "staging", "prerelease": "no",
    });
    let full = selection(value);
    assert_eq!(selection(serde_json::to_value(&full).unwrap()), full);
    assert_eq!(
        full.to_string(),
        "range `^1.4.2`, selector `source/team=shop,tier!=x`, branch `feature/x`, channel `stable`, commit \
         `abcd12`, author `Ann <ann@example.com>`, published since `2026-01-02T03:04:05Z`, published before \
         `2026-02-02T00:00:00Z`, deployed in `staging`, pre-releases `no`"
    );
    assert_eq!(full.conditions(), Condition::ALL);
    for bad in [
        json!({"ranges": "^1"}),
        json!({"range": "^1 <1"}),
        json!({"branch": "refs/heads/main"}),
        json!({"branch": "a..b"}),
        json!({"commit": "abc"}),
        json!({"commit": "xyzw"}),
        json!({"author": " "}),
        json!({"prerelease": "maybe"}),
    ] {
        assert!(serde_json::from_value::<Selection>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn auto_follows_what_else_is_asked_for() {
    for (value, takes) in [
        (json!({}), false),
        (json!({"range": "^1", "selector": "a=b", "author": "ann"}), false),
        (json!({"branch": "main"}), true),
        (json!({"commit": "abcd"}), true),
        (json!({"channel": "stable"}), true),
        (json!({"range": ">=1.5.0-rc.1"}), true),
        (json!({"branch": "main", "prerelease": "no"}), false),
        (json!({"deployed_in": "staging"}), true),
        (json!({"deployed_in": "staging", "prerelease": "no"}), false),
        (json!({"prerelease": "yes"}), true),
    ] {
        assert_eq!(selection(value.clone()).takes_prereleases(), takes, "{value}");
    }
}

#[test]
fn a_condition_taken_away_leaves_the_others_as_they_were() {
    let asked = selection(json!({"branch": "main", "range": "^1"}));
    let rest = asked.without(Condition::Branch);
    assert!(rest.branch.is_none() && rest.takes_prereleases());
    for condition in asked.conditions() {
        let left = asked.without(condition).conditions();
        assert!(!left.contains(&condition), "{left:?}");
        assert_eq!(left.len() + 1, asked.conditions().len());
        assert_eq!(asked.only(condition).conditions(), [condition]);
    }
    assert!(selection(json!({"range": "*"})).conditions() == [Condition::Prerelease, Condition::Held]);
}

#[test]
fn an_author_is_known_by_name_address_both_and_login() {
    let keys = Author::keys("Ann Lee <Ann@Example.com>", "ann-l");
    assert_eq!(keys, ["ann lee", "ann lee <ann@example.com>", "ann-l", "ann@example.com"]);
    assert_eq!(Author::keys("Ann", "ann"), ["ann"]);
    assert_eq!("ANN@example.com".parse::<Author>().unwrap().key(), "ann@example.com");
}
