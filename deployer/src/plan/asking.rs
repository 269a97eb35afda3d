//! Conditions that the run decides, as the contract has them: CEL over nodes and outputs.
//!
//! A step is one or several nodes. It succeeded if all are ready, failed if one failed or timed out, and was
//! skipped if all were; its message and its reason are those of the first that has one. What an input gives may not be there; then a comparison with it does not hold.

use serde_json::Value;
use slipway_handoff::NodeName;
use slipway_health::Expression as Cel;
use slipway_oam::condition::{Expression, Operand, Operator};
use slipway_oam::{Condition, Segment};

/// What a condition is about.
pub(super) trait Known {
    /// The nodes of a step that run here; empty if it has none.
    fn nodes(&self, step: &str) -> &[NodeName];
    /// The node that gives an output.
    fn giver(&self, output: &str) -> Option<NodeName>;
}

/// The condition in CEL; `None`: it always holds. Or why it cannot be said so.
pub(super) fn cel(condition: &Condition, known: &dyn Known) -> Result<Option<String>, String> {
    let Condition::When(expression) = condition else { return Ok(None) };
    let text = formula(expression, known)?;
    Cel::parse(&text).map_err(|error| error.to_string())?;
    Ok(Some(text))
}

/// All of several conditions, side by side: those of groups in groups must not nest brackets as deep as the groups.
pub(super) fn all_of(conditions: &[String]) -> Option<String> {
    match conditions {
        [] => None,
        [only] => Some(only.clone()),
        several => {
            let parts: Vec<String> = several.iter().map(|condition| format!("({condition})")).collect();
            Some(parts.join(" && "))
        }
    }
}

/// Why conditions that can be said alone cannot be said together; `None`: they can.
pub(super) fn objection(conditions: &[String]) -> Option<String> {
    let error = Cel::parse(&all_of(conditions)?).err()?;
    Some(format!("together with the conditions of the groups around it: {error}"))
}

fn formula(expression: &Expression, known: &dyn Known) -> Result<String, String> {
    match expression {
        Expression::Or(parts) => joined(parts, " || ", known),
        Expression::And(parts) => joined(parts, " && ", known),
        Expression::Not(inner) => Ok(format!("!({})", formula(inner, known)?)),
        Expression::Holds(held) => compared(held, Operator::Equal, &Operand::Literal(true.into()), known),
        Expression::Compare { left, operator, right } => compared(left, *operator, right, known),
    }
}

fn joined(parts: &[Expression], word: &str, known: &dyn Known) -> Result<String, String> {
    let parts: Result<Vec<String>, String> =
        parts.iter().map(|part| Ok(format!("({})", formula(part, known)?))).collect();
    Ok(parts?.join(word))
}

fn compared(
    left: &Operand,
    operator: Operator,
    right: &Operand,
    known: &dyn Known,
) -> Result<String, String> {
    if let (Operand::Status { step, field }, Operand::Literal(word))
    | (Operand::Literal(word), Operand::Status { step, field }) = (left, right)
        && field == "phase"
    {
        let holds = phase(step, word.as_str().unwrap_or_default(), known)?;
        return Ok(if operator == Operator::NotEqual { format!("!({holds})") } else { holds });
    }
    let mut parts: Vec<String> = Vec::new();
    for operand in [left, right] {
        if let Operand::Input { name, .. } = operand {
            parts.push(format!("{} in outputs[{}]", quoted(name), quoted(&giver(name, known)?)));
        }
    }
    parts.push(format!("{} {operator} {}", value(left, known)?, value(right, known)?));
    Ok(parts.join(" && "))
}

/// Whether a step ended so.
fn phase(step: &str, word: &str, known: &dyn Known) -> Result<String, String> {
    let nodes = known.nodes(step);
    if nodes.is_empty() {
        return Err(format!("`{step}` does nothing in this environment"));
    }
    let list = Value::from(nodes.to_vec());
    Ok(match word {
        "succeeded" => format!(r#"{list}.all(n, nodes[n].state == "ready")"#),
        "failed" | "failedAfterRetries" => {
            format!(r#"{list}.exists(n, nodes[n].state in ["failed", "timed_out"])"#)
        }
        "timeout" => format!(r#"{list}.exists(n, nodes[n].state == "timed_out")"#),
        "skipped" => format!(r#"{list}.all(n, nodes[n].state == "skipped")"#),
        // What a condition looks at has ended, and was not stopped.
        _ => "false".to_owned(),
    })
}

fn giver(output: &str, known: &dyn Known) -> Result<NodeName, String> {
    known.giver(output).ok_or_else(|| format!("nothing before it gives an output `{output}` here"))
}

fn value(operand: &Operand, known: &dyn Known) -> Result<String, String> {
    match operand {
        Operand::Literal(value) => Ok(value.to_string()),
        Operand::Input { name, path } => {
            let mut text = format!("outputs[{}][{}]", quoted(&giver(name, known)?), quoted(name));
            for segment in path.segments() {
                text.push_str(&match segment {
                    Segment::Index(index) => format!("[{index}]"),
                    Segment::Key(key) | Segment::Named(key) => format!("[{}]", quoted(key)),
                });
            }
            Ok(text)
        }
        Operand::Status { step, field } if field != "phase" => told(step, field, known),
        Operand::Status { .. } | Operand::Context(_) => Err(format!("`{operand}` has no value here")),
    }
}

/// The message or the reason of a step: that of its first node which has one, else an empty text.
fn told(step: &str, field: &str, known: &dyn Known) -> Result<String, String> {
    match known.nodes(step) {
        [] => Err(format!("`{step}` does nothing in this environment")),
        [only] => Ok(format!("nodes[{}].{field}", quoted(only))),
        several => {
            let list = Value::from(several.to_vec());
            let says = format!(r#"nodes[n].{field} != """#);
            let first = format!("{list}.map(n, {says}, nodes[n].{field})[0]");
            Ok(format!(r#"({list}.exists(n, {says}) ? {first} : "")"#))
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Steps(BTreeMap<&'static str, Vec<NodeName>>);

    impl Known for Steps {
        fn nodes(&self, step: &str) -> &[NodeName] {
            self.0.get(step).map_or(&[][..], Vec::as_slice)
        }

        fn giver(&self, output: &str) -> Option<NodeName> {
            (output == "host").then(|| "db".to_owned())
        }
    }

    fn said(text: &str) -> Result<Option<String>, String> {
        let nodes = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let known =
            BTreeMap::from([("smoke", nodes(&["step.smoke"])), ("roll", nodes(&["web", "web.post"]))]);
        cel(&text.parse().unwrap(), &Steps(known))
    }

    #[test]
    fn conditions_of_groups_stand_side_by_side() {
        let text = |count: usize| vec!["outputs[\"a\"][\"b\"] == 1".to_owned(); count];
        assert_eq!(all_of(&[]), None);
        assert_eq!(all_of(&text(1)), Some(text(1)[0].clone()));
        assert_eq!(
            all_of(&text(2)).as_deref(),
            Some(r#"(outputs["a"]["b"] == 1) && (outputs["a"]["b"] == 1)"#)
        );
        assert_eq!(objection(&text(9)), None);
        let told = objection(&text(300)).unwrap();
        assert!(told.contains("bytes"), "{told}");
    }

    #[test]
    fn conditions_become_cel_over_nodes() {
        for (text, expected) in [
            ("always", None),
            (
                "status.smoke.failed",
                Some(r#"["step.smoke"].exists(n, nodes[n].state in ["failed", "timed_out"])"#),
            ),
            (
                "!status.roll.succeeded && inputs.host.ports[0] > 1",
                Some(
                    r#"(!(["web","web.post"].all(n, nodes[n].state == "ready"))) && ("host" in outputs["db"] && outputs["db"]["host"]["ports"][0] > 1)"#,
                ),
            ),
            ("inputs.host", Some(r#""host" in outputs["db"] && outputs["db"]["host"] == true"#)),
            ("status.smoke.running || true", Some("(false) || (true == true)")),
            ("status.smoke.reason == 'Timeout'", Some(r#"nodes["step.smoke"].reason == "Timeout""#)),
            (
                "status.roll.message != inputs.host",
                Some(
                    r#""host" in outputs["db"] && (["web","web.post"].exists(n, nodes[n].message != "") ? ["web","web.post"].map(n, nodes[n].message != "", nodes[n].message)[0] : "") != outputs["db"]["host"]"#,
                ),
            ),
        ] {
            assert_eq!(said(text), Ok(expected.map(str::to_owned)), "{text}");
        }
        for (text, why) in [
            ("status.other.failed", "does nothing"),
            ("status.other.message == ''", "does nothing"),
            ("inputs.port == 1", "gives an output `port`"),
        ] {
            let told = said(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
