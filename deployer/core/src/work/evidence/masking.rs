//! What is hidden in what containers wrote: the values of the revision's secrets, and of others that pods are given.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;
use slipway_kubernetes::{Cluster, ObjectKey};
use slipway_secrets::Mask;

use super::super::{Work, key_of};
use super::{Asking, text_at};

/// Secrets that the cluster makes for pods itself. What stands in them beside the token is no secret, e.g. the
/// namespace's name.
const TOKEN: &str = "kubernetes.io/service-account-token";

impl Work {
    /// What hides them, or why it is not known what to hide: then no log may be kept.
    pub(super) async fn mask(
        &self,
        pods: &[Value],
        cluster: &Cluster,
        asking: &Asking<'_>,
    ) -> Result<Mask, String> {
        if pods.is_empty() {
            return Ok(Mask::new(&[]));
        }
        let mut values = Vec::new();
        let mut is_missing = false;
        for secret in self.secrets(pods) {
            match asking.ask(cluster.get(&secret)).await {
                Ok(Some(live)) => values.extend(values_of(&live)),
                Ok(None) => is_missing = true,
                Err(why) => return Err(format!("the {secret} could not be read: {why}")),
            }
        }
        let (host, key) = (&self.core.host, &self.submission.key);
        for used in &self.submission.document.secrets {
            let value = async { host.secret(key, used).await.map_err(|fault| fault.message) };
            match asking.within(value).await {
                Ok(value) => values.push(value),
                // What pods were given is what the cluster has.
                Err(_) if !is_missing => {}
                Err(why) => return Err(format!("{} could not be read: {why}", used.reference)),
            }
        }
        Ok(Mask::new(&values))
    }

    /// The Secrets of the revision, and those that pods are given, each once.
    fn secrets(&self, pods: &[Value]) -> impl Iterator<Item = ObjectKey> {
        let graph = &self.submission.document.graph;
        let own = graph.objects().map(|(_, object)| &object.object).filter(|object| object.is_secret());
        let own = own.map(key_of);
        let given = pods.iter().flat_map(given);
        let each: BTreeMap<(String, String), ObjectKey> =
            own.chain(given).map(|key| ((key.namespace.clone(), key.name.clone()), key)).collect();
        each.into_values()
    }
}

/// The Secrets that a pod has in its environment and files.
fn given(pod: &Value) -> Vec<ObjectKey> {
    let list = |object: &Value, pointer: &str| {
        object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut names: Vec<String> = Vec::new();
    let containers = [list(pod, "/spec/initContainers"), list(pod, "/spec/containers")].concat();
    for container in &containers {
        let single = list(container, "/env");
        names.extend(single.iter().map(|env| text_at(env, "/valueFrom/secretKeyRef/name").to_owned()));
        let whole = list(container, "/envFrom");
        names.extend(whole.iter().map(|env| text_at(env, "/secretRef/name").to_owned()));
    }
    for volume in list(pod, "/spec/volumes") {
        names.push(text_at(&volume, "/secret/secretName").to_owned());
        let projected = list(&volume, "/projected/sources");
        names.extend(projected.iter().map(|source| text_at(source, "/secret/name").to_owned()));
    }
    names.retain(|name| !name.is_empty());
    let namespace = text_at(pod, "/metadata/namespace");
    let key = |name| ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: namespace.to_owned(),
        name,
    };
    names.into_iter().map(key).collect()
}

/// The values of a Secret that are text.
pub(in crate::work) fn values_of(secret: &Value) -> Vec<SecretString> {
    if text_at(secret, "/type") == TOKEN {
        return text_of(&secret["data"]["token"]).into_iter().collect();
    }
    let data = secret["data"].as_object();
    data.into_iter().flat_map(serde_json::Map::values).filter_map(text_of).collect()
}

fn text_of(value: &Value) -> Option<SecretString> {
    let bytes = STANDARD.decode(value.as_str()?).ok()?;
    Some(SecretString::from(String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_names_the_secrets_that_it_is_given() {
        let pod = json!({
            "metadata": {"namespace": "shop"},
            "spec": {
                "initContainers": [{"envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "no"}}]}],
                "containers": [{"env": [{"name": "A", "value": "b"},
                                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "single"}}}]}],
                "volumes": [{"secret": {"secretName": "file"}}, {"emptyDir": {}},
                            {"projected": {"sources": [{"secret": {"name": "part"}}]}}],
                "imagePullSecrets": [{"name": "pull"}],
            },
        });
        let names: Vec<String> = given(&pod).into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["whole", "single", "file", "part"]);
        assert_eq!(given(&pod)[0].namespace, "shop");
    }

    #[test]
    fn of_a_secret_the_texts_are_hidden_and_of_a_token_the_token() {
        let texts = |secret: Value| -> Vec<String> {
            values_of(&secret).iter().map(|value| value.expose_secret().to_owned()).collect()
        };
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        let secret =
            json!({"type": "Opaque", "data": {"a": encoded(b"hunter2"), "b": encoded(&[0xff]), "c": "%"}});
        assert_eq!(texts(secret), ["hunter2"]);
        let data = json!({"namespace": encoded(b"shop"), "token": encoded(b"ey.long")});
        assert_eq!(texts(json!({"type": TOKEN, "data": data})), ["ey.long"]);
        assert!(texts(json!({})).is_empty());
    }
}
