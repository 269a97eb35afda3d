//! The pages of the infrastructure: who sees and does what there, what is said of wrong forms, and that no secret is
//! shown again.

use axum::http::Method;
use serde_json::{Value, json};
use slipway_records::{NewDelivery, NewSource, NewToken, Origin, SourceKind, Stored};
use slipway_types::environment::ClusterSettings;
use slipway_types::state::DeliveryState;
use slipway_types::{Digest, Fault, Role};

use crate::pages::{Browser, between, is_page};
use crate::rest::run;
use crate::server::Server;

/// Markup, quotes, right to left, and a long word.
const HOSTILE: &str = "<script>alert(1)<b>\"'\u{202e}";

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A server with a cluster, an environment, an add-on, a mirrored source, a secret and a token, all with the worst that
/// their texts may hold.
async fn prepared() -> Server {
    let server = Server::start().await;
    let mirrored = json!({"name": "shop", "source_url": "https://git.example/shop.git"});
    server.post("/api/v1/applications", mirrored).await.is(201);
    let mut tx = server.records.begin().await.unwrap();
    let settings = ClusterSettings {
        cordoned: Some(HOSTILE.to_owned()),
        context: Some(HOSTILE.to_owned()),
        labels: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
        ..ClusterSettings::default()
    };
    tx.cluster_insert(&"kind".parse().unwrap(), "a uid", &settings, None, HOSTILE).await.unwrap();
    let shop = tx.application_by_name(&"shop".parse().unwrap()).await.unwrap().unwrap();
    let delivery = NewDelivery {
        source_id: shop.source_id,
        origin: Origin::Github,
        external_id: Some(HOSTILE.to_owned()),
        event: HOSTILE.to_owned(),
        git_ref: Some("refs/heads/<b>&\"x".parse().unwrap()),
        commit: Some("1".repeat(40).parse().unwrap()),
        actor: HOSTILE.to_owned(),
        fresh: false,
        state: DeliveryState::Received,
    };
    let delivery = tx.delivery_insert(delivery).await.unwrap().into_inner();
    let failed = DeliveryState::Failed { fault: Fault::permanent("x", HOSTILE) };
    assert!(tx.delivery_settle(delivery.id, &failed).await.unwrap());
    tx.commit().await.unwrap();
    let environment = json!({"address": "eu/kind/shop", "settings": {
        "receiver": {"type": "core"},
        "labels": {HOSTILE: HOSTILE},
        "checks": {"load": {"by": HOSTILE}},
        "gates": {"approvals": {"count": 1, "of": [HOSTILE]}, "checks": ["load"], "windows": ["daily 00:00-06:00"]},
    }});
    put(&server, "/environments/prod", environment).await;
    let addon = json!({"definition": "redis", "environment": "prod", "owner": HOSTILE,
        "properties": {HOSTILE: HOSTILE}});
    put(&server, "/addons/orders", addon).await;
    put(&server, "/addons/orders/bindings/prod/shop", json!({"prefix": "CACHE"})).await;
    put(&server, "/secrets/dockerhub", json!({"value": "hunter2"})).await;
    server
        .post("/api/v1/tokens", json!({"name": HOSTILE, "person": HOSTILE, "role": "reader"}))
        .await
        .is(201);
    server
}

async fn put(server: &Server, path: &str, body: Value) {
    let answer = server.call(&server.admin, Method::PUT, &format!("/api/v1{path}"), Some(body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
}

/// Every page that a form or a list leads to.
const PAGES: [&str; 21] = [
    "",
    "/environments/prod",
    "/environments/prod/edit",
    "/new-environment",
    "/clusters/kind",
    "/clusters/kind/edit",
    "/new-cluster",
    "/kits",
    "/kits/dockerfile",
    "/definitions",
    "/addons",
    "/addons/orders",
    "/addons/orders/edit",
    "/new-addon",
    "/sources",
    "/sources/shop",
    "/secrets",
    "/secrets/dockerhub",
    "/tokens",
    "/notices",
    "/audit",
];

#[tokio::test]
async fn nothing_anybody_wrote_is_taken_for_html() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let hostile_query = format!("/audit?subject={}", encoded(HOSTILE));
    let further = [
        "/server",
        "/definitions?kind=trait&q=%3Cscript%3E",
        hostile_query.as_str(),
        "/secrets?team=%3Cb%3E",
    ];
    for path in PAGES.into_iter().chain(further) {
        for language in ["en", "zh"] {
            let path = format!("/infrastructure{path}");
            let text = is_page(&browser.get_in(&path, language).await.is(200));
            assert!(!text.contains("<script>alert") && !text.contains("<b>"), "{path}: {text}");
            assert!(!text.contains("hunter2"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_build_kits_are_told_with_their_options() {
    let server = prepared().await;
    let kits = server.get("/api/v1/kits").await.is(200).json();
    let kit = &kits["items"][0];
    assert_eq!((&kit["name"], &kit["origin"]), (&json!("dockerfile"), &json!("builtin")), "{kits:#}");
    assert_eq!(server.get("/api/v1/kits/dockerfile").await.is(200).json(), *kit);
    server.get("/api/v1/kits/none").await.problem(404, "not_found");
    let limited = server.token_for("shop", Role::Reader).await;
    let browser = Browser::of(&server, &limited).await;
    let list = is_page(&browser.get("/infrastructure/kits").await.is(200));
    assert!(
        list.contains("href=\"/infrastructure/kits/dockerfile\"") && list.contains("image.build"),
        "{list}"
    );
    let page = is_page(&browser.get("/infrastructure/kits/dockerfile").await.is(200));
    assert!(page.contains("<code>target</code>") && page.contains("&#60;b&#62;stop"), "{page}");
    assert!(page.contains("kit: dockerfile}] # &#60;b&#62;"), "{page}");
    is_page(&browser.get("/infrastructure/kits/none").await.is(404));
}

#[tokio::test]
async fn what_is_stored_is_told_once_it_was_measured() {
    let server = prepared().await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let browser = Browser::of(&server, &reader).await;
    let before = is_page(&browser.get("/infrastructure/server").await.is(200));
    assert!(before.contains("is not known yet"), "{before}");
    assert!(server.get("/api/v1/server/storage").await.is(200).json()["bytes"].is_null());
    let mut tx = server.records.begin().await.unwrap();
    let stored = Stored { blobs: 321, bytes: 45_600_000, measured_at: chrono::Utc::now() };
    tx.stored_put(&stored).await.unwrap();
    tx.commit().await.unwrap();
    let after = is_page(&browser.get("/infrastructure/server").await.is(200));
    assert!(after.contains("45 MB") && after.contains("321"), "{after}");
    let told = server.get("/api/v1/server/storage").await.is(200).json();
    assert_eq!((&told["bytes"], &told["blobs"]), (&json!(45_600_000), &json!(321)), "{told:#}");
}

#[tokio::test]
async fn each_role_sees_the_parts_and_actions_it_has() {
    let server = prepared().await;
    let operator = server.token("operator", Some(Role::Operator), None, vec![]).await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let limited = server.token_for("shop", Role::Operator).await;
    let browsers = [
        Browser::of(&server, &server.admin.clone()).await,
        Browser::of(&server, &operator).await,
        Browser::of(&server, &limited).await,
        Browser::of(&server, &reader).await,
    ];
    // Which of admin, operator, operator of one application and reader.
    for (path, action, seen_by) in [
        ("", "/new-environment\"", [true, false, false, false]),
        ("", "/clusters/kind\"", [true, true, false, true]),
        ("", "/infrastructure/tokens\"", [true, false, false, false]),
        ("", "/infrastructure/audit\"", [true, true, false, false]),
        ("", "/infrastructure/secrets\"", [true, true, true, false]),
        ("/environments/prod", "/edit\"", [true, false, false, false]),
        ("/environments/prod", "/remove\"", [true, false, false, false]),
        ("/clusters/kind", "/uncordon\"", [true, true, false, false]),
        ("/clusters/kind", "/remove\"", [true, false, false, false]),
        ("/definitions", "name=\"reference\"", [true, true, false, false]),
        ("/addons/orders", "/protection\"", [true, true, false, false]),
        ("/addons/orders", "/unbind\"", [true, true, true, false]),
        ("/sources/shop", "/redeliver\"", [true, true, true, false]),
        ("/sources/shop", "/webhook-secret\"", [true, false, false, false]),
    ] {
        for (browser, is_seen) in browsers.iter().zip(seen_by) {
            let text = browser.get(&format!("/infrastructure{path}")).await.text();
            assert_eq!(text.contains(action), is_seen, "{path} {action}: {text}");
        }
    }
    let [_, operator, _, reader] = &browsers;
    for path in
        ["/tokens", "/new-environment", "/new-cluster", "/environments/prod/edit", "/clusters/kind/edit"]
    {
        is_page(&operator.get(&format!("/infrastructure{path}")).await.is(403));
    }
    for (path, fields) in [
        ("/tokens", "name=mine&role=admin"),
        ("/new-environment", "name=x&address=eu%2Fkind%2Fx"),
        ("/environments/prod/edit", "revision=1"),
        ("/environments/prod/settings", "revision=1&document=%7B%7D"),
        ("/environments/prod/remove", "confirmed=yes"),
        ("/new-cluster", "name=x"),
        ("/clusters/kind/cordon", "reason=x"),
        ("/clusters/kind/remove", "confirmed=yes"),
        ("/definitions", "reference=host%2Fx%3A1"),
        ("/addons/orders/protection", "protected=no"),
        ("/addons/orders/release", "confirmed=yes"),
        ("/secrets", "name=x&value=y"),
        ("/secrets/dockerhub/remove", "confirmed=yes"),
        ("/sources/shop/check", ""),
        ("/sources/shop/webhook-secret", "confirmed=yes"),
        ("/audit/verify", ""),
        ("/notices/ops/test", ""),
    ] {
        is_page(&reader.post(&format!("/infrastructure{path}"), fields).await.is(403));
    }
}

#[tokio::test]
async fn an_environment_is_made_changed_and_removed() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let new = "/infrastructure/new-environment";
    let wrong = "name=No+Name&address=eu&windows=never&approvals_of=ann&gate_labels=%22%3Cb%3E";
    let wrong = is_page(&browser.post(new, wrong).await.is(422));
    for seen in
        ["settings-name-wrong", "settings-address-wrong", "settings-windows-wrong", "value=\"No Name\""]
    {
        assert!(wrong.contains(seen), "{seen}: {wrong}");
    }
    assert!(!wrong.contains("<b>"), "{wrong}");
    let elsewhere = browser.post(new, "name=dev&address=eu%2Ffar%2Fshop&receiver=core").await.is(422);
    assert!(is_page(&elsewhere).contains("settings-address-wrong"));
    is_page(&browser.post(new, "name=prod&address=eu%2Fkind%2Fshop").await.is(409));

    let made =
        "name=dev&address=eu%2Fkind%2Fdev&receiver=core&windows=mon-fri+09%3A00-17%3A00&follow_branch=main";
    // What will not work there is said at once.
    let noted = is_page(&browser.post(new, made).await.is(200));
    assert!(noted.contains("nodes of this cluster cannot pull"), "{noted}");
    let page = "/infrastructure/environments/dev";
    let edit = format!("{page}/edit");
    let form = is_page(&browser.get(&edit).await.is(200));
    assert!(form.contains("mon-fri 09:00-17:00</textarea>") && form.contains("value=\"main\""), "{form}");
    let revision = between(&form, "name=\"revision\" value=\"", "\"").to_owned();
    let changed = format!("revision={revision}&receiver=core&upstream=prod&soak_minutes=30");
    is_page(&browser.post(&edit, &changed).await.is(200));
    let late = is_page(&browser.post(&edit, &changed).await.is(409));
    assert!(late.contains(&format!("name=\"revision\" value=\"{revision}\"")), "{late}");
    let settings = server.get("/api/v1/environments/dev").await.is(200).json()["settings"].clone();
    assert_eq!(settings["gates"], json!({"soak": {"minutes": 30}}));
    assert_eq!((&settings["follow"], &settings["upstream"]), (&Value::Null, &json!("prod")));

    let form = is_page(&browser.get(&edit).await.is(200));
    let revision = between(&form, "name=\"revision\" value=\"", "\"").to_owned();
    let written = |document: &str| format!("revision={revision}&document={}", encoded(document));
    let write = format!("{page}/settings");
    for wrong in ["", "{", "{\"upstreams\": 1}", "{\"upstream\": \"dev\"}"] {
        let refused = browser.post(&write, &written(wrong)).await.is(422);
        assert!(is_page(&refused).contains("document-document-wrong"), "{wrong}");
    }
    is_page(&browser.post(&write, &written("{\"drift\": \"correct\"}")).await.is(200));
    let settings = server.get("/api/v1/environments/dev").await.is(200).json()["settings"].clone();
    assert_eq!((&settings["drift"], &settings["upstream"]), (&json!("correct"), &Value::Null));

    is_page(&browser.post(&format!("{page}/remove"), "").await.is(400));
    let gone = browser.post(&format!("{page}/remove"), "confirmed=yes").await.is(303);
    assert_eq!(gone.header("location"), "/infrastructure");
    is_page(&browser.get(page).await.is(404));
    let used = browser.post("/infrastructure/environments/prod/remove", "confirmed=yes").await.is(409);
    assert!(is_page(&used).contains("bound to add-ons"));
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_no_lost_form() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let new = "/infrastructure/new-cluster";
    let away = is_page(&browser.post(new, "name=far&context=%22%3Cb%3E&labels=a%3Db").await.is(503));
    for seen in ["there is no cluster", "value=\"far\"", "a=b</textarea>"] {
        assert!(away.contains(seen), "{seen}: {away}");
    }
    let wrong = is_page(&browser.post(new, "name=far&kubeconfig=~%2F.kube%2Fconfig&labels=x").await.is(422));
    assert!(wrong.contains("reach-kubeconfig-wrong") && wrong.contains("reach-labels-wrong"), "{wrong}");
    is_page(&browser.post(new, "name=kind").await.is(409));

    let page = "/infrastructure/clusters/kind";
    let checked = is_page(&browser.post(&format!("{page}/check"), "").await.is(200));
    assert!(checked.contains("status bad") && checked.contains("<code>answers</code>"), "{checked}");
    browser.post(&format!("{page}/uncordon"), "").await.is(303);
    let refused = is_page(&browser.post(&format!("{page}/cordon"), "").await.is(400));
    assert!(refused.contains("cordon-reason-wrong"), "{refused}");
    browser.post(&format!("{page}/cordon"), "reason=upgrade").await.is(303);
    assert!(is_page(&browser.get(page).await.is(200)).contains("upgrade"));
    let used = is_page(&browser.post(&format!("{page}/remove"), "confirmed=yes").await.is(409));
    assert!(used.contains("remove these environments first"), "{used}");
}

#[tokio::test]
async fn no_secret_is_shown_again() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let secrets = "/infrastructure/secrets";
    let kept = browser.post(secrets, "name=tls%2Fkey&value=swordfish%0D%0A&application=shop").await.is(303);
    let page = kept.header("location").to_owned();
    assert_eq!(page, "/infrastructure/secrets/tls%2Fkey?application=shop");
    for (fields, wrong) in [
        ("name=x&value=", "set-value-wrong"),
        ("name=x&value=swordfish&environment=No+Name", "set-environment-wrong"),
        ("name=x&value=swordfish&environment=prod", "set-environment-wrong"),
    ] {
        let refused = browser.post(secrets, fields).await;
        let text = is_page(&refused);
        assert!(refused.status.is_client_error() && text.contains(wrong), "{fields}: {text}");
        assert!(!text.contains("swordfish"), "{text}");
    }
    assert!(is_page(&browser.get(&page).await.is(200)).contains("application/default/shop"));
    let rotate = page.replace('?', "/rotate?");
    let rotated = is_page(&browser.post(&rotate, "value=swordfish2&restart=yes").await.is(200));
    assert!(rotated.contains("It has its next value.") && !rotated.contains("swordfish"), "{rotated}");
    for shown in [&rotated, &is_page(&browser.get(&page).await.is(200))] {
        assert!(shown.contains("What runs with it is being restarted."), "{shown}");
        assert!(shown.contains(&format!("<a href=\"{page}\">Look again</a>")), "{shown}");
    }
    browser.post(&page.replace('?', "/remove?"), "confirmed=yes").await.is(303);
    is_page(&browser.get(&page).await.is(404));

    let tokens = "/infrastructure/tokens";
    let made = is_page(&browser.post(tokens, "name=ci&role=reader&days=30").await.is(200));
    let token = format!("slw_{}", between(&made, "data-copy=\"slw_", "\""));
    let ci = Browser::of(&server, &token).await;
    assert!(!is_page(&browser.get(tokens).await.is(200)).contains(&token));
    let refused = is_page(&browser.post(tokens, "name=&role=king&days=never").await.is(422));
    for wrong in ["create-name-wrong", "create-role-wrong", "create-days-wrong"] {
        assert!(refused.contains(wrong), "{wrong}: {refused}");
    }
    let listed = server.get("/api/v1/tokens").await.is(200).json();
    let found = listed["items"].as_array().unwrap().iter().find(|row| row["name"] == "ci").unwrap();
    let revoke = format!("{tokens}/{}/revoke", found["id"].as_str().unwrap());
    is_page(&browser.post(&revoke, "").await.is(400));
    browser.post(&revoke, "confirmed=yes").await.is(303);
    ci.get("/").await.is(303);
    assert!(is_page(&browser.get(&format!("{tokens}?all=true")).await.is(200)).contains("revoked"));
}

#[tokio::test]
async fn a_source_shows_how_to_set_up_its_webhook_and_judges_anew() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = "/infrastructure/sources/shop";
    let shown = is_page(&browser.get(page).await.is(200));
    for forge in ["github", "gitlab", "gitea", "generic"] {
        assert!(shown.contains(&format!("https://slipway.example/hooks/shop/{forge}")), "{forge}: {shown}");
    }
    assert!(shown.contains("status bad") && !shown.contains("shown this once"), "{shown}");
    let rotate = format!("{page}/webhook-secret");
    is_page(&browser.post(&rotate, "").await.is(400));
    let rotated = is_page(&browser.post(&rotate, "confirmed=yes").await.is(200));
    assert!(rotated.contains("shown this once"), "{rotated}");
    let checked = is_page(&browser.post(&format!("{page}/check"), "").await.is(200));
    assert!(checked.contains("<code>address</code>"), "{checked}");

    let list = "/api/v1/sources/shop/deliveries";
    let first = server.get(list).await.is(200).json()["items"][0]["id"].as_str().unwrap().to_owned();
    let again = format!("{page}/deliveries/{first}/redeliver");
    browser.post(&again, "").await.is(303);
    let items = server.get(list).await.is(200).json()["items"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(2), "{items}");
    assert_eq!((&items[0]["origin"], &items[0]["state"]), (&json!("manual"), &json!("received")));
    assert_eq!((&items[0]["ref"], &items[0]["actor"]), (&items[1]["ref"], &json!("root")));
    let open = items[0]["id"].as_str().unwrap();
    let refused = server.post(&format!("{list}/{open}/redeliver"), json!({})).await;
    refused.problem(409, "delivery_under_way");
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let refused = server.call(&reader, Method::POST, &format!("{list}/{first}/redeliver"), None).await;
    refused.problem(403, "forbidden");
    let strange = format!("{list}/00000000-0000-0000-0000-000000000000/redeliver");
    server.post(&strange, json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_add_on_is_made_bound_and_released() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let new = "/infrastructure/new-addon";
    let wrong = "name=cache&definition=redis&environment=prod&properties=%7B&team=No+Team";
    let wrong = is_page(&browser.post(new, wrong).await.is(422));
    assert!(wrong.contains("apply-properties-wrong") && wrong.contains("apply-team-wrong"), "{wrong}");
    let made = "name=cache&definition=redis&environment=prod&properties=%7B%22memory%22%3A+%221gb%22%7D";
    let made = browser.post(new, made).await.is(303);
    let page = made.header("location").to_owned();
    is_page(&browser.post(new, "name=cache&definition=redis&environment=prod").await.is(409));
    let edit = format!("{page}/edit");
    assert!(is_page(&browser.get(&edit).await.is(200)).contains("&#34;memory&#34;: &#34;1gb&#34;"));
    browser.post(&edit, "owner=data&properties=%7B%7D").await.is(303);
    let bind = format!("{page}/bind");
    let refused = is_page(&browser.post(&bind, "application=none&environment=prod").await.is(404));
    assert!(refused.contains("value=\"none\""), "{refused}");
    browser.post(&bind, "application=shop&environment=prod&prefix=CACHE").await.is(303);
    assert!(is_page(&browser.get(&page).await.is(200)).contains("<code>CACHE</code>"));
    let unbind = format!("{page}/unbind");
    browser.post(&unbind, "application=shop&environment=prod&confirmed=yes").await.is(303);
    let again =
        is_page(&browser.post(&unbind, "application=shop&environment=prod&confirmed=yes").await.is(404));
    assert!(again.contains("is not bound to"), "{again}");
    let release = format!("{page}/release");
    is_page(&browser.post(&release, "confirmed=yes").await.is(409));
    browser.post(&format!("{page}/protection"), "protected=no").await.is(303);
    browser.post(&release, "confirmed=yes").await.is(303);
}

#[tokio::test]
async fn the_audit_record_is_paged_filtered_and_looked_through() {
    let server = prepared().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let only = is_page(&browser.get("/infrastructure/audit?subject=environment%2Fprod").await.is(200));
    assert!(only.contains("environment.put") && !only.contains("addon.apply"), "{only}");
    for _ in 0..51 {
        put(&server, "/secrets/other", json!({"value": "x"})).await;
    }
    let first = is_page(&browser.get("/infrastructure/audit").await.is(200));
    let next =
        between(&first, "<p class=\"pager\"><a href=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    assert!(next.contains("before="), "{next}");
    assert!(is_page(&browser.get(&next).await.is(200)).contains("environment.put"));
    let verdict = is_page(&browser.post("/infrastructure/audit/verify", "").await.is(200));
    assert!(verdict.contains("status good") && verdict.contains("sha256:"), "{verdict}");
}

#[tokio::test]
async fn sources_and_tokens_come_in_pages() {
    let server = Server::start().await;
    let mut tx = server.records.begin().await.unwrap();
    for number in 0..120 {
        let name = format!("source-{number:03}").parse().unwrap();
        let kind = SourceKind::Builtin;
        tx.source_insert(NewSource { name, kind, credential: None, poll_interval_s: 60 }).await.unwrap();
        let name = format!("token-{number:03} / & +");
        let token = NewToken {
            hash: Digest::of(&name),
            name,
            person: None,
            role: Some(Role::Reader),
            break_glass: false,
            application_id: None,
            pulls_for: None,
            grants: Vec::new(),
            expires_at: None,
        };
        tx.token_insert(token).await.unwrap();
    }
    tx.commit().await.unwrap();
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let wanted: Vec<String> = (0..120).map(|number| format!("{number:03}")).collect();
    for (part, marker) in [("sources", "\">source-"), ("tokens", "<bdi>token-")] {
        let mut next = Some(format!("/infrastructure/{part}"));
        let mut seen = Vec::new();
        while let Some(address) = next.take() {
            let page = is_page(&browser.get(&address).await.is(200));
            let rows = page.split(marker).skip(1).map(|rest| rest[..3].to_owned());
            let before = seen.len();
            seen.extend(rows);
            assert!((1..=50).contains(&(seen.len() - before)), "{address}: {page}");
            let link = page.split_once("\" rel=\"next\"").and_then(|(head, _)| head.rsplit_once("href=\""));
            next = link.map(|(_, address)| address.to_owned());
        }
        assert_eq!(seen, wanted, "{part}");
    }
    for wrong in ["sources?after=%2F", "tokens?after=x"] {
        is_page(&browser.get(&format!("/infrastructure/{wrong}")).await.is(400));
    }
}

#[tokio::test]
async fn a_source_names_no_run_that_the_visitor_may_not_see() {
    let server = Server::start().await;
    for name in ["shop", "commerce/till"] {
        server.application(name).await;
    }
    let (own, hidden) = (run(&server, "shop").await, run(&server, "commerce/till").await);
    let mut tx = server.records.begin().await.unwrap();
    let shop = tx.application_by_name(&"shop".parse().unwrap()).await.unwrap().unwrap();
    let source = tx.source_get(shop.source_id).await.unwrap().unwrap();
    let delivery = NewDelivery {
        source_id: source.id,
        origin: Origin::Push,
        external_id: None,
        event: "push".to_owned(),
        git_ref: Some("refs/heads/main".parse().unwrap()),
        commit: None,
        actor: "ann".to_owned(),
        fresh: false,
        state: DeliveryState::Received,
    };
    let delivery = tx.delivery_insert(delivery).await.unwrap().into_inner();
    let planned = DeliveryState::Planned { runs: vec![own.id, hidden.id] };
    assert!(tx.delivery_settle(delivery.id, &planned).await.unwrap());
    tx.commit().await.unwrap();
    let path = format!("/infrastructure/sources/{}", source.name);
    let limited = server.token_for("shop", Role::Developer).await;
    let seen = is_page(&Browser::of(&server, &limited).await.get(&path).await.is(200));
    assert!(seen.contains("/applications/shop/runs/1\"") && !seen.contains("till"), "{seen}");
    let whole = is_page(&Browser::of(&server, &server.admin.clone()).await.get(&path).await.is(200));
    assert!(whole.contains("till/runs/1\""), "{whole}");
}
