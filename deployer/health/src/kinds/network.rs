//! Ways in.

use serde_json::Value;

use crate::fields::{Object, text};
use crate::object::Health;

/// A Service: of the type `LoadBalancer` it needs an address, any other is as wanted once it exists.
/// Whether something answers behind it is what its workload says.
pub(super) fn service(object: &Object<'_>) -> Health {
    if object.text("/spec/type") != Some("LoadBalancer") {
        return Health::current("it exists");
    }
    match object.list("/status/loadBalancer/ingress").iter().find_map(address) {
        Some(address) => Health::current(format!("it has the address {address}")),
        None => Health::behind("its load balancer has no address: status.loadBalancer.ingress is empty"),
    }
}

/// An Ingress. Many controllers never write an address, and waiting for one never ends.
pub(super) fn ingress() -> Health {
    Health::current("it exists")
}

fn address(ingress: &Value) -> Option<&str> {
    [text(ingress, "ip"), text(ingress, "hostname")].into_iter().find(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::{after_live, hold};
    use crate::object::ObjectState::{Current, Degraded, InProgress};

    fn service(spec: Value, status: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec, "status": status})
    }

    #[test]
    fn a_load_balancer_needs_an_address() {
        let spec = || json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"});
        let with = |ingress: Value| service(spec(), json!({"loadBalancer": {"ingress": ingress}}));
        hold([
            (service(spec(), json!({"loadBalancer": {}})), InProgress, "has no address"),
            (with(json!([])), InProgress, "has no address"),
            (with(json!([{"ip": ""}])), InProgress, "has no address"),
            (with(json!([{"ip": "192.0.2.7"}])), Current, "192.0.2.7"),
            (with(json!([{"hostname": "lb.example.org"}])), Current, "lb.example.org"),
        ]);
        after_live(&with(json!([])), Degraded);
    }

    #[test]
    fn other_services_are_current_once_they_exist() {
        for spec in [json!({}), json!({"type": "ClusterIP"}), json!({"type": "NodePort"})] {
            hold([(service(spec, json!({"loadBalancer": {}})), Current, "it exists")]);
        }
    }

    #[test]
    fn an_ingress_without_a_load_balancer_is_current() {
        for version in ["networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"] {
            let object = json!({"apiVersion": version, "kind": "Ingress",
                "spec": {"rules": [{"host": "shop.example.org"}]}, "status": {"loadBalancer": {}}});
            hold([(object, Current, "it exists")]);
        }
    }
}
