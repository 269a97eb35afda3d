//! Which rules of policies hold for which objects.

use serde_json::Value;
use slipway_definitions::directive::{CollectRule, CollectStrategy, OamType, Selector};
use slipway_definitions::{Directive, ObjectKey, RenderedObject};
use slipway_handoff::{Collect, Object, Pointer, Ready};
use slipway_types::Violation;

use super::{expressions, staging};

/// In a rule: all fields.
const EVERYTHING: &str = "*";
/// What says which object it is, and what others alone write.
const IDENTITY: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// An object with what selectors look at.
pub(super) struct Candidate<'a> {
    pub(super) component: &'a str,
    pub(super) component_type: &'a str,
    pub(super) rendered: &'a RenderedObject,
    /// What names end with in the stage.
    pub(super) suffix: &'a str,
}

impl Candidate<'_> {
    fn is_meant(&self, selector: &Selector) -> bool {
        let one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|item| item == value);
        let key = ObjectKey::of(&self.rendered.object);
        let (kind, name) = key.map(|key| (key.kind, key.name)).unwrap_or_default();
        let is_called = |in_file: &String| staging::is_called(&name, in_file, self.suffix);
        let by_trait = self.rendered.by != self.component_type;
        let oam_type = if by_trait { OamType::Trait } else { OamType::Component };
        one_of(&selector.component_names, self.component)
            && one_of(&selector.component_types, self.component_type)
            && (selector.oam_types.is_empty() || selector.oam_types.contains(&oam_type))
            && (selector.trait_types.is_empty()
                || (by_trait && one_of(&selector.trait_types, &self.rendered.by)))
            && one_of(&selector.resource_types, &kind)
            && (selector.resource_names.is_empty() || selector.resource_names.iter().any(is_called))
    }
}

/// Writes into `object` what the policies say of it.
pub(super) fn apply(directives: &[(String, Directive)], candidate: &Candidate<'_>, object: &mut Object) {
    for (_, directive) in directives {
        match directive {
            Directive::ApplyOnce(rules) => {
                for rule in rules.iter().filter(|rule| candidate.is_meant(&rule.selector)) {
                    let rendered = &candidate.rendered.object;
                    object.once.extend(rule.paths.iter().flat_map(|path| pointers(path, rendered)));
                }
            }
            Directive::Collect(rules) => {
                let rule = rules.iter().find(|rule| candidate.is_meant(&rule.selector));
                object.collect = rule.map_or(object.collect, collect);
            }
            Directive::Health(rules) => {
                let rule = rules.iter().find(|rule| candidate.is_meant(&rule.selector));
                if let Some(rule) = rule {
                    object.ready = Ready::Cel(rule.cel.clone());
                }
            }
            Directive::Shared(rules) => {
                object.shared |= rules.iter().any(|rule| candidate.is_meant(&rule.selector));
            }
            Directive::Targets(_) | Directive::Overrides(_) | Directive::Replicate(_) => {}
        }
    }
    object.once.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    object.once.dedup();
}

fn collect(rule: &CollectRule) -> Collect {
    match rule.strategy {
        CollectStrategy::OnAppUpdate => Collect::OnUpdate,
        CollectStrategy::OnAppDelete => Collect::OnDelete,
        CollectStrategy::Never => Collect::Never,
    }
}

/// The places in an object that a rule's path means; `*` means all but what says which object it is.
fn pointers(path: &str, object: &Value) -> Vec<Pointer> {
    if path != EVERYTHING {
        return Pointer::from_dotted(path).into_iter().collect();
    }
    let fields = object.as_object().into_iter().flat_map(serde_json::Map::keys);
    let own = fields.filter(|field| !IDENTITY.contains(&field.as_str()));
    own.filter_map(|field| Pointer::from_dotted(field).ok()).collect()
}

/// What in the rules of policies cannot be read.
pub(super) fn unreadable(directives: &[(String, Directive)]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (policy, directive) in directives {
        let at = |index: usize, field: &str| format!("policies[{policy}].properties.rules[{index}].{field}");
        match directive {
            Directive::ApplyOnce(rules) => {
                for (index, rule) in rules.iter().enumerate() {
                    let paths = rule.paths.iter().filter(|path| path.as_str() != EVERYTHING);
                    found.extend(paths.filter_map(|path| Pointer::from_dotted(path).err()).map(|error| {
                        Violation::new("path_invalid", at(index, "strategy.path"), error.to_string())
                    }));
                }
            }
            Directive::Health(rules) => {
                let rules = rules.iter().enumerate();
                found.extend(
                    rules.filter_map(|(index, rule)| expressions::objection(&at(index, "cel"), &rule.cel)),
                );
            }
            Directive::Collect(_)
            | Directive::Shared(_)
            | Directive::Targets(_)
            | Directive::Overrides(_)
            | Directive::Replicate(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_definitions::directive::{ApplyOnceRule, HealthRule};

    use super::*;

    #[test]
    fn a_star_means_every_field_but_which_object_it_is() {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}, "immutable": true,
        });
        let texts = |path: &str| {
            let found = pointers(path, &object);
            found.iter().map(|pointer| pointer.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("*"), ["/data", "/immutable"]);
        assert_eq!(texts("metadata.annotations[\"a.b/c\"]"), ["/metadata/annotations/a.b~1c"]);
        assert_eq!(texts("spec..x"), [""; 0]);
    }

    #[test]
    fn rules_that_cannot_be_read_are_told_with_their_place() {
        let once = |paths: &[&str]| ApplyOnceRule {
            selector: Selector::default(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let health = |cel: &str| HealthRule { selector: Selector::default(), cel: cel.to_owned() };
        let directives = [
            (
                "once".to_owned(),
                Directive::ApplyOnce(vec![once(&["*", "spec.replicas"]), once(&["spec..x"])]),
            ),
            ("ready".to_owned(), Directive::Health(vec![health("object.ready"), health("object.ready ==")])),
        ];
        let found = unreadable(&directives);
        let paths: Vec<&str> = found.iter().map(|violation| violation.path.as_str()).collect();
        let expected =
            ["policies[once].properties.rules[1].strategy.path", "policies[ready].properties.rules[1].cel"];
        assert_eq!(paths, expected, "{found:?}");
    }
}
