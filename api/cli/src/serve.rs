//! `slipway serve`: the composition root. Nothing else knows every part.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;
use toml::Value;
use tracing_subscriber::EnvFilter;

use crate::command::{ConfigFile, Exit};
use crate::config::{self, Config, LogFormat, Mistakes, Role};
use crate::output::say;

pub(crate) mod admin_token;
mod deploy;
mod instance;
mod kaniko;
mod listen;
pub(crate) mod machine;
mod network;
mod notices;
mod observe;
mod opening;
mod parts;
mod registry;
mod secrets;
mod timers;

pub(crate) use instance::DataDirectory;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Directory of everything kept on local disk
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// What this process does: api, registry, builder, deployer, gc
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    roles: Option<Vec<String>>,
}

/// A running server.
pub(crate) struct Running {
    /// Its configuration, the port filled in.
    pub config: Config,
    stop: CancellationToken,
    finished: tokio::task::JoinHandle<Result<()>>,
}

impl Running {
    /// Stops it and waits until running jobs have stopped.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.finished.await.context("the server ended badly")?
    }

    /// Waits until it ends by itself or by a signal.
    pub(crate) async fn until_stopped(self) -> Result<()> {
        tokio::select! {
            () = signalled() => say("Stopping; running jobs are finished or handed back."),
            () = self.stop.cancelled() => {}
        }
        self.stop().await
    }
}

pub(crate) async fn run(args: ServeArgs) -> Result<Exit> {
    let mut flags: config::Flags = Vec::new();
    if let Some(data) = &args.data {
        flags.push(("server.data", Value::String(data.display().to_string())));
    }
    if let Some(listen) = args.listen {
        flags.push(("server.listen", Value::String(listen)));
    }
    if let Some(roles) = args.roles {
        flags.push(("server.roles", Value::Array(roles.into_iter().map(Value::String).collect())));
    }
    let layered = config::load(args.file.config.as_deref(), std::env::vars(), flags)?;
    log_to_stderr(&layered.config)?;
    let running = start(layered.config).await?;
    let (listen_url, public_url) = (running.config.listen_url(), running.config.public_url());
    say(format!("Slipway {} listens on {listen_url}", env!("CARGO_PKG_VERSION")));
    if public_url != listen_url {
        say(format!("public  {public_url}"));
    }
    say(format!("data    {}", running.config.server.data.display()));
    let token = running.config.server.data.join(admin_token::FILE);
    let login = format!("login   slipway login {public_url}");
    match (running.config.server.admin_token.is_empty(), token.exists()) {
        (true, true) => say(format!("{login} --token-file {}", token.display())),
        // The file was taken away: only hashes of tokens are kept.
        (true, false) => say(format!("{login}  (asks for a token; if none is left, set server.admin_token)")),
        (false, _) => say(format!("{login}  (asks for a token, such as server.admin_token names)")),
    }
    if running.config.has(Role::Api) {
        say(format!("pages   {public_url}  (in a browser; sign in with the same token)"));
    }
    running.until_stopped().await?;
    Ok(Exit::OK)
}

/// Starts a server and returns once it is ready to answer.
pub(crate) async fn start(config: Config) -> Result<Running> {
    let directory = DataDirectory::open(&config.server.data)?;
    let listener = listen::bind(&config.server.listen)?;
    let address = listener.local_addr().context("the listening address is unknown")?;
    let config = listen::with_port(config, address);
    let stop = CancellationToken::new();
    let parts = parts::Parts::build(&config, &directory, stop.clone()).await?;
    match admin_token::given(&config.server.admin_token, parts.secrets()).await? {
        Some(token) => admin_token::install(parts.records.as_ref(), &token).await?,
        None => admin_token::ensure(parts.records.as_ref(), directory.path()).await?,
    }
    let serving = listen::serve(listener, &config, parts.router(), stop.clone()).await?;
    let working = tokio::spawn(parts.work(&config, &directory, stop.clone()));
    let stopped = stop.clone();
    let finished = tokio::spawn(async move {
        // Held until the end, so that no second server uses the directory.
        let _directory = directory;
        let served = serving.await.context("the HTTP server ended badly")?;
        stopped.cancel();
        working.await.context("the workers ended badly")?;
        served
    });
    Ok(Running { config, stop, finished })
}

async fn signalled() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        drop(interrupt.await);
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}

/// Looks at what a configuration names, without a server.
pub(crate) async fn check(config: &Config, mistakes: &mut Mistakes) {
    mistakes.of("log.level", log_filter(config));
    let server = &config.server;
    // One alone is told of already.
    if !server.tls_key.as_os_str().is_empty() {
        mistakes.of("server.tls_certificate", listen::tls(config).await);
    }
    network::check(config, mistakes);
    notices::check(config, mistakes);
    registry::check(config, mistakes);
    kaniko::check(config, mistakes);
}

fn log_filter(config: &Config) -> Result<EnvFilter> {
    // Ours say the same with the cluster's name.
    EnvFilter::try_new(format!("kube_client=off,kube_runtime=off,{}", config.log.level))
        .with_context(|| format!("log.level `{}` is neither a level nor a filter", config.log.level))
}

/// Structured logs on standard error.
pub(crate) fn log_to_stderr(config: &Config) -> Result<()> {
    let filter = log_filter(config)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second server in one process (tests) logs through the first one's subscriber.
    drop(installed);
    Ok(())
}

/// A path of the configuration, or its default below the data directory.
fn or_below(path: &Path, directory: &Path, default: &str) -> PathBuf {
    if path.as_os_str().is_empty() { directory.join(default) } else { path.to_owned() }
}
