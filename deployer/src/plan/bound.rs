//! What an application's components get of the add-ons that it is bound to.
//!
//! A text `addon://NAME/OUTPUT` in the properties of a component or trait stands for an output; one that is a secret
//! becomes a reference to the built-in secret that was made for the binding, which lies in the scope of the
//! application in this environment. A binding with a prefix gives its outputs to all components with pods, as
//! variables by the trait `env`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use slipway_definitions::manifest::Applicability;
use slipway_definitions::{ComponentRequest, Definition, DefinitionKind, TraitRequest};
use slipway_records::{AddonBinding, AddonInstance, Read, RecordsError};
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::{SecretReference, Violation};

use super::{Chosen, Ground};

/// What texts begin with that stand for an output.
const SCHEME: &str = "addon://";
/// The trait by which outputs become variables.
const ENV: &str = "env";
/// The output that every instance with accounts gives: what it calls the application.
const ACCOUNT: &str = "account";

/// An add-on that an application is bound to.
#[derive(Debug)]
pub(super) struct Bound {
    binding: AddonBinding,
    addon: AddonInstance,
}

/// What an application in an environment is bound to.
pub(super) async fn load(
    read: &mut dyn Read,
    application: ApplicationId,
    environment: EnvironmentId,
) -> Result<Vec<Bound>, RecordsError> {
    let mut all = Vec::new();
    for binding in read.addon_bindings_of(application, environment).await? {
        if let Some(addon) = read.addon_get(binding.addon_id).await? {
            all.push(Bound { binding, addon });
        }
    }
    Ok(all)
}

impl Bound {
    /// What it gives; `None`: it is not there yet.
    fn outputs(&self) -> Option<BTreeMap<String, Value>> {
        if self.addon.ready_generation < self.binding.generation {
            return None;
        }
        let mut outputs = self.addon.outputs.clone();
        if !self.addon.binding_secrets.is_empty() {
            outputs.insert(ACCOUNT.to_owned(), self.binding.account.clone().into());
        }
        for name in &self.addon.binding_secrets {
            let reference = SecretReference::builtin(self.binding.secret(name));
            outputs.insert(name.clone(), reference.to_string().into());
        }
        Some(outputs)
    }

    fn not_ready(&self, path: &str) -> Violation {
        let name = &self.addon.name;
        let why = self.addon.state.reason().map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("the add-on `{name}` is {} for this binding{why}", self.addon.state.word());
        Violation::new("addon_not_ready", path, message).hint(format!("slipway addon show {name}"))
    }

    /// The variables that begin with its prefix.
    fn variables(&self, prefix: &str, outputs: BTreeMap<String, Value>) -> Vec<(String, Value)> {
        let name = |output: &str| format!("{prefix}_{}", output.replace(['-', '.'], "_").to_uppercase());
        let variable = |(output, value): (String, Value)| {
            let is_plain = value.is_string() || value.is_number() || value.is_boolean();
            (name(&output), if is_plain { value } else { value.to_string().into() })
        };
        outputs.into_iter().map(variable).collect()
    }
}

impl Ground<'_> {
    /// Puts outputs of add-ons where components name them, and gives them the variables of bindings with a prefix.
    pub(super) fn fill_bound(&self, chosen: &mut Chosen) -> Vec<Violation> {
        let mut violations = Vec::new();
        let filling = Filling {
            bound: &self.bound,
            application: self.request.application.name.to_string(),
            environment: self.request.environment.name.to_string(),
        };
        for component in &mut chosen.render.components {
            let path = format!("{}.properties", component.path);
            filling.fill(&mut component.properties, &path, &mut violations);
            for wanted in &mut component.traits {
                let path = format!("{}.properties", wanted.path);
                filling.fill(&mut wanted.properties, &path, &mut violations);
            }
        }
        self.give_variables(chosen, &mut violations);
        violations
    }

    fn give_variables(&self, chosen: &mut Chosen, violations: &mut Vec<Violation>) {
        let mut variables = Map::new();
        for bound in &self.bound {
            let Some(prefix) = &bound.binding.prefix else { continue };
            match bound.outputs() {
                Some(outputs) => variables.extend(bound.variables(prefix, outputs)),
                None => violations.push(bound.not_ready("components")),
            }
        }
        if variables.is_empty() {
            return;
        }
        let definition = match self.definitions.resolve(DefinitionKind::Trait, ENV, "components") {
            Ok(definition) => definition,
            Err(violation) => {
                violations.push(*violation);
                return;
            }
        };
        let mut is_used = false;
        for component in chosen.render.components.iter_mut().filter(|one| takes(&definition, one)) {
            is_used = true;
            match component.traits.iter_mut().find(|one| one.definition.answers_to(ENV)) {
                Some(own) => violations.extend(extended(own, &variables)),
                None => component.traits.push(TraitRequest {
                    definition: Arc::clone(&definition),
                    properties: serde_json::json!({"env": variables.clone()}),
                    path: format!("{}.traits[{ENV}]", component.path),
                }),
            }
        }
        if is_used {
            chosen.definitions.insert((DefinitionKind::Trait, ENV.to_owned()), definition);
        }
    }
}

/// Whether the trait applies to a component by the kind of its workload. What comes with a package is left alone.
fn takes(definition: &Definition, component: &ComponentRequest) -> bool {
    let workload =
        component.type_definition.manifest().as_component().and_then(|body| body.workload.as_ref());
    let (Some(workload), Some(body)) = (workload, definition.manifest().as_trait()) else { return false };
    let kind = workload.group_kind();
    body.applies_to.iter().any(|applicability| match applicability {
        Applicability::Any => true,
        Applicability::Workload(known) => *known == kind,
        Applicability::Type(name) => component.type_definition.answers_to(name.as_str()),
    })
}

/// A trait `env` of the component's own with further variables; its own win.
fn extended(own: &mut TraitRequest, variables: &Map<String, Value>) -> Option<Violation> {
    if own.properties.get("containers").is_some() {
        let message = "variables of add-ons have no place beside `containers`";
        let hint = "bind without --as, and name what each container needs: addon://NAME/OUTPUT";
        return Some(Violation::new("addon_variables", &own.path, message).hint(hint));
    }
    let Value::Object(properties) = &mut own.properties else { return None };
    let env = properties.entry("env").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(env) = env {
        for (name, value) in variables {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    None
}

/// Outputs put where texts stand for them.
struct Filling<'a> {
    bound: &'a [Bound],
    application: String,
    environment: String,
}

impl Filling<'_> {
    fn fill(&self, value: &mut Value, path: &str, violations: &mut Vec<Violation>) {
        match value {
            Value::String(text) => {
                let Some(named) = text.strip_prefix(SCHEME) else { return };
                match self.output(named, path) {
                    Ok(found) => *value = found,
                    Err(violation) => violations.push(*violation),
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill(item, &format!("{path}[{index}]"), violations);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.fill(field, &format!("{path}.{name}"), violations);
                }
            }
            _ => {}
        }
    }

    fn output(&self, named: &str, path: &str) -> Result<Value, Box<Violation>> {
        let (name, output) = named.split_once('/').unwrap_or((named, ""));
        let Some(bound) = self.bound.iter().find(|bound| bound.addon.name.as_str() == name) else {
            let Self { application, environment, .. } = self;
            let message = format!("{application} is not bound to the add-on `{name}` in {environment}");
            let hint = format!("bind it: slipway addon bind {name} {application} --env {environment}");
            return Err(Box::new(Violation::new("addon_not_bound", path, message).hint(hint)));
        };
        let outputs = bound.outputs().ok_or_else(|| Box::new(bound.not_ready(path)))?;
        outputs.get(output).cloned().ok_or_else(|| {
            let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
            let message = format!("the add-on `{name}` has no output `{output}`");
            let hint = format!("it has {}: write addon://{name}/OUTPUT", known.join(", "));
            Box::new(Violation::new("unknown_output", path, message).hint(hint))
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;
    use slipway_types::id::{AddonBindingId, AddonId};
    use slipway_types::state::AddonState;

    use super::*;

    fn bound(ready_generation: u64) -> Bound {
        let addon = AddonInstance {
            id: AddonId::new(),
            name: "orders".parse().unwrap(),
            team: "default".parse().unwrap(),
            owner: "ann".into(),
            environment_id: EnvironmentId::new(),
            definition: "redis".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            properties: json!({}),
            protected: true,
            state: AddonState::Applying { why: Some("1 of 2 pods".into()) },
            outputs: BTreeMap::from([
                ("host".into(), "orders.data.svc".into()),
                ("port".into(), json!(6379)),
            ]),
            binding_secrets: vec!["password".into()],
            in_cluster: true,
            has_release: false,
            failure: None,
            generation: 2,
            ready_generation,
            handed_off: 2,
            revision: None,
            predecessor: None,
            sequence: 0,
            created_at: Utc::now(),
            created_by: "ann".into(),
            changed_at: Utc::now(),
            changed_by: "ann".into(),
            cordoned_at: None,
            row_version: 1,
        };
        let binding = AddonBinding {
            id: AddonBindingId::new(),
            addon_id: addon.id,
            addon: addon.name.clone(),
            application_id: ApplicationId::new(),
            application: "shop".parse().unwrap(),
            environment_id: EnvironmentId::new(),
            environment: "prod".parse().unwrap(),
            account: "shop_prod".into(),
            prefix: None,
            generation: 2,
            created_at: Utc::now(),
            created_by: "ann".into(),
            ended_at: None,
        };
        Bound { binding, addon }
    }

    fn filled(bound: &[Bound], mut properties: Value) -> (Value, Vec<String>) {
        let filling = Filling { bound, application: "shop".into(), environment: "prod".into() };
        let mut violations = Vec::new();
        filling.fill(&mut properties, "p", &mut violations);
        (properties, violations.iter().map(|found| format!("{} {}", found.code, found.path)).collect())
    }

    #[test]
    fn an_output_stands_where_it_was_named_and_a_secret_stays_a_reference() {
        let orders = bound(2);
        let password = format!("secret://builtin/addon/orders/{}/password", orders.binding.short());
        let wanted = json!({
            "env": {"HOST": "addon://orders/host", "USER": "addon://orders/account"},
            "list": [{"value": "addon://orders/port"}, "addon://orders/password", "plain"],
        });
        let (properties, violations) = filled(&[orders], wanted);
        assert_eq!(violations, [""; 0]);
        let expected = json!({
            "env": {"HOST": "orders.data.svc", "USER": "shop_prod"},
            "list": [{"value": 6379}, password, "plain"],
        });
        assert_eq!(properties, expected);
    }

    #[test]
    fn what_is_not_bound_not_ready_or_not_there_is_told() {
        for (all, text, expected) in [
            (vec![bound(2)], "addon://carts/host", "addon_not_bound p.a"),
            (vec![bound(2)], "addon://orders/hots", "unknown_output p.a"),
            (vec![bound(2)], "addon://orders", "unknown_output p.a"),
            (vec![bound(1)], "addon://orders/host", "addon_not_ready p.a"),
        ] {
            assert_eq!(filled(&all, json!({"a": text})).1, [expected]);
        }
    }

    #[test]
    fn variables_begin_with_the_prefix() {
        let mut orders = bound(2);
        orders.addon.outputs.insert("read-only.host".into(), json!(["a"]));
        let outputs = orders.outputs().unwrap();
        let variables: BTreeMap<String, Value> = orders.variables("CACHE", outputs).into_iter().collect();
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        let expected =
            ["CACHE_ACCOUNT", "CACHE_HOST", "CACHE_PASSWORD", "CACHE_PORT", "CACHE_READ_ONLY_HOST"];
        assert_eq!(names, expected);
        assert_eq!(
            (&variables["CACHE_PORT"], &variables["CACHE_READ_ONLY_HOST"]),
            (&json!(6379), &json!("[\"a\"]"))
        );
    }
}
