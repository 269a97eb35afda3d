//! Which part of a document a violation is about, and at which input it is shown.

use slipway_types::Violation;

use super::document::{Document, PartContent};
use super::part::Part;
use crate::pages::address;

/// The place of a violation within one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Within {
    /// At the property of this path in the form, such as `/cpu/value`.
    Property(String),
    /// Somewhere in it.
    Part,
}

/// Where `violation` stands in a part; `None`: it is about something else.
pub(super) fn within(part: &Part, content: &PartContent, violation: &Violation) -> Option<Within> {
    let name = content.name.as_str();
    let heads = match part {
        Part::Component(component) => vec![format!("components[{component}]")],
        Part::Trait(component, _) => {
            let kind = content.kind.as_deref().unwrap_or_default();
            let instance = content.properties["name"].as_str().unwrap_or_default();
            // Several of one type are told apart by the name in their properties.
            let keys = [format!("{kind}:{instance}"), kind.to_owned()];
            keys.iter().map(|key| format!("components[{component}].traits[{key}]")).collect()
        }
        Part::Policy(_) => vec![format!("policies[{name}]")],
        Part::Step(_) => vec![format!("workflow.steps[{name}]")],
    };
    let rest = heads.iter().find_map(|head| violation.path.strip_prefix(head.as_str()))?;
    let is_other = matches!(part, Part::Component(_)) && rest.starts_with(".traits");
    if is_other || !(rest.is_empty() || rest.starts_with('.')) {
        return None;
    }
    let inside = rest.strip_prefix(".properties").map(path_of).filter(|path| !path.is_empty());
    Some(inside.map_or(Within::Part, Within::Property))
}

/// The part of the document that a violation is about.
pub(super) fn part_of(document: &Document, violation: &Violation) -> Option<Part> {
    let components = document.components();
    let traits = components.iter().flat_map(|name| document.traits(name));
    let mut known = traits.chain(document.policies()).chain(document.steps());
    let found = known.find(|(part, content)| within(part, content, violation).is_some());
    let own = || {
        let mut parts = components.iter().map(|name| Part::Component((*name).to_owned()));
        parts.find(|part| within(part, &PartContent::default(), violation).is_some())
    };
    found.map(|(part, _)| part).or_else(own)
}

/// `.cpu.values[0]` as forms name it: `/cpu/values/0`.
fn path_of(text: &str) -> String {
    let mut path = String::new();
    for step in text.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        path.push('/');
        path.push_str(&address::encoded(step));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let text = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n  \
                    - name: web\n    properties: {replicas: 3}\n    traits:\n    - {type: hpa}\n    - {type: gateway, \
                    properties: {name: out}}\n  policies: [{name: where, type: topology}]\n  workflow: {steps: [{type: \
                    suspend}]}\n";
        Document::read(text, &"shop".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_violation_leads_to_its_part() {
        let document = document();
        for (path, wanted) in [
            ("components[web].traits[hpa].properties.max", Some("trait/web/0")),
            ("components[web].traits[gateway:out].properties.http", Some("trait/web/1")),
            ("components[web].traits[gateway]", Some("trait/web/1")),
            ("components[web].properties.replicas", Some("component/web")),
            ("components[web]", Some("component/web")),
            ("components[webhook].properties", None),
            ("policies[where].properties.clusters[0]", Some("policy/0")),
            ("workflow.steps[suspend]", Some("step/0")),
            ("bundle", None),
            ("", None),
        ] {
            let found = part_of(&document, &Violation::new("x", path, "wrong"));
            assert_eq!(found.map(|part| part.to_string()).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn a_violation_stands_at_its_input() {
        let document = document();
        let (part, content) = document.traits("web").remove(0);
        for (rest, wanted) in [
            (".properties.cpu.values[0]", Within::Property("/cpu/values/0".to_owned())),
            (".properties", Within::Part),
            ("", Within::Part),
        ] {
            let violation = Violation::new("x", format!("components[web].traits[hpa]{rest}"), "wrong");
            assert_eq!(within(&part, &content, &violation), Some(wanted));
        }
    }
}
