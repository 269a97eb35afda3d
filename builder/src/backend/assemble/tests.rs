use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use slipway_git::{GitOptions, Snapshot};

use super::GitContext;
use crate::assemble::{ContextEntry, ContextFiles, ContextKind, DirectoryContext};

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(directory).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", directory);
    git.args(["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "core.quotePath=false"]);
    let done = git.args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn sorted(context: &dyn ContextFiles) -> Vec<ContextEntry> {
    let mut entries = context.entries().unwrap();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn content(context: &dyn ContextFiles, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    context.open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn assert_same(commit: &Snapshot, directory: &Path, root: &str) {
    let committed = GitContext::new(commit.reopen().unwrap(), root);
    let on_disk = DirectoryContext::new(directory.join(root));
    let entries = sorted(&on_disk);
    assert_eq!(sorted(&committed), entries, "context {root:?}");
    for entry in entries.iter().filter(|entry| matches!(entry.kind, ContextKind::File { .. })) {
        assert_eq!(content(&committed, &entry.path), content(&on_disk, &entry.path), "{}", entry.path);
    }
}

#[test]
fn a_committed_directory_is_the_same_context_as_on_disk() {
    let repository = tempfile::tempdir().unwrap();
    let root = repository.path().join("tree");
    let long = format!("app/{}/{}", "d".repeat(120), "f".repeat(160));
    for (path, text) in [
        ("Dockerfile", "FROM scratch"),
        ("app/Dockerfile", "FROM scratch"),
        ("app/.dockerignore", "*.log"),
        ("app/.hidden/x", "x"),
        ("app/run.sh", "#!/bin/sh"),
        ("app/sub/deep/er/file", "deep"),
        ("app/sub/empty", ""),
        ("app/ünï ☃/n\"q\\uote", "name"),
        ("app2/not-in-app", "no"),
        (&long, "long"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(root.join("app/large"), vec![7; 3 << 20]).unwrap();
    fs::set_permissions(root.join("app/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("sub/deep", root.join("app/to-directory")).unwrap();
    symlink("../../../etc/passwd", root.join("app/outside")).unwrap();
    symlink("none", root.join("app/sub/broken")).unwrap();
    git(&root, &["init", "--quiet", "--separate-git-dir", "../git"]);
    git(&root, &["add", "--all"]);
    git(&root, &["commit", "--quiet", "--message", "m"]);
    let commit = git(&root, &["rev-parse", "HEAD"]).parse().unwrap();
    fs::remove_file(root.join(".git")).unwrap();
    let options = GitOptions::default();
    let snapshot = Snapshot::open(&repository.path().join("git"), &commit, &options).unwrap();
    for directory in ["app", "app/sub", ""] {
        assert_same(&snapshot, &root, directory);
    }
}
