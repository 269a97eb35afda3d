//! What charts come to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::json;
use slipway_charts::{Hook, HookEvent, RenderError, Rendered, RenderedObject, Renderer};
use slipway_types::Digest;

use crate::rig::{Rig, lines};

const GENERATED: &[(&str, &str)] = &[("shop-full", "ROOT_PASSWORD")];

fn full() -> Rig {
    Rig::new("charts/full", json!({"port": 8080, "token": "hunter2-hunter2"})).generated(GENERATED)
}

fn names(objects: &[RenderedObject]) -> Vec<String> {
    let name = |o: &RenderedObject| format!("{} {}", o.object["kind"], o.object["metadata"]["name"]);
    objects.iter().map(|object| name(object).replace('"', "")).collect()
}

fn hooks(hooks: &[Hook]) -> Vec<&str> {
    hooks.iter().map(|hook| hook.object.object["metadata"]["name"].as_str().unwrap()).collect()
}

fn find<'a>(rendered: &'a Rendered, kind: &str) -> &'a RenderedObject {
    rendered.all().find(|object| object.object["kind"] == kind).unwrap()
}

#[tokio::test]
async fn a_chart_comes_in_order_and_in_its_place() {
    let rendered = full().helm().await.unwrap();
    assert_eq!(names(&rendered.crds), ["CustomResourceDefinition widgets.example.com"]);
    let mut objects = names(&rendered.objects);
    objects.sort();
    assert_eq!(
        objects,
        [
            "ClusterRole full",
            "ConfigMap shop-cache",
            "Deployment shop-full",
            "Secret shop-full",
            "Widget full"
        ]
    );
    let deployment = find(&rendered, "Deployment");
    assert_eq!(deployment.source.as_deref(), Some("full/templates/workload.yaml"));
    let annotations = json!({"known": "0", "kubernetes": "v1.20.2", "monitored": "true"});
    assert_eq!(deployment.object["metadata"]["annotations"], annotations);
    assert_eq!(deployment.object["metadata"]["namespace"], "prod");
    let pod = &deployment.object["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 8080);
    assert_eq!(pod["volumes"][0]["configMap"]["defaultMode"], 0o640);
    assert_eq!(
        find(&rendered, "ConfigMap").source.as_deref(),
        Some("full/charts/cache/templates/cache.yaml")
    );
    let cluster_scoped: Vec<String> = rendered.cluster_scoped.iter().map(ToString::to_string).collect();
    assert_eq!(
        cluster_scoped,
        ["CustomResourceDefinition widgets.example.com", "Widget full", "ClusterRole full"]
    );
    assert_eq!(find(&rendered, "Widget").object["metadata"].get("namespace"), None);
}

#[tokio::test]
async fn hooks_become_what_runs_before_and_after() {
    let rendered = full().helm().await.unwrap();
    assert_eq!(hooks(&rendered.hooks.before), ["wait", "prepare"]);
    assert_eq!(hooks(&rendered.hooks.after), ["after"]);
    assert_eq!(hooks(&rendered.hooks.apart), ["removal"]);
    let [wait, prepare] = &rendered.hooks.before[..] else { panic!() };
    assert_eq!((wait.weight, wait.recreate, wait.remove_when_failed), (-5, true, false));
    assert_eq!(wait.on, [HookEvent::PreUpgrade].into());
    assert_eq!((prepare.weight, prepare.recreate, prepare.remove_when_failed), (5, true, true));
    let after = &rendered.hooks.after[0];
    assert!(!after.recreate && after.remove_when_succeeded);
    assert_eq!(after.object.object["metadata"]["namespace"], "prod");
    let codes: Vec<&str> = rendered.notes.iter().map(|note| note.code.as_str()).collect();
    assert!(codes.contains(&"test_hook_dropped") && codes.contains(&"hook_kept_apart"), "{codes:?}");
}

#[tokio::test]
async fn a_chart_with_a_made_up_secret_comes_twice_to_the_same() {
    let mut rig = full();
    rig.secrets = vec!["hunter2-hunter2".to_owned().into()];
    let digest = |rendered: &Rendered| Digest::of(serde_json::to_vec(rendered).unwrap());
    let first = rig.helm().await.unwrap();
    let second = rig.helm().await.unwrap();
    assert_eq!(digest(&first), digest(&second));

    let kept = rig.store.values();
    let [password] = &kept[..] else { panic!("{} values kept", kept.len()) };
    let plain = String::from_utf8(STANDARD.decode(password).unwrap()).unwrap();
    assert_eq!(plain.len(), 24);
    for rendered in [&first, &second] {
        let shown = format!("{rendered:?}{}", serde_json::to_string(rendered).unwrap());
        for secret in
            [password, &plain, "hunter2-hunter2", &STANDARD.encode("hunter2-hunter2"), "not made up"]
        {
            assert!(!shown.contains(secret), "{secret} is shown");
        }
        let data = &find(rendered, "Secret").object["data"];
        assert_eq!(
            data["ROOT_PASSWORD"],
            json!({"$secret": "secret://builtin/kept/shop-full/root_password"})
        );
        assert_eq!(
            data["fixed"],
            json!({"$secret": "secret://builtin/rendered/shop/web/prod/shop-full/fixed"})
        );
        let values: Vec<_> =
            rendered.secrets.iter().map(|v| (v.key.as_str(), v.base64.expose_secret())).collect();
        assert_eq!(
            values,
            [
                ("fixed", STANDARD.encode("not made up").as_str()),
                ("token", &STANDARD.encode("hunter2-hunter2"))
            ]
        );
    }
}

#[tokio::test]
async fn what_differs_and_is_not_declared_is_told_without_its_value() {
    let rig = Rig::new("charts/random", json!({})).generated(&[("made", "password"), ("gone", "key")]);
    assert_eq!(
        lines(&rig.refused().await),
        [
            "chart_not_reproducible components[web]: two renderings differ at data.list of ConfigMap made of random/templates/all.yaml",
            "chart_not_reproducible components[web]: two renderings differ at metadata.annotations[\"checksum/secret\"] of ConfigMap made of random/templates/all.yaml",
            "chart_not_reproducible components[web]: two renderings differ at data.pin of Secret made of random/templates/all.yaml",
        ]
    );
    assert!(rig.store.values().is_empty(), "nothing is kept of what does not render");
    let names = Rig::new("charts/random", json!({"names": true}));
    let found = names.refused().await;
    let shape = found.iter().filter(|violation| violation.message.contains("other objects each time"));
    assert_eq!(shape.count(), 2);
}

#[tokio::test]
async fn a_declared_secret_that_never_comes_is_noted() {
    let rig = full().generated(&[GENERATED[0], ("gone", "key")]);
    let rendered = rig.helm().await.unwrap();
    let note = rendered.notes.iter().find(|note| note.code == "generated_secret_unused").unwrap();
    assert_eq!(note.message, "generatedSecrets names key of gone, which the chart does not render");
}

/// A chart as `helm package` packs it.
fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn what_asks_a_cluster_is_noted_wherever_it_hides() {
    let below = packed(&[
        ("more/Chart.yaml", "apiVersion: v2\nname: more\nversion: 1.0.0\n"),
        ("more/templates/a.yaml", "{{- $_ := lookup \"v1\" \"Pod\" \"\" \"\" }}\n"),
    ]);
    let rig = full().file("charts/more-1.0.0.tgz", below);
    let rendered = rig.helm().await.unwrap();
    let messages: Vec<&str> = rendered.notes.iter().map(|note| note.message.as_str()).collect();
    for expected in [
        "full/templates/_names.tpl:6 uses `lookup`, which finds nothing: no cluster is asked",
        "full/charts/more-1.0.0.tgz/templates/a.yaml:1 uses `lookup`, which finds nothing: no cluster is asked",
        "full/charts/cache/templates/cache.yaml:8 reads `.Release.IsUpgrade`, which is always false",
        "full/templates/workload.yaml:29 uses `randAlphaNum`, which gives something else each time",
    ] {
        assert!(messages.contains(&expected), "{expected}: {messages:#?}");
    }
    assert!(!messages.iter().any(|message| message.contains("NOTES.txt")));
}

#[tokio::test]
async fn what_helm_warns_of_is_noted_without_its_time() {
    let mut rig = full();
    rig.values = json!({"labels": {"tier": {"not": "text"}}});
    let rendered = rig.helm().await.unwrap();
    let told = rendered.notes.iter().find(|note| note.code == "helm_warning").unwrap();
    assert!(told.message.starts_with("helm warns: ") && told.message.contains("labels"), "{told:?}");
    assert!(!told.message.contains("/20"), "{told:?}");
}

#[tokio::test]
async fn the_program_tells_its_version() {
    let mut rig = full();
    let version = Renderer::new(rig.options.clone()).helm_version().await.unwrap();
    assert!(version.starts_with('v') && version.contains('.'), "{version}");
    rig.options.helm_program = "no-such-program".into();
    let error = rig.helm().await.unwrap_err();
    assert!(matches!(error, RenderError::ProgramMissing { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "`no-such-program` was not found: install it, or name its path by `deploy.helm`"
    );
}
