//! Problems as pages.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::frame::{Frame, Section, protect, show_as};
use super::language::Language;
use super::texts::{Said, Texts};
use super::visitor::Visitor;
use crate::problem::{self, ApiError, Problem};
use crate::state::ServerState;

/// A problem: what is wrong, and what to do.
#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    t: &'static Texts,
    frame: Frame,
    status: u16,
    title: &'static str,
    detail: Said,
    /// By which it is known where it is not told in the visitor's language.
    code: Option<&'static str>,
    hint: Option<Said>,
    violations: Vec<String>,
    /// Where to try again.
    back: Option<String>,
    request_id: Option<String>,
}

/// A problem as a page that leads back to `back`, with the headers that tell when to come again.
pub(super) fn answer(
    visitor: &Visitor,
    problem: &Problem,
    back: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let t = visitor.texts();
    let title = t.problem(problem.status);
    let detail = t.refusal(&problem.detail);
    let page = FailurePage {
        t,
        frame: Frame::new(visitor, Section::Elsewhere, title),
        status: problem.status,
        title,
        code: detail.is_foreign.then_some(problem.code),
        detail,
        hint: problem.hint.as_deref().map(|hint| t.refusal(hint)),
        violations: problem.violations.iter().map(ToString::to_string).collect(),
        // Every page of a problem leads to the first page.
        back: back.filter(|back| *back != "/").map(str::to_owned),
        request_id: problem.request_id.clone(),
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match show_as(status, &page) {
        Ok(response) => response,
        // Its own template failed: plain words are left.
        Err(_) => (status, problem.detail.clone()).into_response(),
    };
    if let Some(after) = headers.get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, after.clone());
    }
    response
}

/// What a form of filters asked for, or what is wrong with them, to be told beside it; with the status of the page.
pub(super) fn beside_form<T>(
    t: &Texts,
    found: Result<Option<T>, ApiError>,
) -> Result<(StatusCode, Option<T>, Option<Said>), ApiError> {
    match found {
        Ok(found) => Ok((StatusCode::OK, found, None)),
        Err(error) if error.status().is_client_error() => Ok((error.status(), None, Some(told(t, &error)))),
        Err(error) => Err(error),
    }
}

/// What is wrong and what to do, to be told beside a form.
pub(super) fn told(t: &Texts, error: &ApiError) -> Said {
    let detail = t.refusal(error.detail());
    let way_out = error.way_out().map(|way_out| t.refusal(way_out));
    if detail.is_foreign || way_out.as_ref().is_some_and(|way_out| way_out.is_foreign) {
        let text = format!("{} ({})", error.in_words(), error.code());
        return Said { text, language: Language::English.tag(), is_foreign: true };
    }
    match way_out {
        Some(way_out) => detail.and(&way_out),
        None => detail,
    }
}

/// Whether whoever asks is a browser that shows pages.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| range.trim().starts_with("text/html"))
}

/// The answer where no route leads: a page for people, a problem for programs.
pub(crate) async fn nowhere(State(state): State<ServerState>, request: Request) -> Response {
    let error = problem::not_found(request.uri());
    apart(&state, request, error).await
}

/// The same where a route takes other methods alone: somebody asks for the page of an address that takes forms.
pub(crate) async fn otherwise(State(state): State<ServerState>, request: Request) -> Response {
    let error = problem::method_not_allowed(request.method(), request.uri());
    apart(&state, request, error).await
}

/// An error of no page in particular.
async fn apart(state: &ServerState, request: Request, error: ApiError) -> Response {
    let (parts, _) = request.into_parts();
    let answer = error.into_response();
    let is_page = parts.method == Method::GET && state.options.roles.api && wants_page(&parts.headers);
    let Some(problem) = answer.extensions().get::<Problem>().filter(|_| is_page) else { return answer };
    let visitor = Visitor::of(state, &parts.uri, &parts.headers).await;
    // The way out of the problem is for programs.
    let problem = Problem { hint: None, ..problem.clone() };
    let mut response = self::answer(&visitor, &problem, None, &HeaderMap::new());
    protect(response.headers_mut(), &state.options.public_url);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_do_not() {
        for (accept, page) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("*/*", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_page(&headers), page, "{accept}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
