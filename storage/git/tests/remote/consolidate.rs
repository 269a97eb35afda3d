use slipway_git::GitStore;
use slipway_types::CommitId;

use crate::world::{Work, World, options};

/// More packs than this are too many.
const MAX_PACKS: usize = 5;

/// Pushes one commit after the other, each of which is a pack.
async fn push_each(work: &Work, name: &str, commits: usize) -> Vec<CommitId> {
    let mut pushed = Vec::new();
    for number in 0..commits {
        let path = format!("{name}-{}/file-{number}.txt", number % 3);
        pushed.push(work.commit(&path, &format!("{number}\n").repeat(50)).await);
        work.ok(&["push", "-q", "origin", "HEAD"]).await;
    }
    pushed
}

async fn store_at(world: &World, cache: &str) -> GitStore {
    let cache = world.dir.path().join(cache);
    GitStore::open(cache, world.blobs.clone(), world.records.clone(), options()).await.unwrap()
}

async fn assert_all_there(world: &World, store: &GitStore, commits: &[CommitId]) {
    for commit in commits {
        let snapshot = store.snapshot(world.source, commit).await.unwrap();
        for entry in snapshot.list("", true).unwrap().iter().filter(|entry| entry.kind.is_file()) {
            snapshot.read_blob(&entry.id, 1 << 20).unwrap();
        }
    }
}

/// Packs in the repository of a cache.
fn on_disk(world: &World, cache: &str) -> usize {
    let packs = world.dir.path().join(cache).join(format!("{}.git/objects/pack", world.source));
    let names = std::fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "pack")).count()
}

#[tokio::test]
async fn many_packs_become_one_and_every_server_still_has_every_object() {
    let world = World::new().await;
    let work = world.work("w").await;
    let mut commits = push_each(&work, "first", 8).await;
    // A branch that is gone: its commit is reached by no ref, but a bundle may name it.
    work.ok(&["checkout", "-q", "-b", "gone"]).await;
    commits.extend(push_each(&work, "gone", 2).await);
    work.ok(&["push", "-q", "origin", ":gone"]).await;
    work.ok(&["tag", "-a", "v1.0.0", "-m", "one"]).await;
    work.ok(&["push", "-q", "origin", "v1.0.0", "main"]).await;
    let warm = store_at(&world, "warm").await;
    assert_all_there(&world, &warm, &commits).await;
    let before = world.packs().await;
    assert!(before > MAX_PACKS && on_disk(&world, "warm") == before, "{before}");

    assert_eq!(world.store.consolidate(world.source, before).await.unwrap(), 0, "not too many");
    assert_eq!(world.store.consolidate(world.source, MAX_PACKS).await.unwrap(), before);
    assert_eq!(world.packs().await, 1);
    assert_eq!(on_disk(&world, "cache"), 1, "the cache of the server that did it");
    assert_all_there(&world, &world.store, &commits).await;
    let cold = store_at(&world, "cold").await;
    assert_all_there(&world, &cold, &commits).await;
    assert_eq!(on_disk(&world, "cold"), 1);

    // Pushes go on, and a server with the old packs follows.
    work.ok(&["checkout", "-q", "main"]).await;
    let next = push_each(&work, "next", 1).await;
    commits.extend(next);
    assert_all_there(&world, &warm, &commits).await;
    warm.sync(world.source).await.unwrap();
    assert_eq!((world.packs().await, on_disk(&world, "warm")), (2, 2));
    world.work("clone").await.ok(&["fetch", "-q", "origin"]).await;
    let repository = warm.rebuild(world.source).await.unwrap();
    let repository = repository.to_str().unwrap();
    work.ok(&["--git-dir", repository, "fsck", "--full", "--strict", "--no-dangling"]).await;
}

#[tokio::test]
async fn pushes_and_a_second_consolidation_meanwhile_lose_nothing() {
    let world = World::new().await;
    let (ann, ben) = (world.work("ann").await, world.work("ben").await);
    ben.ok(&["checkout", "-q", "-b", "ben"]).await;
    let mut commits = push_each(&ann, "first", 8).await;
    let other = store_at(&world, "other").await;
    let (ann_pushed, ben_pushed, here, there) = tokio::join!(
        push_each(&ann, "ann", 4),
        push_each(&ben, "ben", 4),
        world.store.consolidate(world.source, MAX_PACKS),
        other.consolidate(world.source, MAX_PACKS),
    );
    // Who comes late finds the packs gone, as it looks for them or as it would replace them.
    assert!(here.is_ok() || there.is_ok(), "{here:?} {there:?}");
    assert!(here.unwrap_or(0) + there.unwrap_or(0) >= 8);
    commits.extend(ann_pushed);
    commits.extend(ben_pushed);
    for store in [&world.store, &other, &store_at(&world, "cold").await] {
        assert_all_there(&world, store, &commits).await;
    }
    let clone = world.work("clone").await;
    clone.ok(&["fetch", "-q", "origin"]).await;
    for branch in ["main", "ben"] {
        let name = format!("refs/heads/{branch}");
        let fetched = clone.ok(&["rev-parse", &format!("origin/{branch}")]).await;
        assert_eq!(world.head(&name).await.unwrap().as_str(), fetched);
    }
}
