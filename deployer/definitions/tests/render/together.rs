//! Components held against each other and against the cluster.

use serde_json::json;
use slipway_definitions::{RenderRequest, RenderedComponent, check_together, render};

use crate::world::{component, component_type, request, session, told, trait_type, web_type};

async fn checked(request: &RenderRequest) -> Vec<RenderedComponent> {
    let mut rendered = render(&mut session().await, request).await.unwrap();
    check_together(request, &mut rendered);
    rendered
}

#[tokio::test]
async fn what_the_cluster_lacks_is_told_with_what_brings_it() {
    let requires = "requires: [{apiVersion: apps.kruise.io/*, kind: CloneSet}, {apiVersion: apps/v1, kind: Deployment}, \
                    {apiVersion: x.example/v1, kind: X, install: 'helm install x'}], takes: nothing";
    let cloneset = component_type("cloneset", requires, "def render(ctx):\n    return []\n");
    let picky = trait_type(
        "picky",
        "appliesTo: ['*'], requires: [{apiVersion: batch/v1, kind: CronJob}]",
        "def render(ctx):\n    return []\n",
    );
    let rendered = checked(&request(vec![component(&cloneset, json!({}), &[&picky])])).await;
    let violations = &rendered[0].violations;
    assert_eq!(
        told(&violations[..3]),
        [
            "requirement_missing components[web]: component type `cloneset` 1.2.3 needs apps.kruise.io/* CloneSet, which the \
             cluster `main` does not serve",
            "requirement_missing components[web]: component type `cloneset` 1.2.3 needs x.example/v1 X, which the cluster \
             `main` does not serve",
            "requirement_missing components[web].traits[picky]: trait `picky` 1.2.3 needs batch/v1 CronJob, which the cluster \
             `main` does not serve",
        ]
    );
    let hints: Vec<&str> = violations.iter().filter_map(|violation| violation.hint.as_deref()).collect();
    assert!(hints[0].starts_with("install OpenKruise on `main`"), "{hints:?}");
    assert_eq!(hints[1], "install it there: helm install x");
    assert!(hints[2].contains("another version of Kubernetes"), "{hints:?}");
}

#[tokio::test]
async fn kinds_that_are_rendered_must_be_served_or_brought() {
    let object = |api_version: &str, kind: &str, more: &str| {
        let main = format!(
            "def render(ctx):\n    return [object.apply({{'apiVersion': '{api_version}', 'kind': '{kind}', \
             'metadata': {{'name': ctx.name}}{more}}})]\n"
        );
        component_type("raw", "takes: nothing, clusterScoped: ['*']", &main)
    };
    let thing = component(&object("example.com/v1", "Thing", ""), json!({}), &[]);
    let rendered = checked(&request(vec![thing.clone()])).await;
    assert_eq!(
        told(&rendered[0].violations),
        [
            "requirement_missing components[web]: `raw` renders Thing web of example.com/v1, which the cluster `main` does not serve"
        ]
    );
    let definition = ", 'spec': {'group': 'example.com', 'names': {'kind': 'Thing'}}";
    let mut bringing =
        component(&object("apiextensions.k8s.io/v1", "CustomResourceDefinition", definition), json!({}), &[]);
    bringing.name = "crd".into();
    let mut request = request(vec![thing, bringing]);
    request.cluster.apis.insert("apiextensions.k8s.io/v1/CustomResourceDefinition".into());
    let rendered = checked(&request).await;
    assert!(rendered.iter().all(|component| component.violations.is_empty()), "{rendered:?}");
}

#[tokio::test]
async fn one_object_belongs_to_one_component() {
    let web = component(&web_type(), json!({}), &[]);
    let mut other = web.clone();
    other.name = "api".into();
    other.path = "components[api]".into();
    other.object_name = Some("web".into());
    let rendered = checked(&request(vec![web, other])).await;
    assert!(rendered[0].violations.is_empty());
    assert_eq!(
        told(&rendered[1].violations),
        ["duplicate_object components[api]: components `web` and `api` both render Deployment web"]
    );
}

#[tokio::test]
async fn rendering_twice_gives_the_same() {
    let web = component(&web_type(), json!({"port": 80, "env": [{"name": "B"}, {"name": "A"}]}), &[]);
    let request = request(vec![web]);
    let first = serde_json::to_string(&checked(&request).await).unwrap();
    let second = serde_json::to_string(&checked(&request).await).unwrap();
    assert_eq!(first, second);
}
