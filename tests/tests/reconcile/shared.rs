//! An object that two applications have: it stays as long as one of them does, whichever leaves first.

use serde_json::{Value, json};
use slipway_tests::server::GitRepository;

use crate::cluster;
use crate::ground::{Ground, MOVES_WITHIN, document, settings};

/// Deploys an application that shares the ConfigMap that it brings.
fn deployed(ground: &Ground, application: &str, version: &str) {
    let rules = json!([{"selector": {"resourceNames": ["shop-settings"]}}]);
    let policy = json!({"name": "common", "type": "shared-resource", "properties": {"rules": rules}});
    let mut file = document(&json!({"components": [], "policies": [policy]}));
    file["metadata"]["name"] = application.into();
    let file = ground.file("shared.json", &file);
    let create = ["deploy", "create", application, "--env", "prod", "--bundle", version, "-f", &file];
    ground.live(&ground.server.json(&[&create[..], &["--no-wait"]].concat()));
}

/// Takes an application away.
fn leaves(ground: &Ground, application: &str) {
    let remove = ["deploy", "remove", application, "--env", "prod", "--reason", "the fair is over", "--yes"];
    let removal = ground.server.json(&[&remove[..], &["--no-wait"]].concat());
    ground.wait(&removal, &["deleted"], MOVES_WITHIN);
}

/// The UID of what is shared, and how many have it; `None`: it is gone.
fn shared(ground: &Ground) -> Option<(Value, usize)> {
    let found = cluster::object(&ground.namespace, "configmap", "shop-settings")?;
    let owners = found["metadata"]["annotations"]["slipway.dev/shared-by"].as_str().unwrap_or_default();
    Some((found["metadata"]["uid"].clone(), owners.split(',').filter(|owner| !owner.is_empty()).count()))
}

#[test]
fn what_two_applications_share_goes_with_the_last_whichever_that_is() {
    let ground = Ground::prepare();
    ground.declare(&[settings()]);
    let of_shop = ground.publish("one\n");
    let cart = ground.server.create_app("cart");
    let declared = json!({
        "apiVersion": "slipway.dev/v1",
        "kind": "Application",
        "metadata": {"name": "cart"},
        "components": [settings()],
    })
    .to_string();
    let config_map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: EUR}\n";
    let repository =
        GitRepository::with(&[("slipway.yaml", declared.as_str()), ("settings/settings.yaml", config_map)]);
    let bundle = ground.server.publish(&cart, &repository, "main", "Begin");
    let of_cart = bundle["version"].as_str().expect("a version");

    for (first, last) in [("shop", "cart"), ("cart", "shop")] {
        deployed(&ground, "shop", &of_shop);
        deployed(&ground, "cart", of_cart);
        let (uid, owners) = shared(&ground).expect("it is there");
        assert_eq!(owners, 2);
        leaves(&ground, first);
        assert_eq!(shared(&ground), Some((uid, 1)), "{last} has it still");
        leaves(&ground, last);
        assert_eq!(shared(&ground), None);
    }
}
