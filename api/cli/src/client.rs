//! Talking to a server: addresses, tokens, problems.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::Violation;

use crate::output::say;

mod silence;

use silence::Patience;
pub(crate) use silence::Silent;

/// How many rows of a list are asked for at once.
const ROWS_AT_ONCE: usize = 200;

/// Where the server of the default configuration listens.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7300";

/// A server's refusal: RFC 9457 problem details.
#[derive(Debug, Default, thiserror::Error, Deserialize)]
#[error("{}", .detail.as_deref().unwrap_or(.title))]
pub(crate) struct Problem {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What kind of problem.
    #[serde(default)]
    pub title: String,
    /// What exactly.
    pub detail: Option<String>,
    /// Stable word.
    #[serde(default)]
    pub code: String,
    /// Stable word for what a step of the pipeline failed of.
    pub fault: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// What stands against what was sent, where there can be several things.
    #[serde(default)]
    pub violations: Vec<Violation>,
}

impl Problem {
    /// Whether the server does not know what was named.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 || self.fault.as_deref() == Some("git_not_found")
    }
}

/// Wrong usage that only shows at run time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

/// A wait that is over without an end, because the server is away.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server at {server} is away, and what is waited for goes on when it is back. Then go on by: {again}"
)]
pub(crate) struct Unended {
    /// Its address.
    pub server: String,
    /// The command that waits for the same, or looks at it.
    pub again: String,
}

/// Whether a server is not there for now, as while it is replaced: nothing listens, it is silent, its answer broke
/// off, or what stands before it has nobody to ask.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    if error.is::<Silent>() {
        return true;
    }
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return matches!(problem.status, 502..=504);
    }
    // Who speaks another TLS, or none, does so the next time too.
    let stays =
        |error: &reqwest::Error| error.is_builder() || says(error, BAD_CERTIFICATE) || says(error, NO_TLS);
    error.downcast_ref::<reqwest::Error>().is_some_and(|error| !stays(error))
}

/// The exit code that tells scripts what kind of failure it was.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    // What was understood and refused for what it says is no wrong usage of the command.
    let is_malformed = |problem: &Problem| problem.status == 400 || problem.code == "bad_body";
    if error.is::<Unended>() {
        3
    } else if error.is::<Usage>() || error.downcast_ref::<Problem>().is_some_and(is_malformed) {
        2
    } else {
        1
    }
}

/// How to reach a server.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of the server; else what `slipway login` stored, else the local default
    #[arg(long, env = "SLIPWAY_SERVER", global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Access token; else what `slipway login` stored
    #[arg(long, env = "SLIPWAY_TOKEN", global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// What `slipway login` stores.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Login {
    pub server: String,
    pub token: String,
}

/// Where `slipway login` stores it.
pub(crate) fn login_file() -> Result<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    Ok(config.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("slipway").join("login.toml"))
}

/// A server with a token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
    patience: Patience,
}

/// What TLS says of a certificate that nobody it trusts has signed.
const BAD_CERTIFICATE: &str = "invalid peer certificate";
/// What TLS says where plain HTTP answers.
const NO_TLS: &str = "InvalidContentType";
/// What is said where a name leads to no address.
const NO_ADDRESS: &str = "dns error";

/// Whether the host's name led to no address.
pub(crate) fn is_unresolved(error: &reqwest::Error) -> bool {
    says(error, NO_ADDRESS)
}

/// Whether one of the causes has these words, which is all that tells why there is no connection.
fn says(error: &reqwest::Error, words: &str) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains(words) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What `login` stored, if it did.
fn stored_login() -> Result<Option<Login>> {
    let Ok(path) = login_file() else { return Ok(None) };
    let advice = || format!("{} is damaged: run `slipway login` again", path.display());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(error).with_context(advice);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    Ok(Some(toml::from_str(&text).with_context(advice)?))
}

impl Client {
    /// A client of the server that flags, environment or login name.
    pub(crate) fn new(args: &ServerArgs) -> Result<Self> {
        let stored = stored_login()?;
        // A variable of a script that is set to nothing is not set.
        let given = |text: Option<&String>| text.filter(|text| !text.trim().is_empty()).cloned();
        let base = given(args.server.as_ref()).or_else(|| stored.as_ref().map(|login| login.server.clone()));
        let base = base.unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        let base = base.trim_end_matches('/').to_owned();
        // A stored token belongs to the server it was stored for.
        let stored_token = stored.filter(|login| login.server == base).map(|login| login.token);
        let token = given(args.token.as_ref()).or(stored_token);
        let token = token.map(|token| SecretString::from(token.trim().to_owned()));
        Self::connect(&base, token)
    }

    /// A client of the server at `base`.
    pub(crate) fn connect(base: &str, token: Option<SecretString>) -> Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            let host = base.split_once("://").map_or(base.as_str(), |(_, host)| host);
            bail!(Usage(format!(
                "`{base}` is not a server address: expected http://{host} or https://{host}"
            )));
        }
        let patience = Patience::default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.connection)
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, base, token, patience })
    }

    /// The same where an answer to a question is worth no more than `limit`.
    #[must_use]
    pub(crate) fn answered_within(self, limit: Duration) -> Self {
        Self { patience: self.patience.for_answers_within(limit), ..self }
    }

    /// The token, as registries take it for a password.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        refuse_empty_names(path)?;
        let request = self.http.request(method, format!("{}{path}", self.base));
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }

    /// The head of the answer. What takes long is told of, and what never answers is given up.
    async fn answer(&self, request: RequestBuilder) -> Result<reqwest::Response> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| self.unreached(error))?;
        let is_question = request.method() == Method::GET;
        let Patience { unsaid, question, change, .. } = self.patience;
        let limit = if is_question { question } else { change };
        let answer = http.execute(request);
        tokio::pin!(answer);
        let unsaid = unsaid.min(limit);
        if let Ok(answered) = tokio::time::timeout(unsaid, answer.as_mut()).await {
            return answered.map_err(|error| self.unreached(error));
        }
        let more = limit.saturating_sub(unsaid);
        if !more.is_zero() {
            let shown = silence::shown(more);
            say(format!("{} has not answered yet: waiting for up to {shown} more.", self.base));
            if let Ok(answered) = tokio::time::timeout(more, answer).await {
                return answered.map_err(|error| self.unreached(error));
            }
        }
        let silent = if is_question { Silent::to_question } else { Silent::to_change };
        Err(silent(&self.base, limit).into())
    }

    /// Why there is no answer, and what to do.
    fn unreached(&self, error: reqwest::Error) -> anyhow::Error {
        let base = &self.base;
        let another = "name its address by `slipway login` or SLIPWAY_SERVER";
        let advice = if says(&error, BAD_CERTIFICATE) {
            format!(
                "the certificate of {base} is not trusted: set SSL_CERT_FILE to the file of its authority"
            )
        } else if says(&error, NO_TLS) {
            format!("what answers at {base} does not speak TLS: is its address http://…?")
        } else if is_unresolved(&error) {
            format!(
                "the host's name in {base} cannot be resolved: is it spelt right, and known here? If not, {another}"
            )
        } else if error.is_connect() && error.is_timeout() {
            let waited = silence::shown(self.patience.connection);
            format!(
                "nothing at {base} took a connection within {waited}: is `slipway serve` running there, and does a \
                 firewall let you through? Else {another}"
            )
        } else if error.is_connect() {
            format!("no server answers at {base}: is `slipway serve` running? Else {another}")
        } else {
            format!("the server at {base} did not answer")
        };
        anyhow::Error::new(error).context(advice)
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response> {
        let response = self.answer(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await.unwrap_or_default();
        Err(problem(status, &body, self.token.is_some()).into())
    }

    /// What follows the head, handed on piece by piece. An answer that does not go on is given up.
    async fn pieces(
        &self,
        mut response: reqwest::Response,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let limit = self.patience.piece;
        loop {
            let piece = tokio::time::timeout(limit, response.chunk()).await;
            let piece = piece.map_err(|_| Silent::in_answer(&self.base, limit))?;
            match piece.context("the server's answer broke off")? {
                Some(piece) => each(&piece)?,
                None => return Ok(()),
            }
        }
    }

    async fn body(&self, response: reqwest::Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let gathered = self.pieces(response, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        });
        gathered.await?;
        Ok(body)
    }

    /// GET, as JSON.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        let response = self.send(self.request(Method::GET, &with_query(path, query))?).await?;
        self.read(&self.body(response).await?)
    }

    /// Every row of a paged list, up to `limit`.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut after: Option<String> = None;
        while rows.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", (limit - rows.len()).min(ROWS_AT_ONCE).to_string()));
            query.extend(after.take().map(|after| ("after", after)));
            let page = self.get(path, &query).await?;
            rows.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(rows)
    }

    /// Every row of a paged list. A release that gives such a list whole may refuse `limit`, so pages are made larger
    /// once it is known that there are some.
    pub(crate) async fn whole(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>> {
        let mut page = self.get(path, query).await?;
        let mut rows: Vec<Value> = Vec::new();
        loop {
            rows.extend(
                page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default(),
            );
            let Some(next) = page["next"].as_str() else { return Ok(rows) };
            let mut query = query.to_vec();
            query.extend([("limit", ROWS_AT_ONCE.to_string()), ("after", next.to_owned())]);
            page = self.get(path, &query).await?;
        }
    }

    /// A request with a JSON body; `Null` for an answer without one.
    pub(crate) async fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let response = self.send(self.request(method, path)?.json(body)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let bytes = self.body(response).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        self.read(&bytes)
    }

    /// An answer as JSON. Where it is none, it is no Slipway that answers; how far it came helps nobody.
    fn read(&self, answer: &[u8]) -> Result<Value> {
        serde_json::from_slice(answer).map_err(|_| {
            anyhow!("what answers at {} is not JSON: is that the address of a Slipway server?", self.base)
        })
    }

    /// POST with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send_json(Method::POST, path, body).await
    }

    /// PUT with a JSON body.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.send_json(Method::PUT, path, body).await
    }

    /// GET of what may not exist.
    pub(crate) async fn find(&self, path: &str, query: &[(&str, String)]) -> Result<Option<Value>> {
        match self.get(path, query).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.downcast_ref::<Problem>().is_some_and(Problem::is_not_found) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.send_json(Method::DELETE, path, &serde_json::json!({})).await
    }

    /// GET of raw bytes, handed on piece by piece; returns the response's headers first.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<reqwest::header::HeaderMap> {
        let request = self.request(Method::GET, &with_query(path, query))?.header("accept", accept);
        let response = self.send(request).await?;
        let headers = response.headers().clone();
        self.pieces(response, each).await?;
        Ok(headers)
    }
}

/// A name that is empty would lead to another address than the one that is meant.
fn refuse_empty_names(path: &str) -> Result<()> {
    let names = path.split_once('?').map_or(path, |(names, _)| names);
    if names.ends_with('/') || names.contains("//") {
        bail!(Usage("a name or version that was given is empty: is a variable of a script not set?".into()));
    }
    Ok(())
}

/// `path` with a query, its values escaped.
fn with_query(path: &str, query: &[(&str, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query);
    format!("{path}?{}", pairs.finish())
}

fn problem(status: StatusCode, body: &[u8], with_token: bool) -> Problem {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    // The registry below `/v2` has its own shape of errors.
    let registry = answer["errors"][0]["message"].as_str().map(ToOwned::to_owned);
    let mut problem = serde_json::from_value(answer).unwrap_or_else(|_| Problem::default());
    if problem.title.is_empty() && problem.detail.is_none() {
        problem.title = format!("the server answered {status}");
        problem.detail = registry;
        if status == StatusCode::NOT_FOUND && problem.detail.is_none() {
            // Slipway says what there is not.
            problem.hint =
                Some("is it a Slipway? See its address: --server, SLIPWAY_SERVER, `slipway login`".into());
        }
    }
    problem.status = status.as_u16();
    if status == StatusCode::UNAUTHORIZED {
        // The server's own hint tells of headers, which this program sends.
        problem.hint = Some(if with_token {
            "an administrator makes tokens by `slipway token create`; then run `slipway login`".into()
        } else {
            "run `slipway login` or set SLIPWAY_TOKEN; the first token is in admin.token of the server's data \
             directory"
                .into()
        });
    }
    problem
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::Json;
    use axum::extract::Query;
    use serde_json::json;

    use super::*;

    fn code(problem: &str) -> u8 {
        let problem: Problem = serde_json::from_str(problem).unwrap();
        exit_code(&problem.into())
    }

    /// A list of three rows in two pages; what asks for another page is told of none.
    async fn page(Query(asked): Query<BTreeMap<String, String>>) -> Json<Value> {
        let given = |key: &str| asked.get(key).map(String::as_str);
        Json(match (given("of"), given("after"), given("limit")) {
            (Some("a"), None, None) => json!({"items": [1, 2], "next": "b/2"}),
            (Some("a"), Some("b/2"), Some("200")) => json!({"items": [3]}),
            (None, None, None) => json!([]),
            _ => json!({"items": ["not asked for as it should be"]}),
        })
    }

    #[tokio::test]
    async fn a_whole_list_is_followed_to_its_end() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let served = axum::Router::new().route("/rows", axum::routing::get(page));
        let serving = tokio::spawn(async move { axum::serve(listener, served).await });
        let client = Client::connect(&base, None).unwrap();
        let rows = client.whole("/rows", &[("of", "a".to_owned())]).await.unwrap();
        assert_eq!(rows, [1, 2, 3]);
        assert!(client.whole("/rows", &[]).await.unwrap().is_empty());
        serving.abort();
    }

    #[test]
    fn an_empty_name_leads_nowhere_else() {
        for empty in ["/api/v1/applications/", "/api/v1/bundles//1.0.0", "/api/v1/secrets/?team=a"] {
            assert!(refuse_empty_names(empty).is_err(), "{empty}");
        }
        for named in ["/api/v1/applications", "/api/v1/applications/shop", "/api/v1/where?environment=a//b/"]
        {
            assert!(refuse_empty_names(named).is_ok(), "{named}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_with_the_way_out() {
        for (given, wanted) in [("ftp://x", "http://x or https://x"), ("x:7300", "http://x:7300 or")] {
            let refused = Client::connect(given, None).err().unwrap().to_string();
            assert!(refused.contains(&format!("expected {wanted}")), "{refused}");
        }
    }

    #[test]
    fn what_is_refused_for_what_it_says_is_no_wrong_usage() {
        let violation =
            r#"{"code": "unknown_definition", "path": "components[web]", "message": "there is no `x`"}"#;
        assert_eq!(code(&format!(r#"{{"status": 422, "violations": [{violation}]}}"#)), 1);
        assert_eq!(code(r#"{"status": 422, "code": "never_ran", "detail": "generation 3 never ran"}"#), 1);
        assert_eq!(code(r#"{"status": 409}"#), 1);
    }

    #[test]
    fn what_is_malformed_is_wrong_usage() {
        assert_eq!(code(r#"{"status": 422, "code": "bad_body", "detail": "an unknown field"}"#), 2);
        assert_eq!(code(r#"{"status": 400, "code": "bad_query", "detail": "limit: a number"}"#), 2);
    }

    #[test]
    fn a_wait_without_an_end_is_no_failure() {
        let away = anyhow::Error::new(Problem { status: 503, ..Problem::default() });
        let unended = Unended { server: DEFAULT_SERVER.into(), again: "slipway run wait shop#1".into() };
        assert_eq!((exit_code(&away), exit_code(&away.context(unended))), (1, 3));
    }
}
