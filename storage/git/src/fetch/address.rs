//! Which addresses a source may be fetched from. A server inside a network must not be made to
//! fetch from its neighbours: names are resolved here, every answer is checked, and the checked
//! address is the one that git connects to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use slipway_network::Proxy;
use slipway_types::Fault;
use url::{Host, Url};

use crate::options::GitOptions;

/// Hosts that come with a later release, by their domains.
const LATER: [(&str, &str); 2] = [("bitbucket.org", "Bitbucket"), ("gitee.com", "Gitee")];

/// An address that may be fetched from.
#[derive(Debug, Clone)]
pub(super) struct CheckedAddress {
    pub(super) url: Url,
    /// Value of `http.curloptResolve`, unless the host is an address itself or a proxy connects to it.
    pub(super) pinned: Option<String>,
}

/// Checks a clone address without resolving its host.
pub fn check_url(text: &str, options: &GitOptions) -> Result<Url, Fault> {
    let refused = |message: String| Fault::permanent("address_refused", message);
    let scp_like = !text.contains("://") && text.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    if scp_like || text.starts_with("ssh://") || text.starts_with("git+ssh://") {
        return Err(refused("SSH sources come with a later release".into())
            .hint("use the https:// clone address and `--credential`"));
    }
    let url = Url::parse(text).map_err(|error| {
        refused(format!("not a clone address: {error}"))
            .hint("use an address like https://host/team/repository.git")
    })?;
    if url.scheme() != "https" && !(options.allow_http && url.scheme() == "http") {
        return Err(refused(format!("sources are fetched by https, not by {}", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a clone address holds no user and no password".into())
            .hint("store them with `slipway secret set` and pass `--credential`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("a clone address has no `?` and no `#`".into()));
    }
    let host = url.host_str().ok_or_else(|| refused("the clone address names no host".into()))?;
    for (domain, name) in LATER {
        if host == domain || host.ends_with(&format!(".{domain}")) {
            return Err(refused(format!("sources on {name} come with a later release")));
        }
    }
    Ok(url)
}

/// The addresses of a URL's host, each of them checked: whoever connects must use these. Empty if the proxy
/// is to resolve a name that is unknown here (`network.proxy_resolves`).
pub async fn resolve(url: &Url, options: &GitOptions) -> Result<Vec<IpAddr>, Fault> {
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => return literal(IpAddr::V4(ip), options),
        Some(Host::Ipv6(ip)) => return literal(IpAddr::V6(ip), options),
        Some(Host::Domain(name)) => name.to_owned(),
        None => return Err(Fault::permanent("address_refused", "the clone address names no host")),
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((name.as_str(), port)).await;
    let addresses: Vec<IpAddr> = found.into_iter().flatten().map(|address| address.ip()).collect();
    if addresses.is_empty() && !options.network.proxy_for(url).is_some_and(Proxy::resolves) {
        return Err(unresolved(&name));
    }
    for address in &addresses {
        permit(&name, *address, options)?;
    }
    Ok(addresses)
}

/// Checks a clone address and every address its host has.
pub(super) async fn check(text: &str, options: &GitOptions) -> Result<CheckedAddress, Fault> {
    let url = check_url(text, options)?;
    let addresses = resolve(&url, options).await?;
    let name = match url.host() {
        Some(Host::Domain(name)) if options.network.proxy_for(&url).is_none() => name,
        _ => return Ok(CheckedAddress { url, pinned: None }),
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let shown = addresses.iter().map(|address| match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let shown: Vec<String> = shown.collect();
    let pinned = Some(format!("{name}:{port}:{}", shown.join(",")));
    Ok(CheckedAddress { url, pinned })
}

fn literal(ip: IpAddr, options: &GitOptions) -> Result<Vec<IpAddr>, Fault> {
    permit(&ip.to_string(), ip, options)?;
    Ok(vec![ip])
}

/// Nobody knows an address of the host.
pub(super) fn unresolved(name: &str) -> Fault {
    Fault::transient("unreachable", format!("the host {name} cannot be resolved"))
        .hint("check the clone address and the server's DNS")
}

fn permit(host: &str, address: IpAddr, options: &GitOptions) -> Result<(), Fault> {
    let address = address.to_canonical();
    if is_public(address) || options.allow_private_addresses.iter().any(|net| net.contains(&address)) {
        return Ok(());
    }
    Err(Fault::permanent("address_refused", format!("{host} is at {address}, which is not a public address"))
        .hint("to fetch from your own network, name it in `git.allow_private_networks`"))
}

/// Whether an address is one of the public internet (IANA special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, ..] = ip.segments();
    // Addresses that carry an IPv4 one reach it through a translator or tunnel.
    let translated = (a == 0x64 && b == 0xff9b) || (a == 0x2001 && b == 0) || a == 0x2002;
    let global = a & 0xe000 == 0x2000;
    let special =
        (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a, b, c, d) == (0x100, 0, 0, 0) || a == 0x3fff;
    global && !translated && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_pass() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_public(private.parse::<IpAddr>().unwrap().to_canonical()), "{private}");
        }
        for public in ["140.82.121.4", "1.1.1.1", "2606:50c0:8000::153", "2a00:1450:4001::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn addresses_are_refused_by_name() {
        let options = GitOptions::default();
        for (url, part) in [
            ("git@github.com:a/b.git", "SSH"),
            ("ssh://git@host/a.git", "SSH"),
            ("http://host/a.git", "https"),
            ("file:///etc", "https"),
            ("ext::sh -c true", "https"),
            ("https://user:pw@host/a.git", "password"),
            ("https://bitbucket.org/a/b.git", "Bitbucket"),
            ("https://gitee.com/a/b.git", "Gitee"),
            ("--upload-pack=x", "clone address"),
        ] {
            let fault = check_url(url, &options).unwrap_err();
            assert!(fault.message.contains(part), "{url}: {}", fault.message);
            assert!(!fault.to_string().contains("pw@"), "{url}");
        }
        assert!(check_url("https://github.com/a/b.git", &options).is_ok());
    }

    #[tokio::test]
    async fn the_checked_address_is_pinned_and_private_ones_need_leave() {
        let mut options = GitOptions::default();
        for url in
            ["https://localhost/a.git", "https://127.0.0.1/a.git", "https://[::1]/a.git", "https://0x7f.1/a"]
        {
            assert_eq!(check(url, &options).await.unwrap_err().code, "address_refused", "{url}");
        }
        options.allow_private_addresses = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let checked = check("https://localhost:8443/a.git", &options).await.unwrap();
        assert!(checked.pinned.unwrap().starts_with("localhost:8443:"));
    }
}
