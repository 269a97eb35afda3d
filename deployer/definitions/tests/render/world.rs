//! Definitions and applications of the tests' own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use serde_json::{Value, json};
use slipway_definitions::{
    ClusterFacts, ComponentRequest, Definition, EnvironmentFacts, Folder, FolderOptions, Holds, ImageFacts,
    RenderOptions, RenderRequest, RenderedComponent, TraitRequest, render,
};
use slipway_plugins::{Host, PluginOptions, Session};
use slipway_types::Violation;

pub(crate) async fn session() -> Session {
    let child = OsString::from(env!("CARGO_BIN_EXE_definitions-plugin-host"));
    Host::new(vec![child], PluginOptions::default()).session().await.unwrap()
}

pub(crate) const OPEN_SCHEMA: &str = r#"{"type": "object", "additionalProperties": true}"#;

/// A definition of these parts; `spec` without `api`.
pub(crate) fn definition(kind: &str, name: &str, spec: &str, schema: &str, main: &str) -> Arc<Definition> {
    let manifest = format!(
        "apiVersion: slipway.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, version: 1.2.3, description: A test.}}\n\
         spec: {{api: 1, {spec}}}\n"
    );
    let files = [("definition.yaml", manifest.as_str()), ("schema.json", schema), ("main.star", main)];
    let files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let folder = Folder::new(files, &FolderOptions::default()).unwrap();
    Arc::new(Definition::load(folder).unwrap())
}

pub(crate) fn component_type(name: &str, spec: &str, main: &str) -> Arc<Definition> {
    definition("ComponentDefinition", name, spec, OPEN_SCHEMA, main)
}

pub(crate) fn trait_type(name: &str, spec: &str, main: &str) -> Arc<Definition> {
    definition("TraitDefinition", name, spec, OPEN_SCHEMA, main)
}

/// A Deployment whose fields the properties say, and a Service if `port` is given.
pub(crate) fn web_type() -> Arc<Definition> {
    let main = r#"
def render(ctx):
    p = ctx.properties
    container = {"name": ctx.name, "image": p.get("image") or ctx.images[0]["reference"], "env": p.get("env")}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": ctx.object_name, "labels": ctx.labels},
        "spec": {"replicas": p.get("replicas"), "selector": {"matchLabels": ctx.selector},
            "template": {"metadata": {"labels": ctx.labels}, "spec": {"containers": [container]}}}}
    verbs = [object.apply(deployment)]
    if p.get("port"):
        verbs.append(object.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": ctx.object_name},
            "spec": {"selector": ctx.selector, "ports": [{"port": p["port"]}]}}))
        ref = {"apiVersion": "v1", "kind": "Service", "name": ctx.object_name}
        verbs.append(output.set("address", object = ref, path = "spec.clusterIP"))
    return verbs
"#;
    component_type(
        "web",
        "workload: {apiVersion: apps/v1, kind: Deployment}, takes: image, outputs: [address]",
        main,
    )
}

/// A trait that writes `fields` (Starlark) into the workload.
pub(crate) fn writer(name: &str, spec: &str, fields: &str) -> Arc<Definition> {
    let main = format!(
        r#"
def render(ctx):
    w = ctx.workload
    return [object.apply({{"apiVersion": w["apiVersion"], "kind": w["kind"],
        "metadata": {{"name": w["metadata"]["name"]}}}} | {fields})]
"#
    );
    trait_type(name, &format!("appliesTo: ['*'], {spec}"), &main)
}

pub(crate) fn attached(definition: &Arc<Definition>, properties: Value) -> TraitRequest {
    let path = format!("components[web].traits[{}]", definition.name());
    TraitRequest { definition: Arc::clone(definition), properties, path }
}

pub(crate) fn component(
    definition: &Arc<Definition>,
    properties: Value,
    traits: &[&Arc<Definition>],
) -> ComponentRequest {
    let image = ImageFacts {
        name: "web".into(),
        reference: "r.example/web@sha256:0".into(),
        platforms: vec!["linux/amd64".into()],
    };
    ComponentRequest {
        name: "web".into(),
        object_name: None,
        type_definition: Arc::clone(definition),
        version: "1.4.2".parse().unwrap(),
        properties,
        images: vec![image],
        package: Holds { image: true, ..Holds::default() },
        traits: traits.iter().map(|definition| attached(definition, json!({}))).collect(),
        path: "components[web]".into(),
    }
}

pub(crate) fn request(components: Vec<ComponentRequest>) -> RenderRequest {
    let apis = [
        "apps/v1/Deployment",
        "apps/v1/StatefulSet",
        "v1/Service",
        "v1/ConfigMap",
        "v1/Secret",
        "batch/v1/Job",
        "policy/v1/PodDisruptionBudget",
    ];
    RenderRequest {
        app: "commerce/shop".parse().unwrap(),
        environment: EnvironmentFacts { name: "prod".into(), address: "eu/main/shop".parse().unwrap() },
        cluster: ClusterFacts { version: "1.30".into(), apis: apis.map(String::from).into() },
        components,
        options: RenderOptions::default(),
    }
}

/// The one component, rendered.
pub(crate) async fn rendered(component: ComponentRequest) -> RenderedComponent {
    let request = request(vec![component]);
    render(&mut session().await, &request).await.unwrap().remove(0)
}

/// Code, path and message of each violation.
pub(crate) fn told(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{} {violation}", violation.code)).collect()
}

pub(crate) fn codes(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|violation| violation.code.as_str()).collect()
}
