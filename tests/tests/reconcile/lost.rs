//! What is kept of an application goes, and the cluster still has it.

use slipway_tests::database_file::DatabaseFile;

use crate::cluster;
use crate::ground::{Ground, served};
use crate::inventory::assert_whole;

#[test]
fn a_lost_inventory_is_made_anew_from_the_cluster() {
    let mut ground = Ground::prepare();
    ground.deployed("prod", &ground.publish("one\n"), None);
    let uid = cluster::field(&ground.namespace, "deployment", "web", "/metadata/uid");

    ground.server.stop();
    let lost = DatabaseFile::open(&ground.server.data()).execute("delete from reconcile_state");
    assert_eq!(lost, 1);
    // Another server, whose records are gone too, had come further.
    let newer = "slipway.dev/generation=7";
    ground.namespace.kubectl(&["annotate", "deployment", "web", newer, "--overwrite"]);
    ground.server.restart();

    ground.declare(&[served("web")]);
    let live = ground.deployed("prod", &ground.publish("two\n"), None);
    let space = &ground.namespace;
    assert_eq!(live["generation"], 8, "it begins above what the cluster has: {live:#}");
    assert_eq!(cluster::field(space, "deployment", "web", "/metadata/uid"), uid);
    assert_eq!(cluster::object(space, "configmap", "shop-settings"), None, "it was known to be the shop's");
    assert_whole(&ground, space, &live, None);
}
