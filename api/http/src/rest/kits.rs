//! The build kits: what `kit:` of a component may say.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use slipway_records::port::KnownKit;
use slipway_types::Role;
use utoipa::ToSchema;

use super::list::List;
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A build kit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KitView {
    /// What `kit:` says.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    /// Where it comes from: `builtin`, part of Slipway.
    pub(crate) origin: &'static str,
    /// What it may do for a component: `image.build`, `image.pin`, `files.pack` and others.
    pub(crate) verbs: Vec<String>,
    /// Raised when the same input gives other steps.
    pub(crate) recipe: u32,
    /// Of everything that can change what it plans.
    pub(crate) digest: String,
    /// The JSON Schema of a component's `with`.
    #[schema(value_type = Object)]
    pub(crate) schema: Value,
    /// A whole `slipway.yaml` that uses it.
    pub(crate) example: String,
}

impl From<KnownKit> for KitView {
    fn from(kit: KnownKit) -> Self {
        let KnownKit { name, version, description, origin, verbs, recipe, digest, schema, example } = kit;
        let digest = digest.to_string();
        Self { name, version, description, origin, verbs, recipe, digest, schema, example }
    }
}

/// The build kits of this server. A component names its kit; none is guessed from files.
#[utoipa::path(get, path = "/api/v1/kits", tag = "kits", responses((status = 200, body = List<KitView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<KitView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    Ok(Json(List::whole(state.planning.kits().into_iter().map(KitView::from).collect())))
}

/// One build kit.
#[utoipa::path(get, path = "/api/v1/kits/{kit}", tag = "kits", params(("kit" = String, Path)),
    responses((status = 200, body = KitView), (status = 404)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<KitView>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let found = state.planning.kits().into_iter().find(|kit| kit.name == name);
    Ok(Json(found.map(KitView::from).ok_or_else(|| ApiError::not_found("kit", name))?))
}
