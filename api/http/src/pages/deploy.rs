//! Deploying: where, which bundle, with what configuration, and what would become of it. Each step is a page of its own
//! whose address carries what was chosen before; nothing is kept and nothing changes before the last form is sent.

mod bundles;
mod configuration;
mod document;
mod edit;
mod field;
mod form;
mod known;
mod part;
mod place;
mod review;
mod shape;
mod steps;
mod verdict;
mod violations;
mod wanted;

use axum::Router;
use axum::routing::get;
use slipway_types::{ApplicationName, Version};

use self::wanted::Wanted;
use crate::state::ServerState;

/// The steps.
pub(super) fn routes() -> Router<ServerState> {
    Router::new()
        .route(wanted::PLACE, get(place::page).post(review::deploy))
        .route(wanted::BUNDLES, get(bundles::page))
        .route(wanted::CONFIGURATION, get(configuration::page).post(configuration::take))
        .route("/deploy/part", get(edit::page).post(edit::sent))
        .route(wanted::REVIEW, get(review::page).post(review::sent))
}

/// Where a bundle is chosen for a place, or one that is chosen is configured.
pub(super) fn address(application: &ApplicationName, environment: &str, bundle: Option<&str>) -> String {
    let wanted = Wanted {
        application: application.to_string(),
        environment: environment.to_owned(),
        bundle: bundle.unwrap_or_default().to_owned(),
        ..Wanted::default()
    };
    wanted.address(if bundle.is_some() { wanted::CONFIGURATION } else { wanted::BUNDLES })
}

/// Where a place is chosen for a bundle.
pub(super) fn address_of_bundle(application: &ApplicationName, bundle: &Version) -> String {
    let wanted =
        Wanted { application: application.to_string(), bundle: bundle.to_string(), ..Wanted::default() };
    wanted.address(wanted::PLACE)
}
