//! What runs where: what a cell says, and where it leads.

use chrono::Utc;
use serde_json::json;
use slipway_records::{Deployment, DeploymentCause, Hold, NewDeployment, PackageVersion};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::name::EnvironmentName;
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Role};

use crate::pages::{Browser, between, is_page};
use crate::rest::{bundle, run};
use crate::server::Server;

/// Environments, each with the one before as its upstream.
async fn way(server: &Server) {
    let mut tx = server.records.begin().await.unwrap();
    let mut upstream: Option<EnvironmentName> = None;
    for name in ["test", "prod", "abroad", "moon"] {
        let settings = EnvironmentSettings { upstream, ..EnvironmentSettings::default() };
        let address = format!("eu/kind/{name}").parse().unwrap();
        let name = name.parse().unwrap();
        tx.environment_insert(&name, &address, &settings, "root").await.unwrap();
        upstream = Some(name);
    }
    tx.commit().await.unwrap();
}

/// A bundle, whose lock no other has, in an environment of that name.
async fn deployed(
    server: &Server,
    place: &str,
    bundle: &PackageVersion,
    state: DeploymentState,
) -> Deployment {
    let mut tx = server.records.begin().await.unwrap();
    let place = tx.environment_by_name(&place.parse().unwrap()).await.unwrap().unwrap();
    let new = NewDeployment {
        application_id: bundle.application_id,
        environment_id: place.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: Digest::of(bundle.version.to_string()),
        choice: json!({}),
        cause: DeploymentCause::Deploy,
        created_by: "ann".to_owned(),
        document: None,
    };
    let mut made = tx.deployment_insert(new).await.unwrap();
    made.handed_off_at = state.is_out().then_some(made.created_at);
    made.state = state;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
    made
}

async fn pinned(server: &Server, deployment: &Deployment) {
    let hold = Hold {
        environment_id: deployment.environment_id,
        application_id: deployment.application_id,
        version_id: Some(deployment.bundle_id),
        reason: "the fair".to_owned(),
        by: "ann".to_owned(),
        at: Utc::now(),
        rollback_to: None,
    };
    let mut tx = server.records.begin().await.unwrap();
    tx.hold_put(&hold).await.unwrap();
    tx.commit().await.unwrap();
}

/// What the page says of the one application there is, in an environment.
async fn cell(browser: &Browser<'_>, environment: &str) -> String {
    let page = is_page(&browser.get("/where").await.is(200)).replace("&#38;", "&");
    between(&page, &format!("<td data-label=\"{environment}\">"), "</td>").to_owned()
}

#[tokio::test]
async fn a_cell_says_what_runs_what_keeps_it_and_what_comes_next() {
    let server = Server::start().await;
    server.application("shop").await;
    way(&server).await;
    let run = run(&server, "shop").await;
    let (one, two) = (bundle(&server, &run, "1.0.0").await, bundle(&server, &run, "1.1.0").await);
    let newest = deployed(&server, "test", &two, DeploymentState::Live).await;
    pinned(&server, &deployed(&server, "prod", &one, DeploymentState::Live).await).await;
    let to = |environment: &str, version: &str| {
        format!("/deploy/configuration?application=shop&environment={environment}&bundle={version}\"")
    };
    let browser = Browser::of(&server, &server.admin.clone()).await;

    let test = cell(&browser, "test").await;
    let page = format!("href=\"/deployments/{}\"", newest.id);
    for said in ["1.1.0", "main@11111111", "live", "<time ", page.as_str()] {
        assert!(test.contains(said), "{said}: {test}");
    }
    assert!(!test.contains("behind") && !test.contains("pinned"), "{test}");
    let prod = cell(&browser, "prod").await;
    let promote = to("prod", "1.1.0");
    let behind = "behind: upstream runs <bdi>1.1.0</bdi>";
    for said in [behind, "pinned <bdi>1.0.0</bdi>", "ann: the fair", promote.as_str()] {
        assert!(prod.contains(said), "{said}: {prod}");
    }
    let next = cell(&browser, "abroad").await;
    assert!(next.contains(&to("abroad", "1.0.0")) && !next.contains("behind"), "{next}");
    let later = cell(&browser, "moon").await;
    assert!(later.contains("nothing") && !later.contains("/deploy/"), "{later}");

    let missing = vec!["0 of 1 approvals".to_owned()];
    let waits = DeploymentState::Awaiting { revision: Digest::of("x"), missing };
    let waiting = deployed(&server, "abroad", &one, waits).await;
    let next = cell(&browser, "abroad").await;
    assert!(next.contains("On its way") && next.contains("0 of 1 approvals"), "{next}");
    assert!(next.contains(&format!("/deployments/{}", waiting.id)), "{next}");

    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let reader = Browser::of(&server, &reader).await;
    for environment in ["test", "prod", "abroad", "moon"] {
        assert!(!cell(&reader, environment).await.contains("/deploy/"), "{environment}");
    }
}
