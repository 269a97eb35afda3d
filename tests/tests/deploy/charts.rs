//! A chart with hooks, a Secret and a random value.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::world::Field;

const SLIPWAY_YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - name: cache
    kit: helm
    context: cache
    workload:
      type: helm
      properties:
        generatedSecrets: [{secret: cache-password, key: password}]
";

/// What the random value begins with, in base64: in no file that anybody wrote.
const BEGINS: &[u8] = b"bWFya2VyL";

fn chart(field: &Field) {
    let files = [
        ("slipway.yaml", SLIPWAY_YAML),
        ("cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.0.0\n"),
        (
            "cache/templates/secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: cache-password}\ndata:\n  password: {{ printf \"marker-%s\" (randAlphaNum 24) | b64enc }}\n",
        ),
        (
            "cache/templates/settings.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cache}\ndata: {size: \"1\"}\n",
        ),
        (
            "cache/templates/before.yaml",
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: cache-before\n  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\"}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: before, image: \"busybox:1\"}]\n",
        ),
    ];
    for (path, content) in files {
        field.repository.write(path, content);
    }
}

/// Files below a directory that hold the value.
fn holding(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(BEGINS.len()).any(|window| window == BEGINS))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_chart_with_a_random_secret_deploys_twice_with_the_same_digests() {
    let field = Field::prepare();
    chart(&field);
    field.environment("staging", "default", &json!({"receiver": {"type": "oci", "secrets": "external"}}));
    let bundle = field.server.publish(&field.app, &field.repository, "main", "Add a chart");
    let version = bundle["version"].as_str().expect("a version");
    let mut revisions = Vec::new();
    for _ in 0..2 {
        field.server.cli(&["deploy", "create", "shop", "--env", "staging", "--bundle", version]).ok();
        let delivered = field.wait("staging", &["delivered"]);
        revisions.push(delivered["revision"].as_str().expect("a revision").to_owned());
        let artifact = delivered["reason"].as_str().expect("an artifact");
        let pulled = field.pull(artifact);
        assert!(fs::read_dir(&pulled).expect("a directory").count() > 0);
        assert_eq!(holding(&pulled), Vec::<String>::new());
    }
    assert_eq!(revisions[0], revisions[1]);
    assert_eq!(holding(&field.server.data()), Vec::<String>::new());
    let secrets = field.server.json(&["secret", "list"]);
    assert!(secrets.to_string().contains("rendered/"), "{secrets:#}");
}
