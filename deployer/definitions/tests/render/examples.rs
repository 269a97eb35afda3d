//! Examples of definitions: the scaffolds', the built-in ones', and wrong ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use slipway_definitions::{
    Definition, DefinitionKind, Folder, FolderOptions, builtin, scaffold, test_definition, try_definition,
};

use crate::world::{OPEN_SCHEMA, codes, definition, session, trait_type};

fn folder(files: &BTreeMap<String, String>) -> Folder {
    let files = files.iter().map(|(path, text)| (path.clone(), text.as_bytes().to_vec())).collect();
    Folder::new(files, &FolderOptions::default()).unwrap()
}

#[tokio::test]
async fn every_scaffold_passes_its_examples() {
    let mut session = session().await;
    for kind in DefinitionKind::ALL {
        let files = scaffold(kind, &"mine".parse().unwrap());
        let definition = Arc::new(Definition::load(folder(&files)).unwrap());
        assert_eq!((definition.kind(), definition.name()), (kind, "mine"));
        let report = test_definition(&mut session, &definition).await.unwrap().unwrap();
        assert!(report.passed(), "{report:#?}");
        assert_eq!(report.examples.len(), 2);
    }
}

#[tokio::test]
async fn every_builtin_passes_its_examples() {
    let mut session = session().await;
    let mut failed = Vec::new();
    for definition in builtin::definitions() {
        let report = test_definition(&mut session, definition).await.unwrap().unwrap();
        if !report.passed() {
            failed.push(report);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn an_example_that_fails_says_where() {
    let mut files = scaffold(DefinitionKind::Trait, &"mine".parse().unwrap());
    let example = files.get_mut("examples/half-a-minute.yaml").unwrap();
    *example = example.replace("minAvailable: 1", "minAvailable: 2");
    let example = files.get_mut("examples/no-time.yaml").unwrap();
    *example = "properties: {seconds: 5}\nrefuse: {path: seconds}\n".to_owned();
    let definition = Arc::new(Definition::load(folder(&files)).unwrap());
    let report = test_definition(&mut session().await, &definition).await.unwrap().unwrap();
    assert!(!report.passed());
    let differences: Vec<&str> =
        report.examples.iter().flat_map(|example| &example.differences).map(String::as_str).collect();
    assert_eq!(
        differences,
        ["[1].spec.minAvailable: expected 2, found 1", "expected a refusal of `seconds`", "found none"]
    );
    files.insert("examples/odd.yaml".into(), "expects: []\n".into());
    let definition = Arc::new(Definition::load(folder(&files)).unwrap());
    let violations = test_definition(&mut session().await, &definition).await.unwrap().unwrap_err();
    assert_eq!(codes(&violations), ["invalid_definition", "invalid_definition"]);
}

#[tokio::test]
async fn a_definition_can_be_tried_alone() {
    let main = "def render(ctx):\n    print('hello')\n    return [object.apply(ctx.workload | {'x': ctx.properties['x'], 'y': None})]\n";
    let echo = trait_type("echo", "appliesTo: ['*']", main);
    let mut session = session().await;
    let trial =
        try_definition(&mut session, &echo, &json!({"x": 1}), &json!({"workload": {"kind": "StatefulSet"}}))
            .await;
    let trial = trial.unwrap();
    assert_eq!(codes(&trial.violations), [""; 0]);
    let returned = trial.returned.unwrap();
    assert_eq!((&returned[0]["kind"], &returned[0]["x"]), (&json!("StatefulSet"), &json!(1)));
    assert_eq!(returned[0].get("y"), None);
    assert_eq!(trial.talk, ["hello"]);

    let images = definition(
        "ComponentDefinition",
        "web",
        "takes: image",
        OPEN_SCHEMA,
        "def render(ctx):\n    refuse('a', 'no')\n",
    );
    let trial = try_definition(&mut session, &images, &json!({}), &json!({"images": []})).await.unwrap();
    assert_eq!(codes(&trial.violations), ["image_missing"]);
    let trial = try_definition(&mut session, &images, &json!({}), &json!(null)).await.unwrap();
    assert_eq!(trial.violations[0].path, "properties.a");
}
