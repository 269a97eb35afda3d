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
use super::drawing::Drawing;
use super::staging::Renames;
use super::steps::Walk;

/// What names of copies end with. No component, stage or copy has a name with two dashes in a row.
const SUFFIX: &str = "--canary";
/// The label by which pods of one component are told from each other.
pub(super) const TRACK: &str = "slipway.dev/track";
/// The most pods of a canary.
const REPLICAS_MAX: u64 = 1_000;
const UNSUPPORTED: &str = "stand_beside_unsupported";
/// What scales by what pods use, by group and kind. It finds pods by the selector of what it scales
/// (<https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#how-does-a-horizontalpodautoscaler-work>).
const COUNTING: [(&str, &str); 2] = [("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")];

impl Walk<'_> {
    /// The node of a canary, which comes before the component itself.
    pub(super) fn canary(&self, drawing: &mut Drawing, step: &ChosenStep, canary: &Canary) -> Option<Node> {
        let path = self.stands_alone(drawing, step, &canary.component)?;
        drawing.canary(canary, self.dressing.address.namespace(), &path)
    }

    /// Where a step names a component of which another version may stand beside what runs; `None`: it may not,
    /// which is told.
    pub(super) fn stands_alone(
        &self,
        drawing: &mut Drawing,
        step: &ChosenStep,
        component: &str,
    ) -> Option<String> {
        let path = format!("{}.properties.component", step.path);
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
        let Some(why) = refused else { return Some(path) };
        let message = format!("`{component}` cannot stand beside itself: {why}");
        let hint = "put this step before the one that deploys the component, or remove it";
        drawing.wrong(Violation::new(UNSUPPORTED, path, message).hint(hint));
        None
    }
}

impl Drawing {
    /// The objects of a component, and its one Deployment; what else it has is a violation.
    pub(super) fn one_deployment(&mut self, component: &str, path: &str) -> Option<(Vec<Object>, Object)> {
        let drawn = self.nodes.values();
        let own = drawn.filter(|node| node.component.as_ref().is_some_and(|name| name.as_str() == component));
        let objects: Vec<Object> = own.flat_map(|node| node.objects.clone()).collect();
        let is_deployment =
            |object: &&Object| object.object.group() == "apps" && object.object.kind == "Deployment";
        let deployments: Vec<Object> = objects.iter().filter(is_deployment).cloned().collect();
        if let [workload] = deployments.as_slice() {
            return Some((objects, workload.clone()));
        }
        let message =
            format!("`{component}` has not just one Deployment: nothing else can stand beside itself");
        let hint = "remove the step; traits of Kruise Rollouts do more kinds";
        self.wrong(Violation::new(UNSUPPORTED, path, message).hint(hint));
        None
    }

    /// The node of a canary of a component, which is drawn already.
    fn canary(&mut self, canary: &Canary, namespace: &str, path: &str) -> Option<Node> {
        let component = canary.component.as_str();
        let (objects, workload) = self.one_deployment(component, path)?;
        let mut copy = self.manifest(&workload.manifest)?;
        let renames = Renames::of_named(&copy, namespace, &configs(&objects), renamed);
        let mut node = Node { temporary: true, ..Node::default() };
        for object in &objects {
            let Some(name) = renames.new_name(&key_of(object)) else { continue };
            let mut manifest = self.manifest(&object.manifest)?;
            manifest["metadata"]["name"] = name.into();
            node.objects.extend(self.keep(component, &manifest));
        }
        renames.follow(&mut copy, namespace);
        let whole = copy["spec"]["replicas"].as_u64().unwrap_or(1);
        let count = replicas(&canary.replicas, whole);
        shrink(&mut copy, count);
        let notes = self.counted_too(canary, &workload.object, count);
        self.notes.extend(notes);
        let kept = self.keep(component, &copy)?;
        node.objects.push(Object { ready: workload.ready, ..kept });
        Some(node)
    }

    /// What people should know of a canary of a Deployment that is scaled by what its pods use: the selector of the
    /// one that runs never changes, and Services need its labels on the canary's pods.
    fn counted_too(&self, canary: &Canary, workload: &ObjectRef, count: u64) -> Vec<String> {
        let objects = self.nodes.values().flat_map(|node| &node.objects);
        let scalers = objects.filter(|object| {
            COUNTING.contains(&(object.object.group(), object.object.kind.as_str()))
                && self.manifest(&object.manifest).is_some_and(|manifest| scales(&manifest, workload))
        });
        let Canary { component, replicas } = canary;
        let mut notes: Vec<String> = scalers
            .map(|scaler| {
                let name = &scaler.object.name;
                format!(
                    "the autoscaler `{name}` counts the {count} pods of the canary of `{component}` with those that \
                     run: there may be up to {count} more of these than their own load needs, and no more while the \
                     canary's pods do not start"
                )
            })
            .collect();
        if !notes.is_empty() && replicas.ends_with('%') {
            notes.push(format!(
                "{replicas} of `{component}` is a share of the replicas in its manifest, not of those that its \
                 autoscaler made: {count} pods; give a number"
            ));
        }
        notes
    }
}

/// Whether an object scales a workload.
fn scales(scaler: &Value, workload: &ObjectRef) -> bool {
    let target = &scaler["spec"]["scaleTargetRef"];
    let kind = target["kind"].as_str().unwrap_or("Deployment");
    kind == workload.kind && target["name"] == workload.name.as_str()
}

/// ConfigMaps and Secrets.
pub(super) fn configs(objects: &[Object]) -> Vec<&ObjectRef> {
    let is_config = |object: &&ObjectRef| {
        object.group().is_empty() && matches!(object.kind.as_str(), "ConfigMap" | "Secret")
    };
    objects.iter().map(|object| &object.object).filter(is_config).collect()
}

/// Which object it is, to definitions.
pub(super) fn key_of(object: &Object) -> ObjectKey {
    let ObjectRef { api_version, kind, name, .. } = object.object.clone();
    ObjectKey { api_version, kind, name }
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
        drawing.canary(&wanted, "shop", "workflow.steps[try]")
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
    fn an_autoscaler_that_counts_the_canary_is_told() {
        let scaler = |version: &str, kind: &str, target: &str| {
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "scaler", "namespace": "shop"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}}})
        };
        let hpa = |target: &str| scaler("autoscaling/v2", "HorizontalPodAutoscaler", target);
        for (scaler, replicas, notes) in [
            (hpa("web"), "2", 1),
            (hpa("web"), "20%", 2),
            (hpa("other"), "20%", 0),
            (scaler("keda.sh/v1alpha1", "ScaledObject", "web"), "2", 1),
            (scaler("autoscaling.alibabacloud.com/v1beta1", "CronHorizontalPodAutoscaler", "web"), "2", 0),
        ] {
            let mut drawing = drawn(&[deployment(), scaler]);
            canary(&mut drawing, replicas).unwrap();
            assert_eq!(drawing.notes.len(), notes, "{:?}", drawing.notes);
            assert!(drawing.notes.iter().all(|note| note.contains("2 pods")), "{:?}", drawing.notes);
        }
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
