//! The build kits: what components are built and packed with, and what each may be told.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::facts::Facts;
use super::schema_table::{SchemaRow, rows_of};
use super::{Around, Part, Parts};
use crate::extract::Path;
use crate::pages::frame::{Frame, show};
use crate::pages::texts::Texts;
use crate::pages::texts::infrastructure::InfrastructureTexts;
use crate::pages::visitor::Member;
use crate::problem::ApiError;
use crate::rest::kits::{self, KitView};
use crate::state::ServerState;

/// The kits.
#[derive(Template)]
#[template(path = "infrastructure/kits.html")]
struct KitsPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    rows: Vec<Row>,
}

/// A kit in the list.
struct Row {
    name: String,
    page: String,
    version: String,
    description: String,
    verbs: Vec<String>,
    origin: &'static str,
}

/// A kit.
#[derive(Template)]
#[template(path = "infrastructure/kit.html")]
struct KitPage {
    t: &'static Texts,
    own: &'static InfrastructureTexts,
    frame: Frame,
    parts: Parts,
    name: String,
    version: String,
    description: String,
    properties: Vec<SchemaRow>,
    facts: Facts,
    schema: String,
    example: String,
}

fn kit_page(name: &str) -> String {
    format!("{}/{}", Part::Kits.address(), super::segment(name))
}

/// Where a kit comes from.
fn origin(own: &InfrastructureTexts, word: &'static str) -> &'static str {
    if word == "builtin" { own.from_slipway } else { word }
}

/// All kits.
pub(super) async fn page(State(state): State<ServerState>, member: Member) -> Result<Response, ApiError> {
    let found = kits::list(State(state), member.session.caller.clone()).await?.0.items;
    let title = InfrastructureTexts::of(member.visitor.language).kits;
    let Around { t, own, frame, parts } = Around::new(&member, Part::Kits, title);
    let row = |kit: KitView| Row {
        page: kit_page(&kit.name),
        name: kit.name,
        version: kit.version,
        description: kit.description,
        verbs: kit.verbs,
        origin: origin(own, kit.origin),
    };
    show(&KitsPage { t, own, frame, parts, rows: found.into_iter().map(row).collect() })
}

/// One kit, with what `with` of a component may say.
pub(super) async fn one(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    member: Member,
) -> Result<Response, ApiError> {
    let kit = kits::show(State(state), member.session.caller.clone(), Path(name)).await?.0;
    let Around { t, own, frame, parts } = Around::new(&member, Part::Kits, kit.name.clone());
    show(&KitPage {
        t,
        own,
        frame,
        parts,
        properties: rows_of(&kit.schema),
        facts: Facts::default()
            .codes(own.kit_verbs, kit.verbs)
            .text(own.comes_from, origin(own, kit.origin).to_owned())
            .text(own.kit_recipe, kit.recipe.to_string())
            .code(t.digest, kit.digest),
        schema: serde_json::to_string_pretty(&kit.schema).unwrap_or_default(),
        example: kit.example,
        name: kit.name,
        version: kit.version,
        description: kit.description,
    })
}
