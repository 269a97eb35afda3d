use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use proptest::prelude::*;
use slipway_types::Digest;

use crate::faults::{Effect, FaultStore, Operation};
use crate::{BlobError, Blobs, BlobsOptions, CHUNK_BYTES, OpenError};

struct Fixture {
    blobs: Blobs,
    directory: tempfile::TempDir,
}

async fn local_with(change: impl FnOnce(&mut BlobsOptions)) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(directory.path().join("store")).unwrap();
    let mut options = BlobsOptions::new(url, directory.path().join("spool"));
    change(&mut options);
    Fixture { blobs: Blobs::open(options).await.unwrap(), directory }
}

async fn local() -> Fixture {
    local_with(|_| ()).await
}

/// A store of another machine, with limits so small that parts come into play.
fn remote() -> (Fixture, FaultStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = FaultStore::new(Arc::new(InMemory::new()));
    let options = BlobsOptions {
        multipart_threshold_bytes: 600_000,
        part_bytes: 200_000,
        ..BlobsOptions::new("memory:///", directory.path())
    };
    (Fixture { blobs: Blobs::with_store(Arc::new(store.clone()), options), directory }, store)
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| u8::try_from((i * 31 + i / 253) % 251).unwrap()).collect::<Vec<_>>().into()
}

async fn collect(blobs: &Blobs, digest: &Digest) -> (usize, Option<BlobError>) {
    let mut stream = blobs.read(digest).await.unwrap();
    let mut delivered = 0;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => delivered += chunk.len(),
            Err(error) => return (delivered, Some(error)),
        }
    }
    (delivered, None)
}

fn spool_files(fixture: &Fixture) -> usize {
    [fixture.directory.path().join("spool"), fixture.directory.path().to_path_buf()]
        .iter()
        .filter_map(|at| std::fs::read_dir(at).ok())
        .flatten()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("spool-"))
        .count()
}

async fn every_way_in_and_out(blobs: &Blobs, bytes: &Bytes, cut: usize) {
    let expected = Digest::of(bytes);
    let mut spool = blobs.spool().unwrap();
    spool.write(&bytes[..cut]).await.unwrap();
    spool.write(&bytes[cut..]).await.unwrap();
    let blob = blobs.put_spooled(spool.finish().await.unwrap()).await.unwrap();
    assert_eq!((blob.digest, blob.size), (expected, bytes.len() as u64));
    assert_eq!(blobs.put(bytes.clone()).await.unwrap(), blob);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    assert_eq!(blobs.put_file(file.path()).await.unwrap(), blob);

    assert_eq!(blobs.head(&expected).await.unwrap(), Some(blob.size));
    assert_eq!(blobs.get(&expected, blob.size).await.unwrap(), bytes);
    let mut opened = blobs.open_file(&expected).await.unwrap();
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut opened, &mut read).unwrap();
    assert!(read == *bytes, "the opened file has the bytes");
    if cut < bytes.len() {
        let range = blobs.read_range(&expected, cut as u64..u64::MAX).await.unwrap();
        assert_eq!(range.size, (bytes.len() - cut) as u64);
        let chunks: Vec<Bytes> = range.try_collect().await.unwrap();
        assert!(chunks.concat() == bytes[cut..], "the range has the bytes");
    }
    let listed: Vec<_> = blobs.list().try_collect().await.unwrap();
    assert_eq!(listed.iter().filter(|l| l.blob == blob).count(), 1);
    blobs.delete(&expected).await.unwrap();
    blobs.delete(&expected).await.unwrap();
    assert_eq!(blobs.head(&expected).await.unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(size in 0_usize..900_000, cut in 0.0_f64..1.0) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a place inside the bytes, whichever")]
        let cut = (size as f64 * cut) as usize;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = local().await;
            every_way_in_and_out(&fixture.blobs, &pattern(size), cut).await;
            assert_eq!((fixture.blobs.spooled_bytes(), spool_files(&fixture)), (0, 0));
            let (fixture, _) = remote();
            every_way_in_and_out(&fixture.blobs, &pattern(size), cut).await;
            assert_eq!((fixture.blobs.spooled_bytes(), spool_files(&fixture)), (0, 0));
        });
    }
}

#[tokio::test]
async fn a_damaged_blob_is_never_delivered_whole() {
    let fixture = local().await;
    for size in [1, CHUNK_BYTES, CHUNK_BYTES * 3 + 5] {
        let blob = fixture.blobs.put(pattern(size)).await.unwrap();
        let path = fixture.directory.path().join("store/blobs/sha256").join(blob.digest.hex());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (delivered, error) = collect(&fixture.blobs, &blob.digest).await;
        assert!(delivered < size, "{delivered} of {size}");
        assert!(matches!(error, Some(BlobError::Corrupt { .. })), "{error:?}");
        let opened = fixture.blobs.open_file(&blob.digest).await;
        assert!(matches!(opened, Err(BlobError::Corrupt { .. })), "{opened:?}");
    }
}

#[tokio::test]
async fn a_blob_cut_short_on_disk_is_damaged_and_putting_it_again_heals_it() {
    let fixture = local().await;
    let bytes = pattern(CHUNK_BYTES * 2);
    let blob = fixture.blobs.put(bytes.clone()).await.unwrap();
    let path = fixture.directory.path().join("store/blobs/sha256").join(blob.digest.hex());
    std::fs::write(&path, &bytes[..CHUNK_BYTES]).unwrap();
    let got = fixture.blobs.get(&blob.digest, u64::MAX).await;
    assert!(matches!(got, Err(BlobError::Corrupt { .. })), "{got:?}");
    fixture.blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(fixture.blobs.get(&blob.digest, u64::MAX).await.unwrap(), bytes);
}

#[tokio::test]
async fn putting_the_same_blob_at_once_stores_it_once() {
    let fixture = local().await;
    let bytes = pattern(CHUNK_BYTES * 4);
    let puts = (0..8).map(|_| fixture.blobs.put(bytes.clone()));
    let stored = futures::future::try_join_all(puts).await.unwrap();
    assert!(stored.iter().all(|blob| *blob == stored[0]));
    assert_eq!(fixture.blobs.list().count().await, 1);
    assert_eq!(fixture.blobs.get(&stored[0].digest, u64::MAX).await.unwrap(), bytes);
    assert_eq!((fixture.blobs.spooled_bytes(), spool_files(&fixture)), (0, 0));
}

#[tokio::test]
async fn the_spool_directory_may_lie_on_another_file_system() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let fixture = local_with(|options| options.spool_dir = elsewhere.path().to_path_buf()).await;
    let bytes = pattern(CHUNK_BYTES + 1);
    let blob = fixture.blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(fixture.blobs.get(&blob.digest, u64::MAX).await.unwrap(), bytes);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(fixture.directory.path().join("store/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_sweep_removes_what_earlier_boots_left_and_nothing_else() {
    let fixture = local().await;
    let spool = fixture.directory.path().join("spool");
    std::fs::write(spool.join("spool-earlier-a"), b"12345").unwrap();
    std::fs::write(fixture.directory.path().join("store/incoming/spool-earlier-b"), b"1").unwrap();
    std::fs::write(spool.join("somebody-elses"), b"x").unwrap();
    let mut open = fixture.blobs.spool().unwrap();
    open.write(b"still ").await.unwrap();

    assert_eq!(fixture.blobs.sweep_spool(Duration::from_hours(1)).await.unwrap().files, 0);
    let swept = fixture.blobs.sweep_spool(Duration::ZERO).await.unwrap();
    assert_eq!((swept.files, swept.bytes), (2, 6));
    assert!(spool.join("somebody-elses").exists());
    open.write(b"open").await.unwrap();
    let blob = fixture.blobs.put_spooled(open.finish().await.unwrap()).await.unwrap();
    assert_eq!(blob.digest, Digest::of("still open"));
}

#[tokio::test]
async fn all_spools_together_keep_the_limit_and_give_back_what_they_held() {
    let fixture = local_with(|options| options.max_spool_bytes = 1000).await;
    let mut first = fixture.blobs.spool().unwrap();
    first.write(pattern(900)).await.unwrap();
    let mut second = fixture.blobs.spool().unwrap();
    let refused = second.write(pattern(101)).await;
    assert!(matches!(refused, Err(BlobError::SpoolFull { limit_bytes: 1000 })), "{refused:?}");
    let mut blocking = fixture.blobs.blocking_spool().unwrap();
    let refused = BlobError::from(blocking.write_all(&pattern(101)).unwrap_err());
    assert!(matches!(refused, BlobError::SpoolFull { limit_bytes: 1000 }), "{refused:?}");
    assert!(refused.is_transient());
    fixture.blobs.put_spooled(first.finish().await.unwrap()).await.unwrap();
    second.write(pattern(101)).await.unwrap();
    drop((second, blocking));
    assert_eq!((fixture.blobs.spooled_bytes(), spool_files(&fixture)), (0, 0));
}

#[tokio::test]
async fn a_spool_refuses_more_than_its_own_limit_and_stays_usable() {
    let fixture = local().await;
    let mut spool = fixture.blobs.spool_limited(10).unwrap();
    spool.write(b"12345678").await.unwrap();
    let refused = spool.write(b"901").await;
    assert!(matches!(refused, Err(BlobError::TooLarge { limit_bytes: 10 })), "{refused:?}");
    spool.write(b"90").await.unwrap();
    assert_eq!(spool.finish().await.unwrap().digest(), Digest::of("1234567890"));
    let mut blocking = fixture.blobs.blocking_spool_limited(3).unwrap();
    let refused = BlobError::from(blocking.write_all(b"1234").unwrap_err());
    assert!(matches!(refused, BlobError::TooLarge { limit_bytes: 3 }), "{refused:?}");
    blocking.write_all(b"123").unwrap();
    assert_eq!(blocking.finish().unwrap().digest(), Digest::of("123"));
}

#[tokio::test]
async fn a_put_that_failed_before_or_after_its_effect_can_be_repeated() {
    let cases = [
        (1_000, Operation::Put),
        (300_000, Operation::Head),
        (300_000, Operation::Put),
        (900_000, Operation::Begin),
        (900_000, Operation::Part),
        (900_000, Operation::Complete),
    ];
    for (size, operation) in cases {
        for effect in [Effect::FailBefore, Effect::FailAfter, Effect::Truncate] {
            let (fixture, store) = remote();
            let bytes = pattern(size);
            store.fail(operation, 1, effect);
            let error = fixture.blobs.put(bytes.clone()).await.unwrap_err();
            assert!(error.is_transient(), "{operation:?} {effect:?}: {error}");
            let aborts = u32::from(matches!(operation, Operation::Part | Operation::Complete));
            assert_eq!(store.calls(Operation::Abort), aborts, "{operation:?} {effect:?}");
            let blob = fixture.blobs.put(bytes.clone()).await.unwrap();
            assert_eq!(fixture.blobs.get(&blob.digest, u64::MAX).await.unwrap(), bytes);
            assert_eq!(fixture.blobs.list().count().await, 1);
            assert_eq!((fixture.blobs.spooled_bytes(), spool_files(&fixture)), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_response_cut_short_is_an_error_that_may_be_tried_again() {
    let (fixture, store) = remote();
    let blob = fixture.blobs.put(pattern(100_000)).await.unwrap();
    store.fail(Operation::Get, 1, Effect::Truncate);
    let (delivered, error) = collect(&fixture.blobs, &blob.digest).await;
    assert!(delivered < 100_000 && error.is_some_and(|e| e.is_transient()));
    store.fail(Operation::Get, 1, Effect::Truncate);
    let range = fixture.blobs.read_range(&blob.digest, 10..90_000).await.unwrap();
    let chunks: Result<Vec<Bytes>, _> = range.try_collect().await;
    assert!(chunks.unwrap_err().is_transient());
    assert_eq!(collect(&fixture.blobs, &blob.digest).await.0, 100_000);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_runs_into_the_deadline() {
    let (fixture, store) = remote();
    let blob = fixture.blobs.put(pattern(1_000)).await.unwrap();
    for operation in [Operation::Head, Operation::Delete] {
        store.fail(operation, 1, Effect::Stall);
        let error = match operation {
            Operation::Head => fixture.blobs.head(&blob.digest).await.unwrap_err(),
            _ => fixture.blobs.delete(&blob.digest).await.unwrap_err(),
        };
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.is_transient() && cause == "no answer within 210000 ms", "{cause}");
    }
}

#[tokio::test]
async fn what_is_absent_too_large_or_out_of_range_is_named() {
    let fixture = local().await;
    let absent = Digest::of("absent");
    assert!(
        matches!(fixture.blobs.read(&absent).await, Err(BlobError::Missing { digest }) if digest == absent)
    );
    assert!(matches!(fixture.blobs.read_range(&absent, 0..1).await, Err(BlobError::Missing { .. })));
    assert!(matches!(fixture.blobs.open_file(&absent).await, Err(BlobError::Missing { .. })));
    let blob = fixture.blobs.put("four").await.unwrap();
    let refused = fixture.blobs.get(&blob.digest, 3).await;
    assert!(matches!(refused, Err(BlobError::TooLarge { limit_bytes: 3 })), "{refused:?}");
    let refused = fixture.blobs.read_range(&blob.digest, 4..9).await;
    assert!(matches!(refused, Err(BlobError::OutOfRange { start: 4, size: 4 })), "{refused:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let s3 = |endpoint: &str| {
        let mut options = BlobsOptions::new("s3://bucket/prefix", directory.path());
        options.s3.endpoint = Some(endpoint.into());
        options.s3.access_key = Some("key".into());
        options
    };
    let mut plain = s3("http://127.0.0.1:1");
    plain.s3.secret_key = Some("secret".into());
    let cases = [
        (BlobsOptions::default(), "url"),
        (BlobsOptions::new("ftp://host/", directory.path()), "url"),
        (BlobsOptions::new("memory:///", "relative"), "spool_dir"),
        (BlobsOptions { part_bytes: 0, ..BlobsOptions::new("memory:///", directory.path()) }, "part_bytes"),
        (s3("https://127.0.0.1:1"), "s3.secret_key"),
        (plain, "s3.endpoint"),
    ];
    for (options, expected) in cases {
        let refused = Blobs::open(options).await;
        assert!(matches!(refused, Err(OpenError::Setting { name, .. }) if name == expected), "{refused:?}");
    }
    let blocked = directory.path().join("file");
    std::fs::write(&blocked, b"").unwrap();
    let refused = Blobs::open(BlobsOptions::new("memory:///", blocked.join("spool"))).await;
    assert!(matches!(refused, Err(OpenError::Directory { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_store_is_probed_again_in_bounded_time_and_nothing_is_left_in_it() {
    let limit = Duration::from_secs(5);
    let fixture = local().await;
    fixture.blobs.probe(limit).await.unwrap();
    std::fs::remove_dir_all(fixture.directory.path().join("store")).unwrap();
    let gone = fixture.blobs.probe(limit).await;
    assert!(matches!(gone, Err(OpenError::Directory { .. })), "{gone:?}");

    let (fixture, store) = remote();
    fixture.blobs.probe(limit).await.unwrap();
    store.fail(Operation::Get, 1, Effect::FailBefore);
    let unread = fixture.blobs.probe(limit).await;
    assert!(matches!(unread, Err(OpenError::Store { .. })), "{unread:?}");
    assert_eq!((store.calls(Operation::Put), store.calls(Operation::Delete)), (2, 2));
    store.fail(Operation::Put, 1, Effect::Stall);
    let silent = fixture.blobs.probe(Duration::from_millis(20)).await;
    assert!(format!("{silent:?}").contains("no answer within 20ms"), "{silent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_late_leaves_nothing_either() {
    let config = ThrottleConfig { wait_get_per_call: Duration::from_secs(1), ..ThrottleConfig::default() };
    let slow: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(InMemory::new(), config));
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::with_store(Arc::clone(&slow), BlobsOptions::new("memory:///", directory.path()));
    let late = blobs.probe(Duration::from_millis(20)).await;
    assert!(format!("{late:?}").contains("no answer within 20ms"), "{late:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left: Vec<_> = slow.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn secrets_do_not_show() {
    let mut options = BlobsOptions::new("s3://b", "/spool");
    options.s3.secret_key = Some("hush".into());
    assert!(!format!("{options:?}").contains("hush"));
}

#[test]
fn a_full_disk_is_named_whoever_reports_it() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(BlobError::from(full()), BlobError::NoSpace { .. }));
    let store = object_store::Error::Generic { store: "local", source: full().into() };
    let error = BlobError::from_store("store the blob", Digest::of(""), store);
    assert!(matches!(error, BlobError::NoSpace { .. }), "{error:?}");
    let back = BlobError::from(std::io::Error::from(error));
    assert!(matches!(back, BlobError::NoSpace { .. }) && !back.is_transient());
}
