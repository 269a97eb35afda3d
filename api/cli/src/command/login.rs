//! `slipway login`.

use std::io::{IsTerminal, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Exit, Global};
use crate::client::{Client, DEFAULT_SERVER, Login, Usage, login_file};
use crate::output::{say, text};

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
    let client = Client::connect(&args.address, Some(token.clone().into()))?;
    let server = client.get("/api/v1/server", &[]).await?;
    let path = login_file()?;
    store(&path, &Login { server: client.base().to_owned(), token })?;
    say(format!(
        "Logged in to {} (Slipway {}) as {}; stored in {}.",
        client.base(),
        text(&server["version"]),
        text(&server["caller"]),
        path.display()
    ));
    Ok(Exit::OK)
}

fn read_token(file: Option<&Path>, global: &Global) -> Result<String> {
    let token = match (file, &global.server.token) {
        (Some(path), _) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        (None, Some(token)) => token.clone(),
        (None, None) => {
            if std::io::stdin().is_terminal() {
                say("Paste the token, then Ctrl-D:");
            }
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
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
