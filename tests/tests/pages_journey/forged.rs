//! Forms that are not of this server's pages change nothing, whoever is signed in.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::json;
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::visit::Visit;

/// How long it may take until the browser tells what it refused.
const TOLD_WITHIN: Duration = Duration::from_secs(45);

/// Another site, on another port of the same machine: browsers send it the cookies of this server, so that
/// only the origin and the form's token are left to tell it by. Gives its address.
fn other_site(target: &str) -> String {
    let page = format!(
        "<!doctype html><html lang=\"en\"><title>Prize</title><form method=\"post\" \
         action=\"{target}/applications\"><input type=\"hidden\" name=\"name\" value=\"forged\">\
         <button>Take the prize</button></form></html>"
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(reader) = client.try_clone() else { continue };
            let head = BufReader::new(reader).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let length = page.len();
            // A browser that has gone away has seen enough.
            drop(write!(
                client,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{page}"
            ));
        }
    });
    format!("http://{address}/")
}

#[test]
fn a_form_of_another_site_is_refused() {
    let server = Server::fresh();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    browser.visit(&other_site(server.url()));
    browser.press_button("Take the prize");
    browser.find("heading", "You may not do this");
    browser.await_text("open the page again");
    browser.open("/");
    browser.find("heading", "No applications yet");
}

#[test]
fn a_form_without_its_token_is_refused_and_scripts_see_no_session() {
    let server = Server::fresh();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    assert!(visit.cookie().contains("slipway="), "{}", visit.cookie());
    for spoil in ["input.value = 'x'.repeat(input.value.length)", "input.remove()"] {
        browser.open("/new-application");
        browser.fill("Name", "forged");
        let script = format!(
            "for (const input of document.querySelectorAll('main [name=form_token]')) {spoil};
             return document.cookie"
        );
        let cookies = browser.run_script(&script, &[]);
        assert!(!cookies.as_str().unwrap_or_default().contains("slipway="), "{cookies}");
        browser.press_button("Create");
        browser.find("heading", "You may not do this");
    }
    browser.open("/");
    browser.find("heading", "No applications yet");
}

#[test]
fn a_page_cannot_be_framed_and_runs_no_script_of_its_text() {
    let server = Server::fresh();
    let visit = Visit::signed_in(&server, server.token());
    let browser = &visit.browser;
    browser.open("/");
    browser.run_script(
        "const script = document.createElement('script');
         script.textContent = 'globalThis.owned = true';
         document.body.append(script);
         const link = document.createElement('a');
         link.href = 'javascript:globalThis.owned = true';
         document.body.append(link);
         link.click();",
        &[],
    );
    assert_eq!(browser.run_script("return globalThis.owned ?? null", &[]), json!(null));
    let mut said = Vec::new();
    wait::until("the policy is told", TOLD_WITHIN, || {
        said.extend(browser.take_console());
        let is_told = said.iter().any(|line: &String| line.contains("Content Security Policy"));
        if is_told { Ok(()) } else { Err(said.join("\n")) }
    });
    let answer = server.request("GET", "/sign-in", &[("Accept", "text/html")], b"");
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}
