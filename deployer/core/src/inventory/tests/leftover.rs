use super::*;

const PROBE: &str = "spec.template.spec.containers[0].readinessProbe";

/// A Deployment that was applied with a probe, an account and no strategy.
fn found() -> Value {
    let own = json!({"f:spec": {"f:template": {"f:spec": {
        "f:serviceAccountName": {},
        "f:containers": {"k:{\"name\":\"main\"}": {
            ".": {}, "f:name": {}, "f:image": {}, "f:readinessProbe": {"f:httpGet": {"f:path": {}, "f:port": {}}},
        }},
    }}}});
    let mut found = deployment("web");
    found["metadata"]["uid"] = "1".into();
    found["metadata"]["resourceVersion"] = "1".into();
    found["metadata"]["managedFields"] =
        json!([{"manager": "slipway", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": own}]);
    found["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    let pods = &mut found["spec"]["template"]["spec"];
    pods["serviceAccountName"] = "shop".into();
    pods["serviceAccount"] = "shop".into();
    pods["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10});
    found
}

fn trimmed(found: &Value, sent: &Value, invalid: &[&str]) -> Option<Value> {
    without_leftovers(&Live::of(found).unwrap(), sent, invalid)
}

#[test]
fn a_probe_that_is_left_out_goes_with_its_defaults() {
    let found = found();
    let trimmed = trimmed(&found, &deployment("web"), &[PROBE]).unwrap();
    let mut expected = found.clone();
    let container = &mut expected["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().unwrap().remove("readinessProbe");
    assert_eq!(trimmed, expected);
}

#[test]
fn a_strategy_that_the_api_server_filled_in_goes_when_it_stands_in_the_way() {
    let found = found();
    let mut sent = deployment("web");
    sent["spec"]["strategy"] = json!({"type": "Recreate"});
    let field = "spec.strategy.rollingUpdate";
    let trimmed = trimmed(&found, &sent, &[field]).unwrap();
    assert_eq!(trimmed["spec"]["strategy"], json!({"type": "RollingUpdate"}));
    let mut others = found.clone();
    let theirs = json!({"f:spec": {"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}});
    let entries = others["metadata"]["managedFields"].as_array_mut().unwrap();
    entries
        .push(json!({"manager": "ann", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": theirs}));
    assert_eq!(super::leftover::trimmed(&others, &sent, &[field]), None, "it is somebody's");
}

#[test]
fn nothing_is_taken_out_that_does_not_explain_the_refusal() {
    let found = found();
    let without = deployment("web");
    for invalid in [&[PROBE, "spec.template.spec.containers[0].image"][..], &["spec.replicas"], &[""], &[]] {
        assert_eq!(trimmed(&found, &without, invalid), None, "{invalid:?}");
    }
    let mut with = deployment("web");
    with["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["a"]}});
    assert_eq!(trimmed(&found, &with, &[PROBE]), None, "it is wanted, and wrong");
    let handler = format!("{PROBE}.httpGet");
    let left = trimmed(&found, &with, &[&handler]).unwrap();
    let probe = &left["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    assert_eq!(*probe, json!({"periodSeconds": 10}), "one handler in the place of another");
}

#[test]
fn pods_that_name_no_account_any_more_get_the_usual_one() {
    let found = found();
    let live = Live::of(&found).unwrap();
    let account = |manifest: &Value| {
        let wanted = object(manifest);
        let marks = marks_of("shop", 1);
        let wanted = Wanted { object: &wanted, manifest, adopt: true };
        match before_apply(&wanted, &marks, Some(&live)) {
            Verdict::Update(write) => write.body["spec"]["template"]["spec"]["serviceAccountName"].clone(),
            other => panic!("{other:?}"),
        }
    };
    let mut manifest = deployment("web");
    assert_eq!(account(&manifest), json!("default"));
    manifest["spec"]["template"]["spec"]["serviceAccountName"] = "other".into();
    assert_eq!(account(&manifest), json!("other"));
}
