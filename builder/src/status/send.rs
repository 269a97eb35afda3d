//! One request to a forge: to checked addresses only, within its time, without redirects.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use slipway_git::fetch::resolve;
use slipway_types::Fault;
use url::{Host, Url};

use super::StatusOptions;
use super::forge::{Forge, Status, Token};

/// The part of a refusal that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 10;
/// The part of a forge's reason that is shown, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Why a forge was not told, and how soon it wants to be asked again.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) after: Option<Duration>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, after: None }
    }
}

/// Posts a status.
pub(super) async fn post(status: &Status, token: &Token, options: &StatusOptions) -> Result<(), Refusal> {
    let client = client(&status.url, options).await?;
    let request = client.post(status.url.clone()).json(&status.body);
    let request = authorize(request, status.forge, token)?;
    let host = status.url.host_str().unwrap_or_default();
    let answer = request.send().await.map_err(|error| failed(host, &error))?;
    if answer.status().is_success() {
        return Ok(());
    }
    refused(status.forge, host, answer, token).await
}

/// A client that connects to the checked addresses and to no others.
async fn client(url: &Url, options: &StatusOptions) -> Result<Client, Fault> {
    let schemes_differ = url.scheme() != "https" && !(options.git.allow_http && url.scheme() == "http");
    if schemes_differ {
        return Err(Fault::permanent("address_refused", "forges are told by https only"));
    }
    let addresses = resolve(url, &options.git).await?;
    let mut builder = Client::builder()
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        .timeout(Duration::from_millis(options.request_timeout_ms))
        .redirect(reqwest::redirect::Policy::none());
    builder = options.git.network.configure(builder);
    if let Some(Host::Domain(name)) = url.host()
        && options.git.network.proxy_for(url).is_none()
    {
        // The port stands in the address of the request; 0 lets it be used.
        let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        builder = builder.resolve_to_addrs(name, &addresses);
    }
    builder.build().map_err(|_| Fault::permanent("tls", "the HTTP client for forges cannot be made"))
}

fn authorize(request: RequestBuilder, forge: Forge, token: &Token) -> Result<RequestBuilder, Fault> {
    let secret = token.secret.expose_secret();
    let header = |text: String| {
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Fault::permanent("credential_invalid", "the source's credential is no single line of text")
        })?;
        value.set_sensitive(true);
        Ok::<_, Fault>(value)
    };
    Ok(match forge {
        Forge::Github => request
            .header(AUTHORIZATION, header(format!("Bearer {secret}"))?)
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28"),
        Forge::Gitlab => request.header("PRIVATE-TOKEN", header(secret.to_owned())?),
        Forge::Gitea => match &token.user {
            // Gitea takes a password here, and a token in its place.
            Some(user) => request.basic_auth(user, Some(secret)),
            None => request.header(AUTHORIZATION, header(format!("token {secret}"))?),
        },
    })
}

fn failed(host: &str, error: &reqwest::Error) -> Fault {
    let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
    Fault::transient("forge_unreachable", format!("{host} {what}"))
}

async fn refused(forge: Forge, host: &str, answer: Response, token: &Token) -> Result<(), Refusal> {
    let (code, headers) = (answer.status(), answer.headers().clone());
    let reason = reason(answer, token).await;
    // GitLab refuses a step from a state to itself.
    if forge == Forge::Gitlab
        && code == StatusCode::BAD_REQUEST
        && reason.contains("Cannot transition status")
    {
        return Ok(());
    }
    let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let message = format!("{host} answered {code} to a commit status{said}");
    let limited = code == StatusCode::TOO_MANY_REQUESTS
        || (code == StatusCode::FORBIDDEN
            && (headers.contains_key(RETRY_AFTER) || header(&headers, "x-ratelimit-remaining") == Some("0")));
    if limited || code.is_server_error() || code == StatusCode::REQUEST_TIMEOUT {
        let after = header(&headers, "retry-after").and_then(|text| text.parse().ok());
        let fault = Fault::transient("forge_unavailable", message);
        return Err(Refusal { fault, after: after.map(Duration::from_secs) });
    }
    let fault = Fault::permanent(format!("forge_refused_{}", code.as_u16()), message);
    Err(match code {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => fault.hint(
            "the source's credential needs the right to write commit statuses \
             (GitHub `statuses: write`, GitLab `api`, Gitea and Forgejo `write:repository`)",
        ),
        _ => fault,
    }
    .into())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The forge's own words, one short line of them, never the token.
async fn reason(mut answer: Response, token: &Token) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return String::new() };
    let said = match &answer["message"] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => answer["error"].as_str().unwrap_or_default().to_owned(),
        other => other.to_string(),
    };
    let said = said.replace(token.secret.expose_secret(), "***");
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect()
}
