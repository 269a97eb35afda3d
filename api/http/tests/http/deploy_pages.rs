//! The pages by which people deploy: who gets there, what the steps carry, and what comes of the last one.

use serde_json::Value;
use slipway_types::Role;
use slipway_types::environment::EnvironmentSettings;

use crate::pages::{Browser, between, is_page};
use crate::rest::{bundle, run};
use crate::server::Server;

const SHOP_IN_PROD: &str = "application=shop&environment=prod";

/// `test` and after it `prod`, and two bundles of `shop`.
async fn world(server: &Server) {
    server.application("shop").await;
    let mut tx = server.records.begin().await.unwrap();
    let (test, prod) = ("test".parse().unwrap(), "prod".parse().unwrap());
    let settings = EnvironmentSettings::default();
    tx.environment_insert(&test, &"eu/kind/test".parse().unwrap(), &settings, "root").await.unwrap();
    let settings = EnvironmentSettings { upstream: Some(test), ..settings };
    tx.environment_insert(&prod, &"eu/kind/shop".parse().unwrap(), &settings, "root").await.unwrap();
    tx.commit().await.unwrap();
    let run = run(server, "shop").await;
    for version in ["1.0.0", "1.1.0"] {
        bundle(server, &run, version).await;
    }
}

/// A value as a query carries it.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What a page says, entities resolved as far as these tests need it.
fn text(html: &str) -> String {
    html.replace("&#38;", "&").replace("&#34;", "\"").replace("&#39;", "'").replace("&#60;", "<")
}

async fn deployments(server: &Server) -> Vec<Value> {
    let listed = server.get("/api/v1/deployments?application=shop").await.is(200).json();
    listed["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_bundle_is_chosen_configured_looked_at_and_deployed() {
    let server = Server::start().await;
    world(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for path in ["/where", "/deploy"] {
        for language in ["en", "zh"] {
            is_page(&browser.get_in(path, language).await.is(200));
        }
    }
    let bundles = is_page(&browser.get(&format!("/deploy/bundles?{SHOP_IN_PROD}")).await.is(200));
    assert!(bundles.contains("1.1.0") && bundles.contains("may go at once"), "{bundles}");
    assert!(
        text(&bundles).contains(&format!("/deploy/configuration?{SHOP_IN_PROD}&bundle=1.1.0")),
        "{bundles}"
    );
    let bundle = is_page(&browser.get("/applications/shop/bundles/1.1.0").await.is(200));
    assert!(text(&bundle).contains("href=\"/deploy?application=shop&bundle=1.1.0\""), "{bundle}");
    let place = is_page(&browser.get("/deploy?application=shop&bundle=1.1.0").await.is(200));
    assert!(
        place.contains("name=\"bundle\" value=\"1.1.0\"")
            && place.contains("action=\"/deploy/configuration\"")
    );
    let unknown = is_page(&browser.get("/deploy?application=none&bundle=1.1.0").await.is(200));
    assert!(
        !unknown.contains("name=\"bundle\"") && unknown.contains("action=\"/deploy/bundles\""),
        "{unknown}"
    );
    let chosen = format!("{SHOP_IN_PROD}&bundle=1.1.0");
    let page = is_page(&browser.get(&format!("/deploy/configuration?{chosen}")).await.is(200));
    assert!(page.contains("value=\"component/api\"") && page.contains("webservice"), "{page}");
    let new = format!("/deploy/part?{chosen}&add=trait/api/new&kind%3Atrait%2Fapi%2Fnew=scaler");
    let form = is_page(&browser.get(&new).await.is(200));
    assert!(form.contains("name=\"p/replicas\"") && !form.contains("<b>"), "{form}");
    let wrong = format!("/deploy/part?{chosen}&save=trait/api/new&kind=scaler&p/replicas=-1");
    let wrong = is_page(&browser.get(&wrong).await.is(422));
    assert!(wrong.contains("At least 0.") && wrong.contains("value=\"-1\""), "{wrong}");
    let saved = format!("/deploy/part?{chosen}&save=trait/api/new&kind=scaler&p/replicas=3");
    let configured = browser.get(&saved).await.is(303).header("location").to_owned();
    let page = is_page(&browser.get(&configured).await.is(200));
    assert!(page.contains("type: scaler") && page.contains("value=\"trait/api/0\""), "{page}");
    let review = configured.replace("/deploy/configuration", "/deploy/review");
    let page = is_page(&browser.get(&review).await.is(200));
    let revision = between(&page, "name=\"revision\" value=\"", "\"");
    let query = configured.split_once('?').unwrap().1;
    let fields = format!("{query}&revision={}&reason=the+fair", encoded(revision));
    let made = browser.post("/deploy", &fields).await.is(303);
    let made = made.header("location").strip_prefix("/deployments/").unwrap().to_owned();
    let shown = server.get(&format!("/api/v1/deployments/{made}")).await.is(200).json();
    assert_eq!(shown["bundle"], "1.1.0");
    assert_eq!(shown["environment"], "prod");
    let twice = is_page(&browser.post("/deploy", &fields).await.is(409));
    assert!(twice.contains("since this page was shown") && twice.contains("value=\"the fair\""), "{twice}");
    assert!(twice.contains(&format!("name=\"newest\" value=\"{made}\"")), "{twice}");
    assert_eq!(deployments(&server).await.len(), 1);
    let audited = server.get("/api/v1/audit").await.is(200).text();
    assert!(audited.contains("the fair"), "{audited}");
    let board = is_page(&browser.get("/where").await.is(200));
    assert!(board.contains(&format!("/deployments/{made}")), "{board}");
}

#[tokio::test]
async fn what_is_deployed_is_what_was_looked_at() {
    let server = Server::start().await;
    world(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let chosen = format!("{SHOP_IN_PROD}&bundle=1.0.0");
    let page =
        is_page(&browser.post("/deploy", &format!("{chosen}&revision=other&reason=why")).await.is(409));
    assert!(page.contains("something else by now") && page.contains("value=\"why\""), "{page}");
    assert!(deployments(&server).await.is_empty());
    is_page(&browser.post("/deploy", &format!("{SHOP_IN_PROD}&bundle=9.9.9&revision=x")).await.is(404));
}

#[tokio::test]
async fn violations_stand_where_they_are_mended() {
    let server = Server::start().await;
    world(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let document = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n  \
                    - {name: api, traits: [{type: scaler, properties: {replicas: 99}}]}\n";
    let chosen = format!("{SHOP_IN_PROD}&bundle=1.1.0&document={}", encoded(document));
    let page = is_page(&browser.get(&format!("/deploy/review?{chosen}")).await.is(200));
    assert!(page.contains("name=\"check\" value=\"trait/api/0\"") && !page.contains("<b>99"), "{page}");
    assert!(!page.contains("name=\"revision\""), "what cannot be deployed has no button: {page}");
    let form = is_page(&browser.get(&format!("/deploy/part?{chosen}&check=trait/api/0")).await.is(200));
    assert!(form.contains("id=\"p/replicas-wrong\"") && form.contains("aria-invalid=\"true\""), "{form}");
    let gone = browser.get(&format!("/deploy/part?{chosen}&remove=trait/api/0")).await.is(303);
    assert!(!gone.header("location").contains("document="), "{}", gone.header("location"));
}

#[tokio::test]
async fn long_documents_and_other_formats_travel_as_text() {
    let server = Server::start().await;
    world(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let chosen = format!("{SHOP_IN_PROD}&bundle=1.1.0");
    let short = browser.post("/deploy/configuration", &format!("{chosen}&document=a%3A+1")).await.is(303);
    assert!(short.header("location").ends_with("&document=a%3A+1"));
    let page = is_page(&browser.get(short.header("location")).await.is(200));
    assert!(page.contains("changed as text alone") && !page.contains("name=\"add\""), "{page}");
    let long = format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop, annotations: {{a: {}}}}}\nspec: {{}}\n",
        "x".repeat(5000)
    );
    let fields = format!("{chosen}&document={}", encoded(&long));
    let page = is_page(&browser.post("/deploy/configuration", &fields).await.is(200));
    assert!(page.contains("method=\"post\" action=\"/deploy/part\""), "{page}");
    let edited = format!("{fields}&save=trait/api/new&kind=scaler&p%2Freplicas=3");
    let page = is_page(&browser.post("/deploy/part", &edited).await.is(200));
    assert!(page.contains("type: scaler") && page.contains("xxxx"), "{page}");
    is_page(&browser.post("/deploy/review", &fields).await.is(200));
    let long = format!("{chosen}&document={}", "x".repeat(70_000));
    let broken = browser.post("/deploy/configuration", &long).await;
    assert!(is_page(&broken.is(422)).contains("slipway deploy create -f"));
}

#[tokio::test]
async fn steps_come_in_their_order_and_only_for_those_who_deploy() {
    let server = Server::start().await;
    world(&server).await;
    let operator = server.token_for("shop", Role::Operator).await;
    let operator = Browser::of(&server, &operator).await;
    for (path, first) in [
        ("/deploy/review", "/deploy"),
        ("/deploy/bundles?application=shop", "/deploy?application=shop"),
        (
            "/deploy/part?application=shop&environment=prod&edit=policy/new",
            "/deploy/bundles?application=shop&environment=prod",
        ),
    ] {
        assert_eq!(operator.get(path).await.is(303).header("location"), first);
    }
    is_page(&operator.get(&format!("/deploy/bundles?{SHOP_IN_PROD}")).await.is(200));
    for (role, status) in [(Role::Developer, 403), (Role::Reader, 403)] {
        let token = server.token(&role.to_string(), Some(role), None, vec![]).await;
        let browser = Browser::of(&server, &token).await;
        let board = is_page(&browser.get("/where").await.is(200));
        assert!(!board.contains("\"/deploy\"") && !board.contains("/deploy/"), "{role}: {board}");
        is_page(&browser.get("/deploy").await.is(status));
        for step in ["bundles", "configuration", "review"] {
            let path = format!("/deploy/{step}?{SHOP_IN_PROD}&bundle=1.0.0");
            is_page(&browser.get(&path).await.is(status));
        }
        is_page(&browser.post("/deploy", &format!("{SHOP_IN_PROD}&bundle=1.0.0")).await.is(status));
    }
    server.application("commerce/till").await;
    let hidden = "/deploy/bundles?application=commerce%2Ftill&environment=prod";
    is_page(&operator.get(hidden).await.is(404));
    assert!(!is_page(&operator.get("/deploy").await.is(200)).contains("till"));
}
