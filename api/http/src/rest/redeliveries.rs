//! Handing on once more what a source received.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{NewAuditEntry, NewDelivery, Origin};
use slipway_types::Role;
use slipway_types::id::DeliveryId;
use slipway_types::name::SourceName;
use slipway_types::state::DeliveryState;

use super::sources::{DeliveryView, reach};
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Judges what a delivery named anew, as a delivery of its own: the one before stays as it is. A commit that has a run
/// keeps that one.
#[utoipa::path(post, path = "/api/v1/sources/{source}/deliveries/{delivery}/redeliver", tag = "sources",
    params(("source" = String, Path), ("delivery" = String, Path)),
    responses((status = 201, body = DeliveryView)))]
pub(crate) async fn redeliver(
    State(state): State<ServerState>,
    caller: Caller,
    Path((name, id)): Path<(SourceName, DeliveryId)>,
) -> Result<(StatusCode, Json<DeliveryView>), ApiError> {
    let mut tx = state.records.begin().await?;
    let source = reach(&caller, tx.as_mut(), &name, Role::Developer).await?;
    let earlier = tx.delivery_get(id).await?.filter(|earlier| earlier.source_id == source.id);
    let earlier = earlier.ok_or_else(|| {
        ApiError::not_found("delivery", id).hint(format!("`slipway source deliveries {name}` lists them"))
    })?;
    if !earlier.state.is_terminal() {
        return Err(ApiError::conflict(
            "delivery_under_way",
            format!("the delivery `{id}` is not judged yet"),
        ));
    }
    if earlier.git_ref.is_none() {
        let detail =
            format!("the event `{}` names no branch or tag: there is nothing to build", earlier.event);
        return Err(ApiError::conflict("nothing_to_build", detail));
    }
    let again = NewDelivery {
        source_id: source.id,
        origin: Origin::Manual,
        external_id: None,
        event: earlier.event,
        git_ref: earlier.git_ref,
        commit: earlier.commit,
        actor: caller.name().to_owned(),
        fresh: earlier.fresh,
        state: DeliveryState::Received,
    };
    let again = tx.delivery_insert(again).await?.into_inner();
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "source.redeliver",
        subject: format!("source/{name}"),
        detail: json!({"delivery": id, "ref": again.git_ref, "commit": again.commit, "again": again.id}),
    })
    .await?;
    tx.job_enqueue(NewJob::new(JobPayload::Deliver { delivery: again.id }, None)).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(DeliveryView::from(&again))))
}
