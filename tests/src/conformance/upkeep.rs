use chrono::TimeDelta;
use slipway_records::{RepositoryContent, Stored};

use super::deployments::{environment, insert, new_deployment};
use super::prelude::*;

/// Later than all that a test does.
fn later() -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(1)
}

fn feature(run: &Run) -> Run {
    Run { git_ref: branch("feature"), ..run.clone() }
}

/// A done run of `main` of an application.
async fn done_run(records: &Shared, application: ApplicationId) -> Run {
    let mut run = insert_run(records, new_run(application, 1)).await;
    save_run(records, &mut run, RunState::Skipped { why: "test".into() }).await;
    run
}

async fn move_ref(records: &Shared, source: SourceId, name: &str, there: bool) {
    let point = Some((commit(1), commit(1)));
    let change = if there {
        RefMove { name: branch(name), old: None, new: point }
    } else {
        RefMove { name: branch(name), old: Some(commit(1)), new: None }
    };
    let mut tx = begin(records).await;
    assert!(tx.git_ref_move(source, &change).await.unwrap());
    tx.commit().await.unwrap();
}

/// An application with a deleted branch `feature`, and a run that is over.
async fn deleted_branch(records: &Shared) -> (Application, Run) {
    let shop = application(records, "shop").await;
    move_ref(records, shop.source_id, "feature", true).await;
    move_ref(records, shop.source_id, "feature", false).await;
    let run = done_run(records, shop.id).await;
    (shop, run)
}

async fn expired(records: &Shared, application: ApplicationId) -> Vec<String> {
    let found = read(records).await.versions_expired(application, later(), 100).await.unwrap();
    found.iter().map(|version| version.version.to_string()).collect()
}

async fn remove(records: &Shared, version: &PackageVersion, gone_before: DateTime<Utc>) -> bool {
    let mut tx = begin(records).await;
    let removed = tx.version_remove(version.id, gone_before).await.unwrap();
    tx.commit().await.unwrap();
    removed
}

pub async fn versions_of_deleted_branches_may_go(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let old = insert_version(&records, new_version(&feature(&run), None, "0.1.0-feature.1")).await;
    insert_version(&records, new_version(&run, None, "0.1.0-main.1")).await;
    assert_eq!(expired(&records, shop.id).await, ["0.1.0-feature.1"]);
    let before = Utc::now() - TimeDelta::days(1);
    assert!(!remove(&records, &old, before).await, "the branch went only now");
    // A branch that is back keeps what it published.
    move_ref(&records, shop.source_id, "feature", true).await;
    assert_eq!(expired(&records, shop.id).await, Vec::<String>::new());
    assert!(!remove(&records, &old, later()).await);
    move_ref(&records, shop.source_id, "feature", false).await;
    // So does an application with a run under way.
    let mut live = insert_run(&records, new_run(shop.id, 2)).await;
    assert!(!remove(&records, &old, later()).await);
    save_run(&records, &mut live, RunState::Skipped { why: "test".into() }).await;
    assert!(remove(&records, &old, later()).await);
    assert!(!remove(&records, &old, later()).await, "a repeated removal does nothing");
    assert_eq!(read(&records).await.version_get(old.id).await.unwrap(), None);
}

pub async fn a_removed_version_is_never_published_again(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let new = new_version(&feature(&run), None, "0.1.0-feature.1");
    let old = insert_version(
        &records,
        NewVersion { labels: Labels::from([(word("slipway/x"), word("y"))]), ..new.clone() },
    )
    .await;
    insert_version(&records, new_version(&run, None, "0.1.0-main.1")).await;
    assert!(remove(&records, &old, later()).await);
    assert!(is_conflict(&begin(&records).await.version_insert(new.clone()).await));
    let elsewhere = NewVersion { component: Some(word("api")), ..new };
    assert!(begin(&records).await.version_insert(elsewhere).await.unwrap().is_new());
    assert_eq!(expired(&records, shop.id).await, Vec::<String>::new());
}

pub async fn versions_that_people_chose_stay(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let feature = feature(&run);
    let mut rows = Vec::new();
    for n in 1..=5 {
        let version = format!("0.1.0-feature.{n}");
        rows.push(insert_version(&records, new_version(&feature, None, &version)).await);
    }
    // Whatever became of it there.
    let prod = environment(&records, "prod").await;
    insert(&records, new_deployment(&shop, &prod, &rows[3])).await;
    let mut tx = begin(&records).await;
    let label = LabelChange {
        version_id: rows[0].id,
        key: word("keep"),
        old: None,
        check: true,
        new: Some(word("yes")),
        by: "ann".into(),
        reason: None,
    };
    assert!(tx.label_change(&label).await.unwrap());
    // What a channel named once is what one rolls back to.
    for (from, to) in [(None, rows[1].id), (Some(rows[1].id), rows[2].id)] {
        let name = word("stable");
        let change = ChannelMove { application_id: shop.id, name, from, to, by: "ann".into(), reason: None };
        assert!(tx.channel_move(&change).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(expired(&records, shop.id).await, Vec::<String>::new(), "the newest bundle stays too");
    insert_version(&records, new_version(&run, None, "0.1.0-main.1")).await;
    assert_eq!(expired(&records, shop.id).await, ["0.1.0-feature.5"]);
    // A release of the same bundle holds the version it was built as.
    let tag = Run { git_ref: GitRef::Tag("v1.0.0".into()), ..run.clone() };
    insert_version(&records, NewVersion { digest: rows[4].digest, ..new_version(&tag, None, "1.0.0") }).await;
    assert_eq!(expired(&records, shop.id).await, Vec::<String>::new());
}

pub async fn packages_stay_while_a_bundle_has_them(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let feature = feature(&run);
    let used = insert_version(&records, new_version(&feature, Some("api"), "0.1.0-feature.1")).await;
    let only = insert_version(&records, new_version(&feature, Some("web"), "0.1.0-feature.1")).await;
    let bundle = |run: &Run, version: &str, members: &[&PackageVersion]| {
        let members: Vec<_> = members.iter().map(|m| serde_json::json!({"digest": m.digest})).collect();
        NewVersion { detail: serde_json::json!({"members": members}), ..new_version(run, None, version) }
    };
    let gone = insert_version(&records, bundle(&feature, "0.1.0-feature.1", &[&used, &only])).await;
    insert_version(&records, bundle(&run, "0.1.0-main.1", &[&used])).await;
    assert!(!remove(&records, &only, later()).await);
    assert!(remove(&records, &gone, later()).await);
    assert!(remove(&records, &only, later()).await);
    assert!(!remove(&records, &used, later()).await, "the bundle of main has it");
    assert_eq!(expired(&records, shop.id).await, Vec::<String>::new());
}

fn manifest(repository: &str, text: &str, subject: Option<Digest>) -> ManifestRow {
    ManifestRow {
        repository: repository.into(),
        digest: Digest::of(text),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        artifact_type: None,
        subject,
        size: 9,
        annotations: serde_json::Map::new(),
        created_at: at(1),
    }
}

async fn note(records: &Shared, parent: &str, children: &[&str]) {
    let children: Vec<Digest> = children.iter().map(Digest::of).collect();
    let mut tx = begin(records).await;
    tx.manifest_note(&Digest::of(parent), &children).await.unwrap();
    tx.commit().await.unwrap();
}

async fn expire_manifests(records: &Shared, application: ApplicationId) -> Vec<RepositoryContent> {
    let found = read(records).await.manifests_expired(application, later(), 100).await.unwrap();
    let mut tx = begin(records).await;
    for content in &found {
        assert!(tx.manifest_expire(application, content, later()).await.unwrap());
        assert!(!tx.manifest_expire(application, content, later()).await.unwrap());
    }
    tx.commit().await.unwrap();
    found
}

async fn expire_links(records: &Shared, application: ApplicationId) -> Vec<Digest> {
    let found = read(records).await.links_expired(application, later(), 100).await.unwrap();
    let mut tx = begin(records).await;
    for content in &found {
        assert!(tx.link_expire(application, content, later()).await.unwrap());
    }
    tx.commit().await.unwrap();
    found.into_iter().map(|content| content.digest).collect()
}

pub async fn what_nothing_names_leaves_its_repository(records: Shared) {
    let shop = application(&records, "shop").await;
    let path = shop.name.path();
    let (images, others) = (format!("{path}/i/api"), format!("{path}/x/api"));
    let mut tx = begin(&records).await;
    for row in [
        manifest(&images, "index", None),
        manifest(&images, "child", None),
        manifest(&images, "signature", Some(Digest::of("index"))),
        manifest(&others, "index", None),
    ] {
        tx.manifest_put(&row).await.unwrap();
    }
    tx.tag_put(&images, "1.0.0", &Digest::of("index")).await.unwrap();
    for blob in ["layer", "stray"] {
        tx.blob_link(&images, &Digest::of(blob), 1).await.unwrap();
    }
    tx.commit().await.unwrap();
    let unread = read(&records).await.manifests_unread(100).await.unwrap();
    assert_eq!(unread.len(), 3, "each digest once: {unread:?}");
    note(&records, "index", &["child"]).await;
    note(&records, "signature", &[]).await;
    assert_eq!(expire_links(&records, shop.id).await, [], "one manifest is unread");
    note(&records, "child", &["layer"]).await;
    assert_eq!(read(&records).await.manifests_unread(100).await.unwrap(), []);
    assert_eq!(expire_manifests(&records, shop.id).await, [], "the tag holds all of it");
    assert_eq!(expire_links(&records, shop.id).await, [Digest::of("stray")]);
    let mut tx = begin(&records).await;
    tx.tag_delete(&images, "1.0.0").await.unwrap();
    tx.commit().await.unwrap();
    let early = read(&records).await.manifests_expired(shop.id, at(0), 100).await.unwrap();
    assert_eq!(early, [], "pushed later than that");
    let content = |text: &str| RepositoryContent { repository: images.clone(), digest: Digest::of(text) };
    assert_eq!(expire_manifests(&records, shop.id).await, [content("index")]);
    let mut rest = vec![content("child"), content("signature")];
    rest.sort_by_key(|content| content.digest);
    assert_eq!(expire_manifests(&records, shop.id).await, rest);
    assert_eq!(expire_links(&records, shop.id).await, [Digest::of("layer")]);
    assert!(read(&records).await.manifest_get(&others, &Digest::of("index")).await.unwrap().is_some());
}

pub async fn a_removed_version_leaves_its_tags_and_its_manifest_can_go(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let path = shop.name.path();
    let old = insert_version(&records, new_version(&feature(&run), None, "0.1.0-feature.1")).await;
    insert_version(&records, new_version(&run, None, "0.1.0-main.1")).await;
    let row = ManifestRow { digest: old.digest, ..manifest(&path, "", None) };
    let mut tx = begin(&records).await;
    tx.manifest_put(&row).await.unwrap();
    tx.tag_put(&path, "0.1.0-feature.1", &old.digest).await.unwrap();
    tx.manifest_note(&old.digest, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(expire_manifests(&records, shop.id).await, []);
    assert!(remove(&records, &old, later()).await);
    assert_eq!(read(&records).await.tag_get(&path, "0.1.0-feature.1").await.unwrap(), None);
    assert_eq!(expire_manifests(&records, shop.id).await.len(), 1);
}

pub async fn signatures_stay_with_what_they_sign_and_go_with_it(records: Shared) {
    let (shop, run) = deleted_branch(&records).await;
    let path = shop.name.path();
    let old = insert_version(&records, new_version(&feature(&run), None, "0.1.0-feature.1")).await;
    insert_version(&records, new_version(&run, None, "0.1.0-main.1")).await;
    let bundle = ManifestRow { digest: old.digest, ..manifest(&path, "", None) };
    // One that refers to the bundle, and one of those that only a tag ties to it.
    let referring = manifest(&path, "referring", Some(old.digest));
    let tagged = manifest(&path, "tagged", None);
    let tag = |end: &str| format!("sha256-{}.{end}", old.digest.hex());
    let mut tx = begin(&records).await;
    for row in [&bundle, &referring, &tagged] {
        tx.manifest_put(row).await.unwrap();
        tx.manifest_note(&row.digest, &[]).await.unwrap();
    }
    tx.tag_put(&path, &tag("sig"), &referring.digest).await.unwrap();
    tx.tag_put(&path, &tag("att"), &tagged.digest).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(expire_manifests(&records, shop.id).await, []);
    assert!(remove(&records, &old, later()).await);
    for end in ["sig", "att"] {
        assert_eq!(read(&records).await.tag_get(&path, &tag(end)).await.unwrap(), None, "{end}");
    }
    let mut gone = Vec::new();
    for _ in 0..2 {
        gone.extend(expire_manifests(&records, shop.id).await.into_iter().map(|content| content.digest));
    }
    gone.sort();
    let mut all = [bundle.digest, referring.digest, tagged.digest];
    all.sort();
    assert_eq!(gone, all);
}

pub async fn old_logs_go_whole(records: Shared) {
    let log = uuid::Uuid::now_v7();
    let mut tx = begin(&records).await;
    for offset in [0, 10] {
        let chunk = LogChunk { offset, length: 10, digest: Digest::of(offset.to_string()), mark: None };
        assert!(tx.log_append(log, &chunk).await.unwrap());
    }
    assert_eq!(tx.logs_remove(Utc::now() - TimeDelta::days(1), 10).await.unwrap(), 0);
    assert_eq!(tx.logs_remove(later(), 10).await.unwrap(), 1);
    assert_eq!(tx.log_size(log).await.unwrap(), 0);
}

pub async fn expired_tokens_of_builds_go(records: Shared) {
    let token = |name: &str, role, expires_at| NewToken {
        name: name.into(),
        hash: Digest::of(name),
        person: None,
        break_glass: false,
        role,
        application_id: None,
        pulls_for: None,
        grants: Vec::new(),
        expires_at,
    };
    let mut tx = begin(&records).await;
    for new in [
        token("build", None, Some(at(1))),
        token("young", None, Some(at(9))),
        token("person", Some(Role::Reader), Some(at(1))),
    ] {
        tx.token_insert(new).await.unwrap();
    }
    assert_eq!(tx.build_tokens_remove(at(5), 10).await.unwrap(), 1);
    assert_eq!(tx.token_by_hash(&Digest::of("build")).await.unwrap(), None);
    assert!(tx.token_by_hash(&Digest::of("young")).await.unwrap().is_some());
    assert!(tx.token_by_hash(&Digest::of("person")).await.unwrap().is_some());
}

pub async fn cached_steps_and_copies_of_bases_go_when_they_are_old(records: Shared) {
    let shop = application(&records, "shop").await;
    done_run(&records, shop.id).await;
    let (cache, base) = (format!("{}/cache", shop.name.path()), format!("{}/base", shop.name.path()));
    let mut tx = begin(&records).await;
    tx.manifest_put(&manifest(&cache, "step", None)).await.unwrap();
    tx.tag_put(&cache, "key", &Digest::of("step")).await.unwrap();
    tx.manifest_put(&manifest(&base, "copy", None)).await.unwrap();
    for digest in ["step", "copy"] {
        tx.manifest_note(&Digest::of(digest), &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let expired = async || {
        let found = read(&records).await.manifests_expired(shop.id, later(), 10).await.unwrap();
        found.into_iter().map(|content| content.repository).collect::<Vec<_>>()
    };
    assert_eq!(expired().await, std::slice::from_ref(&base), "a step is kept by its tag");
    let mut tx = begin(&records).await;
    assert_eq!(tx.cache_tags_remove(at(0), 10).await.unwrap(), 0, "it is not old");
    assert_eq!(tx.cache_tags_remove(later(), 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(expired().await, [base, cache]);
}

pub async fn everything_that_refers_to_a_blob_holds_it(records: Shared) {
    let shop = application(&records, "shop").await;
    let mut tx = begin(&records).await;
    tx.blob_link("team/a", &Digest::of("link"), 1).await.unwrap();
    tx.manifest_put(&manifest("team/a", "manifest", None)).await.unwrap();
    tx.git_pack_add(shop.source_id, Digest::of("pack"), 1).await.unwrap();
    let chunk = LogChunk { offset: 0, length: 1, digest: Digest::of("log"), mark: None };
    assert!(tx.log_append(uuid::Uuid::now_v7(), &chunk).await.unwrap());
    tx.commit().await.unwrap();
    let held = ["link", "manifest", "pack", "log"].map(Digest::of);
    let all: Vec<Digest> = held.into_iter().chain([Digest::of("nothing")]).collect();
    assert_eq!(read(&records).await.blobs_referenced(&all).await.unwrap(), held);
    let mut tx = begin(&records).await;
    tx.blobs_note(&all, at(1)).await.unwrap();
    tx.blobs_note(&all, at(9)).await.unwrap();
    assert_eq!(tx.blobs_unreferenced(at(5), 10).await.unwrap(), [Digest::of("nothing")]);
    assert_eq!(tx.blobs_unreferenced(at(1), 10).await.unwrap(), []);
    for digest in held {
        assert!(!tx.blob_condemn(&digest, at(5), at(6)).await.unwrap());
    }
}

async fn condemn(tx: &mut dyn slipway_records::Write, text: &str) -> bool {
    tx.blobs_note(&[Digest::of(text)], at(1)).await.unwrap();
    tx.blob_condemn(&Digest::of(text), at(2), at(3)).await.unwrap()
}

pub async fn a_condemned_blob_cannot_be_referred_to_until_released(records: Shared) {
    let shop = application(&records, "shop").await;
    let digest = Digest::of("x");
    let mut tx = begin(&records).await;
    assert!(condemn(tx.as_mut(), "x").await);
    assert!(!condemn(tx.as_mut(), "x").await, "once");
    tx.commit().await.unwrap();
    let chunk = LogChunk { offset: 0, length: 1, digest, mark: None };
    let row = manifest("team/a", "x", None);
    let log = uuid::Uuid::now_v7();
    // One after the other: each holds the writer until it is dropped.
    let link = begin(&records).await.blob_link("team/a", &digest, 1).await.unwrap_err();
    let put = begin(&records).await.manifest_put(&row).await.unwrap_err();
    let pack = begin(&records).await.git_pack_add(shop.source_id, digest, 1).await.unwrap_err();
    let append = begin(&records).await.log_append(log, &chunk).await.unwrap_err();
    for error in [link, put, pack, append] {
        assert!(error.is_transient(), "{error:?}");
    }
    let condemned = read(&records).await.blobs_condemned(None, 10).await.unwrap();
    assert_eq!((condemned[0].since, condemned[0].removed), (at(3), false));
    let mut tx = begin(&records).await;
    tx.blob_removed(&digest, at(4)).await.unwrap();
    assert!(tx.blobs_condemned(None, 10).await.unwrap()[0].removed);
    assert_eq!(tx.blobs_condemned(Some(&digest), 10).await.unwrap(), []);
    tx.blob_release(&digest).await.unwrap();
    tx.blob_link("team/a", &digest, 1).await.unwrap();
    assert_eq!(tx.blobs_condemned(None, 10).await.unwrap(), []);
}

pub async fn a_blob_referred_to_again_waits_anew(records: Shared) {
    let digest = Digest::of("x");
    let mut tx = begin(&records).await;
    tx.blobs_note(&[digest], at(1)).await.unwrap();
    tx.blob_link("team/a", &digest, 1).await.unwrap();
    tx.blob_unlink("team/a", &digest).await.unwrap();
    assert!(!tx.blob_condemn(&digest, at(5), at(6)).await.unwrap());
    tx.blobs_note(&[digest], at(5)).await.unwrap();
    assert!(!tx.blob_condemn(&digest, at(5), at(6)).await.unwrap());
    assert!(tx.blob_condemn(&digest, at(6), at(6)).await.unwrap());
}

pub async fn a_blob_that_lies_elsewhere_needs_no_bytes(records: Shared) {
    let digest = Digest::of("x");
    let origin = word("r.io/team/a");
    let mut tx = begin(&records).await;
    tx.blob_link_elsewhere("team/a", &digest, 1, &origin).await.unwrap();
    assert_eq!(tx.blobs_referenced(&[digest]).await.unwrap(), []);
    assert!(condemn(tx.as_mut(), "x").await, "a copy here may go");
    tx.blob_link_elsewhere("team/b", &digest, 1, &origin).await.unwrap();
    tx.commit().await.unwrap();
    let refused = begin(&records).await.blob_link("team/a", &digest, 1).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    let mut reader = read(&records).await;
    for repository in ["team/a", "team/b"] {
        assert_eq!(reader.blob_linked(repository, &digest).await.unwrap(), Some(1));
    }
}

pub async fn what_is_stored_is_as_it_was_measured_last(records: Shared) {
    assert_eq!(read(&records).await.stored_get().await.unwrap(), None);
    let at = Utc::now().trunc_subsecs(3);
    let first = Stored { blobs: 3, bytes: 1 << 40, measured_at: at };
    let second = Stored { blobs: 2, bytes: 7, measured_at: at + TimeDelta::hours(1) };
    for (measured, kept) in [(first, first), (second, second), (first, second)] {
        let mut tx = begin(&records).await;
        tx.stored_put(&measured).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(read(&records).await.stored_get().await.unwrap(), Some(kept));
    }
}
