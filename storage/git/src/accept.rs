//! Accepting ref moves: objects durable first, then one transaction for all refs, deliveries and
//! their jobs, then the cache.

use std::collections::BTreeSet;
use std::path::PathBuf;

use slipway_records::fault_point;
use slipway_records::{JobPayload, NewDelivery, NewJob, Origin, RefMove, RefRow, Write};
use slipway_types::id::{DeliveryId, SourceId};
use slipway_types::state::DeliveryState;
use slipway_types::version::VersionTag;
use slipway_types::{CommitId, Digest, GitRef};

use crate::ObjectId;
use crate::cache::{GitStore, blocking};
use crate::error::{GitError, object_error};
use crate::quarantine::Quarantine;

/// A pack that is a blob.
#[derive(Debug, Clone)]
pub(crate) struct StoredPack {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Ref moves to be accepted.
pub(crate) struct Proposal {
    pub(crate) source: SourceId,
    pub(crate) moves: Vec<RefMove>,
    /// All or none.
    pub(crate) atomic: bool,
    pub(crate) origin: Origin,
    pub(crate) actor: String,
    /// The refs whose new commit gets a delivery.
    pub(crate) deliver: BTreeSet<GitRef>,
}

/// What became of a proposal.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) moved: Vec<(RefMove, Option<DeliveryId>)>,
    pub(crate) refused: Vec<(GitRef, String)>,
}

/// Said of refs that are refused only because another one of an atomic push is.
pub(crate) const ATOMIC: &str = "another ref of this atomic push was refused";
const STALE: &str = "the ref has moved meanwhile: fetch and push again";

impl GitStore {
    /// Makes the packs of a quarantine durable, moves the refs, and brings the cache up to date.
    pub(crate) async fn accept(
        &self,
        quarantine: &Quarantine,
        proposal: Proposal,
    ) -> Result<Decision, GitError> {
        if proposal.moves.is_empty() {
            return Ok(Decision::default());
        }
        let source = proposal.source;
        fault_point::reach("receive.quarantined");
        let packs = self.store_packs(quarantine).await?;
        fault_point::reach("receive.pack_stored");
        let decision = self.move_refs(proposal, &packs).await?;
        if !decision.moved.is_empty() {
            let packs = packs.into_iter().map(|pack| (pack.path, pack.digest)).collect();
            // Accepted is accepted: the cache is brought up to date by whoever needs it next.
            if let Err(error) = self.adopt(source, packs).await {
                tracing::warn!(%source, %error, "cannot update the git cache after a push");
            }
            fault_point::reach("receive.adopted");
        }
        Ok(decision)
    }

    async fn store_packs(&self, quarantine: &Quarantine) -> Result<Vec<StoredPack>, GitError> {
        let mut stored = Vec::new();
        for path in quarantine.packs().map_err(GitError::io("list a quarantine"))? {
            let blob = self.blobs().put_file(&path).await?;
            stored.push(StoredPack { path, digest: blob.digest, size: blob.size });
        }
        Ok(stored)
    }

    /// The transaction. Begun again without a ref whose name stands in another's way.
    async fn move_refs(&self, mut proposal: Proposal, packs: &[StoredPack]) -> Result<Decision, GitError> {
        let mut refused = Vec::new();
        loop {
            let mut write = self.records().begin().await?;
            for pack in packs {
                write.git_pack_add(proposal.source, pack.digest, pack.size).await?;
            }
            let (moved, stale) = move_each(write.as_mut(), &proposal).await?;
            refused.extend(stale);
            if moved.is_empty() || (proposal.atomic && !refused.is_empty()) {
                refused.extend(moved.into_iter().map(|change| (change.name, ATOMIC.to_owned())));
                return Ok(Decision { moved: Vec::new(), refused });
            }
            // Read after the moves, which hold the source's row against other transactions.
            let rows = write.git_refs(proposal.source).await?;
            let in_the_way = conflicts(&rows, &moved, self.options().max_refs);
            if in_the_way.is_empty() {
                let moved = deliver(write.as_mut(), &proposal, moved).await?;
                fault_point::reach("receive.before_commit");
                write.commit().await?;
                fault_point::reach("receive.committed");
                return Ok(Decision { moved, refused });
            }
            drop(write);
            proposal.moves =
                moved.into_iter().filter(|c| in_the_way.iter().all(|(name, _)| *name != c.name)).collect();
            refused.extend(in_the_way);
        }
    }
}

type Stale = Vec<(GitRef, String)>;

async fn move_each(write: &mut dyn Write, proposal: &Proposal) -> Result<(Vec<RefMove>, Stale), GitError> {
    let (mut moved, mut stale) = (Vec::new(), Vec::new());
    // Deletions first: they may make room for a name.
    let (deleted, set): (Vec<_>, Vec<_>) = proposal.moves.iter().partition(|change| change.new.is_none());
    for change in deleted.into_iter().chain(set) {
        if write.git_ref_move(proposal.source, change).await? {
            moved.push(change.clone());
        } else {
            stale.push((change.name.clone(), STALE.to_owned()));
        }
    }
    Ok((moved, stale))
}

async fn deliver(
    write: &mut dyn Write,
    proposal: &Proposal,
    moved: Vec<RefMove>,
) -> Result<Vec<(RefMove, Option<DeliveryId>)>, GitError> {
    let mut delivered = Vec::with_capacity(moved.len());
    for change in moved {
        let commit = change.new.as_ref().map(|(_, commit)| commit);
        let Some(commit) = commit.filter(|_| proposal.deliver.contains(&change.name)) else {
            delivered.push((change, None));
            continue;
        };
        let delivery = NewDelivery {
            source_id: proposal.source,
            origin: proposal.origin,
            external_id: None,
            event: "push".to_owned(),
            git_ref: Some(change.name.clone()),
            commit: Some(commit.clone()),
            actor: proposal.actor.clone(),
            fresh: false,
            state: DeliveryState::Received,
        };
        let id = write.delivery_insert(delivery).await?.into_inner().id;
        write.job_enqueue(NewJob::new(JobPayload::Deliver { delivery: id }, None)).await?;
        delivered.push((change, Some(id)));
    }
    Ok(delivered)
}

/// Of the refs just set, those whose name is a directory of another ref or lies below one, and those
/// beyond the number of refs a source may have.
fn conflicts(rows: &[RefRow], moved: &[RefMove], max_refs: usize) -> Vec<(GitRef, String)> {
    let names: BTreeSet<String> = rows.iter().map(|row| row.name.to_string()).collect();
    let created = moved.iter().filter(|change| change.old.is_none() && change.new.is_some());
    if names.len() > max_refs {
        let why = format!("the source would have more than {max_refs} refs (limit `max_refs`)");
        let refused: Vec<_> = created.map(|change| (change.name.clone(), why.clone())).collect();
        return refused;
    }
    let mut refused: Vec<(GitRef, String)> = Vec::new();
    for change in created {
        let name = change.name.to_string();
        let below = format!("{name}/");
        let above = name.match_indices('/').map(|(at, _)| &name[..at]).find(|above| names.contains(*above));
        let other = above.map(str::to_owned).or_else(|| {
            names.range(below.clone()..).next().filter(|other| other.starts_with(&below)).cloned()
        });
        let Some(other) = other else { continue };
        // Of two new refs in each other's way one stays.
        if refused.iter().any(|(name, _)| name.to_string() == other) {
            continue;
        }
        refused.push((change.name.clone(), format!("its name is in the way of {other}")));
    }
    refused
}

/// Why a version tag may not become `new`: a published version never moves.
pub(crate) fn version_tag_refusal(row: Option<&RefRow>, new: Option<&CommitId>) -> Option<String> {
    let row = row?;
    let GitRef::Tag(tag) = &row.name else { return None };
    VersionTag::parse(tag)?;
    if new == Some(&row.commit) {
        return None;
    }
    let verb = if new.is_some() { "moves" } else { "goes" };
    Some(format!(
        "tag {tag} is version tag of commit {}: a published version never {verb}, use a new number",
        row.commit.short()
    ))
}

/// The commit an object leads to, read from a quarantine and the repository under it.
pub(crate) async fn peel(
    quarantine: &Quarantine,
    repository: PathBuf,
    wanted: Vec<(GitRef, ObjectId)>,
) -> Result<Vec<Result<CommitId, String>>, GitError> {
    let objects = quarantine.objects();
    blocking(move || {
        let repository = crate::tree::open_objects(&[objects, repository.join("objects")])?;
        wanted.iter().map(|(name, object)| peel_one(&repository, name, object)).collect()
    })
    .await
}

fn peel_one(
    repository: &git2::Repository,
    name: &GitRef,
    object: &ObjectId,
) -> Result<Result<CommitId, String>, GitError> {
    let found = repository
        .find_object(crate::tree::oid(object), None)
        .map_err(object_error(&format!("object {object}")))?;
    let is_commit = found.kind() == Some(git2::ObjectType::Commit);
    if name.branch().is_some() && !is_commit {
        return Ok(Err("a branch must point to a commit".to_owned()));
    }
    match found.peel(git2::ObjectType::Commit) {
        Ok(commit) => Ok(Ok(crate::tree::object_id(commit.id()))),
        Err(_) => Ok(Err("a tag must lead to a commit".to_owned())),
    }
}
