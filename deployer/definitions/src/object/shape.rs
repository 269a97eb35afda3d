//! What every object must look like before it is worth showing to a cluster.

use serde_json::Value;
use slipway_types::SecretReference;

use super::identity::GroupKind;
use super::leaves::SECRET;
use crate::field_path::{FieldPath, Step};

/// Limits of one object.
#[derive(Debug, Clone)]
pub struct ObjectOptions {
    /// The longest object as JSON, in bytes. A cluster's store takes 1.5 MB, all included.
    pub max_object_bytes: usize,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self { max_object_bytes: 1 << 20 }
    }
}

/// A reference to a secret inside an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMark {
    /// Where in the object.
    pub path: FieldPath,
    /// The secret.
    pub reference: SecretReference,
}

/// Fields of `metadata` that the cluster writes.
const CLUSTER_METADATA: [&str; 8] = [
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// Removes map fields without a value; a list keeps its items.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Removes what the cluster writes: charts often carry an empty `status`.
pub fn drop_cluster_fields(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !CLUSTER_METADATA.contains(&field.as_str()));
    }
}

/// Everything that makes `object` no object that can be applied: the field and what is wrong.
pub fn faults(object: &Value, options: &ObjectOptions) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| faults.push((path.to_owned(), message));
    let Some(fields) = object.as_object() else {
        return vec![(String::new(), "is no object".to_owned())];
    };
    for field in ["apiVersion", "kind"] {
        if fields.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            fault(field, "must be text".to_owned());
        }
    }
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    match object.pointer("/metadata/name") {
        Some(Value::String(name)) => {
            if let Err(why) = check_name(kind, name) {
                fault("metadata.name", format!("`{}` {why}", crate::suggestion::shortened(name)));
            }
        }
        _ => fault("metadata.name", "must be text".to_owned()),
    }
    if fields.contains_key("status") {
        fault("status", "is written by the cluster, leave it out".to_owned());
    }
    let metadata = fields.get("metadata").and_then(Value::as_object);
    for field in CLUSTER_METADATA {
        if metadata.is_some_and(|metadata| metadata.contains_key(field)) {
            fault(&format!("metadata.{field}"), "is written by the cluster, leave it out".to_owned());
        }
    }
    for field in ["labels", "annotations"] {
        let values = metadata.and_then(|metadata| metadata.get(field)).map(Value::as_object);
        let texts = values.is_none_or(|map| map.is_some_and(|map| map.values().all(Value::is_string)));
        if !texts {
            fault(&format!("metadata.{field}"), "must be a mapping of texts".to_owned());
        }
    }
    let bytes = object.to_string().len();
    if bytes > options.max_object_bytes {
        fault("", format!("has {bytes} bytes, the limit max_object_bytes is {}", options.max_object_bytes));
    }
    faults
}

/// Whether objects of `kind` may be called `name`.
pub fn check_name(kind: &str, name: &str) -> Result<(), String> {
    // These name paths, not hosts.
    if ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"].contains(&kind) {
        let valid = !name.is_empty() && !name.contains(['/', '%']) && name != "." && name != "..";
        return if valid { Ok(()) } else { Err("may not be empty or contain `/` or `%`".to_owned()) };
    }
    let limit = match kind {
        // Kubernetes appends eleven characters for the Jobs.
        "CronJob" => 52,
        "Service" | "Namespace" | "Job" => 63,
        _ => 253,
    };
    if name.len() > limit {
        return Err(format!("is longer than the {limit} characters that a {kind} may have"));
    }
    let label = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
    };
    let parts: Vec<&str> = name.split('.').collect();
    let one_label = limit == 63 && kind != "Job";
    if parts.iter().all(|part| label(part)) && !(one_label && parts.len() > 1) {
        Ok(())
    } else {
        Err("is no DNS name: use lower-case letters, digits and `-`, beginning and ending with a letter or digit".to_owned())
    }
}

/// Kinds without a namespace that every cluster has.
pub fn is_cluster_scoped(kind: &GroupKind) -> bool {
    let kinds: &[&str] = match kind.group.as_str() {
        "" => &["Namespace", "Node", "PersistentVolume"],
        "rbac.authorization.k8s.io" => &["ClusterRole", "ClusterRoleBinding"],
        "apiextensions.k8s.io" => &["CustomResourceDefinition"],
        "apiregistration.k8s.io" => &["APIService"],
        "admissionregistration.k8s.io" => &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ],
        "storage.k8s.io" => {
            &["StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass"]
        }
        "scheduling.k8s.io" => &["PriorityClass"],
        "node.k8s.io" => &["RuntimeClass"],
        "networking.k8s.io" => &["IngressClass", "IPAddress", "ServiceCIDR"],
        "policy" => &["PodSecurityPolicy"],
        "certificates.k8s.io" => &["CertificateSigningRequest", "ClusterTrustBundle"],
        "flowcontrol.apiserver.k8s.io" => &["FlowSchema", "PriorityLevelConfiguration"],
        "gateway.networking.k8s.io" => &["GatewayClass"],
        "apps.kruise.io" => {
            &["SidecarSet", "ImagePullJob", "ResourceDistribution", "NodeImage", "NodePodProbe"]
        }
        _ => &[],
    };
    kinds.contains(&kind.kind.as_str())
}

/// The references to secrets in `object`, and what is wrong with those that may not stand there.
pub fn secret_marks(object: &Value) -> (Vec<SecretMark>, Vec<(String, String)>) {
    let mut search = Search { marks: Vec::new(), faults: Vec::new(), steps: Vec::new() };
    let secret = object.get("apiVersion").and_then(Value::as_str) == Some("v1")
        && object.get("kind").and_then(Value::as_str) == Some("Secret");
    search.value(object, secret);
    (search.marks, search.faults)
}

struct Search {
    marks: Vec<SecretMark>,
    faults: Vec<(String, String)>,
    steps: Vec<Step>,
}

impl Search {
    fn value(&mut self, value: &Value, of_secret: bool) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get(SECRET) {
                    self.mark(fields.len(), reference, of_secret);
                    return;
                }
                for (field, value) in fields {
                    self.steps.push(Step::Field(field.clone()));
                    self.value(value, of_secret);
                    self.steps.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.steps.push(Step::Item(vec![("index".to_owned(), index.to_string())]));
                    self.value(item, of_secret);
                    self.steps.pop();
                }
            }
            _ => {}
        }
    }

    fn mark(&mut self, fields: usize, reference: &Value, of_secret: bool) {
        let path = FieldPath::new(self.steps.clone());
        let in_data = matches!(&self.steps[..], [Step::Field(field), Step::Field(_)]
            if field == "data" || field == "stringData");
        let fault = if !of_secret || !in_data {
            "a reference to a secret may stand only as a value of `data` or `stringData` of a Secret"
                .to_owned()
        } else if fields > 1 {
            "a reference to a secret has no other fields".to_owned()
        } else {
            match reference.as_str().unwrap_or_default().parse() {
                Ok(reference) => {
                    self.marks.push(SecretMark { path, reference });
                    return;
                }
                Err(error) => format!("{error}"),
            }
        };
        self.faults.push((path.to_string(), fault));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields_at_fault(object: Value) -> Vec<String> {
        faults(&object, &ObjectOptions { max_object_bytes: 300 }).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn every_fault_of_an_object_is_told() {
        let bad =
            json!({"apiVersion": 1, "metadata": {"name": "A", "uid": "x", "labels": {"a": 1}}, "status": {}});
        assert_eq!(
            fields_at_fault(bad),
            ["apiVersion", "kind", "metadata.name", "status", "metadata.uid", "metadata.labels"]
        );
        assert_eq!(fields_at_fault(json!("x")), [""]);
        let good =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a.b", "labels": {"a": "b"}}});
        assert_eq!(fields_at_fault(good.clone()), [""; 0]);
        let mut long = good;
        long["x"] = json!("x".repeat(300));
        assert_eq!(fields_at_fault(long), [""]);
    }

    #[test]
    fn names_follow_the_kind() {
        for (kind, name) in
            [("Role", "a:B"), ("Deployment", "a.b-c"), ("CronJob", &"a".repeat(52)), ("Job", "a.b")]
        {
            assert_eq!(check_name(kind, name), Ok(()), "{kind} {name}");
        }
        let long = "a".repeat(64);
        for (kind, name) in [
            ("Role", "a/b"),
            ("Deployment", ""),
            ("Deployment", "a_b"),
            ("Deployment", "-a"),
            ("Deployment", "a..b"),
            ("Service", "a.b"),
            ("Service", &long),
            ("CronJob", &long[..53]),
        ] {
            assert!(check_name(kind, name).is_err(), "{kind} {name}");
        }
    }

    #[test]
    fn nothing_is_left_of_nulls_but_places_in_lists() {
        let mut value = json!({"a": null, "b": {"c": null}, "d": [null, {"e": null}]});
        drop_nulls(&mut value);
        assert_eq!(value, json!({"b": {}, "d": [null, {}]}));
        let mut object = json!({"status": {}, "metadata": {"creationTimestamp": "x", "name": "a"}});
        drop_cluster_fields(&mut object);
        assert_eq!(object, json!({"metadata": {"name": "a"}}));
    }

    #[test]
    fn secrets_are_named_only_in_the_data_of_secrets() {
        let mark = json!({"$secret": "secret://builtin/a"});
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": mark}, "data": {"b": mark}});
        let (marks, faults) = secret_marks(&secret);
        assert_eq!(
            marks.iter().map(|mark| mark.path.to_string()).collect::<Vec<_>>(),
            ["data.b", "stringData.a"]
        );
        assert_eq!(faults, []);
        for bad in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": mark}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {"a": mark}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": {"$secret": "x"}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": {"$secret": "secret://builtin/a", "b": 1}}}),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": [mark]}}),
        ] {
            let (marks, faults) = secret_marks(&bad);
            assert_eq!((marks.len(), faults.len()), (0, 1), "{bad}");
        }
    }
}
