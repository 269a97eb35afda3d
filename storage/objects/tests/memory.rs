//! Memory stays flat however large a blob is. Alone in its process, since it looks at the peak.

use futures::TryStreamExt;
use slipway_objects::{Blobs, BlobsOptions};

const MIB: usize = 1024 * 1024;
const BLOB_MIB: usize = 384;
const MAX_PEAK_KIB: u64 = 100 * 1024;

#[tokio::test]
async fn a_large_blob_passes_without_being_held() {
    let directory = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(directory.path().join("store")).unwrap();
    let blobs = Blobs::open(BlobsOptions::new(url, directory.path().join("spool"))).await.unwrap();
    let chunk = vec![7; MIB];
    let mut spool = blobs.spool().unwrap();
    for _ in 0..BLOB_MIB {
        spool.write(&chunk).await.unwrap();
    }
    let blob = blobs.put_spooled(spool.finish().await.unwrap()).await.unwrap();
    let mut stream = blobs.read(&blob.digest).await.unwrap();
    let mut read = 0;
    while let Some(chunk) = stream.try_next().await.unwrap() {
        read += chunk.len();
    }
    assert_eq!(read, BLOB_MIB * MIB);
    blobs.open_file(&blob.digest).await.unwrap();

    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(peak < MAX_PEAK_KIB, "peak of {peak} KiB");
}
