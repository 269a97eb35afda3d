//! What a rollback may need stays: the revisions that were live last, with their bundles, packages and images.

use slipway_records::{Deployment, Read};
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, ApplicationName, Digest};

use super::{RegistryError, Result};

/// How many live revisions of each application in each environment are kept, unless something else is said.
pub const ROLLBACK_DEPTH_DEFAULT: u32 = 5;
/// Hex digits of a revision in its tag.
const TAG_HEX: usize = 24;

/// The tag of a kept revision in the repository of its application and address.
pub fn revision_tag(revision: &Digest) -> String {
    format!("r-{}", &revision.hex()[..TAG_HEX])
}

/// The tag of what was written there for a generation.
pub fn generation_tag(generation: u64) -> String {
    format!("g{generation}")
}

/// Refuses to move or delete a tag of a kept revision.
pub(super) async fn of_tag(read: &mut dyn Read, repository: &str, tag: &str, depth: u32) -> Result<()> {
    let Some((environment, kept)) = revisions(read, repository, depth).await? else { return Ok(()) };
    match kept.iter().find(|row| tags(row).iter().any(|kept| kept == tag)) {
        Some(row) => Err(refusal(repository, &tag, environment, row.generation, depth)),
        None => Ok(()),
    }
}

/// Refuses to delete a manifest of a kept revision, or of its bundle, packages and images.
pub(super) async fn of_digest(
    read: &mut dyn Read,
    repository: &str,
    digest: &Digest,
    depth: u32,
) -> Result<()> {
    let Some((environment, kept)) = revisions(read, repository, depth).await? else {
        return of_content(read, repository, digest, depth).await;
    };
    for row in &kept {
        for tag in tags(row) {
            if read.tag_get(repository, &tag).await? == Some(*digest) {
                return Err(refusal(repository, digest, environment, row.generation, depth));
            }
        }
    }
    Ok(())
}

/// Refuses to delete a blob that is or may be part of them.
pub(super) async fn of_blob(
    read: &mut dyn Read,
    repository: &str,
    digest: &Digest,
    depth: u32,
) -> Result<()> {
    match revisions(read, repository, depth).await? {
        // Its manifests are small, and few: which one has the blob is not looked up.
        Some((environment, kept)) => match kept.first() {
            Some(row) => Err(refusal(repository, digest, environment, row.generation, depth)),
            None => Ok(()),
        },
        None => of_content(read, repository, digest, depth).await,
    }
}

async fn of_content(read: &mut dyn Read, repository: &str, digest: &Digest, depth: u32) -> Result<()> {
    let Some(name) = ApplicationName::owning(repository) else { return Ok(()) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(()) };
    match read.returnable_with(application.id, digest, depth).await? {
        Some(found) => Err(refusal(repository, digest, found.environment, found.generation, depth)),
        None => Ok(()),
    }
}

/// The environment that a repository holds the revisions of, and those that are kept, newest first; `None`: it
/// holds something else.
async fn revisions(
    read: &mut dyn Read,
    repository: &str,
    depth: u32,
) -> Result<Option<(EnvironmentName, Vec<Deployment>)>> {
    let Some((name, address)) = place(repository) else { return Ok(None) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(None) };
    let Some(environment) = read.environment_by_address(&address).await? else { return Ok(None) };
    let kept = read.deployments_returnable(environment.id, application.id, depth).await?;
    Ok(Some((environment.name, kept)))
}

/// Of `team/app/d/unit/cluster/namespace/stage`.
fn place(repository: &str) -> Option<(ApplicationName, Address)> {
    let name = ApplicationName::owning(repository)?;
    let address = repository.splitn(3, '/').nth(2)?.strip_prefix("d/")?;
    Some((name, address.parse().ok()?))
}

fn tags(row: &Deployment) -> Vec<String> {
    let revision = row.revision.as_ref().map(revision_tag);
    revision.into_iter().chain([generation_tag(row.generation)]).collect()
}

fn refusal(
    repository: &str,
    content: &dyn ToString,
    environment: EnvironmentName,
    generation: u64,
    depth: u32,
) -> RegistryError {
    let (repository, content) = (repository.to_owned(), content.to_string());
    RegistryError::RollbackProtected { repository, content, environment, generation, depth }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_lie_below_their_address() {
        let (name, address) = place("default/shop/d/eu/kind/shop/default").unwrap();
        assert_eq!(
            (name.path(), address.to_string()),
            ("default/shop".into(), "eu/kind/shop/default".into())
        );
        for other in ["default/shop", "default/shop/c/d", "default/shop/i/d/x", "default/shop/d", "x"] {
            assert!(place(other).is_none(), "{other}");
        }
    }
}
