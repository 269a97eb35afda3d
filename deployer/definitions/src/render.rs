//! An application rendered: component types first, then each trait alone on what they rendered.

mod addon;
mod applied;
mod base;
mod outputs;
mod target;
mod together;
mod trait_checks;
mod trait_objects;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use slipway_plugins::Session;
use slipway_types::{SecretReference, Violation};

pub use crate::call::RenderError;
pub use addon::render_addon;
pub(crate) use base::checked_verb;
pub use together::check_together;
pub(crate) use trait_checks::unmet;

use crate::field_path::{FieldPath, PathPattern};
use crate::manifest::Phase;
use crate::object::ObjectKey;
use crate::request::{ComponentRequest, RenderRequest};
use crate::verb::{OutputSource, Verb};

/// A component rendered.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RenderedComponent {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub path: String,
    /// Its objects: those of its type in the order they were returned, then those of its traits.
    pub objects: Vec<RenderedObject>,
    /// Everything else that is to be done.
    pub verbs: Vec<Caused>,
    /// Its outputs.
    pub outputs: BTreeMap<String, OutputSource>,
    /// Fields that controllers write at run time: never sent, never compared.
    pub owns: Vec<OwnedPath>,
    /// The secrets that its objects name.
    pub secrets: Vec<SecretUse>,
    /// Whether its package must be rendered and given to [`apply_traits`] before it is whole.
    pub awaits_package: bool,
    /// Everything that is wrong with it.
    #[serde(skip)]
    pub violations: Vec<Violation>,
}

/// An object to apply.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RenderedObject {
    /// The object.
    pub object: Value,
    /// When.
    pub phase: Phase,
    /// Whether it belongs to no namespace.
    pub cluster_scoped: bool,
    /// Who rendered it: the component type's or trait's name.
    pub by: String,
    /// The fields that traits wrote, by the trait's name. All others are the renderer's.
    pub writers: BTreeMap<String, Vec<String>>,
}

/// Something that a definition wants done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Caused {
    /// The name of the component type or trait.
    pub by: String,
    /// When.
    pub phase: Phase,
    /// What.
    pub verb: Verb,
}

/// Fields that a controller writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnedPath {
    /// Whose controller: the trait's name.
    pub by: String,
    /// Of which object.
    pub object: ObjectKey,
    /// Which fields.
    pub path: PathPattern,
}

/// A secret that an object names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretUse {
    /// The object.
    pub object: ObjectKey,
    /// Where in it.
    pub path: FieldPath,
    /// The secret.
    pub reference: SecretReference,
}

/// An object of a package that the caller rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageObject {
    /// The object.
    pub object: Value,
    /// When it is applied: hooks come before or after the rest.
    pub phase: Phase,
}

/// Renders every component of `request`; what is wrong stands in [`RenderedComponent::violations`].
///
/// A component whose [`RenderedComponent::awaits_package`] is set is completed by [`apply_traits`].
/// When all are whole, [`check_together`] holds them against each other and the cluster.
///
/// # Errors
///
/// The plug-in host does not run; nothing is wrong with the application.
pub async fn render(
    session: &mut Session,
    request: &RenderRequest,
) -> Result<Vec<RenderedComponent>, RenderError> {
    let mut rendered = Vec::with_capacity(request.components.len());
    for component in &request.components {
        rendered.push(render_component(session, request, component).await?);
    }
    Ok(rendered)
}

async fn render_component(
    session: &mut Session,
    request: &RenderRequest,
    component: &ComponentRequest,
) -> Result<RenderedComponent, RenderError> {
    let mut rendered = RenderedComponent {
        name: component.name.clone(),
        path: component.path.clone(),
        ..RenderedComponent::default()
    };
    rendered.violations.extend(trait_checks::declared(request, component));
    let whole = base::render(session, request, component, &mut rendered).await?;
    if whole && !rendered.awaits_package {
        applied::apply(session, request, component, &mut rendered).await?;
    }
    Ok(rendered)
}

/// Completes a component whose package the caller has rendered: takes in `objects`, then applies the
/// component's traits to them.
///
/// # Errors
///
/// The plug-in host does not run.
pub async fn apply_traits(
    session: &mut Session,
    request: &RenderRequest,
    component: &ComponentRequest,
    rendered: &mut RenderedComponent,
    objects: Vec<PackageObject>,
) -> Result<(), RenderError> {
    rendered.awaits_package = false;
    if base::take_package(request, component, rendered, objects) {
        applied::apply(session, request, component, rendered).await?;
    }
    Ok(())
}
