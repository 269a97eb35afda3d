//! The checks of a bundle: stored with it in one transaction, so that it is held from its first moment.

use std::collections::BTreeMap;

use chrono::Utc;
use slipway_oci::source::INTERNAL_HOST;
use slipway_records::detail::BundleMember;
use slipway_records::plan::{CheckImage, CheckPlan};
use slipway_records::{CheckOrder, DeclaredCheck, Write};
use slipway_types::id::{ApplicationId, CheckId, RunId, VersionId};
use slipway_types::name::CheckName;
use slipway_types::state::DeclaredCheckState;
use slipway_types::{ComponentName, Fault, ImageReference};

use crate::publish::{Member, records_fault};

/// The image of a member, as checks name it.
fn image_of(member: &BundleMember) -> Option<ImageReference> {
    let image = member.images.first()?;
    Some(ImageReference {
        host: INTERNAL_HOST.to_owned(),
        repository: image.repository.clone(),
        tag: None,
        digest: Some(image.digest),
    })
}

/// What the checks of these members run, in the images that were built.
pub(crate) fn orders(members: &[Member]) -> Result<Vec<(CheckName, CheckOrder)>, Fault> {
    let images: BTreeMap<&ComponentName, ImageReference> =
        members.iter().filter_map(|member| Some((&member.row.component, image_of(&member.row)?))).collect();
    let plans = members.iter().flat_map(|member| &member.checks);
    plans.map(|plan| Ok((plan.name.clone(), order(plan, &images)?))).collect()
}

fn order(plan: &CheckPlan, images: &BTreeMap<&ComponentName, ImageReference>) -> Result<CheckOrder, Fault> {
    let built = |name: &ComponentName| {
        images.get(name).cloned().ok_or_else(|| {
            Fault::bug("check_image", format!("{}: the component {name} has no image", plan.name))
        })
    };
    let mut needed = Vec::new();
    for name in &plan.needs {
        needed.push((format!("${{{name}.image}}"), built(name)?.to_string()));
    }
    let filled = |text: &String| {
        needed.iter().fold(text.clone(), |text, (placeholder, image)| text.replace(placeholder, image))
    };
    Ok(CheckOrder {
        image: match &plan.image {
            CheckImage::Component(name) => built(name)?,
            CheckImage::Pinned(reference) => reference.clone(),
        },
        command: plan.command.iter().map(filled).collect(),
        env: plan.env.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
        timeout_seconds: plan.timeout_seconds,
        backend: plan.backend.clone(),
        backend_why: plan.backend_why.clone(),
    })
}

/// The same checks as those of a published bundle.
pub(crate) async fn orders_of(
    tx: &mut dyn Write,
    bundle: VersionId,
) -> Result<Vec<(CheckName, CheckOrder)>, Fault> {
    let checks = tx.declared_checks_of(bundle).await.map_err(records_fault)?;
    Ok(checks.into_iter().map(|check| (check.name, check.order)).collect())
}

/// The checks of a bundle, of which some images were exchanged: the same commands in the images of now.
pub(crate) fn exchange(
    orders: Vec<(CheckName, CheckOrder)>,
    before: &[BundleMember],
    after: &[BundleMember],
) -> Vec<(CheckName, CheckOrder)> {
    let of_now = |member: &BundleMember| after.iter().find(|now| now.component == member.component);
    let exchanged: Vec<(ImageReference, ImageReference)> = before
        .iter()
        .filter_map(|member| Some((image_of(member)?, image_of(of_now(member)?)?)))
        .filter(|(old, new)| old != new)
        .collect();
    let in_text = |text: &String| {
        exchanged
            .iter()
            .fold(text.clone(), |text, (old, new)| text.replace(&old.to_string(), &new.to_string()))
    };
    let renewed = |order: CheckOrder| CheckOrder {
        image: exchanged
            .iter()
            .find(|(old, _)| *old == order.image)
            .map_or(order.image, |(_, new)| new.clone()),
        command: order.command.iter().map(in_text).collect(),
        env: order.env.iter().map(|(name, value)| (name.clone(), in_text(value))).collect(),
        ..order
    };
    orders.into_iter().map(|(name, order)| (name, renewed(order))).collect()
}

/// Whose checks are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) application: ApplicationId,
    pub(crate) run: RunId,
    pub(crate) version: VersionId,
    /// Whether no earlier answer stands in.
    pub(crate) fresh: bool,
}

/// Stores the checks of a version and queues them.
pub(crate) async fn store(
    tx: &mut dyn Write,
    holder: Holder,
    orders: Vec<(CheckName, CheckOrder)>,
) -> Result<(), Fault> {
    let new = |(name, order): (CheckName, CheckOrder)| DeclaredCheck {
        id: CheckId::new(),
        version_id: holder.version,
        application_id: holder.application,
        run_id: holder.run,
        name,
        inputs: order.inputs(),
        order,
        fresh: holder.fresh,
        state: DeclaredCheckState::Queued { why: None },
        attempt: 0,
        waiver: None,
        generation: 0,
        created_at: Utc::now(),
        started_at: None,
        finished_at: None,
    };
    let checks: Vec<DeclaredCheck> = orders.into_iter().map(new).collect();
    let made = tx.declared_checks_insert(&checks).await.map_err(records_fault)?;
    for check in checks.iter().filter(|check| made.contains(&check.id)) {
        tx.job_enqueue(check.job()).await.map_err(records_fault)?;
    }
    Ok(())
}
