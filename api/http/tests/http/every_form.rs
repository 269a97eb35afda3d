//! Every form that the server takes, by its routes: what no page of this server sent is refused, and so is what a
//! reader sends.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use slipway_types::Role;
use uuid::Uuid;

use crate::pages::{Browser, is_page};
use crate::server::Server;

/// The sources of routes.
const ROUTERS: [&str; 4] = ["pages.rs", "pages/deploy.rs", "pages/deployment.rs", "pages/infrastructure.rs"];
/// What everybody has who is signed in.
const OWN: [&str; 3] = ["/sign-in", "/sign-out", "/preferences"];

/// What stands in the parentheses that are open at the beginning of a text.
fn arguments(text: &str) -> &str {
    let mut open = 1;
    let end = text.find(|c: char| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    });
    &text[..end.unwrap()]
}

/// The addresses that take forms.
fn routes() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |name: &str| fs::read_to_string(sources.join(name)).unwrap();
    let steps = read("pages/deploy/wanted.rs");
    let literal = |text: &str| text.split('"').nth(1).unwrap().to_owned();
    let address = |said: &str| match said.split_once("wanted::") {
        Some((_, name)) => {
            let name = name.split(',').next().unwrap();
            literal(steps.split_once(&format!("const {name}: &str = ")).unwrap().1)
        }
        None => literal(said),
    };
    let mut found = BTreeSet::new();
    for router in ROUTERS {
        let text = read(router);
        let routes = text.split(".route(").skip(1).map(arguments);
        found.extend(routes.filter(|said| said.contains("post(")).map(address));
    }
    assert!(found.len() > 40, "the routes were not found: {found:?}");
    found
}

/// An address with something that can be read in the place of each name in braces.
fn filled(route: &str) -> String {
    let id = Uuid::now_v7().to_string();
    let mut path = route.to_owned();
    while let Some((before, rest)) = path.split_once('{') {
        let (name, after) = rest.split_once('}').unwrap();
        let value = match name {
            "number" => "1",
            "version" => "1.0.0",
            "deployment" | "delivery" => id.as_str(),
            "kind" => "component",
            "action" => "approve",
            _ => "shop",
        };
        path = format!("{before}{value}{after}");
    }
    path
}

#[tokio::test]
async fn what_no_page_sent_is_refused_wherever_it_is_sent() {
    let server = Server::start().await;
    server.application("shop").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for route in routes() {
        let path = filled(&route);
        for answer in [
            browser.post_as(&path, "confirmed=yes&reason=x".to_owned(), "same-origin").await,
            browser.post_from("cross-site", &path, "confirmed=yes&reason=x").await,
        ] {
            assert_eq!(answer.status, 403, "{route}: {}", answer.text());
            assert!(is_page(&answer).contains("open the page again"), "{route}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_a_reader_sends_changes_nothing() {
    let server = Server::start().await;
    server.application("shop").await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let browser = Browser::of(&server, &reader).await;
    for route in routes() {
        // The steps of deploying lead from one to another; each page of them asks for the role.
        if OWN.contains(&route.as_str()) || route == "/deploy" || route.starts_with("/deploy/") {
            continue;
        }
        // One of them holds nothing that the form does not have.
        for fields in ["", "confirmed=yes", "reason=x"] {
            let answer = browser.post(&filled(&route), fields).await;
            assert!(answer.status.is_client_error(), "{route} {fields}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_misspelt_field_is_refused_wherever_it_is_sent() {
    let server = Server::start().await;
    server.application("shop").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for route in routes() {
        // Its fields are named by what is filled in.
        if route == "/deploy/part" {
            continue;
        }
        let text = is_page(&browser.post(&filled(&route), "cofnirmed=yes").await.is(400));
        assert!(text.contains("unknown field `cofnirmed`"), "{route}: {text}");
        assert!(text.contains("<a href=\"/new-application\">Back to the page</a>"), "{route}: {text}");
    }
    // What stands in the page is sent as it stands.
    let page = is_page(&browser.get("/new-application").await.is(200));
    assert!(page.contains("name=\"source_url\""), "{page}");
    is_page(&browser.post("/applications", "name=till&source_url=&path=").await.is(200));
}
