//! What a definition must pass before it is pushed or installed: its examples, run in the caged host.

use std::sync::Arc;
use std::time::Duration;

use slipway_definitions::golden::{self, Example, Expectation};
use slipway_definitions::{Definition, code, try_function};
use slipway_plugins::{Host, Session};
use slipway_types::{Fault, Violation};

use crate::plan::plugin_fault;

/// How long all examples together may take.
const EXAMPLES_WITHIN: Duration = Duration::from_secs(10);
/// Differences of one example that are told.
const DIFFERENCES_MAX: usize = 5;

/// Everything that is wrong with what the definition does. It ends with the first call that breaks a limit.
///
/// # Errors
///
/// The plug-in host does not run.
pub async fn check(host: &Host, definition: &Arc<Definition>) -> Result<Vec<Violation>, Fault> {
    let examples = match golden::examples(definition.folder()) {
        Ok(examples) => examples,
        Err(violations) => return Ok(violations),
    };
    if !examples.iter().any(|example| matches!(example.expectation, Expectation::Returned(_))) {
        let message = "there is no example with `expect`, so nothing shows what it does";
        let violation = Violation::new(code::INVALID_DEFINITION, "examples", message);
        return Ok(vec![violation.hint("write one into examples/NAME.yaml: slipway definition test")]);
    }
    let mut session = host.session().await.map_err(|error| plugin_fault(&error))?;
    match tokio::time::timeout(EXAMPLES_WITHIN, run(&mut session, definition, examples)).await {
        Ok(found) => found,
        Err(_) => {
            let message = format!("its examples take more than {} s together", EXAMPLES_WITHIN.as_secs());
            let violation = Violation::new(code::DEFINITION_LIMIT, "examples", message);
            Ok(vec![violation.hint("give them less to do, or have fewer of them")])
        }
    }
}

async fn run(
    session: &mut Session,
    definition: &Arc<Definition>,
    examples: Vec<Example>,
) -> Result<Vec<Violation>, Fault> {
    let mut violations = Vec::new();
    for example in examples {
        let path = format!("examples/{}.yaml", example.name);
        let Example { function, properties, context, .. } = &example;
        let trial = try_function(session, definition, *function, properties, context).await;
        let trial = trial.map_err(|error| plugin_fault(&error))?;
        let broken = trial.violations.iter().find(|violation| violation.code == code::DEFINITION_LIMIT);
        if let Some(broken) = broken {
            let mut broken = broken.clone();
            broken.path = path;
            violations.push(broken);
            break;
        }
        let differences = example.differences(&trial);
        if !differences.is_empty() {
            let told: Vec<&str> = differences.iter().take(DIFFERENCES_MAX).map(String::as_str).collect();
            violations.push(
                Violation::new(code::EXAMPLE_FAILED, path, told.join("; "))
                    .hint("run it where it was written: slipway definition test"),
            );
        }
    }
    Ok(violations)
}
