//! The command line: one module for each noun.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::client::{Client, ServerArgs, Usage};
use crate::output::{Format, json as print_json, say, text};

mod addon;
mod admin;
mod app;
mod audit;
mod channel;
mod check;
mod choice;
mod cluster;
mod compare;
mod compose;
mod configuration;
mod definition;
mod deploy;
mod doctor;
mod document;
mod environment;
mod fetch_context;
mod kit;
mod label;
mod log;
mod login;
mod notice;
mod place;
mod pull;
mod receiver;
mod run;
mod secret;
mod signing;
mod source;
mod token;
mod validate;
mod version;
mod waiting;

/// Exit code of a command that did what it was asked.
pub(crate) struct Exit(pub u8);

impl Exit {
    /// All is well.
    pub(crate) const OK: Self = Self(0);
}

/// Git pushes become images, versioned packages and bundles ready to deploy.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 a wait is over without an end: it expired, a\ngate is closed, or the server is away; 4 cancelled, withdrawn or superseded.\n\nStart here: `slipway demo` shows the whole way in one minute; `slipway serve` runs a server."
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
    /// Show the whole way from a push to a bundle, on this machine, and on to a cluster
    #[command(
        after_help = "Example: slipway demo --once --data /tmp/slipway-demo\nExample: slipway demo --deploy --context kind-kind"
    )]
    Demo(crate::demo::DemoArgs),
    /// Store a server's address and token for later commands
    #[command(
        after_help = "Example: slipway login http://127.0.0.1:7300 --token-file ./slipway-data/admin.token"
    )]
    Login(login::LoginArgs),
    /// Check a slipway.yaml as the server would
    #[command(
        after_help = "All problems are told at once, with line and column; nothing is asked of a server.\nExit codes: 0 it is valid, 1 it is not, 2 wrong usage, such as no such file.\nExample: slipway validate ./services/shop"
    )]
    Validate(validate::ValidateArgs),
    /// Show what a run of the current commit would build, reuse and pack
    #[command(
        after_help = "Where no server answers, or it does not know the commit, it is planned from the commit alone.\nExit codes: 0 planned, 1 the slipway.yaml is not valid or the plan was refused, 2 wrong usage, such as no such file.\nExample: slipway plan ."
    )]
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
    /// Checks of bundles, which gates of environments ask for
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Kubernetes clusters that environments lie in
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Environments: where applications are deployed to, and what operators configure there
    #[command(subcommand)]
    Env(environment::EnvironmentCommand),
    /// Deployments: a bundle, an environment and its configuration, frozen and handed off
    #[command(subcommand)]
    Deploy(deploy::DeployCommand),
    /// Deploy what one environment runs into another
    #[command(
        after_help = "Exit codes as of `slipway deploy create`.\nExample: slipway promote shop --from staging --to prod"
    )]
    Promote(deploy::PromoteArgs),
    /// Take over what another tool deployed, as a deployment of its own, through the gates
    #[command(
        after_help = "With --check nothing is changed: it tells what is taken over, what changes and restarts, and what\ncannot be taken over. Exit codes as of `slipway deploy create`; with --check 1 if something cannot.\nExample: slipway adopt shop --env prod --from helm --release shop --check\nExample: slipway adopt shop --env prod --from helm --release shop --reason 'we leave Helm'"
    )]
    Adopt(deploy::AdoptArgs),
    /// Show which version of what runs where
    #[command(after_help = "Example: slipway where shop")]
    Where(place::WhereArgs),
    /// Incidents: what was not as wanted somewhere, from when until when, and who was told
    #[command(subcommand)]
    Incident(notice::IncidentCommand),
    /// Notices: the channels by which people are told of incidents
    #[command(subcommand)]
    Notice(notice::NoticeCommand),
    /// Keep an application in an environment at one version
    #[command(after_help = "Example: slipway pin shop 1.4.2 --env prod --reason 'the fair'")]
    Pin(place::PinArgs),
    /// Keep an application in an environment as it is
    #[command(after_help = "Example: slipway hold shop --env prod --reason 'an incident is looked into'")]
    Hold(place::HoldArgs),
    /// End a pin or a hold
    #[command(after_help = "Example: slipway release shop --env prod")]
    Release(place::ReleaseArgs),
    /// Add-ons: databases, queues and the like, which applications are bound to
    #[command(subcommand)]
    Addon(addon::AddonCommand),
    /// Build kits: what components are built and packed with
    #[command(subcommand)]
    Kit(kit::KitCommand),
    /// Definitions: component types, traits, policies, workflow steps and add-ons
    #[command(subcommand)]
    Definition(definition::DefinitionCommand),
    /// Receivers: who is handed what is deployed
    #[command(subcommand)]
    Receiver(receiver::ReceiverCommand),
    /// The audit record of the deploy stage
    #[command(subcommand)]
    Audit(audit::AuditCommand),
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
        Command::Check(command) => check::run(command, &global).await,
        Command::Cluster(command) => cluster::run(command, &global).await,
        Command::Env(command) => environment::run(command, &global).await,
        Command::Deploy(command) => deploy::run(command, &global).await,
        Command::Promote(args) => deploy::promote(args, &global).await,
        Command::Adopt(args) => deploy::adopt(args, &global).await,
        Command::Where(args) => place::show(args, &global).await,
        Command::Incident(command) => notice::incidents(command, &global).await,
        Command::Notice(command) => notice::run(command, &global).await,
        Command::Pin(args) => place::pin_to(args, &global).await,
        Command::Hold(args) => place::hold(args, &global).await,
        Command::Release(args) => place::release(args, &global).await,
        Command::Addon(command) => addon::run(command, &global).await,
        Command::Kit(command) => kit::run(command, &global).await,
        Command::Definition(command) => definition::run(command, &global).await,
        Command::Receiver(command) => receiver::run(command, &global).await,
        Command::Audit(command) => audit::run(command, &global).await,
        Command::Secret(command) => secret::run(command, &global).await,
        Command::Token(command) => token::run(command, &global).await,
        Command::Admin(command) => admin::run(command, &global).await,
        Command::FetchContext(args) => fetch_context::run(args, &global).await,
        Command::Doctor(args) => doctor::run(args, &global).await,
        Command::Config(command) => configuration::run(command, &global).await,
    }
}

/// One part of a path or a query's value: whatever could end it or lead elsewhere is escaped.
pub(crate) fn in_path(name: &str) -> String {
    // Forms write a space as `+`, which is a plus in paths.
    let escaped: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    escaped.replace('+', "%20")
}

/// Says what the server notes of what it has just taken.
fn tell_notes(taken: &serde_json::Value, global: &Global) {
    for note in taken["notes"].as_array().into_iter().flatten().filter(|_| !global.json()) {
        say(format!("note: {}", text(note)));
    }
}

/// Refuses what cannot be undone unless it was said that it is meant: by `--yes`, or on a terminal when asked.
fn confirmed(yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        bail!(Usage(format!("{what}: say --yes if you mean it")));
    }
    say(format!("{what}. Type yes to go on:"));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read from the terminal")?;
    if means_yes(&answer) { Ok(()) } else { bail!("nothing was changed: the answer was not yes") }
}

fn means_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Reads `KEY=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

/// Reads a whole number.
fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "give a whole number, 0 or more".to_owned())
}

/// Reads how many rows a list may have.
fn rows(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number, 1 or more".to_owned()),
        Ok(rows) => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::time::Duration;

    use clap::CommandFactory;

    use super::{Cli, in_path, key_value, means_yes, rows};

    #[test]
    fn a_list_of_no_rows_is_refused() {
        assert_eq!((rows("1"), rows("500")), (Ok(1), Ok(500)));
        assert!(["0", "-1", "", "many"].into_iter().all(|text| rows(text).is_err()));
    }

    #[test]
    fn only_a_yes_is_one() {
        assert!(["yes\n", "y\r\n", " YES "].into_iter().all(means_yes));
        assert!(!["", "\n", "no\n", "yesterday\n", "yes no\n"].into_iter().any(means_yes));
    }

    #[test]
    fn a_label_has_a_key() {
        assert_eq!(key_value("region=eu=1"), Ok(("region".to_owned(), "eu=1".to_owned())));
        assert!(key_value("region").is_err() && key_value("=eu").is_err());
    }

    #[test]
    fn a_name_in_a_path_cannot_end_it() {
        assert_eq!(in_path("team/shop"), "team%2Fshop");
        assert_eq!(in_path("db#password"), "db%23password");
        assert_eq!(in_path("a?b=c&d %2F+\n"), "a%3Fb%3Dc%26d%20%252F%2B%0A");
        assert_eq!(in_path("web-1_2.3"), "web-1_2.3");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_negative_number_is_refused_as_a_value_and_taken_for_no_option() {
        fn walk(command: &clap::Command, path: &str) {
            let numbers = [TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()];
            for arg in command.get_arguments() {
                let kind = arg.get_value_parser().type_id();
                let is_number = numbers.iter().any(|number| kind == *number);
                let is_span = kind == TypeId::of::<Duration>();
                let is_taken = arg.is_allow_negative_numbers_set() || arg.is_allow_hyphen_values_set();
                assert!(is_taken || !(is_number || is_span), "`{path}`: {}", arg.get_id());
            }
            for sub in command.get_subcommands() {
                walk(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        walk(&Cli::command(), "slipway");
        for (line, part) in [
            ("run list --limit -5", "'--limit <LIMIT>': give a whole number, 1 or more"),
            ("deploy watch shop@prod --timeout -5m", "write 90s, 5m or 1h"),
            ("env set prod --approvals -1", "-1 is not in 0..="),
            ("pin shop --env prod --reason r --version 1.4.2", "unexpected argument '--version'"),
        ] {
            let refused = Cli::command().try_get_matches_from(format!("slipway {line}").split(' '));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(part), "{line}: {refused}");
        }
    }

    #[test]
    fn the_help_tells_what_each_exit_code_means() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 a wait"), "{help}");
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
