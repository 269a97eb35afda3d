//! The containers that are run for an instance: a node for each.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_definitions::{EnvironmentFacts, RenderedComponent, Verb};
use slipway_handoff::{Graph, Node, ObjectRef, Output};
use slipway_types::{SecretReference, Violation};

use super::{Closing, Drawing, RESOURCE};
use crate::addon::subject::AddonSubject;
use crate::plan::container::{self, Place, Running};
use crate::plan::objects::Dressing;

/// What the nodes of containers that are run begin with.
const RUN: &str = "run.";

/// How long what a revision runs may take in all, in milliseconds: one after the other.
pub(crate) fn runs_ms(graph: &Graph) -> u64 {
    let runs = graph.nodes().iter().filter(|(name, _)| name.starts_with(RUN));
    runs.map(|(_, node)| node.timeout_ms).fold(0, u64::saturating_add)
}

impl Closing<'_> {
    /// One node for each container that is run, once the objects are ready and the one before has ended.
    pub(super) fn draw_runs(
        &self,
        drawing: &mut Drawing,
        dressing: &Dressing<'_>,
        rendered: &RenderedComponent,
    ) {
        let AddonSubject { addon, environment, .. } = self.subject;
        let (application, component) = (addon.handed_off_as(), addon.name.as_str());
        let suffix =
            EnvironmentFacts { name: environment.name.to_string(), address: environment.address.clone() }
                .suffix();
        let object_name = format!("{component}{suffix}");
        let version = |reference: &SecretReference| Some(self.made.get(reference)?.1.clone());
        let (bare, team) = (application.bare().to_string(), application.team().to_string());
        let labels = container::pod_labels(&bare, &team, environment.address.stage(), component);
        let place = Place {
            object_name: &object_name,
            labels,
            version: &version,
            generation: addon.generation,
            before: self.before,
        };
        let mut given: BTreeSet<&str> = rendered.outputs.keys().map(String::as_str).collect();
        let mut last = RESOURCE.to_owned();
        for caused in &rendered.verbs {
            let Verb::ContainerRun(run) = &caused.verb else { continue };
            let running = container::running(run, &place);
            let mut node = Node {
                component: component.parse().ok(),
                needs: BTreeSet::from([last]),
                timeout_ms: running.timeout_ms,
                ..Node::default()
            };
            for object in running.needs.iter().chain([&running.job]) {
                let dressed = dressing.dress(component, object.clone(), false);
                node.objects.extend(self.keep(drawing, &dressed));
            }
            if let Some(job) = node.objects.last().map(|job| job.object.clone()) {
                let outputs = run.outputs.iter().map(|key| (key.clone(), self.output(&running, &job, key)));
                node.outputs.extend(outputs);
            }
            let name = format!("{RUN}{}", run.name);
            let twice = run.outputs.iter().find(|output| !given.insert(output.as_str()));
            if let Some(twice) = twice {
                let message = format!("the output `{twice}` is given twice");
                drawing.violations.push(Violation::new("duplicate_output", &name, message));
            }
            if drawing.nodes.insert(name.clone(), node).is_some() {
                let message = format!("two containers are run under the name `{}`", run.name);
                let violation = Violation::new("duplicate_name", &name, message);
                drawing.violations.push(violation.hint("give one of them another name"));
            }
            last = name;
        }
    }

    /// What a run gives: what it gave, if it is one that came to its end, since its pods do not stay for ever.
    fn output(&self, running: &Running, job: &ObjectRef, key: &str) -> Output {
        let addon = &self.subject.addon;
        let has_ended = running.since < addon.generation && running.since <= addon.ready_generation;
        let known = addon.outputs.get(key).filter(|known| has_ended && is_whole(known));
        match known {
            Some(known) => Output::Value(known.clone()),
            None => Output::Message { object: job.clone(), key: key.to_owned() },
        }
    }
}

/// Whether no number of a value has a fraction, which no revision holds.
fn is_whole(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(is_whole),
        Value::Object(fields) => fields.values().all(is_whole),
        _ => true,
    }
}
