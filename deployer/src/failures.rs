//! Keeping what the built-in core finds when a node fails.

use slipway_core::Evidence;
use slipway_core::schedule::Turn;
use slipway_handoff::Key;
use slipway_records::addon::{ADDON_LOG_BYTES_KEPT, AddonFailure};
use slipway_records::failure::FAILURES_KEPT;
use slipway_records::{AddonInstance, Failure, LogChunk, Read};
use slipway_types::Fault;
use slipway_types::id::DeploymentId;
use slipway_types::name::AddonName;
use uuid::Uuid;

use crate::records_fault;
use crate::stage::Stage;

/// The deployment that a generation of a key is; `None`: the application, the environment or it is gone.
async fn deployment_at(
    read: &mut dyn Read,
    key: &Key,
    generation: u64,
) -> Result<Option<DeploymentId>, Fault> {
    let fault = |error| records_fault(&error);
    let Some(application) = read.application_by_name(&key.application).await.map_err(fault)? else {
        return Ok(None);
    };
    let Some(environment) = read.environment_by_address(&key.environment).await.map_err(fault)? else {
        return Ok(None);
    };
    let found = read.deployment_by_generation(environment.id, application.id, generation).await;
    Ok(found.map_err(fault)?.map(|deployment| deployment.id))
}

/// Whether what an instance keeps stays, although this was found as well: of a generation it is what was found first,
/// or of a later attempt of the same node.
fn is_kept(kept: Option<&AddonFailure>, generation: u64, turn: &Turn) -> bool {
    kept.is_some_and(|kept| {
        kept.generation == generation && (kept.node != turn.node || kept.attempt >= turn.attempt)
    })
}

/// The end of a log, as much as an instance keeps.
fn end_of(log: &str) -> &str {
    let mut from = log.len().saturating_sub(ADDON_LOG_BYTES_KEPT);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    &log[from..]
}

impl Stage {
    /// Whether something is kept of an attempt of a node, or there is no deployment that it could be kept with.
    pub(crate) async fn has_failure(&self, key: &Key, generation: u64, turn: &Turn) -> Result<bool, Fault> {
        let fault = |error| records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        if let Some(name) = key.application.addon() {
            let found = read.addon_by_name(&name).await.map_err(fault)?;
            let known = found.filter(|addon| addon.generation == generation).map(|addon| addon.failure);
            return Ok(known.is_none_or(|kept| is_kept(kept.as_ref(), generation, turn)));
        }
        match deployment_at(read.as_mut(), key, generation).await? {
            Some(id) => read.failure_is_kept(id, &turn.node, turn.attempt).await.map_err(fault),
            None => Ok(true),
        }
    }

    /// Keeps what was found, its logs as a log of that name. What is older than the newest failures of the
    /// application there goes.
    pub(crate) async fn keep_failure(
        &self,
        key: &Key,
        generation: u64,
        evidence: &Evidence,
    ) -> Result<(), Fault> {
        if let Some(name) = key.application.addon() {
            return self.keep_addon_failure(&name, generation, evidence).await;
        }
        let fault = |error| records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let found = deployment_at(read.as_mut(), key, generation).await?;
        drop(read);
        let Some(deployment_id) = found else { return Ok(()) };
        let chunk = self.stored(&evidence.log).await?;
        let failure = Failure {
            id: Uuid::now_v7(),
            deployment_id,
            node: evidence.turn.node.clone(),
            attempt: evidence.turn.attempt,
            at: evidence.at,
            found: evidence.found.clone(),
        };
        let mut tx = self.records.begin().await.map_err(fault)?;
        if !tx.failure_insert(&failure).await.map_err(fault)? {
            return Ok(());
        }
        if let Some(chunk) = chunk {
            tx.log_append(failure.id, &chunk).await.map_err(fault)?;
        }
        tx.failures_trim(deployment_id, FAILURES_KEPT).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }

    /// Keeps what was found of an instance of an add-on with it, unless something of its generation is kept.
    async fn keep_addon_failure(
        &self,
        name: &AddonName,
        generation: u64,
        evidence: &Evidence,
    ) -> Result<(), Fault> {
        let fault = |error| records_fault(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        let found = tx.addon_by_name(name).await.map_err(fault)?;
        let is_wanted = |addon: &AddonInstance| {
            addon.generation == generation && !is_kept(addon.failure.as_ref(), generation, &evidence.turn)
        };
        let Some(mut addon) = found.filter(is_wanted) else { return Ok(()) };
        addon.failure = Some(AddonFailure {
            generation,
            node: evidence.turn.node.clone(),
            attempt: evidence.turn.attempt,
            at: evidence.at,
            found: evidence.found.clone(),
            log: end_of(&evidence.log).to_owned(),
        });
        if !tx.addon_save(&mut addon).await.map_err(fault)? {
            return Err(Fault::transient(
                "changed_meanwhile",
                format!("the add-on {name} changed meanwhile"),
            ));
        }
        tx.commit().await.map_err(fault)
    }

    /// Stores a log's only piece, if it has one.
    async fn stored(&self, log: &str) -> Result<Option<LogChunk>, Fault> {
        if log.is_empty() {
            return Ok(None);
        }
        let blob = self.blobs.put(log.to_owned()).await.map_err(|error| {
            tracing::warn!(%error, "cannot keep the logs of a failure");
            Fault::transient("storage_unavailable", format!("the object store fails: {error}"))
        })?;
        Ok(Some(LogChunk { offset: 0, length: blob.size, digest: blob.digest, mark: None }))
    }
}

#[cfg(test)]
mod tests {
    use slipway_records::failure::Found;

    use super::*;

    #[test]
    fn of_two_nodes_that_failed_neither_takes_the_place_of_the_other() {
        let of = |generation, node: &str, attempt| AddonFailure {
            generation,
            node: node.into(),
            attempt,
            at: chrono::DateTime::UNIX_EPOCH,
            found: Found::default(),
            log: String::new(),
        };
        let turn = Turn { node: "run.apply".into(), attempt: 2 };
        for (kept, expected) in [
            (None, false),
            (Some(of(6, "job.bind", 1)), false),
            (Some(of(7, "job.bind", 1)), true),
            (Some(of(7, "run.apply", 1)), false),
            (Some(of(7, "run.apply", 2)), true),
        ] {
            assert_eq!(is_kept(kept.as_ref(), 7, &turn), expected, "{kept:?}");
        }
    }

    #[test]
    fn the_end_of_a_log_begins_at_a_character() {
        assert_eq!(end_of("short"), "short");
        let long = format!("x{}", "ö".repeat(ADDON_LOG_BYTES_KEPT));
        let end = end_of(&long);
        assert!(end.len() <= ADDON_LOG_BYTES_KEPT && end.chars().all(|c| c == 'ö'));
    }
}
