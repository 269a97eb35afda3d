use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::application::ApplicationState::{
    Completed, Degraded, Deleting, Failed, Live, Pending, Progressing, Suspended, TimedOut, Unreachable,
};

fn stamp(generation: u64, observed_generation: u64, second: i64) -> Stamp {
    let observed_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
    Stamp { generation, observed_generation, observed_at }
}

fn report(state: ApplicationState, second: i64) -> Report {
    Report::new(state, "told so", stamp(1, 1, second))
}

fn begun(parts: &[&str]) -> Reports {
    let mut reports = Reports::default();
    reports.begin(1, parts.iter().copied());
    reports
}

#[test]
fn an_application_is_live_only_when_every_part_was_looked_at() {
    let mut reports = begun(&["api", "db"]);
    assert_eq!(reports.state(), Pending);
    assert!(reports.take("api", report(Live, 5)));
    assert_eq!(reports.state(), Pending);
    assert_eq!(reports.blocker().unwrap().0, "db");
    reports.take("db", report(Live, 5));
    assert_eq!(reports.state(), Live);
    assert_eq!(reports.blocker(), None);
}

#[test]
fn nothing_is_live_because_nobody_looked() {
    assert_eq!(Reports::default().state(), Pending);
    assert_eq!(begun(&[]).state(), Pending);
    let mut unknown = Reports::default();
    unknown.take("api", report(Live, 5));
    assert_eq!(unknown.state(), Pending);
    unknown.begin(1, ["api"]);
    assert_eq!(unknown.state(), Live);
}

#[test]
fn the_blocker_is_the_heaviest_part_the_first_by_name_of_several() {
    let mut reports = begun(&["a", "b", "c"]);
    for (part, state) in [("a", Progressing), ("b", Failed), ("c", Failed)] {
        reports.take(part, report(state, 5));
    }
    let (part, found) = reports.blocker().unwrap();
    assert_eq!((part, found.state, found.reason.as_str()), ("b", Failed, "told so"));
    assert_eq!(reports.state(), Failed);
}

#[test]
fn what_is_known_of_a_part_follows_the_newest_report() {
    let mut reports = begun(&["api"]);
    assert!(reports.take("api", report(Failed, 5)));
    assert!(reports.take("api", report(Live, 6)));
    assert!(!reports.take("api", report(Degraded, 5)));
    assert_eq!(reports.state(), Live);
    assert!(reports.take("api", report(Degraded, 6)));
    assert!(!reports.take("api", report(Live, 6)));
    assert_eq!(reports.state(), Degraded);
}

#[test]
fn a_new_generation_forgets_the_parts_of_the_old_one() {
    let mut reports = begun(&["api", "old"]);
    reports.take("old", report(Failed, 5));
    reports.begin(2, ["api"]);
    assert_eq!(reports.parts().keys().collect::<Vec<_>>(), ["api"]);
    assert!(!reports.take("old", report(Failed, 99)));
    reports.begin(1, ["old"]);
    assert_eq!(reports.generation(), 2);
    assert_eq!(reports.state(), Pending);
    reports.take("api", Report::new(Live, "", stamp(2, 0, 1)));
    assert_eq!(reports.state(), Live);
}

#[test]
fn to_begin_again_keeps_what_was_reported() {
    let mut reports = begun(&["api"]);
    reports.take("api", report(Live, 5));
    let before = reports.clone();
    reports.begin(1, ["api"]);
    assert_eq!(reports, before);
}

#[test]
fn reports_are_written_and_read_again() {
    let mut reports = begun(&["api", "db"]);
    reports.take("api", report(TimedOut, 5));
    let text = serde_json::to_string(&reports).unwrap();
    assert!(text.contains(r#""state":"timed_out""#), "{text}");
    assert_eq!(serde_json::from_str::<Reports>(&text).unwrap(), reports);
}

fn any_state() -> impl Strategy<Value = ApplicationState> {
    prop::sample::select(vec![
        Completed,
        Live,
        Pending,
        Progressing,
        Suspended,
        Unreachable,
        Degraded,
        TimedOut,
        Failed,
        Deleting,
    ])
}

/// Few enough of everything that equal stamps and equal parts are common.
fn any_report() -> impl Strategy<Value = Report> {
    (any_state(), 0..3u64, 0..2u64, 0..3i64, "[ab]").prop_map(|(state, generation, seen, second, reason)| {
        Report::new(state, reason, stamp(generation, seen, second))
    })
}

/// What can happen to a collection of reports.
#[derive(Debug, Clone)]
enum Step {
    Begin(u64, Vec<String>),
    Take(String, Report),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3u64, prop::collection::vec("[xyz]", 0..3)).prop_map(|(at, parts)| Step::Begin(at, parts)),
        ("[xyz]", any_report()).prop_map(|(part, report)| Step::Take(part, report)),
    ]
}

fn after(steps: &[Step]) -> Reports {
    let mut reports = Reports::default();
    for step in steps.iter().cloned() {
        match step {
            Step::Begin(generation, parts) => reports.begin(generation, parts),
            Step::Take(part, report) => {
                reports.take(part, report);
            }
        }
    }
    reports
}

fn any_reports() -> impl Strategy<Value = Reports> {
    prop::collection::vec(any_step(), 0..8).prop_map(|steps| after(&steps))
}

fn joined(mut one: Reports, other: &Reports) -> Reports {
    one.join(other.clone());
    one
}

proptest! {
    #[test]
    fn joining_is_associative(a in any_reports(), b in any_reports(), c in any_reports()) {
        let left = joined(joined(a.clone(), &b), &c);
        let right = joined(a, &joined(b, &c));
        prop_assert_eq!(left, right);
    }

    #[test]
    fn joining_is_commutative_and_so_is_its_state(a in any_reports(), b in any_reports()) {
        let (one, other) = (joined(a.clone(), &b), joined(b, &a));
        prop_assert_eq!(one.state(), other.state());
        prop_assert_eq!(one.blocker(), other.blocker());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn joining_what_is_known_changes_nothing(a in any_reports(), b in any_reports()) {
        prop_assert_eq!(&joined(a.clone(), &a), &a);
        let both = joined(a, &b);
        prop_assert_eq!(&joined(both.clone(), &b), &both);
    }

    #[test]
    fn the_order_of_steps_does_not_matter(
        (steps, shuffled) in prop::collection::vec(any_step(), 0..10)
            .prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle())),
    ) {
        prop_assert_eq!(after(&steps), after(&shuffled));
    }

    #[test]
    fn split_and_joined_is_the_same_as_all_in_one(
        steps in prop::collection::vec(any_step(), 0..10),
        at in 0..10usize,
    ) {
        let (first, rest) = steps.split_at(at.min(steps.len()));
        prop_assert_eq!(joined(after(first), &after(rest)), after(&steps));
    }

    #[test]
    fn an_older_report_changes_nothing(reports in any_reports(), part in "[xyz]", report in any_report()) {
        let mut taken = reports.clone();
        let changed = taken.take(part.clone(), report.clone());
        prop_assert_eq!(changed, taken != reports);
        let known = reports.parts().get(&part).map(|known| known.stamp);
        let older = report.stamp.generation < reports.generation()
            || known.is_some_and(|known| report.stamp < known);
        prop_assert!(!older || !changed);
        let newer = report.stamp.generation >= reports.generation()
            && known.is_none_or(|known| report.stamp > known);
        prop_assert!(!newer || taken.parts().get(&part) == Some(&report));
    }

    #[test]
    fn the_blocker_is_as_heavy_as_the_whole(reports in any_reports()) {
        match reports.blocker() {
            Some((_, report)) => prop_assert_eq!(report.state, reports.state()),
            None => prop_assert!(reports.state() <= Pending),
        }
    }
}
