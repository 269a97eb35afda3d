//! What never gets an address.

use serde_json::json;

use crate::cluster;
use crate::ground::{Ground, of_web};
use crate::inventory::assert_whole;

#[test]
fn an_ingress_is_live_without_a_balancer() {
    let ground = Ground::prepare();
    let space = &ground.namespace;
    let properties = json!({"domain": "shop.example.com", "http": {"/": 8080}});
    let document = of_web(&json!({"traits": [{"type": "ingress", "properties": properties}]}));
    let version = ground.publish("one\n");
    let live = ground.deployed("prod", &version, Some(&document));
    let ingress = "ingress.networking.k8s.io";
    assert_eq!(cluster::field(space, ingress, "web", "/spec/rules/0/host"), "shop.example.com");
    assert!(cluster::field(space, ingress, "web", "/status/loadBalancer/ingress").is_null());
    assert_whole(&ground, space, &live, Some(&document));

    // It goes with the trait.
    ground.deployed("prod", &version, None);
    assert_eq!(cluster::object(space, ingress, "web"), None);
}
