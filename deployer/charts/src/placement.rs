//! Where rendered objects belong: in the component's namespace, or in none.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_types::Violation;

use crate::rendered::{ObjectName, RenderedObject};
use crate::request::Request;

/// Kinds of Kubernetes itself that are in no namespace, by group.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    ("authorization.k8s.io", &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("extensions", &["PodSecurityPolicy"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    ("networking.k8s.io", &["ClusterCIDR", "IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// The kinds in no namespace that the target has or that the rendered definitions bring.
pub(crate) struct Scopes<'a> {
    request: &'a Request<'a>,
    defined: BTreeSet<(String, String)>,
}

impl<'a> Scopes<'a> {
    pub(crate) fn of(objects: &[RenderedObject], request: &'a Request<'a>) -> Self {
        let definitions = objects.iter().map(|object| &object.object).filter(|object| {
            object["kind"] == "CustomResourceDefinition" && object["spec"]["scope"] == "Cluster"
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let defined = definitions
            .map(|object| (text(&object["spec"]["group"]), text(&object["spec"]["names"]["kind"])))
            .collect();
        Self { request, defined }
    }

    fn is_cluster_scoped(&self, name: &ObjectName) -> bool {
        let builtin = CLUSTER_SCOPED
            .iter()
            .any(|(group, kinds)| *group == name.group() && kinds.contains(&name.kind.as_str()));
        builtin
            || self.request.target.cluster_scoped.contains(&name.api())
            || self.defined.contains(&(name.group().to_owned(), name.kind.clone()))
    }

    /// Gives every object its place, notes those that are in no namespace, and tells which would lie in
    /// another than the component's.
    pub(crate) fn place(&self, objects: &mut [RenderedObject]) -> (BTreeSet<ObjectName>, Vec<Violation>) {
        let (mut cluster_scoped, mut found) = (BTreeSet::new(), Vec::new());
        let namespace = self.request.namespace;
        for object in objects {
            let name = ObjectName::of(&object.object);
            let Some(metadata) = object.object["metadata"].as_object_mut() else { continue };
            if self.is_cluster_scoped(&name) {
                metadata.remove("namespace");
                cluster_scoped.insert(ObjectName { namespace: None, ..name });
                continue;
            }
            match name.namespace.as_deref() {
                None => _ = metadata.insert("namespace".to_owned(), namespace.into()),
                Some(own) if own == namespace => {}
                Some(other) => {
                    let shown: String = other.chars().take(63).collect();
                    let message = format!(
                        "{} is for the namespace `{shown}`, the component is in `{namespace}`",
                        object.described()
                    );
                    let hint =
                        "let the chart use `.Release.Namespace`, or deploy that part by another environment";
                    found.push(self.request.whole("foreign_namespace", message).hint(hint));
                }
            }
        }
        (cluster_scoped, found)
    }
}

/// Objects that are rendered more than once would overwrite each other.
pub(crate) fn repeated(objects: &[RenderedObject], request: &Request<'_>) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let twice = objects.iter().filter(|object| !seen.insert(ObjectName::of(&object.object)));
    let tell = |object: &RenderedObject| {
        request
            .whole("duplicate_object", format!("{} is rendered more than once", object.described()))
            .hint("give one of them another name")
    };
    twice.map(tell).collect()
}
