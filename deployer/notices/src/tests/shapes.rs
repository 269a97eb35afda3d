//! What each kind of channel is sent, and what its answers mean.

use serde_json::json;
use slipway_records::incident::About;
use slipway_records::{Incident, Topic};
use slipway_types::Class;
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, IncidentId, NoticeId};

use crate::answer::Answer;
use crate::formats;
use crate::letter::Letter;
use crate::message::{Content, Message, Notice, NoticeEvent};
use crate::settings::ChannelKind;

fn notice(event: NoticeEvent, blocker: &str) -> Notice {
    Notice {
        event,
        incident: IncidentId::new(),
        team: "commerce".into(),
        application: "commerce/shop".into(),
        environment: "prod".into(),
        address: "eu/kind/shop/default".into(),
        deployment: DeploymentId::new(),
        generation: 7,
        version: "1.4.2".into(),
        state: "failed".into(),
        blocker: Some(blocker.into()),
        deployed_by: "ann".into(),
        since: chrono::DateTime::from_timestamp(1_763_740_800, 0).unwrap(),
        until: None,
        link: "https://slipway.example.com/x".into(),
        command: "slipway deploy show 'commerce/shop@prod#7'".into(),
    }
}

fn message(content: Content) -> Message {
    Message { id: NoticeId::new(), content }
}

fn letter(blocker: &str) -> Letter {
    Letter::of(&message(Content::One(notice(NoticeEvent::Failed, blocker))))
}

const TITLE: &str = "commerce/shop failed in prod: 1.4.2, generation 7";

#[test]
fn a_letter_names_the_blocker_who_deployed_and_since_when() {
    let found = letter("web: no such image\u{1b}[31m\nnext");
    let lines = [
        "web: no such image [31m next",
        "Deployed by ann to eu/kind/shop/default",
        "Since 2025-11-21 16:00:00 UTC",
        "slipway deploy show 'commerce/shop@prod#7'",
    ];
    assert_eq!((found.title.as_str(), found.lines), (TITLE, lines.map(str::to_owned).to_vec()));
    let long = letter(&"é".repeat(5_000));
    assert_eq!(long.lines[0].chars().count(), 400);

    let titles = NoticeEvent::ALL.map(|event| Letter::of(&message(Content::One(notice(event, "x")))).title);
    let mut different = titles.to_vec();
    different.dedup();
    assert_eq!(different.len(), NoticeEvent::ALL.len(), "{titles:?}");
    let many = vec![notice(NoticeEvent::Degraded, "x"); 25];
    let several = Letter::of(&message(Content::Several(many)));
    assert_eq!((several.title.as_str(), several.lines.len()), ("And 25 more notices", 22));
    assert_eq!(several.lines[20], "and 5 others");
}

#[test]
fn each_chat_has_its_own_form_and_nothing_of_others_is_a_link_or_a_mention() {
    let letter = letter("<!channel> [here](https://evil.example) `x` & *y*");
    let slack = formats::slack(&letter);
    assert_eq!(slack["text"], TITLE);
    let text = slack["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(slack["blocks"][0]["text"]["type"], "mrkdwn");
    assert!(text.starts_with(&format!("*{TITLE}*\n&lt;!channel&gt; ")), "{text}");
    assert!(text.ends_with("\n<https://slipway.example.com/x|Show the deployment>"), "{text}");

    let dingtalk = formats::dingtalk(&letter);
    let text = dingtalk["markdown"]["text"].as_str().unwrap();
    assert_eq!((&dingtalk["msgtype"], &dingtalk["markdown"]["title"]), (&json!("markdown"), &json!(TITLE)));
    assert!(text.starts_with(&format!("### {TITLE}\n\n＜!channel＞ ［here］")), "{text}");
    assert!(text.ends_with("\n\n[Show the deployment](https://slipway.example.com/x)"), "{text}");

    let wecom = formats::wecom(&letter);
    let text = wecom["markdown"]["content"].as_str().unwrap();
    assert_eq!(wecom["msgtype"], "markdown");
    assert!(text.starts_with(&format!("**{TITLE}**\n> ＜!channel＞")), "{text}");

    let feishu = formats::feishu(&letter, Some((1_599_360_473, "s".into())));
    assert_eq!(
        (&feishu["msg_type"], &feishu["timestamp"], &feishu["sign"]),
        (&json!("post"), &json!("1599360473"), &json!("s"))
    );
    let post = &feishu["content"]["post"]["zh_cn"];
    assert_eq!(post["title"], TITLE);
    assert_eq!(post["content"][0][0], json!({"tag": "text", "text": letter.lines[0]}));
    let link = json!({"tag": "a", "text": "Show the deployment", "href": "https://slipway.example.com/x"});
    assert_eq!(post["content"][4][0], link);
    assert!(formats::feishu(&letter, None).get("sign").is_none());
}

#[test]
fn long_messages_keep_to_the_limits_of_the_chats() {
    let many = vec![notice(NoticeEvent::Failed, "x"); 60];
    let mut long = Letter::of(&message(Content::Several(many.clone())));
    long.lines = vec!["<日".repeat(200); 25];
    long.link = Some("https://slipway.example.com/x".into());
    let slack = formats::slack(&long);
    assert!(slack["blocks"][0]["text"]["text"].as_str().unwrap().chars().count() <= 3_000);
    let wecom = formats::wecom(&long);
    let text = wecom["markdown"]["content"].as_str().unwrap();
    assert!(text.len() <= 4_096 && text.ends_with("/x)"), "{} {text}", text.len());
    let dingtalk = formats::dingtalk(&long).to_string();
    assert!(dingtalk.len() <= 20_000 && dingtalk.contains("/x)"), "{}", dingtalk.len());
    let feishu = formats::feishu(&long, Some((1_599_360_473, "s".into())));
    let content = feishu["content"]["post"]["zh_cn"]["content"].as_array().unwrap();
    assert!(feishu.to_string().len() <= 20_000 && content.len() < 26, "{}", content.len());
    assert_eq!(content.last().unwrap()[0]["tag"], "a");
    let webhook = formats::webhook(&message(Content::Several(many)));
    assert_eq!((&webhook["kind"], &webhook["count"]), (&json!("several"), &json!(60)));
    assert_eq!(webhook["notices"].as_array().unwrap().len(), 50);
}

#[test]
fn a_webhook_tells_all_of_a_notice_under_its_id() {
    let one = message(Content::One(notice(NoticeEvent::TimedOut, "web")));
    let body = formats::webhook(&one);
    assert_eq!((&body["version"], &body["kind"], &body["id"]), (&json!(1), &json!("notice"), &json!(one.id)));
    assert_eq!(body["notice"]["event"], "timed_out");
    assert_eq!(body["notice"]["blocker"], "web");
    assert_eq!(body["notice"]["deployed_by"], "ann");
    assert_eq!(formats::webhook(&message(Content::Test("ann".into())))["kind"], "test");
}

/// Both were computed by the robots' own examples, in Python.
#[test]
fn robots_are_signed_to_as_they_want() {
    let sign = formats::dingtalk_sign("SECthis is secret", 1_763_740_800_000);
    assert_eq!(sign, "vqOEljKNeVaJ0rFx3k0QzmXm1FLYobVnMIrMpXKJ6WQ=");
    assert_eq!(formats::feishu_sign("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
}

#[test]
fn answers_mean_what_each_kind_says() {
    use ChannelKind::{Dingtalk, Feishu, Slack, Webhook, Wecom};
    const TAKEN: Option<Class> = None;
    const AGAIN: Option<Class> = Some(Class::Transient);
    const NEVER: Option<Class> = Some(Class::Permanent);
    for (kind, status, body, expected) in [
        (Webhook, 204, "", TAKEN),
        (Slack, 200, "ok", TAKEN),
        (Slack, 404, "no_service", NEVER),
        (Slack, 429, "", AGAIN),
        (Webhook, 503, "", AGAIN),
        (Webhook, 302, "", NEVER),
        (Dingtalk, 200, r#"{"errcode":0,"errmsg":"ok"}"#, TAKEN),
        (Dingtalk, 200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, NEVER),
        (Dingtalk, 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, AGAIN),
        (Dingtalk, 200, r#"{"errcode":410100,"errmsg":"too fast"}"#, AGAIN),
        (Dingtalk, 200, r#"{"errcode":-1,"errmsg":"busy"}"#, AGAIN),
        (Dingtalk, 200, r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#, AGAIN),
        (Dingtalk, 200, r#"{"status":1111}"#, NEVER),
        (Dingtalk, 200, "<html>", NEVER),
        (Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, TAKEN),
        (Wecom, 200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, NEVER),
        (Wecom, 200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, AGAIN),
        (Feishu, 200, r#"{"code":0,"msg":"success","data":{}}"#, TAKEN),
        (Feishu, 200, r#"{"StatusCode":0,"StatusMessage":"success"}"#, TAKEN),
        (Feishu, 200, r#"{"code":19021,"msg":"sign match fail"}"#, NEVER),
        (Feishu, 400, r#"{"code":9499,"msg":"too many request","data":{}}"#, AGAIN),
        (Feishu, 400, r#"{"code":9499,"msg":"Bad Request","data":{}}"#, NEVER),
        (Feishu, 200, r#"{"code":11232,"msg":"frequency limited psm[x]appID[1500]"}"#, AGAIN),
        (Feishu, 500, r#"{"code":1,"msg":"internal"}"#, AGAIN),
        (Feishu, 404, r#"{"code":0}"#, NEVER),
        (Wecom, 200, r#"{"errcode":45033,"errmsg":"api concurrent out of limit"}"#, AGAIN),
    ] {
        let answer = Answer { host: "h".into(), status, retry_after_s: Some(7), body: body.into() };
        let found = answer.judge(kind);
        let class = found.as_ref().err().map(|refusal| refusal.fault.class);
        assert_eq!(class, expected, "{kind:?} {status} {body}: {found:?}");
    }
}

#[test]
fn the_beginning_of_an_incident_is_told_as_its_state() {
    let incident = |topic, state: &str| Incident {
        id: IncidentId::new(),
        application_id: ApplicationId::new(),
        environment_id: EnvironmentId::new(),
        topic,
        about: About {
            deployment: DeploymentId::new(),
            generation: 1,
            version: "1.0.0".parse().unwrap(),
            state: state.into(),
            blocker: None,
            deployed_by: "ann".into(),
            since: chrono::Utc::now(),
        },
        ended: None,
        opened_at: chrono::Utc::now(),
        closed_at: None,
        row_version: 1,
    };
    for (topic, state, expected) in [
        (Topic::Trouble, "failed", NoticeEvent::Failed),
        (Topic::Trouble, "timed_out", NoticeEvent::TimedOut),
        (Topic::Trouble, "degraded", NoticeEvent::Degraded),
        (Topic::Trouble, "unreachable", NoticeEvent::Unreachable),
        (Topic::Approval, "awaiting", NoticeEvent::WaitsForApproval),
        (Topic::GatesBroken, "approved", NoticeEvent::GatesBroken),
        (Topic::NotDeployed, "rejected", NoticeEvent::Rejected),
        (Topic::NotDeployed, "broken", NoticeEvent::Broken),
        (Topic::NotDeployed, "expired", NoticeEvent::Expired),
    ] {
        assert_eq!(NoticeEvent::of_opening(&incident(topic, state)), expected);
    }
}

#[test]
fn a_robot_that_is_shut_out_is_left_alone_for_as_long() {
    let of = |kind, body: &str| {
        let answer = Answer { host: "h".into(), status: 200, retry_after_s: None, body: body.into() };
        answer.judge(kind).unwrap_err().after.map(|pause| pause.as_secs())
    };
    assert_eq!(of(ChannelKind::Dingtalk, r#"{"errcode":130101}"#), Some(600));
    assert_eq!(of(ChannelKind::Dingtalk, r#"{"errcode":-1}"#), Some(60));
    assert_eq!(of(ChannelKind::Wecom, r#"{"errcode":45009}"#), Some(60));
}
