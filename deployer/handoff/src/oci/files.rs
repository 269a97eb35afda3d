//! The files of an artifact: one object each, named so that their order is the graph's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::yaml;
use crate::graph::{Graph, NodeName};
use crate::node::{Object, ObjectRef};

/// Tells Argo CD when to apply an object.
const ANNOTATION_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Room between files, for people who put their own in.
const STEP: usize = 10;
/// The part of a name that stands in a file's name, in characters.
const NAME_CHARS_MAX: usize = 80;

/// The name of the file of the object at `index` of `count`.
pub(super) fn name(index: usize, count: usize, object: &ObjectRef) -> String {
    let width = (count * STEP).to_string().len().max(3);
    let safe = |text: &str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '-' };
        text.chars().map(safe).take(NAME_CHARS_MAX).collect::<String>().to_ascii_lowercase()
    };
    format!("{:0width$}-{}-{}.yaml", (index + 1) * STEP, safe(&object.kind), safe(&object.name))
}

/// The text of an object's file.
pub(super) fn text(mut manifest: Value, wave: Option<usize>) -> String {
    if let Some(wave) = wave
        && let Some(metadata) = manifest["metadata"].as_object_mut()
    {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.entry(ANNOTATION_WAVE).or_insert_with(|| wave.to_string().into());
        }
    }
    yaml::document(&manifest)
}

/// How many nodes come before each, one after another.
pub(super) fn waves(graph: &Graph) -> BTreeMap<&NodeName, usize> {
    let mut waves: BTreeMap<&NodeName, usize> = BTreeMap::new();
    for name in graph.order() {
        let needs = graph.nodes()[name].needs.iter();
        let wave = needs.filter_map(|need| waves.get(need)).max().map_or(0, |wave| wave + 1);
        waves.insert(name, wave);
    }
    waves
}

/// The objects in their order, each with its wave.
pub(super) fn ordered(graph: &Graph) -> Vec<(&Object, usize)> {
    let waves = waves(graph);
    graph.objects().map(|(name, object)| (object, waves[name])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn names_sort_as_the_objects_come() {
        let object = |name: &str| ObjectRef {
            api_version: "rbac.authorization.k8s.io/v1".into(),
            kind: "ClusterRole".into(),
            namespace: None,
            name: name.into(),
        };
        assert_eq!(name(0, 3, &object("system:A/b")), "010-clusterrole-system-a-b.yaml");
        let names: Vec<String> = (0..250).map(|at| name(at, 250, &object("x"))).collect();
        assert!(names.is_sorted() && names[0].starts_with("0010-"), "{names:?}");
    }

    #[test]
    fn waves_follow_the_graph_and_leave_others_alone() {
        let (revision, _) = sample::plain();
        let waves: Vec<usize> = ordered(&revision.graph).into_iter().map(|(_, wave)| wave).collect();
        assert_eq!(waves, [0, 1]);
        let text_with = text(sample::config_map("a"), Some(3));
        assert!(text_with.contains("argocd.argoproj.io/sync-wave: \"3\""), "{text_with}");
        let mut own = sample::config_map("a");
        own["metadata"]["annotations"] = json!({ANNOTATION_WAVE: "-1"});
        assert!(text(own, Some(3)).contains("sync-wave: \"-1\""));
        assert!(!text(sample::config_map("a"), None).contains("wave"));
    }
}
