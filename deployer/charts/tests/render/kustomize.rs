//! What kustomizations come to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use slipway_charts::{RenderError, Renderer};

use crate::rig::{Rig, lines};

fn rig() -> Rig {
    Rig::new("kustomize", Value::Null)
}

#[tokio::test]
async fn an_overlay_is_built_and_its_secrets_leave() {
    let rig = rig();
    let rendered = rig.kustomize("overlay").await.unwrap();
    let deployment = rendered.objects.iter().find(|o| o.object["kind"] == "Deployment").unwrap();
    assert_eq!(deployment.object["metadata"], json!({"name": "web-eu", "namespace": "prod"}));
    assert_eq!(deployment.object["spec"]["replicas"], 3);
    let secret = rendered.objects.iter().find(|o| o.object["kind"] == "Secret").unwrap();
    let name = secret.object["metadata"]["name"].as_str().unwrap();
    let used = &deployment.object["spec"]["template"]["spec"]["containers"][0]["envFrom"][0];
    assert_eq!(used["secretRef"]["name"], name);
    let marker = format!("secret://builtin/rendered/shop/web/prod/{name}/password");
    assert_eq!(secret.object["data"], json!({"password": {"$secret": marker}}));
    assert_eq!(rendered.secrets[0].base64.expose_secret(), STANDARD.encode("correct-horse"));
    let shown = format!("{rendered:?}");
    assert!(!shown.contains("correct-horse") && !shown.contains(&STANDARD.encode("correct-horse")));
    let again = rig.kustomize("overlay").await.unwrap();
    assert_eq!(serde_json::to_value(&rendered).unwrap(), serde_json::to_value(&again).unwrap());
}

async fn refused(rig: &Rig, directory: &str) -> Vec<String> {
    match rig.kustomize(directory).await {
        Err(RenderError::Refused(violations)) => lines(&violations),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_fetched_or_wrong_is_refused() {
    let remote =
        rig().file("overlay/kustomization.yaml", "resources:\n- ../base\n- https://x.example/a.yaml\n");
    assert_eq!(
        refused(&remote, "overlay").await,
        [
            "invalid_kustomization overlay/kustomization.yaml:3:3: components[web]: `https://x.example/a.yaml` is not in the package"
        ]
    );
    assert_eq!(
        refused(&rig(), "none").await,
        ["invalid_property components[web].properties.path: there is no kustomization.yaml in \"none\""]
    );
    let wrong = rig().file("overlay/kustomization.yaml", "resources: [../base]\nnonsense: 1\n");
    let found = refused(&wrong, "overlay").await;
    assert!(
        found[0].starts_with("kustomize_failed components[web]: kustomize cannot build it: "),
        "{found:?}"
    );
    assert!(found[0].contains("nonsense") && !found[0].contains("slipway-charts-"), "{found:?}");
}

#[tokio::test]
async fn files_outside_of_the_kustomization_are_not_loaded() {
    let text = "configMapGenerator:\n- name: a\n  files: [../base/workload.yaml]\n";
    let found = refused(&rig().file("overlay/kustomization.yaml", text), "overlay").await;
    assert!(found[0].contains("security"), "{found:?}");
}

#[tokio::test]
async fn the_program_tells_its_version() {
    let version = Renderer::new(rig().options).kustomize_version().await.unwrap();
    assert!(version.starts_with('v') && version.contains('.'), "{version}");
}
