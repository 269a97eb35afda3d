//! Manifests of one repository that another must hold too.

use slipway_objects::Blobs;
use slipway_records::detail::BundleMember;
use slipway_records::{ManifestRow, Write};
use slipway_types::{ApplicationName, Digest, Fault};

use crate::publish::{json_blob, package_repository, records_fault};

/// A manifest of one repository that the bundle's repository must hold too, with the blobs it names:
/// registries refuse an index with children elsewhere.
pub(crate) struct Link {
    from: String,
    digest: Digest,
    blobs: Vec<(Digest, u64)>,
}

/// What must be linked for a member: its package and every platform's image.
pub(crate) async fn links_of(
    blobs: &Blobs,
    application: &ApplicationName,
    member: &BundleMember,
) -> Result<Vec<Link>, Fault> {
    let mut links =
        vec![link_of(blobs, package_repository(application, &member.component), member.digest).await?];
    for image in &member.images {
        for platform in &image.platforms {
            links.push(link_of(blobs, image.repository.clone(), platform.digest).await?);
        }
    }
    Ok(links)
}

async fn link_of(blobs: &Blobs, from: String, digest: Digest) -> Result<Link, Fault> {
    let manifest = json_blob(blobs, &digest).await?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let named = layers.chain(std::iter::once(&manifest["config"]));
    let blobs =
        named.filter_map(|blob| Some((blob["digest"].as_str()?.parse().ok()?, blob["size"].as_u64()?)));
    Ok(Link { blobs: blobs.collect(), from, digest })
}

/// Links one manifest into the repository `to`, unless it is there.
pub(crate) async fn store_link(tx: &mut dyn Write, to: &str, link: &Link) -> Result<(), Fault> {
    if tx.manifest_get(to, &link.digest).await.map_err(records_fault)?.is_some() {
        return Ok(());
    }
    let row = tx.manifest_get(&link.from, &link.digest).await.map_err(records_fault)?.ok_or_else(|| {
        let what = format!("the registry does not hold {}@{} any more", link.from, link.digest);
        Fault::transient("manifest_missing", what).hint("Start the run anew with `slipway run retry`.")
    })?;
    for (digest, size) in &link.blobs {
        let linked = match tx.blob_origin(&link.from, digest).await.map_err(records_fault)? {
            Some(origin) => tx.blob_link_elsewhere(to, digest, *size, &origin).await,
            None => tx.blob_link(to, digest, *size).await,
        };
        linked.map_err(records_fault)?;
    }
    tx.manifest_put(&ManifestRow { repository: to.to_owned(), ..row }).await.map_err(records_fault)
}
