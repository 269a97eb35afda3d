//! What a change of a bundle, its labels, channels or checks sets going, and who may make it.

use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{DeploymentFilter, Environment, Page, Read, Write};
use slipway_types::Role;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::label::LabelKey;
use slipway_types::name::ChannelName;

use super::list::LIMIT_MAX;
use crate::problem::ApiError;

/// Lets whatever waits for a bundle look again: deployments at gates, environments that follow.
pub(super) async fn bundle_changed(
    tx: &mut dyn Write,
    application: ApplicationId,
    bundle: VersionId,
) -> Result<(), ApiError> {
    let filter = DeploymentFilter {
        bundle: Some(bundle),
        states: vec!["frozen", "awaiting"],
        ..DeploymentFilter::default()
    };
    for waiting in tx.deployment_list(&filter, Page::first(LIMIT_MAX)).await? {
        let job = JobPayload::Deploy { deployment: waiting.id };
        tx.job_enqueue(NewJob::new(job, Some(application))).await?;
    }
    let follow = JobPayload::Follow { application };
    tx.job_enqueue(NewJob::new(follow, Some(application))).await?;
    Ok(())
}

/// Who may set a label: what opens a gate or makes an environment follow is the operators'.
pub(super) async fn role_for_label(read: &mut dyn Read, key: &LabelKey) -> Result<Role, ApiError> {
    Ok(role_of_label(&read.environment_list().await?, key))
}

/// Who may set a label, by the environments that there are.
pub(crate) fn role_of_label(environments: &[Environment], key: &LabelKey) -> Role {
    let uses = |environment: &Environment| {
        let settings = &environment.settings;
        let follow = settings.follow.as_ref().and_then(|follow| follow.selector.as_ref());
        let gates = settings.gates.labels.as_ref();
        gates.into_iter().chain(follow).any(|selector| selector.rules().contains_key(key))
    };
    role(environments.iter().any(uses))
}

/// Who may move a channel.
pub(super) async fn role_for_channel(read: &mut dyn Read, channel: &ChannelName) -> Result<Role, ApiError> {
    Ok(role_of_channel(&read.environment_list().await?, channel))
}

/// Who may move a channel, by the environments that there are.
pub(crate) fn role_of_channel(environments: &[Environment], channel: &ChannelName) -> Role {
    let uses = |environment: &Environment| {
        let settings = &environment.settings;
        let follow = settings.follow.as_ref().and_then(|follow| follow.channel.as_ref());
        settings.gates.channels.contains(channel) || follow == Some(channel)
    };
    role(environments.iter().any(uses))
}

fn role(protected: bool) -> Role {
    if protected { Role::Operator } else { Role::Developer }
}
