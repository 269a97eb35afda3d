use slipway_records::{DeclaredCheck, Explanation, SelectionCursor, SelectionPage, Waiver};
use slipway_types::selection::{Condition, Selection, SelectionOrder};
use slipway_types::state::DeclaredCheckState;

use super::declared_checks;
use super::prelude::*;
use super::selection_model::{
    Asked, BRANCHES, CHANNELS, COMMITS, ENVIRONMENTS, KEYS, Known, Model, PEOPLE, VALUES,
};
use crate::random::Random;

const BUNDLES: usize = 60;
const SELECTIONS: usize = 150;
const ORDERS: [SelectionOrder; 2] = [SelectionOrder::Precedence, SelectionOrder::Newest];

fn random_labels(random: &mut Random) -> Labels {
    let mut labels = Labels::new();
    for key in KEYS {
        if random.below(3) > 0 {
            labels.insert(word(key), word(random.pick(&VALUES)));
        }
    }
    labels
}

fn random_version(random: &mut Random) -> String {
    let core = format!("{}.{}.{}", random.below(3), random.below(3), random.below(3));
    match random.below(3) {
        0 => core,
        _ => format!("{core}-{}.{}", random.pick(&["main", "rc", "dev"]), random.below(12)),
    }
}

/// Bundles, among packages and bundles of others that nothing may select.
async fn publish(records: &Shared, random: &mut Random) -> (ApplicationId, Vec<(VersionId, Run)>) {
    let (shop, other) = (application(records, "shop").await.id, application(records, "other").await.id);
    let mut runs = Vec::new();
    for (n, (author, actor)) in (1..).zip(PEOPLE) {
        let (author, actor) = (author.to_owned(), actor.to_owned());
        runs.push(insert_run(records, NewRun { author, actor, ..new_run(shop, n) }).await);
    }
    let elsewhere = insert_run(records, new_run(other, 1)).await;
    let mut published = Vec::new();
    while published.len() < BUNDLES {
        let run = &runs[usize::try_from(random.below(4)).unwrap()];
        let version = random_version(random);
        let branch_or_tag = match random.below(4) {
            0 => GitRef::Tag(format!("v{version}")),
            _ => branch(random.pick(&BRANCHES)),
        };
        let new = |run: &Run, component: Option<&str>, random: &mut Random| NewVersion {
            git_ref: branch_or_tag.clone(),
            commit: word(&format!("{:0<40}", random.pick(&COMMITS))),
            labels: random_labels(random),
            ..new_version(run, component, &version)
        };
        let mut tx = begin(records).await;
        let bundle =
            tx.version_insert(new(run, None, random)).await.unwrap_or_else(|error| panic!("{error}"));
        tx.version_insert(new(run, Some("api"), random)).await.unwrap();
        tx.version_insert(new(&elsewhere, None, random)).await.unwrap();
        tx.commit().await.unwrap();
        if let Inserted::New(bundle) = bundle {
            published.push((bundle.id, run.clone()));
        }
    }
    (shop, published)
}

async fn relabel(records: &Shared, id: VersionId, key: &str, value: Option<&str>) {
    let change = LabelChange {
        version_id: id,
        key: word(key),
        old: None,
        check: false,
        new: value.map(word::<LabelValue>),
        by: "ann".into(),
        reason: None,
    };
    let mut tx = begin(records).await;
    assert!(tx.label_change(&change).await.unwrap());
    tx.commit().await.unwrap();
}

async fn point(records: &Shared, app: ApplicationId, name: &str, to: VersionId) {
    let mut tx = begin(records).await;
    let name = word(name);
    let from = tx.channel_get(app, &name).await.unwrap().map(|channel| channel.version_id);
    let change = ChannelMove { application_id: app, name, from, to, by: "ann".into(), reason: None };
    assert!(tx.channel_move(&change).await.unwrap());
    tx.commit().await.unwrap();
}

async fn note(records: &Shared, app: ApplicationId, environment: &str, version: Option<VersionId>, s: i64) {
    let mut tx = begin(records).await;
    tx.deployed_note(&word(environment), app, version, at(s)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Gives a bundle none, one or two checks in any state; tells whether they hold it.
async fn held_at_random(records: &Shared, random: &mut Random, run: &Run, id: VersionId) -> bool {
    let mut checks = Vec::new();
    for name in ["source/a", "source/b"] {
        if random.below(3) == 0 {
            let mut check = declared_checks::new_check(run, id, name);
            let nth = usize::try_from(random.below(8)).unwrap();
            check.state = declared_checks::states()[nth].clone();
            if random.below(4) == 0 {
                check.waiver = Some(Waiver { by: "ann".into(), reason: "known".into(), at: at(9) });
            }
            checks.push(check);
        }
    }
    let mut tx = begin(records).await;
    tx.declared_checks_insert(&checks).await.unwrap();
    tx.commit().await.unwrap();
    let green = |check: &DeclaredCheck| matches!(check.state, DeclaredCheckState::Passed { .. });
    checks.iter().any(|check| !green(check) && check.waiver.is_none())
}

/// A random catalogue of which labels, channels and environments have changed since.
async fn catalogue(records: &Shared, random: &mut Random) -> (ApplicationId, Model) {
    let (app, published) = publish(records, random).await;
    let ids: Vec<VersionId> = published.iter().map(|(id, _)| *id).collect();
    for _ in 0..BUNDLES / 2 {
        let value = (random.below(3) > 0).then(|| random.pick(&VALUES));
        relabel(records, random.pick(&ids), random.pick(&KEYS), value).await;
    }
    let mut pointers = Vec::new();
    for name in CHANNELS {
        point(records, app, name, random.pick(&ids)).await;
        let last = random.pick(&ids);
        point(records, app, name, last).await;
        pointers.push((name.to_owned(), last));
    }
    for name in ENVIRONMENTS {
        note(records, app, name, Some(random.pick(&ids)), 1).await;
        let last = random.pick(&ids);
        note(records, app, name, Some(last), 2).await;
        pointers.push((name.to_owned(), last));
    }
    let mut bundles = Vec::new();
    for (id, run) in published {
        let version = read(records).await.version_get(id).await.unwrap().unwrap();
        let held = held_at_random(records, random, &run, id).await;
        bundles.push(Known { version, author: run.author, actor: run.actor, held });
    }
    (app, Model { bundles, pointers })
}

/// Everything selected, page by page.
async fn pages(
    read: &mut dyn Read,
    app: ApplicationId,
    (selection, failing): (&Selection, Option<Condition>),
    order: SelectionOrder,
    limit: u32,
) -> Vec<VersionId> {
    let (mut found, mut after) = (Vec::new(), None::<SelectionCursor>);
    loop {
        let page = SelectionPage { order, limit, after: after.map(|cursor| word(&cursor.to_string())) };
        let versions = read.selection_list(app, selection, failing, &page).await.unwrap();
        found.extend(versions.iter().map(|version| version.id));
        if versions.len() < limit as usize {
            return found;
        }
        after = versions.last().map(SelectionCursor::of);
    }
}

pub async fn selections_agree_with_a_slow_and_obvious_model(records: Shared) {
    let seed = Random::seed_of_environment();
    let mut random = Random::new(seed);
    let (app, model) = catalogue(&records, &mut random).await;
    let mut read = read(&records).await;
    let (mut some, mut none) = (0, 0);
    for _ in 0..SELECTIONS {
        let asked = Asked::random(&mut random, &model);
        let selection = &asked.selection;
        let told = format!("{selection} (SLIPWAY_TEST_SEED={seed})");
        for order in ORDERS {
            let limit = u32::try_from(1 + random.below(9)).unwrap();
            let expected = model.select(&asked, None, order);
            let found = pages(read.as_mut(), app, (selection, None), order, limit).await;
            assert_eq!(found, expected, "{told} by {order}, {limit} at a time");
            *(if found.is_empty() { &mut none } else { &mut some }) += 1;
        }
        for failing in std::iter::once(None).chain(selection.conditions().into_iter().map(Some)) {
            let expected = model.select(&asked, failing, SelectionOrder::Precedence);
            let found = pages(read.as_mut(), app, (selection, failing), SelectionOrder::Precedence, 50).await;
            assert_eq!(found, expected, "{told} failing by {failing:?}");
            let at_most = u32::try_from(1 + random.below(20)).unwrap();
            let count = read.selection_count(app, selection, failing, at_most).await.unwrap();
            assert_eq!(count as usize, expected.len().min(at_most as usize), "{told} without {failing:?}");
        }
    }
    assert!(some > SELECTIONS / 10 && none > SELECTIONS / 10, "{some} with and {none} without a bundle");
}

fn selection(value: serde_json::Value) -> Selection {
    serde_json::from_value(value).unwrap()
}

async fn pick(records: &Shared, app: ApplicationId, asked: serde_json::Value) -> Explanation {
    let pick = read(records).await.pick(app, &selection(asked), SelectionOrder::Precedence).await.unwrap();
    assert_eq!(pick.version.map(|version| version.version), pick.explanation.chosen);
    let kept = serde_json::to_value(&pick.explanation).unwrap();
    assert_eq!(serde_json::from_value::<Explanation>(kept).unwrap(), pick.explanation);
    pick.explanation
}

fn says(explanation: &Explanation, words: &str) {
    assert!(explanation.lines.iter().any(|line| line.contains(words)), "{words:?}: {:#?}", explanation.lines);
}

async fn bundles(records: &Shared, versions: &[&str]) -> (Run, Vec<VersionId>) {
    let shop = application(records, "shop").await;
    let run = insert_run(records, new_run(shop.id, 1)).await;
    let mut ids = Vec::new();
    for version in versions {
        ids.push(insert_version(records, new_version(&run, None, version)).await.id);
    }
    (run, ids)
}

pub async fn ranges_on_builds_of_branches_do_what_is_said(records: Shared) {
    let (run, _) = bundles(&records, &["1.4.3-main.2", "1.4.3-main.10", "1.4.3-main.9"]).await;
    let app = run.application_id;
    for range in ["*", "^1", ">=1.0.0"] {
        let left = pick(&records, app, serde_json::json!({"range": range})).await;
        assert_eq!((left.chosen.clone(), left.matching.number), (None, 0), "{range}");
        assert_eq!(left.left_out[&Condition::Prerelease].number, 3);
        says(&left, "3 pre-releases left out: add --prerelease yes, or --branch NAME");
        says(&left, "the nearest is 1.4.3-main.10");
        for more in [("prerelease", "yes"), ("branch", "main")] {
            let asked = serde_json::json!({"range": range, more.0: more.1});
            let taken = pick(&records, app, asked).await;
            assert_eq!(taken.chosen, Some(word("1.4.3-main.10")), "{range} {more:?}");
            says(&taken, "1.4.3-main.10 is chosen: the highest version of 3 that match");
        }
    }
    let above = pick(&records, app, serde_json::json!({"range": "^2", "prerelease": "yes"})).await;
    says(&above, "the nearest is 1.4.3-main.10, which fails by range `^2.x` only");
    let both = pick(&records, app, serde_json::json!({"range": "^2"})).await;
    assert_eq!(both.met_by_none, [Condition::Prerelease, Condition::Range]);
    says(&both, "all bundles are pre-releases: add --prerelease yes, or --branch NAME");
    says(&both, "no bundle lies in range `^2.x`, pre-releases included");
}

pub async fn an_explanation_says_why_and_what_to_do(records: Shared) {
    let (run, ids) = bundles(&records, &["1.0.0", "2.0.0", "2.1.0-main.1", "1.5.0"]).await;
    let app = run.application_id;
    relabel(&records, ids[0], "tested", Some("yes")).await;
    relabel(&records, ids[3], "tested", Some("yes")).await;
    let asked = serde_json::json!({"range": "^1", "selector": "tested=yes"});
    let chosen = pick(&records, app, asked).await;
    assert_eq!((chosen.candidates.number, chosen.matching.number), (4, 2));
    says(&chosen, "asked for range `^1.x`, selector `tested=yes`, the highest version first");
    says(&chosen, "the application has 4 bundles, of which 2 match");
    says(&chosen, "1.5.0 is chosen: the highest version of 2 that match");
    let newest = selection(serde_json::json!({"range": "^1"}));
    let newest = read(&records).await.pick(app, &newest, SelectionOrder::Newest).await.unwrap();
    says(&newest.explanation, "1.5.0 is chosen: the one published last of 2 that match");
    let labels = pick(&records, app, serde_json::json!({"range": "=2.0.0", "selector": "tested"})).await;
    assert_eq!(labels.left_out.keys().collect::<Vec<_>>(), [&Condition::Range, &Condition::Selector]);
    says(&labels, "2 left out by range `2.0.0` alone");
    says(&labels, "1 left out by selector `tested` alone");
    let unset = pick(&records, app, serde_json::json!({"channel": "stable", "author": "nobody"})).await;
    says(&unset, "channel `stable` names no bundle: set it with `slipway channel set`");
    says(&unset, "no bundle's commit was written or pushed by author `nobody`");
    let far = serde_json::json!({"range": "=2.0.0", "selector": "tested", "published_before": at(0)});
    says(&pick(&records, app, far).await, "no bundle was published before `2023-11-14T22:13:20Z`");
    let empty = application(&records, "empty").await.id;
    says(&pick(&records, empty, serde_json::json!({})).await, "nothing is published yet");
    let page = SelectionPage::first(10);
    let plain = read(&records).await.select(app, &Selection::default(), &page, false).await.unwrap();
    assert_eq!((plain.versions.len(), plain.next, plain.explanation), (3, None, None));
}

pub async fn what_holds_a_bundle_is_told_by_a_command(records: Shared) {
    let (run, ids) = bundles(&records, &["2.0.0"]).await;
    let check = declared_checks::new_check(&run, ids[0], "source/smoke");
    let mut tx = begin(&records).await;
    tx.declared_checks_insert(&[check]).await.unwrap();
    tx.commit().await.unwrap();
    let held = pick(&records, run.application_id, serde_json::json!({})).await;
    says(&held, "1 left out, held by checks that are not green: see `slipway check list shop VERSION`");
    says(&held, "being held by its checks only: see `slipway check list shop 2.0.0`");
}

async fn selected(records: &Shared, app: ApplicationId, asked: serde_json::Value) -> Vec<String> {
    let page = SelectionPage::first(50);
    let versions = read(records).await.select(app, &selection(asked), &page, false).await.unwrap().versions;
    versions.iter().map(|version| version.version.to_string()).collect()
}

pub async fn a_label_that_changes_is_selected_by_at_once(records: Shared) {
    let (run, ids) = bundles(&records, &["1.0.0", "2.0.0"]).await;
    let found = async |selector: &str| {
        selected(&records, run.application_id, serde_json::json!({"selector": selector})).await
    };
    let nothing: [&str; 0] = [];
    relabel(&records, ids[0], "tier", Some("gold")).await;
    assert_eq!(found("tier=gold").await, ["1.0.0"]);
    assert_eq!(found("tier").await, ["1.0.0"]);
    assert_eq!(found("!tier").await, ["2.0.0"]);
    relabel(&records, ids[0], "tier", Some("silver")).await;
    assert_eq!(found("tier=gold").await, nothing);
    assert_eq!(found("tier").await, ["1.0.0"]);
    assert_eq!(found("tier in (silver,gold)").await, ["1.0.0"]);
    relabel(&records, ids[0], "tier", None).await;
    assert_eq!(found("tier").await, nothing);
    assert_eq!(found("!tier").await, ["2.0.0", "1.0.0"]);
    assert_eq!(found("tier!=gold").await, ["2.0.0", "1.0.0"]);
    // What is not committed never happened.
    let change = LabelChange {
        version_id: ids[1],
        key: word("tier"),
        old: None,
        check: false,
        new: Some(word("gold")),
        by: "ann".into(),
        reason: None,
    };
    let mut tx = begin(&records).await;
    assert!(tx.label_change(&change).await.unwrap());
    let page = SelectionPage::first(5);
    let asked = selection(serde_json::json!({"selector": "tier=gold"}));
    let seen = tx.select(run.application_id, &asked, &page, false).await.unwrap();
    assert_eq!(seen.versions.len(), 1, "a transaction selects by what it wrote");
    drop(tx);
    assert_eq!(found("tier=gold").await, nothing);
}

async fn delete_branch(records: &Shared, run: &Run, name: &str) {
    let mut tx = begin(records).await;
    let source = tx.application_get(run.application_id).await.unwrap().unwrap().source_id;
    for (old, new) in [(None, Some((commit(1), commit(1)))), (Some(commit(1)), None)] {
        assert!(tx.git_ref_move(source, &RefMove { name: branch(name), old, new }).await.unwrap());
    }
    tx.commit().await.unwrap();
}

async fn remove(records: &Shared, id: VersionId) -> bool {
    let mut tx = begin(records).await;
    let removed = tx.version_remove(id, Utc::now() + TimeDelta::days(1)).await.unwrap();
    tx.commit().await.unwrap();
    removed
}

/// A bundle of a branch that is gone, and one that is not; nothing runs.
async fn gone_and_kept(records: &Shared) -> (Run, VersionId) {
    let (mut run, _) = bundles(records, &[]).await;
    save_run(records, &mut run, RunState::Skipped { why: "test".into() }).await;
    let new = NewVersion {
        git_ref: branch("feature"),
        labels: Labels::from([(word("source/tier"), word("gold"))]),
        ..new_version(&run, None, "0.1.0-feature.1")
    };
    let gone = insert_version(records, new).await.id;
    insert_version(records, new_version(&run, None, "0.1.0-main.1")).await;
    delete_branch(records, &run, "feature").await;
    (run, gone)
}

pub async fn a_removed_bundle_is_selected_no_more(records: Shared) {
    let (run, gone) = gone_and_kept(&records).await;
    let app = run.application_id;
    let asks = [
        serde_json::json!({"branch": "feature"}),
        serde_json::json!({"selector": "source/tier", "prerelease": "yes"}),
        serde_json::json!({"selector": "source/tier=gold", "prerelease": "yes"}),
    ];
    for asked in &asks {
        assert_eq!(selected(&records, app, asked.clone()).await, ["0.1.0-feature.1"]);
    }
    assert!(remove(&records, gone).await);
    for asked in asks {
        assert_eq!(selected(&records, app, asked.clone()).await, Vec::<String>::new());
        let count = read(&records).await.selection_count(app, &selection(asked.clone()), None, 9).await;
        assert_eq!(count.unwrap(), 0, "{asked}");
    }
    let all = serde_json::json!({"author": "ann", "prerelease": "yes"});
    assert_eq!(selected(&records, app, all).await, ["0.1.0-main.1"]);
}

pub async fn an_environment_runs_one_bundle_of_an_application(records: Shared) {
    let (run, ids) = bundles(&records, &["1.0.0", "2.0.0"]).await;
    let app = run.application_id;
    let staging = word("staging");
    let now = async || read(&records).await.deployed_now(app, &staging).await.unwrap();
    assert_eq!(now().await, None);
    note(&records, app, "staging", Some(ids[0]), 1).await;
    note(&records, app, "prod", Some(ids[0]), 1).await;
    // Told again, it runs since it was first told.
    note(&records, app, "staging", Some(ids[0]), 2).await;
    let first = now().await.unwrap();
    assert_eq!((first.version_id, first.version, first.since), (ids[0], word("1.0.0"), at(1)));
    note(&records, app, "staging", Some(ids[1]), 3).await;
    assert_eq!(now().await.map(|now| (now.version_id, now.since)), Some((ids[1], at(3))));
    let runs = async |environment: &str| {
        selected(&records, app, serde_json::json!({"deployed_in": environment})).await
    };
    assert_eq!((runs("staging").await, runs("prod").await), (vec!["2.0.0".into()], vec!["1.0.0".into()]));
    note(&records, app, "staging", None, 4).await;
    assert_eq!(now().await, None);
    assert_eq!(runs("staging").await, Vec::<String>::new());
    note(&records, app, "staging", Some(ids[0]), 5).await;
    assert_eq!(runs("staging").await, ["1.0.0"]);
}

pub async fn a_bundle_that_was_deployed_stays(records: Shared) {
    let (run, gone) = gone_and_kept(&records).await;
    note(&records, run.application_id, "staging", Some(gone), 1).await;
    note(&records, run.application_id, "staging", None, 2).await;
    assert!(!remove(&records, gone).await);
}
