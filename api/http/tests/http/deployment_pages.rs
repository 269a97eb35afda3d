//! The pages of deployments: what they show, to whom they offer what, and what comes of it.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use slipway_records::deploying::{DeploymentOrder, DeploymentWord};
use slipway_records::failure::{Found, FoundContainer, FoundLog, FoundObject};
use slipway_records::{
    Deployment, DeploymentCause, Failure, NewDeployment, Observation, OrderRow, OrderState, PackageVersion,
    Seen,
};
use slipway_types::environment::{Approvals, EnvironmentSettings, Gates};
use slipway_types::id::OrderId;
use slipway_types::state::{DeploymentState, NOT_AS_APPLIED};
use slipway_types::{Digest, Fault, Role};
use uuid::Uuid;

use crate::pages::{Browser, between, hostile, is_page};
use crate::rest::{bundle, run};
use crate::server::Server;

/// Two bundles of `shop`.
pub(crate) async fn bundles(server: &Server) -> (PackageVersion, PackageVersion) {
    server.application("shop").await;
    let run = run(server, "shop").await;
    (bundle(server, &run, "1.0.0").await, bundle(server, &run, "1.1.0").await)
}

/// Lets a bundle into `prod`, where two people must approve, in a state.
pub(crate) async fn deployed(server: &Server, bundle: &PackageVersion, state: DeploymentState) -> Deployment {
    let mut tx = server.records.begin().await.unwrap();
    let (name, address) = ("prod".parse().unwrap(), "eu/kind/shop".parse().unwrap());
    let prod = match tx.environment_by_name(&name).await.unwrap() {
        Some(prod) => prod,
        None => {
            let approvals = Approvals { count: 2, of: ["ann".to_owned()].into(), author_may: false };
            let gates = Gates { approvals: Some(approvals), ..Gates::default() };
            let settings = EnvironmentSettings { gates, ..EnvironmentSettings::default() };
            tx.environment_insert(&name, &address, &settings, "root").await.unwrap()
        }
    };
    let new = NewDeployment {
        application_id: bundle.application_id,
        environment_id: prod.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: json!({"asked": hostile()}),
        cause: DeploymentCause::Deploy,
        created_by: hostile(),
        document: None,
    };
    let mut made = tx.deployment_insert(new).await.unwrap();
    made.revision = Some(Digest::of(bundle.version.to_string()));
    made.notes = vec![hostile()];
    if state.is_out() {
        made.handed_off_at = Some(made.created_at);
    }
    if state.has_arrived() {
        made.live_at = Some(made.created_at);
    }
    made.state = state;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
    made
}

/// What the receiver says of the node `web`, and what was found of it.
pub(crate) async fn observed(server: &Server, deployment: &Deployment, state: &str) {
    let mut tx = server.records.begin().await.unwrap();
    let seen = Seen { state: state.to_owned(), reason: hostile(), sequence: 1, at: deployment.created_at };
    let nodes = [("web".to_owned(), seen)].into();
    let mut observation = Observation { run: hostile(), nodes, ..Observation::default() };
    assert!(tx.observation_save(deployment.id, &mut observation).await.unwrap());
    let log = FoundLog { bytes: 5, tail: vec![hostile()], ..FoundLog::default() };
    let container =
        FoundContainer { pod: "web-1".into(), container: "main".into(), log, ..Default::default() };
    let object = FoundObject {
        object: "apps/v1/Deployment shop/web".to_owned(),
        reason: hostile(),
        ..FoundObject::default()
    };
    let found = Found {
        state: state.to_owned(),
        blocker: hostile(),
        objects: vec![object],
        containers: vec![container],
        ..Found::default()
    };
    let failure = Failure {
        id: Uuid::now_v7(),
        deployment_id: deployment.id,
        node: "web".to_owned(),
        attempt: 1,
        at: deployment.created_at,
        found,
    };
    assert!(tx.failure_insert(&failure).await.unwrap());
    tx.commit().await.unwrap();
}

fn awaiting(bundle: &PackageVersion) -> DeploymentState {
    let revision = Digest::of(bundle.version.to_string());
    DeploymentState::Awaiting { revision, missing: vec![hostile()] }
}

/// What an action's page sends along unseen.
fn unseen(page: &str) -> String {
    let value = |name: &str| between(page, &format!("name=\"{name}\" value=\""), "\"").to_owned();
    format!("newest={}&target={}", value("newest"), value("target"))
}

pub(crate) fn page_of(deployment: &Deployment) -> String {
    format!("/deployments/{}", deployment.id)
}

async fn state_of(server: &Server, deployment: &Deployment) -> Value {
    server.get(&format!("/api/v1/deployments/{}", deployment.id)).await.is(200).json()
}

#[tokio::test]
async fn a_deployment_is_shown_with_its_graph_and_what_was_found() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let live = deployed(&server, &one, DeploymentState::Live).await;
    let fault = Fault::permanent("x", hostile());
    let failed = deployed(&server, &two, DeploymentState::Failed { node: None, fault }).await;
    observed(&server, &failed, "failed").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for deployment in [&live, &failed] {
        for language in ["en", "zh"] {
            let text = is_page(&browser.get_in(&page_of(deployment), language).await.is(200));
            assert!(!text.contains("<script>alert") && !text.contains("<b>look"), "{text}");
            assert!(text.contains("<svg class=\"graph\"") && text.contains("step.look"), "{text}");
            assert!(text.contains("&#60;b&#62;look"), "{text}");
        }
    }
    let text = browser.get(&page_of(&failed)).await.text();
    for seen in ["class=\"node bad\"", "/retry?node=web", "not ready", "web-1", "data-events", "aria-current"]
    {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    let graph = server.get(&format!("/api/v1/deployments/{}/graph", live.id)).await.is(200).json();
    assert_eq!(graph["nodes"][1]["needs"], json!(["web"]), "{graph:#}");
}

#[tokio::test]
async fn objects_are_shown_as_they_are_now_to_those_who_ask() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let live = deployed(&server, &one, DeploymentState::Live).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = page_of(&live);
    let plain = is_page(&browser.get(&page).await.is(200));
    let asked = format!("{page}?objects=web");
    assert!(plain.contains(&format!("href=\"{asked}#objects-1\"")), "{plain}");
    assert!(!plain.contains("data-asked") && !plain.contains("BackOff"), "{plain}");
    for language in ["en", "zh"] {
        let text = is_page(&browser.get_in(&asked, language).await.is(200));
        assert!(text.contains("data-asked") && text.contains("BackOff"), "{text}");
        assert!(text.contains("&#60;b&#62;1") && !text.contains("<b>"), "{text}");
        assert!(text.contains("?objects=web&#38;from=1"), "{text}");
    }
    is_page(&browser.get(&format!("{page}?objects=unheard-of")).await.is(200));
    let path = format!("/api/v1/deployments/{}/objects", live.id);
    let found = server.get(&format!("{path}?node=web")).await.is(200).json();
    let object = &found["objects"][0];
    assert_eq!((&object["state"], &found["next"]), (&json!("progressing"), &json!(1)), "{found:#}");
    assert_eq!((&object["generation"], &object["events"][0]["count"]), (&json!(1), &json!(3)), "{found:#}");
    assert!(server.get(&format!("{path}?from=1")).await.is(200).json().get("next").is_none());
    server.get(&format!("{path}?node=away")).await.problem(503, "fault");
    server.get(&format!("{path}?name=web")).await.is(400);
    server.application("other").await;
    let stranger = server.token_for("other", Role::Operator).await;
    server.call(&stranger, Method::GET, &path, None).await.problem(404, "not_found");
    // What is not frozen has no objects.
    let draft = deployed(&server, &two, awaiting(&two)).await;
    let mut tx = server.records.begin().await.unwrap();
    let mut draft = tx.deployment_get(draft.id).await.unwrap().unwrap();
    draft.revision = None;
    assert!(tx.deployment_save(&mut draft).await.unwrap());
    tx.commit().await.unwrap();
    server.get(&format!("/api/v1/deployments/{}/objects", draft.id)).await.problem(404, "no_graph");
}

#[tokio::test]
async fn the_list_is_filtered_and_says_what_is_wrong_with_a_filter() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let live = deployed(&server, &one, DeploymentState::Live).await;
    let pending = deployed(&server, &two, awaiting(&two)).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let places = is_page(&browser.get("/deployments").await.is(200));
    for deployment in [&live, &pending] {
        assert!(places.contains(&format!("href=\"{}\"", page_of(deployment))), "{places}");
    }
    let all = is_page(&browser.get("/deployments/history").await.is(200));
    assert!(all.contains("1.0.0") && all.contains("1.1.0"), "{all}");
    let path = "/deployments/history?application=shop&environment=prod&state=awaiting";
    let waiting = is_page(&browser.get(path).await.is(200));
    assert!(!waiting.contains("1.0.0") && waiting.contains("1.1.0"), "{waiting}");
    for (query, said) in
        [("application=none", "there is no application"), ("state=%3Cb%3E", "state: expected")]
    {
        let text = is_page(&browser.get(&format!("/deployments/history?{query}")).await.is(200));
        assert!(text.contains(said) && !text.contains("<b>"), "{text}");
    }
}

#[tokio::test]
async fn each_role_is_offered_what_it_may_do() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    deployed(&server, &one, DeploymentState::Live).await;
    let waiting = deployed(&server, &two, awaiting(&two)).await;
    let page = page_of(&waiting);
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let developer = server.token_for("shop", Role::Developer).await;
    for token in [reader, developer] {
        let browser = Browser::of(&server, &token).await;
        let text = is_page(&browser.get(&page).await.is(200));
        assert!(!text.contains("/approve") && !text.contains("/withdraw"), "{text}");
        is_page(&browser.get(&format!("{page}/decline")).await.is(403));
        is_page(&browser.post(&format!("{page}/approve"), "reason=x").await.is(403));
    }
    server.application("other").await;
    let stranger = server.token_for("other", Role::Operator).await;
    is_page(&Browser::of(&server, &stranger).await.get(&page).await.is(404));
    let operator = server.token_for("shop", Role::Operator).await;
    let operator = Browser::of(&server, &operator).await;
    let text = is_page(&operator.get(&page).await.is(200));
    assert!(text.contains("/approve\"") && text.contains("/withdraw\""), "{text}");
    assert!(!text.contains("/break-glass") && !text.contains("/remove"), "{text}");
    is_page(&operator.get(&format!("{page}/unheard-of")).await.is(404));
}

#[tokio::test]
async fn a_word_is_said_on_the_page_and_told_by_the_records() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let (yes, no) =
        (deployed(&server, &one, awaiting(&one)).await, deployed(&server, &one, awaiting(&one)).await);
    let operator = server.token_for("shop", Role::Operator).await;
    let browser = Browser::of(&server, &operator).await;
    let revision = yes.revision.unwrap();
    let approve = format!("{}/approve", page_of(&yes));
    let other = format!("revision={}&reason=fine", Digest::of("other"));
    let refused = is_page(&browser.post(&approve, &other).await.is(409));
    assert!(refused.contains("value=\"fine\"") && refused.contains("aria-invalid"), "{refused}");
    assert_eq!(state_of(&server, &yes).await["approvals"], json!([]));
    let said = browser.post(&approve, &format!("revision={revision}&reason=fine")).await.is(303);
    assert_eq!(said.header("location"), page_of(&yes));
    assert_eq!(state_of(&server, &yes).await["approvals"][0]["reason"], "fine");
    assert!(is_page(&browser.get(&page_of(&yes)).await.is(200)).contains("fine"));
    let silent = deployed(&server, &one, awaiting(&one)).await;
    let revision = format!("revision={}&reason=+", silent.revision.unwrap());
    browser.post(&format!("{}/approve", page_of(&silent)), &revision).await.is(303);
    assert_eq!(state_of(&server, &silent).await["approvals"][0]["reason"], json!(null));
    is_page(&browser.get(&format!("{}/decline", page_of(&no))).await.is(200));
    browser.post(&format!("{}/decline", page_of(&no)), "reason=not+on+Friday").await.is(303);
    let ended = state_of(&server, &no).await;
    assert_eq!(ended["state"], "declined", "{ended:#}");
    assert!(ended["reason"].as_str().unwrap().ends_with("not on Friday"), "{ended:#}");
    is_page(&browser.post(&format!("{}/withdraw", page_of(&no)), "").await.is(409));
}

#[tokio::test]
async fn what_destroys_asks_why_on_a_page_of_its_own() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    let before = deployed(&server, &one, DeploymentState::Delivered { artifact: "a".to_owned() }).await;
    let now = deployed(&server, &two, DeploymentState::Delivered { artifact: "b".to_owned() }).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = is_page(&browser.get(&page_of(&now)).await.is(200));
    for action in ["roll-back", "restart", "remove"] {
        assert!(page.contains(&format!("href=\"{}/{action}\"", page_of(&now))), "{action}: {page}");
    }
    assert!(page.contains("never reports"), "{page}");
    let back = format!("{}/roll-back", page_of(&now));
    let asked = is_page(&browser.get(&back).await.is(200));
    assert!(asked.contains("1.0.0 (#1)") && asked.contains("required"), "{asked}");
    let planned = is_page(&browser.get(&format!("{back}?plan=true")).await.is(200));
    assert!(asked.contains("?plan=true") && planned.contains("Nothing would change"), "{planned}");
    let silent = is_page(&browser.post(&back, "reason=+").await.is(400));
    assert!(silent.contains("reason: say why"), "{silent}");
    let sent = format!("reason=carts+are+empty&{}", unseen(&asked));
    let made = browser.post(&back, &sent).await.is(303);
    let made = server.get(&format!("/api/v1{}", made.header("location"))).await.is(200).json();
    assert_eq!((&made["bundle"], &made["cause"]), (&json!("1.0.0"), &json!("rollback")), "{made:#}");
    assert_eq!(made["why"]["to"], before.generation, "{made:#}");
    let remove = format!("{}/remove", page_of(&now));
    let asked = is_page(&browser.get(&remove).await.is(200));
    let removed = browser.post(&remove, &format!("reason=moved&{}", unseen(&asked))).await.is(303);
    assert!(removed.header("location").starts_with("/deployments/"));
}

#[tokio::test]
async fn what_is_done_to_what_runs_is_done_once_and_to_what_was_seen() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    deployed(&server, &one, DeploymentState::Live).await;
    let seen = deployed(&server, &two, DeploymentState::Live).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let count = async || {
        let listed = server.get("/api/v1/deployments?application=shop").await.is(200).json();
        listed["items"].as_array().unwrap().len()
    };
    let restart = format!("{}/restart", page_of(&seen));
    let first = is_page(&browser.get(&restart).await.is(200));
    let sent = format!("reason=slow&{}", unseen(&first));
    browser.post(&restart, &sent).await.is(303);
    assert_eq!(count().await, 3);
    let twice = is_page(&browser.post(&restart, &sent).await.is(409));
    assert!(twice.contains("since this page was shown") && twice.contains("value=\"slow\""), "{twice}");
    is_page(&browser.post(&restart, "reason=slow").await.is(409));
    assert_eq!(count().await, 3, "nothing is made beside what was refused");
    // Another took its place while somebody looked.
    deployed(&server, &one, DeploymentState::Live).await;
    for action in ["restart", "remove", "roll-back"] {
        let path = format!("{}/{action}", page_of(&seen));
        let asked = is_page(&browser.get(&path).await.is(200));
        let refused = browser.post(&path, &format!("reason=x&{}", unseen(&asked))).await.is(409);
        assert!(is_page(&refused).contains("since this page was shown"), "{action}");
    }
    assert_eq!(count().await, 4);
}

#[tokio::test]
async fn what_is_on_its_way_is_aborted_and_not_rolled_back() {
    let server = Server::start().await;
    let (one, two) = bundles(&server).await;
    deployed(&server, &one, DeploymentState::Live).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    // What was live may be the very same: an abort brings it back, a rollback would change nothing.
    let same = deployed(&server, &one, DeploymentState::Progressing { blocker: None }).await;
    let page = is_page(&browser.get(&page_of(&same)).await.is(200));
    assert!(page.contains("/abort\"") && !page.contains("/roll-back"), "{page}");
    let going = deployed(&server, &two, DeploymentState::Progressing { blocker: None }).await;
    let page = is_page(&browser.get(&page_of(&going)).await.is(200));
    let abort = format!("{}/abort", page_of(&going));
    assert!(page.contains(&format!("href=\"{abort}\"")) && !page.contains("/roll-back"), "{page}");
    let asked = is_page(&browser.get(&abort).await.is(200));
    assert!(asked.contains("1.0.0 (#1)") && asked.contains("required"), "{asked}");
    let silent = is_page(&browser.post(&abort, "reason=+").await.is(400));
    assert!(silent.contains("reason: say why"), "{silent}");
    let made = browser.post(&abort, "reason=carts+are+empty").await.is(303);
    let made = server.get(&format!("/api/v1{}", made.header("location"))).await.is(200).json();
    assert_eq!((&made["bundle"], &made["cause"]), (&json!("1.0.0"), &json!("rollback")), "{made:#}");
}

#[tokio::test]
async fn what_a_receiver_refuses_is_said_beside_the_form() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let going = deployed(&server, &one, DeploymentState::Progressing { blocker: None }).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = is_page(&browser.get(&page_of(&going)).await.is(200));
    assert!(
        page.contains("/suspend\"") && page.contains("/terminate\"") && !page.contains("/retry\""),
        "{page}"
    );
    let refused = browser.post(&format!("{}/suspend", page_of(&going)), "reason=%22%3Cb%3E").await.is(409);
    let refused = is_page(&refused);
    assert!(refused.contains("there is no deployment") && refused.contains("value=\"&#34;&#60;b&#62;\""));
}

#[tokio::test]
async fn an_order_that_its_receiver_has_not_answered_is_kept_and_shown() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let held = deployed(&server, &one, DeploymentState::Suspended { by: "ann".into() }).await;
    let order = |node: &str, state| OrderRow {
        id: OrderId::new(),
        order: DeploymentOrder {
            deployment: held.id,
            word: DeploymentWord::Resume,
            node: Some(node.to_owned()),
            person: hostile(),
            actor: "ann".to_owned(),
            reason: Some(hostile()),
        },
        heard: None,
        state,
        why: Some(hostile()),
        given_at: held.created_at,
        settled_at: None,
    };
    let mut tx = server.records.begin().await.unwrap();
    for (node, state) in
        [("old", OrderState::Refused), ("done", OrderState::Told), ("away", OrderState::Pending)]
    {
        tx.order_insert(&order(node, state)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let path = format!("/api/v1/deployments/{}/resume", held.id);
    let kept = server.post(&path, json!({"node": "away"})).await.is(202).json();
    let states: Vec<_> = kept["orders"].as_array().unwrap().iter().map(|order| &order["state"]).collect();
    assert_eq!(json!(states), json!(["pending", "told", "refused"]), "{kept:#}");
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (language, said) in [("en", "not answered yet"), ("zh", "尚未应答")] {
        let text = is_page(&browser.get_in(&page_of(&held), language).await.is(200));
        assert!(text.contains(said) && text.contains(">away<"), "{text}");
        // What the receiver took since is not told any more, and nothing from before it.
        assert!(!text.contains(">done<") && !text.contains(">old<"), "{text}");
        assert!(!text.contains("<script>alert"), "{text}");
    }
}

#[tokio::test]
async fn news_go_on_where_they_were_cut() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let ended = deployed(&server, &one, DeploymentState::Rejected { violations: 1 }).await;
    let operator = server.token_for("shop", Role::Operator).await;
    let browser = Browser::of(&server, &operator).await;
    let events = format!("{}/events", page_of(&ended));
    let text = browser.get(&events).await.is(200).text().replace(": ", ":");
    assert!(text.contains("event:changed") && text.contains("event:end"), "{text}");
    let id = text.lines().find_map(|line| line.strip_prefix("id:")).unwrap();
    let request = Request::get(&events).header("cookie", browser.cookie()).header("last-event-id", id);
    let again = server.send(request.body(Body::empty()).unwrap()).await.is(200).text().replace(": ", ":");
    assert!(!again.contains("event:changed") && again.contains("event:end"), "{again}");
}

#[tokio::test]
async fn what_others_changed_is_told_at_home_and_on_the_board() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let why = format!("web: Deployment web {NOT_AS_APPLIED}: kubectl-edit changed spec.replicas");
    let drifted = deployed(&server, &one, DeploymentState::Degraded { why }).await;
    // So many that the application is not on the first page.
    for number in 0..40 {
        server.application(&format!("a{number}")).await;
    }
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for path in ["/", "/where?q=shop"] {
        let page = is_page(&browser.get(path).await.is(200));
        assert!(page.contains("drifted") && page.contains("kubectl-edit changed"), "{path}: {page}");
        assert!(page.contains(&format!("href=\"{}\"", page_of(&drifted))), "{path}: {page}");
    }
    assert!(!is_page(&browser.get("/?q=a1").await.is(200)).contains("drifted"));
    let place = server.get("/api/v1/where?application=shop").await.is(200).json();
    assert_eq!(place["items"][0]["drifted"], true, "{place:#}");
}

#[tokio::test]
async fn what_never_went_out_needs_somebody_until_something_newer_is_asked_for() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (state, word) in [
        (DeploymentState::Rejected { violations: 1 }, "1 violation"),
        (DeploymentState::Broken { fault: Fault::permanent("render", "web: no image") }, "web: no image"),
        (DeploymentState::Expired { which: "gates: 2 h".to_owned() }, "gates: 2 h"),
    ] {
        let fallen = deployed(&server, &one, state).await;
        let home = is_page(&browser.get("/").await.is(200));
        let need = format!("<a href=\"{}\">shop in prod</a>", page_of(&fallen));
        assert!(home.contains(&need) && home.contains(word), "{home}");
        assert_eq!(home.matches(">shop in prod</a>").count(), 1, "{home}");
    }
    deployed(&server, &one, DeploymentState::Live).await;
    let home = is_page(&browser.get("/").await.is(200));
    assert!(!home.contains("Needs you"), "{home}");
}

#[tokio::test]
async fn what_is_held_until_somebody_lets_it_go_on_needs_somebody() {
    let server = Server::start().await;
    let (one, _) = bundles(&server).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let need = |held: &Deployment| format!("<a href=\"{}\">shop in prod</a>", page_of(held));
    let held = deployed(&server, &one, DeploymentState::Suspended { by: "step.look".to_owned() }).await;
    let home = is_page(&browser.get("/").await.is(200));
    assert!(home.contains(&need(&held)) && home.contains("Needs you"), "{home}");
    let waiting = deployed(&server, &one, awaiting(&one)).await;
    let home = is_page(&browser.get("/").await.is(200));
    assert!(home.contains(&need(&waiting)) && home.contains(&need(&held)), "{home}");
    let fault = Fault::permanent("refused", "no such kind");
    let failed = deployed(&server, &one, DeploymentState::Failed { node: None, fault }).await;
    let home = is_page(&browser.get("/").await.is(200));
    assert!(home.contains(&need(&failed)) && !home.contains(&need(&held)), "{home}");
}
