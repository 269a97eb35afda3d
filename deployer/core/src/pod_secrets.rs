//! Which Secrets the pods of a workload read, and what these held when the pods were last made anew, by a keyed digest.
//!
//! A pod that has a Secret as variables never sees another value, so a rotation reaches it only by another pod. What it
//! has as files changes under it within a minute or two, unless a part of a volume is mounted by itself: whoever reads
//! files can see to that, and is not ended for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_handoff::ObjectRef;

use crate::applied_secrets::{Digests, WHICH_KEY};

/// Annotation of pod templates: tells, by a keyed digest, what the Secrets hold that the pods were made anew for.
pub(crate) const HELD: &str = "slipway.dev/secrets";

/// Where a workload says how its pods come to another template.
const UPDATES: [&str; 3] = [
    "/spec/updateStrategy/type",
    "/spec/updateStrategy/rollingUpdate/podUpdatePolicy",
    "/spec/updateStrategy/rollingUpdate/rollingUpdateType",
];
/// What its values begin with that keep pods which run: OpenKruise's `InPlaceIfPossible` and `InPlaceOnly`, by which
/// another annotation is written to them as they are, and `OnDelete`, by which somebody has to remove them.
const KEEPING: [&str; 2] = ["InPlace", "OnDelete"];
/// Where a pod has containers.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];
/// So many digests of a workload are kept at most, unless it reads more now: names that change with each deployment
/// would make what is kept of a key grow for ever.
const DIGESTS_MAX: usize = 64;
/// What is digested of all Secrets of a workload together.
const ALL_HELD: &str = "held by the secrets of pods";

/// A Secret, or one key of it, that pods read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Read<'a> {
    secret: &'a str,
    /// `None`: all of them.
    key: Option<&'a str>,
}

/// With what the pods of the workloads of one key were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PodSecrets(Vec<MadeWith>);

/// With what the pods of a workload were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeWith {
    workload: ObjectRef,
    /// Tells under which master key the digests are: under another one they say nothing.
    under: String,
    /// Digests of what they read: of a whole Secret by `NAME`, of one key by `NAME/KEY`.
    digests: BTreeMap<String, String>,
}

impl PodSecrets {
    /// Whether nothing is known of any workload.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of a workload.
    pub(crate) fn of(&self, workload: &ObjectRef) -> Option<&MadeWith> {
        self.0.iter().find(|known| known.workload.identity() == workload.identity())
    }

    /// The pods of a workload run with this, or will.
    pub(crate) fn made(&mut self, made: MadeWith) {
        self.dropped(&made.workload);
        self.0.push(made);
    }

    /// A workload is gone, or somebody else's.
    pub(crate) fn dropped(&mut self, workload: &ObjectRef) {
        self.0.retain(|known| known.workload.identity() != workload.identity());
    }
}

impl MadeWith {
    /// The pods of `workload` read nothing yet.
    pub(crate) fn new(workload: &ObjectRef, digests: &Digests<'_>) -> Self {
        let under = digests(&WHICH_KEY, &[]);
        Self { workload: workload.clone(), under, digests: BTreeMap::new() }
    }

    /// They read this of a Secret, which holds `held`: digests by its keys.
    pub(crate) fn read(&mut self, read: &Read<'_>, held: &BTreeMap<String, String>, digests: &Digests<'_>) {
        let Read { secret, key } = *read;
        match key {
            Some(key) => {
                let digest = held.get(key).cloned();
                self.digests.extend(digest.map(|digest| (format!("{secret}/{key}"), digest)));
            }
            None => {
                let digest = self.together(secret, held, digests);
                self.digests.insert(secret.to_owned(), digest);
            }
        }
    }

    /// What the annotation [`HELD`] says: one digest for all.
    pub(crate) fn stamp(&self, digests: &Digests<'_>) -> String {
        self.together("", &self.digests, digests)
    }

    /// Whether its digests are under the master key of now.
    pub(crate) fn tells(&self, digests: &Digests<'_>) -> bool {
        self.under == digests(&WHICH_KEY, &[])
    }

    /// Whether pods made with `self` run with another value than those of `now`. What they read only before, or only
    /// now, is no difference: that is another template, which makes them anew itself.
    pub(crate) fn is_behind(&self, now: &Self) -> bool {
        let is_other =
            |(name, digest): (&String, &String)| now.digests.get(name).is_some_and(|now| now != digest);
        self.under == now.under && self.digests.iter().any(is_other)
    }

    /// What was read before and is not now stays known: a roll-out that did not come to its end may be taken back, to
    /// pods that still run with it. Of what would make more than [`DIGESTS_MAX`], the last by name is forgotten.
    pub(crate) fn remember(&mut self, before: &Self) {
        if self.under != before.under {
            return;
        }
        for (name, digest) in &before.digests {
            if self.digests.len() >= DIGESTS_MAX {
                return;
            }
            self.digests.entry(name.clone()).or_insert_with(|| digest.clone());
        }
    }

    /// One digest of several.
    fn together(&self, part: &str, all: &BTreeMap<String, String>, digests: &Digests<'_>) -> String {
        let mut text = String::new();
        for part in all.iter().flat_map(|(name, digest)| [name, digest]) {
            text.push_str(part);
            // No name, key or digest has such a byte.
            text.push('\0');
        }
        let ObjectRef { kind, namespace, name, .. } = &self.workload;
        let namespace = namespace.as_deref().unwrap_or_default();
        let place = [ALL_HELD, self.workload.group(), kind.as_str(), namespace, name.as_str(), part];
        digests(&place, text.as_bytes())
    }
}

impl Read<'_> {
    /// Whether this Secret is read, or a part of it.
    pub(crate) fn is_of(&self, secret: &str) -> bool {
        self.secret == secret
    }
}

/// What the pods of a workload read of Secrets once and for all; nothing, if it does not make pods anew when its
/// template changes. With what images are pulled is none of it: that is asked for anew with each pull.
pub(crate) fn read_by<'a>(workload: &ObjectRef, manifest: &'a Value) -> BTreeSet<Read<'a>> {
    let mut read = BTreeSet::new();
    if !workload.rolls_pods() || keeps_pods(manifest) {
        return read;
    }
    let Some(pods) = manifest.pointer("/spec/template/spec") else { return read };
    let mut mounted_in_part = BTreeSet::new();
    for container in CONTAINERS.into_iter().flat_map(|field| items(&pods[field])) {
        let whole = items(&container["envFrom"]).filter_map(|from| all_of(&from["secretRef"]["name"]));
        read.extend(whole);
        let parts = items(&container["env"]).filter_map(|variable| {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            Some(Read { secret: reference["name"].as_str()?, key: Some(reference["key"].as_str()?) })
        });
        read.extend(parts);
        mounted_in_part.extend(items(&container["volumeMounts"]).filter_map(volume_in_part));
    }
    let is_fixed = |volume: &&Value| volume["name"].as_str().is_some_and(|it| mounted_in_part.contains(it));
    for volume in items(&pods["volumes"]).filter(is_fixed) {
        read.extend(all_of(&volume["secret"]["secretName"]));
        let projected = items(&volume["projected"]["sources"]);
        read.extend(projected.filter_map(|source| all_of(&source["secret"]["name"])));
    }
    read
}

/// The volume of which a mount shows a part, which stays as it was when the pod began
/// (<https://kubernetes.io/docs/concepts/storage/volumes/#secret>).
fn volume_in_part(mount: &Value) -> Option<&str> {
    let is_in_part = ["subPath", "subPathExpr"].into_iter().any(|field| mount[field].is_string());
    mount["name"].as_str().filter(|_| is_in_part)
}

/// Whether another annotation of its template makes no pods of a workload anew.
fn keeps_pods(workload: &Value) -> bool {
    let mut said = UPDATES.into_iter().filter_map(|pointer| workload.pointer(pointer)?.as_str());
    said.any(|said| KEEPING.iter().any(|keeping| said.starts_with(keeping)))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn all_of(name: &Value) -> Option<Read<'_>> {
    Some(Read { secret: name.as_str()?, key: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_types::Digest;

    use super::*;

    fn under(key: &'static str) -> impl Fn(&[&str], &[u8]) -> String {
        move |place, value| Digest::of(format!("{key} {place:?} {value:?}")).to_string()
    }

    fn workload(api_version: &str, kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        }
    }

    fn pods(spec: &Value) -> Value {
        json!({"spec": {"template": {"spec": spec}}})
    }

    #[test]
    fn variables_and_parts_of_volumes_are_read_and_other_files_are_not() {
        let web = workload("apps/v1", "Deployment");
        for (spec, expected) in [
            (json!({"containers": [{"name": "web", "env": [{"name": "A", "value": "b"}]}]}), vec![]),
            (json!({"imagePullSecrets": [{"name": "pull"}]}), vec![]),
            (json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}), vec![("db", None)]),
            (json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}), vec![("db", None)]),
            (json!({"containers": [{"envFrom": [{"configMapRef": {"name": "db"}}]}]}), vec![]),
            (
                json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "db", "key": "user"}}}]}]}),
                vec![("db", Some("user"))],
            ),
            (
                json!({"containers": [{"volumeMounts": [{"name": "tls", "mountPath": "/tls"}]}],
                    "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}]}),
                vec![],
            ),
            (
                json!({"containers": [{"volumeMounts": [{"name": "tls", "mountPath": "/tls/key", "subPath": "key"}]}],
                "volumes": [
                    {"name": "tls", "projected": {"sources": [{"secret": {"name": "b"}}, {"secret": {"name": "a"}}]}},
                    {"name": "other", "secret": {"secretName": "other"}},
                ]}),
                vec![("a", None), ("b", None)],
            ),
        ] {
            let manifest = pods(&spec);
            let found: Vec<_> =
                read_by(&web, &manifest).into_iter().map(|read| (read.secret, read.key)).collect();
            assert_eq!(found, expected, "{spec}");
        }
    }

    #[test]
    fn only_what_makes_its_pods_anew_reads() {
        let manifest = pods(&json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}));
        for (api_version, kind, reads) in [
            ("apps/v1", "Deployment", true),
            ("apps/v1", "StatefulSet", true),
            ("apps/v1", "DaemonSet", true),
            ("apps.kruise.io/v1alpha1", "CloneSet", true),
            ("apps.kruise.io/v1beta1", "StatefulSet", true),
            ("apps/v1", "ReplicaSet", false),
            ("batch/v1", "Job", false),
            ("example.org/v1", "Deployment", false),
        ] {
            assert_eq!(
                !read_by(&workload(api_version, kind), &manifest).is_empty(),
                reads,
                "{api_version} {kind}"
            );
        }
    }

    #[test]
    fn what_keeps_its_pods_when_its_template_changes_reads_nothing() {
        let mut manifest = pods(&json!({"containers": [{"envFrom": [{"secretRef": {"name": "db"}}]}]}));
        for (api_version, kind, strategy, reads) in [
            (
                "apps/v1",
                "StatefulSet",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
                true,
            ),
            ("apps/v1", "StatefulSet", json!({"type": "OnDelete"}), false),
            ("apps/v1", "DaemonSet", json!({"type": "OnDelete"}), false),
            ("apps.kruise.io/v1alpha1", "CloneSet", json!({"type": "ReCreate"}), true),
            ("apps.kruise.io/v1alpha1", "CloneSet", json!({"type": "InPlaceIfPossible"}), false),
            ("apps.kruise.io/v1alpha1", "CloneSet", json!({"type": "InPlaceOnly"}), false),
            (
                "apps.kruise.io/v1beta1",
                "StatefulSet",
                json!({"type": "RollingUpdate", "rollingUpdate": {"podUpdatePolicy": "ReCreate"}}),
                true,
            ),
            (
                "apps.kruise.io/v1beta1",
                "StatefulSet",
                json!({"rollingUpdate": {"podUpdatePolicy": "InPlaceOnly"}}),
                false,
            ),
            (
                "apps.kruise.io/v1alpha1",
                "DaemonSet",
                json!({"rollingUpdate": {"rollingUpdateType": "Standard"}}),
                true,
            ),
            (
                "apps.kruise.io/v1alpha1",
                "DaemonSet",
                json!({"rollingUpdate": {"rollingUpdateType": "InPlaceIfPossible"}}),
                false,
            ),
        ] {
            manifest["spec"]["updateStrategy"] = strategy;
            let read = read_by(&workload(api_version, kind), &manifest);
            assert_eq!(!read.is_empty(), reads, "{api_version} {kind} {manifest}");
        }
    }

    const WHOLE: Read<'static> = Read { secret: "db", key: None };
    const PART: Read<'static> = Read { secret: "db", key: Some("user") };

    /// What pods read of a Secret that holds these digests.
    fn made(key: &'static str, reads: &[Read<'_>], digests: &[(&str, &str)]) -> MadeWith {
        let held: BTreeMap<String, String> =
            digests.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect();
        let mut made = MadeWith::new(&workload("apps/v1", "Deployment"), &under(key));
        for read in reads {
            made.read(read, &held, &under(key));
        }
        made
    }

    #[test]
    fn pods_are_behind_once_a_value_that_they_read_is_another() {
        let held = [("password", "1"), ("user", "1")];
        for (before, now, is_behind) in [
            (WHOLE, made("ours", &[WHOLE], &held), false),
            (WHOLE, made("ours", &[WHOLE], &[("password", "2"), ("user", "1")]), true),
            (WHOLE, made("ours", &[WHOLE], &[("password", "1")]), true),
            (PART, made("ours", &[PART], &held), false),
            (PART, made("ours", &[PART], &[("password", "2"), ("user", "1")]), false),
            (PART, made("ours", &[PART], &[("password", "1"), ("user", "2")]), true),
            // Another template has made them anew.
            (PART, made("ours", &[WHOLE], &[("password", "2"), ("user", "2")]), false),
            (PART, made("ours", &[], &held), false),
            (PART, made("ours", &[PART], &[]), false),
            // Nobody can say.
            (WHOLE, made("another", &[WHOLE], &[("password", "2")]), false),
        ] {
            assert_eq!(made("ours", &[before], &held).is_behind(&now), is_behind, "{before:?} {now:?}");
        }
        let (one, other) = (made("ours", &[WHOLE], &held), made("ours", &[WHOLE], &held[..1]));
        assert_ne!(one.stamp(&under("ours")), other.stamp(&under("ours")));
        assert!(one.tells(&under("ours")) && !one.tells(&under("another")));
    }

    #[test]
    fn what_is_read_no_more_is_remembered_for_pods_that_may_come_back() {
        let before = made("ours", &[PART], &[("user", "1")]);
        let mut now = made("ours", &[], &[]);
        now.remember(&before);
        assert!(now.is_behind(&made("ours", &[PART], &[("user", "2")])));
        let mut now = made("ours", &[PART], &[("user", "2")]);
        now.remember(&before);
        assert_eq!(now, made("ours", &[PART], &[("user", "2")]), "the newest counts");
        let mut now = made("another", &[], &[]);
        now.remember(&before);
        assert_eq!(now, made("another", &[], &[]), "it says nothing there");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_read_now_is_not() {
        let names: Vec<String> = (0..=DIGESTS_MAX).map(|number| format!("{number:03}")).collect();
        let held: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let reads: Vec<Read<'_>> =
            names.iter().map(|name| Read { secret: "db", key: Some(name.as_str()) }).collect();
        let before = made("ours", &reads, &held);
        assert_eq!(before.digests.len(), DIGESTS_MAX + 1);
        let mut now = made("ours", &[PART], &[("user", "1")]);
        now.remember(&before);
        assert_eq!(now.digests.len(), DIGESTS_MAX);
        assert!(now.digests.contains_key("db/user"), "it is read now");
        let mut all = before.clone();
        all.remember(&now);
        assert_eq!(all, before);
    }

    #[test]
    fn the_newest_of_a_workload_counts_whatever_version_of_its_api_names_it() {
        let mut kept = PodSecrets::default();
        for digest in ["1", "2"] {
            kept.made(made("ours", &[WHOLE], &[("password", digest)]));
        }
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<PodSecrets>(&text).unwrap(), kept);
        assert_eq!(
            kept.of(&workload("apps/v2", "Deployment")),
            Some(&made("ours", &[WHOLE], &[("password", "2")]))
        );
        assert_eq!(kept.of(&workload("apps/v1", "StatefulSet")), None);
        kept.dropped(&workload("apps/v1", "Deployment"));
        assert!(kept.is_empty());
    }
}
