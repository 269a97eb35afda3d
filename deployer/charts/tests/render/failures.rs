//! What charts get wrong, and how it is told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig::{Rig, lines};

fn mood(mood: &str) -> Rig {
    let mut rig = Rig::new("charts/moods", json!({"mood": mood, "token": "hunter2-hunter2"}));
    rig.secrets = vec!["hunter2-hunter2".to_owned().into()];
    rig
}

#[tokio::test]
async fn a_failing_template_is_told_with_its_line() {
    for (name, expected) in [
        (
            "fail",
            "chart_failed moods/templates/mood.yaml:3:3: components[web].properties.values: the chart refuses its values: no way with ***",
        ),
        (
            "required",
            "chart_failed moods/templates/mood.yaml:5:3: components[web].properties.values: the chart refuses its values: say a host",
        ),
        (
            "unset",
            "chart_failed moods/templates/_parts.tpl:3:10: components[web]: `.Values.a.b.c` fails: nothing is set that could have `b`",
        ),
        (
            "endless",
            "chart_failed moods/templates/_parts.tpl:1:26: components[web]: `include \"endless\" .` fails: the template `endless` includes itself without end",
        ),
        (
            "not-yaml",
            "invalid_output moods/templates/mood.yaml:1:1: components[web]: what moods/templates/mood.yaml renders is not valid YAML: mapping values are not allowed in this context",
        ),
        (
            "elsewhere",
            "foreign_namespace components[web]: ConfigMap a of moods/templates/mood.yaml is for the namespace `kube-system`, the component is in `prod`",
        ),
        (
            "twice",
            "duplicate_object components[web]: ConfigMap a of moods/templates/mood.yaml is rendered more than once",
        ),
        ("hook", "invalid_hook components[web]: helm leaves out a hook of an unknown kind: `pre-instal`"),
    ] {
        let found = mood(name).refused().await;
        assert_eq!(lines(&found), [expected], "{name}");
        assert!(found[0].hint.is_some(), "{name} has no way out");
    }
    let mut unreadable = mood("");
    unreadable.files.insert("templates/x.yaml".into(), b"\n{{ nonsense }}\n".to_vec());
    assert_eq!(
        lines(&unreadable.refused().await),
        [
            "invalid_chart moods/templates/x.yaml:2:1: components[web]: the template cannot be read: function \"nonsense\" not defined"
        ]
    );
}

#[tokio::test]
async fn a_secret_outside_of_secrets_is_told_with_its_path() {
    assert_eq!(
        lines(&mood("spill").refused().await),
        [
            "secret_outside_secret components[web]: a secret value would stand in ConfigMap a of moods/templates/mood.yaml at data.at",
            "secret_outside_secret components[web]: a secret value would stand in ConfigMap a of moods/templates/mood.yaml at data.url",
        ]
    );
}

#[tokio::test]
async fn values_that_the_schema_refuses_are_told_by_their_path() {
    let mut rig = Rig::new("charts/full", json!({"port": "http", "host": "HUNTER2", "cache": {"size": 1}}));
    rig.secrets = vec!["HUNTER2".to_owned().into()];
    let mut found = lines(&rig.refused().await);
    found.sort();
    assert_eq!(
        found,
        [
            "invalid_property components[web].properties.values.cache.size: must be text, found a number",
            "invalid_property components[web].properties.values.host: does not match the pattern '^[a-z.]*$'",
            "invalid_property components[web].properties.values.port: must be a whole number, found text",
        ]
    );
}

#[tokio::test]
async fn a_chart_is_checked_before_it_runs() {
    let chart = "apiVersion: v3\nname: a b\nversion: 1.0\ntype: library\n";
    let found = lines(&mood("").file("Chart.yaml", chart).refused().await);
    assert_eq!(
        found,
        [
            "invalid_chart Chart.yaml:1:13: components[web]: Chart.yaml: `apiVersion` must be v1 or v2",
            "invalid_chart Chart.yaml:2:7: components[web]: Chart.yaml: `name` is not a chart name",
            "invalid_chart Chart.yaml:3:10: components[web]: Chart.yaml: `version` must be text, found the number 1: put it in quotes",
            "invalid_chart Chart.yaml:4:7: components[web]: Chart.yaml: a library chart renders nothing by itself",
        ]
    );
    let missing = "apiVersion: v2\nname: moods\nversion: 1.0.0\ndependencies:\n- name: redis\n  version: 1.x\n  repository: https://charts.example\n";
    let found = lines(&mood("").file("Chart.yaml", missing).refused().await);
    assert_eq!(
        found,
        ["chart_dependency_missing Chart.yaml:5:3: components[web]: the chart `redis` is not in charts/"]
    );
    let schema =
        r#"{"$ref": "https://schemas.example/a.json", "properties": {"b": {"$ref": "../../etc/passwd"}}}"#;
    assert_eq!(
        lines(&mood("").file("values.schema.json", schema).refused().await),
        [
            "invalid_chart moods/values.schema.json:1:1: components[web]: moods/values.schema.json refers to `../../etc/passwd`, which is not in it",
            "invalid_chart moods/values.schema.json:1:1: components[web]: moods/values.schema.json refers to `https://schemas.example/a.json`, which is not in it",
        ]
    );
    let found = lines(&mood("").file("../outside", "x").refused().await);
    assert_eq!(
        found,
        [
            "invalid_file components[web]: the file name \"../outside\" leads out of the package or is not portable"
        ]
    );
}

#[tokio::test]
async fn a_chart_for_other_clusters_is_told() {
    let chart = "apiVersion: v2\nname: moods\nversion: 1.0.0\nkubeVersion: '>=1.25.0'\n";
    assert_eq!(
        lines(&mood("").file("Chart.yaml", chart).refused().await),
        ["kubernetes_version components[web]: the chart is for Kubernetes >=1.25.0, the cluster has v1.20.2"]
    );
}

#[tokio::test]
async fn bombs_end_at_their_limit() {
    for (name, limit) in
        [("memory", "max_memory_bytes"), ("output", "max_output_bytes"), ("time", "timeout_ms")]
    {
        let mut rig = mood(name);
        rig.options.max_memory_bytes = 512 << 20;
        rig.options.max_output_bytes = 1 << 20;
        rig.options.timeout_ms = if name == "time" { 1_500 } else { 60_000 };
        let began = Instant::now();
        let found = rig.refused().await;
        assert_eq!(found[0].code, "render_limit", "{name}: {found:?}");
        assert!(found[0].message.contains(&format!("`charts.{limit}`")), "{name}: {found:?}");
        assert!(began.elapsed() < Duration::from_secs(40), "{name} took {:?}", began.elapsed());
    }
}
