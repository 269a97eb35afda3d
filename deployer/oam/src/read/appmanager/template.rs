//! `{{ Global.NAME }}` in AppManager's files: replaced by declared parameters, anything else refused.

use std::collections::BTreeMap;

use slipway_yaml::{Node, Position, Value};

use super::{items_at, tree};
use crate::code;
use crate::decode::{Decoder, Shape, did_you_mean, join, present, shown};

const PARAMETER: Shape = Shape { known: &["name", "value"], required: &["name", "value"] };

/// The parameters of `spec.parameterValues`.
pub(super) struct Variables {
    globals: BTreeMap<String, Variable>,
    /// How many bytes copies may still take: a small file must not become a large application.
    budget_bytes: usize,
}

struct Variable {
    value: Node,
    at: Position,
    used: bool,
}

impl Variables {
    pub(super) fn globals(decoder: &mut Decoder<'_>, spec: &Node) -> Self {
        let mut globals = BTreeMap::new();
        for (item, path) in items_at(decoder, spec, "parameterValues", "") {
            if item.get("toFieldPaths").is_some() {
                let message = "a parameter of the whole application fills no field";
                decoder.wrong(code::INVALID_PROPERTY, item.at, &join(&path, "toFieldPaths"), message).hint =
                    Some("move it into the component, or name it by `{{ Global.NAME }}`".to_owned());
                continue;
            }
            if !decoder.shaped(item, &path, &PARAMETER) {
                continue;
            }
            let Some(name) = decoder.text_at(item, "name", &path) else { continue };
            let Some(value) = present(item, "value").cloned() else { continue };
            let variable = Variable { value, at: item.at, used: false };
            if globals.insert(name.clone(), variable).is_some() {
                let message = format!("the parameter `{}` stands twice", shown(&name));
                decoder.wrong(code::DUPLICATE_NAME, item.at, &path, message);
            }
        }
        Self { globals, budget_bytes: decoder.options.max_file_bytes }
    }

    /// A parameter that nothing names has no effect, which its writer should know.
    pub(super) fn report_unused(&self, decoder: &mut Decoder<'_>) {
        for (name, variable) in self.globals.iter().filter(|(_, variable)| !variable.used) {
            let path = format!("parameterValues[{}]", shown(name));
            let message = format!("nothing uses the parameter `{}`", shown(name));
            decoder.wrong(code::INVALID_PROPERTY, variable.at, &path, message).hint = Some(format!(
                "name it by `{{{{ Global.{} }}}}` where its value belongs, or remove it",
                shown(name)
            ));
        }
    }

    /// Takes `bytes` of what copies may take.
    pub(super) fn spend(
        &mut self,
        decoder: &mut Decoder<'_>,
        at: Position,
        path: &str,
        bytes: usize,
    ) -> bool {
        let Some(left) = self.budget_bytes.checked_sub(bytes) else {
            let max = decoder.options.max_file_bytes;
            let message =
                format!("parameters make the application larger than the limit max_file_bytes, {max}");
            decoder.wrong(code::LIMIT_EXCEEDED, at, path, message);
            return false;
        };
        self.budget_bytes = left;
        true
    }

    /// A copy of `node` with every template replaced.
    pub(super) fn fill(&mut self, decoder: &mut Decoder<'_>, node: &Node, path: &str) -> Node {
        let at = node.at;
        let value = match &node.value {
            Value::Text(text) if text.contains("{{") => return self.text(decoder, at, text, path),
            Value::List(items) => {
                let items = items.iter().enumerate();
                Value::List(
                    items
                        .map(|(index, item)| self.fill(decoder, item, &format!("{path}[{index}]")))
                        .collect(),
                )
            }
            Value::Map(entries) => {
                let mut entries = entries.clone();
                for entry in &mut entries {
                    entry.value = self.fill(decoder, &entry.value, &join(path, &shown(&entry.key)));
                }
                Value::Map(entries)
            }
            other => other.clone(),
        };
        Node { at, value }
    }

    fn text(&mut self, decoder: &mut Decoder<'_>, at: Position, text: &str, path: &str) -> Node {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once("{{") {
            let Some((word, after)) = inside.split_once("}}") else { break };
            let Some(value) = self.value(decoder, at, word.trim(), path) else { return tree::text(at, text) };
            // Alone, a parameter keeps its type.
            if before.is_empty() && after.is_empty() && filled.is_empty() {
                return Node { at, value: value.value };
            }
            filled.push_str(before);
            match value.to_json() {
                serde_json::Value::String(text) => filled.push_str(&text),
                json => filled.push_str(&json.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        tree::text(at, filled)
    }

    fn value(&mut self, decoder: &mut Decoder<'_>, at: Position, word: &str, path: &str) -> Option<Node> {
        let name = word.strip_prefix("Global.").unwrap_or(word);
        let known: Vec<String> = self.globals.keys().cloned().collect();
        let Some(variable) = self.globals.get_mut(name) else {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let message = format!("`{{{{ {} }}}}` names no parameter of this file", shown(word));
            decoder.wrong(code::INVALID_PROPERTY, at, path, message).hint = Some(if known.is_empty() {
                "templates are not evaluated: write the value".to_owned()
            } else {
                did_you_mean(name, &known)
            });
            return None;
        };
        variable.used = true;
        let value = variable.value.clone();
        self.spend(decoder, at, path, tree::weight(&value)).then_some(value)
    }
}
