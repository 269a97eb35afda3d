//! What the API server was asked, by its audit log.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use slipway_tests::namespace::Namespace;

/// Asserts that no object was written by an older generation after a newer one, and that there were `least` writes
/// to tell by. The log tells generations of what holds no secrets.
pub(crate) fn assert_in_order(space: &Namespace, least: usize) {
    let log = fs::read_to_string(&space.cluster.audit_log).expect("the audit log");
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut writes = 0;
    for line in log.lines().filter(|line| line.contains(&space.name)) {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let object = &entry["objectRef"];
        let generation = entry.pointer("/requestObject/metadata/annotations/slipway.dev~1generation");
        let generation = generation.and_then(Value::as_str).and_then(|text| text.parse().ok());
        let is_ours =
            object["namespace"] == space.name && entry["responseStatus"]["code"].as_u64() < Some(300);
        let is_dry = entry["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun"));
        let (Some(generation), true, false) = (generation, is_ours, is_dry) else { continue };
        let before = newest.entry(format!("{} {}", object["resource"], object["name"])).or_default();
        assert!(generation >= *before, "{generation} after {before}: {line}");
        *before = generation;
        writes += 1;
    }
    assert!(writes >= least, "only {writes} writes are in the audit log, not {least}");
}
