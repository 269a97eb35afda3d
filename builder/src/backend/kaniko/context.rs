//! What a Job is given: its context in the registry, base images beside it, a token of its own.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use chrono::{TimeDelta, Utc};
use flate2::{Compression, GzBuilder};
use slipway_objects::{Blob, Spooled};
use slipway_records::NewToken;
use slipway_records::worker::fault_of;
use slipway_types::access::RepositoryGrant;
use slipway_types::{Digest, Fault};

use super::super::recipe::{Prepared, Recipe};
use super::super::{ImageBuild, assemble, blob_fault, context};
use super::Inner;
use super::objects::{Attempt, BuildToken};
use crate::dockerfile::{BaseKey, Parameters};
use crate::pin::Pin;
use crate::target::ImageTarget;

/// How much longer than the Job its token lives.
pub(super) const TOKEN_BEYOND: TimeDelta = TimeDelta::minutes(10);

/// What a Job is made from.
pub(super) struct Ingredients {
    pub(super) prepared: Prepared,
    /// Blob in the image's repository.
    pub(super) context: Digest,
    /// Repository of cached steps.
    pub(super) cache: String,
}

/// `team/app` of an image's repository `team/app/i/NAME`.
fn application_path(repository: &str) -> &str {
    repository.rsplitn(3, '/').last().unwrap_or(repository)
}

/// The application's repository of cached steps.
pub(super) fn cache_repository(repository: &str) -> String {
    format!("{}/cache", application_path(repository))
}

/// The application's repository of base images from elsewhere.
pub(super) fn base_repository(repository: &str) -> String {
    format!("{}/base", application_path(repository))
}

impl Inner {
    /// Puts all that the Job will fetch into the registry.
    pub(super) async fn ingredients(&self, job: &ImageBuild<'_>) -> Result<Ingredients, Fault> {
        let snapshot = job.git.snapshot(job.source.id, job.commit).await.map_err(|error| error.fault())?;
        let (recipe, snapshot) = Recipe::read(snapshot, job.context, &job.plan.dockerfile).await?;
        let platform = &self.options.platform;
        let parameters = job.parameters(platform, platform, &self.target);
        let names = self.base_names(&recipe, &parameters, job).await?;
        let prepared = recipe.prepare(parameters, &names, None)?.with_proxy(&self.options.network);
        let content = prepared.text.clone().into_bytes();
        let (plain, packed) = (self.blobs.blocking_spool(), self.blobs.blocking_spool());
        let (plain, packed) = (plain.map_err(blob_fault)?, packed.map_err(blob_fault)?);
        let (directory, beside) = (job.context.to_owned(), recipe.dockerignore);
        let limits = context::Limits {
            max_context_bytes: self.options.max_context_bytes,
            max_context_entries: self.options.max_context_entries,
        };
        let spooled = tokio::task::spawn_blocking(move || {
            let files = assemble::GitContext::new(snapshot, &directory);
            let plain = context::write(&files, beside.as_deref(), &content, plain, &limits)?;
            pack(&plain, packed)
        })
        .await
        .map_err(|error| Fault::bug("kaniko", format!("writing the context ended badly: {error}")))??;
        let blob = self.blobs.put_spooled(spooled).await.map_err(blob_fault)?;
        self.link(job.repository, &blob).await?;
        job.log.line(format!("slipway: context {} of {} bytes", blob.digest, blob.size)).await;
        Ok(Ingredients { prepared, context: blob.digest, cache: cache_repository(job.repository) })
    }

    async fn link(&self, repository: &str, blob: &Blob) -> Result<(), Fault> {
        let fault = |error| fault_of(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        tx.blob_link(repository, &blob.digest, blob.size).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }

    /// Where the Job finds the images that the Dockerfile names: all in Slipway's own registry, so that
    /// pods need reach no other, and no credential leaves the server.
    async fn base_names(
        &self,
        recipe: &Recipe,
        parameters: &Parameters,
        job: &ImageBuild<'_>,
    ) -> Result<BTreeMap<BaseKey, String>, Fault> {
        let references =
            recipe.dockerfile.base_references(parameters).map_err(|error| recipe.invalid(&error))?;
        let copies = base_repository(job.repository);
        let pin = Pin {
            images: self.images.acting_for(job.application),
            target: std::sync::Arc::new(ImageTarget::builtin(self.images.clone())),
        };
        let mut names = BTreeMap::new();
        for base in references {
            let pinned = job.pinned(&base)?;
            let registry = self.options.registry();
            let name = match pinned.digest {
                Some(digest) if self.images.is_own(&pinned) => {
                    format!("{registry}/{}@{digest}", pinned.repository)
                }
                Some(digest) => {
                    job.log.line(format!("slipway: fetching {pinned}")).await;
                    let platforms = std::slice::from_ref(&base.key.platform);
                    let copy = pin.pin(&pinned, digest, platforms, &copies).await?;
                    format!("{registry}/{copies}@{}", copy.digest)
                }
                None => {
                    let message = format!("{}:{}: {pinned} has no digest", job.plan.dockerfile, base.line);
                    return Err(Fault::bug("kaniko_base", message));
                }
            };
            names.insert(base.key, name);
        }
        Ok(names)
    }

    /// A token for the attempt: it pushes to its image and cache, and pulls what the plan resolved.
    pub(super) async fn token(&self, attempt: &Attempt, job: &ImageBuild<'_>) -> Result<BuildToken, Fault> {
        let (plain, hash) = slipway_secrets::new_token();
        let lives = TimeDelta::milliseconds(i64::try_from(self.options.deadline_ms).unwrap_or(i64::MAX / 4));
        let expires_at = Utc::now() + lives + TOKEN_BEYOND;
        let push = [job.repository.to_owned(), cache_repository(job.repository)];
        let own = job.plan.bases.iter().filter(|base| self.images.is_own(&base.reference));
        let needed = job.needs.values().flatten().map(|image| image.repository.clone());
        let pull = own.map(|base| base.reference.repository.clone()).chain(needed);
        let pull = pull.chain([base_repository(job.repository)]);
        let grants = push.into_iter().map(|repository| RepositoryGrant { repository, push: true });
        let grants = grants.chain(pull.map(|repository| RepositoryGrant { repository, push: false }));
        let token = NewToken {
            // An attempt whose Secret was lost gets a second one.
            name: format!("{} {}", attempt.name(), &hash.hex()[..8]),
            hash,
            person: None,
            break_glass: false,
            role: None,
            application_id: None,
            pulls_for: None,
            grants: grants.collect(),
            expires_at: Some(expires_at),
        };
        let fault = |error| fault_of(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        let row = tx.token_insert(token).await.map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        Ok(BuildToken { id: row.id, plain, expires_at })
    }
}

/// Compresses the context: Kaniko takes no other.
fn pack(plain: &Spooled, packed: slipway_objects::BlockingSpool) -> Result<Spooled, Fault> {
    let unreadable = |error: io::Error| match error.downcast() {
        Ok(own) => blob_fault(own),
        Err(error) => {
            Fault::transient("context_unreadable", format!("the context cannot be packed: {error}"))
        }
    };
    let mut file = plain.open().map_err(blob_fault)?;
    let mut gzip = GzBuilder::new().mtime(0).write(packed, Compression::new(1));
    io::copy(&mut file, &mut gzip).map_err(unreadable)?;
    gzip.flush().map_err(unreadable)?;
    gzip.finish().map_err(unreadable)?.finish().map_err(blob_fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_one_cache_and_one_place_for_bases() {
        assert_eq!(cache_repository("default/shop/i/web"), "default/shop/cache");
        assert_eq!(base_repository("default/shop/i/web"), "default/shop/base");
    }
}
