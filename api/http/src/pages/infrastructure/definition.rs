//! A definition: what its properties may be, examples, who uses it, and what may be done with it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use slipway_types::name::DefinitionName;
use slipway_types::{ApplicationName, DefinitionKind, Role, Version};

use super::definitions::{definition_page, kind_name, standing};
use super::facts::Facts;
use super::field::Field;
use super::form::{Form, Refused, confirmed};
use super::reading::Reading;
use super::schema_table::{SchemaRow, rows_of};
use super::{Around, Part, Parts, led, sent};
use crate::extract::{Body, Path, Query};
use crate::pages::forms::{Fields, Posted};
use crate::pages::frame::{Frame, show_as};
use crate::pages::parts::Status;
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::definition_holds::{self, HoldWish};
use crate::rest::definitions::{self, Enabling, VersionQuery};
use crate::state::ServerState;

/// Name of the form that forgets a version.
const REMOVE: &str = "remove";
/// Name of the form that offers a version again.
const ENABLE: &str = "enable";
/// Name of the form that holds an application to a major version.
const HOLD: &str = "hold";
/// Name of the form that lets an application go.
const RELEASE: &str = "release";
/// Where a definition's examples lie.
const EXAMPLES: &str = "examples/";
/// The longest file that the page holds, in bytes. Schemas of pods are longer; the table says what they say.
const FILE_BYTES_MAX: usize = 8 << 10;

/// Which version.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    version: Option<Version>,
}

/// A version of a definition.
#[derive(Template)]
#[template(path = "infrastructure/definition.html")]
struct DefinitionPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    kind: &'static str,
    name: String,
    version: String,
    status: Status,
    description: String,
    versions: Vec<Link>,
    facts: Facts,
    properties: Vec<SchemaRow>,
    /// Of users of the definition.
    readme: Option<String>,
    examples: Vec<File>,
    files: Vec<File>,
    used_by: Vec<String>,
    held_by: Vec<String>,
    actions: Vec<Form>,
}

/// A file of a definition.
struct File {
    path: String,
    /// Of one that is too long for a page: the command that prints it.
    text: String,
}

/// A definition's name in addresses.
type Named = (DefinitionKind, DefinitionName);

fn text(found: &Value, key: &str) -> String {
    found[key].as_str().unwrap_or_default().to_owned()
}

fn texts(found: &Value, key: &str) -> Vec<String> {
    let all = found[key].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The definition of that name, in the version asked for.
pub(super) async fn page(
    State(state): State<ServerState>,
    Path(named): Path<Named>,
    Query(wanted): Query<Wanted>,
    member: Member,
) -> Result<Response, ApiError> {
    shown(&state, &member, named, wanted.version, None).await
}

async fn shown(
    state: &ServerState,
    member: &Member,
    (kind, name): Named,
    version: Option<Version>,
    refused: Option<&Refused>,
) -> Result<Response, ApiError> {
    let caller = &member.session.caller;
    let asked = Query(VersionQuery { version });
    let found =
        definitions::show(State(state.clone()), caller.clone(), Path((kind, name.clone())), asked).await?;
    let found = found.0;
    let known = state.defining.known().await.map_err(ApiError::of_fault)?;
    let own_name = text(&found, "name").parse().unwrap_or(name);
    let may_change = found["source"]["from"] == "package"
        && definitions::may_change(caller, &known, kind, &own_name).is_ok();
    let version = text(&found, "version");
    let here = definition_page(kind, own_name.as_str(), version.as_str());
    let title = format!("{own_name} {version}");
    let Around { t, own, frame, parts } = Around::new(member, Part::Definitions, title).at(here);
    let is_enabled = found["enabled"] == true;
    let is_unusable = known
        .unusable
        .iter()
        .any(|row| row.kind == kind && row.name == own_name && row.version.to_string() == version);
    let files = files_of(&found, &format!("slipway definition show {kind} {own_name}@{version} --files"));
    let is_example = |file: &File| file.path.starts_with(EXAMPLES);
    let readme = files.iter().find(|file| file.path == "README.md").map(|file| file.text.clone());
    let (examples, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_example);
    let page = DefinitionPage {
        t,
        own,
        frame,
        parts,
        kind: kind_name(own, kind),
        status: standing(own, !is_unusable, is_enabled),
        description: text(&found, "description"),
        versions: versions(&found, kind, own_name.as_str()),
        facts: facts_of(t, own, &found),
        properties: rows_of(&found["schema"]),
        readme,
        examples,
        files,
        used_by: texts(&found, "used_by"),
        held_by: texts(&found, "held_by"),
        actions: actions(member, own, (kind, own_name.as_str(), &version), (may_change, is_enabled), refused),
        name: own_name.to_string(),
        version,
    };
    show_as(Refused::status(refused), &page)
}

fn files_of(found: &Value, command: &str) -> Vec<File> {
    let files = found["files"].as_object().into_iter().flatten();
    let file = |(path, text): (&String, &Value)| {
        let text = text.as_str()?;
        let text = if text.len() > FILE_BYTES_MAX { command } else { text };
        Some(File { path: path.clone(), text: text.to_owned() })
    };
    files.filter_map(file).collect()
}

fn versions(found: &Value, kind: DefinitionKind, name: &str) -> Vec<Link> {
    let link = |version: String| Link { address: definition_page(kind, name, &version), text: version };
    texts(found, "versions").into_iter().map(link).collect()
}

fn facts_of(t: &Texts, own: &InfrastructureTexts, found: &Value) -> Facts {
    let source = &found["source"];
    let place = ["path", "reference"].iter().find_map(|key| source[*key].as_str());
    let spec = found["spec"].as_object().into_iter().flatten();
    Facts::default()
        .codes(own.aliases, texts(found, "aliases"))
        .code(own.comes_from, place.unwrap_or("Slipway").to_owned())
        .text(own.installed_by, found["installed_by"].as_str().map(str::to_owned))
        .code(t.digest, text(found, "digest"))
        .codes(own.manifest, spec.map(|(key, value)| format!("{key}: {value}")).collect())
}

/// The forms of a definition's page, for a visitor's role.
fn actions(
    member: &Member,
    own: &'static InfrastructureTexts,
    (kind, name, version): (DefinitionKind, &str, &str),
    (may_change, is_enabled): (bool, bool),
    refused: Option<&Refused>,
) -> Vec<Form> {
    let token = &member.session.form_token;
    let here = format!("/infrastructure/definitions/{kind}/{name}");
    let mut actions = Vec::new();
    if may_change {
        actions.push(match is_enabled {
            true => Form::new(token, "disable", format!("{here}/{version}/disable"), own.disable),
            false => Form::new(token, ENABLE, format!("{here}/{version}/enable"), own.enable)
                .refused(own, Refused::error(refused, ENABLE)),
        });
        actions.push(
            Form::new(token, REMOVE, format!("{here}/{version}/remove"), own.remove_definition)
                .confirm(own.remove_definition_confirm)
                .refused(own, Refused::error(refused, REMOVE)),
        );
    }
    // What an add-on is made by, it names itself.
    if kind != DefinitionKind::Addon && member.session.caller.somewhere(Role::Operator).is_ok() {
        let fields = Refused::typed(refused, HOLD);
        let hold = Form::new(token, HOLD, format!("{here}/hold"), own.hold_major);
        let hold = hold
            .folded()
            .hidden("version", version)
            .field(Field::text("application", own.application, &fields).required())
            .field(Field::number("major", own.major_version, &fields).required().help(own.hold_major_help));
        actions.push(hold.refused(own, Refused::error(refused, HOLD)));
        let fields = Refused::typed(refused, RELEASE);
        let release = Form::new(token, RELEASE, format!("{here}/release"), own.release_major);
        let release = release.folded().hidden("version", version).field(
            Field::text("application", own.application, &fields).required().help(own.release_major_help),
        );
        actions.push(release.refused(own, Refused::error(refused, RELEASE)));
    }
    actions
}

/// Leads back to the version, or shows it with what was refused.
async fn answered(
    state: &ServerState,
    member: &Member,
    named: Named,
    version: Option<Version>,
    done: Result<(), Refused>,
) -> Result<Response, ApiError> {
    match done {
        Ok(()) => {
            let version = version.map(|version| version.to_string()).unwrap_or_default();
            Ok(led(&definition_page(named.0, named.1.as_str(), &version)))
        }
        Err(refused) => shown(state, member, named, version, Some(&refused)).await,
    }
}

/// What came of a form, with what was refused of it.
fn outcome<T>(
    done: Result<T, ApiError>,
    form: &'static str,
    fields: Fields,
) -> Result<Result<(), Refused>, ApiError> {
    match done {
        Ok(_) => Ok(Ok(())),
        Err(error) => Refused::of(form, error, fields).map(Err),
    }
}

async fn set_enabled(
    state: ServerState,
    (kind, name, version): (DefinitionKind, DefinitionName, Version),
    posted: Posted,
    enabled: bool,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let path = Path((kind, name.clone(), version.clone()));
    let done = definitions::enable(State(state.clone()), caller, path, Body(Enabling { enabled })).await;
    let done = outcome(done, ENABLE, fields)?;
    answered(&state, &member, (kind, name), Some(version), done).await
}

/// Offers the version to new plans.
pub(super) async fn enable(
    State(state): State<ServerState>,
    Path(path): Path<(DefinitionKind, DefinitionName, Version)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    set_enabled(state, path, posted, true).await
}

/// Offers the version to new plans no longer.
pub(super) async fn disable(
    State(state): State<ServerState>,
    Path(path): Path<(DefinitionKind, DefinitionName, Version)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    set_enabled(state, path, posted, false).await
}

/// Forgets the version.
pub(super) async fn remove(
    State(state): State<ServerState>,
    Path((kind, name, version)): Path<(DefinitionKind, DefinitionName, Version)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let caller = member.session.caller.clone();
    let path = Path((kind, name.clone(), version.clone()));
    let done = match confirmed(&fields) {
        Ok(()) => definitions::remove(State(state.clone()), caller, path).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(led(Part::Definitions.address())),
        Err(error) => {
            let refused = Refused::of(REMOVE, error, fields)?;
            shown(&state, &member, (kind, name), Some(version), Some(&refused)).await
        }
    }
}

/// The version whose page a form was on.
fn version_of(fields: &Fields) -> Option<Version> {
    fields.text("version").and_then(|version| version.parse().ok())
}

fn application_of(reading: &mut Reading<'_>) -> Option<ApplicationName> {
    reading.needed::<ApplicationName>("application")
}

async fn held(
    state: &ServerState,
    member: &Member,
    (kind, name): Named,
    fields: &Fields,
) -> Result<(), ApiError> {
    let mut reading = Reading::new(fields);
    let application = application_of(&mut reading);
    let major = reading.needed::<u64>("major");
    reading.finish()?;
    let (Some(application), Some(major)) = (application, major) else { return Ok(()) };
    let caller = member.session.caller.clone();
    let path = Path((application, kind, name));
    definition_holds::put(State(state.clone()), caller, path, Body(HoldWish { major })).await.map(|_| ())
}

/// Holds an application to a major version.
pub(super) async fn hold(
    State(state): State<ServerState>,
    Path(named): Path<Named>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let version = version_of(&fields);
    let done = held(&state, &member, named.clone(), &fields).await;
    let done = outcome(done, HOLD, fields)?;
    answered(&state, &member, named, version, done).await
}

async fn let_go(
    state: &ServerState,
    member: &Member,
    (kind, name): Named,
    fields: &Fields,
) -> Result<(), ApiError> {
    let mut reading = Reading::new(fields);
    let application = application_of(&mut reading);
    reading.finish()?;
    let Some(application) = application else { return Ok(()) };
    let caller = member.session.caller.clone();
    let path = Path((application, kind, name));
    definition_holds::release(State(state.clone()), caller, path).await.map(|_| ())
}

/// Lets an application go to the newest version.
pub(super) async fn release(
    State(state): State<ServerState>,
    Path(named): Path<Named>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (member, fields) = sent(posted);
    let version = version_of(&fields);
    let done = let_go(&state, &member, named.clone(), &fields).await;
    let done = outcome(done, RELEASE, fields)?;
    answered(&state, &member, named, version, done).await
}
