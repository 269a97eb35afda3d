//! What a browser writes to its console, and what it asks servers for.

use std::sync::{MutexGuard, PoisonError};

use reqwest::Url;
use serde_json::{Value, json};

use super::Browser;

/// What it has said since somebody last asked.
#[derive(Debug, Default)]
pub(super) struct Journal {
    console: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// What came to the console since this was last asked, oldest first: messages of scripts, errors, what was
    /// not found, what a policy forbade. `SEVERE console-api: http://… 3:9 "text"`.
    pub fn take_console(&self) -> Vec<String> {
        self.try_take_console().unwrap_or_else(|refusal| panic!("no console: {refusal}"))
    }

    /// Every address that the browser has asked for since this was last asked, in order, redirections and web
    /// sockets too.
    pub fn take_requests(&self) -> Vec<String> {
        self.gather().unwrap_or_else(|refusal| panic!("no log of requests: {refusal}"));
        std::mem::take(&mut self.journal().requests)
    }

    /// Asserts that since the last look the console stayed empty and no request went past the server.
    pub fn assert_clean(&self) {
        let console = self.take_console();
        assert!(console.is_empty(), "on {} the console says:\n{}", self.location(), console.join("\n"));
        let foreign = self.take_foreign_requests();
        assert!(foreign.is_empty(), "{} asked elsewhere for:\n{}", self.location(), foreign.join("\n"));
    }

    /// What of [`Browser::take_requests`] went past the server.
    pub fn take_foreign_requests(&self) -> Vec<String> {
        let mut requests = self.take_requests();
        requests.retain(|url| !same_server(url, &self.origin));
        requests
    }

    pub(super) fn try_take_console(&self) -> Result<Vec<String>, String> {
        self.gather()?;
        Ok(std::mem::take(&mut self.journal().console))
    }

    /// Chromedriver tells each entry once.
    fn gather(&self) -> Result<(), String> {
        let log = |kind: &str| {
            let entries = self.driver.attempt("POST", "/se/log", &json!({ "type": kind }))?;
            Ok::<_, String>(entries.as_array().cloned().unwrap_or_default())
        };
        let (console, events) = (log("browser")?, log("performance")?);
        let mut journal = self.journal();
        journal.console.extend(console.iter().map(message));
        journal.requests.extend(events.iter().filter_map(requested));
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(entry: &Value) -> String {
    let field = |name: &str| entry[name].as_str().unwrap_or_default();
    format!("{} {}: {}", field("level"), field("source"), field("message"))
}

/// The address that an event of Chromium's protocol tells of, unless the browser finds it within itself.
fn requested(entry: &Value) -> Option<String> {
    let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let event = &event["message"];
    let url = match event["method"].as_str()? {
        "Network.requestWillBeSent" => &event["params"]["request"]["url"],
        "Network.webSocketCreated" => &event["params"]["url"],
        _ => return None,
    };
    let url = url.as_str()?;
    let within = ["about:", "blob:", "chrome:", "data:", "devtools:"];
    (!within.iter().any(|scheme| url.starts_with(scheme))).then(|| url.to_owned())
}

fn same_server(url: &str, origin: &str) -> bool {
    let server = |url: &str| {
        let url = Url::parse(url).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    };
    server(url).is_some_and(|asked| Some(asked) == server(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_its_host_and_port() {
        let origin = "http://127.0.0.1:8080";
        for own in ["http://127.0.0.1:8080/", "http://127.0.0.1:8080/a?b#c", "ws://127.0.0.1:8080/events"] {
            assert!(same_server(own, origin), "{own}");
        }
        for foreign in [
            "http://127.0.0.1:8081/",
            "http://127.0.0.1:80800/",
            "http://127.0.0.1/",
            "http://localhost:8080/",
            "http://127.0.0.1:8080.example.org/",
            "mailto:a@example.org",
        ] {
            assert!(!same_server(foreign, origin), "{foreign}");
        }
        assert!(same_server("http://slipway.test/", "http://slipway.test:80"));
    }

    #[test]
    fn events_of_requests_are_told_from_others() {
        let event = |method: &str, params: Value| json!({ "message": json!({ "message": { "method": method, "params": params } }).to_string() });
        let request = |url: &str| event("Network.requestWillBeSent", json!({ "request": { "url": url } }));
        assert_eq!(requested(&request("http://a/")), Some("http://a/".to_owned()));
        assert_eq!(
            requested(&event("Network.webSocketCreated", json!({ "url": "ws://a/" }))),
            Some("ws://a/".to_owned())
        );
        assert_eq!(requested(&request("data:image/gif;base64,R0lG")), None);
        assert_eq!(
            requested(&event("Network.responseReceived", json!({ "response": { "url": "http://a/" } }))),
            None
        );
    }
}
