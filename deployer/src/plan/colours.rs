//! The step `blue-green`: all pods of a component as it will be, beside those that run and without traffic; the
//! step that deploys the component moves its Services over.
//!
//! A version is a colour: eight digits of the digest of its pods and of what they name. The Deployment, and the
//! ConfigMaps and Secrets that its pods name, end with it, so that two versions stand side by side under names of
//! their own, the same version is the same Deployment wherever it comes from, and going back is moving the
//! Services back. What is no longer wanted goes as anything does, when all is live.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use slipway_definitions::directive::BlueGreen;
use slipway_handoff::{Node, NodeName, Object};
use slipway_types::{Digest, Violation};

use super::ChosenStep;
use super::canary::{TRACK, configs, key_of};
use super::drawing::{Drawing, Ends};
use super::laid::{Behind, Laid};
use super::staging::Renames;
use super::steps::Walk;

const UNSUPPORTED: &str = "stand_beside_unsupported";
/// What names of Services of the new version end with.
const PREVIEW: &str = "--preview";
/// How many digits tell versions apart.
const DIGITS: usize = 8;

/// A component of which two versions stand side by side.
struct Coloured {
    /// The nodes that bring the new version.
    first: Vec<NodeName>,
    /// The one that has its pods.
    pods: NodeName,
    /// What leads to the new version alone, for as long as it is looked at.
    preview: Node,
}

impl Walk<'_> {
    /// Brings the new version of a component, whose traffic is moved where it is deployed.
    pub(super) fn blue_green(
        &mut self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        wanted: &BlueGreen,
        behind: &Behind,
        most_ms: Option<u64>,
    ) -> Laid {
        if !behind.when.is_empty() {
            let why = "the step that deploys the component would move its traffic all the same";
            drawing.wrong(self.unsaid(step, why));
        }
        let Some(Coloured { first, pods, preview }) = self.coloured(drawing, step, wanted) else {
            return Laid::default();
        };
        drawing.behind(&first, behind);
        let moved = drawing.following(&wanted.component, &switch_of(&wanted.component));
        let own: BTreeSet<NodeName> = drawing.nodes_of(&wanted.component).into_iter().collect();
        let before: BTreeSet<NodeName> = own.difference(&moved).cloned().collect();
        let mut laid = Self::own_node(
            drawing,
            step,
            preview,
            &Behind { needs: vec![pods], ..Behind::default() },
            most_ms,
        );
        laid.all.extend(before.iter().cloned());
        self.ahead.extend(before);
        laid
    }

    /// Parts a component into the nodes that bring its new version and those that move the traffic, which the
    /// next step that deploys it places.
    fn coloured(&self, drawing: &mut Drawing, step: &ChosenStep, wanted: &BlueGreen) -> Option<Coloured> {
        let path = self.stands_alone(drawing, step, &wanted.component)?;
        drawing.coloured(&wanted.component, self.dressing.address.namespace(), &path)
    }
}

impl Drawing {
    fn coloured(&mut self, component: &str, namespace: &str, path: &str) -> Option<Coloured> {
        let (objects, workload) = self.one_deployment(component, path)?;
        let own = self.nodes_of(component);
        if own.iter().filter_map(|name| self.nodes.get(name)).any(|node| !node.outputs.is_empty()) {
            let message = format!("`{component}` gives outputs, which are read before its traffic is moved");
            let hint = "use the step canary for it, or remove the outputs";
            self.wrong(Violation::new(UNSUPPORTED, path, message).hint(hint));
            return None;
        }
        let colour = self.colour(&objects, &workload, namespace)?;
        let services = self.take_services(component, &workload);
        if services.is_empty() {
            let message = format!("`{component}` has no Service that could be moved to its new version");
            self.wrong(
                Violation::new(UNSUPPORTED, path, message).hint("expose a port of it, or remove the step"),
            );
            return None;
        }
        self.rename(component, &objects, &workload, namespace, &colour)?;
        let Ends { first, last } = self.ends.get(component).cloned()?;
        let mut switch = Node { component: component.parse().ok(), ..Node::default() };
        let mut preview = Node { temporary: true, ..Node::default() };
        for (kept, manifest) in services {
            let moved = self.keep(component, &selecting(manifest.clone(), &colour))?;
            switch.objects.push(Object { object: moved.object, manifest: moved.manifest, ..kept });
            preview.objects.extend(self.keep(component, &selecting(previewed(manifest), &colour)));
        }
        let pods = component.to_owned();
        let name = switch_of(component);
        switch.needs.insert(pods.clone());
        // What comes behind the component comes behind its traffic.
        for node in self.nodes.values_mut().filter(|node| node.needs.contains(&pods)) {
            node.needs.insert(name.clone());
        }
        self.nodes.insert(name.clone(), switch);
        let last = if last.contains(&pods) { vec![name.clone()] } else { last };
        self.ends.insert(component.to_owned(), Ends { first: vec![name], last });
        Some(Coloured { first, pods, preview })
    }

    /// A node of a component, and what of that component comes behind it.
    fn following(&self, component: &str, name: &str) -> BTreeSet<NodeName> {
        let mut found = BTreeSet::from([name.to_owned()]);
        loop {
            let mut more = self.nodes_of(component);
            more.retain(|other| {
                let needs = self.nodes.get(other).map(|node| &node.needs);
                !found.contains(other) && needs.is_some_and(|needs| !needs.is_disjoint(&found))
            });
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// What tells this version of the pods from others.
    fn colour(&self, objects: &[Object], workload: &Object, namespace: &str) -> Option<String> {
        let manifest = self.manifest(&workload.manifest)?;
        let named = Renames::of_named(&manifest, namespace, &configs(objects), str::to_owned);
        let of_config = objects.iter().filter(|object| named.new_name(&key_of(object)).is_some());
        let configs: Vec<String> = of_config.map(|object| object.manifest.to_string()).collect();
        let whole = json!({"pods": manifest["spec"]["template"], "configs": configs});
        Some(Digest::of(slipway_oam::canonical_json(&whole)).hex()[..DIGITS].to_owned())
    }

    /// Gives the Deployment, and what its pods name, names of their own, in every node of the component.
    fn rename(
        &mut self,
        component: &str,
        objects: &[Object],
        workload: &Object,
        namespace: &str,
        colour: &str,
    ) -> Option<()> {
        let manifest = self.manifest(&workload.manifest)?;
        let new = |name: &str| format!("{name}--{colour}");
        let mut renames = Renames::of_named(&manifest, namespace, &configs(objects), new);
        renames.add(&workload.object, new(&workload.object.name));
        for name in self.nodes_of(component) {
            let Some(mut node) = self.nodes.remove(&name) else { continue };
            for object in &mut node.objects {
                let mut manifest = self.manifest(&object.manifest)?;
                if let Some(new) = renames.new_name(&key_of(object)) {
                    manifest["metadata"]["name"] = new.into();
                }
                renames.follow(&mut manifest, namespace);
                if object.object == workload.object {
                    manifest["spec"]["selector"]["matchLabels"][TRACK] = colour.into();
                    manifest["spec"]["template"]["metadata"]["labels"][TRACK] = colour.into();
                }
                self.forget(&object.object);
                let kept = self.keep(component, &manifest)?;
                (object.object, object.manifest) = (kept.object, kept.manifest);
            }
            self.nodes.insert(name, node);
        }
        Some(())
    }

    /// Takes the Services that lead to a component's pods out of its nodes.
    fn take_services(&mut self, component: &str, workload: &Object) -> Vec<(Object, Value)> {
        let pods = self.manifest(&workload.manifest).unwrap_or_default();
        let labels = &pods["spec"]["template"]["metadata"]["labels"];
        let mut taken = Vec::new();
        for name in self.nodes_of(component) {
            let Some(mut node) = self.nodes.remove(&name) else { continue };
            for object in std::mem::take(&mut node.objects) {
                match self.manifest(&object.manifest).filter(|manifest| leads_to(manifest, labels)) {
                    Some(manifest) => taken.push((object, manifest)),
                    None => node.objects.push(object),
                }
            }
            self.nodes.insert(name, node);
        }
        taken
    }
}

/// Whether an object is a Service that selects pods with these labels.
fn leads_to(object: &Value, labels: &Value) -> bool {
    let selector = object["spec"]["selector"].as_object().filter(|selector| !selector.is_empty());
    let is_service = object["apiVersion"] == "v1" && object["kind"] == "Service";
    is_service
        && selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// The node that moves a component's traffic.
fn switch_of(component: &str) -> NodeName {
    format!("{component}.switch")
}

/// A Service that leads to one colour alone.
fn selecting(mut service: Value, colour: &str) -> Value {
    service["spec"]["selector"][TRACK] = colour.into();
    service
}

/// The same Service under another name, for the namespace alone.
fn previewed(mut service: Value) -> Value {
    let name = service["metadata"]["name"].as_str().map(|name| format!("{name}{PREVIEW}"));
    service["metadata"]["name"] = name.into();
    let Some(spec) = service["spec"].as_object_mut() else { return service };
    for field in ["type", "externalTrafficPolicy", "loadBalancerIP", "loadBalancerClass", "externalIPs"] {
        spec.remove(field);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "nodePort": 30080}]}})
    }

    fn deployment(image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": image, "envFrom": [{"configMapRef": {"name": "settings"}}]}]},
        }}})
    }

    fn autoscaler() -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
    }

    fn config(value: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}, "data": {"a": value}})
    }

    fn drawn(image: &str, value: &str) -> (Drawing, Option<Coloured>) {
        let mut drawing = Drawing::default();
        let objects = [config(value), deployment(image), service(), autoscaler()];
        let objects = objects.iter().filter_map(|object| drawing.keep("web", object)).collect();
        let component = "web".parse().ok();
        drawing.nodes.insert("web".into(), Node { component, objects, ..Node::default() });
        let after = Node { needs: ["web".to_owned()].into(), ..Node::default() };
        drawing.nodes.insert("front".into(), after);
        let ends = Ends { first: vec!["web".into()], last: vec!["web".into()] };
        drawing.ends.insert("web".into(), ends);
        let coloured = drawing.coloured("web", "shop", "workflow.steps[new]");
        (drawing, coloured)
    }

    fn objects(drawing: &Drawing, node: &Node) -> Vec<Value> {
        node.objects.iter().filter_map(|object| drawing.manifest(&object.manifest)).collect()
    }

    #[test]
    fn pods_come_first_and_services_move_behind() {
        let (drawing, coloured) = drawn("web:2", "x");
        let coloured = coloured.unwrap();
        let pods = objects(&drawing, &drawing.nodes["web"]);
        let name = pods[1]["metadata"]["name"].as_str().unwrap().to_owned();
        let colour = name.strip_prefix("web--").unwrap();
        assert_eq!(pods[0]["metadata"]["name"], format!("settings--{colour}"));
        let container = &pods[1]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["envFrom"][0]["configMapRef"]["name"], format!("settings--{colour}"));
        assert_eq!(pods[1]["spec"]["selector"]["matchLabels"], json!({"app": "web", TRACK: colour}));
        assert_eq!(pods[2]["spec"]["scaleTargetRef"]["name"], name.as_str());
        let moved = objects(&drawing, &drawing.nodes["web.switch"]);
        assert_eq!(moved[0]["spec"]["selector"], json!({"app": "web", TRACK: colour}));
        assert_eq!(moved[0]["spec"]["type"], "NodePort");
        let preview = objects(&drawing, &coloured.preview);
        assert_eq!(preview[0]["metadata"]["name"], "web--preview");
        assert_eq!(preview[0]["spec"]["ports"], json!([{"port": 80}]));
        assert_eq!(drawing.following("web", "web.switch").len(), 1);
        assert!(coloured.preview.temporary && drawing.nodes["front"].needs.contains("web.switch"));
        assert_eq!(
            (&coloured.first[0], &drawing.ends["web"].first[0]),
            (&"web".to_owned(), &"web.switch".to_owned())
        );
    }

    #[test]
    fn a_version_has_one_colour_wherever_it_comes_from() {
        let name = |image: &str, value: &str| {
            let (drawing, _) = drawn(image, value);
            objects(&drawing, &drawing.nodes["web"])[1]["metadata"]["name"].clone()
        };
        assert_eq!(name("web:1", "x"), name("web:1", "x"));
        assert_ne!(name("web:1", "x"), name("web:2", "x"));
        assert_ne!(name("web:1", "x"), name("web:1", "y"), "its settings are its own");
    }
}
