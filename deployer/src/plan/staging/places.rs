//! Where objects of Kubernetes name others.

use serde_json::Value;

/// A place below an object, `*` for every item of a list; the group and kind it names.
type Place = (&'static str, &'static str, &'static str);

/// Below the specification of a pod.
const POD: [Place; 10] = [
    ("volumes/*/configMap/name", "", "ConfigMap"),
    ("volumes/*/secret/secretName", "", "Secret"),
    ("volumes/*/persistentVolumeClaim/claimName", "", "PersistentVolumeClaim"),
    ("volumes/*/projected/sources/*/configMap/name", "", "ConfigMap"),
    ("volumes/*/projected/sources/*/secret/name", "", "Secret"),
    ("volumes/*/csi/nodePublishSecretRef/name", "", "Secret"),
    ("serviceAccountName", "", "ServiceAccount"),
    ("serviceAccount", "", "ServiceAccount"),
    ("imagePullSecrets/*/name", "", "Secret"),
    ("priorityClassName", "scheduling.k8s.io", "PriorityClass"),
];
/// Below a container.
const CONTAINER: [Place; 4] = [
    ("env/*/valueFrom/configMapKeyRef/name", "", "ConfigMap"),
    ("env/*/valueFrom/secretKeyRef/name", "", "Secret"),
    ("envFrom/*/configMapRef/name", "", "ConfigMap"),
    ("envFrom/*/secretRef/name", "", "Secret"),
];
/// Below objects of a kind.
const OBJECTS: [(&str, Place); 19] = [
    ("StatefulSet", ("spec/serviceName", "", "Service")),
    ("StatefulSet", ("spec/volumeClaimTemplates/*/spec/storageClassName", "storage.k8s.io", "StorageClass")),
    ("PersistentVolumeClaim", ("spec/storageClassName", "storage.k8s.io", "StorageClass")),
    ("PersistentVolumeClaim", ("spec/volumeName", "", "PersistentVolume")),
    ("Ingress", ("spec/rules/*/http/paths/*/backend/service/name", "", "Service")),
    ("Ingress", ("spec/rules/*/http/paths/*/backend/serviceName", "", "Service")),
    ("Ingress", ("spec/defaultBackend/service/name", "", "Service")),
    ("Ingress", ("spec/backend/serviceName", "", "Service")),
    ("Ingress", ("spec/tls/*/secretName", "", "Secret")),
    ("Ingress", ("spec/ingressClassName", "networking.k8s.io", "IngressClass")),
    ("ServiceAccount", ("secrets/*/name", "", "Secret")),
    ("ServiceAccount", ("imagePullSecrets/*/name", "", "Secret")),
    ("MutatingWebhookConfiguration", ("webhooks/*/clientConfig/service/name", "", "Service")),
    ("ValidatingWebhookConfiguration", ("webhooks/*/clientConfig/service/name", "", "Service")),
    ("CustomResourceDefinition", ("spec/conversion/webhook/clientConfig/service/name", "", "Service")),
    ("APIService", ("spec/service/name", "", "Service")),
    ("HTTPRoute", ("spec/rules/*/backendRefs/*/name", "", "Service")),
    ("GRPCRoute", ("spec/rules/*/backendRefs/*/name", "", "Service")),
    ("TCPRoute", ("spec/rules/*/backendRefs/*/name", "", "Service")),
];
/// References that say themselves what they name, by `kind` and `apiVersion` or `apiGroup`.
const TYPED: [&str; 4] = ["spec/scaleTargetRef", "spec/targetRef", "roleRef", "subjects/*"];

/// Whether the name was replaced.
type Visit<'v> = dyn FnMut(&str, &str, &mut Value) -> Option<()> + 'v;

/// Shows every reference of `object` to the namespace's own objects and to those of no namespace: group,
/// kind, and the name to replace.
pub(super) fn references(object: &mut Value, namespace: &str, visit: &mut Visit<'_>) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    for (of, (path, group, named)) in OBJECTS {
        if of == kind {
            each(object, path, &mut |name| _ = visit(group, named, name));
        }
    }
    for path in TYPED {
        each(object, path, &mut |reference| typed(reference, namespace, visit));
    }
    for pointer in POD_SPECS {
        let Some(pod) = object.pointer_mut(pointer).filter(|pod| pod["containers"].is_array()) else {
            continue;
        };
        for (path, group, named) in POD {
            each(pod, path, &mut |name| _ = visit(group, named, name));
        }
        for containers in ["containers/*", "initContainers/*"] {
            each(pod, containers, &mut |container| {
                for (path, group, named) in CONTAINER {
                    each(container, path, &mut |name| _ = visit(group, named, name));
                }
            });
        }
    }
}

/// Where the specification of a pod may stand.
pub(super) const POD_SPECS: [&str; 3] =
    ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];

/// Texts that programs read: values of the environment, commands, arguments, data of ConfigMaps.
pub(super) fn texts(object: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    if object["kind"] == "ConfigMap" {
        found.extend(object["data"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str()));
    }
    for pointer in POD_SPECS {
        let Some(pod) = object.pointer(pointer) else { continue };
        for list in ["containers", "initContainers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                let env = container["env"].as_array().into_iter().flatten();
                found.extend(env.filter_map(|variable| variable["value"].as_str()));
                // The first of a command is the program.
                let command = container["command"].as_array().into_iter().flatten().skip(1);
                found.extend(command.filter_map(Value::as_str));
                found.extend(container["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
            }
        }
    }
    found
}

fn typed(reference: &mut Value, namespace: &str, visit: &mut Visit<'_>) {
    let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
    let of_others = !text("namespace").is_empty() && text("namespace") != namespace;
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let group = match api_version.split_once('/') {
        Some((group, _)) => group.to_owned(),
        None => text("apiGroup"),
    };
    if let Some(name) = reference.get_mut("name").filter(|_| !of_others) {
        visit(&group, &kind, name);
    }
}

/// Calls `act` with every value at `path` below `value`.
pub(super) fn each(value: &mut Value, path: &str, act: &mut dyn FnMut(&mut Value)) {
    let (step, rest) = path.split_once('/').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let below: Vec<&mut Value> = match value {
        Value::Array(items) if step == "*" => items.iter_mut().collect(),
        Value::Object(fields) => fields.get_mut(step).into_iter().collect(),
        _ => Vec::new(),
    };
    for value in below {
        match rest {
            Some(rest) => each(value, rest, act),
            None => act(value),
        }
    }
}
