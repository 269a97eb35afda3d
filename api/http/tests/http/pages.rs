//! The pages for people: who gets in, what forms need, and that nothing anybody wrote is taken for HTML.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, Response};
use slipway_records::pipeline::{Moved, run_move};
use slipway_records::{LogChunk, NewRun, Run};
use slipway_types::Role;
use slipway_types::state::RunEvent;
use tower::ServiceExt as _;

use crate::rest::bundle;
use crate::server::{Answer, Server};

/// Markup, a closing tag, quotes, right to left, and a word of 10 KB.
pub(crate) fn hostile() -> String {
    format!("<script>alert(1)</script>\"'</title>\u{202e}{}", "w".repeat(10_000))
}

/// Somebody's browser.
pub(crate) struct Browser<'s> {
    server: &'s Server,
    cookie: String,
    form_token: String,
}

fn as_browser(request: Builder) -> Builder {
    request.header("accept", "text/html,*/*;q=0.8").header("sec-fetch-site", "same-origin")
}

/// What stands between two texts.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap().0
}

pub(crate) async fn sign_in(server: &Server, token: &str) -> Answer {
    sign_in_from(server, token, "same-origin").await
}

async fn sign_in_from(server: &Server, token: &str, site: &str) -> Answer {
    let request = Request::post("/sign-in").header("accept", "text/html").header("sec-fetch-site", site);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={token}&return_to=%2Fdeployments");
    server.send(request.body(Body::from(body)).unwrap()).await
}

impl<'s> Browser<'s> {
    pub(crate) async fn of(server: &'s Server, token: &str) -> Self {
        let answer = sign_in(server, token).await.is(303);
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let mut browser = Self { server, cookie, form_token: String::new() };
        let page = browser.get("/").await.is(200).text();
        between(&page, "name=\"form_token\" value=\"", "\"").clone_into(&mut browser.form_token);
        browser
    }

    /// What it is known by.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(crate) async fn get_in(&self, path: &str, language: &str) -> Answer {
        let request = as_browser(Request::get(path)).header("cookie", &self.cookie);
        let request = request.header("accept-language", language);
        self.server.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_in(path, "en").await
    }

    /// Asks for what lasts, and gives the answer before its body.
    async fn open(&self, path: &str) -> Response<Body> {
        let request = as_browser(Request::get(path)).header("cookie", &self.cookie);
        self.server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Sends a form, with the token of this browser's forms added.
    pub(crate) async fn post(&self, path: &str, fields: &str) -> Answer {
        self.post_from("same-origin", path, fields).await
    }

    /// The same as [`Browser::post`], from a page of what browsers call such a site.
    pub(crate) async fn post_from(&self, site: &str, path: &str, fields: &str) -> Answer {
        let body = format!("form_token={}&{fields}", self.form_token);
        self.post_as(path, body, site).await
    }

    pub(crate) async fn post_as(&self, path: &str, body: String, site: &str) -> Answer {
        let request = Request::post(path).header("accept", "text/html").header("sec-fetch-site", site);
        let request = request.header("cookie", &self.cookie);
        let request = request.header("referer", "https://slipway.example/new-application");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.server.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// What every page is, whatever it shows.
#[track_caller]
pub(crate) fn is_page(answer: &Answer) -> String {
    let text = answer.text();
    assert!(text.starts_with("<!doctype html>"), "{text}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    for element in ["<title>", "<h1", "<main id=\"content\"", "lang=\"", "class=\"skip\""] {
        assert_eq!(text.matches(element).count().min(1), 1, "{element} is missing: {text}");
    }
    assert_eq!(text.matches("<h1").count(), 1, "{text}");
    assert!(!text.contains(" style=") && !text.contains("<script>") && !text.contains(" onclick"), "{text}");
    for tag in ["div", "section", "table", "ul", "ol", "li", "form", "details", "td", "p", "a", "span"] {
        let opened = text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "<{tag}> is not balanced: {text}");
    }
    text
}

/// A run whose commit, author and ref say the worst.
pub(crate) async fn hostile_run(server: &Server) -> Run {
    let application_id = server.application_id("shop").await;
    let mut tx = server.records.begin().await.unwrap();
    let run = NewRun {
        application_id,
        git_ref: "refs/heads/<b>&\"x".parse().unwrap(),
        commit: "1".repeat(40).parse().unwrap(),
        actor: hostile(),
        subject: hostile(),
        author: hostile(),
        committed_at: chrono::Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    };
    let run = tx.run_insert(run).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    run
}

async fn append(server: &Server, run: &Run, text: &[u8]) {
    let blob = server.blobs.put(text.to_vec()).await.unwrap();
    let mut tx = server.records.begin().await.unwrap();
    let chunk = LogChunk { offset: 0, length: blob.size, digest: blob.digest, mark: None };
    assert!(tx.log_append(run.id.as_uuid(), &chunk).await.unwrap());
    tx.commit().await.unwrap();
}

async fn step(server: &Server, run: &Run, event: RunEvent) {
    let mut tx = server.records.begin().await.unwrap();
    let mut run = tx.run_get(run.id).await.unwrap().unwrap();
    assert_eq!(run_move(tx.as_mut(), &mut run, event).await.unwrap(), Moved::Stored);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_where_that_is_done_and_back() {
    let server = Server::start().await;
    let anonymous =
        |path: &'static str| server.send(as_browser(Request::get(path)).body(Body::empty()).unwrap());
    for (path, to) in [("/", "/sign-in"), ("/deployments?a=b", "/sign-in?return_to=%2Fdeployments%3Fa%3Db")] {
        assert_eq!(anonymous(path).await.is(303).header("location"), to);
    }
    is_page(&anonymous("/sign-in").await.is(200));
    let signed_in = sign_in(&server, &server.admin).await.is(303);
    assert_eq!(signed_in.header("location"), "/deployments");
    let cookie = signed_in.header("set-cookie");
    assert!(cookie.starts_with("__Host-slipway=") && !cookie.contains(&server.admin), "{cookie}");
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/", "Secure"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let refused = sign_in(&server, "slw_0000000000000000000000000000000000000000000").await.is(422);
    assert!(is_page(&refused).contains("not known here"));
    is_page(&sign_in_from(&server, &server.admin, "cross-site").await.is(403));
}

#[tokio::test]
async fn whoever_guesses_is_made_to_wait() {
    let server = Server::with(|options| options.max_hook_refusals_per_minute = 2).await;
    let wrong = "slw_0000000000000000000000000000000000000000000";
    for status in [422, 422, 429] {
        let answer = sign_in(&server, wrong).await.is(status);
        is_page(&answer);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
    }
    sign_in(&server, &server.admin).await.is(303);
}

#[tokio::test]
async fn no_token_fills_the_audit_record_with_sign_ins() {
    let server = Server::start().await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    for _ in 0..60 {
        sign_in(&server, &reader).await.is(303);
    }
    is_page(&sign_in(&server, &reader).await.is(429));
    sign_in(&server, &server.admin).await.is(303);
}

#[tokio::test]
async fn programs_get_what_they_got_and_cookies_open_no_api() {
    let server = Server::start().await;
    let plain = server.send(Request::get("/").body(Body::empty()).unwrap()).await.is(200).text();
    assert!(plain.contains("SLIPWAY_SERVER"), "{plain}");
    server.get("/nowhere").await.problem(404, "no_such_address");
    let browser = Browser::of(&server, &server.admin.clone()).await;
    browser.get("/api/v1/applications").await.problem(401, "unauthorized");
    assert!(is_page(&browser.get("/nowhere").await.is(404)).contains("There is no such page"));
    assert!(is_page(&browser.get_in("/applications/none", "zh-CN").await.is(404)).contains("页面不存在"));
    // What takes forms alone has no page, and says so as one.
    assert!(is_page(&browser.get("/sign-out").await.is(405)).contains("does not take GET"));
    server.get("/sign-out").await.problem(405, "method_not_allowed");
    assert_eq!(browser.get("/applications").await.is(303).header("location"), "/");
}

#[tokio::test]
async fn what_is_refused_is_said_in_the_visitors_language() {
    let server = Server::start().await;
    server.application("shop").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for (path, status, said) in [
        ("/applications/none", 404, "没有名为 `none` 的应用"),
        ("/applications/shop/runs?brnach=main", 400, "没有名为 `brnach` 的字段"),
        ("/nowhere", 404, "/nowhere 处没有任何内容"),
    ] {
        let text = is_page(&browser.get_in(path, "zh-CN").await.is(status));
        let paragraph = between(&text, "<p dir=\"auto\" lang=\"", "</p>");
        assert!(paragraph.starts_with("zh-Hans\"") && paragraph.contains(said), "{path}: {text}");
    }
    // What has no words in it is told in English, with the code.
    let strange = is_page(&browser.get_in("/applications/shop/bundles/x", "zh-CN").await.is(400));
    let paragraph = between(&strange, "<p dir=\"auto\" lang=\"", "</p>");
    assert!(paragraph.starts_with("en\"") && paragraph.contains("<code>bad_path</code>"), "{strange}");
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let reader = Browser::of(&server, &reader).await;
    let forbidden = is_page(&reader.get_in("/new-application", "zh").await.is(403));
    assert!(forbidden.contains("此操作需要对整个服务器拥有 admin 角色"), "{forbidden}");
    assert!(forbidden.contains("请向管理员申请具有该角色的令牌"), "{forbidden}");
}

#[tokio::test]
async fn a_sign_in_ends_with_its_token_and_by_signing_out() {
    let server = Server::start().await;
    let token = server.token("ann", Some(Role::Reader), None, vec![]).await;
    let (one, other) = (Browser::of(&server, &token).await, Browser::of(&server, &token).await);
    let gone = one.post("/sign-out", "").await.is(303);
    assert!(gone.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(one.get("/").await.is(303).header("location"), "/sign-in");
    is_page(&other.get("/").await.is(200));
    server.call(&server.admin, axum::http::Method::DELETE, "/api/v1/tokens/ann", None).await.is(204);
    other.get("/").await.is(303);
    let build = server.token("build 1", None, None, vec![]).await;
    sign_in(&server, &build).await.is(422);
}

#[tokio::test]
async fn a_browser_that_signs_in_anew_leaves_no_sign_in_behind() {
    let server = Server::start().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let anew = browser.post("/sign-in", &format!("token={reader}")).await.is(303);
    let cookie = anew.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(cookie, browser.cookie, "nothing that was known before lets in after");
    assert_eq!(browser.get("/").await.is(303).header("location"), "/sign-in");
    let now = Browser { server: &server, cookie, form_token: String::new() };
    assert!(!is_page(&now.get("/").await.is(200)).contains("/new-application"));
}

#[tokio::test]
async fn forged_forms_change_nothing() {
    let server = Server::start().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let other = Browser::of(&server, &server.admin.clone()).await;
    let token = &browser.form_token;
    for (body, site) in [
        ("name=forged".to_owned(), "same-origin"),
        (format!("form_token={}&name=forged", other.form_token), "same-origin"),
        (format!("form_token={token}&name=forged"), "cross-site"),
        (format!("form_token={token}&name=forged"), "same-site"),
    ] {
        let answer = browser.post_as("/applications", body, site).await.is(403);
        assert!(is_page(&answer).contains("open the page again"));
    }
    server.get("/api/v1/applications/forged").await.problem(404, "not_found");
    is_page(&browser.post("/applications", "name=meant").await.is(200));
    server.get("/api/v1/applications/meant").await.is(200);
}

#[tokio::test]
async fn an_application_is_made_and_what_is_wrong_is_said_beside_the_form() {
    let server = Server::start().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    assert!(is_page(&browser.get("/").await.is(200)).contains("No applications yet"));
    is_page(&browser.get("/new-application").await.is(200));
    let wrong = is_page(&browser.post("/applications", "name=No+Name&path=%22%3Cb%3E").await.is(400));
    assert!(wrong.contains("name=\"return_to\" value=\"/new-application\""), "{wrong}");
    assert!(wrong.contains("aria-invalid") && wrong.contains("value=\"No Name\"") && !wrong.contains("<b>"));
    let made = is_page(&browser.post("/applications", "name=shop").await.is(200));
    assert!(
        made.contains("git push slipway HEAD:main") && made.contains("https://slipway.example/git/shop.git")
    );
    is_page(&browser.post("/applications", "name=shop").await.is(409));
    let listed = is_page(&browser.get("/").await.is(200));
    assert!(listed.contains("href=\"/applications/shop\"") && !listed.contains("No applications yet"));
    assert!(is_page(&browser.get("/applications/shop").await.is(200)).contains("Nothing is published yet."));
}

#[tokio::test]
async fn nothing_anybody_wrote_is_taken_for_html() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    append(&server, &run, b"\x1b[31m<script>alert(1)</script>\x1b[0m\x1b]0;x\x07ok\n\xff\x00last").await;
    bundle(&server, &run, "1.0.0").await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    for path in [
        "/",
        "/?q=%3Cscript%3E%22",
        "/deployments",
        "/infrastructure",
        "/where?q=sho",
        "/where?q=%3Cscript%3E&after=%22",
        "/deploy?application=%3Cscript%3E",
        "/deployments?application=shop&environment=",
        "/applications/shop",
        "/applications/shop?q=%3Cscript%3E&selector=a%3Db",
        "/applications/shop?branch=..",
        "/applications/shop?channel=none",
        "/applications/shop/packages",
        "/applications/shop/packages?component=api&branch=main",
        "/applications/shop/packages?labels=%3Cscript%3E&digest=%22",
        "/applications/shop/runs",
        "/applications/shop/runs?state=queued&branch=main",
        "/applications/shop/runs/1",
        "/applications/shop/runs/1/logs/run",
        "/applications/shop/runs/1/logs/run?from=20",
        "/applications/shop/runs/1/logs/run?find=ALERT",
    ] {
        for language in ["en", "zh"] {
            let text = is_page(&browser.get_in(path, language).await.is(200));
            assert!(!text.contains("<script>alert"), "{path}");
            assert!(
                text.contains(if language == "zh" { "lang=\"zh-Hans\"" } else { "lang=\"en\"" }),
                "{path}"
            );
        }
    }
    let log = browser.get("/applications/shop/runs/1/logs/run").await.text();
    assert!(log.contains("<span class=\"fg1\">&#60;script&#62;alert(1)&#60;/script&#62;</span>"), "{log}");
    assert!(log.contains("id=\"b0\""), "{log}");
    let found = browser.get("/applications/shop/runs/1/logs/run?find=ok").await.text();
    assert!(found.contains("?from=0#b0"), "{found}");
    let download = browser.get("/applications/shop/runs/1/logs/run/download").await.is(200);
    assert_eq!(download.header("content-type"), "text/plain; charset=utf-8");
    assert!(download.header("content-disposition").contains("shop-1-run.log"));
    assert!(download.body.ends_with(b"\xff\x00last"));
}

#[tokio::test]
async fn each_role_sees_what_it_may_do() {
    let server = Server::start().await;
    server.application("shop").await;
    server.application("commerce/till").await;
    let run = hostile_run(&server).await;
    let page = "/applications/shop/runs/1";
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    let reader = Browser::of(&server, &reader).await;
    let seen = is_page(&reader.get(page).await.is(200));
    assert!(!seen.contains("/cancel\"") && !is_page(&reader.get("/").await).contains("/new-application"));
    for (path, fields) in [(format!("{page}/cancel"), ""), ("/applications".to_owned(), "name=other")] {
        is_page(&reader.post(&path, fields).await.is(403));
    }
    is_page(&reader.get("/new-application").await.is(403));
    let limited = server.token_for("shop", Role::Developer).await;
    let limited = Browser::of(&server, &limited).await;
    let home = is_page(&limited.get("/").await.is(200));
    assert!(home.contains("/applications/shop") && !home.contains("till"), "{home}");
    is_page(&limited.get("/applications/commerce%2Ftill").await.is(404));
    assert!(is_page(&limited.get(page).await.is(200)).contains("/cancel\""));
    assert_eq!(limited.post(&format!("{page}/cancel"), "").await.is(303).header("location"), page);
    let cancelled = is_page(&limited.get(page).await.is(200));
    assert!(cancelled.contains("cancelling") && !cancelled.contains("/cancel\""), "{cancelled}");
    step(&server, &run, RunEvent::Stopped).await;
    assert!(is_page(&limited.get(page).await.is(200)).contains("/retry\""));
    let again = limited.post(&format!("{page}/retry"), "").await.is(303);
    assert_eq!(again.header("location"), "/applications/shop/runs/2");
}

#[tokio::test]
async fn a_log_grows_by_lines_and_goes_on_where_it_was_cut() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    append(&server, &run, b"one\n\x1b[32mtwo\nthree").await;
    step(&server, &run, RunEvent::Skip("[skip ci]".into())).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let path = "/applications/shop/runs/1/logs/run/stream?from=4";
    let text = browser.get(path).await.is(200).text().replace("event: ", "event:");
    assert!(text.contains("event:lines") && text.contains("event:end"), "{text}");
    assert!(
        text.contains("\"at\":4") && text.contains("\"class\":\"fg2\"") && text.contains("three"),
        "{text}"
    );
    assert!(!text.contains("one"), "{text}");
    let beyond = "/applications/shop/runs/1/logs/run/stream?from=18446744073709551615";
    let beyond = browser.get(beyond).await.is(200).text().replace("event: ", "event:");
    assert!(beyond.contains("event:end"), "{beyond}");
    let events = browser.get("/applications/shop/runs/1/events").await.is(200).text();
    assert!(events.replace("event: ", "event:").contains("event:end"), "{events}");
}

#[tokio::test]
async fn what_follows_a_page_ends_with_its_sign_in() {
    let server = Server::start().await;
    server.application("shop").await;
    hostile_run(&server).await;
    let reader = server.token("reader", Some(Role::Reader), None, vec![]).await;
    for (path, by_token) in
        [("/applications/shop/runs/1/events", false), ("/applications/shop/runs/1/logs/run/stream", true)]
    {
        let browser = Browser::of(&server, &reader).await;
        let open = browser.open(path).await;
        assert_eq!(open.status(), 200, "{path}");
        if by_token {
            let path = "/api/v1/tokens/reader";
            server.call(&server.admin, axum::http::Method::DELETE, path, None).await.is(204);
        } else {
            browser.post("/sign-out", "").await.is(303);
        }
        let rest = tokio::time::timeout(Duration::from_secs(30), to_bytes(open.into_body(), usize::MAX));
        assert!(rest.await.is_ok(), "{path} goes on");
    }
}

#[tokio::test]
async fn a_sign_in_follows_a_bounded_number_of_pages() {
    let server = Server::start().await;
    server.application("shop").await;
    hostile_run(&server).await;
    let (browser, other) = (
        Browser::of(&server, &server.admin.clone()).await,
        Browser::of(&server, &server.admin.clone()).await,
    );
    let path = "/applications/shop/runs/1/events";
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(browser.open(path).await);
    }
    assert!(open.iter().all(|answer| answer.status() == 200));
    is_page(&browser.get(path).await.is(429));
    assert_eq!(other.open(path).await.status(), 200);
    drop(open);
    assert_eq!(browser.open(path).await.status(), 200);
}

#[tokio::test]
async fn no_log_makes_a_page_without_bounds() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    let mut text = vec![b'\n'; 12_000];
    text.extend(b"x\x1b]a\x07".repeat(50_000));
    append(&server, &run, &text).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let log = "/applications/shop/runs/1/logs/run";
    let first = is_page(&browser.get(&format!("{log}?from=0")).await.is(200));
    let shown = first.matches("<li id=\"b").count();
    assert!((100..12_000).contains(&shown), "{shown} lines");
    assert!(first.contains(&format!("href=\"{log}?from={shown}\" rel=\"next\"")), "the rest is reached");
    let found = is_page(&browser.get(&format!("{log}?find=xx")).await.is(200));
    assert!(found.contains("?from=12000#b12000") && found.contains('…') && found.len() < 20_000, "{found}");
}

#[tokio::test]
async fn the_end_of_a_log_of_many_lines_is_shown_first() {
    let server = Server::start().await;
    server.application("shop").await;
    let run = hostile_run(&server).await;
    append(&server, &run, &[b'\n'; 12_000]).await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let last = is_page(&browser.get("/applications/shop/runs/1/logs/run").await.is(200));
    let first = 12_000 - last.matches("<li id=\"b").count();
    assert!((1..11_900).contains(&first), "from {first} on");
    assert!(
        last.contains("id=\"b11999\"") && last.contains(&format!("id=\"b{first}\"")),
        "the last lines are shown"
    );
    assert!(last.contains(&format!("?before={first}\" rel=\"prev\"")), "those before are reached");
}

#[tokio::test]
async fn language_and_colours_are_kept_and_nobody_is_led_elsewhere() {
    let server = Server::start().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let fields = "language=zh-Hans&theme=dark&return_to=%2F%2Fevil.example";
    let answer = browser.post("/preferences", fields).await.is(303);
    assert_eq!(answer.header("location"), "/");
    let kept: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|kept| kept.to_str().unwrap()).collect();
    let cookies: Vec<_> = kept.iter().map(|kept| kept.split(';').next().unwrap()).collect();
    assert_eq!(cookies, ["slipway-language=zh-Hans", "slipway-theme=dark"]);
    let request =
        as_browser(Request::get("/")).header("cookie", format!("{}; {}", browser.cookie, cookies.join("; ")));
    let page = is_page(&server.send(request.body(Body::empty()).unwrap()).await.is(200));
    assert!(page.contains("lang=\"zh-Hans\" data-theme=\"dark\"") && page.contains("退出登录"), "{page}");
}

#[tokio::test]
async fn times_are_told_as_it_was_chosen() {
    let server = Server::start().await;
    let browser = Browser::of(&server, &server.admin.clone()).await;
    let page = is_page(&browser.get("/").await.is(200));
    assert!(page.contains("data-times=\"ago\"") && page.contains("name=\"times\" value=\"exact\""), "{page}");
    let answer = browser.post("/preferences", "times=exact&return_to=%2Fwhere").await.is(303);
    assert_eq!(answer.header("location"), "/where");
    assert!(answer.header("set-cookie").starts_with("slipway-times=exact; "));
    let request =
        as_browser(Request::get("/")).header("cookie", format!("{}; slipway-times=exact", browser.cookie));
    let page = is_page(&server.send(request.body(Body::empty()).unwrap()).await.is(200));
    assert!(page.contains("data-times=\"exact\"") && page.contains("name=\"times\" value=\"ago\""), "{page}");
}

#[tokio::test]
async fn what_a_page_loads_is_kept_for_good() {
    let server = Server::start().await;
    let page = server.send(as_browser(Request::get("/sign-in")).body(Body::empty()).unwrap()).await.text();
    let mut bytes = page.len();
    for (before, media_type) in [
        ("rel=\"stylesheet\" href=\"", "text/css; charset=utf-8"),
        ("<script src=\"", "text/javascript; charset=utf-8"),
        ("rel=\"icon\" href=\"", "image/svg+xml"),
    ] {
        let address = between(&page, before, "\"");
        let asset = server.send(Request::get(address).body(Body::empty()).unwrap()).await.is(200);
        assert_eq!(asset.header("content-type"), media_type);
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        bytes += asset.body.len();
    }
    assert!(bytes < 100_000, "a first visit loads {bytes} bytes");
    server.send(Request::get("/assets/slipway.000000000000.css").body(Body::empty()).unwrap()).await.is(404);
}
