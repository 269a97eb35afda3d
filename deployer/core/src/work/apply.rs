//! Writing the objects of a node.

use serde_json::Value;
use slipway_handoff::{Filled, Object};
use slipway_kubernetes::{Applied, Cluster};
use slipway_records::fault_point;

use super::{Note, Prepared, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{Live, Verdict, Wanted, Write, before_apply};

/// So often an object that others change at the same time is read again.
const TRIES_MAX: usize = 5;

impl Work {
    /// Writes objects in their order, each only if it is not as wanted already; gives what was put into holes.
    pub(super) async fn apply(
        &self,
        prepared: Prepared,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<Filled>, Hitch> {
        let cluster = self.cluster().await?;
        for (object, mut manifest) in prepared.objects {
            self.put_secrets(&object.object, &mut manifest).await?;
            notes.extend(self.apply_object(&cluster, &object, &manifest).await?);
            fault_point::reach("core.applied");
        }
        Ok(prepared.filled)
    }

    async fn apply_object(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
    ) -> Result<Option<Note>, Hitch> {
        let key = key_of(&object.object);
        for _ in 0..TRIES_MAX {
            self.goes_on()?;
            let found = cluster.get(&key).await?;
            let live = found.as_ref().map(Live::of).transpose();
            let live = live.map_err(|error| Hitch::Passing(format!("{}: {error}", object.object)))?;
            let wanted = Wanted { object, manifest, adopt: false };
            let verdict = before_apply(&wanted, &self.marks, live.as_ref());
            let seen = found.as_ref().zip(live.as_ref());
            if self.clear_failed_job(cluster, object, &key, seen, &verdict).await? {
                continue;
            }
            let write = match verdict {
                Verdict::Create(write) | Verdict::Update(write) | Verdict::Join(write) => write,
                Verdict::AlreadySame => {
                    let uid = live.map(|live| live.uid().to_owned()).unwrap_or_default();
                    return Ok(Some(Note::Applied { object: object.object.clone(), uid }));
                }
                // Should it go, it is made anew: so the inventory keeps its name.
                Verdict::Borrow => return Ok(None),
                Verdict::Wait(terminating) => {
                    return Err(Hitch::Passing(format!("{} {terminating}", object.object)));
                }
                Verdict::Refused(refusal) => return Err(Hitch::Lasting(refusal.to_string())),
            };
            if let Some(note) = self.write(cluster, object, &write).await? {
                return Ok(Some(note));
            }
        }
        Err(Hitch::Passing(format!("{} is changed by others faster than it can be written", object.object)))
    }

    /// `None`: somebody changed the object meanwhile.
    async fn write(&self, cluster: &Cluster, object: &Object, write: &Write) -> Result<Option<Note>, Hitch> {
        let reference = &object.object;
        let applied = cluster.apply_at(&key_of(reference), &write.body, write.manager, write.force).await;
        let told = |hitch| match hitch {
            Hitch::Passing(why) => Hitch::Passing(format!("{reference}: {why}")),
            Hitch::Lasting(why) => Hitch::Lasting(format!("{reference}: {why}")),
            away @ Hitch::Away(_) => away,
        };
        match applied.map_err(|error| told(Hitch::from(error)))? {
            Applied::Done(done) => {
                let uid = done["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                Ok(Some(Note::Applied { object: reference.clone(), uid }))
            }
            Applied::Outrun => Ok(None),
            Applied::NotServed => Err(Hitch::Passing(format!(
                "the cluster does not serve {} {}: install what defines it",
                reference.api_version, reference.kind
            ))),
        }
    }
}
