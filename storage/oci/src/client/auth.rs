//! Answering `WWW-Authenticate`: Basic, and Bearer with a token server (distribution's token
//! specification).

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::Inner;
use super::endpoint::Endpoint;
use super::request::{Ask, Body};
use crate::error::ImageError;

/// Registry host and scope.
pub(super) type TokenKey = (String, String);

/// An `Authorization` header and how long it holds.
#[derive(Clone)]
pub(super) struct CachedToken {
    header: HeaderValue,
    until: Instant,
}

/// Tokens kept at once, counted; beyond, all are dropped and asked for again.
const MAX_CACHED_TOKENS: usize = 1000;
/// How long a token holds that says nothing, in seconds (the token specification's default).
const DEFAULT_TOKEN_SECONDS: u64 = 60;
/// The largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: u64 = 256 << 10;

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// What a registry asks for.
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Inner {
    /// The header kept for a scope, if it still holds.
    pub(super) fn cached_authorization(&self, key: &TokenKey) -> Option<HeaderValue> {
        let tokens = self.tokens.lock().expect("invariant: nothing panics while holding the lock");
        tokens.get(key).filter(|token| token.until > Instant::now()).map(|token| token.header.clone())
    }

    fn cache_authorization(&self, key: TokenKey, header: &HeaderValue, holds: Duration) {
        let mut tokens = self.tokens.lock().expect("invariant: nothing panics while holding the lock");
        if tokens.len() >= MAX_CACHED_TOKENS {
            tokens.clear();
        }
        tokens.insert(key, CachedToken { header: header.clone(), until: Instant::now() + holds });
    }

    /// Answers a 401: the header to try again with, or `None` if nothing can be answered.
    pub(super) async fn log_in(
        &self,
        ask: &Ask<'_>,
        refused: &reqwest::Response,
    ) -> Result<Option<HeaderValue>, ImageError> {
        let key = ask.token_key();
        let credential = ask.endpoint.credential();
        let (header, holds) = match challenge(refused) {
            None => return Ok(None),
            Some(Challenge::Basic) => {
                let Some(credential) = credential else { return Ok(None) };
                let password = credential.password.expose_secret();
                (basic(&credential.user, password), Duration::from_hours(1))
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| ask.scope());
                let url = realm_url(ask, &realm, service.as_deref(), &scope)?;
                self.check_sent_to(ask.endpoint, &url)?;
                let basic = credential.map(|c| basic(&c.user, c.password.expose_secret()));
                self.token(ask.endpoint, url, basic).await?
            }
        };
        self.cache_authorization(key, &header, holds);
        Ok(Some(header))
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        url: Url,
        basic: Option<HeaderValue>,
    ) -> Result<(HeaderValue, Duration), ImageError> {
        let headers = basic.into_iter().map(|value| (AUTHORIZATION, value)).collect();
        let what = "a token".to_owned();
        let ask = Ask {
            endpoint,
            repository: "",
            push: false,
            what,
            method: Method::GET,
            url,
            headers,
            body: Body::None,
        };
        // The answer of a token server is final: no redirects, no second challenge.
        let response = self.send_once(&ask, &ask.url, None).await?;
        let response = self.expect_success(&ask, response).await?;
        let bytes = self.read_all(&ask, response, MAX_TOKEN_BYTES).await?;
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| ask.protocol("the token server sent no JSON"))?;
        let token = answer.token.or(answer.access_token);
        let token = token.ok_or_else(|| ask.protocol("the token server sent no token"))?;
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| ask.protocol("the token server sent a token that is no header"))?;
        header.set_sensitive(true);
        // A tenth early, so that it does not end on the way.
        let holds =
            Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_TOKEN_SECONDS).min(86_400)) * 9 / 10;
        Ok((header, holds))
    }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut header =
        HeaderValue::from_str(&format!("Basic {text}")).expect("invariant: base64 is a header value");
    header.set_sensitive(true);
    header
}

/// The strongest challenge that can be answered.
fn challenge(response: &reqwest::Response) -> Option<Challenge> {
    let mut basic = None;
    for header in response.headers().get_all(WWW_AUTHENTICATE) {
        let Ok(challenges) = http_auth::parse_challenges(header.to_str().ok()?) else { continue };
        for challenge in challenges {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = param("realm")
            {
                return Some(Challenge::Bearer { realm, service: param("service"), scope: param("scope") });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

fn realm_url(ask: &Ask<'_>, realm: &str, service: Option<&str>, scope: &str) -> Result<Url, ImageError> {
    let mut url = Url::parse(realm).map_err(|_| ask.protocol("its token realm is no URL"))?;
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    for scope in scope.split(' ') {
        query.append_pair("scope", scope);
    }
    drop(query);
    Ok(url)
}
