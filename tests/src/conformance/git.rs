use futures::future::join_all;

use super::prelude::*;

async fn add(records: &Shared, source: SourceId, text: &str) -> i64 {
    let mut tx = begin(records).await;
    let row = tx.git_pack_add(source, Digest::of(text), 10).await.unwrap();
    tx.commit().await.unwrap();
    row.seq
}

async fn move_ref(records: &Shared, source: SourceId, old: Option<u32>, new: Option<u32>) -> bool {
    let change = RefMove {
        name: branch("main"),
        old: old.map(commit),
        new: new.map(|n| (commit(n), commit(n + 1000))),
    };
    let mut tx = begin(records).await;
    let moved = tx.git_ref_move(source, &change).await.unwrap();
    tx.commit().await.unwrap();
    moved
}

pub async fn packs_are_numbered_in_their_source(records: Shared) {
    let (a, b) = (source(&records, "a").await.id, source(&records, "b").await.id);
    assert_eq!(add(&records, a, "1").await, 1);
    assert_eq!(add(&records, b, "1").await, 1);
    assert_eq!(add(&records, a, "2").await, 2);
    assert_eq!(add(&records, a, "3").await, 3);
    let mut read = read(&records).await;
    let after = read.git_packs(a, 1).await.unwrap();
    assert_eq!(after.iter().map(|pack| pack.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((after[0].digest, after[0].size), (Digest::of("2"), 10));
    assert_eq!(read.git_packs(b, 0).await.unwrap().len(), 1);
}

pub async fn a_pack_is_adopted_by_its_digest(records: Shared) {
    let source = source(&records, "a").await.id;
    assert_eq!(add(&records, source, "1").await, 1);
    let revision = read(&records).await.git_revision(source).await.unwrap();
    assert_eq!(add(&records, source, "1").await, 1);
    let mut read = read(&records).await;
    assert_eq!(read.git_packs(source, 0).await.unwrap().len(), 1);
    assert_eq!(read.git_revision(source).await.unwrap(), revision);
}

pub async fn refs_move_only_from_what_they_point_to(records: Shared) {
    let id = source(&records, "a").await.id;
    assert!(!move_ref(&records, id, Some(1), Some(2)).await, "it does not exist");
    assert!(move_ref(&records, id, None, Some(1)).await);
    assert!(!move_ref(&records, id, None, Some(2)).await, "it exists");
    assert!(!move_ref(&records, id, Some(2), Some(3)).await, "it points elsewhere");
    assert!(move_ref(&records, id, Some(1), Some(2)).await);
    let row = RefRow { name: branch("main"), object: commit(2), commit: commit(1002) };
    assert_eq!(read(&records).await.git_refs(id).await.unwrap(), [row]);
    assert!(!move_ref(&records, id, Some(1), None).await, "it points elsewhere");
    assert!(!move_ref(&records, id, None, None).await, "it exists");
    assert!(move_ref(&records, id, Some(2), None).await);
    assert!(move_ref(&records, id, None, None).await, "it does not exist, as asked");
    assert_eq!(read(&records).await.git_refs(id).await.unwrap(), []);
}

pub async fn refs_are_sorted_by_name(records: Shared) {
    let id = source(&records, "a").await.id;
    let mut tx = begin(&records).await;
    for name in [GitRef::Tag("v1".into()), branch("b"), branch("B"), branch("a/x")] {
        let change = RefMove { name, old: None, new: Some((commit(1), commit(1))) };
        assert!(tx.git_ref_move(id, &change).await.unwrap());
    }
    tx.commit().await.unwrap();
    let refs = read(&records).await.git_refs(id).await.unwrap();
    let names: Vec<_> = refs.iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["refs/heads/B", "refs/heads/a/x", "refs/heads/b", "refs/tags/v1"]);
}

pub async fn the_revision_rises_with_every_change(records: Shared) {
    let (id, other) = (source(&records, "a").await.id, source(&records, "b").await.id);
    let mut last = read(&records).await.git_revision(id).await.unwrap();
    assert_eq!(last, 0);
    for step in 0..4 {
        match step {
            0 => assert_eq!(add(&records, id, "1").await, 1),
            1 => assert!(move_ref(&records, id, None, Some(1)).await),
            2 => assert!(move_ref(&records, id, Some(1), Some(2)).await),
            _ => assert!(move_ref(&records, id, Some(2), None).await),
        }
        let revision = read(&records).await.git_revision(id).await.unwrap();
        assert!(revision > last);
        last = revision;
    }
    assert!(!move_ref(&records, id, Some(9), Some(1)).await);
    assert_eq!(read(&records).await.git_revision(id).await.unwrap(), last, "nothing moved");
    assert_eq!(read(&records).await.git_revision(other).await.unwrap(), 0);
}

async fn replace(records: &Shared, source: SourceId, replaced: &[PackRow], text: &str) -> Option<PackRow> {
    let mut tx = begin(records).await;
    let row = tx.git_packs_replace(source, replaced, Digest::of(text), 99).await.unwrap();
    tx.commit().await.unwrap();
    row
}

async fn packs(records: &Shared, source: SourceId) -> Vec<PackRow> {
    read(records).await.git_packs(source, 0).await.unwrap()
}

pub async fn one_pack_takes_the_place_of_several(records: Shared) {
    let id = source(&records, "a").await.id;
    for text in ["1", "2", "3"] {
        add(&records, id, text).await;
    }
    let old = packs(&records, id).await;
    add(&records, id, "came meanwhile").await;
    let revision = read(&records).await.git_revision(id).await.unwrap();
    let whole = replace(&records, id, &old[..2], "whole").await.unwrap();
    assert_eq!((whole.seq, whole.digest, whole.size), (5, Digest::of("whole"), 99));
    let left = packs(&records, id).await;
    assert_eq!(left.iter().map(|pack| pack.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(left[2], whole);
    assert!(read(&records).await.git_revision(id).await.unwrap() > revision);
    assert_eq!(add(&records, id, "next").await, 6);
    // What was replaced may come again, and a pack may take its own place.
    assert_eq!(add(&records, id, "1").await, 7);
    let all = packs(&records, id).await;
    assert_eq!(replace(&records, id, &all, "whole").await, Some(whole.clone()));
    assert_eq!(packs(&records, id).await, [whole]);
}

pub async fn packs_that_are_gone_are_not_replaced(records: Shared) {
    let (id, other) = (source(&records, "a").await.id, source(&records, "b").await.id);
    for text in ["1", "2", "3"] {
        add(&records, id, text).await;
    }
    let old = packs(&records, id).await;
    assert!(replace(&records, id, &old[..2], "first").await.is_some());
    let (left, revision) = (packs(&records, id).await, read(&records).await.git_revision(id).await.unwrap());
    assert_eq!(replace(&records, id, &old, "second").await, None);
    assert_eq!(replace(&records, other, &old, "second").await, None);
    assert_eq!(packs(&records, id).await, left);
    assert_eq!(read(&records).await.git_revision(id).await.unwrap(), revision);
}

pub async fn parallel_replacements_and_additions_lose_no_pack(records: Shared) {
    let id = source(&records, "a").await.id;
    for text in ["1", "2", "3", "4"] {
        add(&records, id, text).await;
    }
    let old = packs(&records, id).await;
    let names: Vec<String> = (0..6).map(|n| format!("new {n}")).collect();
    let adding = join_all(names.iter().map(|name| add(&records, id, name)));
    let replacing = join_all(["a", "b", "c"].map(|text| replace(&records, id, &old, text)));
    let (added, replaced) = tokio::join!(adding, replacing);
    assert_eq!(replaced.iter().flatten().count(), 1, "one winner");
    let left = packs(&records, id).await;
    assert_eq!(left.len(), 7);
    assert!(added.iter().all(|seq| left.iter().any(|pack| pack.seq == *seq)));
}

pub async fn parallel_moves_of_a_ref_have_one_winner(records: Shared) {
    let id = source(&records, "a").await.id;
    assert!(move_ref(&records, id, None, Some(1)).await);
    let moved = join_all((2..10).map(|n| move_ref(&records, id, Some(1), Some(n)))).await;
    assert_eq!(moved.iter().filter(|moved| **moved).count(), 1);
}
