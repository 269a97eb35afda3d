//! Clusters this server reaches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use slipway_kubernetes::{
    CallError, Cluster, ClusterOptions, Kubeconfig, connect, is_unresolved, parse_kubeconfig, server_host,
};
use slipway_network::Network;
use slipway_secrets::Secrets;
use slipway_types::Fault;
use slipway_types::environment::{ClusterFacts, ClusterSettings};
use slipway_types::id::ClusterId;
use slipway_types::image::is_loopback;
use tokio::sync::Mutex;

/// Connections to registered clusters, made when they are first needed.
#[derive(Clone)]
pub struct Clusters {
    secrets: Secrets,
    network: Network,
    options: ClusterOptions,
    open: Arc<Mutex<Connections>>,
}

/// Connections by cluster. One that nobody holds is closed when it was not asked for in [`IDLE_MAX`].
#[derive(Default)]
struct Connections {
    open: HashMap<ClusterId, Open>,
    closed_at: Option<Instant>,
}

struct Open {
    settings: ClusterSettings,
    cluster: Arc<Cluster>,
    asked_at: Instant,
}

/// How long a connection stays open that nobody holds or asks for.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How often it is looked whether there are such.
const CLOSED_EVERY: Duration = Duration::from_secs(60);

/// How a kubeconfig is made that stands alone.
const FLATTEN: &str = "`kubectl config view --raw --minify --flatten` writes one that stands alone";
/// The most contexts of a kubeconfig that are named.
const CONTEXTS_SHOWN_MAX: usize = 10;

/// The fault to show for a call that failed.
pub fn fault_of(cluster: &str, error: &CallError) -> Fault {
    match error {
        CallError::Away(why) => {
            let message = format!("the cluster {cluster} cannot be asked just now: {why}");
            Fault::transient("cluster_unavailable", message).hint(way_to(why))
        }
        CallError::Unreachable(outage) => {
            let message = format!("the cluster {cluster} cannot be asked just now: {outage}");
            Fault::transient("cluster_unavailable", message).hint(way_to(&outage.why))
        }
        CallError::Refused(status) if status.code == 401 => {
            let message = format!("the cluster {cluster} does not take the credential: {}", status.message);
            Fault::permanent("cluster_refused", message).hint(
                "its token or certificate is wrong or has expired: give a kubeconfig whose credential holds, by \
                 `slipway cluster add` or, for a registered one, `slipway cluster rotate-credentials`",
            )
        }
        CallError::Refused(status) => {
            let message = format!("the cluster {cluster} refuses: {}", status.message);
            Fault::permanent("cluster_refused", message)
                .hint("give Slipway's user in that cluster the rights it names")
        }
    }
}

/// What to do about a cluster that gives no answer.
fn way_to(why: &str) -> &'static str {
    if is_unresolved(why) {
        return "check how the kubeconfig writes its server, and this server's DNS";
    }
    if why.contains("invalid peer certificate") {
        return "write the authority that signed its certificate into the kubeconfig, as \
                certificate-authority-data";
    }
    "see that the address in its kubeconfig is right and that this server reaches it: `network.proxy` and \
     `network.no_proxy` say which way it goes"
}

/// What of a kubeconfig leads out of it, programs to run and files to read, and what to write instead.
fn leads_out(file: &Kubeconfig) -> Option<(&'static str, &'static str)> {
    let token = "write a token into it: `kubectl create token NAME` makes one for a service account";
    let user = file.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()).find_map(|user| {
        let found = [
            (user.exec.is_some() || user.auth_provider.is_some(), ("a program for credentials", token)),
            (user.token_file.is_some(), ("a token file", "write the token itself into it, as `token`")),
            (user.client_certificate.is_some() || user.client_key.is_some(), ("certificate files", FLATTEN)),
        ];
        found.into_iter().find(|(is_there, _)| *is_there).map(|(_, what)| what)
    });
    let mut clusters = file.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let authority = clusters.any(|cluster| cluster.certificate_authority.is_some());
    user.or(authority.then_some(("a file of authorities", FLATTEN)))
}

/// What to do about a kubeconfig that leads to no client.
fn way_to_connect(file: Option<&Kubeconfig>) -> String {
    let Some(file) = file else {
        return "without a kubeconfig it is the cluster that this server runs in, and it runs in none: give one \
                with --kubeconfig-file FILE"
            .to_owned();
    };
    let contexts: Vec<&str> =
        file.contexts.iter().take(CONTEXTS_SHOWN_MAX).map(|context| context.name.as_str()).collect();
    if contexts.is_empty() {
        return format!("it has no context: {FLATTEN}");
    }
    format!("choose one of its contexts with --context: {}", contexts.join(", "))
}

impl Connections {
    fn close_idle(&mut self, now: Instant) {
        if self.closed_at.is_some_and(|at| now.duration_since(at) < CLOSED_EVERY) {
            return;
        }
        self.closed_at = Some(now);
        self.open.retain(|_, open| {
            Arc::strong_count(&open.cluster) > 1 || now.duration_since(open.asked_at) < IDLE_MAX
        });
    }
}

impl Clusters {
    /// No connection yet.
    pub fn new(secrets: Secrets, network: Network, options: ClusterOptions) -> Self {
        Self { secrets, network, options, open: Arc::default() }
    }

    async fn connect(&self, name: &str, settings: &ClusterSettings) -> Result<Cluster, Fault> {
        let wrong = |why: &dyn std::fmt::Display| {
            Fault::permanent("cluster_config", format!("the cluster {name} cannot be used: {why}"))
        };
        let file = match &settings.kubeconfig {
            None => None,
            Some(reference) => {
                let text = self.secrets.resolve(reference).await?;
                let file = parse_kubeconfig(text.value.expose_secret());
                let file = file.map_err(|why| wrong(&format!("{reference} {why}")).hint(FLATTEN))?;
                if let Some((what, way)) = leads_out(&file) {
                    let why = format!("{reference} names {what}, which would be run or read on this server");
                    return Err(wrong(&why).hint(way));
                }
                Some(file)
            }
        };
        let way = way_to_connect(file.as_ref());
        let client = connect(file, settings.context.as_deref(), &self.network).await;
        Ok(Cluster::new(client.map_err(|why| wrong(&why).hint(way))?, self.options.clone()))
    }

    /// Whether a cluster's API server is on this machine, as far as its address tells; `None`: its kubeconfig
    /// cannot be read.
    pub async fn is_here(&self, settings: &ClusterSettings) -> Option<bool> {
        let Some(reference) = &settings.kubeconfig else { return Some(false) };
        let text = self.secrets.resolve(reference).await.ok()?;
        let file = parse_kubeconfig(text.value.expose_secret()).ok()?;
        Some(is_loopback(server_host(&file, settings.context.as_deref())?))
    }

    /// The connection to a registered cluster.
    pub async fn of(&self, row: &slipway_records::Cluster) -> Result<Arc<Cluster>, Fault> {
        let (mut connections, now) = (self.open.lock().await, Instant::now());
        connections.close_idle(now);
        let known = connections.open.get_mut(&row.id).filter(|known| known.settings == row.settings);
        if let Some(known) = known {
            known.asked_at = now;
            return Ok(Arc::clone(&known.cluster));
        }
        let cluster = Arc::new(self.connect(row.name.as_str(), &row.settings).await?);
        let settings = row.settings.clone();
        let open = Open { settings, cluster: Arc::clone(&cluster), asked_at: now };
        connections.open.insert(row.id, open);
        Ok(cluster)
    }

    /// What a cluster is and says of itself, by settings that need not be registered.
    pub async fn look(
        &self,
        name: &str,
        settings: &ClusterSettings,
    ) -> Result<(String, ClusterFacts), Fault> {
        let cluster = self.connect(name, settings).await?;
        let uid = cluster.uid().await.map_err(|error| {
            let fault = fault_of(name, &error);
            if error.is_not_found() {
                fault.hint("see that the address in its kubeconfig is that of a Kubernetes API server")
            } else {
                fault
            }
        })?;
        let facts = cluster.facts().await.map_err(|error| fault_of(name, &error))?;
        Ok((uid, facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Kubeconfig {
        parse_kubeconfig(text).unwrap()
    }

    #[test]
    fn what_leads_out_of_a_kubeconfig_is_named_with_what_to_write_instead() {
        for (user, what, way) in [
            ("exec: {command: aws}", "a program for credentials", "kubectl create token"),
            ("tokenFile: /etc/token", "a token file", "as `token`"),
            ("client-key: /etc/key", "certificate files", "--flatten"),
        ] {
            let text = format!("users:\n- name: me\n  user: {{{user}}}\n");
            let (found, told) = leads_out(&file(&text)).unwrap();
            assert!(found == what && told.contains(way), "{user}: {found}, {told}");
        }
        let authority =
            "clusters:\n- name: a\n  cluster: {server: 'https://a', certificate-authority: ca.crt}\n";
        assert_eq!(leads_out(&file(authority)).map(|(what, _)| what), Some("a file of authorities"));
        assert_eq!(leads_out(&file("users:\n- name: me\n  user: {token: x}\n")), None);
    }

    #[test]
    fn a_wrong_context_is_told_with_those_there_are() {
        let named = "contexts:\n- name: kind\n  context: {cluster: a}\n- name: eu\n  context: {cluster: b}\n";
        assert_eq!(way_to_connect(Some(&file(named))), "choose one of its contexts with --context: kind, eu");
        assert!(way_to_connect(Some(&file("users: []\n"))).contains("--flatten"));
        assert!(way_to_connect(None).contains("--kubeconfig-file"));
    }

    #[test]
    fn each_silence_and_each_refusal_has_its_next_step() {
        let away = |why: &str| fault_of("kind", &CallError::Away(why.to_owned())).hint.unwrap();
        assert!(away("tcp connect error: Connection refused").contains("network.proxy"));
        let unresolved = "the host's name of its API server cannot be resolved: dns error";
        assert!(away(unresolved).contains("DNS"), "{}", away(unresolved));
        assert!(away("invalid peer certificate: UnknownIssuer").contains("certificate-authority-data"));
        let refused = |code: u16| {
            let status =
                serde_json::json!({"code": code, "message": "no", "reason": "x", "status": "Failure"});
            fault_of("kind", &CallError::Refused(serde_json::from_value(status).unwrap()))
        };
        assert!(refused(401).message.contains("does not take the credential"));
        assert!(refused(401).hint.unwrap().contains("rotate-credentials"));
        assert!(refused(403).hint.unwrap().contains("the rights it names"));
    }
}
