//! Writing the objects of a node.

use serde_json::Value;
use slipway_handoff::{Filled, Object, ObjectRef};
use slipway_kubernetes::{Applied, CallError, Cluster};
use slipway_records::fault_point;

use super::look::Found;
use super::{Note, Prepared, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{
    ADOPTER, Live, Verdict, Wanted, Write, before_apply, changes_nothing, handed_over, keep_marks,
    without_leftovers,
};

/// So often an object that others change at the same time is read again.
pub(super) const TRIES_MAX: usize = 5;

impl Work {
    /// Writes objects in their order, each only if it is not as wanted already; gives what was put into holes.
    pub(super) async fn apply(
        &self,
        prepared: Prepared,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Filled>, Hitch> {
        notes.extend(self.found_first().await?.map(Note::Found));
        let cluster = self.cluster().await?;
        let mut found = Found::new();
        let made_before = self.made_before(&cluster, &prepared, &mut found, notes).await?;
        for (object, mut manifest) in prepared.objects {
            self.put_secrets(&object.object, &mut manifest).await?;
            if !prepared.is_rewritten {
                self.clear_failed_task(&cluster, &object, &manifest).await?;
            }
            let was_there = self.is_there_and_reads(&cluster, &object, &manifest).await?;
            self.apply_noted(&cluster, &object, &manifest, notes).await?;
            found.remove(&object.object);
            self.renew(&cluster, (&object, &manifest), was_there, &made_before, &mut found, notes).await?;
            fault_point::reach("core.applied");
        }
        Ok(prepared.filled)
    }

    /// Writes an object if it is not as wanted, and notes what it is now. `manifest` has the values of secrets.
    pub(super) async fn apply_noted(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
        notes: &mut Vec<Note>,
    ) -> Result<(), Hitch> {
        if let Some(note) = self.apply_object(cluster, object, manifest).await? {
            notes.push(note);
            notes.extend(self.applied_secret(object, manifest).map(Note::Secret));
        }
        Ok(())
    }

    /// `None`: it is used as it is.
    async fn apply_object(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
    ) -> Result<Option<Note>, Hitch> {
        let key = key_of(&object.object);
        self.written.forget(&object.object);
        for _ in 0..TRIES_MAX {
            self.goes_on()?;
            let found = cluster.get(&key).await?;
            let live = found.as_ref().map(Live::of).transpose();
            let live = live.map_err(|error| Hitch::Passing(format!("{}: {error}", object.object)))?;
            let adopt = live.as_ref().is_some_and(|live| self.may_adopt(&object.object, live));
            if let Some(live) = live.as_ref().filter(|live| adopt && is_free(live))
                && let Some(patch) = handed_over(live, manifest)
            {
                self.hand_over(cluster, &object.object, &patch).await?;
                continue;
            }
            let wanted = Wanted { object, manifest, adopt };
            let write = match before_apply(&wanted, &self.marks, live.as_ref()) {
                Verdict::Create(write) | Verdict::Update(write) | Verdict::Join(write) => write,
                Verdict::AlreadySame => {
                    let uid = live.as_ref().map(|live| live.uid().to_owned()).unwrap_or_default();
                    return Ok(Some(Note::Applied { object: object.object.clone(), uid }));
                }
                // Should it go, it is made anew: so the inventory keeps its name.
                Verdict::Borrow => return Ok(None),
                Verdict::Wait(terminating) => {
                    return Err(Hitch::Passing(format!("{} {terminating}", object.object)));
                }
                Verdict::Refused(refusal) => return Err(Hitch::Lasting(refusal.to_string())),
            };
            if let Some(live) = &live
                && self.changes_marks_alone(cluster, &object.object, &write, live).await
            {
                return Ok(Some(Note::Applied { object: object.object.clone(), uid: live.uid().to_owned() }));
            }
            if let Some(note) = self.write(cluster, object, &write, live.as_ref()).await? {
                return Ok(Some(note));
            }
        }
        Err(Hitch::Passing(format!("{} is changed by others faster than it can be written", object.object)))
    }

    /// Whether a write would change nothing but which generation wrote the object last. What is only written otherwise,
    /// such as a quantity, the API server alone can tell; what cannot be tried is written.
    async fn changes_marks_alone(
        &self,
        cluster: &Cluster,
        object: &ObjectRef,
        write: &Write,
        live: &Live<'_>,
    ) -> bool {
        if !self.marks.follow(live) {
            return false;
        }
        let mut body = write.body.clone();
        keep_marks(&mut body, live);
        // Why it failed is told by the write itself, which knows what may be said of a Secret.
        let tried = cluster.try_apply(&key_of(object), &body, write.manager).await.ok().flatten();
        tried.is_some_and(|tried| changes_nothing(live.object(), &tried))
    }

    /// Whether this generation has leave to take over this very object.
    pub(super) fn may_adopt(&self, object: &ObjectRef, live: &Live<'_>) -> bool {
        let mut leaves = self.submission.adopt.iter();
        leaves.any(|leave| leave.object.identity() == object.identity() && leave.uid == live.uid())
    }

    /// Makes what another tool owns of an object Slipway's; whether somebody was faster is seen by who looks again.
    async fn hand_over(&self, cluster: &Cluster, object: &ObjectRef, patch: &Value) -> Result<(), Hitch> {
        self.goes_on()?;
        let merged = cluster.merge_at(&key_of(object), patch, ADOPTER).await;
        match merged.map_err(|error| told(object, Hitch::from(error)))? {
            Applied::Done(_) => tracing::info!(%object, "is taken over"),
            Applied::Outrun | Applied::NotServed => {}
        }
        Ok(())
    }

    /// `None`: the object is not as it was read any more.
    async fn write(
        &self,
        cluster: &Cluster,
        object: &Object,
        write: &Write,
        live: Option<&Live<'_>>,
    ) -> Result<Option<Note>, Hitch> {
        // After a stop it is waited for one request, not for several.
        self.goes_on()?;
        let reference = &object.object;
        let applied = cluster.apply_at(&key_of(reference), &write.body, write.manager, write.force).await;
        let applied = match applied {
            Err(refused) => match self.trim(cluster, reference, write, live, &refused).await {
                Some(trimmed) => trimmed,
                None => Err(refused),
            },
            applied => applied,
        };
        match applied.map_err(|error| told(reference, Hitch::from(error)))? {
            Applied::Done(done) => {
                let uid = done["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                self.written.keep(object, done);
                Ok(Some(Note::Applied { object: reference.clone(), uid }))
            }
            Applied::Outrun => Ok(None),
            Applied::NotServed => Err(Hitch::Passing(format!(
                "the cluster does not serve {} {}: install what defines it",
                reference.api_version, reference.kind
            ))),
        }
    }

    /// Takes out what stands in the way of a write that was refused, and that no apply can take out. Then the object
    /// is another than was read. `None`: that is not why.
    async fn trim(
        &self,
        cluster: &Cluster,
        reference: &ObjectRef,
        write: &Write,
        live: Option<&Live<'_>>,
        refused: &CallError,
    ) -> Option<Result<Applied, CallError>> {
        let live = live?;
        let trimmed = without_leftovers(live, &write.body, &refused.invalid_fields()?)?;
        tracing::info!(object = %reference, %refused, "defaults of what is not wanted any more are taken out");
        let key = key_of(reference);
        let done = cluster.trim(&key, live.object(), &trimmed, write.manager).await;
        Some(done.map(|done| if let Applied::Done(_) = done { Applied::Outrun } else { done }))
    }
}

/// The same with the name of the object that it is about.
pub(super) fn told(object: &ObjectRef, hitch: Hitch) -> Hitch {
    match hitch {
        Hitch::Passing(why) => Hitch::Passing(format!("{object}: {why}")),
        Hitch::Lasting(why) => Hitch::Lasting(format!("{object}: {why}")),
        away @ Hitch::Away(_) => away,
    }
}

/// Whether no inventory has an object yet, and it stays.
fn is_free(live: &Live<'_>) -> bool {
    live.inventory().is_none() && live.terminating().is_none()
}
