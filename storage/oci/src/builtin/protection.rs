//! Versions never change: a tag that names a published version stays where it is, and what a version
//! consists of stays. Signatures of one are added to, and taken away by nobody who may only push.

use slipway_records::package::VersionFilter;
use slipway_records::{Page, Read};
use slipway_types::{ApplicationName, ComponentName, Digest, Version};

use super::{RegistryError, Result};
use crate::signature::signed_by_tag;

/// What a repository of an application holds.
enum Holds {
    /// `team/app`
    Bundles,
    /// `team/app/c/NAME`
    Packages(ComponentName),
    /// `team/app/i/NAME`
    Images(ComponentName),
}

impl Holds {
    /// Whose versions the tags name; `None` is the bundle.
    fn component(&self) -> Option<&ComponentName> {
        match self {
            Self::Bundles => None,
            Self::Packages(component) | Self::Images(component) => Some(component),
        }
    }
}

fn owner(repository: &str) -> Option<(ApplicationName, Holds)> {
    let parts: Vec<&str> = repository.split('/').collect();
    let holds = match parts.as_slice() {
        [_, _] => Holds::Bundles,
        [_, _, "c", name] => Holds::Packages(name.parse().ok()?),
        [_, _, "i", name] => Holds::Images(name.parse().ok()?),
        _ => return None,
    };
    Some((ApplicationName::new(parts[0].parse().ok()?, parts[1].parse().ok()?), holds))
}

/// Refuses to move `tag` to `to` (`None`: to delete it) if it names a published version of another digest.
pub(super) async fn of_tag(
    read: &mut dyn Read,
    repository: &str,
    tag: &str,
    to: Option<&Digest>,
) -> Result<()> {
    let Some((name, holds)) = owner(repository) else { return Ok(()) };
    let Ok(version) = tag.parse::<Version>() else { return Ok(()) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(()) };
    let Some(published) = read.version_find(application.id, holds.component(), &version).await? else {
        return Ok(());
    };
    // A version is its package; its image is what the packager let the tag name.
    let stays = match holds {
        Holds::Bundles | Holds::Packages(_) => Some(published.digest),
        Holds::Images(_) => read.tag_get(repository, tag).await?,
    };
    if stays.is_none() || stays.as_ref() == to {
        return Ok(());
    }
    Err(RegistryError::TagProtected { repository: repository.to_owned(), tag: tag.to_owned() })
}

/// Whether under `tag` lie the signatures of a published version.
pub(super) async fn is_signed_version(read: &mut dyn Read, repository: &str, tag: &str) -> Result<bool> {
    let Some(subject) = signed_by_tag(tag) else { return Ok(false) };
    let Some((name, holds)) = owner(repository) else { return Ok(false) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(false) };
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(holds.component().cloned()),
        digest: Some(subject),
        ..VersionFilter::default()
    };
    Ok(!read.version_list(&filter, Page::first(1)).await?.is_empty())
}

/// Refuses to delete what a published version consists of. The children of bundles and of images for
/// several platforms are manifests of their repository, so there only what refers to a subject
/// (signatures, attestations) may go.
pub(super) async fn of_digest(read: &mut dyn Read, repository: &str, digest: &Digest) -> Result<()> {
    let Some((name, holds)) = owner(repository) else { return Ok(()) };
    let Some(application) = read.application_by_name(&name).await? else { return Ok(()) };
    let attached = read.manifest_get(repository, digest).await?.is_some_and(|row| row.subject.is_some());
    if attached && matches!(holds, Holds::Images(_)) {
        return Ok(());
    }
    let may_be_child = matches!(holds, Holds::Bundles | Holds::Images(_)) && !attached;
    let filter = VersionFilter {
        application: Some(application.id),
        component: Some(holds.component().cloned()),
        digest: if may_be_child { None } else { Some(*digest) },
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
