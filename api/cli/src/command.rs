//! The command line: one module for each noun.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::client::{Client, ServerArgs};
use crate::output::{Format, json as print_json, say};

mod admin;
mod app;
mod channel;
mod choice;
mod configuration;
mod doctor;
mod fetch_context;
mod label;
mod login;
mod pull;
mod run;
mod secret;
mod source;
mod token;
mod validate;
mod version;

/// Exit code of a command that did what it was asked.
pub(crate) struct Exit(pub u8);

impl Exit {
    /// All is well.
    pub(crate) const OK: Self = Self(0);
}

/// Git pushes become images, versioned packages and bundles ready to deploy.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start here: `slipway demo` shows the whole way in one minute; `slipway serve` runs a server."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    #[command(flatten)]
    pub server: ServerArgs,
    /// How data is written to standard output
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    pub output: Format,
}

impl Global {
    /// A client of the chosen server.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&self.server)
    }

    /// Tells what was done: a line for people, or the same as JSON.
    pub(crate) fn tell(&self, done: &serde_json::Value, line: impl AsRef<str>) {
        if self.json() { print_json(done) } else { say(line) }
    }

    /// Whether data is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.output == Format::Json
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server
    #[command(after_help = "Example: slipway serve --data /var/lib/slipway --listen 127.0.0.1:7300")]
    Serve(crate::serve::ServeArgs),
    /// Show the whole way from a push to a bundle, on this machine
    #[command(after_help = "Example: slipway demo --once --data /tmp/slipway-demo")]
    Demo(crate::demo::DemoArgs),
    /// Store a server's address and token for later commands
    #[command(
        after_help = "Example: slipway login http://127.0.0.1:7300 --token-file ./slipway-data/admin.token"
    )]
    Login(login::LoginArgs),
    /// Check a slipway.yaml as the server would
    #[command(after_help = "Example: slipway validate ./services/shop")]
    Validate(validate::ValidateArgs),
    /// Show what a run of the current commit would build, reuse and pack
    #[command(after_help = "Example: slipway plan .")]
    Plan(validate::PlanArgs),
    /// Applications
    #[command(subcommand)]
    App(app::AppCommand),
    /// Git sources
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Runs
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Component packages
    #[command(subcommand)]
    Package(version::PackageCommand),
    /// Bundles: one version of a whole application
    #[command(subcommand)]
    Bundle(version::BundleCommand),
    /// Channels: named movable pointers to bundle versions
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// Labels of versions
    #[command(subcommand)]
    Label(label::LabelCommand),
    /// Secrets: names and versions, never values
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Access tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Backup and restore of a stopped server's data
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Look at this machine and the server, and say what is missing
    #[command(after_help = "Example: slipway doctor")]
    Doctor(doctor::DoctorArgs),
    /// Fetch and unpack a build's context: what a build's pod runs first
    #[command(
        hide = true,
        after_help = "Example: slipway fetch-context http://10.0.0.7:7300/v2/default/shop/i/api/blobs/sha256:… --to /workspace"
    )]
    FetchContext(fetch_context::FetchArgs),
    /// The server's configuration
    #[command(subcommand)]
    Config(configuration::ConfigCommand),
}

/// A configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file (TOML)
    #[arg(long, env = "SLIPWAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    let global = cli.global;
    match cli.command {
        Command::Serve(args) => crate::serve::run(args).await,
        Command::Demo(args) => crate::demo::run(args).await,
        Command::Login(args) => login::run(args, &global).await,
        Command::Validate(args) => validate::validate(args, &global),
        Command::Plan(args) => validate::plan(args, &global).await,
        Command::App(command) => app::run(command, &global).await,
        Command::Source(command) => source::run(command, &global).await,
        Command::Run(command) => run::run(command, &global).await,
        Command::Package(command) => version::packages(command, &global).await,
        Command::Bundle(command) => version::bundles(command, &global).await,
        Command::Channel(command) => channel::run(command, &global).await,
        Command::Label(command) => label::run(command, &global).await,
        Command::Secret(command) => secret::run(command, &global).await,
        Command::Token(command) => token::run(command, &global).await,
        Command::Admin(command) => admin::run(command, &global).await,
        Command::FetchContext(args) => fetch_context::run(args, &global).await,
        Command::Doctor(args) => doctor::run(args, &global).await,
        Command::Config(command) => configuration::run(command, &global).await,
    }
}

/// An application's name in a path: the slash of `team/name` escaped.
pub(crate) fn in_path(name: &str) -> String {
    name.replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            if command.get_subcommands().next().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example: slipway"), "`{path}` shows no example");
            }
            for sub in command.get_subcommands() {
                walk(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        walk(&Cli::command(), "slipway");
    }
}
