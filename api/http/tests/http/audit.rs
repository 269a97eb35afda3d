//! A long audit record is looked through in pieces.

use serde_json::{Value, json};
use slipway_records::NewAuditEntry;
use slipway_types::Digest;

use crate::pages::{Browser, between, is_page};
use crate::server::Server;

const VERIFY: &str = "/api/v1/audit/verify";

/// A server that looks through five entries at once, and has twelve.
async fn prepared() -> Server {
    let server = Server::with(|options| options.max_audit_entries = 5).await;
    let mut tx = server.records.begin().await.unwrap();
    for number in 0..12 {
        let entry = NewAuditEntry {
            actor: "ann".to_owned(),
            action: "test",
            subject: "thing/1".to_owned(),
            detail: json!({"number": number}),
        };
        tx.audit(entry).await.unwrap();
    }
    tx.commit().await.unwrap();
    server
}

#[tokio::test]
async fn each_answer_says_where_to_go_on_and_the_last_that_all_is_whole() {
    let server = prepared().await;
    let (mut path, mut told) = (VERIFY.to_owned(), Vec::new());
    loop {
        let answer = server.get(&path).await.is(200).json();
        assert_eq!(answer["broken_at"], Value::Null, "{answer}");
        told.push((answer["entries"].as_u64().unwrap(), answer["ok"] == true));
        let Some(next) = answer["next"].as_i64() else { break };
        path = format!("{VERIFY}?from={next}&digest={}", answer["next_digest"].as_str().unwrap());
    }
    assert_eq!(told, [(5, false), (5, false), (2, true)]);
    let newest = server.get(&format!("{VERIFY}?max=1")).await.is(200).json();
    assert_eq!((&newest["entries"], &newest["has_expected"]), (&json!(1), &Value::Null), "{newest}");
    let expected = format!("{VERIFY}?expect={}", newest["newest"].as_str().unwrap());
    assert_eq!(server.get(&expected).await.is(200).json()["has_expected"], true);
    let other = server.get(&format!("{VERIFY}?from=9&digest={}", Digest::of("other"))).await.is(200).json();
    assert_eq!((&other["ok"], &other["broken_at"]), (&json!(false), &json!(9)), "{other}");
    for wrong in ["max=0", "max=6", "from=3", "digest=sha256:0"] {
        server.get(&format!("{VERIFY}?{wrong}")).await.problem(400, "bad_query");
    }
}

#[tokio::test]
async fn the_page_goes_on_by_a_button_until_all_is_looked_through() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let verify = "/infrastructure/audit/verify";
    let mut page = is_page(&browser.post(verify, "").await.is(200));
    let newest = between(&page, "name=\"newest\" value=\"", "\"").to_owned();
    for _ in 0..2 {
        assert!(page.contains("status busy") && page.contains(" data-goes-on>"), "{page}");
        let from = between(&page, "name=\"from\" value=\"", "\"");
        assert!(page.contains(&format!("back to entry {from}<")), "{page}");
        let carried = ["from", "digest", "entries", "newest"].map(|name| {
            let value = between(&page, &format!("name=\"{name}\" value=\""), "\"");
            format!("{name}={value}")
        });
        page = is_page(&browser.post(verify, &carried.join("&")).await.is(200));
    }
    // Signing in is an entry, too.
    assert!(page.contains("status good") && page.contains(" 13</span>"), "{page}");
    assert!(page.contains(&format!("<code>{newest}</code>")) && !page.contains("data-goes-on"), "{page}");
    let broken = format!("from=9&digest={}&entries=4", Digest::of("other"));
    let broken = is_page(&browser.post(verify, &broken).await.is(200));
    assert!(broken.contains("status bad"), "{broken}");
    is_page(&browser.post(verify, "from=x").await.is(400));
}
