//! An application's component packages.

use std::fmt::Display;
use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use slipway_records::{PackageVersion, Page, VersionFilter};
use slipway_types::label::{LabelKey, LabelValue};
use slipway_types::{ApplicationName, GitRef, Role};
use uuid::Uuid;

use super::address;
use super::bundle_rows::{author_name, commit_link, runs_of};
use super::frame::{Frame, Section, show};
use super::parts::{Moment, ShortDigest, size};
use super::tabs::{Link, Tab, Tabs};
use super::texts::Texts;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::runs::branch_ref;
use crate::state::ServerState;

/// Versions on one page.
const ROWS_MAX: u32 = 50;

/// Which packages; empty fields ask for nothing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct PackagesQuery {
    component: String,
    branch: String,
    /// `KEY=VALUE`, several with commas between.
    labels: String,
    digest: String,
    after: Option<Uuid>,
}

/// An application's component packages.
#[derive(Template)]
#[template(path = "packages.html")]
struct PackagesPage {
    t: &'static Texts,
    frame: Frame,
    tabs: Tabs,
    wanted: PackagesQuery,
    /// Without any filter.
    all: String,
    /// What is wrong with the filters.
    refusal: Option<String>,
    /// Where two of them are compared.
    compare: String,
    rows: Vec<Row>,
    next: Option<String>,
}

/// A version of a component package.
struct Row {
    component: Link,
    version: Link,
    /// By which it is chosen to be compared.
    name: String,
    at: Moment,
    branch: Option<Link>,
    commit: Option<Link>,
    author: Option<String>,
    size: String,
    digest: ShortDigest,
    labels: Vec<Link>,
}

/// The versions of packages that the form asks for, newest first.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(query): Query<PackagesQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let page = Page { limit: ROWS_MAX, after: query.after };
    // What is wrong is said beside the form.
    let (versions, refusal) = match query.filter() {
        Ok(filter) => {
            let filter = VersionFilter { application: Some(application.id), ..filter };
            (read.version_list(&filter, page).await?, None)
        }
        Err(error) => (Vec::new(), Some(error.detail().to_owned())),
    };
    let source = read.source_get(application.source_id).await?;
    let runs = runs_of(read.as_mut(), &versions).await?;
    drop(read);
    let now = Utc::now();
    let row = |version: &PackageVersion| {
        let component = version.component.as_ref()?;
        let page = address::package(&name, component, &version.version);
        let component = component.to_string();
        let narrowed = |more: PackagesQuery| more.address(&address::packages(&name));
        let first = PackagesQuery { after: None, ..query.clone() };
        let only = narrowed(PackagesQuery { component: component.clone(), ..PackagesQuery::default() });
        let branch = version.source_ref().and_then(GitRef::branch).map(|branch| Link {
            text: branch.to_owned(),
            address: narrowed(PackagesQuery { branch: branch.to_owned(), ..first.clone() }),
        });
        let labels = version.labels.iter().map(|(key, value)| {
            let label = format!("{key}={value}");
            // A list of labels has commas between them: what holds one itself cannot be asked for.
            let only = (!label.contains(',')).then(|| narrowed(first.with_label(&label)));
            Link { address: only.unwrap_or_default(), text: label }
        });
        Some(Row {
            name: format!("{component}/{}", version.version),
            component: Link { text: component, address: only },
            version: Link { text: version.version.to_string(), address: page },
            at: Moment::new(t, version.created_at, now),
            branch,
            commit: commit_link(&application, source.as_ref(), version),
            author: runs.get(&version.run_id).map(|run| author_name(&run.author)),
            size: size(version.size),
            digest: ShortDigest::new(t, &version.digest),
            labels: labels.collect(),
        })
    };
    let last = versions.last().filter(|_| versions.len() >= ROWS_MAX as usize);
    let next = last.map(|last| {
        let after = PackagesQuery { after: Some(last.id.as_uuid()), ..query.clone() };
        after.address(&address::packages(&name))
    });
    show(&PackagesPage {
        t,
        frame: Frame::new(&member.visitor, Section::Applications, name.to_string()),
        tabs: Tabs::new(&name, Tab::Packages),
        compare: address::compare_packages(&name),
        rows: versions.iter().filter_map(row).collect(),
        next,
        all: address::packages(&name),
        refusal,
        wanted: query,
    })
}

/// A value of the form, or the problem that names the field.
fn field<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<Option<T>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |error: T::Err| ApiError::bad_request("bad_query", format!("{name}: {error}"));
    text.parse().map(Some).map_err(bad)
}

impl PackagesQuery {
    /// Whether it asks for all.
    fn is_empty(&self) -> bool {
        [&self.component, &self.branch, &self.labels, &self.digest].iter().all(|text| text.trim().is_empty())
    }

    fn filter(&self) -> Result<VersionFilter, ApiError> {
        let git_ref = match self.branch.trim() {
            "" => None,
            branch => Some(branch_ref(branch)?),
        };
        let mut labels = Vec::new();
        for label in self.labels.split(',').map(str::trim).filter(|label| !label.is_empty()) {
            let Some((key, value)) = label.split_once('=') else {
                let detail = format!("labels: `{label}`: expected KEY=VALUE");
                return Err(ApiError::bad_request("bad_query", detail));
            };
            let bad = |error: &dyn Display| ApiError::bad_request("bad_query", format!("labels: {error}"));
            let key: LabelKey = key.trim().parse().map_err(|error| bad(&error))?;
            let value: LabelValue = value.trim().parse().map_err(|error| bad(&error))?;
            labels.push((key, value));
        }
        Ok(VersionFilter {
            component: field("component", &self.component)?.map(Some),
            git_ref,
            labels,
            digest: field("digest", &self.digest)?,
            ..VersionFilter::default()
        })
    }

    /// Its address below the page of packages.
    fn address(&self, page: &str) -> String {
        let after = self.after.map(|after| after.to_string()).unwrap_or_default();
        let pairs = [
            ("component", self.component.as_str()),
            ("branch", self.branch.as_str()),
            ("labels", self.labels.as_str()),
            ("digest", self.digest.as_str()),
            ("after", after.as_str()),
        ];
        address::with_query(page, pairs)
    }

    /// The same with one label more.
    fn with_label(&self, label: &str) -> Self {
        let mut labels: Vec<&str> = self.labels.split(',').map(str::trim).collect();
        labels.retain(|known| !known.is_empty() && *known != label);
        labels.push(label);
        Self { labels: labels.join(","), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_more_is_a_link_and_one_twice_is_one() {
        let query = PackagesQuery { branch: "main".to_owned(), ..PackagesQuery::default() };
        let more = query.with_label("tier=gold").with_label("qa=passed").with_label("tier=gold");
        assert_eq!(more.address("/p"), "/p?branch=main&labels=qa%3Dpassed%2Ctier%3Dgold");
        assert_eq!(more.filter().unwrap().labels.len(), 2);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let empty = PackagesQuery::default;
        for (query, wanted) in [
            (PackagesQuery { labels: "gold".to_owned(), ..empty() }, "labels: "),
            (PackagesQuery { labels: "=gold".to_owned(), ..empty() }, "labels: "),
            (PackagesQuery { digest: "sha256:12".to_owned(), ..empty() }, "digest: "),
            (PackagesQuery { component: "No!".to_owned(), ..empty() }, "component: "),
        ] {
            let refused = query.filter().unwrap_err();
            assert!(refused.detail().starts_with(wanted), "{}", refused.detail());
        }
        assert!(empty().is_empty() && empty().filter().is_ok());
    }
}
