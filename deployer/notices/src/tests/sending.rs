//! Notices on their way to a service: signed, repeated under the same id, within the limit.

use std::time::Duration;

use chrono::Utc;
use secrecy::SecretString;
use serde_json::{Value, json};
use slipway_handoff::http::{Claim, Keys, Purpose, SigningKey};
use slipway_records::noticing::Noticing as _;
use slipway_records::{JobError, NoticeState};

use super::world::{Asked, KEY, Service, World, failed, here};
use crate::NoticeOptions;

fn webhook(service: &Service) -> Value {
    let url = format!("http://{}/notices", service.address);
    json!([{"name": "ops", "kind": "webhook", "url": url, "secret": "secret://builtin/key"}])
}

fn is_proven(asked: &Asked) -> bool {
    let keys = Keys::new(SigningKey::new("slipway", &SecretString::from(KEY.to_owned())).ok());
    let claim = Claim::read(|name| asked.headers.get(name)?.to_str().ok());
    keys.verify(Purpose::Notice, &claim, &asked.body, Utc::now(), 60_000).is_ok()
}

async fn work_off(world: &World) -> Result<(), JobError> {
    world.notices.work_off(&"ops".parse().unwrap()).await
}

async fn states(world: &World) -> Vec<(NoticeState, u32)> {
    world.told().await.iter().map(|one| (one.state, one.attempts)).collect()
}

#[tokio::test]
async fn a_notice_is_signed_and_comes_again_under_its_id_until_it_is_taken() {
    let service = Service::start(vec![(503, "not today"), (200, "")]).await;
    let world = World::new(webhook(&service), here()).await;
    world.moves(&mut world.deployment(7), failed()).await;
    let waits = work_off(&world).await;
    assert!(matches!(&waits, Err(JobError::Wait { why, .. }) if why.contains("503")), "{waits:?}");
    assert_eq!(states(&world).await, [(NoticeState::Pending, 1)]);
    work_off(&world).await.unwrap();
    assert_eq!(states(&world).await, [(NoticeState::Sent, 2)]);
    // Nothing is left, and nothing sent once more.
    work_off(&world).await.unwrap();
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(is_proven));
    assert_eq!(asked[0].body, asked[1].body);
    let body = asked[0].json();
    let told = world.told().await.remove(0);
    assert_eq!(body["id"], json!(told.id));
    assert_eq!(body["notice"]["blocker"], "web: no such image");
    assert_eq!(body["notice"]["application"], "commerce/shop");
    assert_eq!(
        (&body["notice"]["team"], &body["notice"]["environment"]),
        (&json!("commerce"), &json!("prod"))
    );
    let link = body["notice"]["link"].as_str().unwrap();
    assert!(link.starts_with("https://slipway.example.com/api/v1/deployments/"), "{link}");
}

#[tokio::test]
async fn a_sender_that_is_stopped_in_the_middle_sends_the_same_again() {
    let service = Service::start(vec![(200, "")]).await;
    let world = World::new(webhook(&service), here()).await;
    world.moves(&mut world.deployment(7), failed()).await;
    // It is gone as soon as the service has it, before that was noted.
    let gone = async {
        while service.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = gone => {}
        _ = work_off(&world) => panic!("it was noted"),
    }
    assert_eq!(states(&world).await, [(NoticeState::Pending, 0)]);
    work_off(&world).await.unwrap();
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].json()["id"], asked[1].json()["id"]);
    assert_eq!(states(&world).await, [(NoticeState::Sent, 1)]);
}

#[tokio::test]
async fn what_is_more_than_the_limit_goes_in_one_message_and_again_in_the_same() {
    let service = Service::start(vec![(200, ""), (500, ""), (200, "")]).await;
    let options = NoticeOptions { max_per_minute: 2, ..here() };
    let world = World::new(webhook(&service), options).await;
    for generation in 1..=3 {
        world.failure(generation).await;
    }
    assert_eq!(world.told().await.len(), 6);
    assert!(work_off(&world).await.is_err());
    // Another comes while the message is on its way: it goes by itself, later.
    world.moves(&mut world.deployment(9), failed()).await;
    let waits = work_off(&world).await;
    assert!(
        matches!(&waits, Err(JobError::Wait { why, .. }) if why.contains("max_per_minute = 2")),
        "{waits:?}"
    );
    let asked = service.asked();
    let kinds: Vec<Value> = asked.iter().map(|asked| asked.json()["kind"].clone()).collect();
    assert_eq!(kinds, [json!("notice"), json!("several"), json!("several")]);
    assert_eq!(asked[1].body, asked[2].body);
    assert_eq!(asked[1].json()["count"], 5);
    let left: Vec<NoticeState> = states(&world).await.into_iter().map(|(state, _)| state).collect();
    assert_eq!(left.iter().filter(|state| **state == NoticeState::Pending).count(), 1);
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_what_is_away_after_a_time() {
    let service = Service::start(vec![(404, "no such hook")]).await;
    let world = World::new(webhook(&service), here()).await;
    world.moves(&mut world.deployment(1), failed()).await;
    work_off(&world).await.unwrap();
    let told = world.told().await.remove(0);
    assert_eq!((told.state, told.attempts), (NoticeState::Failed, 1));
    assert_eq!(told.answer.as_deref(), Some("127.0.0.1 answered 404 Not Found: no such hook"));

    let service = Service::start(vec![(503, "")]).await;
    let options = NoticeOptions { give_up_after_ms: 0, ..here() };
    let world = World::new(webhook(&service), options).await;
    world.moves(&mut world.deployment(1), failed()).await;
    assert!(work_off(&world).await.is_err());
    work_off(&world).await.unwrap();
    let told = world.told().await.remove(0);
    assert_eq!((told.state, service.asked().len()), (NoticeState::Failed, 1));
    assert!(
        told.answer.as_deref().is_some_and(|answer| answer.contains("given up") && answer.contains("503"))
    );
}

#[tokio::test]
async fn a_channel_that_asks_for_time_gets_it() {
    let service = Service::start(vec![(503, "")]).await;
    let options = NoticeOptions { retry_pause_ms: 60_000, ..here() };
    let world = World::new(webhook(&service), options).await;
    world.moves(&mut world.deployment(1), failed()).await;
    for _ in 0..2 {
        let waits = work_off(&world).await;
        let long = Duration::from_secs(30);
        assert!(matches!(&waits, Err(JobError::Wait { delay, .. }) if *delay > long), "{waits:?}");
    }
    assert_eq!(service.asked().len(), 1, "a job that is woken early does not hurry the channel");
}

#[tokio::test]
async fn robots_get_what_is_theirs_at_an_address_that_is_a_secret() {
    let service = Service::start(vec![(200, r#"{"errcode":0,"code":0,"token":"t0kent0ken"}"#)]).await;
    let written: Vec<Value> = ["slack", "dingtalk", "feishu", "wecom"]
        .iter()
        .map(|kind| {
            let mut channel = json!({"name": kind, "kind": kind, "url": "secret://builtin/url"});
            if matches!(*kind, "dingtalk" | "feishu") {
                channel["secret"] = "secret://builtin/key".into();
            }
            channel
        })
        .collect();
    let world = World::new(json!(written), here()).await;
    let url = format!("http://{}/robot/send?access_token=t0kent0ken", service.address);
    world.notices.secrets.set("url", &SecretString::from(url), "ann").await.unwrap();
    for kind in ["slack", "dingtalk", "feishu", "wecom"] {
        let answer = world.notices.test(&kind.parse().unwrap(), "ann").await.unwrap().unwrap();
        assert!(answer.contains("answered") && !answer.contains("t0ken"), "{answer}");
    }
    let [slack, dingtalk, feishu, wecom] = <[Asked; 4]>::try_from(service.asked()).unwrap();
    assert_eq!(
        (slack.query.as_str(), wecom.query.as_str()),
        ("access_token=t0kent0ken", slack.query.as_str())
    );
    assert_eq!(slack.json()["text"], "A test of Slipway's notices");
    for part in ["access_token=t0kent0ken&timestamp=", "&sign="] {
        assert!(dingtalk.query.contains(part), "{}", dingtalk.query);
    }
    assert!(feishu.json()["sign"].is_string() && feishu.json()["timestamp"].is_string());
    assert_eq!(
        (&dingtalk.json()["msgtype"], &wecom.json()["msgtype"]),
        (&json!("markdown"), &json!("markdown"))
    );
    assert!(world.notices.test(&"nobody".parse().unwrap(), "ann").await.is_none());
}

#[tokio::test]
async fn addresses_within_need_leave_and_redirects_are_not_followed() {
    let service = Service::start(vec![(302, "")]).await;
    let options = NoticeOptions { allow_private_addresses: Vec::new(), ..here() };
    let world = World::new(webhook(&service), options).await;
    let fault = world.notices.test(&"ops".parse().unwrap(), "ann").await.unwrap().unwrap_err();
    assert_eq!(fault.code, "address_refused");
    assert!(fault.hint.is_some_and(|hint| hint.contains("notices.allow_private_networks")));
    assert!(service.asked().is_empty());
    let world = World::new(webhook(&service), here()).await;
    let fault = world.notices.test(&"ops".parse().unwrap(), "ann").await.unwrap().unwrap_err();
    assert!(fault.hint.is_some_and(|hint| hint.contains("redirects")), "{}", fault.message);
}

#[tokio::test]
async fn what_was_given_up_is_sent_again_when_a_person_wants_it() {
    let service = Service::start(vec![(403, "who are you"), (503, "later"), (200, "")]).await;
    let world = World::new(webhook(&service), here()).await;
    world.moves(&mut world.deployment(7), failed()).await;
    work_off(&world).await.unwrap();
    assert_eq!(states(&world).await, [(NoticeState::Failed, 1)]);
    let told = world.told().await.remove(0);
    assert!(told.answer.as_deref().is_some_and(|why| why.contains("who are you")), "{told:?}");

    let mut tx = world.notices.records.begin().await.unwrap();
    assert_eq!(tx.notices_again(&told.channel, Some(told.id)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(states(&world).await, [(NoticeState::Pending, 0)]);
    // It is tried as long as a new one.
    assert!(matches!(work_off(&world).await, Err(JobError::Wait { .. })));
    work_off(&world).await.unwrap();
    assert_eq!(states(&world).await, [(NoticeState::Sent, 2)]);
    let asked = service.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].json()["id"], asked[2].json()["id"]);
    for (outcome, count) in [("failed", 1), ("again", 1), ("sent", 1)] {
        assert_eq!(world.counts.of("webhook", outcome), count, "{outcome}");
    }
}
