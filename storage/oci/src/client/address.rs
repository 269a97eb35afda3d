//! Which addresses Slipway talks to on behalf of people who only write Dockerfiles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Public addresses, and private ones of named hosts. Link-local and metadata addresses never.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// `host` or `host:port`, lower case.
    private_hosts: Arc<[String]>,
}

/// An address that is refused, with the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

impl AddressPolicy {
    /// Allows private and loopback addresses for these hosts, `host` or `host:port`.
    pub fn new(private_hosts: impl IntoIterator<Item = String>) -> Self {
        Self { private_hosts: private_hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Allows them for further hosts.
    #[must_use]
    pub(crate) fn with(self, private_hosts: impl IntoIterator<Item = String>) -> Self {
        Self::new(self.private_hosts.iter().cloned().chain(private_hosts))
    }

    /// Checks what can be checked before names are resolved: literal addresses.
    pub(crate) fn check_url(&self, url: &Url) -> Result<(), Refused> {
        let Some(host) = url.host() else { return Err(Refused("its address has no host".to_owned())) };
        let port = url.port_or_known_default().unwrap_or_default();
        let is_listed = |name: &str| {
            self.private_hosts.iter().any(|h| h == name || h.strip_prefix(name) == Some(&format!(":{port}")))
        };
        match host {
            // Resolving does not know the port: a name that is listed for others is refused here.
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                if self.is_listed_name(name) && !is_listed(name) {
                    return Err(Refused(format!("{name} is allowed at other ports only")));
                }
                Ok(())
            }
            Host::Ipv4(ip) => check(ip.into(), is_listed(&ip.to_string())),
            Host::Ipv6(ip) => check(ip.into(), is_listed(&format!("[{ip}]"))),
        }
    }

    /// Checks a name that a proxy will resolve as it is known here. With `unknown_passes` one that is not is the
    /// proxy's to judge.
    pub(crate) async fn check_name(&self, url: &Url, unknown_passes: bool) -> Result<(), Refused> {
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let listed = self.is_listed_name(&name);
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let addresses: Vec<SocketAddr> = found.into_iter().flatten().collect();
        if addresses.is_empty() && !unknown_passes {
            return Err(Refused(
                "its name cannot be resolved here (network.proxy_resolves is not set)".to_owned(),
            ));
        }
        addresses.into_iter().try_for_each(|address| check(address.ip(), listed))
    }

    /// Whether a name is listed with any port; the connection's port is not known when names resolve.
    fn is_listed_name(&self, name: &str) -> bool {
        self.private_hosts.iter().any(|host| host.split(':').next() == Some(name))
    }
}

/// Resolves names by the system and drops refused addresses, so that a name that changes its
/// address between check and connection gains nothing.
impl Resolve for AddressPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.clone();
        Box::pin(async move {
            let name = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            let listed = policy.is_listed_name(&name);
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match check(address.ip(), listed) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn check(ip: IpAddr, private_is_allowed: bool) -> Result<(), Refused> {
    let ip = match ip {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    let (is_forbidden, is_private) = match ip {
        IpAddr::V4(v4) => (is_forbidden_v4(v4), is_private_v4(v4)),
        IpAddr::V6(v6) => (is_forbidden_v6(v6), is_private_v6(v6)),
    };
    if is_forbidden {
        return Err(Refused(format!("{ip} is a link-local, metadata, multicast or reserved address")));
    }
    if is_private && !private_is_allowed {
        return Err(Refused(format!("{ip} is a private address")));
    }
    Ok(())
}

/// The IPv4 address inside a mapped, NAT64 or 6to4 address.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => ip.to_ipv4_mapped(),
    }
}

fn is_forbidden_v4(ip: Ipv4Addr) -> bool {
    let o = ip.octets();
    ip.is_link_local()
        || ip.is_multicast()
        || o[0] == 0
        || o[0] >= 240
        || o[..3] == [192, 0, 0]
        // Alibaba Cloud's metadata service.
        || o == [100, 100, 100, 200]
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let o = ip.octets();
    let is_shared = o[0] == 100 && (64..128).contains(&o[1]);
    let is_benchmark = o[0] == 198 && (18..20).contains(&o[1]);
    ip.is_private() || ip.is_loopback() || is_shared || is_benchmark
}

fn is_forbidden_v6(ip: Ipv6Addr) -> bool {
    // fd00:ec2::254 is AWS's metadata service.
    let is_metadata = ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
    ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() || is_metadata
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unique_local() || (ip.segments()[0] & 0xffc0) == 0xfec0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ip: &str, listed: bool) -> bool {
        check(ip.parse().unwrap(), listed).is_ok()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_even_for_listed_hosts() {
        for ip in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!verdict(ip, true), "{ip}");
        }
    }

    #[test]
    fn private_addresses_need_a_listed_host_and_public_ones_do_not() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!verdict(ip, false) && verdict(ip, true), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "100.128.0.1"] {
            assert!(verdict(ip, false), "{ip}");
        }
    }

    #[test]
    fn a_listed_port_allows_that_port_only() {
        let policy = AddressPolicy::new(["127.0.0.1:5000".to_owned(), "10.0.0.5".to_owned()]);
        let verdict = |url: &str| policy.check_url(&url.parse().unwrap()).is_ok();
        assert!(verdict("http://127.0.0.1:5000/v2/") && verdict("https://10.0.0.5:8443/"));
        assert!(!verdict("http://127.0.0.1:50001/v2/") && !verdict("http://127.0.0.1/"));
        let policy = AddressPolicy::new(["localhost:5000".to_owned()]);
        assert!(policy.check_url(&"http://localhost:5000/v2/".parse().unwrap()).is_ok());
        assert!(policy.check_url(&"http://localhost:22/v2/".parse().unwrap()).is_err());
        assert!(policy.check_url(&"http://localhost.:22/v2/".parse().unwrap()).is_err());
        // Other spellings of the same address.
        assert!(!verdict("http://2130706433/") && !verdict("http://[::ffff:127.0.0.1]/"));
    }

    #[tokio::test]
    async fn names_are_checked_after_they_resolve() {
        let resolve = |policy: AddressPolicy| async move {
            policy.resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        let error = resolve(AddressPolicy::default()).await.unwrap_err();
        assert!(error.is::<Refused>(), "{error}");
        assert!(resolve(AddressPolicy::new(["localhost:5000".to_owned()])).await.unwrap() > 0);
    }
}
