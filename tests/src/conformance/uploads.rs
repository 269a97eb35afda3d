use slipway_records::UploadPart;
use slipway_types::id::UploadId;

use super::prelude::*;

async fn begun(records: &Shared, at_second: i64) -> UploadId {
    let id = UploadId::new();
    let mut tx = begin(records).await;
    tx.upload_begin(id, "default/shop/i/web", at(at_second)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn append(records: &Shared, id: UploadId, offset: u64, at_second: i64) -> bool {
    let part = UploadPart { offset, length: 10, digest: Digest::of(offset.to_string()) };
    let mut tx = begin(records).await;
    let appended = tx.upload_append(id, &part, at(at_second)).await.unwrap();
    tx.commit().await.unwrap();
    appended
}

pub async fn parts_of_an_upload_follow_one_another(records: Shared) {
    let (id, other) = (begun(&records, 0).await, begun(&records, 0).await);
    assert!(!append(&records, id, 10, 1).await, "a gap");
    assert!(append(&records, id, 0, 1).await);
    assert!(!append(&records, id, 0, 1).await, "another request was faster");
    assert!(append(&records, id, 10, 1).await);
    assert!(!append(&records, UploadId::new(), 0, 1).await, "an unknown upload");
    let mut read = read(&records).await;
    let upload = read.upload_get(id).await.unwrap().unwrap();
    assert_eq!((upload.size(), upload.repository.as_str()), (20, "default/shop/i/web"));
    let parts: Vec<_> = upload.parts.iter().map(|part| (part.offset, part.length, part.digest)).collect();
    assert_eq!(parts, [(0, 10, Digest::of("0")), (10, 10, Digest::of("10"))]);
    assert_eq!(read.upload_get(other).await.unwrap().unwrap().size(), 0);
    let blobs = [Digest::of("0"), Digest::of("elsewhere")];
    assert_eq!(read.blobs_referenced(&blobs).await.unwrap(), [Digest::of("0")], "upkeep leaves parts alone");
}

pub async fn one_of_two_parts_at_once_is_kept(records: Shared) {
    let id = begun(&records, 0).await;
    let (one, two) = tokio::join!(append(&records, id, 0, 1), append(&records, id, 0, 1));
    assert!(one ^ two, "{one} {two}");
    assert_eq!(read(&records).await.upload_get(id).await.unwrap().unwrap().parts.len(), 1);
}

pub async fn uploads_are_forgotten_by_name_and_by_age(records: Shared) {
    let (ended, idle, used) =
        (begun(&records, 100).await, begun(&records, 0).await, begun(&records, 0).await);
    assert!(append(&records, used, 0, 100).await);
    let mut tx = begin(&records).await;
    assert!(tx.upload_remove(ended).await.unwrap());
    assert!(!tx.upload_remove(ended).await.unwrap());
    assert_eq!(tx.uploads_remove(at(50), 10).await.unwrap(), 1);
    assert_eq!(tx.uploads_remove(at(50), 10).await.unwrap(), 0);
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    assert_eq!(read.upload_get(idle).await.unwrap(), None);
    assert_eq!(read.upload_get(ended).await.unwrap(), None);
    assert!(read.upload_get(used).await.unwrap().is_some());
}
