//! A deployment that the built-in core drives, watched in a browser: it is held at a step, let on, and its objects are
//! looked at as the cluster has them.

use std::fs;
use std::time::Duration;

use serde_json::json;
use slipway_tests::browser::Key;
use slipway_tests::wait;

use crate::deploying::Prod;
use crate::visit::Visit;

const ASKED_WITHIN: Duration = Duration::from_secs(60);
const ASKED: &str = "return document.querySelectorAll('details[open] [data-asked]').length";

#[test]
fn a_workflow_is_watched_held_and_let_on() {
    let prod = Prod::with(&json!({"receiver": {"type": "core"}}));
    let server = &prod.server;
    let workflow = json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": {"components": [], "workflow": {"steps": [
            {"name": "roll", "type": "deploy"},
            {"name": "look", "type": "suspend", "properties": {"message": "Look at the settings."}},
        ]}},
    });
    let file = server.scratch().join("workflow.json");
    fs::write(&file, workflow.to_string()).expect("a file");
    let file = file.display().to_string();
    let create = ["deploy", "create", "shop", "--env", "prod", "--bundle", "0.1.0-main.1", "-f", &file];
    server.cli(&[&create[..], &["--no-wait"]].concat()).ok();
    let page = prod.newest();

    let visit = Visit::signed_in(server, server.token());
    let browser = &visit.browser;
    browser.open(&page);
    visit.mark();
    visit.await_status("suspended");
    browser.await_text("Look at the settings.");
    visit.assert_same_page();
    visit.assert_sound();
    visit.click_on("a.button[href*='/resume?node=']");
    browser.await_location(&format!("{page}/resume?node=step.look"));
    visit.assert_sound();
    visit.click_on("main [name=reason]");
    browser.write("it is well");
    browser.press(Key::Enter);
    browser.await_location(&page);
    visit.mark();
    visit.await_status("live");
    visit.assert_same_page();

    visit.click_on("details[data-part] > summary");
    wait::holds("the cluster was asked", ASKED_WITHIN, || browser.run_script(ASKED, &[]) == json!(1));
    browser.await_text("ConfigMap");
    visit.assert_same_page();
    visit.assert_sound();
}
