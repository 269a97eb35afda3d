//! Deployments that are past: what came of them stays to be read, whatever took their place.

use serde_json::{Value, json};
use slipway_records::Deployment;
use slipway_types::Fault;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use crate::deployment_pages::{bundles, deployed, observed, page_of};
use crate::pages::{Browser, is_page};
use crate::server::Server;

/// Has a deployment give way to a newer one.
async fn supersede(server: &Server, past: &mut Deployment, newer: &Deployment) {
    past.state = past.state.clone().apply(DeploymentEvent::Supersede(newer.id)).unwrap();
    let mut tx = server.records.begin().await.unwrap();
    assert!(tx.deployment_save(past).await.unwrap());
    tx.commit().await.unwrap();
}

async fn listed(server: &Server, query: &str) -> Value {
    server.get(&format!("/api/v1/deployments?{query}")).await.is(200).json()
}

#[tokio::test]
async fn what_failed_before_it_was_superseded_says_why() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let fault = Fault::permanent("refused", "web: no such kind");
    let failed = DeploymentState::Failed { node: Some("web".to_owned()), fault };
    let mut failed = deployed(&server, &one, failed).await;
    observed(&server, &failed, "failed").await;
    let newer = deployed(&server, &two, DeploymentState::Live).await;
    supersede(&server, &mut failed, &newer).await;

    let path = format!("/api/v1/deployments/{}", failed.id);
    let shown = server.get(&path).await.is(200).json();
    assert_eq!(shown["state"], "superseded", "{shown:#}");
    assert_eq!(shown["reason"], "failed before that: web: no such kind");
    assert_eq!(shown["superseded_by"], json!({"id": newer.id.to_string(), "generation": 2}));
    assert_eq!(shown["receiver"]["nodes"][0]["state"], "failed", "{shown:#}");
    let found = server.get(&format!("{path}/failures")).await.is(200).json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found:#}");
    let list = listed(&server, "application=shop&state=superseded").await;
    assert_eq!(list["items"][0]["reason"], shown["reason"], "{list:#}");

    let browser = Browser::of(&server, &server.admin.clone()).await;
    let link = format!("<a href=\"{}\"><bdi>shop@prod#2</bdi></a>", page_of(&newer));
    for (language, said) in [("en", "failed before it was superseded by"), ("zh", "先失败，后被取代")]
    {
        let text = is_page(&browser.get_in(&page_of(&failed), language).await.is(200));
        for seen in [said, &link, "web: no such kind", "web-1"] {
            assert!(text.contains(seen), "{seen}: {text}");
        }
    }
    // One that did not fail says so too.
    let mut live = newer;
    let newest = deployed(&server, &one, DeploymentState::Live).await;
    supersede(&server, &mut live, &newest).await;
    let text = is_page(&browser.get(&page_of(&live)).await.is(200));
    assert!(text.contains("<p>superseded by <a") && text.contains("shop@prod#3"), "{text}");
}
