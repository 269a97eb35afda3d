//! Two servers that share all they have.

use slipway_tests::namespace::Namespace;

use crate::cluster::assert_serves;
use crate::ground::Ground;
use crate::inventory::{assert_risen, assert_whole, marks};
use crate::kills::{await_point, exchange};

/// The one that drives is killed midway.
#[test]
fn two_servers_at_once() {
    let namespace = Namespace::create();
    let options = namespace.options_of_two();
    let mut ground = Ground::on(namespace, options);
    exchange(&ground, "none");
    ground.deployed("prod", &ground.publish("none\n"), None);
    for (victim, point) in ["core.saved", "core.applied"].into_iter().enumerate() {
        let other = 1 - victim;
        exchange(&ground, point);
        let page = format!("{point}\n");
        let version = ground.publish(&page);
        let marker = ground.server.scratch().join(format!("marker-{point}"));
        let before = marks(&ground.namespace);
        ground.server.kill9();
        // The other comes once the core is under way: then it is the victim's.
        let armed = [
            ("SLIPWAY_TEST_STOP_AT", format!("{point}:1")),
            ("SLIPWAY_TEST_STOP_MARKER", marker.display().to_string()),
        ];
        let armed: Vec<(&str, &str)> = armed.iter().map(|(key, value)| (*key, value.as_str())).collect();
        ground.server.restart_of(victim, &armed);
        let made = ground.deploy("prod", &version, None);
        await_point(&marker, point);
        ground.server.restart_of(other, &[]);
        ground.server.kill9_of(victim);
        let live = ground.live(&made);
        assert_serves(&ground.namespace, "web", &page);
        assert_whole(&ground, &ground.namespace, &live, None);
        assert_risen(&before, &marks(&ground.namespace));
        ground.server.restart_of(victim, &[]);
    }
    // Both run, and both see what is live: nobody undoes what the other does.
    let live = ground.deployed("prod", &ground.publish("both\n"), None);
    assert_serves(&ground.namespace, "web", "both\n");
    assert_whole(&ground, &ground.namespace, &live, None);
}
