//! Compressed blocks of earlier builds in a directory, the longest unused forgotten first.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, SystemTime};

use slipway_types::Digest;

use super::BlockCache;
use crate::disk::free_bytes;

/// Where files are written before they get their names.
const WRITING: &str = "writing";
/// What is still being written after this time was left behind by a process that died.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);
/// The time of last use is written at most this often.
const USE_NOTED_EVERY: Duration = Duration::from_mins(1);
/// The last of a disk is for records and work; a cache takes nothing of it, whatever it may hold.
const MIN_KEEP_FREE_BYTES: u64 = 128 << 20;
/// Bytes of the digest before each block.
const DIGEST_BYTES: usize = 32;

/// A [`BlockCache`] in a directory. Several threads and processes may share one; a process may be
/// killed at any time. What the disk damaged is not given back: each file begins with a digest.
#[derive(Debug)]
pub struct DiskBlockCache {
    directory: PathBuf,
    limits: BlockCacheLimits,
    /// Bytes held, as far as this process knows.
    held_bytes: AtomicU64,
    pruning: Mutex<()>,
}

/// How much a [`DiskBlockCache`] may take.
#[derive(Debug, Clone, Copy)]
pub struct BlockCacheLimits {
    /// Bytes of all blocks together.
    pub max_bytes: u64,
    /// Where less than this is free, the cache is emptied and takes nothing; at least 128 MiB.
    pub keep_free_bytes: u64,
}

struct Kept {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl DiskBlockCache {
    /// The cache in `directory`, which is made if it does not exist.
    pub fn open(directory: impl Into<PathBuf>, limits: BlockCacheLimits) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(directory.join(WRITING))?;
        let cache = Self { directory, limits, held_bytes: AtomicU64::new(0), pruning: Mutex::new(()) };
        cache.remove_abandoned()?;
        cache.prune(limits.max_bytes)?;
        Ok(cache)
    }

    fn path(&self, key: &Digest) -> PathBuf {
        let name = key.hex();
        self.directory.join(&name[..2]).join(name)
    }

    fn read(&self, key: &Digest) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(key);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let sound =
            bytes.split_at_checked(DIGEST_BYTES).is_some_and(|(digest, block)| digest == checksum(block));
        if !sound {
            remove(&path)?;
            return Ok(None);
        }
        note_use(&path);
        Ok(Some(bytes.split_off(DIGEST_BYTES)))
    }

    fn write(&self, key: &Digest, block: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let size = (block.len() + DIGEST_BYTES) as u64;
        if size > self.limits.max_bytes || path.exists() {
            return Ok(());
        }
        let keep_free_bytes = self.limits.keep_free_bytes.max(MIN_KEEP_FREE_BYTES);
        if free_bytes(&self.directory)? < keep_free_bytes.saturating_add(size) {
            return self.give_way();
        }
        let mut file = tempfile::NamedTempFile::new_in(self.directory.join(WRITING))?;
        file.write_all(&checksum(block))?;
        file.write_all(block)?;
        fs::create_dir_all(path.parent().expect("invariant: a block lies in a directory"))?;
        file.persist(&path)?;
        if self.held_bytes.fetch_add(size, Ordering::Relaxed) + size > self.limits.max_bytes {
            self.prune(self.limits.max_bytes)?;
        }
        Ok(())
    }

    /// Leaves the disk to others.
    fn give_way(&self) -> io::Result<()> {
        if self.held_bytes.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        tracing::warn!(directory = %self.directory.display(), "the disk is nearly full: the cache is emptied");
        self.prune(0)
    }

    /// Counts what is there; if it is more than `max_bytes`, removes the longest unused until a tenth
    /// of that is free again.
    fn prune(&self, max_bytes: u64) -> io::Result<()> {
        let _pruning = match self.pruning.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread is at it.
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let mut kept = self.kept()?;
        let mut held: u64 = kept.iter().map(|kept| kept.size).sum();
        if held > max_bytes {
            kept.sort_by_key(|kept| kept.used);
            for oldest in kept {
                if held <= max_bytes / 10 * 9 {
                    break;
                }
                remove(&oldest.path)?;
                held -= oldest.size;
            }
        }
        self.held_bytes.store(held, Ordering::Relaxed);
        Ok(())
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for shard in fs::read_dir(&self.directory)? {
            let shard = shard?;
            if shard.file_name() != WRITING && shard.file_type()?.is_dir() {
                files(&shard.path(), &mut kept)?;
            }
        }
        Ok(kept)
    }

    fn remove_abandoned(&self) -> io::Result<()> {
        let mut writing = Vec::new();
        files(&self.directory.join(WRITING), &mut writing)?;
        for left in writing {
            if left.used.elapsed().is_ok_and(|age| age > ABANDONED_AFTER) {
                remove(&left.path)?;
            }
        }
        Ok(())
    }
}

impl BlockCache for DiskBlockCache {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.read(key).unwrap_or_else(|error| {
            tracing::warn!(%error, directory = %self.directory.display(), "a cached block cannot be read");
            None
        })
    }

    fn put(&self, key: &Digest, compressed: &[u8]) {
        if let Err(error) = self.write(key, compressed) {
            tracing::warn!(%error, directory = %self.directory.display(), "a block cannot be cached");
        }
    }
}

fn checksum(block: &[u8]) -> [u8; DIGEST_BYTES] {
    *Digest::of(block).as_bytes()
}

/// Adds the files of one directory; what vanishes meanwhile was removed by another process.
fn files(directory: &Path, kept: &mut Vec<Kept>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) => {
                kept.push(Kept { path: entry.path(), size: metadata.len(), used: metadata.modified()? });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets the time of last use. Without it the block is only forgotten earlier.
fn note_use(path: &Path) {
    let note = || -> io::Result<()> {
        let file = File::open(path)?;
        let now = SystemTime::now();
        if now.duration_since(file.metadata()?.modified()?).is_ok_and(|age| age > USE_NOTED_EVERY) {
            file.set_times(FileTimes::new().set_modified(now))?;
        }
        Ok(())
    };
    if let Err(error) = note() {
        tracing::debug!(%error, path = %path.display(), "the use of a cached block cannot be noted");
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn open(directory: impl Into<PathBuf>, max_bytes: u64) -> io::Result<DiskBlockCache> {
        DiskBlockCache::open(directory, BlockCacheLimits { max_bytes, keep_free_bytes: 0 })
    }

    fn age(cache: &DiskBlockCache, text: &str, age: Duration) {
        let file = File::open(cache.path(&key(text))).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).unwrap();
    }

    #[test]
    fn blocks_are_given_back_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path().join("deep/er"), 1000).unwrap();
        assert_eq!(cache.get(&key("a")), None);
        cache.put(&key("a"), b"block");
        let again = open(directory.path().join("deep/er"), 1000).unwrap();
        assert_eq!(again.get(&key("a")).as_deref(), Some(&b"block"[..]));
        assert_eq!(again.held_bytes.load(Ordering::Relaxed), 37);
    }

    #[test]
    fn damaged_and_truncated_blocks_are_not_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path(), 10_000).unwrap();
        for length in [0, 10, DIGEST_BYTES, 100, 200] {
            cache.put(&key("a"), &[7; 200]);
            let mut bytes = fs::read(cache.path(&key("a"))).unwrap();
            bytes[length] ^= 1;
            bytes.truncate(if length == 200 { 232 } else { length.max(1) });
            fs::write(cache.path(&key("a")), bytes).unwrap();
            assert_eq!(cache.get(&key("a")), None, "{length}");
            cache.put(&key("a"), &[7; 200]);
            assert_eq!(cache.get(&key("a")).unwrap(), [7; 200], "{length}");
        }
    }

    #[test]
    fn the_longest_unused_blocks_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path(), 1000).unwrap();
        let block = [1; 268];
        for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
            cache.put(&key(name), &block);
            age(&cache, name, Duration::from_secs(1000 - index as u64 * 100));
        }
        assert!(cache.get(&key("a")).is_some(), "this counts as use");
        cache.put(&key("d"), &block);
        let there = ["a", "b", "c", "d"].map(|name| cache.get(&key(name)).is_some());
        assert_eq!(there, [true, false, true, true]);
        cache.put(&key("large"), &[1; 1000]);
        assert!(cache.get(&key("large")).is_none());
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path(), 1000).unwrap();
        let (old, new) = (cache.directory.join("writing/old"), cache.directory.join("writing/new"));
        for path in [&old, &new] {
            fs::write(path, "half").unwrap();
        }
        let long_ago = SystemTime::now() - ABANDONED_AFTER * 2;
        File::open(&old).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
        open(directory.path(), 1000).unwrap();
        assert_eq!((old.exists(), new.exists()), (false, true));
    }

    #[test]
    fn many_threads_share_one_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let directory = directory.path();
                scope.spawn(move || {
                    let cache = open(directory, 5000).unwrap();
                    for index in 0..200 {
                        let name = format!("{}", (index * 7 + thread) % 50);
                        cache.put(&key(&name), name.repeat(100).as_bytes());
                        if let Some(block) = cache.get(&key(&name)) {
                            assert_eq!(block, name.repeat(100).as_bytes());
                        }
                    }
                });
            }
        });
        open(directory.path(), 5000).unwrap();
        let held: u64 =
            open(directory.path(), 5000).unwrap().kept().unwrap().iter().map(|kept| kept.size).sum();
        assert!(held <= 5000, "{held}");
    }

    #[test]
    fn on_a_disk_that_is_nearly_full_it_is_emptied_and_takes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), 1000).unwrap().put(&key("a"), b"block");
        let limits = BlockCacheLimits { max_bytes: 1000, keep_free_bytes: u64::MAX };
        let cache = DiskBlockCache::open(directory.path(), limits).unwrap();
        assert!(cache.get(&key("a")).is_some(), "what is there serves until others need the room");
        cache.put(&key("b"), b"block");
        assert_eq!([cache.get(&key("a")), cache.get(&key("b"))], [None, None]);
    }
}
