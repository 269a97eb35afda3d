//! HTTP requests that revisions ask for: to hosts that the configuration lists, within a time, and nowhere else.
//!
//! A request goes to a listed scheme, host and port. Redirects are not followed. A name that resolves to a private
//! address is refused unless that host may lie there; link-local and metadata addresses always are. Nothing of
//! an answer but its status is read, and no error shows a secret.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use slipway_handoff::Call;
use slipway_handoff::node::SECRET_PLACE;
use slipway_network::Network;
use slipway_oci::AddressPolicy;
use slipway_types::Fault;
use url::{Host, Url};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 256 << 10;

/// A configuration that is no list of hosts.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCalls {
    /// An entry cannot be read.
    #[error("deploy.calls: `{0}` is not HOST[:PORT], or http://HOST[:PORT] for one without TLS")]
    Entry(String),
    /// A host may be private that may not be called.
    #[error("deploy.calls_private_hosts: `{0}` is not among deploy.calls")]
    Private(String),
    /// No client can be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Where a request may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    scheme: String,
    host: String,
    port: u16,
}

impl Listed {
    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.trim_end_matches('.').to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    fn read(entry: &str) -> Option<Self> {
        let text = if entry.contains("://") { entry.to_owned() } else { format!("https://{entry}") };
        let url = Url::parse(&text).ok()?;
        let is_plain = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let is_web = matches!(url.scheme(), "http" | "https");
        Self::of(&url).filter(|_| is_plain && is_web && !is_never(&url))
    }
}

/// Whether it is an address at which no service of anybody lies.
fn is_never(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) | None => return false,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified() || ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
    }
}

/// The way to hosts that revisions may call. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    client: reqwest::Client,
    listed: Arc<[Listed]>,
}

impl Calls {
    /// Requests to `listed` hosts, each `HOST[:PORT]` for HTTPS or `http://HOST[:PORT]`; `private`, which are among
    /// them, may lie at private addresses.
    pub fn new(listed: &[String], private: &[String], network: &Network) -> Result<Self, InvalidCalls> {
        if let Some(other) = private.iter().find(|host| !listed.contains(host)) {
            return Err(InvalidCalls::Private(other.clone()));
        }
        let read = |entry: &String| Listed::read(entry).ok_or_else(|| InvalidCalls::Entry(entry.clone()));
        let hosts = listed.iter().map(read).collect::<Result<Arc<[Listed]>, _>>()?;
        let private = private.iter().filter_map(|entry| Listed::read(entry)).map(|listed| listed.host);
        let proxy = network.proxy().map(slipway_network::Proxy::host_and_port);
        let policy = AddressPolicy::new(private.chain(proxy));
        let builder = reqwest::Client::builder()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(policy));
        Ok(Self { client: network.configure(builder).build()?, listed: hosts })
    }

    /// Whether nothing may be called.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Makes a request, with the value of its secret.
    ///
    /// # Errors
    ///
    /// Transient: no answer, or one that says that the same may work later. Permanent: the address is not
    /// allowed, or any other answer but 2xx.
    pub async fn make(&self, call: &Call, secret: Option<&SecretString>) -> Result<(), Fault> {
        let shown = format!("{} {}", call.method, call.url);
        let (url, bearer) = self.address(call, secret, &shown)?;
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| Fault::permanent("call_refused", format!("{shown}: there is no such method")))?;
        let mut request = self.client.request(method, url);
        if let Some(body) = &call.body {
            let body = serde_json::to_vec(body).expect("invariant: JSON can be written");
            if body.len() > BODY_BYTES_MAX {
                let message = format!("{shown}: the body has {} bytes, at most {BODY_BYTES_MAX}", body.len());
                return Err(Fault::permanent("call_refused", message));
            }
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose_secret());
        }
        match request.send().await {
            Ok(answer) => judged(answer.status(), &shown),
            Err(error) => {
                let why = if error.is_timeout() { "no answer in time" } else { "it cannot be reached" };
                Err(Fault::transient("call_unanswered", format!("{shown}: {why}")))
            }
        }
    }

    /// Where a request goes, and the secret that is sent as its authorization.
    fn address<'s>(
        &self,
        call: &Call,
        secret: Option<&'s SecretString>,
        shown: &str,
    ) -> Result<(Url, Option<&'s SecretString>), Fault> {
        let refused = |why: &str| Fault::permanent("calls_not_allowed", format!("{shown}: {why}"));
        let parsed = |text: &str| Url::parse(text).map_err(|_| refused("it is no address"));
        let plain = parsed(&call.url.replace(SECRET_PLACE, "secret"))?;
        let wanted = Listed::of(&plain).ok_or_else(|| refused("it has no host"))?;
        if !self.listed.contains(&wanted) {
            let why = "this server makes no requests to that host";
            return Err(refused(why)
                .hint(format!("let its configuration list it: deploy.calls = [\"{}\"]", wanted.host)));
        }
        let Some(value) = secret.filter(|_| call.url.contains(SECRET_PLACE)) else {
            return Ok((plain, secret));
        };
        let whole = parsed(&call.url.replace(SECRET_PLACE, value.expose_secret().trim()))?;
        if Listed::of(&whole).as_ref() != Some(&wanted) {
            return Err(refused("its secret leads to another host"));
        }
        Ok((whole, None))
    }
}

fn judged(status: StatusCode, shown: &str) -> Result<(), Fault> {
    let message = format!("{shown}: it answered {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Fault::transient("call_unanswered", message)),
        status if status.is_redirection() => {
            Err(Fault::permanent("call_failed", format!("{message}; redirects are not followed")))
        }
        _ => Err(Fault::permanent("call_failed", message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(listed: &[&str]) -> Calls {
        let listed: Vec<String> = listed.iter().map(|&host| host.to_owned()).collect();
        drop(rustls::crypto::ring::default_provider().install_default());
        Calls::new(&listed, &[], &Network::default()).unwrap()
    }

    fn call(url: &str) -> Call {
        Call { method: "POST".into(), url: url.into(), body: None, secret: None }
    }

    #[test]
    fn only_listed_hosts_are_called_and_no_secret_leads_elsewhere() {
        let calls = calls(&["hooks.example.com", "ci.example.com:8443", "http://plain.example.com"]);
        let secret = SecretString::from("T0/B0/x");
        let evil = SecretString::from("@evil.example.com/");
        for (url, secret, expected) in [
            ("https://hooks.example.com/a", None, Some("https://hooks.example.com/a")),
            ("https://HOOKS.example.com./a", None, Some("https://hooks.example.com./a")),
            ("https://ci.example.com:8443/", None, Some("https://ci.example.com:8443/")),
            ("http://plain.example.com/", None, Some("http://plain.example.com/")),
            ("https://hooks.example.com/{secret}", Some(&secret), Some("https://hooks.example.com/T0/B0/x")),
            ("https://hooks.example.com/", Some(&secret), Some("https://hooks.example.com/")),
            ("http://hooks.example.com/a", None, None),
            ("https://hooks.example.com:444/a", None, None),
            ("https://ci.example.com/", None, None),
            ("https://hooks.example.com.evil.org/", None, None),
            ("https://hooks.example.com{secret}", Some(&evil), None),
            ("https://169.254.169.254/", None, None),
        ] {
            let found = calls.address(&call(url), secret, "POST");
            let told = found.as_ref().map(|(url, _)| url.to_string()).ok();
            assert_eq!(told.as_deref(), expected, "{url}: {found:?}");
            if let Err(fault) = found {
                assert!(!fault.message.contains("evil.example.com/"), "{}", fault.message);
            }
        }
    }

    #[test]
    fn a_list_is_of_hosts() {
        for entry in
            ["", "https://x.example.com/path", "ftp://x.example.com", "u@x.example.com", "169.254.169.254"]
        {
            assert!(Listed::read(entry).is_none(), "{entry}");
        }
        let none = Calls::new(&[], &["x.example.com".to_owned()], &Network::default());
        assert!(matches!(none, Err(InvalidCalls::Private(_))));
    }

    #[test]
    fn what_may_work_later_is_told_apart() {
        let transient = |code| {
            let judged = judged(StatusCode::from_u16(code).unwrap(), "POST x");
            judged.map_err(|fault| fault.class == slipway_types::Class::Transient)
        };
        assert_eq!(
            [200, 204, 301, 404, 429, 500, 503].map(transient),
            [Ok(()), Ok(()), Err(false), Err(false), Err(true), Err(false), Err(true)]
        );
    }
}
