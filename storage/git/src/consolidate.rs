//! Several packs of a source become one, so that a server with a cold cache places few.
//!
//! All objects of the packs go into the new one, also those that no ref reaches: bundles name commits
//! of branches that are gone. The rows are exchanged in one transaction, which does nothing if one of
//! the packs is not there any more; packs that came meanwhile stay. Caches find the new pack by its
//! number, and the blobs of the old ones outlive every reader by the grace of upkeep.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use slipway_records::PackRow;
use slipway_types::id::SourceId;

use crate::cache::{GitStore, blocking, pack_path};
use crate::error::GitError;

/// A pack is written anew only with others that have at least this part of its size together: each
/// object is then written a few times in all, not once for every few pushes.
const GROWTH: u64 = 2;

/// The length of an object's id.
const ID_BYTES: usize = 20;
type Id = [u8; ID_BYTES];

impl GitStore {
    /// Makes one pack of the smaller packs of a source if it has more than `max_packs`. Gives how many
    /// it replaced; 0 also if another server did so at the same time.
    pub async fn consolidate(&self, source: SourceId, max_packs: usize) -> Result<usize, GitError> {
        let rows = self.records().read().await?.git_packs(source, 0).await?;
        if rows.len() <= max_packs {
            return Ok(0);
        }
        let chosen = smaller(rows);
        let repository = self.sync(source).await?;
        let quarantine = self.quarantine(source).await?;
        let pack = self.pack_together(&repository, &chosen, quarantine.path()).await?;
        let (old, new) = (indexes(&repository, &chosen), pack.with_extension("idx"));
        let whole = blocking(move || holds_all(&old, &new)).await;
        if !whole.map_err(GitError::io("compare indexes of packs"))? {
            let stderr = "the new pack lacks objects of the old ones".to_owned();
            return Err(GitError::Command { command: "pack-objects", stderr });
        }
        let blob = self.blobs().put_file(&pack).await?;
        let mut write = self.records().begin().await?;
        if write.git_packs_replace(source, &chosen, blob.digest, blob.size).await?.is_none() {
            return Ok(0);
        }
        write.commit().await?;
        // Replaced is replaced: the cache is brought up to date by whoever needs it next.
        if let Err(error) = self.adopt(source, vec![(pack, blob.digest)]).await {
            tracing::warn!(%source, %error, "cannot update the git cache after consolidating packs");
        }
        Ok(chosen.len())
    }

    /// Writes all objects of the packs into one pack in `dir`.
    async fn pack_together(
        &self,
        repository: &Path,
        packs: &[PackRow],
        dir: &Path,
    ) -> Result<PathBuf, GitError> {
        let mut command = self.git().command(repository);
        command
            // Upkeep leaves the other cores to builds.
            .args(["-c", "pack.threads=1", "pack-objects", "--stdin-packs", "--delta-base-offset", "--quiet"])
            .arg(dir.join("whole"));
        let mut names = String::new();
        for pack in packs {
            let path = pack_path(repository, &pack.digest);
            names.extend(path.file_name().and_then(|name| name.to_str()));
            names.push('\n');
        }
        let ran = self.git().run(command, "pack-objects", Some(names.into_bytes())).await?;
        let hash = String::from_utf8_lossy(&ran.expect_ok("pack-objects")?).trim().to_owned();
        Ok(dir.join(format!("whole-{hash}.pack")))
    }
}

/// The packs to be written anew: all but the largest that outweigh what is smaller.
fn smaller(mut rows: Vec<PackRow>) -> Vec<PackRow> {
    rows.sort_by_key(|row| (row.size, row.seq));
    let mut below = 0;
    let mut keep = 0;
    for (position, row) in rows.iter().enumerate() {
        if row.size <= below * GROWTH {
            keep = position + 1;
        }
        below += row.size;
    }
    rows.truncate(keep);
    rows
}

fn indexes(repository: &Path, packs: &[PackRow]) -> Vec<PathBuf> {
    packs.iter().map(|pack| pack_path(repository, &pack.digest).with_extension("idx")).collect()
}

/// Whether the index `new` names exactly what the `old` ones name together.
fn holds_all(old: &[PathBuf], new: &Path) -> io::Result<bool> {
    let mut wanted = BTreeSet::new();
    for path in old {
        wanted.extend(ids(path)?);
    }
    Ok(ids(new)?.into_iter().eq(wanted))
}

/// The ids in a pack's index, sorted (gitformat-pack, version 2: 8 bytes of header, 256 counts of which
/// the last is that of all objects, then the ids).
fn ids(path: &Path) -> io::Result<Vec<Id>> {
    const HEADER: &[u8] = b"\xfftOc\0\0\0\x02";
    const IDS_AT: usize = HEADER.len() + 256 * 4;
    let bytes = std::fs::read(path)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no index", path.display()));
    let head = bytes.get(..IDS_AT).filter(|head| head.starts_with(HEADER)).ok_or_else(broken)?;
    let last: [u8; 4] = head[IDS_AT - 4..].try_into().map_err(|_| broken())?;
    let count = u32::from_be_bytes(last) as usize;
    let ids = bytes.get(IDS_AT..IDS_AT + count * ID_BYTES).ok_or_else(broken)?;
    Ok(ids.chunks_exact(ID_BYTES).map(|id| id.try_into().expect("invariant: chunks are exact")).collect())
}

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;

    fn sizes_chosen(sizes: &[u64]) -> Vec<u64> {
        let row = |(seq, size): (usize, &u64)| PackRow {
            seq: i64::try_from(seq).unwrap(),
            digest: Digest::of(seq.to_string()),
            size: *size,
        };
        smaller(sizes.iter().enumerate().map(row).collect()).iter().map(|row| row.size).collect()
    }

    #[test]
    fn large_packs_are_left_alone_until_the_small_ones_amount_to_something() {
        assert_eq!(sizes_chosen(&[1000, 10, 10, 10]), [10, 10, 10]);
        assert_eq!(sizes_chosen(&[1000, 300, 200]), [200, 300, 1000]);
        assert_eq!(sizes_chosen(&[1000, 201, 10, 10]), [10, 10]);
        assert_eq!(sizes_chosen(&[5, 5]), [5, 5]);
        assert_eq!(sizes_chosen(&[1000, 1]), [] as [u64; 0]);
    }
}
