//! What keeps an environment from being removed.

use slipway_records::{AddonInstance, Deployment, DeploymentFilter, Environment, Page, Read};

use crate::problem::ApiError;

/// The states of what is on its way out.
const PENDING: [&str; 4] = ["draft", "frozen", "awaiting", "approved"];
/// Deployments that a refusal names.
const NAMED: u32 = 10;

/// The refusal to remove an environment in which something is or may still come: deployments that wait or run, and
/// add-ons.
pub(super) async fn in_use(
    read: &mut dyn Read,
    environment: &Environment,
) -> Result<Option<ApiError>, ApiError> {
    // What leaves between the two is found by the second.
    let waiting = DeploymentFilter {
        environment: Some(environment.id),
        states: PENDING.to_vec(),
        ..DeploymentFilter::default()
    };
    let pending = read.deployment_list(&waiting, Page::first(NAMED + 1)).await?;
    let out = read.deployments_out_in(environment.id).await?;
    if !pending.is_empty() || !out.is_empty() {
        return Ok(Some(deployed(read, environment, &pending, &out).await?));
    }
    let addons = addons_of(read, environment).await?;
    Ok((!addons.is_empty()).then(|| {
        let detail = format!("`{}` has or is bound to add-ons: {}", environment.name, addons.join(", "));
        ApiError::conflict("environment_in_use", detail)
            .hint("`slipway addon list` shows them; unbind and release them first")
    }))
}

/// Names what waits or runs there, and what to do about each kind.
async fn deployed(
    read: &mut dyn Read,
    environment: &Environment,
    pending: &[Deployment],
    out: &[Deployment],
) -> Result<ApiError, ApiError> {
    let mut named = Vec::new();
    for deployment in pending.iter().chain(out).take(NAMED as usize) {
        let application = read.application_get(deployment.application_id).await?;
        let application = application.map(|application| application.name.to_string()).unwrap_or_default();
        let (generation, word) = (deployment.generation, deployment.state.word());
        named.push(format!("`{application}` (generation {generation}, {word})"));
    }
    if pending.len() + out.len() > NAMED as usize {
        named.push("and more".to_owned());
    }
    let name = &environment.name;
    let detail =
        format!("applications are deployed in `{name}`, or on their way there: {}", named.join(", "));
    let (waits, runs) = (named_first(read, pending).await?, named_first(read, out).await?);
    let withdraw = format!("withdraw what waits: slipway deploy withdraw {waits}@{name}");
    let remove = format!("take away what runs: slipway deploy remove {runs} --env {name} --reason …");
    let hint = match (pending.is_empty(), out.is_empty()) {
        (false, true) => withdraw,
        (true, false) => remove,
        _ => format!("{withdraw}; {remove}"),
    };
    Ok(ApiError::conflict("environment_in_use", detail).hint(hint))
}

/// The application that the first of them is of.
async fn named_first(read: &mut dyn Read, deployments: &[Deployment]) -> Result<String, ApiError> {
    let Some(first) = deployments.first() else { return Ok(String::new()) };
    let application = read.application_get(first.application_id).await?;
    Ok(application.map(|application| application.name.to_string()).unwrap_or_default())
}

/// The add-ons that lie in an environment, and those that applications are bound to there.
async fn addons_of(read: &mut dyn Read, environment: &Environment) -> Result<Vec<String>, ApiError> {
    let of_it = |addon: &AddonInstance| addon.environment_id == environment.id;
    let lying = read.addon_list().await?.into_iter().filter(of_it).map(|addon| format!("`{}`", addon.name));
    let bound = read.addon_bindings_live().await?.into_iter();
    let bound = bound.filter(|binding| binding.environment_id == environment.id);
    let bound = bound.map(|binding| format!("`{}` (bound by `{}`)", binding.addon, binding.application));
    Ok(lying.chain(bound).collect())
}
