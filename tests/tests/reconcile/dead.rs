//! A cluster that gives no answer costs others nothing, and what waits for it ends once it is back.

use std::time::{Duration, Instant};

use serde_json::Value;
use slipway_tests::server::Mood;
use slipway_tests::wait;

use crate::cluster;
use crate::ground::{Ground, LIVE_WITHIN, core, settings};
use crate::hole::Hole;
use crate::inventory::INVENTORY;

/// What is deployed to the cluster that falls silent: more than one server drives at once.
const KEYS: usize = 40;
const DEADLINE: [(&str, &str); 1] = [("SLIPWAY__DEPLOY__DEADLINE_MINUTES", "1")];
/// What a deployment elsewhere may take beyond its usual time on a machine that is busy; one request into the silence
/// takes 15 s.
const SLACK: Duration = Duration::from_secs(12);
/// How long it may take until it is told that a deadline passed.
const LATE_WITHIN: Duration = Duration::from_secs(120);
/// How long all may take once the cluster answers: it is asked once a minute. What ran out of time is tried again after
/// ten minutes by itself.
const BACK_WITHIN: Duration = Duration::from_secs(150);

/// The environments in the hole, each a stage of one namespace.
fn stages() -> impl Iterator<Item = String> {
    (1..=KEYS).map(|number| format!("s{number}"))
}

/// Deploys to all of them.
fn fill(ground: &Ground, hole: &Hole, version: &str) {
    let file = ground.file("stage.json", &core());
    let made: Vec<Value> = stages()
        .map(|stage| {
            let address = format!("local/hole/{}/{stage}", hole.space.name);
            ground.server.cli(&["env", "create", &stage, "--address", &address, "-f", &file]).ok();
            ground.deploy(&stage, version, None)
        })
        .collect();
    for deployment in &made {
        ground.live(deployment);
    }
}

fn timed(deploy: impl FnOnce() -> Value) -> Duration {
    let began = Instant::now();
    deploy();
    began.elapsed()
}

#[test]
fn forty_removals_in_a_silent_cluster_hold_up_nobody_and_end_when_it_is_back() {
    let ground = Ground::with(&DEADLINE);
    ground.declare(&[settings()]);
    let first = ground.publish("one\n");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-settings}\ndata: {currency: USD}\n";
    ground.repository.write("settings/settings.yaml", text);
    let second = ground.publish("two\n");
    let hole = Hole::dig(&ground);
    fill(&ground, &hole, &first);
    let usual = timed(|| ground.deployed("prod", &first, None));

    hole.proxy.is(Mood::Hangs);
    let mut removals: Vec<Value> = stages().skip(1).map(|stage| ground.remove(&stage)).collect();
    let took = timed(|| ground.deployed("prod", &second, None));
    assert!(took < usual * 2 + SLACK, "{took:?} beside a silent cluster, {usual:?} before");
    wait::until("it is known that the cluster is away", LATE_WITHIN, || {
        let log = ground.server.log();
        if log.contains("gives no answer") { Ok(()) } else { Err(log) }
    });
    for removal in &removals {
        ground.wait(removal, &["timed_out"], LATE_WITHIN);
    }
    // One more, whose time is not over when the cluster is back.
    let late = ground.remove("s1");
    ground.wait(&late, &["deleting"], LIVE_WITHIN);
    removals.push(late);

    hole.proxy.is(Mood::Well);
    let began = Instant::now();
    for removal in &removals {
        ground.wait(removal, &["deleted"], BACK_WITHIN.saturating_sub(began.elapsed()));
    }
    assert!(cluster::all(&hole.space, INVENTORY).is_empty());
}
