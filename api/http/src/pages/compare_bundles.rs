//! Two bundles of an application, compared: components, digests, configuration, labels, commits.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use slipway_records::detail::BundleMember;
use slipway_records::{Application, PackageVersion, Source};
use slipway_types::{ApplicationName, Role, Version};

use super::address;
use super::bundle_rows::commit_link;
use super::commits_between::CommitsBetween;
use super::difference_table::DifferenceTable;
use super::failure::beside_form;
use super::frame::{Frame, Section, show_as};
use super::parts::{Moment, ShortDigest, size};
use super::tabs::{Link, Tab, Tabs};
use super::texts::{Said, Texts, VersionTexts};
use super::visitor::Member;
use crate::auth::Caller;
use crate::bundle_comparison::{self, Change, ComponentComparison};
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;
use crate::value_differences::of_texts;

/// Differences of one component's configuration that are shown.
const DIFFERENCES_MAX: usize = 100;

/// The class of what did not change.
const UNCHANGED: &str = "off";

/// Which two.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    refusal: Option<Said>,
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
    let (status, compared, refusal) = beside_form(t, found)?;
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
    let (from, to) = (asked_version("from", &asked.from)?, asked_version("to", &asked.to)?);
    let found = bundle_comparison::compare(state, caller, name, (&from, &to)).await?;
    let around = (&found.application, found.source.as_ref());
    let side_of = |version: &PackageVersion| {
        side(t, around, version, address::bundle(&found.application.name, &version.version))
    };
    let ends = (&found.from, &found.to);
    Ok(Compared {
        from: side_of(&found.from),
        to: side_of(&found.to),
        swapped: asked.swapped(&address::compare_bundles(name)),
        labels: label_table(t, &found.from, &found.to),
        commits: found.history.map(|history| CommitsBetween::of(t, around, ends, history)),
        components: found.components.into_iter().map(|one| change(t, &found.application.name, one)).collect(),
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

fn change(
    t: &'static Texts,
    application: &ApplicationName,
    compared: ComponentComparison,
) -> ComponentChange {
    let v = t.versions;
    let what = compared.change();
    let (word, tone) = match what {
        Change::Added => (v.component_added, "good"),
        Change::Removed => (v.component_removed, "bad"),
        Change::Same => (v.component_same, UNCHANGED),
        Change::Changed => (v.component_changed, "change"),
    };
    let (from, to) = (compared.from.as_ref(), compared.to.as_ref());
    ComponentChange {
        component: compared.component.to_string(),
        word,
        tone,
        from: from.map(|member| member_side(t, application, member)),
        to: to.map(|member| member_side(t, application, member)),
        address: from.zip(to).filter(|_| what == Change::Changed).map(|(from, to)| {
            let named = |member: &BundleMember| format!("{}/{}", member.component, member.version);
            let (from, to) = (named(from), named(to));
            let pairs = [("from", from.as_str()), ("to", to.as_str())];
            address::with_query(&address::compare_packages(application), pairs)
        }),
        configuration: DifferenceTable::new(t, compared.configuration, DIFFERENCES_MAX),
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
