//! What people should know of a level that they have just written: where it says what does not fit.
//!
//! It is no reason to refuse the level: configuration may be there before the bundle that it is for.

use std::collections::BTreeMap;

use slipway_records::{Application, Environment, PackageVersion, Read, RecordsError};
use slipway_types::selection::{Prereleases, Selection, SelectionOrder};
use slipway_types::{Fault, Violation};

use crate::configuration::file_of;
use crate::plan::PlanRequest;
use crate::stage::Stage;

/// The most environments that one level is compared with.
const ENVIRONMENTS_MAX: usize = 8;
/// The most notes on one level.
const NOTES_MAX: usize = 20;

/// A bundle that a level holds for.
struct Concerned {
    environment: Environment,
    bundle: PackageVersion,
    /// Which it is, for people.
    told: String,
}

impl Stage {
    /// What the stored level of an application says that does not fit what it holds for: the bundles that run
    /// in environments within it, else the newest bundle.
    pub(crate) async fn level_notes(
        &self,
        application: &Application,
        level: &str,
    ) -> Result<Vec<String>, Fault> {
        let mut read = self.records.read().await.map_err(fault)?;
        let stored = read.configuration_at(application.id, level).await.map_err(fault)?;
        let Some(stored) = stored.filter(|stored| !stored.document.is_empty()) else {
            return Ok(Vec::new());
        };
        let mut environments = read.environment_list().await.map_err(fault)?;
        environments.retain(|environment| environment.address.levels().iter().any(|one| one == level));
        if environments.is_empty() {
            return Ok(vec![nowhere(level)]);
        }
        let concerned = concerned(read.as_mut(), application, environments).await.map_err(fault)?;
        drop(read);
        if concerned.is_empty() {
            return Ok(vec!["it was compared with no bundle: none is published yet".to_owned()]);
        }
        let file = file_of(&stored);
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in concerned {
            let told = one.told.clone();
            for violation in self.against(application, one).await? {
                if violation.at.as_ref().is_some_and(|place| place.file == file) {
                    found.entry(line(&violation)).or_default().push(told.clone());
                }
            }
        }
        Ok(notes(found))
    }

    /// What stands against all levels in one environment.
    async fn against(&self, application: &Application, one: Concerned) -> Result<Vec<Violation>, Fault> {
        let request = PlanRequest {
            application: application.clone(),
            environment: one.environment,
            bundle: one.bundle,
            document: None,
            keep: false,
        };
        Ok(self.explain(&request).await?.err().unwrap_or_default())
    }
}

fn fault(error: RecordsError) -> Fault {
    crate::records_fault(&error)
}

/// What runs in these environments; where nothing does, the newest bundle as it would be in the first one.
async fn concerned(
    read: &mut dyn Read,
    application: &Application,
    environments: Vec<Environment>,
) -> Result<Vec<Concerned>, RecordsError> {
    let out = read.deployments_out_of(application.id).await?;
    let mut found = Vec::new();
    for environment in environments.iter().take(ENVIRONMENTS_MAX) {
        let running = out.iter().find(|running| running.environment_id == environment.id);
        let Some(running) = running else { continue };
        if let Some(bundle) = read.version_get(running.bundle_id).await? {
            let told = format!("{}, which runs {}", environment.name, bundle.version);
            found.push(Concerned { environment: environment.clone(), bundle, told });
        }
    }
    if found.is_empty() {
        let any = Selection { prerelease: Prereleases::Yes, held: true, ..Selection::default() };
        let newest = read.pick(application.id, &any, SelectionOrder::Newest).await?.version;
        let first = environments.into_iter().next();
        found.extend(newest.zip(first).map(|(bundle, environment)| {
            let told = format!("the newest bundle, {}", bundle.version);
            Concerned { environment, bundle, told }
        }));
    }
    Ok(found)
}

fn nowhere(level: &str) -> String {
    if level.is_empty() {
        return "there is no environment yet, so it holds nowhere: `slipway env create` describes one"
            .to_owned();
    }
    format!("no environment lies in {level}, so it holds nowhere: `slipway env list` shows their addresses")
}

fn line(violation: &Violation) -> String {
    match &violation.hint {
        Some(hint) => format!("{violation}; {hint}"),
        None => violation.to_string(),
    }
}

/// Each with the bundles that it does not fit.
fn notes(found: BTreeMap<String, Vec<String>>) -> Vec<String> {
    let more = found.len().saturating_sub(NOTES_MAX);
    let mut notes: Vec<String> = found
        .into_iter()
        .take(NOTES_MAX)
        .map(|(line, where_to)| format!("{line} (in {})", where_to.join("; in ")))
        .collect();
    if more > 0 {
        notes.push(format!("and {more} more of the kind"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_once_with_every_place() {
        let violation = Violation::new("package_not_found", "components[wbe]", "the bundle has no `wbe`")
            .hint("did you mean `web`?");
        let places = vec!["prod, which runs 1.4.2".to_owned(), "test, which runs 1.5.0".to_owned()];
        let found = BTreeMap::from([(line(&violation), places)]);
        assert_eq!(
            notes(found),
            [
                "components[wbe]: the bundle has no `wbe`; did you mean `web`? (in prod, which runs 1.4.2; in test, \
              which runs 1.5.0)"
            ]
        );
    }

    #[test]
    fn notes_are_bounded_and_say_so() {
        let found = (0..25).map(|number| (format!("{number:02}"), vec!["prod".to_owned()])).collect();
        let notes = notes(found);
        assert_eq!(notes.len(), NOTES_MAX + 1);
        assert_eq!(notes.last().map(String::as_str), Some("and 5 more of the kind"));
    }

    #[test]
    fn a_level_without_environments_is_named() {
        assert!(nowhere("eu/kin").starts_with("no environment lies in eu/kin, "));
        assert!(nowhere("").starts_with("there is no environment yet"));
    }
}
