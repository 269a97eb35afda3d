//! What a program sees of the server that starts it: next to nothing.

use serde_json::json;
use slipway_charts::RenderError;

use crate::rig::Rig;

#[tokio::test]
async fn a_program_gets_an_empty_home_and_values_by_standard_input() {
    let mut rig = Rig::new("charts/moods", json!({"a": "b"}));
    rig.options.helm_program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/tell").into();
    rig.options.max_memory_bytes = 256 << 20;
    let rendered = rig.helm().await.unwrap();
    let seen = &rendered.objects[0].object["data"];
    assert_eq!(
        seen["arguments"],
        "template shop ./chart --namespace prod --values - --include-crds --kube-version 1.20.2 \
         --api-versions apps/v1 --api-versions apps/v1/Deployment --api-versions monitoring.example/v1/Monitor"
    );
    let environment: Vec<&str> = seen["environment"].as_str().unwrap().split_whitespace().collect();
    let known = |name: &&str| {
        ["PATH", "HOME", "PWD", "TMPDIR", "LC_ALL", "TZ", "OLDPWD", "SHLVL", "_", "GOTRACEBACK", "GOMEMLIMIT"]
            .contains(name)
            || ["XDG_", "HELM_", "KUSTOMIZE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    assert!(environment.iter().all(known), "{environment:?}");
    assert_eq!(seen["home"], "");
    assert_eq!(seen["home_is_inside"], "yes");
    assert_eq!(seen["input"], "{a:b}");
    assert_eq!(seen["memory"], (256_u64 << 10).to_string());
}

#[tokio::test]
async fn a_program_that_is_none_is_told() {
    let mut rig = Rig::new("charts/moods", json!({}));
    rig.options.helm_program = "/dev/null".into();
    let error = rig.helm().await.unwrap_err();
    assert!(matches!(error, RenderError::ProgramMissing { .. }), "{error:?}");
}
