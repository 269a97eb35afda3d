//! The `configure` job: operators' configuration that is followed from git.
//!
//! Each commit is looked at once. What can be read there becomes the level's next version, by the commit's
//! author; what cannot leaves the level as it is, and says so. Nothing is deployed by it: configuration holds
//! from the next deployment on. All that one commit changes is one transaction, so that a process may be
//! killed anywhere. What is away is asked again and again, ever more seldom, and each row says so.

mod away;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use serde_json::{Value, json};
use slipway_git::{CommitInfo, Credential, GitError, GitStore, Notify, PathError, Snapshot, Wanted};
use slipway_oam::OamOptions;
use slipway_records::configuration_source::EVERY_LEVEL;
use slipway_records::fault_point;
use slipway_records::job::JobPayload;
use slipway_records::{
    Application, ConfigurationOrigin, ConfigurationSource, Handler, Job, JobContext, JobError, NewAuditEntry,
    NewConfiguration, Source, SourceKind, Write,
};
use slipway_types::id::SourceId;
use slipway_types::{Address, Class, CommitId, Digest, Fault, GitRef, Violation};

use crate::handler::SLIPWAY;
use crate::stage::Stage;

/// The largest file, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// Faults that are kept of one commit.
const FAULTS_MAX: usize = 50;
/// Levels that one commit may have.
const LEVELS_MAX: usize = 500;

/// Does `configure` jobs.
pub struct ConfigureHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
    /// Where commits are.
    pub git: GitStore,
}

/// A file that is one level's configuration.
struct LevelFile {
    level: String,
    path: String,
    document: Result<String, Vec<Violation>>,
}

/// What a commit says.
struct Found {
    commit: CommitInfo,
    /// `Err`: nothing of it can be taken.
    files: Result<Vec<LevelFile>, Vec<Violation>>,
}

#[async_trait]
impl Handler for ConfigureHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Configure { source } = job.payload else { return Ok(()) };
        match self.take_over(source).await {
            // Not even that it is away can be stored; for a source of Slipway's own nothing else looks again.
            Err(JobError::Failed(fault)) if fault.class == Class::Transient => {
                Err(JobError::Wait { why: fault.message, delay: away::PAUSE_MIN })
            }
            ended => ended,
        }
    }

    /// What nobody has looked at says so where it is followed.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Configure { source } = job.payload else { return Ok(()) };
        let Some((source, followed)) = self.followed(source).await? else { return Ok(()) };
        for row in followed {
            let head = self.head(source.id, &row.branch).await?;
            if head.is_none() || row.seen_commit != head {
                self.refuse(&source, row, violation(&fault)).await?;
            }
        }
        Ok(())
    }
}

/// A fault that is no file's, as it stands beside those that are.
fn violation(fault: &Fault) -> Violation {
    let violation = Violation::new(&fault.code, "source", &fault.message);
    match &fault.hint {
        Some(hint) => violation.hint(hint),
        None => violation,
    }
}

impl ConfigureHandler {
    /// A source with what is followed there; `None`: nothing is.
    async fn followed(
        &self,
        source: SourceId,
    ) -> Result<Option<(Source, Vec<ConfigurationSource>)>, JobError> {
        let mut read = self.stage.records.read().await?;
        let Some(source) = read.source_get(source).await? else { return Ok(None) };
        let followed = read.configuration_sources_of(source.id).await?;
        Ok((!followed.is_empty()).then_some((source, followed)))
    }

    /// Looks at all that is followed from a source. What stands against one keeps no other from it.
    async fn take_over(&self, source: SourceId) -> Result<(), JobError> {
        let Some((source, followed)) = self.followed(source).await? else { return Ok(()) };
        if let Err(fault) = self.mirror(&source, &followed).await {
            if fault.class == Class::Transient {
                return self.wait_for(&source, followed, fault).await;
            }
            for row in followed {
                self.refuse(&source, row, violation(&fault)).await?;
            }
            return Ok(());
        }
        let (mut away, mut why) = (Vec::new(), None);
        for row in followed {
            match self.look(&source, row.clone()).await {
                Err(JobError::Failed(fault)) if fault.class == Class::Transient => {
                    away.push(row);
                    why = Some(fault);
                }
                Err(JobError::Failed(fault)) => self.refuse(&source, row, violation(&fault)).await?,
                looked => looked?,
            }
        }
        match why {
            Some(fault) => self.wait_for(&source, away, fault).await,
            None => Ok(()),
        }
    }

    /// Says with each of `rows` that its source does not answer, and has it asked again.
    async fn wait_for(
        &self,
        source: &Source,
        rows: Vec<ConfigurationSource>,
        fault: Fault,
    ) -> Result<(), JobError> {
        let now = Utc::now();
        let mut delay = away::PAUSE_MAX;
        for mut row in rows {
            let away = away::noted(row.away.take(), &fault.message, now);
            delay = delay.min(away::pause(&away, now));
            let overdue = away::overdue(&source.name, &away, now).filter(|why| row.faults != [why.clone()]);
            row.away = Some(away);
            match overdue {
                Some(why) => self.tell(source, row, why).await?,
                None => self.note(row).await?,
            }
        }
        Err(JobError::Wait { why: fault.message, delay })
    }

    /// Stores whether the source answers; what was seen there stays.
    async fn note(&self, mut row: ConfigurationSource) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        tx.configuration_source_seen(&mut row).await?;
        Ok(tx.commit().await?)
    }

    /// Brings the branches here that lie on a forge.
    async fn mirror(&self, source: &Source, followed: &[ConfigurationSource]) -> Result<(), Fault> {
        let SourceKind::Https { url } = &source.kind else { return Ok(()) };
        let credential = match &source.credential {
            None => None,
            Some(reference) => Some(Credential::parse(&self.stage.secrets.resolve(reference).await?.value)),
        };
        let mut branches: Vec<GitRef> =
            followed.iter().map(|row| GitRef::Branch(row.branch.clone())).collect();
        branches.sort();
        branches.dedup();
        let wanted = Wanted::Refs(branches);
        self.git.fetch(source.id, url, credential.as_ref(), &wanted, &Notify::None).await.map(drop)
    }

    /// Takes over what is new of one followed level, or of all.
    async fn look(&self, source: &Source, mut row: ConfigurationSource) -> Result<(), JobError> {
        let mut read = self.stage.records.read().await?;
        let Some(application) = read.application_get(row.application_id).await? else { return Ok(()) };
        drop(read);
        let Some(head) = self.head(source.id, &row.branch).await? else {
            let message = format!("the source {} has no branch `{}`", source.name, row.branch);
            let missing = Violation::new("branch_missing", "branch", message)
                .hint("push it, or follow another: slipway env config APP --follow SOURCE --branch BRANCH");
            return self.refuse(source, row, missing).await;
        };
        if row.seen_commit.as_ref() == Some(&head) {
            return if row.away.take().is_some() { self.note(row).await } else { Ok(()) };
        }
        let found = self.read(source, &application, &row, &head).await?;
        (row.seen_commit, row.away) = (Some(head), None);
        self.store(source, &application, row, Some(found), Vec::new()).await
    }

    /// The commit that a branch is at.
    async fn head(&self, source: SourceId, branch: &str) -> Result<Option<CommitId>, JobError> {
        let branch = GitRef::Branch(branch.to_owned());
        let heads = self.stage.records.read().await?.git_refs(source).await?;
        Ok(heads.into_iter().find(|head| head.name == branch).map(|head| head.commit))
    }

    /// Stores what stands against looking at all, which is no silence of the source.
    async fn refuse(
        &self,
        source: &Source,
        mut row: ConfigurationSource,
        why: Violation,
    ) -> Result<(), JobError> {
        let was_away = row.away.take().is_some();
        // Said once, not with every sweep.
        match row.seen_at.is_some() && row.faults == [why.clone()] {
            true if was_away => self.note(row).await,
            true => Ok(()),
            false => self.tell(source, row, why).await,
        }
    }

    /// Stores and audits what stands against a row. No commit counts as seen, so that the next look is whole.
    async fn tell(
        &self,
        source: &Source,
        mut row: ConfigurationSource,
        why: Violation,
    ) -> Result<(), JobError> {
        let application = self.stage.records.read().await?.application_get(row.application_id).await?;
        let Some(application) = application else { return Ok(()) };
        row.seen_commit = None;
        self.store(source, &application, row, None, vec![why]).await
    }

    async fn read(
        &self,
        source: &Source,
        application: &Application,
        row: &ConfigurationSource,
        commit: &CommitId,
    ) -> Result<Found, JobError> {
        let snapshot = self.git.snapshot(source.id, commit).await.map_err(|error| error.fault())?;
        let (row, options) = (row.clone(), self.stage.options.files.clone());
        let bare = application.name.bare().to_string();
        let reading = tokio::task::spawn_blocking(move || -> Result<Found, GitError> {
            let commit = snapshot.commit_info()?;
            Ok(Found { files: files(&snapshot, &row, &bare, &options)?, commit })
        });
        let read = reading
            .await
            .map_err(|error| Fault::bug("configuration", format!("reading ended badly: {error}")))?;
        Ok(read.map_err(|error| error.fault())?)
    }

    /// Stores everything that one commit says, and that it was looked at. A row that somebody else changed
    /// meanwhile is theirs to look at.
    async fn store(
        &self,
        source: &Source,
        application: &Application,
        mut row: ConfigurationSource,
        found: Option<Found>,
        mut faults: Vec<Violation>,
    ) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        if let Some(Found { commit, files }) = found {
            match files {
                Err(wrong) => faults.extend(wrong),
                Ok(files) => {
                    let taking = Taking { source, application, row: &row, commit: &commit };
                    faults.extend(taking.take(tx.as_mut(), files).await?);
                }
            }
        }
        faults.truncate(FAULTS_MAX);
        if !faults.is_empty() {
            let detail = json!({
                "source": source.name, "branch": row.branch, "path": row.path, "commit": row.seen_commit,
                "violations": faults,
            });
            tx.audit(entry("configuration.broken", application, &row.level, detail)).await?;
            tracing::warn!(application = %application.name, source = %source.name, commit = ?row.seen_commit,
                "followed configuration cannot be taken and holds as it was before");
        }
        row.faults = faults;
        row.seen_at = Some(Utc::now());
        if !tx.configuration_source_seen(&mut row).await? {
            return Ok(());
        }
        fault_point::reach("configure.before_commit");
        tx.commit().await?;
        fault_point::reach("configure.committed");
        Ok(())
    }
}

/// The files that a commit has for what is followed.
fn files(
    snapshot: &Snapshot,
    row: &ConfigurationSource,
    application: &str,
    options: &OamOptions,
) -> Result<Result<Vec<LevelFile>, Vec<Violation>>, GitError> {
    let places: Vec<(String, String)> = if row.level == EVERY_LEVEL {
        let entries = match snapshot.list(&row.path, true) {
            Ok(entries) => entries,
            Err(GitError::Path(wrong)) => return Ok(Err(vec![no_place(&row.path, &wrong)])),
            Err(error @ GitError::TooLarge { .. }) => return Ok(Err(vec![too_large(&row.path, &error)])),
            Err(error) => return Err(error),
        };
        entries
            .into_iter()
            .filter(|entry| entry.kind.is_file())
            .filter_map(|entry| Some((level_below(&row.path, &entry.path, application)?, entry.path)))
            .collect()
    } else {
        vec![(row.level.clone(), row.path.clone())]
    };
    if places.len() > LEVELS_MAX {
        return Ok(Err(vec![too_many(&row.path, places.len())]));
    }
    let mut found: Vec<LevelFile> = Vec::new();
    for (level, path) in places {
        // Before it is read: most of what is refused here is no configuration at all.
        let document = if !Address::is_level(&level) {
            let message = format!("`{level}` is no part of an address");
            Err(vec![
                Violation::new("bad_level", &path, message)
                    .hint("directories are UNIT, UNIT/CLUSTER, UNIT/CLUSTER/NAMESPACE or with the stage"),
            ])
        } else if found.iter().any(|other| other.level == level) {
            let message = format!("another file is the configuration of `{level}` already");
            Err(vec![Violation::new("configuration_twice", &path, message).hint("keep one of them")])
        } else {
            document(snapshot, &path, options)?
        };
        found.push(LevelFile { level, path, document });
    }
    Ok(Ok(found))
}

/// The level of a file `LEVEL/APPLICATION.yaml`; `None` for other files.
fn level_of(path: &str, application: &str) -> Option<String> {
    let (level, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, end) = name.rsplit_once('.')?;
    (stem == application && matches!(end, "yaml" | "yml" | "json")).then(|| level.to_owned())
}

/// The level of such a file below the directory that is followed.
fn level_below(directory: &str, path: &str, application: &str) -> Option<String> {
    let below = if directory.is_empty() { path } else { path.strip_prefix(directory)?.strip_prefix('/')? };
    level_of(below, application)
}

fn too_many(path: &str, found: usize) -> Violation {
    let message = format!("{found} files are of the application: more than levels_max = {LEVELS_MAX}");
    Violation::new("configuration_too_large", path, message)
        .hint("follow a smaller directory, or fewer levels one by one: slipway env config APP --level LEVEL")
}

fn no_place(path: &str, wrong: &PathError) -> Violation {
    Violation::new("configuration_missing", path, wrong.to_string())
        .hint("push it there, follow another path, or end it: slipway env config APP --unfollow")
}

fn too_large(path: &str, error: &GitError) -> Violation {
    Violation::new("configuration_too_large", path, error.to_string())
        .hint("follow a smaller directory: slipway env config APP --every-level --follow SOURCE --path DIR")
}

fn document(
    snapshot: &Snapshot,
    path: &str,
    options: &OamOptions,
) -> Result<Result<String, Vec<Violation>>, GitError> {
    let bytes = match snapshot.read_file(path, DOCUMENT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(GitError::Path(wrong)) => return Ok(Err(vec![no_place(path, &wrong)])),
        Err(GitError::TooLarge { .. }) => {
            let message = format!("the file has more than {DOCUMENT_BYTES_MAX} bytes");
            return Ok(Err(vec![Violation::new("configuration_too_large", path, message)]));
        }
        Err(error) => return Err(error),
    };
    let file = format!("{path}@{}", snapshot.commit().short());
    if let Err(violations) = slipway_oam::read(&bytes, &file, options) {
        return Ok(Err(violations));
    }
    Ok(String::from_utf8(bytes).map_err(|_| {
        vec![Violation::new("invalid_encoding", path, "the file is not UTF-8").hint("save it as UTF-8")]
    }))
}

/// A commit on its way into the records.
struct Taking<'a> {
    source: &'a Source,
    application: &'a Application,
    row: &'a ConfigurationSource,
    commit: &'a CommitInfo,
}

impl Taking<'_> {
    /// Stores the versions; gives what stood against some.
    async fn take(&self, tx: &mut dyn Write, files: Vec<LevelFile>) -> Result<Vec<Violation>, JobError> {
        let mut faults = Vec::new();
        let mut there = Vec::new();
        for file in files {
            there.push(file.level.clone());
            match file.document {
                Ok(document) => self.put(tx, file.level, document, file.path).await?,
                Err(wrong) => faults.extend(wrong),
            }
        }
        if self.row.level == EVERY_LEVEL {
            for before in tx.configurations_in_force(Some(self.application.id)).await? {
                let is_ours = |origin: &ConfigurationOrigin| self.is_ours(origin, &before.level);
                let Some(origin) = before.origin.clone().filter(is_ours) else { continue };
                if !there.contains(&before.level) {
                    self.put(tx, before.level, String::new(), origin.path).await?;
                }
            }
        }
        Ok(faults)
    }

    /// Whether a level was taken from the directory that is followed: what came from elsewhere stays.
    fn is_ours(&self, origin: &ConfigurationOrigin, level: &str) -> bool {
        let bare = self.application.name.bare().to_string();
        origin.source == self.source.name
            && origin.branch == self.row.branch
            && level_below(&self.row.path, &origin.path, &bare).as_deref() == Some(level)
    }

    /// Stores one version, unless the level is just that already.
    async fn put(
        &self,
        tx: &mut dyn Write,
        level: String,
        document: String,
        path: String,
    ) -> Result<(), JobError> {
        let now = tx.configuration_at(self.application.id, &level).await?;
        let digest = Digest::of(&document);
        let origin = ConfigurationOrigin {
            source: self.source.name.clone(),
            branch: self.row.branch.clone(),
            path,
            commit: self.commit.id.clone(),
        };
        // What came from another place is written anew: a level goes with the file that it is known to be of.
        let is_from_there = |known: &ConfigurationOrigin| {
            (&known.source, &known.branch, &known.path) == (&origin.source, &origin.branch, &origin.path)
        };
        if now.is_some_and(|now| now.digest == digest && now.origin.as_ref().is_some_and(is_from_there)) {
            return Ok(());
        }
        let mut detail = json!({"digest": digest, "author": self.commit.author, "origin": origin});
        let kept = tx
            .configuration_put(NewConfiguration {
                application_id: self.application.id,
                level,
                document,
                by: self.commit.author.clone(),
                reason: Some(self.commit.subject.chars().take(500).collect()),
                origin: Some(origin),
            })
            .await?;
        detail["version"] = kept.version.into();
        Ok(tx.audit(entry("configuration.put", self.application, &kept.level, detail)).await?)
    }
}

fn entry(action: &'static str, application: &Application, level: &str, detail: Value) -> NewAuditEntry {
    let subject = format!("configuration/{}/{level}", application.name);
    NewAuditEntry { actor: SLIPWAY.to_owned(), action, subject, detail }
}

#[cfg(test)]
mod tests;
