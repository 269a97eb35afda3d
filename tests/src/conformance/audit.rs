//! What was done stays as it was written, each entry by a digest of the one before.

use futures::future::join_all;
use serde_json::json;
use slipway_records::{AuditEntry, NewAuditEntry};

use super::prelude::*;

pub async fn every_audit_entry_covers_the_one_before(records: Shared) {
    let write = async |n: usize| {
        let mut tx = begin(&records).await;
        let entry = NewAuditEntry {
            actor: "ann\0".into(),
            action: "test",
            subject: format!("thing/{}", n % 2),
            detail: json!({"b": n, "a": [1.5, null, "x\0"], "c\0": {}}),
        };
        tx.audit(entry).await.unwrap();
        tx.commit().await.unwrap();
    };
    join_all((0..6).map(write)).await;
    let mut read = read(&records).await;
    let mut entries: Vec<AuditEntry> = read.audit_list(None, None, 100).await.unwrap();
    assert_eq!(entries.len(), 6);
    entries.reverse();
    let mut previous = None;
    for entry in &entries {
        assert!(entry.follows(previous.as_ref()), "{entry:?}");
        previous = Some(entry.digest);
    }
    let altered = AuditEntry { actor: "bob".into(), ..entries[3].clone() };
    assert!(!altered.follows(Some(&entries[2].digest)));
    assert!(read.audit_list(Some("thing\0"), None, 2).await.unwrap().is_empty());
    let of_one = read.audit_list(Some("thing/1"), Some(entries[5].seq), 2).await.unwrap();
    assert!(of_one.len() == 2 && of_one.iter().all(|entry| entry.subject == "thing/1"));
}
