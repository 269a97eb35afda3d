//! Environments that are removed while something waits to go there.

use serde_json::json;
use slipway_tests::database_file::DatabaseFile;

use crate::world::Field;

#[test]
fn nothing_goes_where_the_environment_was_removed() {
    let mut field = Field::prepare();
    let gated = json!({"receiver": {"type": "oci"}, "gates": {"approvals": {"count": 1, "authorMay": true}}});
    field.environment("prod", "default", &gated);
    let version = field.publish("one\n");
    let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", &version, "--no-wait"];
    let made = field.server.json(&create);
    field.wait_for(&made, &["awaiting"]);
    let kept = field.server.cli(&["env", "remove", "prod", "--yes"]);
    let told = &kept.stderr;
    assert!(kept.code == 1 && told.contains("`shop` (generation 1, awaiting)"), "{told}");
    assert!(told.contains("slipway deploy withdraw shop@prod"), "{told}");

    // Earlier releases removed it all the same.
    field.server.stop();
    let database = DatabaseFile::open(&field.server.data());
    assert_eq!(database.execute("update environment set removed_at = 1 where name = 'prod'"), 1);
    assert!(database.execute("update job set run_at = 0 where kind = 'deploy'") >= 1);
    field.server.restart();
    let ended = field.wait_for(&made, &["withdrawn"]);
    assert!(ended["notes"].to_string().contains("the environment prod was removed"), "{ended:#}");
    let handed = database.rows("select count(*) from deployment where handed_off_at is not null");
    assert_eq!(handed, [["0"]]);

    // In one that is made anew it is deployed as ever.
    field.environment("prod", "default", &json!({"receiver": {"type": "oci"}}));
    field.server.cli(&create).ok();
    let arrived = field.wait("prod", &["delivered"]);
    assert_eq!(arrived["generation"], 2);
    assert_eq!(arrived["bundle"], version.as_str());

    // What was deployed in the one before stays to be read.
    let past = field.server.json(&["deploy", "show", "shop@prod#1"]);
    assert_eq!((&past["id"], &past["environment"]), (&made["id"], &made["environment"]), "{past:#}");
    assert!(past["environment_removed_at"].is_string(), "{past:#}");
    let table = field.server.cli(&["deploy", "list", "shop", "--env", "prod"]).ok();
    assert!(table.stdout.contains("shop@prod#1 (environment removed)"), "{}", table.stdout);
}
