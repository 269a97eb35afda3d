//! In which order objects are applied, and in reverse removed.

use slipway_handoff::ObjectRef;

/// What kinds have no place of their own: workloads, and the resources of installed definitions.
const WORKLOADS: u8 = 8;

/// When an object is applied: what others need comes before them, what acts on others or lets traffic in comes
/// after them, and what can refuse others' writes comes last.
pub fn rank(object: &ObjectRef) -> u8 {
    match (object.group(), object.kind.as_str()) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") => 0,
        ("", "Namespace") => 1,
        ("scheduling.k8s.io", "PriorityClass")
        | ("storage.k8s.io", "StorageClass" | "CSIDriver" | "VolumeAttributesClass")
        | ("node.k8s.io", "RuntimeClass")
        | ("networking.k8s.io", "IngressClass")
        | ("gateway.networking.k8s.io", "GatewayClass") => 2,
        ("", "ServiceAccount") | ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => 3,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => 4,
        ("", "ConfigMap" | "Secret" | "LimitRange" | "ResourceQuota")
        | ("networking.k8s.io", "NetworkPolicy") => 5,
        ("", "PersistentVolume" | "PersistentVolumeClaim") => 6,
        ("", "Service" | "Endpoints") | ("discovery.k8s.io", "EndpointSlice") => 7,
        ("autoscaling", "HorizontalPodAutoscaler")
        | ("autoscaling.k8s.io", "VerticalPodAutoscaler")
        | ("keda.sh", "ScaledObject")
        | ("policy", "PodDisruptionBudget") => 9,
        ("networking.k8s.io" | "extensions", "Ingress")
        | ("gateway.networking.k8s.io", _)
        | ("route.openshift.io", "Route") => 10,
        ("apiregistration.k8s.io", "APIService") => 11,
        ("admissionregistration.k8s.io", _) => 12,
        _ => WORKLOADS,
    }
}

/// Sorts what is to be applied; what has the same [`rank`] stays in its order.
pub fn apply_order<T>(objects: &mut [T], of: impl Fn(&T) -> &ObjectRef) {
    objects.sort_by_key(|object| rank(of(object)));
}
