//! What holds for a bundle in an environment, for those who are about to change it.

use serde_json::Value;
use slipway_oam::overlay::DeveloperComponent;
use slipway_oam::{Application, Component, Policy, Properties, Step, Trait};
use slipway_records::deploying::{ComponentInForce, InForce, PartInForce};
use slipway_types::{Fault, Violation};

use super::PlanRequest;
use crate::stage::Stage;

impl Stage {
    /// What holds: all levels over what developers declared. Nothing is rendered.
    pub(crate) async fn in_force(
        &self,
        request: &PlanRequest,
    ) -> Result<Result<InForce, Vec<Violation>>, Fault> {
        let (ground, _, violations) = match self.ground(request).await? {
            Ok(found) => found,
            Err(violations) => return Ok(Err(violations)),
        };
        if !violations.is_empty() {
            return Ok(Err(violations));
        }
        let developers = ground.developers();
        Ok(ground.merge().map(|merged| of(merged.application(), &developers)))
    }
}

fn of(application: &Application, developers: &[DeveloperComponent]) -> InForce {
    let steps = application.workflow.iter().flat_map(|workflow| &workflow.steps);
    InForce {
        components: application.components.iter().map(|one| component(one, developers)).collect(),
        policies: application.policies.iter().map(policy).collect(),
        steps: steps.map(step).collect(),
    }
}

fn component(component: &Component, developers: &[DeveloperComponent]) -> ComponentInForce {
    let declared = developers.iter().find(|declared| declared.name == component.name);
    ComponentInForce {
        name: component.name.clone(),
        kind: component.kind.clone(),
        properties: json(&component.properties),
        traits: component.traits.iter().filter(|one| !one.disable).map(of_trait).collect(),
        // Who declares no workload leaves it to the operators.
        overridable: declared
            .filter(|declared| declared.kind.is_some())
            .map(|declared| declared.overridable.clone()),
    }
}

fn of_trait(one: &Trait) -> PartInForce {
    PartInForce { name: one.kind.clone(), kind: one.kind.clone(), properties: json(&one.properties) }
}

fn policy(one: &Policy) -> PartInForce {
    PartInForce { name: one.name.clone(), kind: one.kind.clone(), properties: json(&one.properties) }
}

fn step(one: &Step) -> PartInForce {
    PartInForce { name: one.name.clone(), kind: one.kind.clone(), properties: json(&one.properties) }
}

fn json(properties: &Properties) -> Value {
    Value::Object(properties.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_operators_may_set_is_what_developers_declared() {
        let document = slipway_oam::read(
            b"apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n  \
              - name: web\n    properties: {replicas: 2}\n    traits: [{type: hpa, properties: {max: 3}}]\n  \
              - name: own\n    type: webservice\n  policies: [{name: where, type: topology}]\n  workflow: {steps: \
              [{name: look, type: suspend}]}\n",
            "test",
            &slipway_oam::OamOptions::default(),
        );
        let declared = DeveloperComponent {
            name: "web".to_owned(),
            kind: Some("webservice".to_owned()),
            overridable: vec!["replicas".to_owned()],
            ..DeveloperComponent::default()
        };
        let found = of(&document.unwrap().application, &[declared]);
        assert_eq!(found.components[0].overridable, Some(vec!["replicas".to_owned()]));
        assert_eq!(found.components[0].properties, json!({"replicas": 2}));
        assert_eq!(found.components[0].traits[0].properties, json!({"max": 3}));
        assert_eq!(found.components[1].overridable, None);
        assert_eq!((found.policies[0].kind.as_str(), found.steps[0].name.as_str()), ("topology", "look"));
    }
}
