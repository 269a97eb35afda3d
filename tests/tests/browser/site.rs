//! A server of a few pages, sound ones and one with planted mistakes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// As strict as a server can be: what the harness does to a page must not depend on what the page allows.
const POLICY: &str = "default-src 'self'; img-src * data:; require-trusted-types-for 'script'";

/// An address of a block for documents, where nobody listens.
pub(crate) const FOREIGN: &str = "http://203.0.113.7/pixel.png";

pub(crate) const HOME: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Home</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<nav aria-label="Main"><a href="/">Home</a> <a href="/form">Greeting</a></nav>
<main>
<h1>部署 Deployments</h1>
<p>This is visit <span class="visits" data-changing>VISITS</span> of this page.</p>
</main>
</body>
</html>
"#;

const FORM: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Greeting</title>
<link rel="icon" href="data:,">
</head>
<body>
<main>
<h1>Greeting</h1>
<form action="/greeted">
<label>Your name <input name="who" value="nobody"></label>
<label>Manner <select name="manner"><option>short</option><option>long</option></select></label>
<button>Greet</button>
</form>
</main>
</body>
</html>
"#;

const FAULTY: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Faulty</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script src="/planted.js"></script>
</head>
<body>
<main>
<h1>Faulty</h1>
<img src="http://203.0.113.7/pixel.png">
<div class="wide" id="wide">Wide</div>
</main>
</body>
</html>
"#;

const STYLE: &str = ".visits { display: inline-block; width: 4em } .wide { width: 600px }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } a { color: #9cf } }";

/// A running server; it ends with the test.
pub(crate) struct Site {
    origin: String,
    languages: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let languages = Arc::new(Mutex::new(Vec::new()));
        let (heard, visits) = (Arc::clone(&languages), Arc::new(AtomicU32::new(0)));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (heard, visits) = (Arc::clone(&heard), Arc::clone(&visits));
                // A browser opens connections that it may never use.
                thread::spawn(move || drop(serve(client, &heard, &visits)));
            }
        });
        Self { origin, languages }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// `Accept-Language` of each request so far.
    pub(crate) fn languages(&self) -> Vec<String> {
        self.languages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, heard: &Mutex<Vec<String>>, visits: &AtomicU32) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("accept-language") {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(value.trim().to_owned());
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (kind, body) = match path {
        "/" => ("text/html", HOME.replace("VISITS", &visits.fetch_add(1, Ordering::Relaxed).to_string())),
        "/form" => ("text/html", FORM.to_owned()),
        "/greeted" => ("text/html", FORM.replace("Greeting</h1>", &format!("Hello, {query}</h1>"))),
        "/faulty" => ("text/html", FAULTY.to_owned()),
        "/style.css" => ("text/css", STYLE.to_owned()),
        "/planted.js" => ("text/javascript", "console.log('a planted message');".to_owned()),
        _ => ("text/plain", "not here".to_owned()),
    };
    let status = if body == "not here" { "404 Not Found" } else { "200 OK" };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
         Content-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n{body}"
    )
}
