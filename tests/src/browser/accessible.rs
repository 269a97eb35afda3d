//! Elements as assistive technology knows them: by role and name.

use std::time::Duration;

use serde_json::{Value, json};

use super::Browser;
use crate::wait;

/// What a page may take until something is on it.
const FOUND_WITHIN: Duration = Duration::from_secs(45);
/// Key under which WebDriver gives an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What takes an input, in roles and in Chromium's own names of what has no role.
const FIELDS: &[&str] = &[
    "textbox",
    "searchbox",
    "combobox",
    "listbox",
    "checkbox",
    "radio",
    "switch",
    "slider",
    "spinbutton",
    "Date",
    "DateTime",
    "ColorWell",
];
/// Hands an element from Chromium's protocol to WebDriver, through the page.
const LEAVE: &str = "function () { globalThis[Symbol.for('slipway.found')] = this; }";
const TAKE: &str = "
    const key = Symbol.for('slipway.found');
    const found = globalThis[key];
    delete globalThis[key];
    return found;
";

/// An element of the page that is loaded.
#[derive(Debug)]
pub struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

/// What the accessibility tree says of an element.
#[derive(Debug)]
struct Node {
    role: String,
    name: String,
    /// Chromium's number of it.
    id: u64,
}

impl Browser {
    /// The one element of a role (`button`, `link`, `heading`, …: <https://www.w3.org/TR/wai-aria-1.2/#role_definitions>)
    /// with this accessible name; waits until it is there. Of several none is taken.
    pub fn find(&self, role: &str, name: &str) -> Element<'_> {
        wait::until(&wanted(role, name), FOUND_WITHIN, || self.only(role, name))
    }

    /// The one input whose label is this; waits until it is there.
    pub fn field(&self, label: &str) -> Element<'_> {
        wait::until(&format!("a field labelled «{label}»"), FOUND_WITHIN, || self.only_field(label))
    }

    /// Clicks on [`Browser::find`]'s, once that is possible.
    pub fn click(&self, role: &str, name: &str) {
        let what = format!("a click on {}", wanted(role, name));
        wait::until(&what, FOUND_WITHIN, || self.only(role, name)?.try_click());
    }

    /// Clicks on the link with this text.
    pub fn follow(&self, text: &str) {
        self.click("link", text);
    }

    /// Clicks on the button with this text.
    pub fn press_button(&self, text: &str) {
        self.click("button", text);
    }

    /// Writes into the input with this label, in place of what stands there.
    pub fn fill(&self, label: &str, text: &str) {
        let what = format!("a text in the field labelled «{label}»");
        wait::until(&what, FOUND_WITHIN, || {
            let field = self.only_field(label)?;
            field.attempt("POST", "/clear", &json!({}))?;
            field.attempt("POST", "/value", &json!({ "text": text })).map(drop)
        });
    }

    /// Chooses of the select element with this label what has this text.
    pub fn choose(&self, label: &str, text: &str) {
        let what = format!("«{text}» in the field labelled «{label}»");
        wait::until(&what, FOUND_WITHIN, || self.only_field(label)?.try_choose(text));
    }

    /// Names of the elements that have this role now, in the order of the page.
    pub fn names(&self, role: &str) -> Vec<String> {
        let nodes = self.nodes(Some(role), None).unwrap_or_else(|refusal| panic!("role {role}: {refusal}"));
        nodes.into_iter().map(|node| node.name).collect()
    }

    /// Waits until no element has this role and name.
    pub fn await_gone(&self, role: &str, name: &str) {
        wait::until(&format!("no {}", wanted(role, name)), FOUND_WITHIN, || {
            let left = self.nodes(Some(role), Some(name))?.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} there")) }
        });
    }

    /// Waits until this can be read on the page.
    pub fn await_text(&self, text: &str) {
        wait::until(&format!("«{text}» on the page"), FOUND_WITHIN, || {
            let there = self.text();
            if there.contains(text) { Ok(()) } else { Err(there) }
        });
    }

    /// Waits until the page is the one at this path and query.
    pub fn await_location(&self, path: &str) {
        wait::until(&format!("the page {path}"), FOUND_WITHIN, || {
            let there = self.location();
            if there == path { Ok(()) } else { Err(there) }
        });
    }

    /// The element that keys go to; the page itself if there is none.
    pub(super) fn active(&self) -> Result<Element<'_>, String> {
        self.element(&self.driver.attempt("GET", "/element/active", &Value::Null)?)
    }

    fn only(&self, role: &str, name: &str) -> Result<Element<'_>, String> {
        let mut found = self.nodes(Some(role), Some(name))?;
        match (found.pop(), found.len()) {
            (Some(node), 0) => self.resolve(&node),
            (Some(_), others) => Err(format!("there are {} of them", others + 1)),
            (None, _) => Err(listed(self.nodes(Some(role), None)?)),
        }
    }

    fn only_field(&self, label: &str) -> Result<Element<'_>, String> {
        let is_field = |node: &Node| FIELDS.contains(&node.role.as_str());
        let mut found = self.nodes(None, Some(label))?;
        found.retain(is_field);
        match (found.pop(), found.len()) {
            (Some(node), 0) => self.resolve(&node),
            (Some(_), others) => Err(format!("there are {} of them", others + 1)),
            (None, _) => {
                let mut all = self.nodes(None, None)?;
                all.retain(is_field);
                Err(listed(all))
            }
        }
    }

    /// What assistive technology is told of, of this role and name.
    fn nodes(&self, role: Option<&str>, name: Option<&str>) -> Result<Vec<Node>, String> {
        let document = self.attempt_cdp("Runtime.evaluate", json!({ "expression": "document" }))?;
        let mut query = json!({ "objectId": document["result"]["objectId"] });
        if let Some(role) = role {
            query["role"] = json!(role);
        }
        if let Some(name) = name {
            query["accessibleName"] = json!(name);
        }
        let found = self.attempt_cdp("Accessibility.queryAXTree", query)?;
        let nodes = found["nodes"].as_array().into_iter().flatten();
        Ok(nodes.filter(|node| node["ignored"] == json!(false)).filter_map(node).collect())
    }

    fn resolve(&self, node: &Node) -> Result<Element<'_>, String> {
        let object = self.attempt_cdp("DOM.resolveNode", json!({ "backendNodeId": node.id }))?;
        let left = json!({ "objectId": object["object"]["objectId"], "functionDeclaration": LEAVE });
        self.attempt_cdp("Runtime.callFunctionOn", left)?;
        let taken = json!({ "script": TAKE, "args": [] });
        self.element(&self.driver.attempt("POST", "/execute/sync", &taken)?)
    }

    fn element(&self, given: &Value) -> Result<Element<'_>, String> {
        let id = given[ELEMENT].as_str().ok_or_else(|| format!("no element: {given}"))?;
        Ok(Element { browser: self, id: id.to_owned() })
    }
}

impl Element<'_> {
    /// Clicks on it, as a mouse does: what lies over it gets in the way.
    pub fn click(&self) {
        self.try_click().unwrap_or_else(|refusal| panic!("no click: {refusal}"));
    }

    /// Types into it, after what stands there.
    pub fn write(&self, text: &str) {
        self.command("POST", "/value", &json!({ "text": text }));
    }

    /// What can be read of it.
    pub fn text(&self) -> String {
        self.read("/text").unwrap_or_default()
    }

    /// The value of one of its attributes, if it has that.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.read(&format!("/attribute/{name}"))
    }

    /// What an input holds.
    pub fn value(&self) -> String {
        self.read("/property/value").unwrap_or_default()
    }

    /// Whether it is ticked or chosen.
    pub fn is_selected(&self) -> bool {
        self.command("GET", "/selected", &Value::Null) == json!(true)
    }

    /// Whether it takes what is done to it.
    pub fn is_enabled(&self) -> bool {
        self.command("GET", "/enabled", &Value::Null) == json!(true)
    }

    /// Its role and accessible name, as WebDriver computes them.
    pub(super) fn role_and_name(&self) -> Result<(String, String), String> {
        let computed = |what: &str| {
            let value = self.attempt("GET", what, &Value::Null)?;
            Ok::<_, String>(value.as_str().unwrap_or_default().to_owned())
        };
        Ok((computed("/computedrole")?, computed("/computedlabel")?))
    }

    fn try_choose(&self, text: &str) -> Result<(), String> {
        let options = json!({ "using": "css selector", "value": "option" });
        for option in self.attempt("POST", "/elements", &options)?.as_array().into_iter().flatten() {
            let option = self.browser.element(option)?;
            if option.attempt("GET", "/property/text", &Value::Null)? == json!(text) {
                return option.try_click();
            }
        }
        Err("it has no such option".to_owned())
    }

    fn try_click(&self) -> Result<(), String> {
        self.attempt("POST", "/click", &json!({})).map(drop)
    }

    fn read(&self, what: &str) -> Option<String> {
        self.command("GET", what, &Value::Null).as_str().map(str::to_owned)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.attempt(method, path, body).unwrap_or_else(|refusal| panic!("{method} {path}: {refusal}"))
    }

    fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.browser.driver.attempt(method, &format!("/element/{}{path}", self.id), body)
    }
}

fn node(node: &Value) -> Option<Node> {
    let text = |field: &str| node[field]["value"].as_str().unwrap_or_default().to_owned();
    Some(Node { role: text("role"), name: text("name"), id: node["backendDOMNodeId"].as_u64()? })
}

fn wanted(role: &str, name: &str) -> String {
    format!("a {role} named «{name}»")
}

fn listed(nodes: Vec<Node>) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("{} «{}»", node.role, node.name)).collect();
    if names.is_empty() {
        "there is none of this kind".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    }
}
