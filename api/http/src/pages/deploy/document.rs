//! The configuration that goes with one deployment: an OAM Application of which forms change parts, leaving the
//! rest as it is.

use serde_json::{Map, Value, json};
use slipway_types::ApplicationName;

use super::form::yaml;
use super::part::Part;

/// The format that forms write.
const API_VERSION: &str = "core.oam.dev/v1beta1";

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    root: Value,
}

/// What a part says, as forms show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PartContent {
    /// Its definition; `None` for a component that names no type.
    pub(super) kind: Option<String>,
    /// Its own name.
    pub(super) name: String,
    pub(super) properties: Value,
}

impl Document {
    /// A document that says nothing.
    pub(super) fn new(application: &ApplicationName) -> Self {
        let metadata = json!({"name": application.bare().as_str()});
        Self {
            root: json!({"apiVersion": API_VERSION, "kind": "Application", "metadata": metadata, "spec": {}}),
        }
    }

    /// What is written; one that says nothing where nothing is.
    pub(super) fn read(text: &str, application: &ApplicationName) -> Result<Self, String> {
        Ok(yaml(text)?.map_or_else(|| Self::new(application), |root| Self { root }))
    }

    /// The document as YAML; empty if it says nothing.
    pub(super) fn text(&self) -> String {
        let says_nothing = self.root["spec"].as_object().is_some_and(Map::is_empty);
        if says_nothing { String::new() } else { slipway_yaml::write(&self.root) }
    }

    /// Whether its parts can be changed by forms: others than OAM's own format are only text here.
    pub(super) fn has_forms(&self) -> bool {
        let is_list = |value: Option<&Value>| {
            value.is_none_or(|list| list.as_array().is_some_and(|list| list.iter().all(Value::is_object)))
        };
        let spec = self.root.get("spec").and_then(Value::as_object);
        spec.is_some_and(|spec| {
            let workflow = spec.get("workflow").is_none_or(|workflow| {
                workflow.as_object().is_some_and(|workflow| is_list(workflow.get("steps")))
            });
            let components = spec.get("components");
            workflow
                && is_list(components)
                && is_list(spec.get("policies"))
                && items(components).iter().all(|component| is_list(component.get("traits")))
        }) && self.root["apiVersion"] == API_VERSION
    }

    /// The names of components that it says something of.
    pub(super) fn components(&self) -> Vec<&str> {
        items(self.root["spec"].get("components")).iter().filter_map(|one| one["name"].as_str()).collect()
    }

    /// The traits that it gives a component.
    pub(super) fn traits(&self, component: &str) -> Vec<(Part, PartContent)> {
        let found = items(self.root["spec"].get("components")).iter().find(|one| one["name"] == component);
        let traits = items(found.and_then(|found| found.get("traits")));
        let part = |place| Part::Trait(component.to_owned(), Some(place));
        traits.iter().enumerate().map(|(place, one)| (part(place), content(one))).collect()
    }

    /// Its policies.
    pub(super) fn policies(&self) -> Vec<(Part, PartContent)> {
        let policies = items(self.root["spec"].get("policies")).iter().enumerate();
        policies.map(|(place, one)| (Part::Policy(Some(place)), content(one))).collect()
    }

    /// The steps of its workflow.
    pub(super) fn steps(&self) -> Vec<(Part, PartContent)> {
        let steps = items(self.root["spec"]["workflow"].get("steps")).iter().enumerate();
        steps.map(|(place, one)| (Part::Step(Some(place)), content(one))).collect()
    }

    /// What a part says; `None` if there is none.
    pub(super) fn part(&self, part: &Part) -> Option<PartContent> {
        let found = |all: Vec<(Part, PartContent)>| all.into_iter().find(|(one, _)| one == part);
        match part {
            Part::Component(name) => {
                let all = items(self.root["spec"].get("components"));
                all.iter().find(|one| one["name"] == **name).map(content)
            }
            Part::Trait(component, _) => found(self.traits(component)).map(|(_, content)| content),
            Part::Policy(_) => found(self.policies()).map(|(_, content)| content),
            Part::Step(_) => found(self.steps()).map(|(_, content)| content),
        }
    }

    /// Writes a part; what it says besides stays.
    pub(super) fn put(&mut self, part: &Part, content: PartContent) {
        let Some((list, place)) = self.list_of(part) else { return };
        let place = place.filter(|place| *place < list.len()).unwrap_or_else(|| {
            list.push(json!({}));
            list.len() - 1
        });
        let one = &mut list[place];
        if part.is_named() || matches!(part, Part::Component(_)) {
            one["name"] = json!(content.name);
        }
        if let Some(kind) = content.kind {
            one["type"] = json!(kind);
        }
        match content.properties.as_object().is_some_and(Map::is_empty) {
            true => drop(one.as_object_mut().and_then(|one| one.remove("properties"))),
            false => one["properties"] = content.properties,
        }
        self.tidy();
    }

    /// Takes a part away; of a component, what is set of it, not its traits.
    pub(super) fn remove(&mut self, part: &Part) {
        let Some((list, place)) = self.list_of(part) else { return };
        match (part, place) {
            (Part::Component(_), Some(place)) => {
                if let Some(one) = list.get_mut(place).and_then(Value::as_object_mut) {
                    one.remove("properties");
                }
            }
            (_, Some(place)) if place < list.len() => drop(list.remove(place)),
            _ => {}
        }
        self.tidy();
    }

    /// The list that a part stands in, and where; made where it is missing. `None`: forms cannot change it.
    fn list_of(&mut self, part: &Part) -> Option<(&mut Vec<Value>, Option<usize>)> {
        if !self.has_forms() {
            return None;
        }
        let spec = self.root.get_mut("spec")?.as_object_mut()?;
        let place_of = |list: &[Value], name: &str| list.iter().position(|one| one["name"] == name);
        match part {
            Part::Component(name) => {
                let list = list(spec, "components")?;
                let place = place_of(list, name);
                Some((list, place))
            }
            Part::Trait(component, place) => {
                let components = list(spec, "components")?;
                let found = place_of(components, component).unwrap_or_else(|| {
                    components.push(json!({"name": component}));
                    components.len() - 1
                });
                Some((list(components[found].as_object_mut()?, "traits")?, *place))
            }
            Part::Policy(place) => Some((list(spec, "policies")?, *place)),
            Part::Step(place) => {
                let workflow = spec.entry("workflow").or_insert_with(|| json!({}));
                Some((list(workflow.as_object_mut()?, "steps")?, *place))
            }
        }
    }

    /// Takes away what says nothing.
    fn tidy(&mut self) {
        let Some(spec) = self.root.get_mut("spec").and_then(Value::as_object_mut) else { return };
        if let Some(components) = spec.get_mut("components").and_then(Value::as_array_mut) {
            for component in components.iter_mut().filter_map(Value::as_object_mut) {
                drop_empty(component, "traits");
            }
            components.retain(|component| component.as_object().is_none_or(|one| one.len() > 1));
        }
        if let Some(workflow) = spec.get_mut("workflow").and_then(Value::as_object_mut) {
            drop_empty(workflow, "steps");
        }
        for key in ["components", "policies", "workflow"] {
            drop_empty(spec, key);
        }
    }
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Vec<Value>> {
    map.entry(key).or_insert_with(|| json!([])).as_array_mut()
}

fn drop_empty(map: &mut Map<String, Value>, key: &str) {
    let is_empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    if map.get(key).is_some_and(is_empty) {
        map.remove(key);
    }
}

fn content(one: &Value) -> PartContent {
    let kind = one["type"].as_str().map(str::to_owned);
    let name = one["name"].as_str().or(kind.as_deref()).unwrap_or_default().to_owned();
    PartContent { name, kind, properties: one.get("properties").cloned().unwrap_or_else(|| json!({})) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> ApplicationName {
        "commerce/shop".parse().unwrap()
    }

    fn content(kind: &str, name: &str, properties: Value) -> PartContent {
        PartContent { kind: Some(kind.to_owned()), name: name.to_owned(), properties }
    }

    #[test]
    fn parts_are_written_and_taken_away_again() {
        let mut document = Document::new(&shop());
        assert_eq!(document.text(), "");
        let web = Part::Component("web".to_owned());
        document.put(&web, PartContent { kind: None, ..content("", "web", json!({"replicas": 3})) });
        let hpa = Part::Trait("web".to_owned(), None);
        document.put(&hpa, content("hpa", "", json!({"max": 3})));
        document.put(&Part::Trait("api".to_owned(), None), content("labels", "", json!({})));
        document.put(&Part::Policy(None), content("topology", "where", json!({"clusters": ["kind"]})));
        document.put(&Part::Step(None), content("suspend", "look", json!({})));
        let again = Document::read(&document.text(), &shop()).unwrap();
        assert_eq!(again, document);
        assert!(again.has_forms());
        assert_eq!(again.components(), ["web", "api"]);
        assert_eq!(again.part(&web).unwrap().properties, json!({"replicas": 3}));
        let (hpa, known) = again.traits("web").remove(0);
        assert_eq!((hpa.to_string().as_str(), known.kind.as_deref()), ("trait/web/0", Some("hpa")));
        document.put(&hpa, content("hpa", "", json!({"max": 5})));
        assert_eq!(document.traits("web").len(), 1);
        assert_eq!(document.part(&hpa).unwrap().properties, json!({"max": 5}));
        for part in [hpa, web, Part::Trait("api".to_owned(), Some(0)), Part::Policy(Some(0))] {
            document.remove(&part);
        }
        assert!(document.policies().is_empty());
        assert!(document.components().is_empty());
        document.remove(&Part::Step(Some(0)));
        assert_eq!(document.text(), "", "{document:?}");
    }

    #[test]
    fn what_forms_do_not_show_stays() {
        let text = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  bundle: \
                    {range: ^1.0}\n  policies: [{name: a, type: topology, properties: {stage: x}}]\n";
        let mut document = Document::read(text, &shop()).unwrap();
        document.put(&Part::Policy(Some(0)), content("topology", "b", json!({"stage": "night"})));
        document.remove(&Part::Policy(Some(7)));
        assert!(document.text().contains("range: ^1.0") && document.text().contains("stage: night"));
        assert_eq!(document.policies()[0].1.name, "b");
    }

    #[test]
    fn other_formats_are_text_alone() {
        for text in [
            "apiVersion: core.oam.dev/v1alpha2\nspec: {}",
            "apiVersion: core.oam.dev/v1beta1\nspec: {components: {}}",
            "apiVersion: core.oam.dev/v1beta1\nspec: {workflow: []}",
            "- a",
            "5",
        ] {
            let mut document = Document::read(text, &shop()).unwrap();
            let before = document.clone();
            assert!(!document.has_forms(), "{text}");
            document.put(&Part::Policy(None), content("topology", "a", json!({})));
            document.remove(&Part::Component("web".to_owned()));
            assert_eq!(document, before, "{text}");
        }
        let place = Document::read("a: 1\nb: ]", &shop()).unwrap_err();
        assert!(place.starts_with("2:"), "{place}");
    }
}
