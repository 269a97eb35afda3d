use std::collections::BTreeSet;

use futures::future::join_all;
use slipway_records::Channel;
use slipway_types::selection::CommitPrefix;

use super::prelude::*;

async fn run(records: &Shared) -> Run {
    let shop = application(records, "shop").await;
    insert_run(records, new_run(shop.id, 1)).await
}

async fn number(records: &Shared, application: ApplicationId, branch: &str) -> u64 {
    let mut tx = begin(records).await;
    let number = tx.number_next(application, branch).await.unwrap();
    tx.commit().await.unwrap();
    number
}

pub async fn branch_numbers_are_never_given_twice(records: Shared) {
    let (shop, other) = (application(&records, "shop").await.id, application(&records, "other").await.id);
    let given = join_all((0..8).map(|_| number(&records, shop, "main"))).await;
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), (1..=8).collect());
    assert_eq!(number(&records, shop, "Main").await, 1);
    assert_eq!(number(&records, other, "main").await, 1);
    assert_eq!(number(&records, shop, "main").await, 9);
}

pub async fn branch_numbers_outlive_the_application(records: Shared) {
    let shop = application(&records, "shop").await;
    assert_eq!(number(&records, shop.id, "main").await, 1);
    let mut tx = begin(&records).await;
    tx.application_delete(shop.id).await.unwrap();
    let again = tx.application_insert(&shop.name, shop.source_id, "").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(number(&records, again.id, "main").await, 2);
}

pub async fn a_version_is_kept_whole(records: Shared) {
    let run = run(&records).await;
    let labels = Labels::from([
        (word("source/team"), word("shop \"and\" ünicode")),
        (word("slipway/branch"), word("")),
    ]);
    let package = NewVersion { labels: labels.clone(), ..new_version(&run, Some("api"), "1.0.0") };
    let package = NewVersion { built_as: word("1.0.0-main.3"), ..package };
    let package = insert_version(&records, package).await;
    let bundle = insert_version(&records, new_version(&run, None, "1.0.0")).await;
    assert_eq!((package.labels.clone(), bundle.labels.clone()), (labels, Labels::new()));
    let mut read = read(&records).await;
    assert_eq!(read.version_get(package.id).await.unwrap().as_ref(), Some(&package));
    assert_eq!(read.version_get(VersionId::new()).await.unwrap(), None);
    let (app, version) = (run.application_id, &package.version);
    let api: ComponentName = word("api");
    assert_eq!(read.version_find(app, Some(&api), version).await.unwrap().as_ref(), Some(&package));
    assert_eq!(read.version_find(app, None, version).await.unwrap().as_ref(), Some(&bundle));
    assert_eq!(read.version_find(app, Some(&word("web")), version).await.unwrap(), None);
    assert_eq!(read.version_find(app, None, &word("2.0.0")).await.unwrap(), None);
}

pub async fn a_version_is_published_once(records: Shared) {
    let run = run(&records).await;
    for component in [Some("api"), None] {
        let first = insert_version(&records, new_version(&run, component, "1.0.0")).await;
        let mut tx = begin(&records).await;
        let again = tx.version_insert(new_version(&run, component, "1.0.0")).await.unwrap();
        assert_eq!(again, Inserted::Existing(first.clone()));
        let changed = NewVersion { digest: Digest::of("x"), ..new_version(&run, component, "1.0.0") };
        assert!(is_conflict(&tx.version_insert(changed).await));
        // Several versions may name one digest.
        let alias = NewVersion { digest: first.digest, ..new_version(&run, component, "2.0.0") };
        assert!(tx.version_insert(alias).await.unwrap().is_new());
    }
}

async fn list(records: &Shared, filter: &VersionFilter, page: Page) -> Vec<String> {
    let listed = read(records).await.version_list(filter, page).await.unwrap();
    let name = |v: &PackageVersion| match &v.component {
        Some(component) => format!("{component} {}", v.version),
        None => v.version.to_string(),
    };
    listed.iter().map(name).collect()
}

pub async fn versions_are_paged_newest_first(records: Shared) {
    let run = run(&records).await;
    // By publication, not by precedence.
    let mut last = None;
    for version in ["2.0.0", "1.0.0", "3.0.0", "1.5.0"] {
        last = Some(insert_version(&records, new_version(&run, None, version)).await.id);
    }
    let all = VersionFilter::default();
    assert_eq!(list(&records, &all, Page::first(2)).await, ["1.5.0", "3.0.0"]);
    let after = Page { limit: 2, after: last.map(|id| id.as_uuid()) };
    assert_eq!(list(&records, &all, after).await, ["3.0.0", "1.0.0"]);
}

pub async fn versions_are_filtered_before_the_limit(records: Shared) {
    let one = run(&records).await;
    let other = application(&records, "other").await;
    let two = insert_run(&records, NewRun { git_ref: branch("next"), ..new_run(other.id, 2) }).await;
    let digest = insert_version(&records, new_version(&one, Some("api"), "1.0.0")).await.digest;
    insert_version(&records, new_version(&one, None, "1.0.0")).await;
    insert_version(&records, NewVersion { digest, ..new_version(&one, Some("api"), "1.1.0") }).await;
    for n in 0..5 {
        insert_version(&records, new_version(&two, Some("web"), &format!("9.0.{n}"))).await;
    }
    let application = Some(one.application_id);
    let none = VersionFilter::default;
    for (filter, expected) in [
        (VersionFilter { application, ..none() }, vec!["api 1.1.0", "1.0.0", "api 1.0.0"]),
        (VersionFilter { application, component: Some(None), ..none() }, vec!["1.0.0"]),
        (VersionFilter { component: Some(None), ..none() }, vec!["1.0.0"]),
        (VersionFilter { component: Some(Some(word("api"))), ..none() }, vec!["api 1.1.0", "api 1.0.0"]),
        (VersionFilter { digest: Some(digest), ..none() }, vec!["api 1.1.0", "api 1.0.0"]),
        (VersionFilter { git_ref: Some(branch("main")), ..none() }, vec!["api 1.1.0", "1.0.0", "api 1.0.0"]),
        (VersionFilter { application, commit: Some(commit(2)), ..none() }, vec![]),
        (VersionFilter { application: Some(ApplicationId::new()), ..none() }, vec![]),
    ] {
        assert_eq!(list(&records, &filter, Page::first(3)).await, expected, "{filter:?}");
    }
}

pub async fn commits_are_found_by_their_first_digits(records: Shared) {
    let run = run(&records).await;
    let at = |digits: &str| word::<CommitId>(&format!("{digits:0<40}"));
    for (component, version, commit) in [
        (None, "1.0.0", at("abcd1")),
        (Some("api"), "1.0.0", at("abcd1")),
        // Released alone.
        (Some("api"), "1.1.0", at("abcdf")),
        (Some("web"), "1.2.0", at("abce")),
    ] {
        insert_version(&records, NewVersion { commit, ..new_version(&run, component, version) }).await;
    }
    let shop = run.application_id;
    for (application, prefix, limit, found) in [
        (shop, "abcd", 9, vec![at("abcd1"), at("abcdf")]),
        (shop, "abcd", 1, vec![at("abcd1")]),
        (shop, "ABCDF", 9, vec![at("abcdf")]),
        (shop, at("abce").as_str(), 9, vec![at("abce")]),
        (shop, "abcf", 9, vec![]),
        (ApplicationId::new(), "abcd", 9, vec![]),
    ] {
        let prefix: CommitPrefix = word(prefix);
        let commits = read(&records).await.published_commits(application, &prefix, limit).await.unwrap();
        assert_eq!(commits, found, "{prefix} {limit}");
    }
}

pub async fn versions_are_filtered_by_labels(records: Shared) {
    let run = run(&records).await;
    for n in 0..6 {
        let mut labels = Labels::from([(word("all"), word("yes"))]);
        labels.insert(word("even"), word(if n % 2 == 0 { "yes" } else { "no" }));
        if n == 4 {
            labels.insert(word("rare"), word("yes"));
        }
        let component = (n > 2).then_some("api");
        insert_version(&records, NewVersion { labels, ..new_version(&run, component, &format!("1.0.{n}")) })
            .await;
    }
    let with = |labels: &[(&str, &str)]| VersionFilter {
        labels: labels.iter().map(|(key, value)| (word(key), word(value))).collect(),
        ..VersionFilter::default()
    };
    let (all, even) = (("all", "yes"), ("even", "yes"));
    assert_eq!(list(&records, &with(&[even]), Page::first(2)).await, ["api 1.0.4", "1.0.2"]);
    assert_eq!(list(&records, &with(&[all, even, ("rare", "yes")]), Page::default()).await, ["api 1.0.4"]);
    let nothing: [&str; 0] = [];
    assert_eq!(list(&records, &with(&[("even", "no"), ("rare", "yes")]), Page::default()).await, nothing);
    assert_eq!(list(&records, &with(&[all, ("unheard", "of")]), Page::default()).await, nothing);
    assert_eq!(list(&records, &with(&[("even", "yes"), ("even", "no")]), Page::default()).await, nothing);
    let bundles = VersionFilter { component: Some(None), ..with(&[all, even]) };
    assert_eq!(list(&records, &bundles, Page::default()).await, ["1.0.2", "1.0.0"]);
    let first = read(&records).await.version_list(&bundles, Page::first(1)).await.unwrap();
    let after = Page { limit: 9, after: Some(first[0].id.as_uuid()) };
    assert_eq!(list(&records, &bundles, after).await, ["1.0.0"]);
}

pub async fn a_package_is_found_by_the_fingerprint_it_was_first_published_with(records: Shared) {
    let run = run(&records).await;
    let first = insert_version(&records, new_version(&run, Some("api"), "1.0.0")).await;
    let alias = NewVersion {
        built_as: first.version.clone(),
        fingerprint: first.fingerprint,
        digest: first.digest,
        ..new_version(&run, Some("api"), "0.9.0")
    };
    insert_version(&records, alias).await;
    let mut read = read(&records).await;
    let (app, api, print) = (run.application_id, word("api"), &first.fingerprint);
    assert_eq!(read.package_by_fingerprint(app, &api, print).await.unwrap().as_ref(), Some(&first));
    assert_eq!(read.package_by_fingerprint(app, &word("web"), print).await.unwrap(), None);
    assert_eq!(read.package_by_fingerprint(app, &api, &Digest::of("other")).await.unwrap(), None);
}

struct Relabel<'a>(&'a Shared, VersionId);

impl Relabel<'_> {
    async fn change(&self, check: bool, old: Option<&str>, new: Option<&str>) -> bool {
        let change = LabelChange {
            version_id: self.1,
            key: word("keep"),
            old: old.map(word::<LabelValue>),
            check,
            new: new.map(word::<LabelValue>),
            by: "ann".into(),
            reason: Some("a test".into()),
        };
        let mut tx = begin(self.0).await;
        let changed = tx.label_change(&change).await.unwrap();
        tx.commit().await.unwrap();
        changed
    }

    async fn now(&self) -> Option<String> {
        let version = read(self.0).await.version_get(self.1).await.unwrap().unwrap();
        version.labels.get(&word::<LabelKey>("keep")).map(ToString::to_string)
    }
}

pub async fn labels_are_changed_by_compare_and_swap(records: Shared) {
    let run = run(&records).await;
    let version = insert_version(&records, new_version(&run, None, "1.0.0")).await;
    let label = Relabel(&records, version.id);
    assert!(!label.change(true, Some("a"), Some("b")).await);
    assert!(label.change(true, None, Some("a")).await);
    assert!(!label.change(true, None, Some("b")).await);
    assert_eq!(label.now().await.as_deref(), Some("a"));
    assert!(label.change(true, Some("a"), Some("b")).await);
    assert_eq!(label.now().await.as_deref(), Some("b"));
    assert!(!label.change(true, Some("a"), None).await);
    assert!(label.change(true, Some("b"), None).await);
    assert_eq!(label.now().await, None);
}

pub async fn a_label_is_overwritten_and_removed_without_check(records: Shared) {
    let run = run(&records).await;
    let version = insert_version(&records, new_version(&run, None, "1.0.0")).await;
    let label = Relabel(&records, version.id);
    for new in [Some("a"), Some("b"), Some("b"), None, None] {
        assert!(label.change(false, None, new).await);
        assert_eq!(label.now().await.as_deref(), new);
    }
}

async fn channel(records: &Shared, app: ApplicationId, from: Option<VersionId>, to: VersionId) -> bool {
    let change =
        ChannelMove { application_id: app, name: word("stable"), from, to, by: "ann".into(), reason: None };
    let mut tx = begin(records).await;
    let moved = tx.channel_move(&change).await.unwrap();
    tx.commit().await.unwrap();
    moved
}

pub async fn channels_move_by_compare_and_swap(records: Shared) {
    let run = run(&records).await;
    let app = run.application_id;
    let one = insert_version(&records, new_version(&run, None, "1.0.0")).await;
    let two = insert_version(&records, new_version(&run, None, "2.0.0")).await;
    assert!(!channel(&records, app, Some(one.id), two.id).await);
    assert!(channel(&records, app, None, one.id).await);
    assert!(!channel(&records, app, None, two.id).await);
    assert!(!channel(&records, app, Some(two.id), two.id).await);
    assert!(channel(&records, app, Some(one.id), two.id).await);
    let mut read = read(&records).await;
    let now: Channel = read.channel_get(app, &word("stable")).await.unwrap().unwrap();
    assert_eq!((now.version_id, &now.version, now.moved_by.as_str()), (two.id, &two.version, "ann"));
    assert_eq!(read.channel_list(app).await.unwrap(), [now]);
    assert_eq!(read.channel_get(app, &word("edge")).await.unwrap(), None);
    assert_eq!(read.channel_list(ApplicationId::new()).await.unwrap(), []);
}

pub async fn every_move_of_a_channel_is_kept(records: Shared) {
    let run = run(&records).await;
    let app = run.application_id;
    let mut versions = Vec::new();
    for n in 0..4 {
        versions.push(insert_version(&records, new_version(&run, None, &format!("1.0.{n}"))).await);
    }
    let mut from = None;
    for version in &versions {
        assert!(channel(&records, app, from, version.id).await);
        from = Some(version.id);
    }
    // A move that was refused is none.
    assert!(!channel(&records, app, None, versions[0].id).await);
    let mut read = read(&records).await;
    let all = read.channel_history(app, &word("stable"), None, 10).await.unwrap();
    let told: Vec<_> = all.iter().map(|one| (one.from.clone(), one.to.clone())).collect();
    let v = |n: usize| versions[n].version.clone();
    assert_eq!(told, [(Some(v(2)), v(3)), (Some(v(1)), v(2)), (Some(v(0)), v(1)), (None, v(0))]);
    assert!(all.iter().all(|one| one.by == "ann" && one.reason.is_none() && one.at <= chrono::Utc::now()));
    let page = read.channel_history(app, &word("stable"), Some(all[1].seq), 1).await.unwrap();
    assert_eq!(page, all[2..3]);
    assert_eq!(read.channel_history(app, &word("edge"), None, 10).await.unwrap(), []);
    assert_eq!(read.channel_history(ApplicationId::new(), &word("stable"), None, 10).await.unwrap(), []);
}

pub async fn parallel_moves_of_a_channel_have_one_winner(records: Shared) {
    let run = run(&records).await;
    let mut versions = Vec::new();
    for n in 0..6 {
        versions.push(insert_version(&records, new_version(&run, None, &format!("1.0.{n}"))).await.id);
    }
    let moves = versions.iter().map(|&to| channel(&records, run.application_id, None, to));
    assert_eq!(join_all(moves).await.iter().filter(|moved| **moved).count(), 1);
}
