//! Versions never change: a tag of a package or bundle repository that names a published version
//! stays where it is.

use slipway_records::package::VersionFilter;
use slipway_records::{Page, Read};
use slipway_types::{ApplicationName, ComponentName, Digest, Version};

use super::{RegistryError, Result};

/// Whose versions a repository holds: `team/app` bundles, `team/app/c/NAME` packages.
fn owner(repository: &str) -> Option<(ApplicationName, Option<ComponentName>)> {
    let parts: Vec<&str> = repository.split('/').collect();
    let component = match parts.as_slice() {
        [_, _] => None,
        [_, _, "c", name] => Some(name.parse().ok()?),
        _ => return None,
    };
    Some((ApplicationName::new(parts[0].parse().ok()?, parts[1].parse().ok()?), component))
}

fn protected(repository: &str, tag: &str) -> RegistryError {
    RegistryError::TagProtected { repository: repository.to_owned(), tag: tag.to_owned() }
}

/// Refuses to move `tag` to `to` (`None`: to delete it) if it names a published version of another digest.
pub(super) async fn of_tag(
    read: &mut dyn Read,
    repository: &str,
    tag: &str,
    to: Option<&Digest>,
) -> Result<()> {
    let Some((name, component)) = owner(repository) else { return Ok(()) };
    let Ok(version) = tag.parse::<Version>() else { return Ok(()) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(()) };
    match read.version_find(application.id, component.as_ref(), &version).await? {
        Some(published) if to != Some(&published.digest) => Err(protected(repository, tag)),
        _ => Ok(()),
    }
}

/// Refuses to delete what a published version consists of. A bundle's children are manifests of its
/// repository, so there only what refers to a subject (signatures, attestations) may go.
pub(super) async fn of_digest(read: &mut dyn Read, repository: &str, digest: &Digest) -> Result<()> {
    let Some((name, component)) = owner(repository) else { return Ok(()) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(()) };
    let is_bundles = component.is_none();
    let attached = read.manifest_get(repository, digest).await?.is_some_and(|row| row.subject.is_some());
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(component),
        digest: if is_bundles && !attached { None } else { Some(*digest) },
        ..VersionFilter::default()
    };
    if read.version_list(&filter, Page::first(1)).await?.is_empty() {
        return Ok(());
    }
    Err(RegistryError::ContentProtected { repository: repository.to_owned(), digest: *digest })
}

/// Refuses to take blobs out of a repository of versions: some version may consist of them.
pub(super) async fn of_blob(read: &mut dyn Read, repository: &str, digest: &Digest) -> Result<()> {
    let Some((name, _)) = owner(repository) else { return Ok(()) };
    if read.application_by_name(&name).await?.is_none() {
        return Ok(());
    }
    Err(RegistryError::ContentProtected { repository: repository.to_owned(), digest: *digest })
}

#[cfg(test)]
mod tests;
