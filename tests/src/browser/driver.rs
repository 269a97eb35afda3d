//! Chromedriver, and WebDriver's protocol with it: JSON over HTTP (<https://www.w3.org/TR/webdriver2/>).

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::BrowserOptions;
use crate::{services, wait};

const STARTS_WITHIN: Duration = Duration::from_secs(90);
/// Longer than a page or a script is given.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
/// What a page may take to load, and a script to run.
const PAGE_WITHIN_MS: u64 = 90_000;
const FONTS: &str = include_str!("fonts.conf");

/// Runs its arguments until its input ends. A signal to the whole group, as of Ctrl-C, ends the program and not the guard
/// alone.
const GUARD: &str = r#"trap : HUP INT TERM; "$@" </dev/null & read -r _; kill -KILL $!; wait"#;

/// Without a sandbox, which root has not; with no service of its maker's; and drawn alike on every machine.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // It ends with its driver, however that ends.
    "--remote-debugging-pipe",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--disable-lcd-text",
];

/// A driver with one session.
#[derive(Debug)]
pub(super) struct Driver {
    session: String,
    browser_pid: u32,
    process: Process,
    // After the process, which writes into it.
    _directory: TempDir,
}

/// A chromedriver that listens.
#[derive(Debug)]
struct Process {
    /// What starts it, and ends it when its own input ends.
    guard: Child,
    address: String,
}

impl Driver {
    /// Starts a driver and a browser that reaches no host but that of `origin`.
    pub(super) fn start(origin: &str, options: &BrowserOptions) -> Self {
        let directory =
            tempfile::Builder::new().prefix("slipway-browser.").tempdir().expect("a temporary directory");
        let process = Process::start(directory.path());
        let wanted = capabilities(origin, options, &directory.path().join("profile"));
        let session = process.attempt("POST", "/session", &wanted);
        let session = session.unwrap_or_else(|refusal| panic!("Chromium does not start: {refusal}"));
        let id = session["sessionId"].as_str().expect("a session has an id");
        let pid = session["capabilities"]["goog:processID"].as_u64();
        let browser_pid =
            pid.and_then(|pid| u32::try_from(pid).ok()).expect("chromedriver tells the process");
        Self { session: format!("/session/{id}"), browser_pid, process, _directory: directory }
    }

    /// A command to the session, and its value or what it was refused with.
    pub(super) fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.process.attempt(method, &format!("{}{path}", self.session), body)
    }

    pub(super) fn browser_pid(&self) -> u32 {
        self.browser_pid
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ends the browser in order; what does not is ended with the driver.
        drop(self.attempt("DELETE", "", &Value::Null));
    }
}

impl Process {
    fn start(directory: &Path) -> Self {
        let (home, temporary) = (directory.join("home"), directory.join("tmp"));
        let (fonts, log) = (directory.join("fonts.conf"), directory.join("log"));
        fs::create_dir(&home).and_then(|()| fs::create_dir(&temporary)).expect("a directory");
        fs::write(&fonts, FONTS).expect("the list of fonts");
        let output = File::create(&log).expect("a log file");
        let mut command = guarded(&services::tool("chromedriver"));
        command.arg("--port=0");
        command.stdout(output.try_clone().expect("a log file")).stderr(output);
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home).env("TMPDIR", temporary).env("FONTCONFIG_FILE", fonts);
        command.env("LANG", "C.UTF-8").env("TZ", "UTC");
        let guard = command.spawn().expect("chromedriver can be started");
        let mut process = Self { guard, address: String::new() };
        let port = wait::until("chromedriver listens", STARTS_WITHIN, || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            port(&said).ok_or(said)
        });
        process.address = format!("127.0.0.1:{port}");
        process
    }

    fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let answer = exchange(&self.address, method, path, body);
        let (status, mut answer) = answer.map_err(|error| format!("no answer of chromedriver: {error}"))?;
        let value = answer["value"].take();
        if status == 200 {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or_default();
        // The lines below the first tell of the session and of chromedriver's own stack.
        Err(format!(
            "{}: {}",
            value["error"].as_str().unwrap_or("error"),
            message.lines().next().unwrap_or("")
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its input is closed before.
        drop(self.guard.wait());
    }
}

/// A program that ends at once, with its guard, when the guard's input ends: when that is closed, or with this process,
/// however this one ends.
fn guarded(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "sh"]).arg(program).stdin(Stdio::piped());
    command
}

fn port(said: &str) -> Option<u16> {
    said.split_once("started successfully on port ")?.1.split_once('.')?.0.parse().ok()
}

fn capabilities(origin: &str, options: &BrowserOptions, profile: &Path) -> Value {
    let origin = Url::parse(origin).expect("the server's address");
    let host = origin.host_str().expect("the server's address has a host");
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--user-data-dir={}", profile.display()));
    flags.push(format!("--lang={}", options.language));
    flags.push(format!("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {host}"));
    let language = match options.language.split_once('-') {
        Some((base, _)) => format!("{},{base}", options.language),
        None => options.language.clone(),
    };
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "timeouts": { "pageLoad": PAGE_WITHIN_MS, "script": PAGE_WITHIN_MS },
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        "goog:chromeOptions": {
            "binary": services::tool("chromium").display().to_string(),
            "args": flags,
            "prefs": { "intl.accept_languages": language },
            "perfLoggingPrefs": { "enableNetwork": true, "enablePage": false },
        },
    } } })
}

/// One request on a connection of its own: the status and the body of its answer. Chromedriver answers HTTP/1.1
/// alone, tells how long the body is, and leaves the connection open.
fn exchange(address: &str, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + &body).as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status: Option<u16> = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut length: usize = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer)?;
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((status, serde_json::from_slice(&answer)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_program_ends_with_the_input_of_its_guard() {
        let mut command = guarded(Path::new("sh"));
        command.args(["-c", "echo $$; exec sleep 60"]).stdout(Stdio::piped());
        let mut guard = command.spawn().expect("sh runs");
        let mut pid = String::new();
        let mut said = BufReader::new(guard.stdout.take().expect("its output"));
        said.read_line(&mut pid).expect("the program's number");
        let there = Path::new("/proc").join(pid.trim());
        assert!(there.exists(), "{}", there.display());
        guard.wait().expect("the guard ends");
        assert!(!there.exists(), "{}", there.display());
    }

    #[test]
    fn the_port_is_read_from_what_chromedriver_says() {
        let said = "Starting ChromeDriver 156.0.8078.79 on port 0\nChromeDriver was started successfully on port 39053.\n";
        assert_eq!(port(said), Some(39053));
        assert_eq!(port("Starting ChromeDriver 156.0.8078.79 on port 0\n"), None);
        assert_eq!(port("ChromeDriver was started successfully on port 39"), None, "not written to its end");
    }
}
