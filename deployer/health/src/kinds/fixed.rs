//! Kinds of the platform that no controller gives a status to: they are as wanted once they exist.

/// Whether objects of this kind never tell how they are.
pub(super) fn is_fixed(group: &str, kind: &str) -> bool {
    let kinds: &[&str] = match group {
        "" => &[
            "ConfigMap",
            "Secret",
            "ServiceAccount",
            "LimitRange",
            "ResourceQuota",
            "Endpoints",
            "PodTemplate",
            "Event",
        ],
        "rbac.authorization.k8s.io" => &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
        "networking.k8s.io" => &["NetworkPolicy", "IngressClass"],
        "storage.k8s.io" => &["StorageClass", "CSIDriver", "CSINode", "CSIStorageCapacity"],
        "scheduling.k8s.io" => &["PriorityClass"],
        "node.k8s.io" => &["RuntimeClass"],
        "coordination.k8s.io" => &["Lease"],
        "discovery.k8s.io" => &["EndpointSlice"],
        "apps" => &["ControllerRevision"],
        "admissionregistration.k8s.io" => &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
        "flowcontrol.apiserver.k8s.io" => &["FlowSchema", "PriorityLevelConfiguration"],
        _ => &[],
    };
    kinds.contains(&kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinds::cases::hold;
    use crate::object::ObjectState;

    #[test]
    fn what_never_gets_a_status_is_current_once_it_exists() {
        for (version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("v1", "LimitRange"),
            ("v1", "ResourceQuota"),
            ("v1", "Endpoints"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("storage.k8s.io/v1", "StorageClass"),
            ("scheduling.k8s.io/v1", "PriorityClass"),
        ] {
            hold([(json!({"apiVersion": version, "kind": kind}), ObjectState::Current, "it exists")]);
        }
    }

    #[test]
    fn a_custom_resource_of_the_same_name_is_not_fixed() {
        hold([(
            json!({"apiVersion": "example.org/v1", "kind": "Secret"}),
            ObjectState::InProgress,
            "its controller has not written a status",
        )]);
    }
}
