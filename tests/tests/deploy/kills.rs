//! The server is killed (SIGKILL) between any two effects of a deployment: what is there afterwards is what
//! is there without a kill, and nothing was done twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use slipway_records::fault_point::DEPLOY_POINTS;
use slipway_tests::wait;

use crate::ledger::Ledger;
use crate::world::{Field, open};

const POINT_WITHIN: Duration = Duration::from_secs(60);

/// The state in which a kill at a point finds a deployment.
fn state_at(point: &str) -> &'static str {
    match point {
        "deploy.kept" => "draft",
        "deploy.frozen" => "frozen",
        "deploy.committed" => "delivered",
        _ => "approved",
    }
}

/// Waits until the server has come to a point.
pub(crate) fn await_marker(marker: &Path, point: &str) {
    wait::holds(&format!("the server comes to {point}"), POINT_WITHIN, || {
        fs::read_to_string(marker).is_ok_and(|reached| reached == point)
    });
}

/// Waits until no job of a deployment is left.
fn await_idle(ledger: &Ledger) {
    wait::until("no job is left", POINT_WITHIN, || {
        let left = ledger.rows(
            "select kind, state, last_error from job where kind in ('deploy', 'follow', 'observe')
            and state in ('ready', 'leased')",
        );
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    });
}

#[test]
fn faults_of_kills_at_every_point_end_as_without_them() {
    let mut field = Field::prepare();
    field.environment("dev", "default", &open());
    let ledger = Ledger::open(&field.server.data());
    let marker = field.server.scratch().join("stopped");
    let mut delivered = Vec::new();
    for point in DEPLOY_POINTS {
        let version = field.publish(&format!("{point}\n"));
        field.server.stop();
        drop(fs::remove_file(&marker));
        let options = field.server.options_mut();
        options.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
        options.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
        field.server.restart();
        let create = ["deploy", "create", "shop", "--env", "dev", "--bundle", &version, "--no-wait"];
        field.server.cli(&create).ok();
        await_marker(&marker, point);
        field.server.kill9();
        let found = ledger.rows_of_killed("select state from deployment order by generation desc limit 1");
        assert_eq!(found, [state_at(point)], "killed at {point}");
        field.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        field.server.restart();
        let arrived = field.wait("dev", &["delivered"]);
        assert_eq!(arrived["bundle"], version.as_str(), "killed at {point}: {arrived:#}");
        delivered.push(arrived);
    }
    await_idle(&ledger);

    // One generation each, one revision, one artifact, one hand-off.
    let count = delivered.len();
    let states = ledger.rows("select generation, state from deployment order by generation");
    let expected: Vec<String> = (1..=count)
        .map(|generation| {
            format!("{generation}|{}", if generation == count { "delivered" } else { "superseded" })
        })
        .collect();
    assert_eq!(states, expected);
    for moved in ["frozen", "approved", "delivered"] {
        let twice = ledger.rows(&format!(
            "select subject, count(*) from audit where action = 'deployment.move'
            and json_extract(detail, '$.to') = '{moved}' group by subject"
        ));
        assert_eq!(twice.len(), count, "{moved}: {twice:?}");
        assert!(twice.iter().all(|row| row.ends_with("|1")), "{moved}: {twice:?}");
    }
    let tags = |kind: &str| {
        ledger.rows(&format!(
            "select name from tag where repository like '%/d/%' and name glob '{kind}' order by name"
        ))
    };
    assert_eq!((tags("r-*").len(), tags("g*").len(), tags("live").len()), (count, count, 1));
    assert_eq!(ledger.rows("select count(*) from deployed where until is null"), ["1"]);
    assert_eq!(ledger.rows("select count(*) from deployed"), [count.to_string()]);
    let dead = ledger.rows("select kind, last_error from job where state = 'dead'");
    assert!(dead.is_empty(), "{dead:?}");
    // The pull secret of a killed step is found again, not made anew.
    let tokens = ledger.rows("select name from token where name like 'pull %'");
    assert_eq!(tokens, ["pull dev default shop"]);
    // Nothing is half written: stock tools read every one, and what is there last is what was asked last.
    for arrived in &delivered {
        let files = field.pull(arrived["reason"].as_str().expect("an artifact"));
        let files = fs::read_dir(files).expect("a directory").map(|file| file.expect("a file").file_name());
        let files: BTreeSet<_> = files.filter_map(|name| name.into_string().ok()).collect();
        let all = ["010-configmap-shop-settings.yaml", "020-deployment-web.yaml", "030-service-web.yaml"];
        assert_eq!(files, all.map(str::to_owned).into(), "{arrived:#}");
    }
    let last = delivered.last().expect("a deployment")["reason"].as_str().expect("an artifact");
    assert_eq!(tag_digest(&ledger, "live"), last.split_once('@').expect("a digest").1);

    // Every finished step once more.
    field.server.stop();
    let before = ledger.content();
    assert!(ledger.enqueue_again() >= u64::try_from(count).expect("a number"));
    field.server.restart();
    await_idle(&ledger);
    field.server.stop();
    let after = ledger.content();
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "repeating finished steps changed {table}");
    }
}

fn tag_digest(ledger: &Ledger, name: &str) -> String {
    ledger.rows(&format!("select digest from tag where repository like '%/d/%' and name = '{name}'")).concat()
}
