//! The step `canary`: some pods of a component as it will be, beside those that run.
//!
//! They are a second Deployment under a name that nothing else can have, with the labels that Services select by,
//! so each pod gets its share of the traffic. ConfigMaps and Secrets of the component that the pods name are
//! copied too: what runs keeps its own. All of it goes when the deployment is live.

use serde_json::Value;
use slipway_definitions::ObjectKey;
use slipway_definitions::directive::Canary;
use slipway_handoff::{Node, Object, ObjectRef};
use slipway_types::Violation;

use super::ChosenStep;
use super::closed::Drawing;
use super::staging::Renames;
use super::steps::Walk;

/// What names of copies end with. No component, stage or copy has a name with two dashes in a row.
const SUFFIX: &str = "--canary";
/// The label by which the pods of a canary are told from others.
const TRACK: &str = "slipway.dev/track";
/// The most pods of a canary.
const REPLICAS_MAX: u64 = 1_000;
const UNSUPPORTED: &str = "canary_unsupported";

impl Walk<'_> {
    /// The node of a canary, which comes before the component itself.
    pub(super) fn canary(&self, drawing: &mut Drawing, step: &ChosenStep, canary: &Canary) -> Option<Node> {
        let component = &canary.component;
        let path = format!("workflow.steps[{}].properties.component", step.step.name);
        let application = self.chosen.merged.application();
        let refused = match self.chosen.merged.copies_of(component).as_slice() {
            [only] if !drawing.ends.contains_key(only) => Some("it is not deployed here"),
            [only] if self.placed.contains(only) => Some("a step before this one deploys it"),
            [only] if application.component(only).is_some_and(|found| !found.inputs.is_empty()) => {
                Some("it takes outputs of others, which are known later")
            }
            [_] => None,
            _ => Some("it has several copies"),
        };
        if let Some(why) = refused {
            let message = format!("`{component}` has no canary: {why}");
            let wrong = Violation::new("canary_unsupported", path, message);
            drawing
                .wrong(wrong.hint("put the canary before the step that deploys the component, or remove it"));
            return None;
        }
        drawing.canary(canary, component, self.dressing.address.namespace(), &path)
    }
}

impl Drawing {
    /// The node of a canary of `component`, which is drawn already.
    pub(super) fn canary(
        &mut self,
        canary: &Canary,
        component: &str,
        namespace: &str,
        path: &str,
    ) -> Option<Node> {
        let drawn = self.nodes.values();
        let own = drawn.filter(|node| node.component.as_ref().is_some_and(|name| name.as_str() == component));
        let objects: Vec<Object> = own.flat_map(|node| node.objects.clone()).collect();
        let is_deployment =
            |object: &&Object| object.object.group() == "apps" && object.object.kind == "Deployment";
        let mut deployments = objects.iter().filter(is_deployment);
        let (Some(workload), None) = (deployments.next(), deployments.next()) else {
            let message =
                format!("`{component}` has not just one Deployment: of nothing else a few can stand beside");
            self.wrong(
                Violation::new(UNSUPPORTED, path, message).hint("remove the step; or use the trait `canary`"),
            );
            return None;
        };
        let mut copy = self.manifest(&workload.manifest)?;
        let config = |object: &&Object| {
            object.object.group().is_empty() && matches!(object.object.kind.as_str(), "ConfigMap" | "Secret")
        };
        let config: Vec<&ObjectRef> = objects.iter().filter(config).map(|object| &object.object).collect();
        let renames = Renames::of_named(&copy, namespace, &config, renamed);
        let mut node = Node { temporary: true, ..Node::default() };
        for object in &objects {
            let ObjectRef { api_version, kind, name, .. } = object.object.clone();
            let Some(name) = renames.new_name(&ObjectKey { api_version, kind, name }) else { continue };
            let mut manifest = self.manifest(&object.manifest)?;
            manifest["metadata"]["name"] = name.into();
            node.objects.extend(self.keep(component, &manifest));
        }
        renames.follow(&mut copy, namespace);
        shrink(&mut copy, replicas(&canary.replicas, copy["spec"]["replicas"].as_u64().unwrap_or(1)));
        let kept = self.keep(component, &copy)?;
        node.objects.push(Object { ready: workload.ready.clone(), ..kept });
        Some(node)
    }
}

fn renamed(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

/// How many pods: a number, or a share of `whole`, rounded up.
fn replicas(text: &str, whole: u64) -> u64 {
    let count = match text.strip_suffix('%') {
        Some(share) => share.parse::<u64>().unwrap_or(100).saturating_mul(whole).div_ceil(100),
        None => text.parse().unwrap_or(1),
    };
    count.clamp(1, REPLICAS_MAX)
}

/// Makes a Deployment a small one beside itself, with a selector of its own.
fn shrink(deployment: &mut Value, replicas: u64) {
    let name = deployment["metadata"]["name"].as_str().map(renamed);
    deployment["metadata"]["name"] = name.into();
    deployment["spec"]["replicas"] = replicas.into();
    deployment["spec"]["selector"]["matchLabels"][TRACK] = "canary".into();
    deployment["spec"]["template"]["metadata"]["labels"][TRACK] = "canary".into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_handoff::Ready;

    use super::*;

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": 7, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "foreign"}}]}
            ]}}}})
    }

    fn config(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"a": "b"}})
    }

    fn drawn(objects: &[Value]) -> Drawing {
        let mut drawing = Drawing::default();
        let objects = objects.iter().filter_map(|object| drawing.keep("web", object)).collect();
        let component = "web".parse().ok();
        drawing.nodes.insert("web".into(), Node { component, objects, ..Node::default() });
        drawing
    }

    fn canary(drawing: &mut Drawing, replicas: &str) -> Option<Node> {
        let wanted = Canary { component: "web".into(), replicas: replicas.into() };
        drawing.canary(&wanted, "web", "shop", "workflow.steps[try]")
    }

    #[test]
    fn a_canary_is_a_small_copy_with_what_its_pods_name() {
        let mut drawing = drawn(&[config("settings"), config("other"), deployment()]);
        let node = canary(&mut drawing, "20%").unwrap();
        let names: Vec<&str> = node.objects.iter().map(|object| object.object.name.as_str()).collect();
        assert_eq!((names, node.temporary), (vec!["settings--canary", "web--canary"], true));
        let copy = drawing.manifest(&node.objects[1].manifest).unwrap();
        assert_eq!(copy["spec"]["replicas"], 2, "a fifth of 7, rounded up");
        let labels = json!({"app": "web", TRACK: "canary"});
        assert_eq!(copy["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(copy["spec"]["template"]["metadata"]["labels"], labels, "Services select them, too");
        let from = &copy["spec"]["template"]["spec"]["containers"][0]["envFrom"];
        assert_eq!(from[0]["configMapRef"]["name"], "settings--canary");
        assert_eq!(from[1]["secretRef"]["name"], "foreign", "it is not the component's");
        assert_eq!(node.objects[1].ready, Ready::Kstatus);
    }

    #[test]
    fn only_one_deployment_can_have_a_canary() {
        for objects in [
            vec![config("settings")],
            vec![deployment(), {
                let mut other = deployment();
                other["metadata"]["name"] = "other".into();
                other
            }],
        ] {
            let mut drawing = drawn(&objects);
            assert!(canary(&mut drawing, "1").is_none());
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        for (text, whole, count) in
            [("1", 9, 1), ("3", 1, 3), ("20%", 7, 2), ("1%", 0, 1), ("100%", 4, 4), ("9999", 1, 1_000)]
        {
            assert_eq!(replicas(text, whole), count, "{text} of {whole}");
        }
    }
}
