//! One request to a channel: to checked addresses only, within its time, without redirects.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use slipway_git::GitOptions;
use slipway_git::fetch::resolve;
use slipway_network::Network;
use slipway_types::Fault;
use url::{Host, Url};

use crate::NoticeOptions;
use crate::answer::{Answer, Refusal};

/// The part of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// Posts JSON.
pub(crate) async fn post(
    url: &Url,
    body: Vec<u8>,
    headers: &[(&'static str, String)],
    options: &NoticeOptions,
) -> Result<Answer, Refusal> {
    let client = client(url, options).await?;
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, value.as_str());
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut response = request.send().await.map_err(|error| failed(&host, &error))?;
    let status = response.status().as_u16();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_s = after.and_then(|text| text.parse().ok());
    let mut bytes = Vec::new();
    // It was taken or refused already: an answer that breaks off changes nothing.
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    bytes.truncate(ANSWER_BYTES_MAX);
    Ok(Answer { host, status, retry_after_s, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// A client that connects to the checked addresses and to no others.
async fn client(url: &Url, options: &NoticeOptions) -> Result<Client, Fault> {
    let addresses = checked(url, options, &options.network).await?;
    let mut builder = Client::builder()
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(options.connect_timeout_ms))
        .timeout(Duration::from_millis(options.request_timeout_ms))
        .redirect(reqwest::redirect::Policy::none());
    builder = options.network.configure(builder);
    if let Some(Host::Domain(name)) = url.host()
        && options.network.proxy_for(url).is_none()
    {
        // The port stands in the address of the request; 0 lets it be used.
        let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        builder = builder.resolve_to_addrs(name, &addresses);
    }
    builder.build().map_err(|_| Fault::permanent("tls", "the HTTP client for channels cannot be made"))
}

/// The addresses of a channel's host, each of which may be reached.
pub(crate) async fn checked(
    url: &Url,
    options: &NoticeOptions,
    network: &Network,
) -> Result<Vec<IpAddr>, Fault> {
    let rules = GitOptions {
        allow_private_addresses: options.allow_private_addresses.clone(),
        network: network.clone(),
        ..GitOptions::default()
    };
    resolve(url, &rules).await.map_err(|fault| {
        let hint = if fault.code == "address_refused" {
            "to reach a channel in your own network, name that in `notices.allow_private_networks`"
        } else {
            "check the channel's address and the server's DNS"
        };
        fault.hint(hint)
    })
}

fn failed(host: &str, error: &reqwest::Error) -> Fault {
    let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
    Fault::transient("channel_unreachable", format!("{host} {what}"))
}
