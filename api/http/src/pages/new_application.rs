//! Making an application, and what to do first with it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use slipway_types::{ApplicationName, Role};

use super::address;
use super::failure::told;
use super::forms::{Fields, Posted};
use super::frame::{Frame, Section, show, show_as};
use super::parts::Command;
use super::texts::{Said, Texts};
use super::visitor::{Member, Visitor};
use crate::extract::Body;
use crate::problem::ApiError;
use crate::rest::applications::{self, ApplicationView, CreatedApplication, NewApplication, WebhookUrls};
use crate::state::ServerState;

/// What an application is made from.
#[derive(Template)]
#[template(path = "new_application.html")]
struct NewApplicationPage {
    t: &'static Texts,
    frame: Frame,
    name: String,
    source_url: String,
    path: String,
    /// Why it could not be made.
    refusal: Option<Said>,
}

/// An application just made.
#[derive(Template)]
#[template(path = "created_application.html")]
struct CreatedPage {
    t: &'static Texts,
    frame: Frame,
    name: String,
    address: String,
    git_url: String,
    is_builtin: bool,
    push: Command,
    webhooks: Vec<Webhook>,
    /// Shown this once.
    webhook_secret: Option<Command>,
}

/// Where a kind of forge sends its webhooks.
pub(super) struct Webhook {
    forge: &'static str,
    address: String,
}

/// The first push to Slipway's own remote, for a terminal.
pub(super) fn first_push(t: &Texts, git_url: &str) -> Command {
    Command::new(t, format!("git remote add slipway {git_url}\ngit push slipway HEAD:main"))
}

fn webhooks(urls: WebhookUrls) -> Vec<Webhook> {
    let WebhookUrls { github, gitlab, gitea, generic } = urls;
    vec![
        Webhook { forge: "GitHub", address: github },
        Webhook { forge: "GitLab", address: gitlab },
        Webhook { forge: "Gitea, Forgejo", address: gitea },
        Webhook { forge: "HMAC-SHA256", address: generic },
    ]
}

fn form(
    visitor: &Visitor,
    status: StatusCode,
    fields: &Fields,
    refusal: Option<Said>,
) -> Result<Response, ApiError> {
    let t = visitor.texts();
    let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
    let page = NewApplicationPage {
        t,
        frame: Frame::new(visitor, Section::Applications, t.new_application),
        name: text("name"),
        source_url: text("source_url"),
        path: text("path"),
        refusal,
    };
    show_as(status, &page)
}

/// The form.
pub(super) async fn page(member: Member) -> Result<Response, ApiError> {
    member.session.caller.on_server(Role::Admin)?;
    form(&member.visitor, StatusCode::OK, &Fields::default(), None)
}

/// Makes the application as the API does, and says what to do with it; or says what is wrong, beside the form.
pub(super) async fn create(State(state): State<ServerState>, posted: Posted) -> Result<Response, ApiError> {
    let Posted { visitor, session, fields } = posted;
    session.caller.on_server(Role::Admin)?;
    let made = match wanted(&fields) {
        Ok(wanted) => applications::create(State(state), session.caller.clone(), Body(wanted)).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok((_, created)) => created_page(&visitor, created.0),
        Err(error) if error.status().is_client_error() => {
            form(&visitor, error.status(), &fields, Some(told(visitor.texts(), &error)))
        }
        Err(error) => Err(error),
    }
}

fn wanted(fields: &Fields) -> Result<NewApplication, ApiError> {
    let name = fields.text("name").unwrap_or_default().parse::<ApplicationName>();
    Ok(NewApplication {
        name: name.map_err(|error| ApiError::bad_request("bad_body", format!("name: {error}")))?,
        source: None,
        source_url: fields.text("source_url").map(str::to_owned),
        path: fields.text("path").unwrap_or_default().to_owned(),
        credential: None,
        poll_interval_s: None,
    })
}

fn created_page(visitor: &Visitor, created: CreatedApplication) -> Result<Response, ApiError> {
    let t = visitor.texts();
    let CreatedApplication { application, webhook_secret } = created;
    let ApplicationView { name, git_url, webhook_urls, is_builtin, .. } = application;
    show(&CreatedPage {
        t,
        frame: Frame::new(visitor, Section::Applications, name.clone()),
        address: address::application_of_text(&name),
        push: first_push(t, &git_url),
        name,
        git_url,
        is_builtin,
        webhooks: webhooks(webhook_urls),
        webhook_secret: webhook_secret.map(|secret| Command::new(t, secret)),
    })
}
