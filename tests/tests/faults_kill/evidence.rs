//! What a killed server leaves behind shows in which stage it was.

use std::fs;
use std::path::Path;

use crate::database::Database;

/// Counts held jobs of a kind by what they work on, a row of `table`.
fn held(kind: &str, table: &str, condition: &str) -> String {
    format!(
        "select count(*) from job join {table} on {table}.id = json_extract(job.payload, '$.{table}')
        where job.state = 'leased' and job.kind = '{kind}' and {condition}"
    )
}

/// Asserts that the server was in the stage of `point` when it was killed.
pub(crate) fn assert_stage(database: &Database, data: &Path, point: &str) {
    let query = match point {
        "deliver.before_commit" => held("deliver", "delivery", "delivery.state = 'received'"),
        "deliver.committed" => held("deliver", "delivery", "delivery.state = 'planned'"),
        "plan.begun" => held("plan", "run", "run.state = 'planning'"),
        "plan.before_commit" => held(
            "plan",
            "run",
            "run.state = 'planning' and not exists (select 1 from build where build.run_id = run.id)",
        ),
        "plan.committed" => held("plan", "run", "run.state = 'building'"),
        "build.started" | "build.layer_stored" | "build.manifest_pushed" | "build.before_commit" => {
            held("build", "build", "build.state = 'building'")
        }
        "build.committed" => held("build", "build", "build.state = 'pushed'"),
        "package.numbered" => {
            held("package", "run", "run.state = 'packaging' and run.version_number is not null")
        }
        "package.written" | "package.before_commit" => held("package", "run", "run.state = 'packaging'"),
        "package.committed" => held("package", "run", "run.state = 'done'"),
        "job.handled" => "select count(*) from job where state = 'leased'".to_owned(),
        "job.completed" => "select count(*) from job where state = 'done'".to_owned(),
        _ => {
            assert!(point.starts_with("receive."), "no evidence is known for {point}");
            assert!(quarantines(data) > 0, "{point}: no pack was being received");
            return;
        }
    };
    assert!(database.number_in_copy(&query) > 0, "{point}: the database shows another stage: {query}");
}

/// Directories of pushes that were under way.
fn quarantines(data: &Path) -> usize {
    let boots = fs::read_dir(data.join("cache/git/quarantine")).expect("the git cache has quarantines");
    boots.flatten().filter_map(|boot| fs::read_dir(boot.path()).ok()).flatten().count()
}
