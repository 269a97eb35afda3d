//! Steps that tell others, run something to its end, stand in groups, and begin again.

use serde_json::{Value, json};
use slipway_tests::listener::Listener;

use crate::cluster::field;
use crate::flow::{applies, is_there, node_of, workflow};
use crate::ground::{Ground, LIVE_WITHIN, id_of};

/// In the clear nowhere but with whom it is for.
const SECRET: &str = "hook-line-and-sinker";

/// Tells two services, one of them with a secret, and runs a Job, all in one group; asks a third one; goes on.
fn course(listener: &Listener, image: &str) -> Value {
    let chat = json!({"url": listener.url("/chat"), "text": "shop is on its way", "secret": "secret://builtin/hook"});
    let line = json!({"url": {"value": listener.url("/line")}, "data": {"round": 1}});
    let smoke = json!({"image": image, "cmd": ["/bin/busybox", "true"]});
    let gate = json!({"url": {"value": listener.url("/gate")}});
    workflow(&json!([
        {"name": "roll", "type": "deploy"},
        {"name": "tell", "type": "step-group", "subSteps": [
            {"name": "chat", "type": "notify", "properties": chat},
            {"name": "line", "type": "webhook", "timeout": "60s", "properties": line},
            {"name": "smoke", "type": "job", "dependsOn": ["line"], "properties": smoke},
        ]},
        {"name": "gate", "type": "webhook", "retry": {"limit": 1, "backoff": "1s"}, "properties": gate},
        applies("after", &json!({})),
    ]))
}

/// How often each path was asked.
fn asked(listener: &Listener) -> [usize; 3] {
    ["/chat", "/line", "/gate"].map(|path| listener.bodies(path).len())
}

#[test]
fn steps_tell_others_run_a_job_and_begin_again_where_they_failed() {
    let listener = Listener::start();
    let origin = listener.origin();
    let calls = [
        ("SLIPWAY__DEPLOY__CALLS", origin.as_str()),
        ("SLIPWAY__DEPLOY__CALLS_PRIVATE_HOSTS", origin.as_str()),
    ];
    let ground = Ground::with(&calls);
    let space = &ground.namespace;
    ground.set_secret("hook", SECRET);
    let version = ground.publish("one\n");
    let document = course(&listener, &ground.image("prod", &version));
    // Away for a moment; and wrong, until somebody mends it.
    listener.answer("/line", &[503]);
    listener.answer("/gate", &[500, 500]);

    let made = ground.deploy("prod", &version, Some(&document));
    let failed = ground.wait(&made, &["failed", "timed_out"], LIVE_WITHIN);
    assert!(node_of(&failed, "step.gate")["reason"].to_string().contains("it answered 500"), "{failed:#}");
    for name in ["step.chat", "step.line", "step.smoke"] {
        assert_eq!(node_of(&failed, name)["state"], "ready", "{failed:#}");
    }
    assert_eq!(asked(&listener), [1, 2, 2], "`line` again while it is away, `gate` once by its `retry`");
    assert_eq!(field(space, "job", "smoke", "/status/succeeded"), 1);
    assert!(!is_there(space, "after"));

    let heard = listener.heard();
    let chat = heard.iter().find(|heard| heard.target == "/chat").expect("it was told");
    let told =
        json!({"text": "shop is on its way", "application": "shop", "environment": "prod", "step": "chat"});
    assert_eq!((&chat.body, &chat.authorization), (&told, &Some(format!("Bearer {SECRET}"))));
    assert_eq!(listener.bodies("/line")[1], json!({"round": 1}));
    assert_eq!(listener.bodies("/gate")[0], json!({"step": "gate"}));

    let retried_ready = ["deploy", "retry", id_of(&made), "--node", "step.chat"];
    let refused = ground.server.cli(&retried_ready);
    assert!(refused.code != 0 && refused.stderr.contains("retry `step.gate`"), "{}", refused.stderr);
    assert_eq!(ground.show(&made)["state"], "failed", "what changes nothing moves nothing");

    let job = || field(space, "job", "smoke", "/metadata/uid");
    let before = job();
    let retry = ["deploy", "retry", id_of(&made), "--node", "step.gate", "--reason", "it is mended"];
    ground.server.cli(&retry).ok();
    ground.live(&made);
    assert!(is_there(space, "after"));
    assert_eq!(asked(&listener), [1, 2, 3], "what was ready stays so");
    assert_eq!(job(), before);
    assert!(!ground.server.log().contains(SECRET) && !ground.show(&made).to_string().contains(SECRET));
}
