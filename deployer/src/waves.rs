//! Deployments that one deployment made in several environments, and their order: the gate `order`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_records::{Deployment, DeploymentCause, DeploymentFilter, Environment, Page, Read, RecordsError};
use slipway_types::id::DeploymentId;
use slipway_types::state::DeploymentState;

use crate::gates::Gate;
use crate::handler::SLIPWAY;
use crate::standing::ran_since;

/// The gate's name.
pub(crate) const ORDER: &str = "order";

/// How many deployments are looked at.
const LOOKED_AT_MAX: u32 = 200;

/// Of the environments that one deployment reaches: one that comes after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The environment that waits.
    pub environment: String,
    /// The one whose deployment must have arrived, or have nothing to do.
    pub after: String,
    /// The step of the workflow that deploys there.
    pub step: String,
    /// The step that deploys to the one that waits.
    pub before: String,
}

/// What was asked for where a deployment is reached by another: its `choice`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// In words.
    pub asked: String,
    /// The deployment that reaches it.
    pub origin: DeploymentId,
    /// Which of the environments that one reaches come after which.
    pub order: Vec<After>,
}

impl Asked {
    fn of(deployment: &Deployment) -> Option<Self> {
        if !matches!(deployment.cause, DeploymentCause::Reach { .. }) {
            return None;
        }
        serde_json::from_value(deployment.choice.clone()).ok()
    }
}

impl After {
    /// For people.
    pub fn in_words(&self) -> String {
        let Self { environment, after, step, before } = self;
        format!("`{environment}` comes after `{after}`: the step `{before}` waits for the step `{step}`")
    }
}

/// A gate for each environment whose deployment comes before this one.
pub async fn gates(
    read: &mut dyn Read,
    deployment: &Deployment,
    environment: &Environment,
) -> Result<Vec<Gate>, RecordsError> {
    let (order, began) = wave(read, deployment).await?;
    let mut found = Vec::new();
    for wait in order.iter().filter(|wait| wait.environment == environment.name.as_str()) {
        let (open, detail) = stands(read, deployment, wait, began).await?;
        found.push(Gate { gate: ORDER, open, detail, opens_in_s: None });
    }
    Ok(found)
}

/// The order that holds for a deployment, and when the first of those it binds was made. The deployment
/// that reaches others learns it from what it made.
async fn wave(
    read: &mut dyn Read,
    deployment: &Deployment,
) -> Result<(Vec<After>, DateTime<Utc>), RecordsError> {
    if let Some(asked) = Asked::of(deployment) {
        let origin = read.deployment_get(asked.origin).await?;
        return Ok((asked.order, origin.map_or(deployment.created_at, |origin| origin.created_at)));
    }
    let filter = DeploymentFilter {
        application: Some(deployment.application_id),
        bundle: Some(deployment.bundle_id),
        ..DeploymentFilter::default()
    };
    let rows = read.deployment_list(&filter, Page::first(LOOKED_AT_MAX)).await?;
    let mut asked = rows.iter().filter_map(Asked::of).filter(|asked| asked.origin == deployment.id);
    Ok((asked.next().map(|asked| asked.order).unwrap_or_default(), deployment.created_at))
}

/// Whether the same components have arrived in the environment that comes first, since the wave began, or
/// none are deployed there.
async fn stands(
    read: &mut dyn Read,
    deployment: &Deployment,
    wait: &After,
    began: DateTime<Utc>,
) -> Result<(bool, String), RecordsError> {
    let first = |what: String| format!("`{}` comes first, by the step `{}`: {what}", wait.after, wait.step);
    let environment = match wait.after.parse() {
        Ok(name) => read.environment_by_name(&name).await?,
        Err(_) => None,
    };
    let Some(environment) = environment else { return Ok((false, first("it is gone".to_owned()))) };
    let filter = DeploymentFilter {
        application: Some(deployment.application_id),
        environment: Some(environment.id),
        ..DeploymentFilter::default()
    };
    let rows = read.deployment_list(&filter, Page::first(LOOKED_AT_MAX)).await?;
    let same: Vec<Deployment> =
        rows.into_iter().filter(|row| row.lock == deployment.lock && row.created_at >= began).collect();
    let told = |row: &Deployment| format!("generation {} is {}", row.generation, row.state.word());
    for row in &same {
        if has_nothing_to_do(row) {
            return Ok((true, first(format!("generation {} deploys nothing there", row.generation))));
        }
        if has_arrived(row, ran_since(read, row).await?) {
            return Ok((true, first(told(row))));
        }
        // What became of an earlier one says nothing of what is there now.
        if row.handed_off_at.is_some() && !matches!(row.state, DeploymentState::Superseded { .. }) {
            break;
        }
    }
    Ok((false, first(same.first().map_or("nothing is on its way there".to_owned(), told))))
}

/// Whether a deployment is where it was to be, or was until a newer one took its place.
fn has_arrived(row: &Deployment, ran_since: Option<DateTime<Utc>>) -> bool {
    row.state.has_arrived() || ran_since.is_some()
}

/// Whether a deployment ended since nothing is deployed in its environment: Slipway itself takes back no other, but
/// what waited for an environment that was removed, for whose deployments nobody waits.
pub fn has_nothing_to_do(deployment: &Deployment) -> bool {
    let by_itself = matches!(&deployment.state, DeploymentState::Withdrawn { by } if by == SLIPWAY);
    by_itself && deployment.revision.is_none()
}

/// The deployments that may wait for one that has arrived, or that has nothing to do.
pub async fn waiting(read: &mut dyn Read, arrived: &Deployment) -> Result<Vec<Deployment>, RecordsError> {
    let filter = DeploymentFilter {
        application: Some(arrived.application_id),
        states: vec!["frozen", "awaiting"],
        ..DeploymentFilter::default()
    };
    let rows = read.deployment_list(&filter, Page::first(LOOKED_AT_MAX)).await?;
    Ok(rows.into_iter().filter(|row| row.environment_id != arrived.environment_id).collect())
}

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;
    use crate::standing::tests::{minute, row};

    #[test]
    fn what_arrived_stays_so_when_a_newer_one_takes_its_place() {
        let superseded = DeploymentState::Superseded { by: DeploymentId::new(), failed: None };
        assert!(has_arrived(&row("a", DeploymentState::Live, 0, None), None));
        assert!(has_arrived(&row("a", superseded.clone(), 0, Some(9)), Some(minute(1))));
        assert!(!has_arrived(&row("a", superseded, 0, Some(9)), None), "it never ran");
    }

    #[test]
    fn only_what_slipway_took_back_itself_has_nothing_to_do() {
        let withdrawn = |by: &str| row("a", DeploymentState::Withdrawn { by: by.to_owned() }, 0, Some(1));
        assert!(has_nothing_to_do(&withdrawn(SLIPWAY)));
        assert!(!has_nothing_to_do(&withdrawn("ann")));
        let frozen = Deployment { revision: Some(Digest::of("a")), ..withdrawn(SLIPWAY) };
        assert!(!has_nothing_to_do(&frozen), "somebody of that name did");
    }
}
