//! The pages of the infrastructure: where applications run, what they are made with, where they come from, who may do
//! what, and the server itself. Each offers what the visitor's role may do, by the functions behind the API.

mod addon;
mod addon_form;
mod addons;
mod audit;
mod cluster;
mod cluster_form;
mod definition;
mod definitions;
mod environment;
mod environment_facts;
mod environment_form;
mod environment_settings;
mod facts;
mod field;
mod form;
mod kits;
mod notices;
mod places;
mod reading;
mod schema_table;
mod secret;
mod secrets;
mod server;
mod source;
mod sources;
mod surroundings;
mod tokens;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use slipway_types::Role;

pub(crate) use surroundings::Surroundings;

use super::forms::{Fields, Posted};
use super::frame::{Frame, Section};
use super::texts::Texts;
use super::texts::infrastructure::InfrastructureTexts;
use super::visitor::Member;
use crate::auth::Caller;
use crate::state::ServerState;

/// The part of the infrastructure that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Places,
    Kits,
    Definitions,
    Addons,
    Sources,
    Secrets,
    Tokens,
    Notices,
    Server,
    Audit,
}

/// The parts that a visitor may see, to go from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "infrastructure/parts.html")]
struct Parts {
    label: &'static str,
    links: Vec<PartLink>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PartLink {
    text: &'static str,
    address: &'static str,
    is_here: bool,
}

/// What stands around each of these pages.
struct Around {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
}

impl HtmlSafe for Parts {}

impl Part {
    const ALL: [Self; 10] = [
        Self::Places,
        Self::Kits,
        Self::Definitions,
        Self::Addons,
        Self::Sources,
        Self::Secrets,
        Self::Tokens,
        Self::Notices,
        Self::Server,
        Self::Audit,
    ];

    /// Whether the API would answer this caller at all.
    fn is_for(self, caller: &Caller) -> bool {
        match self {
            Self::Places | Self::Kits | Self::Definitions | Self::Addons | Self::Sources => true,
            Self::Secrets => caller.somewhere(Role::Operator).is_ok(),
            Self::Tokens => caller.may(Role::Admin, None),
            Self::Notices | Self::Audit => caller.may(Role::Operator, None),
            Self::Server => caller.may(Role::Reader, None),
        }
    }

    fn address(self) -> &'static str {
        match self {
            Self::Places => "/infrastructure",
            Self::Kits => "/infrastructure/kits",
            Self::Definitions => "/infrastructure/definitions",
            Self::Addons => "/infrastructure/addons",
            Self::Sources => "/infrastructure/sources",
            Self::Secrets => "/infrastructure/secrets",
            Self::Tokens => "/infrastructure/tokens",
            Self::Notices => "/infrastructure/notices",
            Self::Server => "/infrastructure/server",
            Self::Audit => "/infrastructure/audit",
        }
    }

    fn text(self, own: &InfrastructureTexts) -> &'static str {
        match self {
            Self::Places => own.environments_and_clusters,
            Self::Kits => own.kits,
            Self::Definitions => own.definitions,
            Self::Addons => own.addons,
            Self::Sources => own.sources,
            Self::Secrets => own.secrets,
            Self::Tokens => own.tokens,
            Self::Notices => own.notices,
            Self::Server => own.server,
            Self::Audit => own.audit,
        }
    }
}

impl Around {
    fn new(member: &Member, here: Part, title: impl Into<String>) -> Self {
        let t = member.visitor.texts();
        let own = InfrastructureTexts::of(member.visitor.language);
        let seen = Part::ALL.into_iter().filter(|part| part.is_for(&member.session.caller));
        let link =
            |part: Part| PartLink { text: part.text(own), address: part.address(), is_here: part == here };
        let parts = Parts { label: t.infrastructure, links: seen.map(link).collect() };
        Self { t, own, frame: Frame::new(&member.visitor, Section::Infrastructure, title), parts }
    }

    /// The same under that title.
    fn titled(mut self, title: impl Into<String>) -> Self {
        self.frame.title = title.into();
        self
    }

    /// The same where a form led to the page: whoever chooses another language there comes to `address`.
    fn at(mut self, address: impl Into<String>) -> Self {
        self.frame.here = address.into();
        self
    }
}

/// Who sent a form, and what it holds.
fn sent(posted: Posted) -> (Member, Fields) {
    let Posted { visitor, session, fields } = posted;
    (Member { visitor, session }, fields)
}

/// Leads on after a form.
fn led(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// A segment of a path that may hold anything.
fn segment(text: &str) -> String {
    super::address::encoded(text).replace('+', "%20")
}

/// The pages of places: environments and clusters.
fn place_pages() -> Router<ServerState> {
    Router::new()
        .route("/infrastructure", get(places::page))
        .route("/infrastructure/new-environment", get(environment_form::blank).post(environment_form::create))
        .route("/infrastructure/environments/{environment}", get(environment::page))
        .route(
            "/infrastructure/environments/{environment}/edit",
            get(environment_form::filled).post(environment_form::change),
        )
        .route("/infrastructure/environments/{environment}/settings", post(environment_form::write))
        .route("/infrastructure/environments/{environment}/remove", post(environment::remove))
        .route("/infrastructure/new-cluster", get(cluster_form::blank).post(cluster_form::create))
        .route("/infrastructure/clusters/{cluster}", get(cluster::page))
        .route(
            "/infrastructure/clusters/{cluster}/edit",
            get(cluster_form::filled).post(cluster_form::change),
        )
        .route("/infrastructure/clusters/{cluster}/check", post(cluster::check))
        .route("/infrastructure/clusters/{cluster}/cordon", post(cluster::cordon))
        .route("/infrastructure/clusters/{cluster}/uncordon", post(cluster::uncordon))
        .route("/infrastructure/clusters/{cluster}/remove", post(cluster::remove))
}

/// The pages of what applications are made with: kits, definitions and add-ons.
fn offer_pages() -> Router<ServerState> {
    Router::new()
        .route("/infrastructure/kits", get(kits::page))
        .route("/infrastructure/kits/{kit}", get(kits::one))
        .route("/infrastructure/definitions", get(definitions::page).post(definitions::install))
        .route("/infrastructure/definitions/{kind}/{name}", get(definition::page))
        .route("/infrastructure/definitions/{kind}/{name}/hold", post(definition::hold))
        .route("/infrastructure/definitions/{kind}/{name}/release", post(definition::release))
        .route("/infrastructure/definitions/{kind}/{name}/{version}/enable", post(definition::enable))
        .route("/infrastructure/definitions/{kind}/{name}/{version}/disable", post(definition::disable))
        .route("/infrastructure/definitions/{kind}/{name}/{version}/remove", post(definition::remove))
        .route("/infrastructure/new-addon", get(addon_form::blank).post(addon_form::create))
        .route("/infrastructure/addons", get(addons::page))
        .route("/infrastructure/addons/{addon}", get(addon::page))
        .route("/infrastructure/addons/{addon}/edit", get(addon_form::filled).post(addon_form::change))
        .route("/infrastructure/addons/{addon}/protection", post(addon::protect))
        .route("/infrastructure/addons/{addon}/release", post(addon::release))
        .route("/infrastructure/addons/{addon}/bind", post(addon::bind))
        .route("/infrastructure/addons/{addon}/unbind", post(addon::unbind))
}

/// All pages of the infrastructure.
pub(super) fn router() -> Router<ServerState> {
    Router::new()
        .merge(place_pages())
        .merge(offer_pages())
        .route("/infrastructure/sources", get(sources::page))
        .route("/infrastructure/sources/{source}", get(source::page))
        .route("/infrastructure/sources/{source}/check", post(source::check))
        .route("/infrastructure/sources/{source}/webhook-secret", post(source::rotate))
        .route("/infrastructure/sources/{source}/deliveries/{delivery}/redeliver", post(source::redeliver))
        .route("/infrastructure/secrets", get(secrets::page).post(secrets::set))
        .route("/infrastructure/secrets/{secret}", get(secret::page))
        .route("/infrastructure/secrets/{secret}/rotate", post(secret::rotate))
        .route("/infrastructure/secrets/{secret}/remove", post(secret::remove))
        .route("/infrastructure/tokens", get(tokens::page).post(tokens::create))
        .route("/infrastructure/tokens/{token}/revoke", post(tokens::revoke))
        .route("/infrastructure/notices", get(notices::page))
        .route("/infrastructure/notices/{channel}/test", post(notices::test))
        .route("/infrastructure/notices/{channel}/resend", post(notices::resend))
        .route("/infrastructure/server", get(server::page))
        .route("/infrastructure/audit", get(audit::page))
        .route("/infrastructure/audit/verify", post(audit::verify))
}

#[cfg(test)]
mod tests {
    use slipway_types::Principal;
    use slipway_types::id::{ApplicationId, TokenId};

    use super::*;

    fn caller(role: Role, application: Option<ApplicationId>) -> Caller {
        let (id, name) = (TokenId::new(), "ann".to_owned());
        Caller(Principal::Token { id, person: name.clone(), name, role, application, break_glass: false })
    }

    #[test]
    fn each_role_sees_the_parts_that_would_answer_it() {
        let seen = |caller: Caller| Part::ALL.into_iter().filter(|part| part.is_for(&caller)).count();
        assert_eq!(seen(caller(Role::Admin, None)), 10);
        assert_eq!(seen(caller(Role::Operator, None)), 9);
        assert_eq!(seen(caller(Role::Reader, None)), 6);
        assert_eq!(seen(caller(Role::Operator, Some(ApplicationId::new()))), 6);
        assert_eq!(seen(caller(Role::Reader, Some(ApplicationId::new()))), 5);
    }

    #[test]
    fn whatever_a_name_holds_is_one_segment() {
        assert_eq!(segment("webhook/a b?#"), "webhook%2Fa%20b%3F%23");
    }
}
