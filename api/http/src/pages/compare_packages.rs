//! Two packages of a component, compared: digests, configuration, files, labels, commits.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use slipway_records::detail::PackageDetail;
use slipway_records::plan::PackedFile;
use slipway_records::{Application, PackageVersion, Source};
use slipway_types::{ApplicationName, ComponentName, Role, Version};

use super::address;
use super::commits_between::{CommitsBetween, between};
use super::compare_bundles::{CompareQuery, Side, label_table, side};
use super::difference_table::DifferenceTable;
use super::failure::beside_form;
use super::frame::{Frame, Section, show_as};
use super::parts::size;
use super::tabs::{Tab, Tabs};
use super::texts::{Said, Texts, VersionTexts};
use super::visitor::Member;
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::package_contents as contents;
use crate::problem::ApiError;
use crate::rest::version_views::find_version;
use crate::state::ServerState;
use crate::value_differences::{differences, of_texts};

/// Differences of each kind that are shown.
const DIFFERENCES_MAX: usize = 500;

/// Two packages.
#[derive(Template)]
#[template(path = "compare_packages.html")]
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
    component: String,
    from: Side,
    to: Side,
    /// The other way round.
    swapped: String,
    /// Kit, images, fingerprint and the like.
    facts: DifferenceTable,
    configuration: DifferenceTable,
    /// Absent where it is not known what one of them carries.
    files: Option<Vec<FileChange>>,
    more_files: Option<String>,
    labels: DifferenceTable,
    commits: Option<CommitsBetween>,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
struct FileChange {
    path: String,
    word: &'static str,
    tone: &'static str,
}

/// A package with all that is compared.
struct Loaded {
    version: PackageVersion,
    detail: PackageDetail,
    workload: Value,
    files: Option<Vec<PackedFile>>,
}

/// The form, and what the two it names differ in.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path(name): Path<ApplicationName>,
    Query(asked): Query<CompareQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let (application, source) = {
        let mut read = state.records.read().await?;
        let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
        let source = read.source_get(application.source_id).await?;
        (application, source)
    };
    let found = match asked.is_empty() {
        true => Ok(None),
        false => compare(&state, t, caller, (&application, source.as_ref()), &asked).await.map(Some),
    };
    let (status, compared, refusal) = beside_form(t, found)?;
    let title = format!("{}: {name}", t.versions.compare);
    show_as(
        status,
        &ComparePage {
            t,
            v: t.versions,
            frame: Frame::new(&member.visitor, Section::Applications, title),
            tabs: Tabs::new(&name, Tab::Packages),
            action: address::compare_packages(&name),
            asked,
            refusal,
            compared,
        },
    )
}

/// `COMPONENT/VERSION`.
fn asked_package(field: &str, text: &str) -> Result<(ComponentName, Version), ApiError> {
    let bad = |why: &dyn std::fmt::Display| ApiError::bad_request("bad_query", format!("{field}: {why}"));
    let (component, version) =
        text.trim().split_once('/').ok_or_else(|| bad(&"a package is named COMPONENT/VERSION"))?;
    let component = component.parse().map_err(|error: slipway_types::name::InvalidName| bad(&error))?;
    let version = version.parse().map_err(|error: slipway_types::version::InvalidVersion| bad(&error))?;
    Ok((component, version))
}

async fn compare(
    state: &ServerState,
    t: &'static Texts,
    caller: &Caller,
    around: (&Application, Option<&Source>),
    asked: &CompareQuery,
) -> Result<Compared, ApiError> {
    let (component, from) = asked_package("from", &asked.from)?;
    let (other, to) = asked_package("to", &asked.to)?;
    if component != other {
        let detail = format!("to: `{other}` is another component than `{component}`");
        return Err(ApiError::bad_request("bad_query", detail)
            .hint("packages are compared with others of their component, bundles with any other bundle"));
    }
    let (application, _) = around;
    let from = Loaded::of(state, caller, application, &component, &from).await?;
    let to = Loaded::of(state, caller, application, &component, &to).await?;
    let mut files = match (&from.files, &to.files) {
        (Some(before), Some(after)) => Some(file_changes(t, before, after)),
        _ => None,
    };
    let more_files = files.as_mut().and_then(|files| cut(t, files));
    let table = |found| DifferenceTable::new(t, found, DIFFERENCES_MAX);
    let page = |version: &PackageVersion| address::package(&application.name, &component, &version.version);
    Ok(Compared {
        component: component.to_string(),
        from: side(t, around, &from.version, page(&from.version)),
        to: side(t, around, &to.version, page(&to.version)),
        swapped: asked.swapped(&address::compare_packages(&application.name)),
        facts: table(of_texts(&facts_of(t, &from), &facts_of(t, &to))),
        configuration: table(differences(&from.workload, &to.workload)),
        files,
        more_files,
        labels: label_table(t, &from.version, &to.version),
        commits: between(state, t, around, &from.version, &to.version).await,
    })
}

/// Leaves as many as are shown, and says how many more there were.
fn cut(t: &Texts, items: &mut Vec<FileChange>) -> Option<String> {
    let more = items.len().saturating_sub(DIFFERENCES_MAX);
    items.truncate(DIFFERENCES_MAX);
    (more > 0).then(|| (t.versions.more)(more))
}

impl Loaded {
    async fn of(
        state: &ServerState,
        caller: &Caller,
        application: &Application,
        component: &ComponentName,
        version: &Version,
    ) -> Result<Self, ApiError> {
        let mut read = state.records.read().await?;
        let (_, version) =
            find_version(caller, read.as_mut(), &application.name, Some(component), version).await?;
        drop(read);
        let detail: PackageDetail =
            serde_json::from_value(version.detail.clone()).map_err(|error| ApiError::internal(&error))?;
        let held = contents::read(state, &application.name, component, &version.digest).await?;
        Ok(Self {
            detail,
            workload: held.map(|held| held.workload().clone()).unwrap_or_default(),
            files: contents::files(state, application, &version).await?,
            version,
        })
    }
}

/// What a package is in one word each.
fn facts_of(t: &Texts, package: &Loaded) -> BTreeMap<String, String> {
    let v = t.versions;
    let images: Vec<String> = package.detail.images.iter().map(|image| image.digest.to_string()).collect();
    let facts = [
        (t.digest, package.version.digest.to_string()),
        (v.kit, package.detail.kit.clone()),
        (v.fingerprint, package.version.fingerprint.to_string()),
        (t.size, size(package.version.size)),
        (t.images, images.join(" ")),
    ];
    facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect()
}

fn file_changes(t: &Texts, before: &[PackedFile], after: &[PackedFile]) -> Vec<FileChange> {
    let v = t.versions;
    let by_path = |files: &[PackedFile]| -> BTreeMap<String, (String, bool, Option<String>)> {
        let known = |file: &PackedFile| (file.object.clone(), file.executable, file.link.clone());
        files.iter().map(|file| (file.path.clone(), known(file))).collect()
    };
    let (before, after) = (by_path(before), by_path(after));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let gone = gone.map(|path| (path, v.component_removed, "bad"));
    let rest = after.iter().filter_map(|(path, known)| match before.get(path) {
        None => Some((path, v.component_added, "good")),
        Some(earlier) if earlier != known => Some((path, v.component_changed, "waiting")),
        Some(_) => None,
    });
    let mut changes: Vec<FileChange> =
        gone.chain(rest).map(|(path, word, tone)| FileChange { path: path.clone(), word, tone }).collect();
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

#[cfg(test)]
mod tests {
    use super::super::texts::ENGLISH;
    use super::*;

    #[test]
    fn a_package_is_named_by_component_and_version() {
        let (component, version) = asked_package("from", " api/1.4.2-rc.1 ").unwrap();
        assert_eq!((component.as_str(), version.to_string().as_str()), ("api", "1.4.2-rc.1"));
        for bad in ["", "api", "1.4.2", "api/", "/1.0.0", "api/x", "A/1.0.0"] {
            let Err(error) = asked_package("from", bad) else { panic!("{bad} is taken") };
            assert!(error.detail().starts_with("from: "), "{bad}: {}", error.detail());
        }
    }

    #[test]
    fn files_are_compared_by_what_git_calls_them() {
        let file = |path: &str, object: &str, executable: bool| PackedFile {
            path: path.to_owned(),
            source: path.to_owned(),
            object: object.to_owned(),
            executable,
            link: None,
        };
        let before =
            [file("a", "1", false), file("b", "2", false), file("c", "3", false), file("d", "4", false)];
        let after =
            [file("b", "2", false), file("c", "9", false), file("d", "4", true), file("e", "5", false)];
        let changes = file_changes(&ENGLISH, &before, &after);
        let told: Vec<_> = changes.iter().map(|one| (one.path.as_str(), one.word)).collect();
        assert_eq!(told, [("a", "removed"), ("c", "changed"), ("d", "changed"), ("e", "added")]);
    }
}
