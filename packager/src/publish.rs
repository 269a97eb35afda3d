//! From packages to rows: what a publication stores, all in one transaction.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use slipway_archive::Written;
use slipway_objects::Blobs;
use slipway_records::detail::{BundleDetail, BundleMember, PackageDetail};
use slipway_records::plan::CheckPlan;
use slipway_records::{
    Application, CheckOrder, Inserted, ManifestRow, NewVersion, PackageVersion, Run, Write,
};
use slipway_types::id::VersionId;
use slipway_types::label::{LabelKey, LabelValue, Labels};
use slipway_types::media_type::{BUNDLE_ARTIFACT, COMPONENT_ARTIFACT, IN_TOTO, LOCK_ARTIFACT, is_index};
use slipway_types::name::CheckName;
use slipway_types::state::{BuiltImage, RunEvent};
use slipway_types::{ApplicationName, ComponentName, Digest, Fault, GitRef, Version};

use crate::bundle::{Born, Bundle};
use crate::checks::{self, Holder};
use crate::component::Package;
use crate::document::Document;
use crate::handler::{Component, members_of};
use crate::image_tag::ImageTag;
use crate::link::{Link, links_of, store_link};
use crate::provenance::Provenance;

/// A component's place in the bundle, with the documents of a package that is new.
pub(crate) struct Member {
    pub(crate) row: BundleMember,
    labels: Labels,
    /// Checks planned with it.
    pub(crate) checks: Vec<CheckPlan>,
    new: Option<NewPackage>,
}

struct NewPackage {
    package: Package,
    content: Option<Written>,
    provenance: Provenance,
}

impl Member {
    pub(crate) fn reused(
        component: &Component,
        fingerprint: Digest,
        known: &PackageVersion,
        version: Version,
        manifest_size: u64,
    ) -> Self {
        let row = BundleMember {
            component: component.plan.name.clone(),
            version,
            built_as: known.built_as.clone(),
            digest: known.digest,
            manifest_size,
            size: known.size,
            kit: component.plan.kit.clone(),
            images: component.images.clone(),
            reused: true,
            fingerprint,
        };
        Self { row, labels: component.plan.labels.clone(), checks: component.plan.checks.clone(), new: None }
    }

    pub(crate) fn new(
        component: &Component,
        fingerprint: Digest,
        version: Version,
        package: Package,
        content: Option<Written>,
        provenance: Provenance,
    ) -> Self {
        let manifest_size = package.manifest.bytes.len() as u64;
        let content_size = content.as_ref().map_or(0, |content| content.size);
        let row = BundleMember {
            component: component.plan.name.clone(),
            built_as: version.clone(),
            version,
            digest: package.manifest.digest,
            manifest_size,
            size: manifest_size + package.config.bytes.len() as u64 + content_size,
            kit: component.plan.kit.clone(),
            images: component.images.clone(),
            reused: false,
            fingerprint,
        };
        Self {
            row,
            labels: component.plan.labels.clone(),
            checks: component.plan.checks.clone(),
            new: Some(NewPackage { package, content, provenance }),
        }
    }
}

/// A publication in the making.
pub(crate) struct Draft<'a> {
    pub run: &'a Run,
    pub application: &'a Application,
    pub version: Version,
    pub blobs: &'a Blobs,
}

/// All rows that a run publishes.
pub(crate) struct Publication {
    run: Run,
    application: ApplicationName,
    version: Version,
    members: Vec<Member>,
    bundle: Option<NewBundle>,
}

struct NewBundle {
    digest: Digest,
    built_as: Version,
    lock_digest: Digest,
    size: u64,
    /// Absent where a published bundle gets one more version.
    documents: Option<Bundle>,
    links: Vec<Link>,
    checks: Checks,
}

/// The checks that hold a bundle.
enum Checks {
    /// These, planned with its components.
    Planned(Vec<(CheckName, CheckOrder)>),
    /// Those of the published bundle that gets one more version.
    OfBundle(VersionId),
}

impl Draft<'_> {
    /// Publishes packages without a bundle.
    pub(crate) fn component_only(self, members: Vec<Member>) -> Publication {
        self.publication(members, None)
    }

    /// Writes the bundle of all members.
    pub(crate) async fn bundle(self, members: Vec<Member>) -> Result<Publication, Fault> {
        let rows: Vec<BundleMember> = members.iter().map(|member| member.row.clone()).collect();
        let run = self.run;
        let born = Born::Commit { commit: &run.commit, at: run.committed_at };
        let bundle = Bundle::write(&self.application.name, &self.version, &born, &rows);
        for document in [&bundle.lock_config, &bundle.lock, &bundle.index, &Document::empty()] {
            put(self.blobs, document).await?;
        }
        let size =
            [&bundle.lock_config, &bundle.lock, &bundle.index].iter().map(|d| d.bytes.len() as u64).sum();
        let mut links = Vec::new();
        for row in &rows {
            links.extend(links_of(self.blobs, &self.application.name, row).await?);
        }
        let new = NewBundle {
            links,
            digest: bundle.index.digest,
            built_as: self.version.clone(),
            lock_digest: bundle.lock_config.digest,
            size,
            documents: Some(bundle),
            checks: Checks::Planned(checks::orders(&members)?),
        };
        Ok(self.publication(members, Some(new)))
    }

    fn publication(self, members: Vec<Member>, bundle: Option<NewBundle>) -> Publication {
        Publication {
            run: self.run.clone(),
            application: self.application.name.clone(),
            version: self.version,
            members,
            bundle,
        }
    }
}

impl Publication {
    /// The lock of a published bundle under a further version, which every component gets too.
    pub(crate) fn of_published(
        run: &Run,
        application: &Application,
        version: Version,
        bundle: &PackageVersion,
    ) -> Result<Self, Fault> {
        let members = members_of(bundle)?
            .into_iter()
            .map(|row| {
                let row = BundleMember { version: version.clone(), reused: true, ..row };
                Member { row, labels: Labels::new(), checks: Vec::new(), new: None }
            })
            .collect();
        let bundle = NewBundle {
            digest: bundle.digest,
            built_as: bundle.built_as.clone(),
            lock_digest: bundle.fingerprint,
            size: bundle.size,
            documents: None,
            links: Vec::new(),
            checks: Checks::OfBundle(bundle.id),
        };
        Ok(Self {
            run: run.clone(),
            application: application.name.clone(),
            version,
            members,
            bundle: Some(bundle),
        })
    }

    /// What the run's log says of it: a line for each version.
    pub(crate) fn told(&self) -> String {
        let mut lines = String::new();
        for member in &self.members {
            let BundleMember { component, version, digest, reused, .. } = &member.row;
            let how = if *reused { "unchanged" } else { "new" };
            lines.push_str(&format!("package {component} {version}, {how}: {digest}\n"));
        }
        if let Some(bundle) = &self.bundle {
            lines.push_str(&format!("bundle {}: {}\n", self.version, bundle.digest));
        }
        lines
    }

    /// Stores every row; gives the event that ends the run.
    pub(crate) async fn store(&self, tx: &mut dyn Write, tags: &[ImageTag]) -> Result<RunEvent, Fault> {
        let tags: Vec<String> = tags.iter().filter_map(|tag| tag.of(&self.run)).collect();
        for member in &self.members {
            self.store_member(tx, member).await?;
            for image in &member.row.images {
                for tag in &tags {
                    tx.tag_put(&image.repository, tag, &image.digest).await.map_err(records_fault)?;
                }
            }
        }
        let bundle = match &self.bundle {
            Some(bundle) => Some(self.store_bundle(tx, bundle).await?),
            None => None,
        };
        Ok(RunEvent::Publish { bundle, version: self.version.clone() })
    }

    async fn store_member(&self, tx: &mut dyn Write, member: &Member) -> Result<(), Fault> {
        let row = &member.row;
        let repository = package_repository(&self.application, &row.component);
        if let Some(new) = &member.new {
            store_package(tx, &repository, new, self.run.created_at).await?;
        }
        let detail = PackageDetail { kit: row.kit.clone(), images: row.images.clone() };
        let labels = member.labels.clone().into_iter().chain(server_labels(&self.run)).collect();
        let version = NewVersion {
            component: Some(row.component.clone()),
            version: row.version.clone(),
            digest: row.digest,
            size: row.size,
            built_as: row.built_as.clone(),
            fingerprint: row.fingerprint,
            detail: to_json(&detail),
            ..self.new_version(labels)
        };
        insert(tx, version).await?;
        tx.tag_put(&repository, &row.version.to_string(), &row.digest).await.map_err(records_fault)?;
        for image in &row.images {
            tx.tag_put(&image.repository, &row.version.to_string(), &image.digest)
                .await
                .map_err(records_fault)?;
        }
        Ok(())
    }

    async fn store_bundle(&self, tx: &mut dyn Write, bundle: &NewBundle) -> Result<VersionId, Fault> {
        let repository = self.application.path();
        if let Some(documents) = &bundle.documents {
            let images: Vec<_> = self.members.iter().flat_map(|member| &member.row.images).collect();
            store_documents(tx, &repository, documents, &bundle.links, &images, self.run.created_at).await?;
        }
        let detail = BundleDetail {
            members: self.members.iter().map(|member| member.row.clone()).collect(),
            composed: None,
        };
        let source_labels = self.members.iter().flat_map(|member| member.labels.clone());
        let version = NewVersion {
            component: None,
            version: self.version.clone(),
            digest: bundle.digest,
            size: bundle.size,
            built_as: bundle.built_as.clone(),
            fingerprint: bundle.lock_digest,
            detail: to_json(&detail),
            ..self.new_version(source_labels.chain(server_labels(&self.run)).collect())
        };
        let stored = insert(tx, version).await?;
        tx.tag_put(&repository, &self.version.to_string(), &bundle.digest).await.map_err(records_fault)?;
        let orders = match &bundle.checks {
            Checks::Planned(orders) => orders.clone(),
            Checks::OfBundle(published) => checks::orders_of(tx, *published).await?,
        };
        let holder = Holder {
            application: self.run.application_id,
            run: self.run.id,
            version: stored.id,
            fresh: self.run.fresh,
        };
        checks::store(tx, holder, orders).await?;
        Ok(stored.id)
    }

    /// The fields that every version of this run shares.
    fn new_version(&self, labels: Labels) -> NewVersion {
        NewVersion {
            application_id: self.run.application_id,
            component: None,
            version: self.version.clone(),
            digest: Digest::of(b""),
            size: 0,
            built_as: self.version.clone(),
            run_id: self.run.id,
            git_ref: self.run.git_ref.clone(),
            commit: self.run.commit.clone(),
            fingerprint: Digest::of(b""),
            detail: Value::Null,
            labels,
        }
    }
}

/// Stores the documents of a bundle, and links what it consists of.
pub(crate) async fn store_documents(
    tx: &mut dyn Write,
    repository: &str,
    documents: &Bundle,
    links: &[Link],
    images: &[&BuiltImage],
    at: chrono::DateTime<chrono::Utc>,
) -> Result<(), Fault> {
    for link in links {
        store_link(tx, repository, link).await?;
    }
    for index in images.iter().filter(|image| is_index(&image.media_type)) {
        tx.blob_link(repository, &index.digest, index.size).await.map_err(records_fault)?;
    }
    link_documents(tx, repository, &[&documents.lock_config, &Document::empty()]).await?;
    let lock = manifest_row(repository, &documents.lock, Some(LOCK_ARTIFACT), None, at);
    tx.manifest_put(&lock).await.map_err(records_fault)?;
    let index = manifest_row(repository, &documents.index, Some(BUNDLE_ARTIFACT), None, at);
    tx.manifest_put(&index).await.map_err(records_fault)
}

pub(crate) async fn insert(tx: &mut dyn Write, version: NewVersion) -> Result<PackageVersion, Fault> {
    let name = version.version.clone();
    tx.version_insert(version).await.map(Inserted::into_inner).map_err(|error| match error {
        slipway_records::RecordsError::Conflict { what } => {
            Fault::permanent("version_taken", format!("version {name}: {what}"))
                .hint("A published version never changes; publish under another version.")
        }
        other => records_fault(other),
    })
}

async fn store_package(
    tx: &mut dyn Write,
    repository: &str,
    new: &NewPackage,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<(), Fault> {
    let package = &new.package;
    link_documents(tx, repository, &[&package.config, &Document::empty(), &new.provenance.statement]).await?;
    if let Some(content) = &new.content {
        tx.blob_link(repository, &content.digest, content.size).await.map_err(records_fault)?;
    }
    let manifest = manifest_row(repository, &package.manifest, Some(COMPONENT_ARTIFACT), None, at);
    tx.manifest_put(&manifest).await.map_err(records_fault)?;
    let subject = Some(package.manifest.digest);
    let provenance = manifest_row(repository, &new.provenance.manifest, Some(IN_TOTO), subject, at);
    tx.manifest_put(&provenance).await.map_err(records_fault)
}

pub(crate) async fn link_documents(
    tx: &mut dyn Write,
    repository: &str,
    documents: &[&Document],
) -> Result<(), Fault> {
    for document in documents {
        tx.blob_link(repository, &document.digest, document.bytes.len() as u64)
            .await
            .map_err(records_fault)?;
    }
    Ok(())
}

pub(crate) fn manifest_row(
    repository: &str,
    document: &Document,
    artifact_type: Option<&str>,
    subject: Option<Digest>,
    at: chrono::DateTime<chrono::Utc>,
) -> ManifestRow {
    let parsed: Value = serde_json::from_slice(&document.bytes).unwrap_or_default();
    ManifestRow {
        repository: repository.to_owned(),
        digest: document.digest,
        media_type: document.media_type.to_owned(),
        artifact_type: artifact_type.map(str::to_owned),
        subject,
        size: document.bytes.len() as u64,
        annotations: parsed["annotations"].as_object().cloned().unwrap_or_default(),
        created_at: at,
    }
}

/// A stored JSON document.
pub(crate) async fn json_blob(blobs: &Blobs, digest: &Digest) -> Result<Value, Fault> {
    let bytes = blobs.get(digest, MANIFEST_BYTES_MAX).await.map_err(|error| storage_fault(&error))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Fault::permanent("manifest_unreadable", format!("{digest} is not JSON")))
}

/// The largest manifest that is read, in bytes: what registries accept.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The repository of a component's packages.
pub fn package_repository(application: &ApplicationName, component: &ComponentName) -> String {
    format!("{}/c/{component}", application.path())
}

/// Labels that the server writes at birth.
fn server_labels(run: &Run) -> BTreeMap<LabelKey, LabelValue> {
    let ref_key = match run.git_ref {
        GitRef::Branch(_) => "branch",
        GitRef::Tag(_) => "tag",
    };
    [(ref_key, run.git_ref.short()), ("commit", run.commit.as_str()), ("actor", &run.actor)]
        .into_iter()
        .map(|(key, value)| {
            let key = LabelKey::of_server(key).expect("invariant: the server's own keys are valid");
            (key, LabelValue::nearest(value))
        })
        .collect()
}

/// Stores a document's bytes.
pub(crate) async fn put(blobs: &Blobs, document: &Document) -> Result<(), Fault> {
    blobs.put(Bytes::from(document.bytes.clone())).await.map(drop).map_err(|error| storage_fault(&error))
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|_| json!({}))
}

pub(crate) fn records_fault(error: slipway_records::RecordsError) -> Fault {
    slipway_records::worker::fault_of(&error)
}

pub(crate) fn storage_fault(error: &(impl std::error::Error + 'static)) -> Fault {
    tracing::error!(error = %slipway_types::fault::chain(error), "object store failed");
    Fault::transient("object_store", error.to_string())
}
