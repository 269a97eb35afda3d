//! Holes of objects.

use serde_json::json;
use slipway_handoff::{Filled, Hole, HoleType, Input};

use super::*;

fn hole(object: &ObjectRef, path: &str, accepts: HoleType) -> Hole {
    Hole { object: object.clone(), path: path.parse().unwrap(), accepts }
}

fn manifest(object: &ObjectRef) -> Value {
    json!({"apiVersion": "v1", "kind": object.kind, "metadata": {"name": object.name, "namespace": "shop"},
        "data": {"host": "", "list": [0]}})
}

/// `db` gives a host and a port; `web` takes what `holes` say.
fn rig(holes: Vec<(&str, Hole)>) -> Rig {
    let mut db = bare(&[]);
    db.outputs = BTreeMap::from([
        ("host".into(), Output::Value(json!("db.shop"))),
        ("port".into(), Output::Value(json!(5432))),
        ("map".into(), Output::Value(json!({"name": "other", "namespace": "shop"}))),
    ]);
    let (name, mut web) = node("web", &["db"]);
    let input =
        |(output, hole): (&str, Hole)| Input { node: "db".into(), output: output.into(), holes: vec![hole] };
    web.inputs = holes.into_iter().map(input).collect();
    Rig::new([("db".into(), db), (name, web)])
}

fn fill(rig: &Rig, object: &ObjectRef) -> (Result<Vec<Filled>, FillError>, Value) {
    let mut objects = BTreeMap::from([(object.clone(), manifest(object))]);
    let result = rig.schedule.fill("web", &mut objects);
    (result, objects.remove(object).unwrap())
}

#[test]
fn holes_take_what_was_given_and_it_is_told_where_it_went() {
    let web = reference("ConfigMap", "web");
    let holes = vec![
        ("host", hole(&web, "/data/host", HoleType::String)),
        ("port", hole(&web, "/data/list/0", HoleType::Integer)),
        ("host", hole(&web, "/data/new", HoleType::String)),
    ];
    let mut rig = rig(holes.clone());
    let (filled, object) = fill(&rig, &web);
    let filled = filled.unwrap();
    assert_eq!(object["data"], json!({"host": "db.shop", "list": [5432], "new": "db.shop"}));
    let told: Vec<(&Hole, &str, &str)> =
        filled.iter().map(|filled| (&filled.hole, filled.node.as_str(), filled.output.as_str())).collect();
    let expected: Vec<(&Hole, &str, &str)> =
        holes.iter().map(|(output, hole)| (hole, "db", *output)).collect();
    assert_eq!(told, expected);
    let changes = rig.happen(Happened::Applied { turn: rig.turn("web"), result: Ok(filled.clone()) });
    assert_eq!(last(&changes, Some("web")).unwrap().filled, filled);
    assert_eq!(rig.schedule.node("web").unwrap().filled, filled);
    let changes = rig.looked("web", not_yet("x"));
    assert_eq!(last(&changes, Some("web")).unwrap().filled, [], "it is told once a state");
}

#[test]
fn what_does_not_fit_fills_nothing() {
    let web = reference("ConfigMap", "web");
    let secret = reference("Secret", "web");
    let good = || ("host", hole(&web, "/data/host", HoleType::String));
    for (output, hole, expected) in [
        ("port", hole(&web, "/data/host", HoleType::String), "does not fit"),
        ("host", hole(&web, "/data/host", HoleType::Integer), "does not fit"),
        ("host", hole(&web, "/none/host", HoleType::String), "has no place"),
        ("host", hole(&web, "/data/list/1", HoleType::String), "has no place"),
        ("host", hole(&web, "/data/host/x", HoleType::String), "has no place"),
        ("host", hole(&web, "/metadata/name", HoleType::String), "no output goes there"),
        ("host", hole(&web, "/kind", HoleType::String), "no output goes there"),
        ("map", hole(&web, "/metadata", HoleType::Object), "no output goes there"),
        ("none", hole(&web, "/data/host", HoleType::String), "gives no output"),
        ("host", hole(&reference("ConfigMap", "x"), "/data/host", HoleType::String), "is not there"),
    ] {
        let rig = rig(vec![good(), (output, hole)]);
        let (result, object) = fill(&rig, &web);
        let error = result.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("db.shop"), "values are not in messages: {error}");
        assert_eq!(object, manifest(&web));
        assert!(!Failure::from(error).transient);
    }
    let rig = rig(vec![("host", hole(&secret, "/data/host", HoleType::String))]);
    let (result, object) = fill(&rig, &secret);
    assert_eq!((result, object), (Err(FillError::Secret(secret.clone())), manifest(&secret)));
}

#[test]
fn only_what_is_ready_gives_anything() {
    let web = reference("ConfigMap", "web");
    let input = Input {
        node: "db".into(),
        output: "host".into(),
        holes: vec![hole(&web, "/data/host", HoleType::String)],
    };
    let (name, mut needing) = node("web", &["db"]);
    needing.inputs = vec![input];
    let rig = Rig::new([node("db", &[]), (name, needing)]);
    assert_eq!(fill(&rig, &web).0, Err(FillError::NotReady("db".into())));
    assert!(matches!(rig.schedule.fill("x", &mut BTreeMap::new()), Err(FillError::UnknownNode(_))));
}
