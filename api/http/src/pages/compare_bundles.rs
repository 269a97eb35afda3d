//! Two bundles of an application, compared: components, digests, configuration, labels, commits.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::Value;
use slipway_records::detail::{BundleDetail, BundleMember};
use slipway_records::{Application, PackageVersion, Source};
use slipway_types::{ApplicationName, ComponentName, Digest, Role, Version};

use super::address;
use super::bundle_rows::commit_link;
use super::commits_between::{CommitsBetween, between};
use super::failure::beside_form;
use super::frame::{Frame, Section, show_as};
use super::package_contents as contents;
use super::parts::{Moment, ShortDigest, size};
use super::tabs::{Link, Tab, Tabs};
use super::texts::{Texts, VersionTexts};
use super::value_differences::{Difference, DifferenceTable, differences, of_texts};
use super::visitor::Member;
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::version_views::find_version;
use crate::state::ServerState;

/// Components whose configuration is compared on one page; the others are a link away.
const CONFIGURED_MAX: usize = 40;
/// Differences of one component's configuration that are shown.
const DIFFERENCES_MAX: usize = 100;

/// The class of what did not change.
const UNCHANGED: &str = "off";

/// Which two.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct CompareQuery {
    pub(super) from: String,
    pub(super) to: String,
}

/// Two bundles.
#[derive(Template)]
#[template(path = "compare_bundles.html")]
struct ComparePage {
    t: &'static Texts,
    v: &'static VersionTexts,
    frame: Frame,
    tabs: Tabs,
    action: String,
    asked: CompareQuery,
    refusal: Option<String>,
    compared: Option<Compared>,
}

/// How they differ.
struct Compared {
    from: Side,
    to: Side,
    /// The other way round.
    swapped: String,
    components: Vec<ComponentChange>,
    labels: DifferenceTable,
    commits: Option<CommitsBetween>,
}

/// One of the two.
pub(super) struct Side {
    pub(super) version: String,
    pub(super) address: String,
    pub(super) at: Moment,
    pub(super) branch: Option<String>,
    pub(super) commit: Option<Link>,
    pub(super) digest: ShortDigest,
    pub(super) size: String,
}

/// What became of a component.
struct ComponentChange {
    component: String,
    word: &'static str,
    /// Its class in the style sheet.
    tone: &'static str,
    from: Option<MemberSide>,
    to: Option<MemberSide>,
    /// Where the two packages are compared in full.
    address: Option<String>,
    configuration: DifferenceTable,
}

/// A component in one of them.
struct MemberSide {
    version: String,
    address: String,
    digest: ShortDigest,
    images: Vec<ShortDigest>,
    size: String,
}

/// A bundle with what is in it.
struct Loaded {
    version: PackageVersion,
    members: BTreeMap<ComponentName, BundleMember>,
}

/// Two of them, and whose they are.
struct Pair {
    application: Application,
    source: Option<Source>,
    from: Loaded,
    to: Loaded,
}

/// The form, and what the two it names differ in.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(asked): Query<CompareQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let name = {
        let mut read = state.records.read().await?;
        caller.application(read.as_mut(), &name, Role::Reader).await?.name
    };
    let found = match asked.is_empty() {
        true => Ok(None),
        false => compare(&state, t, caller, &name, &asked).await.map(Some),
    };
    let (status, compared, refusal) = beside_form(found)?;
    let title = format!("{}: {name}", t.versions.compare);
    show_as(
        status,
        &ComparePage {
            t,
            v: t.versions,
            frame: Frame::new(&member.visitor, Section::Applications, title),
            tabs: Tabs::new(&name, Tab::Bundles),
            action: address::compare_bundles(&name),
            asked,
            refusal,
            compared,
        },
    )
}

impl Compared {
    /// Whether both lock the same components.
    fn is_same(&self) -> bool {
        self.components.iter().all(|row| row.tone == UNCHANGED)
    }

    fn is_configured_alike(&self) -> bool {
        self.components.iter().all(|row| row.configuration.is_empty())
    }
}

impl CompareQuery {
    /// Whether nothing was asked for yet.
    pub(super) fn is_empty(&self) -> bool {
        self.from.trim().is_empty() && self.to.trim().is_empty()
    }

    /// The same the other way round.
    pub(super) fn swapped(&self, page: &str) -> String {
        address::with_query(page, [("from", self.to.trim()), ("to", self.from.trim())])
    }
}

fn asked_version(field: &str, text: &str) -> Result<Version, ApiError> {
    let parsed = text.trim().parse::<Version>();
    parsed.map_err(|error| ApiError::bad_request("bad_query", format!("{field}: {error}")))
}

async fn compare(
    state: &ServerState,
    t: &'static Texts,
    caller: &Caller,
    name: &ApplicationName,
    asked: &CompareQuery,
) -> Result<Compared, ApiError> {
    let versions = (asked_version("from", &asked.from)?, asked_version("to", &asked.to)?);
    let pair = Pair::load(state, caller, name, &versions).await?;
    let components = components(state, t, &pair).await?;
    let around = (&pair.application, pair.source.as_ref());
    Ok(Compared {
        from: pair.side(t, &pair.from.version),
        to: pair.side(t, &pair.to.version),
        swapped: asked.swapped(&address::compare_bundles(name)),
        components,
        labels: label_table(t, &pair.from.version, &pair.to.version),
        commits: between(state, t, around, &pair.from.version, &pair.to.version).await,
    })
}

/// The labels that two versions do not share.
pub(super) fn label_table(t: &Texts, from: &PackageVersion, to: &PackageVersion) -> DifferenceTable {
    let texts = |version: &PackageVersion| -> BTreeMap<String, String> {
        version.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    DifferenceTable::new(t, of_texts(&texts(from), &texts(to)), DIFFERENCES_MAX)
}

/// A version as a side of a comparison, whose page is at `address`.
pub(super) fn side(
    t: &'static Texts,
    (application, source): (&Application, Option<&Source>),
    version: &PackageVersion,
    address: String,
) -> Side {
    Side {
        version: version.version.to_string(),
        address,
        at: Moment::new(t, version.created_at, Utc::now()),
        branch: version.source_ref().map(|git_ref| git_ref.short().to_owned()),
        commit: commit_link(application, source, version),
        digest: ShortDigest::new(t, &version.digest),
        size: size(version.size),
    }
}

impl Pair {
    async fn load(
        state: &ServerState,
        caller: &Caller,
        name: &ApplicationName,
        (from, to): &(Version, Version),
    ) -> Result<Self, ApiError> {
        let mut read = state.records.read().await?;
        let (application, from) = find_version(caller, read.as_mut(), name, None, from).await?;
        let (_, to) = find_version(caller, read.as_mut(), name, None, to).await?;
        let source = read.source_get(application.source_id).await?;
        Ok(Self { application, source, from: Loaded::of(from)?, to: Loaded::of(to)? })
    }

    fn side(&self, t: &'static Texts, version: &PackageVersion) -> Side {
        let address = address::bundle(&self.application.name, &version.version);
        side(t, (&self.application, self.source.as_ref()), version, address)
    }
}

impl Loaded {
    fn of(version: PackageVersion) -> Result<Self, ApiError> {
        let detail: BundleDetail =
            serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
        let members = detail.members.into_iter().map(|member| (member.component.clone(), member));
        Ok(Self { members: members.collect(), version })
    }
}

/// What became of each component: first those that differ.
async fn components(
    state: &ServerState,
    t: &'static Texts,
    pair: &Pair,
) -> Result<Vec<ComponentChange>, ApiError> {
    let (from, to) = (&pair.from.members, &pair.to.members);
    let names: BTreeSet<&ComponentName> = from.keys().chain(to.keys()).collect();
    let changed = names
        .iter()
        .filter_map(|name| Some((from.get(*name)?, to.get(*name)?)))
        .filter(|(a, b)| a.digest != b.digest);
    let read = changed.take(CONFIGURED_MAX).map(|(before, after)| async move {
        let name = &pair.application.name;
        let before = workload(state, name, &before.component, &before.digest).await?;
        let after_value = workload(state, name, &after.component, &after.digest).await?;
        Ok::<_, ApiError>((after.component.clone(), differences(&before, &after_value)))
    });
    let mut configured: BTreeMap<ComponentName, Vec<Difference>> =
        try_join_all(read).await?.into_iter().collect();
    let mut changes: Vec<ComponentChange> = names
        .into_iter()
        .map(|name| {
            let configuration = configured.remove(name).unwrap_or_default();
            change(t, &pair.application.name, (from.get(name), to.get(name)), configuration)
        })
        .collect();
    changes.sort_by_key(|change| change.tone == UNCHANGED);
    Ok(changes)
}

/// What the developers of a package declared; nothing where its bytes are not here.
async fn workload(
    state: &ServerState,
    application: &ApplicationName,
    component: &ComponentName,
    digest: &Digest,
) -> Result<Value, ApiError> {
    let held = contents::read(state, application, component, digest).await?;
    Ok(held.map(|held| held.workload().clone()).unwrap_or_default())
}

fn change(
    t: &'static Texts,
    application: &ApplicationName,
    (from, to): (Option<&BundleMember>, Option<&BundleMember>),
    configuration: Vec<Difference>,
) -> ComponentChange {
    let v = t.versions;
    let (word, tone) = match (from, to) {
        (None, _) => (v.component_added, "good"),
        (_, None) => (v.component_removed, "bad"),
        (Some(from), Some(to)) if from.digest == to.digest => (v.component_same, UNCHANGED),
        (Some(_), Some(_)) => (v.component_changed, "change"),
    };
    let compared = from.zip(to).filter(|(from, to)| from.digest != to.digest);
    ComponentChange {
        component: from.or(to).map(|member| member.component.to_string()).unwrap_or_default(),
        word,
        tone,
        from: from.map(|member| member_side(t, application, member)),
        to: to.map(|member| member_side(t, application, member)),
        address: compared.map(|(from, to)| {
            let named = |member: &BundleMember| format!("{}/{}", member.component, member.version);
            let (from, to) = (named(from), named(to));
            let pairs = [("from", from.as_str()), ("to", to.as_str())];
            address::with_query(&address::compare_packages(application), pairs)
        }),
        configuration: DifferenceTable::new(t, configuration, DIFFERENCES_MAX),
    }
}

fn member_side(t: &'static Texts, application: &ApplicationName, member: &BundleMember) -> MemberSide {
    MemberSide {
        version: member.version.to_string(),
        address: address::package(application, &member.component, &member.version),
        digest: ShortDigest::new(t, &member.digest),
        images: member.images.iter().map(|image| ShortDigest::new(t, &image.digest)).collect(),
        size: size(member.size),
    }
}
