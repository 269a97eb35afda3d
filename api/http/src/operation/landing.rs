//! `/`: what this server is, for whoever opens its address in a browser.

use axum::extract::State;
use axum::response::Html;

use crate::state::{ServerState, VERSION};

/// A page without scripts. Only the configured address and the release are filled in.
pub(crate) async fn page(State(state): State<ServerState>) -> Html<String> {
    let address = state.public_address("");
    let host = state.registry_host();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Slipway</title>\n\
         <h1>Slipway {VERSION}</h1>\n\
         <p>This server turns a <code>git push</code> into images, versioned packages and bundles.</p>\n\
         <pre>export SLIPWAY_SERVER={address}\n\
         export SLIPWAY_TOKEN=…              # the first one is in DIR/admin.token\n\
         slipway app create shop\n\
         git push {address}/git/shop.git main\n\
         slipway bundle list --app shop\n\
         docker pull {host}/default/shop/i/NAME@sha256:…</pre>\n\
         <p>The API is under <code>/api/v1</code>, described in \
         <a href=\"/openapi.json\">/openapi.json</a>.</p></html>\n"
    ))
}
