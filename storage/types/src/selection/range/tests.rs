use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn range(text: &str) -> VersionRange {
    text.parse().unwrap()
}

#[track_caller]
fn holds(text: &str, inside: &[&str], outside: &[&str]) {
    let range = range(text);
    for version in inside.iter().map(|text| version(text)) {
        assert!(range.contains(&version), "{text} should hold {version}");
    }
    for version in outside.iter().map(|text| version(text)) {
        assert!(!range.contains(&version), "{text} should not hold {version}");
    }
    let shown = range.to_string();
    assert_eq!(self::range(&shown), range, "{text} is shown as {shown}");
}

#[test]
fn full_versions_compare_by_precedence() {
    holds(">=1.0.0", &["1.0.0", "1.4.3-main.12", "2.0.0-rc.1"], &["1.0.0-rc.1", "0.9.9"]);
    holds(">1.0.0", &["1.0.1-main.1", "1.0.1"], &["1.0.0", "1.0.0-rc.1"]);
    holds("<2.0.0", &["2.0.0-rc.1", "1.9.9"], &["2.0.0", "2.0.1-a"]);
    holds("<=1.4.2-rc.2", &["1.4.2-rc.2", "1.4.2-rc.1"], &["1.4.2-rc.2.1", "1.4.2-rc.10", "1.4.2"]);
    holds("1.4.2", &["1.4.2"], &["1.4.2-rc.1", "1.4.3", "1.4.1"]);
    holds("=1.4.2-rc.1", &["1.4.2-rc.1"], &["1.4.2-rc.1.0", "1.4.2", "1.4.2-rc"]);
}

#[test]
fn partial_versions_stand_for_all_that_begin_so() {
    holds("*", &["0.0.0-a", "9.9.9"], &[]);
    for text in ["1.x", "1", "=1", "1.*", "1.x.x", "~1", "^1", "1.X"] {
        holds(text, &["1.0.0-rc.1", "1.0.0", "1.99.9-main.4"], &["0.9.9", "2.0.0-anything", "2.0.0"]);
    }
    for text in ["1.4", "1.4.x", "~1.4"] {
        holds(text, &["1.4.0-rc.1", "1.4.9"], &["1.3.9", "1.5.0-a"]);
    }
    holds("<2", &["1.9.9"], &["2.0.0-rc.1"]);
    holds(">=2", &["2.0.0-rc.1"], &["1.9.9"]);
    holds(">1", &["2.0.0-rc.1"], &["1.9.9-x", "1.9.9"]);
    holds("<=1.4", &["1.4.9", "0.1.0"], &["1.5.0-rc.1"]);
}

#[test]
fn carets_and_tildes_end_below_all_of_the_next() {
    holds("^1.4", &["1.4.0-rc.1", "1.9.0"], &["1.3.9", "2.0.0-rc.1"]);
    holds("^1.4.2", &["1.4.2", "1.4.3-main.1", "1.9.0"], &["1.4.2-rc.1", "2.0.0-anything"]);
    holds("^0.4.2", &["0.4.2", "0.4.9"], &["0.5.0-a", "0.4.1"]);
    holds("^0.0.3", &["0.0.3"], &["0.0.4-a", "0.0.2"]);
    holds("^0.0", &["0.0.9", "0.0.0-a"], &["0.1.0-a"]);
    holds("^0", &["0.9.0"], &["1.0.0-a"]);
    holds("~1.4.2", &["1.4.2", "1.4.10-x"], &["1.5.0-a", "1.4.2-a"]);
    holds("^1.4.2-rc.1", &["1.4.2-rc.1", "1.4.2"], &["1.4.2-rc.0", "2.0.0-a"]);
    holds("~0", &["0.9.0"], &["1.0.0-a"]);
}

#[test]
fn comparators_join_and_alternatives_add() {
    holds(">=1.0.0 <2", &["1.0.0", "1.9.9"], &["2.0.0-a", "0.9.0"]);
    holds(">= 1.0.0, < 2", &["1.0.0"], &["2.0.0-a"]);
    holds("1.2.3 - 2.3.4", &["1.2.3", "2.3.4"], &["1.2.3-a", "2.3.5-a"]);
    holds("1.2 - 2.3", &["1.2.0-a", "2.3.9"], &["2.4.0-a"]);
    holds("1.x || >=3.0.0 || 1.5.0", &["1.0.0", "3.0.0"], &["2.0.0", "3.0.0-a"]);
    assert_eq!(range("3.x || 1.x || 1.4 - 2").spans().len(), 1);
    assert_eq!(range("4.x || 1.x || 1.4 - 2").spans().len(), 2);
    assert!(range("<1 || >=1").is_everything() && range("*").is_everything() && !range("^1").is_everything());
}

#[test]
fn what_holds_nothing_or_is_not_understood_is_refused_with_the_way_out() {
    for (bad, why) in [
        ("", "write `*`"),
        ("1.x ||", "write `*`"),
        (">=2 <1", "no version can lie in `>=2 <1`"),
        (">*", "no version can lie"),
        ("<*", "no version can lie"),
        ("1.x || =1.0.0 =1.0.1", "no version can lie in `=1.0.0 =1.0.1`"),
        ("v1.4.2", "without the `v`"),
        ("^v1", "without the `v`"),
        ("1.4-rc.1", "write it like `1.4.0-rc.1`"),
        ("latest", "write ranges like"),
        ("1.x.2", "follows a wildcard"),
        ("1.2.3.4", "more than three"),
        ("01.2", "no number"),
        ("1.2.3+b", "build metadata"),
        (">= ", "no number"),
        ("1.2.3 -", "no number"),
        ("=>1", "no number"),
        ("^18446744073709551615", "too large"),
        ("18446744073709551616", "too large"),
        (&"1 ".repeat(200), "more than 16 comparators"),
        (&"1||".repeat(20), "more than 16 alternatives"),
        (&"1".repeat(513), "longer than 512"),
    ] {
        let error = bad.parse::<VersionRange>().unwrap_err();
        assert!(error.why.contains(why), "{bad:?}: {error}");
    }
}

#[test]
fn a_written_prerelease_is_noticed() {
    assert!(range(">=1.5.0-rc.1 <2").names_prerelease());
    assert!(range("1.x || =2.0.0-rc.1").names_prerelease());
    assert!(!range("^1 || 2.0 - 3").names_prerelease());
}
