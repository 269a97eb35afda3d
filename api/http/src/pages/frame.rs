//! What stands around every page, and the way a page becomes an answer.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::Url;

use super::assets::Addresses;
use super::language::Language;
use super::theme::Theme;
use super::visitor::{Visitor, is_secure};
use super::{address, failure};
use crate::problem::{ApiError, Problem};
use crate::state::{ServerState, VERSION};

/// Nothing is loaded, sent or framed but from and to this server, and no script stands in a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The part of the navigation that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Applications,
    Deployments,
    Places,
    Infrastructure,
    Elsewhere,
}

/// One of several things to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// Who is signed in, as the frame shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: String,
    /// What forms carry.
    pub(super) form_token: String,
}

/// What the layout shows around a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) language: &'static str,
    pub(super) theme: &'static str,
    /// How times are told.
    pub(super) times: &'static str,
    /// The other way to tell them.
    pub(super) other_times: Choice,
    pub(super) assets: Addresses,
    pub(super) who: Option<Who>,
    /// What forms carry; empty where nobody is signed in.
    pub(super) form_token: String,
    /// To come back to.
    pub(super) here: String,
    pub(super) sign_in: String,
    pub(super) in_applications: bool,
    pub(super) in_deployments: bool,
    pub(super) in_places: bool,
    pub(super) in_infrastructure: bool,
    pub(super) languages: Vec<Choice>,
    pub(super) themes: Vec<Choice>,
    /// Where changes of the page are told, if it changes by itself.
    pub(super) live: Option<String>,
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) fn new(visitor: &Visitor, section: Section, title: impl Into<String>) -> Self {
        let t = visitor.texts();
        let who = visitor.signed_in().map(|session| Who {
            name: session.caller.name().to_owned(),
            form_token: session.form_token.clone(),
        });
        let languages = Language::ALL.map(|language| Choice {
            value: language.tag().to_owned(),
            text: language.own_name().to_owned(),
            chosen: language == visitor.language,
        });
        let themes = Theme::ALL.map(|theme| Choice {
            value: theme.word().to_owned(),
            text: t.theme(theme).to_owned(),
            chosen: theme == visitor.theme,
        });
        let other = visitor.times.other();
        let other_times =
            Choice { value: other.word().to_owned(), text: t.times(other).to_owned(), chosen: false };
        Self {
            title: title.into(),
            language: visitor.language.tag(),
            theme: visitor.theme.word(),
            times: visitor.times.word(),
            other_times,
            assets: Addresses::now(),
            form_token: who.as_ref().map(|who| who.form_token.clone()).unwrap_or_default(),
            who,
            here: visitor.address.clone(),
            sign_in: address::sign_in(&visitor.address),
            in_applications: section == Section::Applications,
            in_deployments: section == Section::Deployments,
            in_places: section == Section::Places,
            in_infrastructure: section == Section::Infrastructure,
            languages: languages.into(),
            themes: themes.into(),
            live: None,
            version: VERSION,
        }
    }

    /// The same page, which changes when `events` says so.
    #[must_use]
    pub(super) fn live(self, events: String) -> Self {
        Self { live: Some(events), ..self }
    }
}

/// A page as an answer.
pub(super) fn show(page: &impl Template) -> Result<Response, ApiError> {
    show_as(StatusCode::OK, page)
}

/// A page as an answer of that status.
pub(super) fn show_as(status: StatusCode, page: &impl Template) -> Result<Response, ApiError> {
    let text = page.render().map_err(|error| ApiError::internal(&error))?;
    Ok((status, Html(text)).into_response())
}

/// Finds out who looks, shows problems as pages, and tells the browser what a page may do.
pub(super) async fn around(State(state): State<ServerState>, mut request: Request, next: Next) -> Response {
    let mut visitor = Visitor::of(&state, request.uri(), request.headers()).await;
    let is_read = request.method().is_safe();
    if !is_read {
        // Many forms are sent to where no page is: one comes back to the page that the form is on.
        visitor.address = address::sent_from(request.headers()).unwrap_or_else(|| "/".to_owned());
    }
    request.extensions_mut().insert(visitor.clone());
    let response = next.run(request).await;
    let mut response = match response.extensions().get::<Problem>() {
        Some(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
            Redirect::to(&address::sign_in(&visitor.address)).into_response()
        }
        Some(problem) => {
            let back = match (is_read, problem.code) {
                (false, _) => Some(visitor.address.as_str()),
                // The same page as it is without what was asked of it.
                (true, "bad_query") => Some(address::own(visitor.address.split('?').next())),
                (true, _) => None,
            };
            failure::answer(&visitor, problem, back, response.headers())
        }
        None => response,
    };
    protect(response.headers_mut(), &state.options.public_url);
    response
}

/// What the browser is told of every page.
pub(super) fn protect(headers: &mut HeaderMap, public_url: &Url) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // To others nothing is told of where somebody came from; to this server it is, or forms would have no origin.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    for (name, value) in [
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // Without TLS browsers do not heed it, and write an error to the console of every page.
    if is_secure(public_url) {
        let name = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(name, HeaderValue::from_static("same-origin"));
    }
}
