//! What is done with bundles: a label is edited, two are compared.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::browser::{DESKTOP, PHONE};
use slipway_tests::server::{Server, shop};
use slipway_tests::wait;

use crate::visit::{Taste, Visit};
use crate::words::{CHINESE, ENGLISH, Words};

/// Key under which WebDriver gives an element.
pub(crate) const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long it may take until a part of the page stays as it is.
pub(crate) const SENT_WITHIN: Duration = Duration::from_secs(45);

/// Of the form that has this button: the input with a label, or the button itself.
const PART_OF_FORM: &str = "
    const [button, label] = arguments;
    const said = element => element.textContent.trim();
    for (const details of document.querySelectorAll('main details')) details.open = true;
    for (const form of document.querySelectorAll('main form')) {
        const found = [...form.querySelectorAll('button')].find(one => said(one) === button);
        if (!found) continue;
        if (label === null) return found;
        const labels = [...form.querySelectorAll('label')];
        return labels.find(one => said(one).startsWith(label))?.control ?? null;
    }
    return null;
";

pub(crate) fn two_bundles() -> Server {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop();
    server.publish(&app, &repository, "main", "Open the shop");
    repository.write("web/index.html", "<p>Welcome.</p>\n");
    server.publish(&app, &repository, "main", "Welcome whoever comes in");
    server
}

impl Visit<'_> {
    /// Fills the form that has this button, of several the first, and sends it.
    pub(crate) fn send_form(&self, button: &str, fields: &[(&str, &str)]) {
        // A page that lives may exchange its parts between two commands.
        for (label, text) in fields {
            wait::until(&format!("«{text}» in the field {label}"), SENT_WITHIN, || {
                let input = self.part_of_form(button, &json!(label));
                self.browser.attempt("POST", &format!("/element/{input}/clear"), &json!({}))?;
                let text = json!({ "text": text });
                self.browser.attempt("POST", &format!("/element/{input}/value"), &text)
            });
        }
        wait::until(&format!("a click on «{button}»"), SENT_WITHIN, || {
            let button = self.part_of_form(button, &Value::Null);
            self.browser.attempt("POST", &format!("/element/{button}/click"), &json!({}))
        });
    }

    fn part_of_form(&self, button: &str, label: &Value) -> String {
        let found = self.browser.run_script(PART_OF_FORM, &[json!(button), label.clone()]);
        let id = found[ELEMENT].as_str();
        let id =
            id.unwrap_or_else(|| panic!("no form with «{button}» and {label} on {}", self.browser.text()));
        id.to_owned()
    }

    /// Opens a bundle by the application's list.
    fn open_bundle(&self, version: &str) {
        self.browser.open("/applications/shop");
        self.browser.follow(version);
        self.browser.await_location(&format!("/applications/shop/bundles/{version}"));
    }

    /// Gives a bundle a label, and another value in place; the list then finds it by that.
    fn edit_label(&self, version: &str) {
        self.open_bundle(version);
        let words = self.words;
        self.send_form(
            words.add_label,
            &[(words.key, "qa"), (words.value, "failed"), (words.why, "suite 811")],
        );
        self.browser.await_text("suite 811");
        self.send_form(words.set, &[(words.value, "passed"), (words.why, "suite 812")]);
        self.browser.await_text("suite 812");
        self.browser.open(&format!("/applications/shop/bundles/{version}"));
        self.look("bundle");
        self.browser.open("/applications/shop?selector=qa%3Dpassed");
        self.browser.find("link", version);
        assert!(!self.browser.text().contains("0.1.0-main.1"), "{}", self.browser.text());
    }

    /// Compares the two bundles that the list offers by itself: the last with the one before.
    fn compare_bundles(&self) {
        self.browser.open("/applications/shop");
        self.browser.press_button(self.words.compare_chosen);
        self.browser.find("heading", &format!("{}: shop", self.words.compare));
        let at = self.browser.location();
        assert!(at.contains("from=0.1.0-main.1") && at.contains("to=0.1.0-main.2"), "{at}");
        for text in ["web", self.words.component_changed, "Welcome whoever comes in"] {
            self.browser.await_text(text);
        }
        self.look("compare");
    }
}

fn a_label_is_edited_and_two_bundles_are_compared(words: &'static Words, window: (u32, u32)) {
    let server = two_bundles();
    let visit = Visit::begin(&server, Taste { words, window });
    visit.sign_in(server.token());
    visit.edit_label("0.1.0-main.2");
    visit.compare_bundles();
}

#[test]
fn bundles_in_english_on_a_desktop() {
    a_label_is_edited_and_two_bundles_are_compared(&ENGLISH, DESKTOP);
}

#[test]
fn bundles_in_english_on_a_telephone() {
    a_label_is_edited_and_two_bundles_are_compared(&ENGLISH, PHONE);
}

#[test]
fn bundles_in_chinese_on_a_desktop() {
    a_label_is_edited_and_two_bundles_are_compared(&CHINESE, DESKTOP);
}

#[test]
fn bundles_in_chinese_on_a_telephone() {
    a_label_is_edited_and_two_bundles_are_compared(&CHINESE, PHONE);
}
