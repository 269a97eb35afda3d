//! The pages for people: written by the server, over the same functions and rights as the API, in English and
//! Chinese. Every page works without script; the script only adds what changes by itself.
//!
//! A handler answers with a page or an [`crate::ApiError`]; [`frame::around`] shows the latter as a page too, and leads
//! whoever is not signed in to where that is done. What forms change needs [`forms::Posted`].

mod address;
mod ansi;
mod application;
mod assets;
mod attestations;
mod board;
mod bundle;
mod bundle_chain;
mod bundle_filter;
mod bundle_rows;
mod chain;
mod commits_between;
mod compare_bundles;
mod compare_packages;
mod cookie;
mod deploy;
mod deployment;
mod deployments;
mod difference_table;
mod failure;
mod forms;
mod frame;
mod graph;
mod home;
mod infrastructure;
mod known_bundle;
mod known_fields;
mod known_package;
mod language;
mod layers;
mod log;
mod log_of;
mod log_search;
mod log_stream;
mod log_window;
mod new_application;
mod origin;
mod package;
mod package_filter;
mod packages;
mod parts;
mod preferences;
mod pull_commands;
mod run;
mod run_graph;
mod runs;
mod sign_in;
mod tabs;
mod texts;
mod theme;
mod timeline;
mod times;
mod version_channels;
mod version_history;
mod version_labels;
mod visitor;

pub(crate) use failure::{nowhere, otherwise};
pub(crate) use infrastructure::Surroundings;
pub(crate) use sign_in::SIGN_INS_PER_MINUTE;
pub(crate) use visitor::still_signed_in;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::operation;
use crate::state::ServerState;

/// All pages, and what they load.
pub(crate) fn router(state: &ServerState) -> Router<ServerState> {
    let pages = Router::new()
        .route("/", get(home::root))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/preferences", post(preferences::save))
        .route("/deployments", get(deployments::page))
        .route("/where", get(board::page))
        .route("/new-application", get(new_application::page))
        .route("/applications", get(home::elsewhere).post(new_application::create))
        .route("/applications/{application}", get(application::page))
        .route("/applications/{application}/packages", get(packages::page))
        .route("/applications/{application}/packages/compare", get(compare_packages::page))
        .route("/applications/{application}/packages/{component}/{version}", get(package::page))
        .route(
            "/applications/{application}/packages/{component}/{version}/labels",
            post(package::change_label),
        )
        .route("/applications/{application}/bundles/compare", get(compare_bundles::page))
        .route("/applications/{application}/bundles/{version}", get(bundle::page))
        .route("/applications/{application}/bundles/{version}/labels", post(bundle::change_label))
        .route("/applications/{application}/bundles/{version}/channels", post(bundle::put_on_channel))
        .route("/applications/{application}/runs", get(runs::page))
        .route("/applications/{application}/runs/{number}", get(run::page))
        .route("/applications/{application}/runs/{number}/cancel", post(run::cancel))
        .route("/applications/{application}/runs/{number}/retry", post(run::retry))
        .route("/applications/{application}/runs/{number}/logs/{log}", get(log::page))
        .merge(deployment::pages())
        .merge(deploy::routes())
        .merge(infrastructure::router())
        .layer(from_fn_with_state(state.clone(), operation::request::time_limit));
    let streams = Router::new()
        .route("/applications/{application}/runs/{number}/events", get(run::events))
        .route("/applications/{application}/runs/{number}/logs/{log}/stream", get(log_stream::stream))
        .route("/applications/{application}/runs/{number}/logs/{log}/download", get(log::download))
        .merge(deployment::streams())
        .layer(from_fn_with_state(state.clone(), visitor::bounded));
    pages
        .merge(streams)
        .layer(CatchPanicLayer::custom(operation::request::panicked))
        .layer(from_fn_with_state(state.clone(), frame::around))
        .route("/assets/{file}", get(assets::serve))
}
