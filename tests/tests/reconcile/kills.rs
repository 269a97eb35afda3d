//! The server is killed (SIGKILL) between any two effects of the core.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use slipway_tests::database_file::DatabaseFile;
use slipway_tests::wait;

use crate::cluster::assert_serves;
use crate::ground::Ground;
use crate::inventory::{assert_risen, assert_whole, marks};

/// Where the core can be held.
const POINTS: [&str; 5] = ["core.accepted", "core.applied", "core.checked", "core.pruned", "core.saved"];
/// Those where a turn of the newest generation is under way: that it was lost is kept.
const IN_TURNS: [&str; 2] = ["core.applied", "core.pruned"];
/// How long the server may take until it comes to a point.
const POINT_WITHIN: Duration = Duration::from_secs(120);

/// Waits until a server stands at a point.
pub(crate) fn await_point(marker: &Path, point: &str) {
    wait::holds(&format!("the server comes to {point}"), POINT_WITHIN, || {
        fs::read_to_string(marker).is_ok_and(|reached| reached == point)
    });
}

/// Has the developers' ConfigMap of this name take the place of the one before: each version makes one object
/// and removes one.
pub(crate) fn exchange(ground: &Ground, point: &str) {
    let name = format!("at-{}", point.replace('.', "-"));
    let extra = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n");
    ground.repository.write("settings/extra.yaml", extra);
}

/// Starts the stopped server again; it is to stop at a point.
pub(crate) fn restart_armed(ground: &mut Ground, marker: &Path, point: &str) {
    drop(fs::remove_file(marker));
    let options = ground.server.options_mut();
    options.env.insert("SLIPWAY_TEST_STOP_AT".to_owned(), format!("{point}:1"));
    options.env.insert("SLIPWAY_TEST_STOP_MARKER".to_owned(), marker.display().to_string());
    ground.server.restart();
}

#[test]
fn the_server_is_killed_and_goes_on() {
    let mut ground = Ground::prepare();
    exchange(&ground, "none");
    ground.deployed("prod", &ground.publish("none\n"), None);
    let marker = ground.server.scratch().join("stopped");
    for (index, point) in POINTS.into_iter().enumerate() {
        exchange(&ground, point);
        let page = format!("{point}\n");
        let version = ground.publish(&page);
        let before = marks(&ground.namespace);
        ground.server.stop();
        restart_armed(&mut ground, &marker, point);
        let made = ground.deploy("prod", &version, None);
        await_point(&marker, point);
        ground.server.kill9();
        let found = marks(&ground.namespace);
        assert_risen(&before, &found);
        ground.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        ground.server.restart();
        let live = ground.live(&made);
        assert_eq!(live["generation"], index + 2, "killed at {point}: {live:#}");
        if IN_TURNS.contains(&point) {
            let kept = ground.server.value("select document from reconcile_state");
            let kept: Value = serde_json::from_str(&kept).expect("a document");
            assert_eq!(kept["fence"], index + 2, "killed at {point}: {kept:#}");
        }
        assert_risen(&found, &marks(&ground.namespace));
        assert_serves(&ground.namespace, "web", &page);
        assert_whole(&ground, &ground.namespace, &live, None);
    }
    let dead = DatabaseFile::open(&ground.server.data())
        .rows("select kind, last_error from job where state = 'dead'");
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn a_server_that_is_killed_while_it_takes_away_goes_on() {
    let mut ground = Ground::prepare();
    ground.deployed("prod", &ground.publish("one\n"), None);
    let marker = ground.server.scratch().join("stopped");
    ground.server.stop();
    restart_armed(&mut ground, &marker, "core.pruned");
    let removal = ground.remove("prod");
    await_point(&marker, "core.pruned");
    ground.server.kill9();
    ground.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
    ground.server.restart();
    ground.wait(&removal, &["deleted"], POINT_WITHIN);
    assert!(marks(&ground.namespace).is_empty());
}
