use std::io::Read as _;

use slipway_git::{EntryKind, GitError, HazardKind, PathError};

use crate::world::{Work, World};

async fn pushed(world: &World, work: &Work) -> slipway_git::Snapshot {
    let tip = work.commit_all().await;
    work.ok(&["push", "-q", "--force", "origin", "main"]).await;
    world.store.snapshot(world.source, &tip).await.unwrap()
}

fn write(work: &Work, path: &str, content: impl AsRef<[u8]>) {
    let file = work.dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

fn link(work: &Work, target: &str, path: &str) {
    std::os::unix::fs::symlink(target, work.dir.join(path)).unwrap();
}

#[tokio::test]
async fn trees_are_listed_and_matched_in_order() {
    let world = World::new().await;
    let work = world.work("w").await;
    for path in ["a/b.txt", "a-b", "a/c/d.txt", "libs/x/y.rs", "libs/z.txt", "run.sh"] {
        write(&work, path, path);
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(work.dir.join("run.sh"), mode).unwrap();
    let tree = pushed(&world, &work).await;
    let paths = |entries: Vec<slipway_git::TreeEntry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.path).collect()
    };
    assert_eq!(paths(tree.list("a", true).unwrap()), ["a/b.txt", "a/c", "a/c/d.txt"]);
    assert_eq!(paths(tree.list("", false).unwrap()), ["a", "a-b", "a.txt", "libs", "run.sh"]);
    assert_eq!(paths(tree.matching(&["/libs/**", "*.txt"]).unwrap()), ["a.txt", "libs/x/y.rs", "libs/z.txt"]);
    assert_eq!(paths(tree.matching(&["a", "**/*.rs"]).unwrap()), ["a/b.txt", "a/c/d.txt", "libs/x/y.rs"]);
    assert!(tree.matching(&["a{"]).is_err());
    assert_eq!(tree.entry("run.sh").unwrap().unwrap().kind, EntryKind::Executable);
    let expected = work.ok(&["rev-parse", "HEAD:a/c"]).await;
    assert_eq!(tree.tree_id("a/c").unwrap().unwrap().as_str(), expected);
    let info = tree.commit_info().unwrap();
    assert_eq!((info.subject.as_str(), info.author.as_str()), ("a change", "Ann <ann@example.com>"));
    assert_eq!(info.committed_at.to_rfc3339(), "2024-01-02T03:04:05+00:00");
    assert_eq!(info.parents.len(), 1);
    let gone = world.store.snapshot(world.source, &"1".repeat(40).parse().unwrap()).await;
    assert!(matches!(gone, Err(GitError::NotFound { .. })));
}

#[tokio::test]
async fn links_are_followed_inside_the_repository_only() {
    let world = World::new().await;
    let work = world.work("w").await;
    write(&work, "real/dir/file", "x");
    link(&work, "real", "to-dir");
    link(&work, "../a.txt", "real/up");
    link(&work, "../../etc/passwd", "escape");
    link(&work, "/etc/passwd", "absolute");
    link(&work, "loop-b", "loop-a");
    link(&work, "loop-a", "loop-b");
    link(&work, "../w/a.txt", "back-in");
    let tree = pushed(&world, &work).await;
    let found = tree.resolve("/to-dir/dir/../dir/file").unwrap();
    assert_eq!(found.entry.path, "real/dir/file");
    assert_eq!(found.links[0].path, "to-dir");
    assert_eq!(tree.resolve("to-dir/up").unwrap().entry.path, "a.txt");
    assert_eq!(tree.resolve("").unwrap().entry.kind, EntryKind::Directory);
    for outside in ["escape", "absolute", "..", "real/../../x", "back-in"] {
        let error = tree.resolve(outside).unwrap_err();
        assert!(matches!(error, GitError::Path(PathError::Outside { .. })), "{outside}: {error}");
    }
    assert!(matches!(tree.resolve("loop-a"), Err(GitError::Path(PathError::Loop { .. }))));
    assert!(matches!(tree.resolve("a.txt/x"), Err(GitError::Path(PathError::NotADirectory { .. }))));
    assert!(matches!(tree.resolve("nothing"), Err(GitError::Path(PathError::NotFound { .. }))));
}

#[tokio::test]
async fn pointers_and_submodules_are_hazards_with_path_and_line() {
    let world = World::new().await;
    let work = world.work("w").await;
    write(&work, "ok/readme", "version https://git-lfs.github.com/spec/v2\n");
    write(&work, "data/model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    write(&work, ".gitmodules", "[submodule \"x\"]\n\tpath = vendor/x\n\turl = https://example.com/x\n");
    work.ok(&["add", "-A"]).await;
    let commit = work.tip().await;
    work.ok(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor/x")]).await;
    work.ok(&["commit", "-q", "-m", "x"]).await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let tree = world.store.snapshot(world.source, &work.tip().await).await.unwrap();
    assert!(tree.hazards("ok").unwrap().is_empty() && tree.hazards("nothing").unwrap().is_empty());
    let hazards = tree.hazards("").unwrap();
    let found: Vec<_> = hazards.iter().map(|h| (h.path.as_str(), h.line, h.kind)).collect();
    let expected =
        [("data/model.bin", Some(1), HazardKind::LfsPointer), ("vendor/x", Some(2), HazardKind::Submodule)];
    assert_eq!(found, expected);
    assert!(matches!(tree.resolve("vendor/x/y"), Err(GitError::Path(PathError::Submodule { .. }))));
}

#[tokio::test]
async fn small_and_large_blobs_stream_the_same_bytes() {
    let world = World::new().await;
    let work = world.work("w").await;
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let large: Vec<u8> = (0..9 << 20).map(|_| noise()).collect();
    write(&work, "large", &large);
    let tree = pushed(&world, &work).await;
    for (path, content) in [("large", large.as_slice()), ("a.txt", b"one\n")] {
        let entry = tree.entry(path).unwrap().unwrap();
        let mut reader = tree.open_blob(&entry.id).unwrap();
        assert_eq!(reader.size(), content.len() as u64);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == content, "{path}");
    }
    let entry = tree.entry("large").unwrap().unwrap();
    assert!(matches!(tree.read_blob(&entry.id, 100), Err(GitError::TooLarge { .. })));
}

#[tokio::test]
async fn releases_are_found_through_merges_and_not_from_older_branches() {
    let world = World::new().await;
    let work = world.work("w").await;
    let first = work.tip().await;
    work.ok(&["tag", "v1.0.0"]).await;
    work.ok(&["checkout", "-q", "-b", "hotfix"]).await;
    let fix = work.commit("fix", "x").await;
    work.ok(&["tag", "v1.0.1"]).await;
    work.ok(&["checkout", "-q", "main"]).await;
    let newer = work.commit("new", "y").await;
    work.ok(&["tag", "-a", "-m", "x", "v1.1.0"]).await;
    work.ok(&["tag", "v1.2.0-rc.1"]).await;
    work.ok(&["merge", "-q", "-m", "merge", "hotfix"]).await;
    work.ok(&["push", "-q", "origin", "main", "hotfix", "--tags"]).await;
    let merged = work.tip().await;
    let store = &world.store;
    let base = |commit| async move {
        store.highest_release(world.source, commit).await.unwrap().map(|(v, c)| (v.to_string(), c))
    };
    assert_eq!(base(&first).await, Some(("1.0.0".into(), first.clone())));
    assert_eq!(base(&fix).await, Some(("1.0.1".into(), fix.clone())));
    assert_eq!(base(&merged).await, Some(("1.1.0".into(), newer.clone())));
    assert!(store.is_reachable(world.source, &fix, &merged).await.unwrap());
    assert!(!store.is_reachable(world.source, &newer, &fix).await.unwrap());
    let gone = "1".repeat(40).parse().unwrap();
    assert!(!store.is_reachable(world.source, &gone, &merged).await.unwrap());
    let beyond = |base, head, limit| async move {
        let commits = store.commits_beyond(world.source, base, head, limit).await.unwrap();
        commits.into_iter().map(|commit| commit.id).collect::<Vec<_>>()
    };
    let since_the_fix = beyond(&fix, &merged, 10).await;
    assert_eq!(since_the_fix, [merged.clone(), newer.clone()]);
    assert_eq!(beyond(&fix, &merged, 1).await, std::slice::from_ref(&merged));
    assert_eq!(beyond(&newer, &fix, 10).await, std::slice::from_ref(&fix));
    assert!(beyond(&merged, &first, 10).await.is_empty() && beyond(&fix, &fix, 10).await.is_empty());
    assert!(store.commits_beyond(world.source, &gone, &merged, 10).await.is_err());
}
