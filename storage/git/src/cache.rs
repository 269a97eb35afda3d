//! The bare repositories on disk: a cache of rows and blobs, one per source.
//!
//! Packs are named by the digest of their blob, so a repository holds exactly the packs that were
//! indexed in it, whatever killed the process. One leaves only after another that holds all its objects
//! is in place; git and libgit2 then look again. `packed-refs` is written whole, in place of the old
//! file. There is no other state on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt as _;
use slipway_objects::Blobs;
use slipway_records::{PackRow, Records, RefRow};
use slipway_types::id::SourceId;
use slipway_types::{CommitId, Digest, GitRef};
use tokio::sync::OwnedMutexGuard;

use crate::command::Git;
use crate::error::GitError;
use crate::options::GitOptions;
use crate::quarantine::{Quarantine, QuarantineRoot};
use crate::tree::Snapshot;

/// Git data of all sources on this server.
#[derive(Clone)]
pub struct GitStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    git: Git,
    blobs: Blobs,
    records: Arc<dyn Records>,
    options: GitOptions,
    quarantine: QuarantineRoot,
    sources: Mutex<HashMap<SourceId, Arc<tokio::sync::Mutex<Known>>>>,
}

/// What this process knows to be in a repository.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// The revision of the rows it was brought to.
    revision: Option<i64>,
    /// The last pack that is in place, with all before it.
    seq: i64,
}

impl GitStore {
    /// Opens the cache in `cache_dir`, which is made if it is not there.
    pub async fn open(
        cache_dir: impl Into<PathBuf>,
        blobs: Blobs,
        records: Arc<dyn Records>,
        options: GitOptions,
    ) -> Result<Self, GitError> {
        // Packs are checked whole when they arrive, and their content again by zlib's checksum on
        // every read: hashing each object once more would take longer than the rest of reading it.
        git2::opts::strict_hash_verification(false);
        let dir: PathBuf = cache_dir.into();
        let (dir, quarantine) = blocking(move || {
            fs::create_dir_all(&dir)?;
            let dir = dir.canonicalize()?;
            let quarantine = QuarantineRoot::open(&dir)?;
            Ok((dir, quarantine))
        })
        .await
        .map_err(GitError::io("open the git cache directory"))?;
        let git = Git::new(&options, &dir);
        let inner = Inner { dir, git, blobs, records, options, quarantine, sources: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The limits it works with.
    pub fn options(&self) -> &GitOptions {
        &self.inner.options
    }

    pub(crate) fn git(&self) -> &Git {
        &self.inner.git
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    pub(crate) fn records(&self) -> &Arc<dyn Records> {
        &self.inner.records
    }

    /// The cache directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Where the repository of a source lies.
    pub(crate) fn repository(&self, source: SourceId) -> PathBuf {
        self.inner.dir.join(format!("{source}.git"))
    }

    /// A directory for objects on top of those of a source.
    pub(crate) async fn quarantine(&self, source: SourceId) -> Result<Quarantine, GitError> {
        let store = self.clone();
        let repository = self.repository(source);
        blocking(move || store.inner.quarantine.create(&repository))
            .await
            .map_err(GitError::io("make a quarantine directory"))
    }

    /// The refs of a source as the rows have them.
    pub(crate) async fn ref_rows(&self, source: SourceId) -> Result<BTreeMap<GitRef, RefRow>, GitError> {
        let rows = self.records().read().await?.git_refs(source).await?;
        Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
    }

    /// Brings the repository of a source to the rows and returns its path.
    pub async fn sync(&self, source: SourceId) -> Result<PathBuf, GitError> {
        let mut known = self.known(source).await;
        let dir = self.repository(source);
        let revision = self.records().read().await?.git_revision(source).await?;
        let there = tokio::fs::try_exists(dir.join("HEAD")).await.unwrap_or(false);
        if there && known.revision == Some(revision) {
            return Ok(dir);
        }
        if !there {
            *known = Known::default();
        }
        self.bring_to_rows(source, &dir, revision, &mut known).await?;
        Ok(dir)
    }

    /// Throws the repository of a source away and makes it anew from the rows.
    pub async fn rebuild(&self, source: SourceId) -> Result<PathBuf, GitError> {
        {
            let mut known = self.known(source).await;
            let _lock = self.lock(source).await?;
            let dir = self.repository(source);
            let quarantine = self.quarantine(source).await?;
            // Moved away first: a directory that is half removed must not look whole.
            blocking(move || match fs::rename(&dir, quarantine.path().join("damaged.git")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(drop(quarantine)),
            })
            .await
            .map_err(GitError::io("remove a damaged repository"))?;
            *known = Known::default();
            tracing::warn!(%source, "the git cache of a source is made anew");
        }
        self.sync(source).await
    }

    /// The tree of a commit. Brings the repository to the rows if the commit is not in it, and makes
    /// it anew if it is damaged.
    pub async fn snapshot(&self, source: SourceId, commit: &CommitId) -> Result<Snapshot, GitError> {
        match self.open_snapshot(self.repository(source), commit).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(GitError::NotFound { .. } | GitError::Io { .. }) => {}
            Err(GitError::Damaged(_)) => drop(self.rebuild(source).await?),
            Err(error) => return Err(error),
        }
        let dir = self.sync(source).await?;
        match self.open_snapshot(dir, commit).await {
            Err(GitError::Damaged(_)) => {
                let dir = self.rebuild(source).await?;
                self.open_snapshot(dir, commit).await
            }
            result => result,
        }
    }

    async fn open_snapshot(&self, dir: PathBuf, commit: &CommitId) -> Result<Snapshot, GitError> {
        let (commit, options) = (commit.clone(), self.options().clone());
        blocking(move || Snapshot::open(&dir, &commit, &options)).await
    }

    async fn known(&self, source: SourceId) -> OwnedMutexGuard<Known> {
        let known = {
            let mut sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sources.entry(source).or_default())
        };
        known.lock_owned().await
    }

    /// Keeps other processes on the same cache directory out while the guard lives.
    async fn lock(&self, source: SourceId) -> Result<File, GitError> {
        let path = self.inner.dir.join(format!("{source}.lock"));
        blocking(move || {
            let file = File::create(path)?;
            file.lock()?;
            Ok(file)
        })
        .await
        .map_err(GitError::io("lock a repository of the git cache"))
    }

    async fn bring_to_rows(
        &self,
        source: SourceId,
        dir: &Path,
        revision: i64,
        known: &mut Known,
    ) -> Result<(), GitError> {
        let _lock = self.lock(source).await?;
        self.make_layout(dir).await?;
        // Refs before packs: every ref that is read has its pack among those read after it.
        let (refs, packs) = {
            let mut read = self.records().read().await?;
            (read.git_refs(source).await?, read.git_packs(source, 0).await?)
        };
        let placed = known.seq;
        for pack in packs.iter().filter(|pack| pack.seq > placed) {
            self.place_pack(source, dir, pack).await?;
            known.seq = pack.seq;
        }
        let dir = dir.to_owned();
        blocking(move || {
            remove_replaced(&dir, &packs)?;
            replace(&dir.join("packed-refs"), packed_refs(&refs).as_bytes())?;
            replace(&dir.join("HEAD"), head(&refs).as_bytes())
        })
        .await
        .map_err(GitError::io("write refs of the git cache"))?;
        known.revision = Some(revision);
        Ok(())
    }

    async fn make_layout(&self, dir: &Path) -> Result<(), GitError> {
        if tokio::fs::try_exists(dir.join("HEAD")).await.unwrap_or(false) {
            return Ok(());
        }
        let mut command = self.git().command(dir);
        command.args(["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]);
        self.git().run(command, "init", None).await?.expect_ok("init").map(drop)
    }

    /// Downloads and indexes a pack unless it is in place.
    async fn place_pack(&self, source: SourceId, dir: &Path, pack: &PackRow) -> Result<(), GitError> {
        let target = pack_path(dir, &pack.digest);
        let size = tokio::fs::metadata(&target).await.map(|metadata| metadata.len()).ok();
        let indexed = tokio::fs::try_exists(target.with_extension("idx")).await.unwrap_or(false);
        if indexed && size == Some(pack.size) {
            return Ok(());
        }
        let quarantine = self.quarantine(source).await?;
        let incoming = quarantine.path().join("incoming.pack");
        download(self.blobs(), pack.digest, &incoming).await?;
        let mut command = self.git().command(dir);
        command.arg("index-pack").arg("-o").arg(incoming.with_extension("idx")).arg(&incoming);
        self.git().run(command, "index-pack", None).await?.expect_ok("index-pack")?;
        blocking(move || install(&incoming, &target))
            .await
            .map_err(GitError::io("put a pack into the git cache"))
    }

    /// Moves packs that are stored and accepted from a quarantine into the repository, then brings
    /// it to the rows.
    pub(crate) async fn adopt(
        &self,
        source: SourceId,
        packs: Vec<(PathBuf, Digest)>,
    ) -> Result<(), GitError> {
        {
            let _known = self.known(source).await;
            let _lock = self.lock(source).await?;
            let dir = self.repository(source);
            blocking(move || {
                packs.iter().try_for_each(|(path, digest)| install(path, &pack_path(&dir, digest)))
            })
            .await
            .map_err(GitError::io("put a pack into the git cache"))?;
        }
        self.sync(source).await.map(drop)
    }
}

/// Runs what blocks on a thread where that is allowed.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn download(blobs: &Blobs, digest: Digest, path: &Path) -> Result<(), GitError> {
    let stream = blobs.read(&digest).await?.map_err(std::io::Error::from);
    let mut reader = tokio_util::io::StreamReader::new(stream);
    let mut file =
        tokio::fs::File::create(path).await.map_err(GitError::io("make a file in the git cache"))?;
    tokio::io::copy(&mut reader, &mut file).await.map_err(GitError::io("download a pack"))?;
    file.sync_all().await.map_err(GitError::io("write a pack"))
}

/// The pack's place: git takes any name of 40 hex digits.
pub(crate) fn pack_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("objects/pack").join(format!("pack-{}.pack", &digest.hex()[..40]))
}

/// Moves pack and index; the index comes last, since git looks for packs by their indexes.
fn install(pack: &Path, target: &Path) -> std::io::Result<()> {
    fs::rename(pack, target)?;
    fs::rename(pack.with_extension("idx"), target.with_extension("idx"))
}

/// Removes the packs that have no row: all their objects are in one that has. The index goes first, as
/// it came last.
fn remove_replaced(dir: &Path, packs: &[PackRow]) -> std::io::Result<()> {
    let kept: BTreeSet<PathBuf> = packs.iter().map(|pack| pack_path(dir, &pack.digest)).collect();
    for entry in fs::read_dir(dir.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pack") && !kept.contains(&path) {
            match fs::remove_file(path.with_extension("idx")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => fs::remove_file(&path)?,
            }
        }
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().expect("invariant: files of a repository lie in a directory");
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
    file.write_all(content)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

/// The format of gitformat-packed-refs, sorted and fully peeled.
fn packed_refs(refs: &[RefRow]) -> String {
    let mut lines: Vec<(String, String)> = refs
        .iter()
        .map(|row| {
            let name = row.name.to_string();
            let peeled = if row.commit == row.object { String::new() } else { format!("^{}\n", row.commit) };
            (name.clone(), format!("{} {name}\n{peeled}", row.object))
        })
        .collect();
    lines.sort();
    let mut text = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    text.extend(lines.into_iter().map(|(_, line)| line));
    text
}

/// What a clone checks out: `main`, else `master`, else the first branch.
fn head(refs: &[RefRow]) -> String {
    let branches = || refs.iter().filter_map(|row| row.name.branch());
    let branch = ["main", "master"]
        .into_iter()
        .find(|wanted| branches().any(|branch| branch == *wanted))
        .or_else(|| branches().min())
        .unwrap_or("main");
    format!("ref: refs/heads/{branch}\n")
}
