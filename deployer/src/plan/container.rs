//! What `container.run` becomes: a Job, with the ConfigMap of its files and the Secret of its variables.
//!
//! A Job never changes in a cluster, and one that completed does not run again. So the Job's name holds a digest of all
//! that is put into it, versions of secrets too, and the generation in which that was first asked for: what stays the
//! same from one revision to the next keeps its Job, and what comes back after something else runs again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use slipway_definitions::container::Resources;
use slipway_definitions::{ContainerRun, Variable, label};
use slipway_handoff::secret::MARKER;
use slipway_types::{Digest, SecretReference};

/// Raised when the same inputs become another Job.
const RECIPE: u32 = 1;
/// So many characters of the instance's name stand in names of Jobs, which may have 63.
const STEM_CHARS: usize = 32;
/// So many hex digits of the digest do.
const INPUT_HEX: usize = 8;
/// What a Job has beyond its own deadline until it is seen to have ended, in milliseconds.
const GRACE_MS: u64 = 60_000;
/// Where a container writes the JSON object of its outputs.
const MESSAGE: &str = "/dev/termination-log";
/// The variable that says so.
const MESSAGE_VARIABLE: &str = "SLIPWAY_OUTPUTS";

/// An instance for which something is run.
pub(super) struct Place<'a> {
    /// What its objects are called.
    pub(super) object_name: &'a str,
    /// Labels of pods: none by which a Service of the instance finds its own.
    pub(super) labels: Map<String, Value>,
    /// The versions of secrets.
    pub(super) version: &'a dyn Fn(&SecretReference) -> Option<String>,
    /// Its generation.
    pub(super) generation: u64,
    /// The Jobs that its receiver may have by the revision before.
    pub(super) before: &'a BTreeSet<String>,
}

/// A run as objects.
pub(super) struct Running {
    /// What the Job needs.
    pub(super) needs: Vec<Value>,
    /// The Job.
    pub(super) job: Value,
    /// Since which generation the same has been asked for without a break.
    pub(super) since: u64,
    /// How long it may take, in milliseconds.
    pub(super) timeout_ms: u64,
}

/// What a run becomes.
pub(super) fn running(run: &ContainerRun, place: &Place<'_>) -> Running {
    let (name, since) = named(run, place);
    let mut needs = Vec::new();
    let (env, data) = variables(run, &format!("{name}-env"));
    if !data.is_empty() {
        needs.push(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{name}-env")},
            "type": "Opaque",
            "stringData": data,
        }));
    }
    if !run.files.is_empty() {
        let texts =
            run.files.values().enumerate().map(|(index, text)| (key_of(index), Value::from(text.clone())));
        let texts: Map<String, Value> = texts.collect();
        needs.push(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": format!("{name}-files")},
            "data": texts,
        }));
    }
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": run.retries(),
            "activeDeadlineSeconds": run.deadline_seconds(),
            "template": {
                "metadata": {"labels": place.labels},
                "spec": pod(run, &name, &env),
            },
        },
    });
    let timeout_ms = run.deadline_seconds().saturating_mul(1_000).saturating_add(GRACE_MS);
    Running { needs, job, since, timeout_ms }
}

/// The Job's name, and the generation that stands in it.
fn named(run: &ContainerRun, place: &Place<'_>) -> (String, u64) {
    let references = run.env.values().filter_map(|value| match value {
        Variable::Secret(mark) => Some(&mark.reference),
        Variable::Plain(_) | Variable::Key(_) => None,
    });
    let versions: BTreeMap<String, Option<String>> =
        references.map(|reference| (reference.to_string(), (place.version)(reference))).collect();
    let inputs =
        json!({"recipe": RECIPE, "instance": place.object_name, "run": run, "secret_versions": versions});
    let digest = Digest::of(slipway_oam::canonical_json(&inputs));
    let stem: String = place.object_name.chars().take(STEM_CHARS).collect();
    let prefix = format!("{}-{}-{}-", stem.trim_end_matches('-'), run.name, &digest.hex()[..INPUT_HEX]);
    let since = place.before.iter().find_map(|known| known.strip_prefix(&prefix)?.parse::<u64>().ok());
    let since = since.unwrap_or(place.generation);
    (format!("{prefix}{since}"), since)
}

/// The variables of the container, and the data of the Secret behind those that are secrets.
fn variables(run: &ContainerRun, secret: &str) -> (Vec<Value>, Map<String, Value>) {
    let mut data = Map::new();
    let fixed = [("HOME", run.workdir()), (MESSAGE_VARIABLE, MESSAGE)];
    let fixed = fixed.into_iter().filter(|(name, _)| !run.env.contains_key(*name));
    let mut entries: Vec<Value> = fixed.map(|(name, value)| json!({"name": name, "value": value})).collect();
    for (name, variable) in &run.env {
        entries.push(match variable {
            Variable::Plain(text) => json!({"name": name, "value": text}),
            Variable::Key(source) => json!({"name": name, "valueFrom": source}),
            Variable::Secret(mark) => {
                data.insert(name.clone(), json!({MARKER: mark.reference}));
                json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
            }
        });
    }
    (entries, data)
}

/// The key of a file in the ConfigMap: paths are no keys.
fn key_of(index: usize) -> String {
    format!("file-{index}")
}

fn pod(run: &ContainerRun, name: &str, env: &[Value]) -> Value {
    let (user, workdir) = (run.user(), run.workdir());
    let mut mounts =
        vec![json!({"name": "work", "mountPath": workdir}), json!({"name": "tmp", "mountPath": "/tmp"})];
    let mut volumes = vec![
        json!({"name": "work", "emptyDir": {"sizeLimit": run.work_size()}}),
        json!({"name": "tmp", "emptyDir": {"sizeLimit": run.work_size()}}),
    ];
    for (index, path) in run.files.keys().enumerate() {
        let at = format!("{workdir}/{path}");
        mounts.push(json!({"name": "files", "mountPath": at, "subPath": key_of(index), "readOnly": true}));
    }
    if !run.files.is_empty() {
        volumes.push(json!({"name": "files", "configMap": {"name": format!("{name}-files")}}));
    }
    let mut container = json!({
        "name": "run",
        "image": run.image,
        "env": env,
        "workingDir": workdir,
        "resources": amounts(&run.resources()),
        "terminationMessagePath": MESSAGE,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": !run.writable_root,
        },
    });
    for (field, words) in [("command", &run.command), ("args", &run.args)] {
        if !words.is_empty() {
            container[field] = json!(words);
        }
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": run.service_account.is_some(),
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": user != 0,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    });
    if let Some(account) = &run.service_account {
        pod["serviceAccountName"] = account.clone().into();
    }
    if !run.pull_secrets.is_empty() {
        let names = run.pull_secrets.iter().map(|name| json!({"name": name}));
        pod["imagePullSecrets"] = names.collect();
    }
    pod
}

fn amounts(resources: &Resources) -> Value {
    serde_json::to_value(resources).expect("invariant: amounts are texts")
}

/// The component that pods say they are of which run for `component`, whose Services look for another one.
pub(crate) fn component_of_runs(component: &str) -> String {
    format!("{component}-run")
}

/// Labels of pods that run for an instance of `component`.
pub(super) fn pod_labels(application: &str, team: &str, stage: &str, component: &str) -> Map<String, Value> {
    let labels = [
        ("app.kubernetes.io/managed-by", "slipway".to_owned()),
        (label::TEAM, team.to_owned()),
        (label::APPLICATION, application.to_owned()),
        (label::COMPONENT, component_of_runs(component)),
        (label::STAGE, stage.to_owned()),
    ];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(more: Value) -> ContainerRun {
        let mut given = json!({"name": "apply", "image": "i:1"});
        if let (Value::Object(given), Value::Object(more)) = (&mut given, more) {
            given.extend(more);
        }
        serde_json::from_value(given).unwrap()
    }

    fn running_at(run: &ContainerRun, generation: u64, version: &str, before: &BTreeSet<String>) -> Running {
        let version = |_: &SecretReference| Some(version.to_owned());
        let labels = pod_labels("orders", "addons", "default", "orders");
        running(run, &Place { object_name: "orders", labels, version: &version, generation, before })
    }

    fn name(running: &Running) -> String {
        running.job["metadata"]["name"].as_str().unwrap().to_owned()
    }

    #[test]
    fn what_stays_the_same_keeps_its_job_and_what_comes_back_runs_again() {
        let (one, two) = (run(json!({"args": ["1"]})), run(json!({"args": ["2"]})));
        let first = running_at(&one, 3, "1", &BTreeSet::new());
        assert!(
            name(&first).starts_with("orders-apply-") && name(&first).ends_with("-3"),
            "{}",
            name(&first)
        );
        let known = BTreeSet::from([name(&first), "orders-apply-x".to_owned()]);
        let same = running_at(&one, 4, "1", &known);
        assert_eq!((name(&same), same.since), (name(&first), 3));
        let other = running_at(&two, 4, "1", &known);
        assert_ne!(name(&other), name(&first));
        let back = running_at(&one, 5, "1", &BTreeSet::from([name(&other)]));
        assert_eq!((name(&back).ends_with("-5"), back.since), (true, 5));
    }

    #[test]
    fn another_version_of_a_secret_is_another_input() {
        let secret = run(json!({"env": {"T": {"$secret": "secret://builtin/t"}}}));
        let (first, second) =
            (running_at(&secret, 1, "1", &BTreeSet::new()), running_at(&secret, 1, "2", &BTreeSet::new()));
        assert_ne!(name(&first), name(&second));
        let held = &first.needs[0];
        assert_eq!(held["kind"], "Secret");
        assert_eq!(held["stringData"]["T"], json!({"$secret": "secret://builtin/t"}));
        assert!(!first.job.to_string().contains("secret://"), "{}", first.job);
    }

    #[test]
    fn a_long_name_leaves_room_for_the_rest() {
        let run = run(json!({"name": "twelve-chars"}));
        let labels = Map::new();
        let (version, before) = (|_: &SecretReference| None::<String>, BTreeSet::new());
        let object_name = "a".repeat(80);
        let place = Place {
            object_name: &object_name,
            labels,
            version: &version,
            generation: 12_345_678,
            before: &before,
        };
        assert!(name(&running(&run, &place)).len() <= 63);
    }

    #[test]
    fn a_pod_may_do_no_more_than_it_is_given() {
        let plain = running_at(&run(json!({})), 1, "1", &BTreeSet::new());
        let pod = &plain.job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 65_532);
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert!(container["resources"]["limits"]["memory"].is_string());
        assert_eq!((container.get("command"), pod.get("imagePullSecrets")), (None, None));
        assert!(plain.needs.is_empty());
        assert_eq!(plain.timeout_ms, 660_000);
    }

    #[test]
    fn what_it_is_given_is_there() {
        let given = json!({
            "command": ["sh"],
            "args": ["-c", "true"],
            "env": {"HOME": "/root", "K": {"secretKeyRef": {"name": "aws", "key": "id"}}},
            "files": {"all.tf": "a", "modules/x/all.tf": "b"},
            "service_account": "terraform",
            "user": 0,
            "writable_root": true,
            "retries": 2,
            "deadline_seconds": 30,
            "pull_secrets": ["mirror"],
        });
        let whole = running_at(&run(given), 1, "1", &BTreeSet::new());
        let (spec, files) = (&whole.job["spec"], &whole.needs[0]);
        assert_eq!((&spec["backoffLimit"], &spec["activeDeadlineSeconds"]), (&json!(2), &json!(30)));
        assert_eq!(files["data"], json!({"file-0": "a", "file-1": "b"}));
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "terraform");
        assert_eq!(pod["automountServiceAccountToken"], true);
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "mirror"}]));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], false);
        let container = &pod["containers"][0];
        assert_eq!(
            container["env"],
            json!([
                {"name": "SLIPWAY_OUTPUTS", "value": "/dev/termination-log"},
                {"name": "HOME", "value": "/root"},
                {"name": "K", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "id"}}},
            ])
        );
        let mounts: Vec<&Value> =
            container["volumeMounts"].as_array().unwrap().iter().map(|mount| &mount["mountPath"]).collect();
        assert_eq!(mounts, ["/work", "/tmp", "/work/all.tf", "/work/modules/x/all.tf"]);
        assert_eq!(pod["volumes"][2]["configMap"]["name"], files["metadata"]["name"]);
    }
}
