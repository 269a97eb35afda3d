//! A real Chromium on pages of a server, driven as people use it: by roles and names, by labels, by keys.
//!
//! It reaches the server's host and nothing else. What it writes to its console and every address that it asks
//! for are kept for the test to look at. Each browser is a process of its own with an empty profile; it ends
//! when it is dropped.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

mod accessible;
mod axe;
mod driver;
mod emulation;
mod first_load;
pub mod html;
mod keyboard;
mod mouse;
pub mod picture;
mod traffic;

pub use accessible::Element;
pub use emulation::{Line, Motion, Scheme};
pub use first_load::{FIRST_LOAD_BYTES_MAX, FirstLoad, Shift};
pub use keyboard::{Focus, Key};

use driver::Driver;
use picture::Gallery;
use traffic::Journal;

/// How long a page may take to look as approved.
const LOOKS_WITHIN: Duration = Duration::from_secs(20);

/// Width and height of a telephone's window, in CSS pixels.
pub const PHONE: (u32, u32) = (390, 844);
/// Width and height of a desktop's window, in CSS pixels.
pub const DESKTOP: (u32, u32) = (1440, 900);

/// What a browser is like when it starts.
#[derive(Debug, Clone)]
pub struct BrowserOptions {
    /// Width and height of its window, in CSS pixels; one of them is one pixel of a picture.
    pub window: (u32, u32),
    /// The language that its user reads, as BCP 47 has it: `en-US`, `zh-CN`. It is asked for by
    /// `Accept-Language` and tells how dates and numbers are written.
    pub language: String,
    /// Which colours its user prefers.
    pub scheme: Scheme,
    /// Whether its user can bear what moves.
    pub motion: Motion,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self {
            window: DESKTOP,
            language: "en-US".to_owned(),
            scheme: Scheme::Light,
            motion: Motion::NoPreference,
        }
    }
}

/// A browser with one window, on pages of one server.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    origin: String,
    journal: Mutex<Journal>,
}

impl Browser {
    /// Starts it for the server at `origin`: `http://127.0.0.1:PORT`.
    pub fn start(origin: &str, options: &BrowserOptions) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        let driver = Driver::start(&origin, options);
        let browser = Self { driver, origin, journal: Mutex::new(Journal::default()) };
        browser.visit("about:blank");
        // What its own first page did.
        browser.take_console();
        browser.take_requests();
        browser.window(options.window);
        browser.prefers(options.scheme, options.motion);
        browser.cdp("Emulation.setLocaleOverride", json!({ "locale": options.language }));
        browser
    }

    /// Starts it as most people have it.
    pub fn on(origin: &str) -> Self {
        Self::start(origin, &BrowserOptions::default())
    }

    /// Loads a page of the server, `/apps/shop`, and waits until it is there with all it needs.
    pub fn open(&self, path: &str) {
        self.visit(&format!("{}{path}", self.origin));
    }

    /// Loads what lies at a whole address.
    pub fn visit(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.command("POST", "/refresh", &json!({}));
    }

    /// Goes back by one page.
    pub fn back(&self) {
        self.command("POST", "/back", &json!({}));
    }

    /// Path and query of the page: `/apps/shop?tab=runs`. A whole address if it is another server's.
    pub fn location(&self) -> String {
        let url = self.text_of("/url");
        match url.strip_prefix(&self.origin) {
            Some(path) => path.to_owned(),
            None => url,
        }
    }

    /// The page's title.
    pub fn title(&self) -> String {
        self.text_of("/title")
    }

    /// What can be read on the page.
    pub fn text(&self) -> String {
        let text = self.run_script("return document.body ? document.body.innerText : ''", &[]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Runs the body of a function on the page, with `arguments`, and gives what it returns.
    pub fn run_script(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// A command of WebDriver (<https://www.w3.org/TR/webdriver2/>) to the session: `path` is what follows its id.
    /// Panics with what is said if it is refused.
    pub fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.attempt(method, path, body).unwrap_or_else(|refusal| panic!("{method} {path}: {refusal}"))
    }

    /// The same; gives what is said if it is refused, as of an element whose part of the page was exchanged meanwhile.
    pub fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.driver.attempt(method, path, body)
    }

    /// A command of Chromium's own protocol (<https://chromedevtools.github.io/devtools-protocol/>).
    pub fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.attempt_cdp(command, parameters).unwrap_or_else(|refusal| panic!("{command}: {refusal}"))
    }

    /// Id of the browser's first process.
    pub fn pid(&self) -> u32 {
        self.driver.browser_pid()
    }

    /// Asserts that the page, from its top to its end, looks as the approved picture of this name does; see
    /// [`picture`]. It is made ready before each look: what lives on the page may be told anew between two.
    pub fn assert_looks_as(&self, name: &str, made_ready: impl Fn()) {
        let (gallery, end) = (Gallery::of_repository(), Instant::now() + LOOKS_WITHIN);
        loop {
            made_ready();
            let photograph = self.photograph();
            if gallery.is_approved(name, &photograph) {
                return;
            }
            if Instant::now() > end {
                let compared = gallery.check(name, &photograph);
                return compared.unwrap_or_else(|difference| panic!("{difference}"));
            }
        }
    }

    fn attempt_cdp(&self, command: &str, parameters: Value) -> Result<Value, String> {
        self.driver.attempt("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What an expression, or the promise that it is, comes to. The page's own policies do not bind it.
    fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.cdp("Runtime.evaluate", parameters);
        let failed = &answer["exceptionDetails"];
        assert!(failed.is_null(), "a script failed on {}: {failed}", self.location());
        answer["result"]["value"].take()
    }

    fn text_of(&self, path: &str) -> String {
        self.command("GET", path, &Value::Null).as_str().expect("WebDriver gives a text").to_owned()
    }

    /// Where it was and what it saw, without a panic: a test has failed already.
    fn last_words(&self) -> String {
        let url = self.driver.attempt("GET", "/url", &Value::Null).unwrap_or_else(Value::String);
        let mut words = format!("--- the browser was at {url}\n");
        for message in self.try_take_console().unwrap_or_else(|refusal| vec![refusal]) {
            words.push_str(&format!("console: {message}\n"));
        }
        let name = thread::current().name().unwrap_or("test").replace("::", "-");
        let path = Gallery::of_repository().failures().join(format!("{name}.failed.png"));
        let shot = self.driver.attempt("GET", "/screenshot", &Value::Null);
        let bytes = shot.ok().and_then(|shot| STANDARD.decode(shot.as_str()?).ok());
        if let (Some(bytes), Some(directory)) = (bytes, path.parent())
            && fs::create_dir_all(directory).and_then(|()| fs::write(&path, bytes)).is_ok()
        {
            words.push_str(&format!("what it showed is in {}\n", path.display()));
        }
        words.push_str("---");
        words
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            print(&self.last_words());
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows where its browser was")]
fn print(words: &str) {
    eprintln!("{words}");
}
