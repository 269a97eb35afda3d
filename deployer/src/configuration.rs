//! What operators wrote for an application, level by level of an address.

use std::collections::BTreeMap;

use slipway_oam::overlay::Level;
use slipway_oam::{OamOptions, Workflow, read};
use slipway_records::{Configuration, Read, RecordsError};
use slipway_types::id::ApplicationId;
use slipway_types::{Address, CommitId, DefinitionKind, Violation};

/// The level of what was given with one deployment.
pub const DEPLOYMENT: &str = "deployment";
/// What the widest level is called.
pub const EVERYWHERE: &str = "all environments";

/// Every level that says something, the widest first.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// The levels.
    pub levels: Vec<Level>,
    /// The version of each stored one.
    pub versions: BTreeMap<String, u64>,
}

/// Who set a level, and when.
#[derive(Debug, Clone)]
pub struct LevelAuthor {
    /// The level's name.
    pub level: String,
    /// Its version.
    pub version: i64,
    /// Who.
    pub by: String,
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
    /// Why.
    pub reason: Option<String>,
    /// The commit it was taken from, if it is followed from git.
    pub commit: Option<CommitId>,
}

/// How a level is shown.
pub fn shown(level: &str) -> &str {
    if level.is_empty() { EVERYWHERE } else { level }
}

/// What the file of a stored level is called in places.
pub(crate) fn file_of(stored: &Configuration) -> String {
    match &stored.origin {
        Some(origin) => format!("{}@{}", origin.path, origin.commit.short()),
        None => format!("{} (version {})", shown(&stored.level), stored.version),
    }
}

/// Reads what is stored along `address`, and `document` on top.
///
/// # Errors
///
/// The records fail; what is wrong with a document comes as violations.
pub async fn load(
    read_from: &mut dyn Read,
    application: ApplicationId,
    address: &Address,
    document: Option<&str>,
    options: &OamOptions,
) -> Result<(Levels, Vec<LevelAuthor>, Vec<Violation>), RecordsError> {
    let mut found = Levels::default();
    let mut authors = Vec::new();
    let mut violations = Vec::new();
    for level in address.levels() {
        let Some(stored) = read_from.configuration_at(application, &level).await? else { continue };
        if stored.document.is_empty() {
            continue;
        }
        let name = shown(&level);
        let file = file_of(&stored);
        match read(stored.document.as_bytes(), &file, options) {
            Ok(document) => found.levels.push(Level::new(name, document)),
            Err(wrong) => violations.extend(wrong),
        }
        found.versions.insert(name.to_owned(), u64::try_from(stored.version).unwrap_or(0));
        authors.push(LevelAuthor {
            level: name.to_owned(),
            version: stored.version,
            by: stored.set_by,
            at: stored.set_at,
            reason: stored.reason,
            commit: stored.origin.map(|origin| origin.commit),
        });
    }
    if let Some(text) = document {
        match read(text.as_bytes(), DEPLOYMENT, options) {
            Ok(document) => found.levels.push(Level::new(DEPLOYMENT, document)),
            Err(wrong) => violations.extend(wrong),
        }
    }
    Ok((found, authors, violations))
}

/// The types that a document names, by their kind; nothing where it cannot be read.
pub fn types_of(document: &str, options: &OamOptions) -> Vec<(DefinitionKind, String)> {
    let Ok(document) = read(document.as_bytes(), "document", options) else { return Vec::new() };
    let application = document.application;
    let mut types = Vec::new();
    for component in application.components {
        types.extend(component.kind.map(|kind| (DefinitionKind::Component, kind)));
        types.extend(component.traits.into_iter().map(|wanted| (DefinitionKind::Trait, wanted.kind)));
    }
    types.extend(application.policies.into_iter().map(|policy| (DefinitionKind::Policy, policy.kind)));
    for at in application.workflow.iter().flat_map(Workflow::all_steps) {
        types.push((DefinitionKind::Step, at.step.kind.clone()));
    }
    types
}
