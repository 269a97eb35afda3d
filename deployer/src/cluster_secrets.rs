//! Secrets that lie in clusters: `secret://kubernetes/[CLUSTER/]NAMESPACE/NAME#KEY`, read with the
//! server's credential of the registered cluster.
//!
//! That credential sees more than an application may, so what a reference reaches is narrow: the
//! environment's own namespace, whose Secrets every pod there can mount anyhow, and elsewhere a namespace
//! that the server's configuration lists, and in it a Secret whose annotation names the application.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use slipway_definitions::label;
use slipway_kubernetes::{CallError, ObjectKey};
use slipway_secrets::Resolved;
use slipway_types::secret::KubernetesSecret;
use slipway_types::{ApplicationName, Fault, SecretReference};

use crate::clusters::fault_of;
use crate::plan::SecretsOf;
use crate::stage::Stage;

/// Names the applications that may read a Secret from another namespace, with commas between them:
/// `shop, commerce/cart`, or `commerce/*` for all of a team.
pub const READABLE_BY: &str = "slipway.dev/readable-by";
/// Namespaces of the cluster itself begin so: nothing there is an application's.
const SYSTEM_PREFIX: &str = "kube-";
/// Types of Secrets that are credentials for the cluster, or hold what others keep.
const KEPT_TYPES: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// How a reference's place lies to the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// In the environment's namespace.
    Own,
    /// In a namespace that the configuration lists.
    Listed,
}

fn refused(reference: &SecretReference, why: &str) -> Fault {
    Fault::permanent("secret_not_allowed", format!("{reference} may not be read: {why}"))
}

impl Stage {
    /// The value that a reference into a cluster names, for an application in an environment. Its version
    /// is the Secret's resourceVersion and a keyed hash of the value.
    pub(crate) async fn cluster_secret(
        &self,
        reference: &SecretReference,
        place: SecretsOf<'_>,
    ) -> Result<Resolved, Fault> {
        let wanted = reference.kubernetes().ok_or_else(|| {
            Fault::permanent("secret_unusable", format!("{reference} names no Secret of a cluster"))
        })?;
        let cluster = wanted.cluster.unwrap_or_else(|| place.environment.address.cluster());
        let reach = self.reach(reference, &wanted, cluster, place)?;
        let live = self.read_secret(reference, &wanted, cluster).await?;
        allow(reference, &live, reach, place.application)?;
        let Some(encoded) = live["data"][wanted.key].as_str() else {
            let KubernetesSecret { namespace, name, key, .. } = wanted;
            let message = format!("{reference}: the Secret {namespace}/{name} has no key `{key}`");
            return Err(Fault::permanent("secret_unusable", message)
                .hint(format!("see its keys: kubectl --namespace {namespace} describe secret {name}")));
        };
        let value = STANDARD.decode(encoded).map_err(|_| {
            Fault::permanent("secret_unusable", format!("{reference}: the cluster's answer is no base64"))
        })?;
        let counted = live["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        Ok(self.secrets.from_elsewhere(reference, value, counted)?)
    }

    fn reach(
        &self,
        reference: &SecretReference,
        wanted: &KubernetesSecret<'_>,
        cluster: &str,
        place: SecretsOf<'_>,
    ) -> Result<Reach, Fault> {
        let (address, namespace) = (&place.environment.address, wanted.namespace);
        if namespace.starts_with(SYSTEM_PREFIX) {
            let why = format!("`{namespace}` is a namespace of the cluster itself");
            return Err(
                refused(reference, &why).hint("keep the value in a namespace of the application's own")
            );
        }
        if cluster == address.cluster() && namespace == address.namespace() {
            return Ok(Reach::Own);
        }
        let listed = format!("{cluster}/{namespace}");
        if self.options.secret_namespaces.contains(&listed) {
            return Ok(Reach::Listed);
        }
        let why = format!("`{listed}` is neither the environment's own namespace nor listed");
        Err(refused(reference, &why).hint(format!(
            "let the server's configuration list it: secrets.kubernetes_namespaces = [\"{listed}\"]"
        )))
    }

    async fn read_secret(
        &self,
        reference: &SecretReference,
        wanted: &KubernetesSecret<'_>,
        cluster: &str,
    ) -> Result<Value, Fault> {
        let KubernetesSecret { namespace, name, .. } = *wanted;
        let unregistered = || {
            let message = format!("{reference}: there is no cluster `{cluster}`");
            Fault::permanent("unregistered_cluster", message)
                .hint("`slipway cluster list` shows those there are")
        };
        let cluster_name = cluster.parse().map_err(|_| unregistered())?;
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let row = read.cluster_by_name(&cluster_name).await.map_err(|error| crate::records_fault(&error))?;
        drop(read);
        let connection = self.clusters.of(&row.ok_or_else(unregistered)?).await?;
        let key = ObjectKey {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        match connection.get(&key).await {
            Ok(Some(live)) => Ok(live),
            Ok(None) => {
                let message = format!("{reference}: the cluster {cluster} has no Secret {namespace}/{name}");
                Err(Fault::permanent("secret_missing", message).hint(format!(
                    "make it: kubectl --namespace {namespace} create secret generic {name} --from-file={}=FILE",
                    wanted.key
                )))
            }
            Err(CallError::Refused(status)) if status.code == 403 => {
                let message = format!("{reference}: the cluster {cluster} forbids Slipway to read it");
                Err(Fault::permanent("secret_not_allowed", message).hint(format!(
                    "let Slipway's user get secrets in the namespace {namespace}: kubectl create role with --verb=get \
                     --resource=secrets, and a rolebinding"
                )))
            }
            Err(error) => Err(fault_of(cluster, &error)),
        }
    }
}

/// Whether the Secret itself lets the application have it.
fn allow(
    reference: &SecretReference,
    live: &Value,
    reach: Reach,
    application: &ApplicationName,
) -> Result<(), Fault> {
    let kind = live["type"].as_str().unwrap_or_default();
    if KEPT_TYPES.contains(&kind) {
        return Err(refused(reference, &format!("Secrets of the type {kind} are not for applications")));
    }
    let metadata = &live["metadata"];
    let labels = &metadata["labels"];
    if let Some(owner) = labels[label::APPLICATION].as_str() {
        let team = labels[label::TEAM].as_str().unwrap_or_default();
        if owner != application.bare().as_str() || team != application.team().as_str() {
            return Err(refused(reference, &format!("it belongs to {team}/{owner}")));
        }
    }
    let readers = metadata["annotations"][READABLE_BY].as_str().unwrap_or_default();
    if reach == Reach::Listed && !names(readers, application) {
        let why = format!("its annotation {READABLE_BY} does not name {application}");
        return Err(refused(reference, &why).hint(format!(
            "whoever owns it may say so: kubectl annotate secret … {READABLE_BY}={application}"
        )));
    }
    Ok(())
}

/// Whether a list of readers names an application.
fn names(readers: &str, application: &ApplicationName) -> bool {
    let all_of_team = format!("{}/*", application.team());
    readers.split(',').map(str::trim).any(|reader| {
        reader == all_of_team || reader.parse::<ApplicationName>().is_ok_and(|reader| reader == *application)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allowed(live: &Value, reach: Reach) -> Result<(), String> {
        let reference = "secret://kubernetes/shared/db#password".parse().unwrap();
        allow(&reference, live, reach, &"commerce/shop".parse().unwrap()).map_err(|fault| fault.message)
    }

    #[test]
    fn a_secret_elsewhere_must_name_its_reader() {
        for (readers, is_named) in [
            ("commerce/shop", true),
            ("other, commerce/shop", true),
            ("commerce/*", true),
            ("", false),
            ("shop", false),
            ("commerce/shop-2", false),
            ("*", false),
            ("*/*", false),
        ] {
            let live = json!({"type": "Opaque", "metadata": {"annotations": {READABLE_BY: readers}}});
            assert_eq!(allowed(&live, Reach::Listed).is_ok(), is_named, "{readers}");
            assert!(allowed(&live, Reach::Own).is_ok());
        }
        assert!(names("shop", &"shop".parse().unwrap()) && names("default/shop", &"shop".parse().unwrap()));
    }

    #[test]
    fn credentials_of_the_cluster_and_secrets_of_others_stay() {
        for kind in KEPT_TYPES {
            let live = json!({"type": kind, "metadata": {"annotations": {READABLE_BY: "commerce/shop"}}});
            assert!(allowed(&live, Reach::Own).is_err() && allowed(&live, Reach::Listed).is_err(), "{kind}");
        }
        let of = |team: &str, name: &str| json!({"type": "Opaque", "metadata": {"labels": {label::APPLICATION: name, label::TEAM: team}}});
        assert!(allowed(&of("commerce", "shop"), Reach::Own).is_ok());
        for (team, name) in [("commerce", "cart"), ("finance", "shop")] {
            assert!(allowed(&of(team, name), Reach::Own).unwrap_err().contains(&format!("{team}/{name}")));
        }
    }
}
