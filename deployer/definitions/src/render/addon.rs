//! What an add-on renders: one instance with all who are bound to it.

use serde_json::Value;
use slipway_plugins::Session;
use slipway_types::Violation;

use super::{RenderError, RenderedComponent, base, outputs, trait_checks};
use crate::call::{self, Function};
use crate::code;
use crate::context;
use crate::request::{AddonFacts, ComponentRequest, RenderRequest};

/// Renders an instance of an add-on, or what is run before it is taken away. The instance stands in `request` as a
/// component of the definition's type; what is wrong stands in [`RenderedComponent::violations`].
///
/// # Errors
///
/// The plug-in host does not run; nothing is wrong with the instance.
pub async fn render_addon(
    session: &mut Session,
    request: &RenderRequest,
    instance: &ComponentRequest,
    function: Function,
    facts: &AddonFacts,
) -> Result<RenderedComponent, RenderError> {
    let definition = &*instance.type_definition;
    let mut rendered = RenderedComponent {
        name: instance.name.clone(),
        path: instance.path.clone(),
        ..RenderedComponent::default()
    };
    if definition.manifest().as_addon().is_none() {
        let message = format!("{definition} is no add-on");
        rendered.violations.push(Violation::new(code::UNKNOWN_DEFINITION, &instance.path, message));
        return Ok(rendered);
    }
    rendered.violations.extend(trait_checks::unmet(request, definition, &instance.path));
    let (properties, wrong) = definition.check_properties(&instance.properties, "properties");
    if !wrong.is_empty() {
        rendered.violations.extend(wrong);
        return Ok(rendered);
    }
    let mut context = context::of_component(request, instance, &properties);
    let facts = serde_json::to_value(facts).unwrap_or_default();
    if let Value::Object(facts) = facts {
        context.extend(facts);
    }
    // Refusals name properties, which stand at the top of what a person wrote.
    let returned = call::call_function(session, definition, function, context, "").await?;
    match returned.and_then(|returned| call::verbs(definition, returned, "")) {
        Ok(verbs) => {
            if base::take(request, instance, &mut rendered, verbs) {
                outputs::check(&mut rendered, definition);
            }
        }
        Err(violations) => rendered.violations.extend(violations),
    }
    Ok(rendered)
}
