//! Definitions called, and what they return taken apart.

use serde_json::{Map, Value};
use slipway_plugins::{PluginError, Session};
use slipway_types::{Violation, json_words};

use crate::code;
use crate::definition::Definition;
use crate::kind::DefinitionKind;
use crate::suggestion::shortened;
use crate::verb::Verb;

/// A function of `main.star`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Function {
    /// `render`, which every definition has.
    #[default]
    Render,
    /// `release`, which an add-on has that says so: what is run before an instance is taken away.
    Release,
}

impl Function {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Release => "release",
        }
    }
}

const VERBS_MAX: usize = 2000;
/// In an add-on's `spec.outputs`: any name.
const ANY_OUTPUT: &str = "*";

/// Rendering could not be done at all: nothing is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The plug-in host does not run.
    #[error(transparent)]
    Host(PluginError),
}

/// Calls `render` of `definition`; see [`call_function`].
pub(crate) async fn call(
    session: &mut Session,
    definition: &Definition,
    context: Map<String, Value>,
    path: &str,
) -> Result<Result<Value, Vec<Violation>>, RenderError> {
    call_function(session, definition, Function::Render, context, path).await
}

/// Calls `definition` with `context`; its refusals and failures are violations at `path`, where the
/// component, trait, policy or step stands.
pub(crate) async fn call_function(
    session: &mut Session,
    definition: &Definition,
    function: Function,
    context: Map<String, Value>,
    path: &str,
) -> Result<Result<Value, Vec<Violation>>, RenderError> {
    match session.call(definition.program(), function.name(), &Value::Object(context)).await {
        Ok(value) => Ok(Ok(value)),
        Err(error @ PluginError::Host(_)) => Err(RenderError::Host(error)),
        Err(error) => Ok(Err(violations(definition, error, path))),
    }
}

fn violations(definition: &Definition, error: PluginError, path: &str) -> Vec<Violation> {
    let told = |code: &str, message: String, hint: &str| vec![Violation::new(code, path, message).hint(hint)];
    match error {
        PluginError::Refused(refusals) => {
            let refused = refusals.into_iter().map(|refusal| {
                let violation = Violation::new(
                    code::INVALID_PROPERTY,
                    property_path(path, &refusal.path),
                    refusal.message,
                );
                match refusal.hint {
                    Some(hint) => violation.hint(hint),
                    None => violation,
                }
            });
            refused.collect()
        }
        PluginError::BadInput { path: inside, why } => {
            let inside = inside.strip_prefix("properties").unwrap_or(&inside).trim_start_matches('.');
            vec![Violation::new(code::INVALID_PROPERTY, property_path(path, inside), why)]
        }
        PluginError::Limit { .. } => told(
            code::DEFINITION_LIMIT,
            format!("{definition} was stopped: {error}"),
            "give it less to do, or have its author make it modest",
        ),
        PluginError::BadResult { .. } => bad_result(definition, path, &error.to_string()),
        PluginError::Failed { .. } | PluginError::Host(_) => told(
            code::DEFINITION_FAILED,
            format!("{definition} failed: {error}"),
            "that is a mistake of the definition: tell its author, or take another version of it",
        ),
    }
}

/// The path of a property, given relative to the properties of what stands at `path`.
fn property_path(path: &str, inside: &str) -> String {
    let inside = inside.strip_prefix("properties.").unwrap_or(inside);
    let path = if path.is_empty() { "properties".to_owned() } else { format!("{path}.properties") };
    match inside {
        "" | "properties" => path,
        inside if inside.starts_with('[') => format!("{path}{inside}"),
        inside => format!("{path}.{inside}"),
    }
}

/// The violation of a definition that returned what it may not.
pub(crate) fn bad_result(definition: &Definition, path: &str, why: &str) -> Vec<Violation> {
    let message = format!("{definition} returned what cannot be used: {why}");
    let hint = "that is a mistake of the definition: tell its author, or take another version of it";
    vec![Violation::new(code::BAD_RESULT, path, message).hint(hint)]
}

/// The verbs that `definition` returned; each mistake names the item by its index.
pub(crate) fn verbs(
    definition: &Definition,
    returned: Value,
    path: &str,
) -> Result<Vec<Verb>, Vec<Violation>> {
    let Value::Array(items) = returned else {
        return Err(bad_result(definition, path, "it must return a list of verbs"));
    };
    if items.len() > VERBS_MAX {
        let why = format!("{} verbs, at most {VERBS_MAX} are allowed", items.len());
        return Err(bad_result(definition, path, &why));
    }
    let mut verbs = Vec::with_capacity(items.len());
    let mut violations = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match verb(definition, item) {
            Ok(verb) => verbs.push(verb),
            Err(why) => violations.extend(bad_result(definition, path, &format!("[{index}]: {why}"))),
        }
    }
    if violations.is_empty() { Ok(verbs) } else { Err(violations) }
}

fn verb(definition: &Definition, item: Value) -> Result<Verb, String> {
    let Some(name) = item.get("verb").and_then(Value::as_str) else {
        return Err("is no verb: return what `object.apply(…)` and its like return".to_owned());
    };
    let name = shortened(name);
    let verb: Verb = serde_json::from_value(item).map_err(|error| {
        let why = error.to_string();
        if why.starts_with("unknown variant") {
            format!("there is no verb `{name}`")
        } else {
            format!("{} in `{name}`", json_words::data(&why))
        }
    })?;
    if !verb.is_allowed_for(definition.kind()) {
        return Err(format!("a {} may not use `{}`", definition.kind().noun(), verb.name()));
    }
    if let Verb::OutputSet(output) = &verb {
        if output.source().is_none() {
            return Err("`output.set` takes either `object` with `path`, or `value`".to_owned());
        }
        listed(definition, &output.name)?;
    }
    if let Verb::ContainerRun(run) = &verb {
        if let Some(fault) = run.fault() {
            return Err(format!("`container.run`: {fault}"));
        }
        run.outputs.iter().try_for_each(|output| listed(definition, output))?;
    }
    Ok(verb)
}

/// Refuses an output that the definition does not speak of.
fn listed(definition: &Definition, output: &str) -> Result<(), String> {
    let outputs = &definition.manifest().outputs;
    // What an instance gives may be the instance's to say.
    let is_any = definition.kind() == DefinitionKind::Addon && outputs.contains(ANY_OUTPUT);
    if is_any || outputs.contains(output) {
        return Ok(());
    }
    Err(format!("the output `{output}` is not listed in spec.outputs of its definition.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_point_below_the_properties() {
        for (inside, whole) in [
            ("", "t.properties"),
            ("port", "t.properties.port"),
            ("properties.port", "t.properties.port"),
            ("[\"a/b\"]", "t.properties[\"a/b\"]"),
        ] {
            assert_eq!(property_path("t", inside), whole);
        }
    }
}
