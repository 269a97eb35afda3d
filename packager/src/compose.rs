//! Bundles that people compose: another version of a component's package, or the same package with
//! another image.
//!
//! As with what is built, bytes are written first and all rows in one transaction. A composed bundle is of no
//! commit: its row has the zero one and a ref that no git source has, so that nothing which looks for
//! what was published from a branch or a commit finds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipway_objects::Blobs;
use slipway_records::composing::{Composed, Composing, Composition, ImagePinning, Replacement};
use slipway_records::detail::{BundleDetail, BundleMember, ComposedFrom, PackageDetail};
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{CheckOrder, NewAuditEntry, NewVersion, PackageVersion, Read, Records, Write};
use slipway_types::id::VersionId;
use slipway_types::label::{LabelKey, LabelOrigin, LabelValue, Labels};
use slipway_types::media_type::{ANNOTATION_CREATED, COMPONENT_ARTIFACT, IN_TOTO};
use slipway_types::name::CheckName;
use slipway_types::state::{BuiltImage, RunState};
use slipway_types::{CommitId, ComponentName, Digest, Fault, GitRef, ImageReference, Version};

use crate::bundle::{Born, Bundle};
use crate::checks::{self, Holder};
use crate::document::Document;
use crate::exchange::Exchanged;
use crate::handler::members_of;
use crate::link::{Link, links_of};
use crate::publish::{
    self, insert, link_documents, manifest_row, package_repository, put, records_fault, storage_fault,
    store_documents,
};

/// By which name the numbers of composed bundles are counted: a branch of that name counts on with them.
const COUNTED_AS: &str = "composed";

/// Composes bundles.
pub struct Composer {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where packages go.
    pub blobs: Blobs,
    /// Who brings images.
    pub images: Arc<dyn ImagePinning>,
    /// How long one may take, images that are copied included.
    pub timeout: Duration,
}

/// A component of the bundle in the making.
enum Part {
    /// A package that is published.
    Known(BundleMember),
    /// That package, with this image in it.
    Exchange(BundleMember, ImageReference, BuiltImage),
}

/// What is published under one version.
struct Edition {
    version: Version,
    members: Vec<BundleMember>,
    new: Vec<Exchanged>,
    digest: Digest,
    built_as: Version,
    size: u64,
    lock: Digest,
    /// The bundle that has these components already.
    same: Option<VersionId>,
    /// Absent where a bundle of these components gets one more version.
    documents: Option<(Bundle, Vec<Link>)>,
}

#[async_trait]
impl Composing for Composer {
    async fn compose(&self, wanted: &Composition) -> Result<Composed, Fault> {
        match tokio::time::timeout(self.timeout, self.composed(wanted)).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("composing took longer than {} s", self.timeout.as_secs());
                Err(Fault::transient("compose_timeout", message)
                    .hint("try again: what was copied so far is not copied anew"))
            }
        }
    }
}

impl Composer {
    async fn read(&self) -> Result<Box<dyn Read>, Fault> {
        self.records.read().await.map_err(records_fault)
    }

    async fn composed(&self, wanted: &Composition) -> Result<Composed, Fault> {
        let base = self.base(wanted).await?;
        let parts = self.parts(wanted, &base).await?;
        let known: Option<Vec<BundleMember>> = parts
            .iter()
            .map(|part| if let Part::Known(member) = part { Some(member.clone()) } else { None })
            .collect();
        let mut same = None;
        if let Some(members) = &known {
            let lock = crate::bundle::lock_config(members).digest;
            same = self.same(wanted, &lock).await?;
            if let Some(bundle) = &same
                && wanted.version.as_ref().is_none_or(|version| *version == bundle.version)
            {
                return Ok(Composed { bundle: bundle.clone(), is_new: false });
            }
        }
        self.check_version_free(wanted).await?;
        let version = match &wanted.version {
            Some(version) => version.clone(),
            None => self.number(wanted, &base).await?,
        };
        let edition = self.edition(wanted, &base, version, parts, same).await?;
        fault_point::reach("compose.written");
        let bundle = self.publish(wanted, &base, &edition).await?;
        Ok(Composed { bundle, is_new: true })
    }

    async fn base(&self, wanted: &Composition) -> Result<PackageVersion, Fault> {
        let found = self.read().await?.version_find(wanted.application.id, None, &wanted.from).await;
        found.map_err(records_fault)?.ok_or_else(|| {
            let message =
                format!("from: there is no bundle {} of `{}`", wanted.from, wanted.application.name);
            Fault::permanent("bundle_missing", message).hint("`slipway bundle list` names them")
        })
    }

    /// The bundle that has these components: under the wanted version, else the first one.
    async fn same(&self, wanted: &Composition, lock: &Digest) -> Result<Option<PackageVersion>, Fault> {
        let mut read = self.read().await?;
        if let Some(version) = &wanted.version {
            let named = read.version_find(wanted.application.id, None, version).await;
            if let Some(named) = named.map_err(records_fault)?.filter(|named| named.fingerprint == *lock) {
                return Ok(Some(named));
            }
        }
        read.bundle_by_lock(wanted.application.id, lock).await.map_err(records_fault)
    }

    async fn check_version_free(&self, wanted: &Composition) -> Result<(), Fault> {
        let Some(version) = &wanted.version else { return Ok(()) };
        let taken = self.read().await?.version_find(wanted.application.id, None, version).await;
        match taken.map_err(records_fault)? {
            None => Ok(()),
            Some(_) => {
                let message = format!("version: bundle {version} has other components, and never changes");
                Err(Fault::permanent("version_taken", message).hint("leave --version out, or choose another"))
            }
        }
    }

    async fn number(&self, wanted: &Composition, base: &PackageVersion) -> Result<Version, Fault> {
        let mut tx = self.records.begin().await.map_err(records_fault)?;
        let number = tx.number_next(wanted.application.id, COUNTED_AS).await.map_err(records_fault)?;
        tx.commit().await.map_err(records_fault)?;
        Ok(Version::composed(&base.version, number))
    }

    /// The base's components, exchanged as wanted, sorted by name.
    async fn parts(&self, wanted: &Composition, base: &PackageVersion) -> Result<Vec<Part>, Fault> {
        let members = members_of(base)?;
        if wanted.set.is_empty() {
            return Err(Fault::permanent(
                "nothing_set",
                "set: names no component: there is nothing to compose",
            ));
        }
        for component in wanted.set.keys() {
            if !members.iter().any(|member| member.component == *component) {
                let names: Vec<&str> = members.iter().map(|member| member.component.as_str()).collect();
                let message = format!("set.{component}: bundle {} has {}", base.version, names.join(", "));
                return Err(Fault::permanent("component_missing", message));
            }
        }
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            parts.push(match wanted.set.get(&member.component) {
                None => Part::Known(BundleMember { reused: true, ..member }),
                Some(Replacement::Version(version)) => self.published(wanted, member, version).await?,
                Some(Replacement::Image(image)) => self.with_image(wanted, member, image).await?,
            });
        }
        Ok(parts)
    }

    async fn published(
        &self,
        wanted: &Composition,
        member: BundleMember,
        version: &Version,
    ) -> Result<Part, Fault> {
        let component = &member.component;
        let found = self.read().await?.version_find(wanted.application.id, Some(component), version).await;
        let found = found.map_err(records_fault)?.ok_or_else(|| {
            let message = format!("set.{component}: there is no version {version} of it");
            Fault::permanent("version_missing", message).hint(format!(
                "`slipway package list --app {} --component {component}` names them",
                wanted.application.name
            ))
        })?;
        Ok(Part::Known(self.member(component.clone(), &found).await?))
    }

    async fn member(
        &self,
        component: ComponentName,
        package: &PackageVersion,
    ) -> Result<BundleMember, Fault> {
        let unreadable = || {
            let message = format!("the record of {component} {} cannot be read", package.version);
            Fault::bug("package_unreadable", message)
        };
        let detail: PackageDetail =
            serde_json::from_value(package.detail.clone()).map_err(|_| unreadable())?;
        let manifest_size = self.blobs.head(&package.digest).await.map_err(|error| storage_fault(&error))?;
        Ok(BundleMember {
            manifest_size: manifest_size.ok_or_else(unreadable)?,
            component,
            version: package.version.clone(),
            built_as: package.built_as.clone(),
            digest: package.digest,
            size: package.size,
            kit: detail.kit,
            images: detail.images,
            reused: true,
            fingerprint: package.fingerprint,
        })
    }

    async fn with_image(
        &self,
        wanted: &Composition,
        member: BundleMember,
        image: &ImageReference,
    ) -> Result<Part, Fault> {
        let component = &member.component;
        let [own] = member.images.as_slice() else {
            let message = format!(
                "set.{component}: its package has {} images, not one to exchange",
                member.images.len()
            );
            return Err(Fault::permanent("image_ambiguous", message).hint("set another version of it"));
        };
        let pinned = self.images.pin_image(&wanted.application.name, component, image).await;
        let pinned = pinned
            .map_err(|fault| Fault { message: format!("set.{component}: {}", fault.message), ..fault })?;
        if pinned.anywhere() == own.anywhere() {
            return Ok(Part::Known(BundleMember { reused: true, ..member }));
        }
        let print = Exchanged::fingerprint(&member, &pinned);
        let known = self.read().await?.package_by_fingerprint(wanted.application.id, component, &print).await;
        match known.map_err(records_fault)? {
            Some(known) => Ok(Part::Known(self.member(component.clone(), &known).await?)),
            None => Ok(Part::Exchange(member, image.clone(), pinned)),
        }
    }

    /// Writes all bytes.
    async fn edition(
        &self,
        wanted: &Composition,
        base: &PackageVersion,
        version: Version,
        parts: Vec<Part>,
        same: Option<PackageVersion>,
    ) -> Result<Edition, Fault> {
        let (mut members, mut new) = (Vec::with_capacity(parts.len()), Vec::new());
        for part in parts {
            match part {
                Part::Known(member) => members.push(member),
                Part::Exchange(member, image, pinned) => {
                    let name = &wanted.application.name;
                    let made = Exchanged::write(&self.blobs, name, &member, &image, pinned, &version).await?;
                    members.push(made.member.clone());
                    new.push(made);
                }
            }
        }
        let lock = crate::bundle::lock_config(&members).digest;
        if let Some(same) = same {
            let (digest, built_as, size) = (same.digest, same.built_as, same.size);
            let (same, documents) = (Some(same.id), None);
            return Ok(Edition { version, members, new, digest, built_as, size, lock, same, documents });
        }
        let born = Born::Composed { from: &base.version, created: self.created(base).await? };
        let bundle = Bundle::write(&wanted.application.name, &version, &born, &members);
        let documents = [&bundle.lock_config, &bundle.lock, &bundle.index];
        for document in documents.into_iter().chain([&Document::empty()]) {
            put(&self.blobs, document).await?;
        }
        let size = documents.iter().map(|document| document.bytes.len() as u64).sum();
        let mut links = Vec::new();
        for member in &members {
            links.extend(links_of(&self.blobs, &wanted.application.name, member).await?);
        }
        Ok(Edition {
            digest: bundle.index.digest,
            built_as: version.clone(),
            documents: Some((bundle, links)),
            same: None,
            version,
            members,
            new,
            size,
            lock,
        })
    }

    /// The time that the base says it was created: of its commit.
    async fn created(&self, base: &PackageVersion) -> Result<String, Fault> {
        let index = publish::json_blob(&self.blobs, &base.digest).await?;
        Ok(index["annotations"][ANNOTATION_CREATED].as_str().unwrap_or_default().to_owned())
    }

    /// Stores every row, in one transaction.
    async fn publish(
        &self,
        wanted: &Composition,
        base: &PackageVersion,
        edition: &Edition,
    ) -> Result<PackageVersion, Fault> {
        let now = Utc::now();
        let mut tx = self.records.begin().await.map_err(records_fault)?;
        let repository = wanted.application.name.path();
        for new in &edition.new {
            store_exchanged(tx.as_mut(), wanted, base, new, now).await?;
        }
        if let Some((documents, links)) = &edition.documents {
            let images: Vec<_> = edition.members.iter().flat_map(|member| &member.images).collect();
            store_documents(tx.as_mut(), &repository, documents, links, &images, now).await?;
        }
        let detail = BundleDetail {
            members: edition.members.clone(),
            composed: Some(ComposedFrom {
                by: wanted.by.clone(),
                from: wanted.from.clone(),
                set: wanted.set.iter().map(|(name, what)| (name.clone(), what.to_string())).collect(),
                reason: wanted.reason.clone(),
            }),
        };
        let mut labels = source_labels(tx.as_mut(), wanted, &edition.members).await?;
        labels.extend(wanted.labels.clone());
        labels.extend(server_labels(wanted));
        let version = NewVersion {
            digest: edition.digest,
            size: edition.size,
            built_as: edition.built_as.clone(),
            fingerprint: edition.lock,
            detail: publish::to_json(&detail),
            labels,
            ..new_version(wanted, base, edition.version.clone())
        };
        let stored = insert(tx.as_mut(), version).await?;
        let orders = orders(tx.as_mut(), wanted, base, edition).await?;
        let holder =
            Holder { application: wanted.application.id, run: base.run_id, version: stored.id, fresh: false };
        checks::store(tx.as_mut(), holder, orders).await?;
        let tag = edition.version.to_string();
        tx.tag_put(&repository, &tag, &edition.digest).await.map_err(records_fault)?;
        record(tx.as_mut(), wanted, edition).await?;
        fault_point::reach("compose.before_commit");
        tx.commit().await.map_err(records_fault)?;
        Ok(stored)
    }
}

/// The checks of a composition: exchanging a component frees no bundle from what its developers check. They
/// are those of the bundle that has the same components, of those that its packages were published with, and of
/// its base; of one name the first.
async fn orders(
    tx: &mut dyn Write,
    wanted: &Composition,
    base: &PackageVersion,
    edition: &Edition,
) -> Result<Vec<(CheckName, CheckOrder)>, Fault> {
    let mut bundles: Vec<VersionId> = edition.same.into_iter().collect();
    for (component, replacement) in &wanted.set {
        let Replacement::Version(version) = replacement else { continue };
        let package = tx.version_find(wanted.application.id, Some(component), version).await;
        let Some(package) = package.map_err(records_fault)? else { continue };
        let run = tx.run_get(package.run_id).await.map_err(records_fault)?;
        if let Some(RunState::Done { bundle, .. }) = run.map(|run| run.state) {
            bundles.extend(bundle);
        }
    }
    bundles.push(base.id);
    let mut all = BTreeMap::new();
    for id in bundles {
        let Some(bundle) = tx.version_get(id).await.map_err(records_fault)? else { continue };
        let orders = checks::orders_of(tx, id).await?;
        for (name, order) in checks::exchange(orders, &members_of(&bundle)?, &edition.members) {
            all.entry(name).or_insert(order);
        }
    }
    Ok(all.into_iter().collect())
}

/// The fields that every version of a composition shares.
fn new_version(wanted: &Composition, base: &PackageVersion, version: Version) -> NewVersion {
    NewVersion {
        application_id: wanted.application.id,
        component: None,
        git_ref: GitRef::Tag(format!("composed/{version}")),
        built_as: version.clone(),
        version,
        digest: Digest::of(b""),
        size: 0,
        run_id: base.run_id,
        commit: CommitId::zero(),
        fingerprint: Digest::of(b""),
        detail: Value::Null,
        labels: Labels::new(),
    }
}

async fn store_exchanged(
    tx: &mut dyn Write,
    wanted: &Composition,
    base: &PackageVersion,
    new: &Exchanged,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let member = &new.member;
    let repository = package_repository(&wanted.application.name, &member.component);
    let statement = &new.provenance.statement;
    link_documents(tx, &repository, &[&new.config, &Document::empty(), statement]).await?;
    let manifest = manifest_row(&repository, &new.manifest, Some(COMPONENT_ARTIFACT), None, at);
    tx.manifest_put(&manifest).await.map_err(records_fault)?;
    let subject = Some(new.manifest.digest);
    let provenance = manifest_row(&repository, &new.provenance.manifest, Some(IN_TOTO), subject, at);
    tx.manifest_put(&provenance).await.map_err(records_fault)?;
    let detail = PackageDetail { kit: member.kit.clone(), images: member.images.clone() };
    let version = NewVersion {
        component: Some(member.component.clone()),
        digest: member.digest,
        size: member.size,
        fingerprint: member.fingerprint,
        detail: publish::to_json(&detail),
        labels: server_labels(wanted),
        ..new_version(wanted, base, member.version.clone())
    };
    insert(tx, version).await?;
    let tag = member.version.to_string();
    tx.tag_put(&repository, &tag, &member.digest).await.map_err(records_fault)?;
    for image in &member.images {
        tx.tag_put(&image.repository, &tag, &image.digest).await.map_err(records_fault)?;
    }
    Ok(())
}

/// What the packages say of themselves: labels that developers wrote.
async fn source_labels(
    tx: &mut dyn Write,
    wanted: &Composition,
    members: &[BundleMember],
) -> Result<Labels, Fault> {
    let mut labels = Labels::new();
    for member in members {
        let package = tx.version_find(wanted.application.id, Some(&member.component), &member.version).await;
        let said = package.map_err(records_fault)?.map(|package| package.labels).unwrap_or_default();
        labels.extend(said.into_iter().filter(|(key, _)| key.origin() == LabelOrigin::Source));
    }
    Ok(labels)
}

/// Labels that the server writes at birth.
fn server_labels(wanted: &Composition) -> Labels {
    let from = wanted.from.to_string();
    [("actor", wanted.by.as_str()), ("composed-by", &wanted.by), ("composed-from", &from)]
        .into_iter()
        .map(|(key, value)| {
            let key = LabelKey::of_server(key).expect("invariant: the server's own keys are valid");
            (key, LabelValue::nearest(value))
        })
        .collect()
}

/// What is told of it, and what may have something to do now.
async fn record(tx: &mut dyn Write, wanted: &Composition, edition: &Edition) -> Result<(), Fault> {
    let set: Value =
        wanted.set.iter().map(|(name, what)| (name.to_string(), Value::String(what.to_string()))).collect();
    tx.audit(NewAuditEntry {
        actor: wanted.actor.clone(),
        action: "bundle.compose",
        subject: format!("bundle/{}/{}", wanted.application.name, edition.version),
        detail: json!({
            "from": wanted.from, "set": set, "lock": edition.lock, "person": wanted.by,
            "reason": wanted.reason,
        }),
    })
    .await
    .map_err(records_fault)?;
    let follow = JobPayload::Follow { application: wanted.application.id };
    let job = NewJob::new(follow, Some(wanted.application.id));
    tx.job_enqueue(job).await.map(drop).map_err(records_fault)
}
