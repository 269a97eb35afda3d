//! Language, colours and the way of telling times that a visitor chooses.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};

use super::forms::{Fields, Sent};
use super::language::{self, Language};
use super::theme::{self, Theme};
use super::times::{self, Times};
use super::visitor::is_secure;
use super::{address, cookie};
use crate::state::ServerState;

/// How long a choice is kept, in seconds: a year.
const KEPT_S: i64 = 365 * 86_400;

/// Keeps what was chosen and leads back.
pub(super) async fn save(State(state): State<ServerState>, Sent { fields, .. }: Sent) -> Response {
    let mut headers = HeaderMap::new();
    for kept in chosen(&fields, is_secure(&state.options.public_url)) {
        headers.append(SET_COOKIE, kept);
    }
    let back = address::own(fields.text("return_to"));
    (headers, Redirect::to(back)).into_response()
}

fn chosen(fields: &Fields, secure: bool) -> Vec<HeaderValue> {
    let language = fields.text("language").and_then(Language::of_tag).map(Language::tag);
    let theme = fields.text("theme").and_then(Theme::of_word).map(Theme::word);
    let times = fields.text("times").and_then(Times::of_word).map(Times::word);
    let kept = [(language::COOKIE, language), (theme::COOKIE, theme), (times::COOKIE, times)];
    kept.into_iter().filter_map(|(name, value)| Some(cookie::set(name, value?, KEPT_S, secure))).collect()
}
