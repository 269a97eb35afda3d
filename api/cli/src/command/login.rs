//! `slipway login`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::{Exit, Global};
use crate::client::{Client, DEFAULT_SERVER, Login, Usage, login_file};
use crate::output::text;
use crate::secret_input;

/// How long a server may take to say what it is.
pub(super) const SERVER_WAIT: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Address of the server
    #[arg(default_value = DEFAULT_SERVER)]
    address: String,
    /// Read the token from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(args: LoginArgs, global: &Global) -> Result<Exit> {
    let token = read_token(args.token_file.as_deref(), global)?;
    let client = Client::connect(&args.address, Some(token.clone().into()))?.answered_within(SERVER_WAIT);
    let server = client.get("/api/v1/server", &[]).await?;
    let path = login_file()?;
    store(&path, &Login { server: client.base().to_owned(), token })?;
    let (version, caller) = (text(&server["version"]), text(&server["caller"]));
    let stored = path.display();
    global.tell(
        &json!({"server": client.base(), "version": version, "caller": caller, "file": stored.to_string()}),
        format!("Logged in to {} (Slipway {version}) as {caller}; stored in {stored}.", client.base()),
    );
    Ok(Exit::OK)
}

fn read_token(file: Option<&Path>, global: &Global) -> Result<String> {
    let token = match (file, &global.server.token) {
        (None, Some(token)) => token.clone(),
        (file, _) => secret_input::read("token", file)?,
    };
    let token = token.trim().to_owned();
    if token.is_empty() {
        bail!(Usage("the token is empty".into()));
    }
    Ok(token)
}

/// Writes the file readable by its owner only, whole or not at all.
fn store(path: &Path, login: &Login) -> Result<()> {
    let directory = path.parent().context("the login file has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let file = tempfile::NamedTempFile::new_in(directory).context("cannot write the login file")?;
    std::fs::write(file.path(), toml::to_string(login)?).context("cannot write the login file")?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
