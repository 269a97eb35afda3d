use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Value, json};
use slipway_types::{Digest, Violation};

use crate::node::{Approvals, Call, Collect, Hold, Hole, HoleType, Input, Node, Output, Ready, Retry, Wait};
use crate::sample::{self, config_map, object};
use crate::{
    Adoption, Answer, Cause, Event, Filled, Graph, ManifestSet, Mode, NodeState, Phase, Proof, ProofKind,
    SecretPlace, SecretUse, Submission, Tasks,
};

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn errors(schema: &str, value: &impl Serialize) -> Vec<String> {
    let value = serde_json::to_value(value).unwrap();
    validator(schema)
        .iter_errors(&value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

/// A submission in which every optional field stands.
fn full() -> Submission {
    let mut manifests = ManifestSet::new();
    let mut map = object(&mut manifests, &config_map("a"));
    map.ready = Ready::Cel("true".into());
    map.once = vec!["/data/port".parse().unwrap()];
    map.collect = Collect::OnDelete;
    map.shared = true;
    let mut second = object(&mut manifests, &config_map("b"));
    second.ready = Ready::Applied;
    let reference = map.object.clone();
    let hole =
        Hole { object: reference.clone(), path: "/data/port".parse().unwrap(), accepts: HoleType::String };
    let from = Output::From { object: reference.clone(), path: "/data/port".parse().unwrap() };
    let node = Node {
        component: Some("web".parse().unwrap()),
        phase: Phase::Post,
        needs: BTreeSet::from(["b".to_owned()]),
        after: BTreeSet::from(["b".to_owned()]),
        when: Some("nodes[\"b\"].state == \"ready\"".into()),
        objects: vec![map, second],
        inputs: vec![Input { node: "b".into(), output: "o".into(), holes: vec![hole] }],
        outputs: BTreeMap::from([
            ("m".into(), Output::Message { object: reference.clone(), key: "host".into() }),
            ("p".into(), from),
            ("v".into(), Output::Value(json!(1))),
        ]),
        waits: vec![Wait { object: reference.clone(), until: "true".into() }],
        call: Some(Call {
            method: "POST".into(),
            url: "https://x.example.com/".into(),
            body: Some(json!({})),
            secret: Some("secret://builtin/hook".parse().unwrap()),
        }),
        hold: Some(Hold {
            for_ms: Some(5),
            message: Some("look at it".into()),
            approvals: Some(Approvals { count: 2, author_may: true }),
        }),
        retry: Some(Retry { limit: 2, backoff_ms: 1_000 }),
        temporary: true,
        timeout_ms: 5,
    };
    let mut document =
        sample::revision(BTreeMap::from([("a".to_owned(), node), ("b".to_owned(), Node::default())]));
    let adopted = reference.clone();
    document.secrets = vec![SecretUse {
        reference: "secret://builtin/a#b".parse().unwrap(),
        scope: Some("application/default/shop".parse().unwrap()),
        version: "1".into(),
        used_in: vec![SecretPlace { object: reference, key: "k".into() }],
    }];
    let mut submission = sample::submission(1, document);
    submission.adopt = vec![Adoption { object: adopted, uid: "u".into() }];
    submission.proof = vec![Proof { kind: ProofKind::Approval, digest: Digest::of("p") }];
    submission.predecessor = Some(Digest::of("before"));
    submission
}

#[test]
fn whatever_is_sent_fits_the_schema() {
    let mut submission = full();
    assert_eq!(errors(super::SUBMISSION, &submission), Vec::<String>::new());
    let by = || "ann".to_owned();
    for cause in [
        Cause::Rollback { by: by(), reason: "r".into() },
        Cause::Retry { by: by() },
        Cause::Rotation { by: by() },
    ] {
        submission.cause = cause;
        assert_eq!(errors(super::SUBMISSION, &submission), Vec::<String>::new());
    }
    submission.tasks = Tasks::Done;
    assert_eq!(errors(super::SUBMISSION, &submission), Vec::<String>::new());
    submission.tasks = Tasks::Run;
    assert!(serde_json::to_value(&submission).unwrap().get("tasks").is_none(), "only a rollback says it");
    for mode in [Mode::Delete, Mode::DryRun] {
        submission.mode = mode;
        assert_eq!(errors(super::SUBMISSION, &submission), Vec::<String>::new());
    }
    submission.document.graph = Graph::default();
    submission.predecessor = None;
    assert_eq!(errors(super::SUBMISSION, &submission), Vec::<String>::new());
}

/// Every object that is closed here is closed there: a field more is refused by both.
#[test]
fn the_schema_is_as_closed_as_the_types() {
    let whole = serde_json::to_value(full()).unwrap();
    for place in [
        "",
        "/key",
        "/document",
        "/document/bundle",
        "/document/environment",
        "/document/configuration",
        "/document/definitions/0",
        "/document/graph/a",
        "/document/graph/a/objects/0",
        "/document/graph/a/objects/0/object",
        "/document/graph/a/inputs/0",
        "/document/graph/a/inputs/0/holes/0",
        "/document/graph/a/waits/0",
        "/document/graph/a/call",
        "/document/graph/a/hold",
        "/document/secrets/0",
        "/document/secrets/0/used_in/0",
        "/adopt/0",
        "/adopt/0/object",
    ] {
        let mut more = whole.clone();
        more.pointer_mut(place).unwrap()["surprise"] = json!(1);
        assert!(!errors(super::SUBMISSION, &more).is_empty(), "{place}");
        if !place.starts_with("/key") {
            assert!(serde_json::from_value::<Submission>(more).is_err(), "{place}");
        }
    }
    for (place, wrong) in [
        ("/mode", json!("destroy")),
        ("/contract", json!(2)),
        ("/revision", json!("sha256:0")),
        ("/document/graph/a/timeout_ms", json!(0)),
        ("/document/graph/a/objects/0/ready", json!("soon")),
    ] {
        let mut other = whole.clone();
        *other.pointer_mut(place).unwrap() = wrong;
        assert!(!errors(super::SUBMISSION, &other).is_empty(), "{place}");
    }
}

#[test]
fn answers_and_events_fit_their_schemas() {
    for answer in [
        Answer::Accepted { run: "r".into() },
        Answer::Rejected { violations: vec![Violation::new("c", "p", "m").hint("h")] },
        Answer::Stale { current: 1 },
        Answer::Conflict { revision: Digest::of("x") },
        Answer::unsupported(crate::Capability::Delete, "why"),
    ] {
        assert_eq!(errors(super::ANSWER, &answer), Vec::<String>::new());
    }
    for wrong in [
        json!({"answer": "accepted"}),
        json!({"answer": "maybe"}),
        json!({"answer": "rejected", "violations": []}),
    ] {
        assert!(!errors(super::ANSWER, &wrong).is_empty(), "{wrong}");
    }
    let submission = full();
    let hole = submission.document.graph.nodes()["a"].inputs[0].holes[0].clone();
    let mut event = Event {
        sequence: 1,
        key: submission.key,
        generation: 1,
        node: Some("a".into()),
        state: NodeState::TimedOut,
        reason: "r".into(),
        observed_at: Utc::now(),
        outputs: BTreeMap::from([("o".into(), json!(1))]),
        filled: vec![Filled { hole, value: json!("x"), node: "b".into(), output: "o".into() }],
    };
    assert_eq!(errors(super::EVENT, &event), Vec::<String>::new());
    event.sequence = 0;
    assert!(!errors(super::EVENT, &event).is_empty());
}

#[test]
fn the_documented_examples_are_real() {
    let page = include_str!("../../../../docs/handoff.md");
    let blocks: Vec<(&str, &str)> = page
        .split("```json ")
        .skip(1)
        .map(|block| {
            let (head, rest) = block.split_once('\n').unwrap();
            (head.trim(), rest.split_once("```").unwrap().0)
        })
        .collect();
    let of = |kind: &str| -> Vec<Value> {
        let blocks = blocks.iter().filter(|(head, _)| *head == kind);
        blocks.map(|(_, text)| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))).collect()
    };
    let (submissions, answers, events) = (of("submission"), of("answer"), of("event"));
    assert!(submissions.len() == 1 && answers.len() == 5 && !events.is_empty());
    for request in submissions {
        assert_eq!(errors(super::SUBMISSION, &request["submission"]), Vec::<String>::new());
        let request: crate::http::SubmitRequest = serde_json::from_value(request).unwrap();
        let submission = &request.submission;
        assert_eq!(submission.document.digest(), submission.revision, "the documented revision");
        assert!(submission.document.violations(&crate::Limits::default()).is_empty());
        for digest in submission.document.manifests() {
            assert!(request.manifests().get(&digest).is_some(), "{digest}");
        }
    }
    for answer in &answers {
        assert_eq!(errors(super::ANSWER, answer), Vec::<String>::new());
    }
    for event in &events {
        assert_eq!(errors(super::EVENT, event), Vec::<String>::new());
    }
}
