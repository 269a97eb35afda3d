//! `/api/v1`: JSON for scripts and the command line, described by `/openapi.json`.

pub(crate) mod addon_bindings;
pub(crate) mod addons;
mod adoptions;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod audit_verification;
mod bundle_comparisons;
mod bundle_query;
pub(crate) mod bundles;
pub(crate) mod channels;
mod checks;
pub(crate) mod clusters;
mod compositions;
mod configuration_sources;
mod configurations;
pub(crate) mod definition_holds;
mod definition_key;
mod definition_users;
pub(crate) mod definitions;
pub(crate) mod deployment_aborts;
pub(crate) mod deployment_choices;
mod deployment_events;
pub(crate) mod deployment_failures;
pub(crate) mod deployment_gates;
mod deployment_graph;
mod deployment_holds;
pub(crate) mod deployment_objects;
pub(crate) mod deployment_orders;
pub(crate) mod deployment_plans;
pub(crate) mod deployment_views;
pub(crate) mod deployment_words;
pub(crate) mod deployments;
mod environment_use;
pub(crate) mod environments;
pub(crate) mod events;
pub(crate) mod following;
pub(crate) mod incidents;
pub(crate) mod kits;
pub(crate) mod labels;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod notices;
mod packages;
pub(crate) mod places;
mod plan;
pub(crate) mod precondition;
pub(crate) mod redeliveries;
pub(crate) mod rollbacks;
pub(crate) mod run_actions;
pub(crate) mod run_views;
pub(crate) mod runs;
pub(crate) mod secret_restarts;
pub(crate) mod secret_users;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod signatures;
pub(crate) mod sources;
pub(crate) mod tokens;
pub(crate) mod version_views;

pub(crate) use logs::wait_for;
pub(crate) use run_views::names_of;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use slipway_types::Principal;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, authenticate};
use crate::operation::open_streams::{self, Holder};
use crate::operation::request::compose_limit;
use crate::problem::Problem;
use crate::state::ServerState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Slipway",
        description = "From git push to images, versioned packages and bundles. Errors are RFC 9457 problems with a \
            stable `code`; lists give `items` and, while there is more, `next` for the query parameter `after`. An \
            application of a team other than `default` is written `team%2Fname` in paths."
    ),
    components(schemas(Problem)),
    modifiers(&TokenSecurity),
    security(("token" = []))
)]
struct Document;

struct TokenSecurity;

impl Modify for TokenSecurity {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

fn calls() -> OpenApiRouter<ServerState> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(of_bundles()).merge(of_places()).merge(of_server())
}

/// From pushes to packages and bundles, and what is about them.
fn of_bundles() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new()
        .routes(routes!(applications::list, applications::create))
        .routes(routes!(applications::show, applications::delete))
        .routes(routes!(sources::list))
        .routes(routes!(sources::show))
        .routes(routes!(sources::check))
        .routes(routes!(sources::deliveries))
        .routes(routes!(redeliveries::redeliver))
        .routes(routes!(sources::refusals))
        .routes(routes!(sources::rotate_webhook_secret))
        .routes(routes!(runs::list, run_actions::start))
        .routes(routes!(runs::show))
        .routes(routes!(run_actions::cancel))
        .routes(routes!(run_actions::retry))
        .routes(routes!(logs::of_run))
        .routes(routes!(logs::of_build))
        .routes(routes!(logs::of_check))
        .routes(routes!(bundles::list))
        .routes(routes!(bundles::pick))
        .routes(routes!(bundle_comparisons::compare))
        .routes(routes!(bundles::show))
        .routes(routes!(signatures::list, signatures::add))
        .routes(routes!(packages::list))
        .routes(routes!(packages::show))
        .routes(routes!(labels::put_on_bundle, labels::remove_from_bundle))
        .routes(routes!(labels::put_on_package, labels::remove_from_package))
        .routes(routes!(channels::list))
        .routes(routes!(channels::show, channels::put))
        .routes(routes!(channels::history))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::remove))
        .routes(routes!(secret_users::users))
        .routes(routes!(secret_users::rotate))
        .routes(routes!(secret_restarts::newest))
        .routes(routes!(secret_restarts::of_version))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(plan::plan))
}

/// Where bundles are deployed, and what is deployed there.
fn of_places() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new()
        .routes(routes!(clusters::list))
        .routes(routes!(clusters::show, clusters::put, clusters::remove))
        .routes(routes!(clusters::check))
        .routes(routes!(clusters::cordon, clusters::uncordon))
        .routes(routes!(environments::list))
        .routes(routes!(environments::show, environments::put, environments::remove))
        .routes(routes!(environments::hold, environments::release))
        .routes(routes!(configurations::show, configurations::put))
        .routes(routes!(configurations::history))
        .routes(routes!(configurations::explain))
        .routes(routes!(configuration_sources::put, configuration_sources::remove))
        .routes(routes!(deployments::list, deployments::create))
        .routes(routes!(deployment_plans::plan))
        .routes(routes!(deployments::show))
        .routes(routes!(deployment_graph::show))
        .routes(routes!(deployment_objects::show))
        .routes(routes!(deployment_failures::list))
        .routes(routes!(deployment_failures::log))
        .routes(routes!(adoptions::plan))
        .routes(routes!(adoptions::create))
        .routes(routes!(deployment_words::approve))
        .routes(routes!(deployment_words::decline))
        .routes(routes!(deployment_words::withdraw))
        .routes(routes!(deployment_words::break_glass))
        .routes(routes!(deployment_orders::suspend))
        .routes(routes!(deployment_orders::resume))
        .routes(routes!(deployment_orders::promote))
        .routes(routes!(deployment_aborts::abort))
        .routes(routes!(deployment_orders::retry))
        .routes(routes!(deployment_orders::terminate))
        .routes(routes!(places::list))
        .routes(routes!(incidents::list))
        .routes(routes!(notices::list))
        .routes(routes!(notices::test))
        .routes(routes!(notices::failed))
        .routes(routes!(notices::resend))
        .routes(routes!(notices::resend_all))
        .routes(routes!(addons::list))
        .routes(routes!(addons::show, addons::put, addons::release))
        .routes(routes!(addons::protect))
        .routes(routes!(addon_bindings::bind, addon_bindings::unbind))
}

/// Checks, what is installed, and the server itself.
fn of_server() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new()
        .routes(routes!(checks::list))
        .routes(routes!(checks::put))
        .routes(routes!(checks::rerun))
        .routes(routes!(checks::cancel))
        .routes(routes!(checks::waive))
        .routes(routes!(logs::of_bundle_check))
        .routes(routes!(kits::list))
        .routes(routes!(kits::show))
        .routes(routes!(definitions::list, definitions::install))
        .routes(routes!(definitions::faults))
        .routes(routes!(definitions::show))
        .routes(routes!(definitions::enable, definitions::remove))
        .routes(routes!(definition_holds::list))
        .routes(routes!(definition_holds::put, definition_holds::release))
        .routes(routes!(audit::list))
        .routes(routes!(audit_verification::verify))
        .routes(routes!(server::queue))
        .routes(routes!(server::dead_jobs))
        .routes(routes!(server::show))
        .routes(routes!(server::image_target))
        .routes(routes!(server::backends))
        .routes(routes!(server::machine))
        .routes(routes!(server::storage))
}

fn endless() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new()
        .routes(routes!(logs::stream_of_run))
        .routes(routes!(logs::stream_of_build))
        .routes(routes!(logs::stream_of_check))
        .routes(routes!(logs::stream_of_bundle_check))
        .routes(routes!(events::stream))
        .routes(routes!(deployment_events::stream))
}

fn slow() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new().routes(routes!(compositions::create))
}

/// The description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = calls().into_openapi();
    document.merge(slow().into_openapi());
    document.merge(endless().into_openapi());
    document.merge(crate::reports::calls().into_openapi());
    document
}

/// Calls that are answered at once.
pub(crate) fn router(_state: &ServerState) -> Router<ServerState> {
    let (router, _) = calls().split_for_parts();
    let document = openapi();
    router.route("/openapi.json", get(async move || Json(document.clone())))
}

/// What takes longer than other calls, and has a limit of its own.
pub(crate) fn composing(state: &ServerState) -> Router<ServerState> {
    slow().split_for_parts().0.layer(from_fn_with_state(state.clone(), compose_limit))
}

/// Streams that last as long as what they show.
pub(crate) fn streams(state: &ServerState) -> Router<ServerState> {
    endless().split_for_parts().0.layer(from_fn_with_state(state.clone(), bounded))
}

/// Around a stream: it ends with its token, which has a bounded number of them.
async fn bounded(State(state): State<ServerState>, request: Request, next: Next) -> Response {
    let holder = match authenticate(&state, request.headers()).await {
        Ok(Caller(Principal::Token { id, .. })) => Some(Holder::Token(id)),
        _ => None,
    };
    open_streams::bounded(state, holder, request, next).await
}
