//! Composing bundles by hand. What comes out was of no commit and went through no pipeline, so this is
//! the operators'; developers write what they want into a commit.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use slipway_records::composing::{Composition, Replacement};
use slipway_types::label::{LabelKey, LabelOrigin, LabelValue, Labels};
use slipway_types::{ApplicationName, ComponentName, ImageReference, Role, Version};
use utoipa::ToSchema;

use super::labels::checked_reason;
use super::version_views::{BundleView, bundle_view};
use crate::auth::Caller;
use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A bundle to be composed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewComposition {
    #[schema(value_type = String)]
    application: ApplicationName,
    /// Version of the bundle that it begins with.
    #[schema(value_type = String)]
    from: Version,
    /// What is exchanged, by component: a published version of it, or an image `REPOSITORY@sha256:…`.
    #[schema(value_type = BTreeMap<String, String>)]
    set: BTreeMap<ComponentName, String>,
    /// Its version; without it the next `X.Y.Z-composed.N`.
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
    /// Labels at birth.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<LabelKey, LabelValue>,
    /// Why.
    reason: Option<String>,
}

/// The bundle that a composition led to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompositionView {
    /// Whether it was published now.
    new: bool,
    #[serde(flatten)]
    bundle: BundleView,
}

fn replacement(component: &ComponentName, text: &str) -> Result<Replacement, ApiError> {
    let bad = |why: String| ApiError::bad_request("bad_body", format!("set.{component}: {why}"));
    if text.contains('@') {
        let image: ImageReference = text.parse().map_err(|error| bad(format!("{error}")))?;
        return Ok(Replacement::Image(image));
    }
    text.parse().map(Replacement::Version).map_err(|error| {
        let hint = "give a published version, or an image as REPOSITORY@sha256:…";
        bad(format!("{error}")).hint(hint)
    })
}

fn people_labels(given: BTreeMap<LabelKey, LabelValue>) -> Result<Labels, ApiError> {
    match given.keys().find(|key| key.origin() != LabelOrigin::People) {
        None => Ok(given),
        Some(key) => {
            let detail = format!("labels: `{key}` is not people's to set: it comes with the version");
            Err(ApiError::new(StatusCode::FORBIDDEN, "label_reserved", detail)
                .hint("choose a key without `source/` or `slipway/`"))
        }
    }
}

/// Composes a bundle: another one, with other versions or images of some components. 200 where the same
/// components were a bundle before, which is answered.
#[utoipa::path(post, path = "/api/v1/bundles", tag = "bundles", request_body = NewComposition,
    responses((status = 200, body = CompositionView), (status = 201, body = CompositionView)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Body(body): Body<NewComposition>,
) -> Result<(StatusCode, Json<CompositionView>), ApiError> {
    let reason = checked_reason(body.reason)?;
    let labels = people_labels(body.labels)?;
    let set = body.set.into_iter();
    let set = set.map(|(component, text)| Ok((component.clone(), replacement(&component, &text)?)));
    let set = set.collect::<Result<BTreeMap<_, _>, ApiError>>()?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &body.application, Role::Operator).await?;
    drop(read);
    let name = application.name.to_string();
    let wanted = Composition {
        application,
        from: body.from,
        set,
        version: body.version,
        labels,
        by: caller.0.person().to_owned(),
        actor: caller.name().to_owned(),
        reason,
    };
    let composed = state.composing.compose(&wanted).await.map_err(ApiError::of_fault)?;
    let status = if composed.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let holding = state.records.read().await?.declared_checks_holding(&[composed.bundle.id]).await?;
    let bundle = bundle_view(&state, &composed.bundle, &name, holding.iter())?;
    Ok((status, Json(CompositionView { new: composed.is_new, bundle })))
}
