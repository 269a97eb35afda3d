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

async fn remove_environment(server: &Server, of: &Deployment) {
    let mut tx = server.records.begin().await.unwrap();
    assert!(tx.environment_remove(of.environment_id).await.unwrap());
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

#[tokio::test]
async fn deployments_of_an_environment_that_was_removed_stay_readable() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let mut past = deployed(&server, &one, DeploymentState::Live).await;
    let removal = deployed(&server, &two, DeploymentState::Deleted).await;
    supersede(&server, &mut past, &removal).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let back = format!("{}/return", page_of(&past));
    assert!(is_page(&browser.get(&page_of(&past)).await.is(200)).contains(&back));
    remove_environment(&server, &past).await;

    let shown = server.get(&format!("/api/v1/deployments/{}", past.id)).await.is(200).json();
    assert_eq!(shown["environment"], "prod", "{shown:#}");
    assert!(shown["environment_removed_at"].is_string(), "{shown:#}");
    for query in ["application=shop", "application=shop&environment=prod", "environment=prod"] {
        let list = listed(&server, query).await;
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{query}: {list:#}");
        assert!(items.iter().all(|item| item["environment_removed_at"].is_string()), "{query}: {list:#}");
    }
    server.get("/api/v1/deployments?environment=test").await.problem(404, "not_found");

    for (language, said) in [("en", "environment removed"), ("zh", "环境已移除")] {
        for path in [page_of(&past), "/deployments/history?environment=prod".to_owned()] {
            let text = is_page(&browser.get_in(&path, language).await.is(200));
            assert!(text.contains(said) && text.contains("<bdi>prod</bdi>"), "{path}: {text}");
            assert!(!text.contains(&back), "nothing goes there any more: {text}");
        }
    }
    let bundle = is_page(&browser.get("/applications/shop/bundles/1.0.0").await.is(200));
    let place = format!("<a href=\"{}\">prod</a> <span class=\"chip\">removed</span>", page_of(&past));
    assert!(bundle.contains(&place), "{bundle}");
}

#[tokio::test]
async fn an_environment_made_anew_lists_what_was_deployed_in_those_before_it() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let past = deployed(&server, &one, DeploymentState::Deleted).await;
    remove_environment(&server, &past).await;
    deployed(&server, &two, DeploymentState::Live).await;
    let query = "application=shop&environment=prod";
    let whole = listed(&server, query).await;
    let told: Vec<(&Value, bool)> = whole["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["generation"], item["environment_removed_at"].is_string()))
        .collect();
    assert_eq!(told, [(&json!(2), false), (&json!(1), true)], "{whole:#}");

    let first = listed(&server, &format!("{query}&limit=1")).await;
    assert_eq!(first["items"], json!([whole["items"][0]]));
    let after = first["next"].as_str().unwrap();
    let second = listed(&server, &format!("{query}&limit=1&after={after}")).await;
    assert_eq!(second["items"], json!([whole["items"][1]]));
}
