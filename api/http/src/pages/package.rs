//! A version of a component package: where it comes from, what it holds, who uses it, and how to get it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use serde::Deserialize;
use slipway_oci::manifest::Descriptor;
use slipway_records::plan::PackedFile;
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, ComponentName, Version};
use uuid::Uuid;

use super::address;
use super::attestations::{Attestation, attached};
use super::bundle::developer;
use super::bundle_rows::{BundleRow, author_name, commit_link};
use super::chain::Chain;
use super::failure::told;
use super::forms::Posted;
use super::frame::{Frame, Section, show_as};
use super::known_package::KnownPackage;
use super::parts::{Command, Moment, ShortDigest, size};
use super::pull_commands::{Package, PullCommand, of_package};
use super::tabs::{Link, Tab, Tabs};
use super::texts::{Texts, VersionTexts};
use super::version_history::History;
use super::version_labels::{self, Asked, LabelsPart, RefusedLabel};
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::package_contents::{self as contents, PackageContents};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Platforms of images whose layers are shown.
const PLATFORMS_MAX: usize = 8;
/// Files that are shown.
const FILES_MAX: usize = 500;

/// Which bundles that hold it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PackageQuery {
    /// The last one of the page before.
    after: Option<Uuid>,
}

/// A version of a component package.
#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    t: &'static Texts,
    v: &'static VersionTexts,
    frame: Frame,
    tabs: Tabs,
    component: Link,
    version: String,
    facts: Facts,
    chain: Chain,
    labels: LabelsPart,
    contents: Option<Contents>,
    images: Vec<ImageRow>,
    files: Option<Vec<FileRow>>,
    more_files: Option<String>,
    attestations: Vec<Attestation>,
    pulls: Vec<PullCommand>,
    used_by: Vec<BundleRow>,
    next: Option<String>,
    compare: String,
    /// As the form of comparing names it.
    name: String,
    previous: Option<String>,
    history: History,
}

/// What it is.
struct Facts {
    at: Moment,
    branch: Option<String>,
    commit: Option<Link>,
    author: Option<String>,
    subject: Option<String>,
    kit: String,
    size: String,
    digest: ShortDigest,
    fingerprint: ShortDigest,
    built_as: Option<String>,
    reference: Command,
}

/// What the registry holds of it.
struct Contents {
    layers: Vec<LayerRow>,
    kit_digest: Option<ShortDigest>,
    /// What its developers declared, as JSON; absent: nothing.
    workload: Option<String>,
}

struct LayerRow {
    title: Option<String>,
    kind: String,
    size: String,
    digest: ShortDigest,
}

struct ImageRow {
    digest: ShortDigest,
    platforms: Vec<PlatformRow>,
}

struct PlatformRow {
    name: String,
    title: String,
    /// Of all layers together; absent where the registry does not hold them.
    size: Option<String>,
    layers: Vec<LayerRow>,
}

struct FileRow {
    path: String,
    executable: bool,
    link: Option<String>,
}

type Name = (ApplicationName, ComponentName, Version);

/// The package as it stands.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<Name>,
    Query(query): Query<PackageQuery>,
) -> Result<Response, ApiError> {
    answer(&state, &member, &name, &query, (StatusCode::OK, None)).await
}

async fn answer(
    state: &ServerState,
    member: &Member,
    (name, component, version): &Name,
    query: &PackageQuery,
    (status, refused): (StatusCode, Option<RefusedLabel>),
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut known = KnownPackage::look(state, t, caller, (name, component, version), query.after).await?;
    let used_by = std::mem::take(&mut known.used_by);
    let (application, package) = (&known.application, &known.version);
    let repository = contents::repository(&application.name, component);
    let held = contents::read(state, &application.name, component, &package.digest).await?;
    let files = contents::files(state, application, package).await?;
    let attestations = attached(state, t, &repository, &package.digest).await?;
    let images = image_rows(state, t, &known.detail.images).await?;
    let reference = format!("{}/{repository}@{}", state.registry_host(), package.digest);
    let here = address::package(&application.name, component, version);
    let labels = LabelsPart::new(caller, application, package, &known.environments, format!("{here}/labels"));
    let next = known.last_used.map(|last| format!("{here}?after={last}#used-by"));
    let pulled = Package {
        application: &application.name,
        component,
        version,
        built_as: &package.built_as,
        kit: &known.detail.kit,
        images: &known.detail.images,
    };
    let name = application.name.to_string();
    let packages = address::packages(&application.name);
    let page = PackagePage {
        t,
        v: t.versions,
        frame: Frame::new(&member.visitor, Section::Applications, format!("{name} {component} {version}")),
        tabs: Tabs::new(&application.name, Tab::Packages),
        component: Link {
            text: component.to_string(),
            address: address::with_query(&packages, [("component", component.as_str())]),
        },
        version: version.to_string(),
        facts: facts(t, &known, &reference),
        chain: known.chain(t, &used_by),
        labels: labels.with(refused),
        contents: held.map(|held| contents_of(t, &held)),
        images,
        more_files: more_files(t, files.as_deref()),
        files: files.map(|files| files.into_iter().take(FILES_MAX).map(file_row).collect()),
        attestations,
        pulls: of_package(state, t, &pulled, &reference),
        used_by,
        next,
        compare: address::compare_packages(&application.name),
        name: format!("{component}/{version}"),
        previous: known.previous.as_ref().map(|before| format!("{component}/{before}")),
        history: known.history,
    };
    show_as(status, &page)
}

fn facts(t: &'static Texts, known: &KnownPackage, reference: &str) -> Facts {
    let package = &known.version;
    let is_other = package.version != package.built_as;
    Facts {
        at: Moment::new(t, package.created_at, Utc::now()),
        branch: package.source_ref().map(|git_ref| git_ref.short().to_owned()),
        commit: commit_link(&known.application, known.source.as_ref(), package),
        author: known.run.as_ref().map(|run| author_name(&run.author)),
        subject: known.run.as_ref().map(|run| run.subject.clone()),
        kit: known.detail.kit.clone(),
        size: size(package.size),
        digest: ShortDigest::new(t, &package.digest),
        fingerprint: ShortDigest::new(t, &package.fingerprint),
        built_as: is_other.then(|| (t.versions.built_as)(&package.built_as.to_string())),
        reference: Command::new(t, reference),
    }
}

fn contents_of(t: &Texts, held: &PackageContents) -> Contents {
    let workload = held.workload();
    Contents {
        layers: held.layers.iter().map(|layer| layer_row(t, layer)).collect(),
        kit_digest: held.kit_digest().map(|digest| ShortDigest::new(t, &digest)),
        workload: (!workload.is_null()).then(|| format!("{workload:#}")),
    }
}

fn layer_row(t: &Texts, layer: &Descriptor) -> LayerRow {
    LayerRow {
        title: contents::title(layer).map(str::to_owned),
        kind: layer.media_type.clone(),
        size: size(layer.size),
        digest: ShortDigest::new(t, &layer.digest),
    }
}

fn more_files(t: &Texts, files: Option<&[PackedFile]>) -> Option<String> {
    let more = files?.len().saturating_sub(FILES_MAX);
    (more > 0).then(|| (t.versions.more)(more))
}

fn file_row(file: PackedFile) -> FileRow {
    FileRow { path: file.path, executable: file.executable, link: file.link }
}

/// Images with the layers of each platform, as far as the registry of this server holds their manifests.
async fn image_rows(
    state: &ServerState,
    t: &'static Texts,
    images: &[BuiltImage],
) -> Result<Vec<ImageRow>, ApiError> {
    let mut left = PLATFORMS_MAX;
    let mut rows = Vec::new();
    for image in images {
        let mut platforms = Vec::new();
        for one in &image.platforms {
            let found = match left {
                0 => None,
                _ => contents::manifest(state, &image.repository, &one.digest).await?,
            };
            left = left.saturating_sub(1);
            let name = one.platform.to_string();
            let layers = found.map(|manifest| manifest.layers);
            platforms.push(PlatformRow {
                title: (t.versions.layers_of)(&name),
                name,
                size: layers.as_deref().map(|layers| size(total(layers))),
                layers: layers.iter().flatten().map(|layer| layer_row(t, layer)).collect(),
            });
        }
        rows.push(ImageRow { digest: ShortDigest::new(t, &image.digest), platforms });
    }
    Ok(rows)
}

/// Size in bytes of all layers; a manifest may claim any.
fn total(layers: &[Descriptor]) -> u64 {
    layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size))
}

/// Changes a label, and leads back; or says what is wrong, beside it.
pub(super) async fn change_label(
    State(state): State<ServerState>,
    Path(name): Path<Name>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (asked, member) = (Asked::of(&posted.fields), Member::from(posted));
    developer(&state, &member, &name.0).await?;
    let (application, component, version) = name.clone();
    let subject = (application, Some(component), version);
    match version_labels::change(&state, &member.session.caller, subject, &asked).await {
        Ok(()) => {
            let (application, component, version) = &name;
            let back = format!("{}#labels", address::package(application, component, version));
            Ok(Redirect::to(&back).into_response())
        }
        Err(error) if error.status().is_client_error() => {
            let refused = Some(asked.refused(told(member.visitor.texts(), &error)));
            answer(&state, &member, &name, &PackageQuery::default(), (error.status(), refused)).await
        }
        Err(error) => Err(error),
    }
}
