//! What Slipway leaves in the engine, found by name and label, adopted or removed.

use std::collections::HashMap;

use bollard::models::ImageSummary;
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, RemoveContainerOptions, RemoveImageOptions,
};
use slipway_types::Fault;

use super::base::BASE_REPOSITORY;
use super::engine::{Reached, is_missing};
use super::{BOOT_LABEL, DockerOptions, LABEL, RESULT_REPOSITORY};

/// What an image costs that adds no bytes: the engine's records of it.
const IMAGE_BYTES_MIN: u64 = 4096;

type Filters = HashMap<String, Vec<String>>;

/// The image that an attempt of the build has finished, if one has.
pub(super) async fn finished(reached: &Reached, repository: &str) -> Result<Option<String>, Fault> {
    Ok(named(reached, repository).await?.into_iter().next().map(|image| image.id))
}

/// Removes a build's image; its steps stay as the engine's cache.
pub(super) async fn remove_result(reached: &Reached, repository: &str) -> Result<(), Fault> {
    for image in named(reached, repository).await? {
        for tag in image.repo_tags.iter().filter(|tag| is_of(tag, repository)) {
            remove(reached, tag).await?;
        }
    }
    Ok(())
}

/// Removes containers of earlier boots, and images of builds that nobody went on with.
pub(super) async fn sweep(reached: &Reached, options: &DockerOptions, boot: &str) -> Result<(), Fault> {
    let filters: Filters = [("label".to_owned(), vec![format!("{LABEL}={}", options.owner)])].into();
    let wanted = ListContainersOptions { all: true, filters: Some(filters.clone()), ..Default::default() };
    let containers = reached.docker.list_containers(Some(wanted)).await;
    for container in containers.map_err(|error| reached.fault("list containers", &error))? {
        let made_in = container.labels.as_ref().and_then(|labels| labels.get(BOOT_LABEL));
        if made_in.is_some_and(|made_in| made_in == boot) {
            continue;
        }
        let Some(id) = container.id else { continue };
        let force = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match reached.docker.remove_container(&id, Some(force)).await {
            Ok(()) => tracing::info!(container = id, "removed a container that an earlier boot left"),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(reached.fault("remove a container", &error)),
        }
    }
    let keep_s = i64::try_from(options.leftover_keep_ms / 1000).unwrap_or(i64::MAX);
    let oldest = chrono::Utc::now().timestamp().saturating_sub(keep_s);
    for image in list(reached, false, filters).await?.into_iter().filter(|image| image.created < oldest) {
        let results = format!("{RESULT_REPOSITORY}/");
        for tag in image.repo_tags.iter().filter(|tag| plain(tag).starts_with(&results)) {
            remove(reached, tag).await?;
        }
    }
    Ok(())
}

/// Removes the oldest steps and base images beyond what may be kept.
pub(super) async fn bound(reached: &Reached, options: &DockerOptions) -> Result<(), Fault> {
    let all = list(reached, true, Filters::new()).await?;
    let mut cache = Cache::new(&all, &options.owner);
    while cache.bytes > options.cache_keep_bytes {
        let Some(oldest) = cache.take_oldest() else { break };
        remove(reached, &oldest).await?;
    }
    let is_base = |tag: &&String| is_of(tag, BASE_REPOSITORY);
    let mut bases: Vec<(&ImageSummary, &String)> =
        all.iter().filter_map(|image| Some((image, image.repo_tags.iter().find(is_base)?))).collect();
    bases.sort_by_key(|(image, _)| image.created);
    let mut bytes: u64 = bases.iter().map(|(image, _)| size(image)).sum();
    for (image, tag) in bases {
        if bytes <= options.base_keep_bytes {
            break;
        }
        remove(reached, tag).await?;
        bytes -= size(image);
    }
    Ok(())
}

/// The steps that the engine keeps: a forest of images, most of them without a name.
struct Cache<'a> {
    /// Our images with the bytes that each adds to its parent.
    own: HashMap<&'a str, (&'a ImageSummary, u64)>,
    children: HashMap<&'a str, usize>,
    bytes: u64,
}

impl<'a> Cache<'a> {
    fn new(all: &'a [ImageSummary], owner: &str) -> Self {
        let sizes: HashMap<&str, u64> = all.iter().map(|image| (image.id.as_str(), size(image))).collect();
        let mut children: HashMap<&str, usize> = HashMap::new();
        for image in all {
            *children.entry(image.parent_id.as_str()).or_default() += 1;
        }
        let is_own = |image: &&ImageSummary| image.labels.get(LABEL).is_some_and(|value| value == owner);
        let adds = |image: &ImageSummary| {
            let parent = sizes.get(image.parent_id.as_str()).copied().unwrap_or(0);
            size(image).saturating_sub(parent).max(IMAGE_BYTES_MIN)
        };
        let own: HashMap<_, _> =
            all.iter().filter(is_own).map(|image| (image.id.as_str(), (image, adds(image)))).collect();
        let bytes = own.values().map(|(_, adds)| adds).sum();
        Self { own, children, bytes }
    }

    /// The oldest image without name and children, no longer counted.
    fn take_oldest(&mut self) -> Option<String> {
        let is_leaf = |image: &ImageSummary| {
            self.children.get(image.id.as_str()).is_none_or(|count| *count == 0)
                && image.repo_tags.iter().all(|tag| tag.starts_with("<none>"))
        };
        let leaves = self.own.values().filter(|(image, _)| is_leaf(image));
        let (image, adds) = *leaves.min_by_key(|(image, _)| (image.created, &image.id))?;
        self.own.remove(image.id.as_str());
        self.bytes -= adds;
        if let Some(count) = self.children.get_mut(image.parent_id.as_str()) {
            *count -= 1;
        }
        Some(image.id.clone())
    }
}

async fn named(reached: &Reached, repository: &str) -> Result<Vec<ImageSummary>, Fault> {
    let images = list(reached, false, [("reference".to_owned(), vec![repository.to_owned()])].into()).await?;
    Ok(images.into_iter().filter(|image| image.repo_tags.iter().any(|tag| is_of(tag, repository))).collect())
}

async fn list(reached: &Reached, all: bool, filters: Filters) -> Result<Vec<ImageSummary>, Fault> {
    let options = ListImagesOptions { all, filters: Some(filters), ..Default::default() };
    reached.docker.list_images(Some(options)).await.map_err(|error| reached.fault("list images", &error))
}

/// Removes a name or an image; fine if it is not there or something else uses it.
async fn remove(reached: &Reached, name: &str) -> Result<(), Fault> {
    let options = RemoveImageOptions { force: false, noprune: true, ..Default::default() };
    match reached.docker.remove_image(name, Some(options), None).await {
        Ok(_) => Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(error) => Err(reached.fault("remove an image", &error)),
    }
}

fn size(image: &ImageSummary) -> u64 {
    u64::try_from(image.size).unwrap_or(0)
}

fn is_of(tag: &str, repository: &str) -> bool {
    let tagged = |name: &str| name.strip_prefix(repository).is_some_and(|rest| rest.starts_with(':'));
    tagged(tag) || tagged(plain(tag))
}

/// Podman puts a host before names that have none.
fn plain(tag: &str) -> &str {
    tag.strip_prefix("localhost/").or_else(|| tag.strip_prefix("docker.io/")).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, parent: &str, created: i64, size: i64, owner: &str, tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: id.into(),
            parent_id: parent.into(),
            created,
            size,
            labels: [(LABEL.to_owned(), owner.to_owned())].into(),
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..ImageSummary::default()
        }
    }

    #[test]
    fn the_cache_goes_leaf_by_leaf_oldest_first_and_only_ours() {
        let all = [
            image("base", "", 0, 100_000, "other", &["b:1"]),
            image("a", "base", 1, 110_000, "me", &[]),
            image("b", "a", 2, 115_000, "me", &["<none>:<none>"]),
            image("c", "a", 3, 110_000, "me", &[]),
            image("named", "base", 0, 150_000, "me", &["slipway-build/x:1"]),
            image("alien", "base", 0, 900_000, "other", &[]),
        ];
        let mut cache = Cache::new(&all, "me");
        assert_eq!(cache.bytes, 10_000 + 5_000 + IMAGE_BYTES_MIN + 50_000);
        let order: Vec<String> = std::iter::from_fn(|| cache.take_oldest()).collect();
        assert_eq!(order, ["b", "c", "a"]);
        assert_eq!(cache.bytes, 50_000);
    }
}
