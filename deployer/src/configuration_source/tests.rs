use std::fs;
use std::path::Path;
use std::process::Command;

use slipway_git::GitOptions;
use slipway_types::id::ApplicationId;

use super::*;

#[test]
fn what_is_away_is_asked_ever_more_seldom_and_becomes_a_fault_that_is_told_once() {
    let source = "ops".parse().unwrap();
    let begun = Utc::now();
    let mut away = away::noted(None, "no answer", begun);
    assert_eq!((away.since, away.next_at), (begun, begun + away::PAUSE_MIN));
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let now = away.next_at;
        away = away::noted(Some(away), &"x".repeat(1000), now);
        asked.push(away::pause(&away, now).as_secs());
        told.push(away::overdue(&source, &away, now));
        assert_eq!((away.since, away.why.len()), (begun, 500));
    }
    assert_eq!(asked, [20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600, 600]);
    let faults: Vec<_> = told.iter().flatten().collect();
    assert!(told[..6].iter().all(Option::is_none) && faults.len() == 6, "{told:?}");
    assert!(faults[0].message.contains("ops does not answer since"), "{faults:?}");
    assert!(faults.iter().all(|fault| *fault == faults[0]), "{faults:?}");
}

#[test]
fn a_fault_is_shown_with_its_way_out() {
    let shown = violation(&Fault::permanent("secret_missing", "there is none").hint("set it"));
    assert_eq!((shown.code.as_str(), shown.message.as_str()), ("secret_missing", "there is none"));
    assert_eq!(shown.hint.as_deref(), Some("set it"));
}

#[test]
fn too_many_levels_name_the_limit() {
    assert!(too_many("deploy", 501).message.contains("levels_max = 500"));
}

#[test]
fn a_directory_that_is_too_large_names_the_limit() {
    let error = GitError::TooLarge { what: "the tree".into(), limit: "max_tree_entries", max: 7 };
    let shown = too_large("deploy", &error);
    assert!(shown.message.contains("max_tree_entries") && shown.hint.is_some(), "{shown:?}");
}

#[test]
fn a_file_of_the_application_is_the_level_of_its_directory() {
    assert_eq!(level_of("eu/kind/shop.yaml", "shop").as_deref(), Some("eu/kind"));
    assert_eq!(level_of("shop.json", "shop").as_deref(), Some(""));
    for other in ["eu/cart.yaml", "eu/shop.txt", "shop", "eu/shop.yaml/x", "eu/my-shop.yaml"] {
        assert_eq!(level_of(other, "shop"), None, "{other}");
    }
}

/// All levels of an application that are followed from a directory.
fn every_level(path: &str) -> ConfigurationSource {
    ConfigurationSource {
        application_id: ApplicationId::new(),
        level: EVERY_LEVEL.into(),
        source_id: SourceId::new(),
        branch: "main".into(),
        path: path.into(),
        set_at: Utc::now(),
        set_by: "ann".into(),
        reason: None,
        revision: 1,
        seen_commit: None,
        seen_at: None,
        faults: Vec::new(),
        away: None,
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(directory).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
    git.args(["-c", "user.name=n", "-c", "user.email=e@example.org"]);
    let done = git.args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_is_no_level_is_refused_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let document = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\n\
                    spec: {components: [{name: web, properties: {replicas: 2}}]}\n";
    for (path, text) in [
        ("levels/eu/shop.yaml", document),
        ("levels/eu/shop.yml", "[broken"),
        ("levels/No/Level/shop.yaml", "[broken"),
        ("levels/us/shop.yaml", "[broken"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git(root, &["init", "--quiet"]);
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "--message", "m"]);
    let commit = git(root, &["rev-parse", "HEAD"]).parse().unwrap();
    let snapshot = Snapshot::open(&root.join(".git"), &commit, &GitOptions::default()).unwrap();
    let found = files(&snapshot, &every_level("levels"), "shop", &OamOptions::default()).unwrap().unwrap();
    let shown: Vec<(&str, Vec<&str>)> = found
        .iter()
        .map(|file| {
            let wrong = file.document.as_ref().err().into_iter().flatten();
            (file.path.as_str(), wrong.map(|violation| violation.code.as_str()).collect())
        })
        .collect();
    assert_eq!(shown[0], ("levels/No/Level/shop.yaml", vec!["bad_level"]));
    assert_eq!(shown[1], ("levels/eu/shop.yaml", vec![]));
    assert_eq!(shown[2], ("levels/eu/shop.yml", vec!["configuration_twice"]));
    assert!(shown[3].0 == "levels/us/shop.yaml" && !shown[3].1.is_empty(), "{shown:?}");
}

#[test]
fn only_levels_that_came_from_the_directory_are_taken_away_with_their_files() {
    let row = every_level("levels");
    let source = Source {
        id: row.source_id,
        name: "ops".parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 60,
        swept_at: None,
        last_error: None,
        created_at: Utc::now(),
    };
    let application = Application {
        id: row.application_id,
        name: "shop".parse().unwrap(),
        source_id: row.source_id,
        path: String::new(),
        created_at: Utc::now(),
    };
    let id: CommitId = "a".repeat(40).parse().unwrap();
    let commit = CommitInfo {
        id: id.clone(),
        tree: id.clone(),
        parents: Vec::new(),
        author: "n <e@example.org>".into(),
        committed_at: Utc::now(),
        subject: "m".into(),
        message: "m".into(),
    };
    let taking = Taking { source: &source, application: &application, row: &row, commit: &commit };
    let origin = |name: &str, branch: &str, path: &str| ConfigurationOrigin {
        source: name.parse().unwrap(),
        branch: branch.into(),
        path: path.into(),
        commit: id.clone(),
    };
    assert!(taking.is_ours(&origin("ops", "main", "levels/eu/shop.yaml"), "eu"));
    for elsewhere in [
        origin("other", "main", "levels/eu/shop.yaml"),
        origin("ops", "next", "levels/eu/shop.yaml"),
        origin("ops", "main", "deploy/eu/shop.yaml"),
        origin("ops", "main", "levels2/eu/shop.yaml"),
        origin("ops", "main", "levels/one.yaml"),
    ] {
        assert!(!taking.is_ours(&elsewhere, "eu"), "{elsewhere:?}");
    }
}
