use uuid::Uuid;

use super::prelude::*;

async fn append(records: &Shared, log: Uuid, offset: u64, length: u64) -> bool {
    let chunk = LogChunk { offset, length, digest: Digest::of(offset.to_string()), mark: None };
    let mut tx = begin(records).await;
    let appended = tx.log_append(log, &chunk).await.unwrap();
    tx.commit().await.unwrap();
    appended
}

pub async fn chunks_follow_one_another(records: Shared) {
    let (log, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(read(&records).await.log_size(log).await.unwrap(), 0);
    assert!(!append(&records, log, 1, 5).await, "a gap");
    assert!(append(&records, log, 0, 5).await);
    assert!(!append(&records, log, 0, 5).await, "another writer was faster");
    assert!(!append(&records, log, 4, 5).await, "an overlap");
    assert!(append(&records, log, 5, 0).await, "nothing to keep");
    assert!(append(&records, log, 5, 10).await);
    let mut read = read(&records).await;
    assert_eq!(read.log_size(log).await.unwrap(), 15);
    assert_eq!(read.log_size(other).await.unwrap(), 0);
}

pub async fn chunks_are_read_from_any_offset(records: Shared) {
    let log = Uuid::now_v7();
    for n in 0..4 {
        assert!(append(&records, log, n * 10, 10).await);
    }
    let mut read = read(&records).await;
    for (offset, limit, expected) in [
        (0, 10, vec![0, 10, 20, 30]),
        (0, 2, vec![0, 10]),
        (9, 1, vec![0]),
        (10, 1, vec![10]),
        (39, 10, vec![30]),
        (40, 10, vec![]),
        (400, 10, vec![]),
    ] {
        let chunks = read.log_chunks(log, offset, limit).await.unwrap();
        let offsets: Vec<_> = chunks.iter().map(|chunk| chunk.offset).collect();
        assert_eq!(offsets, expected, "from {offset}");
        assert!(chunks.iter().all(|c| c.length == 10 && c.digest == Digest::of(c.offset.to_string())));
    }
}

pub async fn the_last_mark_tells_how_far_a_log_reaches(records: Shared) {
    let (log, other) = (Uuid::now_v7(), Uuid::now_v7());
    for (offset, mark) in (0..).zip([None, Some("a"), Some("b"), None]) {
        let digest = Digest::of(offset.to_string());
        let chunk = LogChunk { offset, length: 1, digest, mark: mark.map(ToOwned::to_owned) };
        let mut tx = begin(&records).await;
        assert!(tx.log_append(log, &chunk).await.unwrap());
        tx.commit().await.unwrap();
    }
    let mut read = read(&records).await;
    assert_eq!(read.log_mark(log).await.unwrap().as_deref(), Some("b"));
    assert_eq!(read.log_mark(other).await.unwrap(), None);
    assert_eq!(read.log_chunks(log, 1, 1).await.unwrap()[0].mark.as_deref(), Some("a"));
}
