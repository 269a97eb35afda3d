//! Which secrets a revision uses: noted when it is frozen, and later for those that were frozen by a release that
//! noted nothing.

use std::collections::BTreeSet;

use slipway_handoff::{Revision, SecretUse};
use slipway_records::{RecordsError, RevisionSecret};
use slipway_types::{Digest, Fault};

use crate::stage::Stage;

/// Components whose nodes hold the objects that a secret goes into.
fn components(revision: &Revision, used: &SecretUse) -> Vec<String> {
    let places: BTreeSet<_> = used.used_in.iter().map(|place| &place.object).collect();
    let nodes = revision.graph.nodes().values();
    let holding = nodes.filter(|node| node.objects.iter().any(|object| places.contains(&object.object)));
    let names: BTreeSet<String> =
        holding.filter_map(|node| node.component.as_ref()).map(ToString::to_string).collect();
    names.into_iter().collect()
}

/// What is noted of a revision.
pub(crate) fn secrets_of(revision: &Revision) -> Vec<RevisionSecret> {
    let noted = |used: &SecretUse| RevisionSecret {
        reference: used.reference.clone(),
        scope: used.scope.clone(),
        version: used.version.clone(),
        components: components(revision, used),
    };
    revision.secrets.iter().map(noted).collect()
}

impl Stage {
    /// Reads a kept revision and notes what it uses.
    pub(crate) async fn note_secrets_of(&self, digest: &Digest) -> Result<(), Fault> {
        let fault = |error: RecordsError| crate::records_fault(&error);
        let revision = self.revision_document(digest).await?;
        let revision = revision.ok_or_else(|| {
            Fault::permanent("revision_missing", format!("the revision {digest} is not kept any more"))
        })?;
        let mut tx = self.records.begin().await.map_err(fault)?;
        tx.revision_secrets_note(digest, &secrets_of(&revision)).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }
}
