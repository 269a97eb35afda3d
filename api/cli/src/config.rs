//! Configuration: commented defaults < file < `SLIPWAY__SECTION__KEY` < flags. Every value remembers
//! where it came from; unknown keys are refused by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use slipway_builder::backend::Choice;
use slipway_builder::target::INTERNAL_HOST;
use slipway_notices::ChannelSettings;
use slipway_packager::ImageTag;
use slipway_types::name::ClusterName;
use slipway_types::{ApplicationName, RegistryPrefix, SecretReference};
use toml::Table;

mod layers;
mod mistakes;

pub(crate) use layers::{Flags, load, read};
pub(crate) use mistakes::Mistakes;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub server: Server,
    pub database: Database,
    pub storage: Storage,
    pub network: Network,
    pub git: Git,
    pub build: Build,
    pub kaniko: Kaniko,
    pub registry: Registry,
    pub registries: Registries,
    pub secrets: Secrets,
    pub packages: Packages,
    pub deploy: Deploy,
    pub notices: Notices,
    pub gc: Gc,
    pub log: Log,
}

macro_rules! sections {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $(pub $field: $type),* }
    )*};
}

sections! {
    Server {
        listen: String, public_url: String, data: PathBuf, tls_certificate: PathBuf, tls_key: PathBuf,
        roles: Vec<Role>, idle_timeout_ms: u64, stop_timeout_ms: u64, admin_token: String,
    }
    Database { url: String, password: String, max_connections: u32 }
    Storage {
        url: String, s3_endpoint: String, s3_region: String, s3_access_key: String, s3_secret_key: String,
        s3_path_style: bool, s3_allow_http: bool, spool_dir: PathBuf, max_spool_bytes: u64, min_free_bytes: u64,
    }
    Network {
        proxy: String, proxy_user: String, proxy_password: String, proxy_resolves: bool, no_proxy: Vec<String>, ca_bundle: PathBuf,
    }
    Git { max_pack_bytes: u64, allow_private_networks: Vec<String>, allow_http: bool }
    Build {
        backend: Choice, held_backends: Vec<String>, max_builds: usize, build_timeout_ms: u64, max_log_bytes: u64, max_context_bytes: u64,
        max_reuse_age_days: u32, layer_cache_max_bytes: u64, docker_host: String, docker_idle_timeout_ms: u64, docker_cache_keep_bytes: u64,
        check_memory_bytes: u64, check_millicpus: u64, check_pids: u32,
    }
    Kaniko {
        clusters: Vec<ClusterSettings>, owner: String, image: String, slipway_image: String, address: String,
        ca_bundle: PathBuf, platform: String, cache: bool, cache_keep_days: u32, flags: Vec<String>, requests: Vec<String>,
        limits: Vec<String>, node_selector: Vec<String>, tolerations: Vec<Table>, priority_class: String,
        labels: Vec<String>, pod_overlay: PathBuf, pull_registry: String, place_timeout_ms: u64, start_timeout_ms: u64, stop_timeout_ms: u64, ttl_s: u32,
    }
    Registry {
        image_target: String, image_target_user: String, image_target_password: String,
        image_target_allow_http: bool,
    }
    Registries {
        mirrors: Vec<String>, credentials: Vec<RegistryCredential>, allow_private_hosts: Vec<String>,
        idle_timeout_ms: u64, max_attempts: u32, resolve_timeout_ms: u64, max_base_age_hours: u32,
    }
    Secrets { key_file: PathBuf, file_roots: Vec<PathBuf>, kubernetes_namespaces: Vec<String> }
    Packages { image_tags: Vec<String>, keep_branch_days: u32 }
    Deploy {
        pull_registry: String, helm: PathBuf, kustomize: PathBuf, render_timeout_ms: u64, deadline_minutes: u32,
        allow_http_receivers: bool, max_deploys: usize, max_reconciles: usize, definitions_dir: PathBuf, rollback_depth: u32, polls_per_second: u32,
        calls: Vec<String>, calls_private_hosts: Vec<String>,
    }
    Notices {
        channels: Vec<ChannelSettings>, grace_s: u32, max_per_minute: u32, allow_private_networks: Vec<String>, allow_plain: bool,
    }
    Gc { keep_log_days: u32, grace_hours: u32, dry_run: bool }
    Log { level: String, format: LogFormat }
}

/// A Kubernetes cluster that runs builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterSettings {
    /// Name, for people.
    pub name: String,
    /// kubeconfig file; empty: the service account of the pod that Slipway runs in.
    #[serde(default)]
    pub kubeconfig: PathBuf,
    /// Context of that file; empty: its current one.
    #[serde(default)]
    pub context: String,
    /// Namespace of the Jobs.
    pub namespace: String,
    /// Most Jobs at once.
    #[serde(default = "max_jobs")]
    pub max_jobs: usize,
}

/// What a registry of others is logged in to with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryCredential {
    /// Registry host with optional port, as Dockerfiles write it.
    pub host: String,
    /// User.
    pub user: String,
    /// Secret reference.
    pub password: String,
    /// Whose builds may use it; empty: all.
    #[serde(default)]
    pub applications: Vec<String>,
}

fn max_jobs() -> usize {
    20
}

/// What a server process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// REST, webhooks, git remote.
    Api,
    /// The registry at `/v2`.
    Registry,
    /// Intake, planning, builds, packaging.
    Builder,
    /// Deployments.
    Deployer,
    /// Upkeep.
    Gc,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Less time than this for the head of a request would cut off clients that are merely far away.
const IDLE_MS_MIN: u64 = 1000;

/// What is wrong with values by themselves and beside each other.
fn check(config: &Config, mistakes: &mut Mistakes) {
    check_server(&config.server, mistakes);
    if !config.database.url.is_empty() && !config.database.url.starts_with("postgres://") {
        mistakes.note("database.url", "database.url must be empty (SQLite) or begin with postgres://");
    }
    for network in &config.git.allow_private_networks {
        let parsed = network.parse::<ipnet::IpNet>().with_context(|| {
            format!("git.allow_private_networks: `{network}` is not a network such as 10.1.0.0/16")
        });
        mistakes.of("git.allow_private_networks", parsed);
    }
    for place in &config.secrets.kubernetes_namespaces {
        let sound = place.split_once('/').is_some_and(|(cluster, namespace)| {
            cluster.parse::<ClusterName>().is_ok()
                && !namespace.is_empty()
                && namespace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        });
        if !sound {
            let message = format!("secrets.kubernetes_namespaces: `{place}` is not CLUSTER/NAMESPACE");
            mistakes.note("secrets.kubernetes_namespaces", message);
        }
    }
    if config.deploy.max_reconciles == 0 {
        let message = "deploy.max_reconciles is 0: nothing would be driven; 32 is the default";
        mistakes.note("deploy.max_reconciles", message);
    }
    let depth = config.deploy.rollback_depth;
    if !(1..=50).contains(&depth) {
        mistakes.note("deploy.rollback_depth", format!("deploy.rollback_depth is {depth}: give 1 to 50"));
    }
    mistakes.of("build.held_backends", config.held_backends());
    mistakes.of("packages.image_tags", config.image_tags());
    check_image_target(config, mistakes);
}

fn check_server(server: &Server, mistakes: &mut Mistakes) {
    let (certificate, key) = (&server.tls_certificate, &server.tls_key);
    if certificate.as_os_str().is_empty() != key.as_os_str().is_empty() {
        let given = if key.as_os_str().is_empty() { "server.tls_certificate" } else { "server.tls_key" };
        let message = "server.tls_certificate and server.tls_key belong together: set both or none";
        mistakes.note(given, message);
    }
    if server.roles.is_empty() {
        let message = "server.roles is empty: name at least one of api, registry, builder, deployer, gc";
        mistakes.note("server.roles", message);
    }
    if server.idle_timeout_ms < IDLE_MS_MIN {
        let given = server.idle_timeout_ms;
        let message = format!("server.idle_timeout_ms is {given}: give at least {IDLE_MS_MIN}");
        mistakes.note("server.idle_timeout_ms", message);
    }
    let listen = server.listen.parse::<std::net::SocketAddr>();
    let listen = listen.with_context(|| format!("server.listen `{}` is not ADDRESS:PORT", server.listen));
    if let Some(listen) = mistakes.of("server.listen", listen)
        && !listen.ip().is_loopback()
        && server.public_url.is_empty()
    {
        let message =
            "server.listen is not loopback: set server.public_url to the address people and forges use";
        mistakes.note("server.listen", message);
    }
    if !server.admin_token.is_empty() {
        mistakes.of("server.admin_token", crate::serve::admin_token::parse(&server.admin_token));
    }
}

fn check_image_target(config: &Config, mistakes: &mut Mistakes) {
    let registry = &config.registry;
    let (user, password) = (&registry.image_target_user, &registry.image_target_password);
    if user.is_empty() != password.is_empty() {
        let given =
            if user.is_empty() { "registry.image_target_password" } else { "registry.image_target_user" };
        let message =
            "registry.image_target_user and registry.image_target_password belong together: set both or none";
        mistakes.note(given, message);
    }
    if !password.is_empty() {
        let key = "registry.image_target_password";
        mistakes.of(key, password.parse::<SecretReference>().context(key));
    }
    let Some(target) = mistakes.of("registry.image_target", config.image_target()) else { return };
    let Some(target) = target else {
        if !user.is_empty() {
            let message = "registry.image_target_user is set, but registry.image_target is empty";
            mistakes.note("registry.image_target_user", message);
        }
        return;
    };
    if config.own_hosts().contains(&target.host) {
        let message = format!(
            "registry.image_target `{target}` is this server itself; leave it empty for the built-in one"
        );
        mistakes.note("registry.image_target", message);
    }
}

impl Config {
    /// Built-in secrets that are the server's own, since these settings name them.
    pub(crate) fn secrets_held(&self) -> Vec<SecretReference> {
        let credentials = self.registries.credentials.iter().map(|credential| &credential.password);
        let settings = [
            &self.database.password,
            &self.storage.s3_secret_key,
            &self.network.proxy_password,
            &self.registry.image_target_password,
        ];
        let named = credentials.chain(settings).filter_map(|reference| reference.parse().ok());
        let channels = self.notices.channels.iter().flat_map(|channel| [&channel.url, &channel.secret]);
        named.chain(channels.filter_map(|reference| reference.parse().ok())).collect()
    }

    /// The external registry that images go to; `None`: the built-in one.
    pub(crate) fn image_target(&self) -> Result<Option<RegistryPrefix>> {
        let target = &self.registry.image_target;
        (!target.is_empty()).then(|| target.parse().context("registry.image_target")).transpose()
    }

    /// Applications that are held to one back-end.
    pub(crate) fn held_backends(&self) -> Result<BTreeMap<ApplicationName, Choice>> {
        let held = |text: &String| {
            let context = || format!("build.held_backends: `{text}` is not APPLICATION=BACKEND");
            let (application, backend) = text.split_once('=').with_context(context)?;
            Ok((
                application.trim().parse().with_context(context)?,
                backend.trim().parse().with_context(context)?,
            ))
        };
        self.build.held_backends.iter().map(held).collect()
    }

    /// What images are tagged with besides their versions.
    pub(crate) fn image_tags(&self) -> Result<Vec<ImageTag>> {
        let tags = self.packages.image_tags.iter().map(|tag| tag.parse());
        tags.collect::<Result<_, _>>().context("packages.image_tags")
    }

    /// The names of this server's registry: references to them never leave the process.
    pub(crate) fn own_hosts(&self) -> Vec<String> {
        let public = self.public_url();
        let host = public.split_once("://").map_or(public.as_str(), |(_, host)| host).to_owned();
        let port = self.server.listen.rsplit(':').next().unwrap_or_default();
        vec![
            INTERNAL_HOST.to_owned(),
            self.server.listen.clone(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            host,
        ]
    }

    /// Address under which people and forges reach the server, without a slash at its end.
    pub(crate) fn public_url(&self) -> String {
        if self.server.public_url.is_empty() {
            self.listen_url()
        } else {
            self.server.public_url.trim_end_matches('/').to_owned()
        }
    }

    /// Address under which this process answers.
    pub(crate) fn listen_url(&self) -> String {
        let scheme = if self.server.tls_certificate.as_os_str().is_empty() { "http" } else { "https" };
        format!("{scheme}://{}", self.server.listen)
    }

    /// Whether this process has the role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.server.roles.contains(&role)
    }
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::layers::Layered;
    use super::*;

    fn load_env(pairs: &[(&str, &str)]) -> Result<Layered> {
        load(None, pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), vec![])
    }

    #[test]
    fn the_defaults_are_valid_and_bound_to_loopback() {
        let layered = load_env(&[]).unwrap();
        assert!(layered.config.server.listen.starts_with("127.0.0.1:"));
        assert_eq!(layered.config.public_url(), "http://127.0.0.1:7300");
    }

    #[test]
    fn environment_beats_file_and_flags_beat_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[build]\nmax_builds = 3\nbuild_timeout_ms = 5\n").unwrap();
        let env = [("SLIPWAY__BUILD__MAX_BUILDS".to_owned(), "4".to_owned())];
        let flags = vec![("server.listen", Value::String("127.0.0.1:1".into()))];
        let layered = load(Some(file.path()), env.into_iter(), flags).unwrap();
        assert_eq!(layered.config.build.max_builds, 4);
        assert_eq!(layered.config.build.build_timeout_ms, 5);
        assert_eq!(layered.origins.of["build.max_builds"], "SLIPWAY__BUILD__MAX_BUILDS");
        assert_eq!(layered.origins.of["server.listen"], "flag");
        assert_eq!(layered.origins.of["server.data"], "default");
    }

    #[test]
    fn mistakes_are_named() {
        let message = |pairs: &[(&str, &str)]| format!("{:#}", load_env(pairs).err().unwrap());
        assert!(
            message(&[("SLIPWAY__BUILDS__MAX_BUILDS", "4")]).contains("did you mean `build.max_builds`?")
        );
        assert!(message(&[("SLIPWAY__BUILD__MAX_BUILDS", "many")]).contains("SLIPWAY__BUILD__MAX_BUILDS"));
        assert!(message(&[("SLIPWAY__SERVER__LISTEN", "0.0.0.0:80")]).contains("server.public_url"));
        assert!(message(&[("SLIPWAY__SERVER__TLS_KEY", "x")]).contains("belong together"));
        let roles = message(&[("SLIPWAY__SERVER__ROLES", "api,cook")]);
        assert!(
            roles.contains("SLIPWAY__SERVER__ROLES: `server.roles`") && roles.contains("cook"),
            "{roles}"
        );
        let negative = message(&[("SLIPWAY__BUILD__MAX_BUILDS", "-1")]);
        assert!(negative.contains("`build.max_builds` is not valid"), "{negative}");
        for (token, part) in
            [("slw_x", "server.admin_token"), ("secret://builtin/x", "must be secret://env/")]
        {
            let wrong = message(&[("SLIPWAY__SERVER__ADMIN_TOKEN", token)]);
            assert!(wrong.contains(part) && !wrong.contains("slw_x"), "{wrong}");
        }
        for depth in ["0", "51"] {
            let wrong = message(&[("SLIPWAY__DEPLOY__ROLLBACK_DEPTH", depth)]);
            assert!(wrong.contains(&format!("deploy.rollback_depth is {depth}")), "{wrong}");
        }
        let idle = message(&[("SLIPWAY__SERVER__IDLE_TIMEOUT_MS", "999")]);
        assert!(idle.contains("server.idle_timeout_ms is 999: give at least 1000"), "{idle}");
        let mistyped = message(&[("SLIPWAY_SERVER__LISTEN", "127.0.0.1:1")]);
        assert!(mistyped.contains("SLIPWAY__SERVER__LISTEN"), "{mistyped}");
        load_env(&[("SLIPWAY_SECRET_SERVER__X", "1"), ("SLIPWAY_SERVER", "http://127.0.0.1:1")]).unwrap();
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            "[server]\nroles = []\n\n[build]\nmax_buildz = 3\nmax_log_bytes = \"much\"\nmax_builds = -1\n";
        std::fs::write(file.path(), text).unwrap();
        let env = [("SLIPWAY__DEPLOY__ROLLBACK_DEPTH".to_owned(), "0".to_owned())];
        let (_, mistakes) = layers::read(Some(file.path()), env.into_iter(), vec![]).unwrap();
        let name = file.path().display();
        let told = mistakes.to_string();
        for line in [
            format!("{name}:5: unknown key `build.max_buildz`"),
            format!("{name}:6: `build.max_log_bytes` must be of type integer, not string"),
            format!("{name}:7: `build.max_builds` is not valid"),
            format!("{name}:2: server.roles is empty"),
            "SLIPWAY__DEPLOY__ROLLBACK_DEPTH: deploy.rollback_depth is 0: give 1 to 50".to_owned(),
        ] {
            assert!(told.contains(&line), "{line} is not in {told}");
        }
        let json = serde_json::to_value(&mistakes).unwrap();
        assert_eq!(json.as_array().map(Vec::len), Some(5), "{json}");
        assert_eq!(json[0]["line"], 5, "{json}");
        assert_eq!(json[0]["field"], "build.max_buildz", "{json}");
    }

    #[test]
    fn what_is_no_toml_is_told_by_line_and_without_its_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[database]\npassword = hunter2 !\n").unwrap();
        let refused = load(Some(file.path()), std::iter::empty(), vec![]).err().unwrap().to_string();
        assert!(refused.contains(&format!("{}:2: it is not valid TOML", file.path().display())), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn an_external_registry_is_named_with_its_credential_or_refused_by_key() {
        let load_registry = |pairs: &[(&str, &str)]| {
            let names: Vec<_> =
                pairs.iter().map(|(k, v)| (format!("SLIPWAY__REGISTRY__IMAGE_TARGET{k}"), *v)).collect();
            load_env(&names.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>())
        };
        let (user, password) = (("_USER", "ann"), ("_PASSWORD", "secret://env/SLIPWAY_SECRET_R"));
        let good = load_registry(&[("", "r.io/team"), user, password]).unwrap().config;
        assert_eq!(good.image_target().unwrap().unwrap().to_string(), "r.io/team");
        assert_eq!(load_registry(&[]).unwrap().config.image_target().unwrap(), None);
        for (pairs, part) in [
            (&[("", "https://r.io/team")][..], "registry.image_target: `https://r.io/team` is not HOST"),
            (&[("", "team")], "registry.image_target: `team`"),
            (&[("", "localhost:7300/x")], "is this server itself"),
            (&[("", "r.io/x"), user], "belong together"),
            (&[("", "r.io/x"), user, ("_PASSWORD", "hunter2")], "registry.image_target_password"),
            (&[user, password], "registry.image_target is empty"),
        ] {
            let message = format!("{:#}", load_registry(pairs).err().unwrap());
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
