//! What must hold once everything has come to rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use slipway_tests::server::{Answer, Server, layout::digest_of};
use slipway_tests::wait;

use crate::database::Database;

const IDLE_WITHIN: Duration = Duration::from_mins(4);
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
const LIVE_RUNS: &str = "('queued', 'planning', 'building', 'packaging', 'cancelling')";

/// Waits until nothing is left to do.
pub(crate) fn wait_idle(database: &Database) {
    let open = format!(
        "select (select count(*) from job where state in ('ready', 'leased') and kind <> 'collect')
        + (select count(*) from delivery where state = 'received')
        + (select count(*) from run where state in {LIVE_RUNS})"
    );
    let jobs = "select kind, state, dedupe_key, attempt, losses, last_error from job where state in ('ready', 'leased')";
    wait::until("nothing is left to do", IDLE_WITHIN, || match database.number(&open) {
        0 => Ok(()),
        _ => Err(format!("{:#?}", database.rows(jobs))),
    });
}

/// Every head has one run, done; with one bundle, unless its tag is of a component.
pub(crate) fn assert_heads_are_served(database: &Database, server: &Server) {
    let heads = database.rows(
        "select a.name, r.name, r.commit_id,
            (select count(*) from run where application_id = a.id and git_ref = r.name and commit_id = r.commit_id
                and retry_of is null),
            (select group_concat(state || ' ' || state_json) from run where application_id = a.id
                and git_ref = r.name and commit_id = r.commit_id and state not in ('done', 'superseded')),
            (select count(*) from version v join run on run.id = v.run_id where run.application_id = a.id
                and run.git_ref = r.name and run.commit_id = r.commit_id and v.component = '')
        from git_ref r join application a on a.source_id = r.source_id order by 1, 2",
    );
    assert!(heads.len() > 10, "few heads for so many pushes: {heads:#?}");
    for head in heads {
        let [application, name, commit, runs, other, bundles] = head.as_slice() else { unreachable!() };
        assert_eq!(runs, "1", "{application} {name} {commit} has not one run");
        assert_eq!(other, "", "{application} {name} {commit} ended otherwise than well");
        let expected = if name.contains("tags/web/") { "0" } else { "1" };
        assert_eq!(bundles, expected, "bundles of {application} {name} {commit}");
        let ran = server.wait_run_of(application, commit, name);
        assert_eq!(ran["state"], "done", "{ran:#}");
    }
}

/// Nothing is live, leased or dead, and no run failed: there was nothing wrong with any push.
pub(crate) fn assert_nothing_is_stuck(database: &Database) {
    let none =
        |what: &str, query: &str| assert_eq!(database.rows(query), Vec::<Vec<String>>::new(), "{what}");
    none("failed runs", "select id, git_ref, state_json from run where state not in ('done', 'superseded')");
    none(
        "live builds",
        "select id, run_id, component, state from build where state not in ('pushed', 'reused', 'cancelled')",
    );
    // A pass of upkeep may take longer than a boot lasts here, six times in a row; the clock makes the next.
    none(
        "dead jobs",
        "select id, dedupe_key, last_error from job where state = 'dead' and kind <> 'collect'",
    );
    none("unsettled deliveries", "select id, git_ref, state_json from delivery where state <> 'planned'");
    none(
        "versions of runs that are not done",
        "select v.version, run.state from version v join run on run.id = v.run_id where run.state <> 'done'",
    );
    none(
        "runs that are done without a version",
        "select id, git_ref from run where state = 'done' and id not in (select run_id from version)",
    );
}

/// A branch's numbers go to one run each.
pub(crate) fn assert_numbers_are_used_once(database: &Database) {
    let twice = database.rows(
        "select application_id, git_ref, version_number, count(*) from run where version_number is not null
        group by application_id, git_ref, version_number having count(*) > 1",
    );
    assert!(twice.is_empty(), "numbers used twice: {twice:?}");
    let doubled = database.rows(
        "select v.run_id, count(*) from version v where v.component = '' group by v.run_id having count(*) > 1",
    );
    assert!(doubled.is_empty(), "runs with two bundles: {doubled:?}");
}

/// Every blob is what its name says.
pub(crate) fn assert_blobs_are_sound(data: &Path) {
    let mut count = 0;
    for entry in fs::read_dir(data.join("blobs/blobs/sha256")).expect("there are blobs") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("a blob can be read");
        assert_eq!(digest_of(&bytes), format!("sha256:{name}"), "a corrupt blob");
        count += 1;
    }
    assert!(count > 100, "only {count} blobs");
}

/// Every version that is listed is there with everything it names; gives how many.
pub(crate) fn assert_versions_can_be_pulled(database: &Database, server: &Server) -> usize {
    let mut pull = Pull { server, seen: BTreeSet::new() };
    let versions = database.rows(
        "select a.name || case v.component when '' then '' else '/c/' || v.component end,
            v.version, v.digest from version v join application a on a.id = v.application_id",
    );
    for version in &versions {
        let [repository, version, digest] = version.as_slice() else { unreachable!() };
        let answer = pull.get(repository, "manifests", version);
        assert_eq!(digest_of(&answer.body), *digest, "{repository}:{version}");
        pull.walk(repository, digest, "manifests");
    }
    let listed: usize = ["shop", "tools"].iter().map(|application| server.bundles(application).len()).sum();
    assert_eq!(
        database.number("select count(*) from version where component = ''"),
        i64::try_from(listed).expect("a small number"),
        "the list of bundles lacks some"
    );
    versions.len()
}

struct Pull<'a> {
    server: &'a Server,
    seen: BTreeSet<(String, String)>,
}

impl Pull<'_> {
    fn walk(&mut self, repository: &str, digest: &str, kind: &str) {
        if !self.seen.insert((repository.to_owned(), digest.to_owned())) {
            return;
        }
        let answer = self.get(repository, kind, digest);
        assert_eq!(digest_of(&answer.body), digest, "{repository}@{digest}");
        if kind == "blobs" {
            return;
        }
        let manifest: Value = answer.json();
        let below = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
        for child in below("manifests") {
            self.walk(repository, child["digest"].as_str().expect("a digest"), "manifests");
        }
        let config = manifest.get("config").cloned();
        for blob in below("layers").iter().chain(&config) {
            self.walk(repository, blob["digest"].as_str().expect("a digest"), "blobs");
        }
    }

    fn get(&self, repository: &str, kind: &str, reference: &str) -> Answer {
        let authorization = format!("Bearer {}", self.server.token());
        let path = format!("/v2/{repository}/{kind}/{reference}");
        let headers = [("Authorization", authorization.as_str()), ("Accept", MANIFESTS)];
        let answer = self.server.request("GET", &path, &headers, b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }
}
