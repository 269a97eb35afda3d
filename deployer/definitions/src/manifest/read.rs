//! `definition.yaml` read.

use std::collections::BTreeSet;
use std::str::FromStr;

use slipway_types::Violation;
use slipway_types::name::DefinitionName;
use slipway_yaml::{Node, Value};

use super::{
    API_LEVEL, AddonBody, Applicability, Body, ComponentBody, MANIFEST_API_VERSION, MANIFEST_FILE, Manifest,
    Owned, Phase, Reach, Requirement, Takes, TraitBody, WorkloadKind,
};
use crate::code;
use crate::kind::DefinitionKind;
use crate::object::GroupKind;
use crate::reading::{Fields, Mistakes};
use crate::suggestion::did_you_mean;

const ITEMS_MAX: usize = 100;
const DESCRIPTION_CHARS_MAX: usize = 500;

impl Manifest {
    /// Reads a `definition.yaml`; on mistakes, all of them.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<Violation>> {
        let mut mistakes = Mistakes::of(MANIFEST_FILE);
        let document = mistakes.document(bytes);
        let manifest = document.and_then(|document| mistakes.mapping(&document, "", read_document).flatten());
        let violations = mistakes.into_violations();
        match manifest {
            Some(manifest) if violations.is_empty() => Ok(manifest),
            _ => Err(violations),
        }
    }
}

struct Metadata {
    name: Option<DefinitionName>,
    aliases: Vec<DefinitionName>,
    version: Option<slipway_types::Version>,
    description: Option<String>,
}

fn read_document(fields: &mut Fields<'_, '_>) -> Option<Manifest> {
    if let Some(node) = fields.required("apiVersion")
        && let Some(found) = fields.mistakes.text(node, "apiVersion")
        && found != MANIFEST_API_VERSION
    {
        fields.mistakes.add(node.at, "apiVersion", format!("must be `{MANIFEST_API_VERSION}`"));
    }
    let kind = read_kind(fields);
    let metadata = fields.required("metadata");
    let metadata = metadata.and_then(|node| fields.mistakes.mapping(node, "metadata", read_metadata));
    let spec = fields.required("spec");
    let kind = kind?;
    let spec = spec.and_then(|node| fields.mistakes.mapping(node, "spec", |spec| read_spec(spec, kind)));
    let (metadata, (requires, outputs, cluster_scoped, body)) = (metadata?, spec?);
    Some(Manifest {
        kind,
        name: metadata.name?,
        aliases: metadata.aliases.into_iter().collect(),
        version: metadata.version?,
        description: metadata.description?,
        requires,
        outputs,
        cluster_scoped,
        body: body?,
    })
}

fn read_kind(fields: &mut Fields<'_, '_>) -> Option<DefinitionKind> {
    let node = fields.required("kind")?;
    let found = fields.mistakes.text(node, "kind")?;
    let kind = DefinitionKind::of_manifest(found);
    if kind.is_none() {
        let known = DefinitionKind::ALL.map(DefinitionKind::manifest_kind);
        fields.mistakes.add(node.at, "kind", format!("`{found}` is no kind of definition")).hint =
            Some(did_you_mean(found, &known));
    }
    kind
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<T> {
    let node = fields.required(key)?;
    let path = fields.path_of(key);
    fields.mistakes.parsed(node, &path)
}

fn read_metadata(fields: &mut Fields<'_, '_>) -> Metadata {
    let description = fields.required("description").and_then(|node| {
        // A folded text ends with a line's end.
        let text = fields.mistakes.text(node, "metadata.description")?.trim_end();
        if text.chars().count() > DESCRIPTION_CHARS_MAX {
            let message = format!("is longer than {DESCRIPTION_CHARS_MAX} characters");
            fields.mistakes.add(node.at, "metadata.description", message);
        }
        // It is shown in lists, one line each.
        if text.chars().any(char::is_control) {
            let message = "must be one line of text without control characters";
            fields.mistakes.add(node.at, "metadata.description", message);
        }
        Some(text.to_owned())
    });
    Metadata {
        name: parsed(fields, "name"),
        aliases: fields.items("aliases", ITEMS_MAX, Mistakes::parsed),
        version: read_version(fields),
        description,
    }
}

fn read_version(fields: &mut Fields<'_, '_>) -> Option<slipway_types::Version> {
    let node = fields.required("version")?;
    if let Value::Number(number) = &node.value {
        let message = format!("must be SemVer text such as \"1.0.0\", is the number {number}");
        fields.mistakes.add(node.at, "metadata.version", message);
        return None;
    }
    fields.mistakes.parsed(node, "metadata.version")
}

type Spec = (Vec<Requirement>, BTreeSet<String>, BTreeSet<String>, Option<Body>);

fn read_spec(fields: &mut Fields<'_, '_>, kind: DefinitionKind) -> Spec {
    read_api(fields);
    let requires = fields.items("requires", ITEMS_MAX, read_requirement);
    let outputs = fields.texts("outputs", ITEMS_MAX).into_iter().collect();
    let cluster_scoped = fields.texts("clusterScoped", ITEMS_MAX).into_iter().collect();
    let body = match kind {
        DefinitionKind::Component => read_component(fields).map(Body::Component),
        DefinitionKind::Trait => Some(Body::Trait(read_trait(fields))),
        DefinitionKind::Policy => Some(Body::Policy),
        DefinitionKind::Step => Some(Body::Step),
        DefinitionKind::Addon => Some(Body::Addon(read_addon(fields))),
    };
    (requires, outputs, cluster_scoped, body)
}

fn read_api(fields: &mut Fields<'_, '_>) {
    let Some(node) = fields.required("api") else { return };
    let level = match &node.value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    if level != Some(API_LEVEL) {
        let what = node.text().map_or_else(|| node.kind(), |text| format!("`{text}`"));
        let violation = fields.mistakes.add(
            node.at,
            "spec.api",
            format!(
                "this Slipway speaks level {API_LEVEL} of the plug-in API, the definition asks for {what}"
            ),
        );
        code::UNSUPPORTED_API_LEVEL.clone_into(&mut violation.code);
        violation.hint =
            Some(format!("write `api: {API_LEVEL}`, or take a Slipway that speaks the other level"));
    }
}

fn read_requirement(mistakes: &mut Mistakes, node: &Node, path: &str) -> Option<Requirement> {
    mistakes
        .mapping(node, path, |fields| {
            let (api_version, kind) = (fields.required_text("apiVersion"), fields.required_text("kind"));
            let install = fields.optional("install").and_then(|node| {
                let path = fields.path_of("install");
                fields.mistakes.text(node, &path).map(str::to_owned)
            });
            Some(Requirement { api_version: api_version?.to_owned(), kind: kind?.to_owned(), install })
        })
        .flatten()
}

fn read_workload(mistakes: &mut Mistakes, node: &Node, path: &str) -> Option<WorkloadKind> {
    mistakes
        .mapping(node, path, |fields| {
            let (api_version, kind) = (fields.required_text("apiVersion"), fields.required_text("kind"));
            let (api_version, kind) = (api_version?.to_owned(), kind?.to_owned());
            if GroupKind::parse(&format!("{api_version}/{kind}")).is_none() {
                let at = fields.at();
                fields.mistakes.add(at, path, format!("`{api_version}` `{kind}` names no kind of objects"));
            }
            Some(WorkloadKind { api_version, kind })
        })
        .flatten()
}

fn read_component(fields: &mut Fields<'_, '_>) -> Option<ComponentBody> {
    let workload =
        fields.optional("workload").and_then(|node| read_workload(fields.mistakes, node, "spec.workload"));
    let overridable = fields.texts("overridable", ITEMS_MAX);
    let takes = one_of(
        fields,
        "takes",
        &[
            ("image", Takes::Image),
            ("chart", Takes::Chart),
            ("files", Takes::Files),
            ("nothing", Takes::Nothing),
        ],
    );
    Some(ComponentBody { workload, takes: takes?, overridable })
}

fn one_of<T: Copy>(fields: &mut Fields<'_, '_>, key: &'static str, words: &[(&str, T)]) -> Option<T> {
    let node = fields.required(key)?;
    let path = fields.path_of(key);
    let found = fields.mistakes.text(node, &path)?;
    let value = words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value);
    if value.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        fields.mistakes.add(node.at, &path, format!("`{found}` is not known here")).hint =
            Some(did_you_mean(found, &known));
    }
    value
}

fn read_trait(fields: &mut Fields<'_, '_>) -> TraitBody {
    if let Some(node) = fields.required("appliesTo")
        && node.items().is_empty()
    {
        fields.mistakes.add(
            node.at,
            "spec.appliesTo",
            "must list at least one component type or workload kind",
        );
    }
    let phases = [("pre", Phase::Pre), ("main", Phase::Main), ("post", Phase::Post)];
    let phase = match fields.optional("phase") {
        Some(_) => one_of(fields, "phase", &phases).unwrap_or_default(),
        None => Phase::Main,
    };
    TraitBody {
        applies_to: fields.items("appliesTo", ITEMS_MAX, read_applicability),
        conflicts_with: fields.items("conflictsWith", ITEMS_MAX, Mistakes::parsed).into_iter().collect(),
        phase,
        owns: fields.items("owns", ITEMS_MAX, read_owned),
        overwrites: fields.items("overwrites", ITEMS_MAX, Mistakes::parsed),
        repeatable: fields.flag("repeatable"),
    }
}

fn read_addon(fields: &mut Fields<'_, '_>) -> AddonBody {
    let reaches = [("cluster", Reach::Cluster), ("anywhere", Reach::Anywhere)];
    let reach = match fields.optional("reach") {
        Some(_) => one_of(fields, "reach", &reaches).unwrap_or_default(),
        None => Reach::Cluster,
    };
    let generates = fields.items("generates", ITEMS_MAX, Mistakes::parsed).into_iter().collect();
    let of_binding = fields.optional("binding").and_then(|node| {
        fields
            .mistakes
            .mapping(node, "spec.binding", |binding| binding.items("generates", ITEMS_MAX, Mistakes::parsed))
    });
    AddonBody {
        generates,
        binding_generates: of_binding.unwrap_or_default().into_iter().collect(),
        reach,
        release: fields.flag("release"),
    }
}

fn read_group_kind(mistakes: &mut Mistakes, node: &Node, path: &str) -> Option<GroupKind> {
    let text = mistakes.text(node, path)?;
    let kind = GroupKind::parse(text);
    if kind.is_none() {
        mistakes.add(node.at, path, format!("`{text}` names no kind of workload")).hint =
            Some("write it like `apps/v1/Deployment`, or `\"*\"`".to_owned());
    }
    kind
}

fn read_applicability(mistakes: &mut Mistakes, node: &Node, path: &str) -> Option<Applicability> {
    match mistakes.text(node, path)? {
        "*" => Some(Applicability::Any),
        text if text.contains('/') => read_group_kind(mistakes, node, path).map(Applicability::Workload),
        _ => mistakes.parsed(node, path).map(Applicability::Type),
    }
}

fn read_owned(mistakes: &mut Mistakes, node: &Node, path: &str) -> Option<Owned> {
    mistakes
        .mapping(node, path, |fields| {
            let (workload, path) = (fields.required("workload"), parsed(fields, "path"));
            let workload = match workload? {
                node if node.text() == Some("*") => None,
                node => {
                    let path = fields.path_of("workload");
                    Some(read_group_kind(fields.mistakes, node, &path)?)
                }
            };
            Some(Owned { workload, path: path? })
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIT: &str = "apiVersion: slipway.dev/v1
kind: TraitDefinition
metadata: {name: hpa, version: 1.2.0, description: Scales., aliases: [cpuscaler]}
spec:
  api: 1
  requires: [{apiVersion: autoscaling/*, kind: HorizontalPodAutoscaler, install: Kubernetes 1.23}]
  appliesTo: [webservice, apps/v1/Deployment, '*']
  conflictsWith: [scaler]
  phase: post
  owns: [{workload: '*', path: spec.replicas}]
  overwrites: ['spec.template.spec.containers[*].env']
  clusterScoped: [ClusterRole]
  outputs: [host]
";

    fn mistakes(text: &str) -> Vec<String> {
        Manifest::read(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_is_read_whole() {
        let manifest = Manifest::read(TRAIT.as_bytes()).unwrap();
        let body = manifest.as_trait().unwrap();
        assert_eq!(body.applies_to.len(), 3);
        assert_eq!(body.applies_to[2], Applicability::Any);
        assert_eq!((body.phase, body.repeatable), (Phase::Post, false));
        assert_eq!(body.owns[0].path.to_string(), "spec.replicas");
        assert_eq!(manifest.requires[0].install.as_deref(), Some("Kubernetes 1.23"));
        assert!(manifest.as_component().is_none());
    }

    #[test]
    fn all_mistakes_are_told_with_their_places() {
        let text = TRAIT
            .replace("hpa,", "Hpa,")
            .replace("api: 1", "api: 2")
            .replace("phase: post", "phase: late")
            .replace("conflictsWith", "conflictWith")
            .replace("'*'", "deployment/x");
        assert_eq!(
            mistakes(&text),
            [
                "definition.yaml:3:18: metadata.name: `Hpa` is not a valid definition name: use lower-case letters, \
                 digits and single `-` between them, start with a letter, at most 40 characters",
                "definition.yaml:5:8: spec.api: this Slipway speaks level 1 of the plug-in API, the definition asks \
                 for the number 2",
                "definition.yaml:9:10: spec.phase: `late` is not known here",
                "definition.yaml:7:47: spec.appliesTo[2]: `deployment/x` names no kind of workload",
                "definition.yaml:10:21: spec.owns[0].workload: `deployment/x` names no kind of workload",
                "definition.yaml:8:3: spec.conflictWith: unknown field `conflictWith`",
            ]
        );
        let first = Manifest::read(text.as_bytes()).unwrap_err().remove(1);
        assert_eq!(first.code, "unsupported_api_level");
    }

    #[test]
    fn a_version_is_text_and_known_words_are_told_once() {
        let found = mistakes(&TRAIT.replace("version: 1.2.0", "version: 1.0"));
        assert_eq!(
            found,
            [
                "definition.yaml:3:32: metadata.version: must be SemVer text such as \"1.0.0\", is the number 1.0"
            ]
        );
        let text = TRAIT.replace("  phase: post", "  zzzzzz: post");
        let hint = Manifest::read(text.as_bytes()).unwrap_err().remove(0).hint.unwrap();
        assert_eq!(hint.matches("`appliesTo`").count(), 1, "{hint}");
    }

    #[test]
    fn a_description_is_one_line() {
        for bad in ["\"\\e[31mred\"", "\"fine\\nKIND NAME\""] {
            let found = mistakes(&TRAIT.replace("Scales.", bad));
            assert!(found.len() == 1 && found[0].contains("must be one line of text"), "{found:?}");
        }
    }

    #[test]
    fn an_add_on_says_what_is_generated_for_whom() {
        let text = "apiVersion: slipway.dev/v1\nkind: AddonDefinition\nmetadata: {name: a, version: 1.0.0, description: A.}\n\
                    spec: {api: 1, outputs: [host], generates: [admin-password], binding: {generates: [password]}, \
                    reach: anywhere}\n";
        let manifest = Manifest::read(text.as_bytes()).unwrap();
        let body = manifest.as_addon().unwrap();
        let names = |found: &BTreeSet<slipway_types::name::OutputName>| {
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&body.generates), ["admin-password"]);
        assert_eq!(
            (names(&body.binding_generates), body.reach),
            (vec!["password".to_owned()], Reach::Anywhere)
        );
        let wrong = mistakes(&text.replace("[password]", "[Pass_word]").replace("anywhere", "moon"));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong.iter().any(|told| told.contains("spec.binding.generates[0]")), "{wrong:?}");
    }

    #[test]
    fn fields_of_another_kind_are_unknown() {
        let text = "apiVersion: v1\nkind: ComponentDefinition\nmetadata: {name: a, version: '1', description: ''}\n\
                    spec: {api: 1, appliesTo: ['*'], takes: images}\n";
        assert_eq!(
            mistakes(text),
            [
                "definition.yaml:1:13: apiVersion: must be `slipway.dev/v1`",
                "definition.yaml:3:48: metadata.description: must not be empty",
                "definition.yaml:3:30: metadata.version: `1` is not a version: unexpected end of input while parsing \
                 major version number",
                "definition.yaml:4:41: spec.takes: `images` is not known here",
                "definition.yaml:4:16: spec.appliesTo: unknown field `appliesTo`",
            ]
        );
        assert_eq!(mistakes("a: [").len(), 1);
        assert_eq!(mistakes("---\n---\n").len(), 1);
    }
}
