//! `slipway admin`: backup and restore of a data directory's database and key. Bytes in the object
//! store are content-addressed and backed up by any means that copies files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::json;
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};

use super::{Exit, Global};
use crate::client::Usage;
use crate::output::say;
use crate::serve::DataDirectory;

/// What a backup holds, beside the database.
const FILES: [&str; 2] = ["secret.key", "admin.token"];
const DATABASE: &str = "slipway.db";

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Copy database and key into a new directory; the server may go on running
    #[command(
        after_help = "Example: slipway admin backup --data /var/lib/slipway --to /backup/slipway-2026-11-21"
    )]
    Backup {
        /// The server's data directory
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// A directory that does not exist yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put a backup into a data directory without a database; the server must be stopped
    #[command(
        after_help = "Example: slipway admin restore --data /var/lib/slipway --from /backup/slipway-2026-11-21"
    )]
    Restore {
        /// The data directory
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
}

pub(crate) async fn run(command: AdminCommand, global: &Global) -> Result<Exit> {
    match command {
        AdminCommand::Backup { data, to } => backup(&data, &to, global).await?,
        AdminCommand::Restore { data, from } => restore(&data, &from, global)?,
    }
    Ok(Exit::OK)
}

/// Writes into a sibling of `to` and renames it at the end: a directory of that name is whole.
async fn backup(data: &Path, to: &Path, global: &Global) -> Result<()> {
    if to.exists() {
        bail!(Usage(format!("{} exists already: a backup goes into a new directory", to.display())));
    }
    if !data.join(DATABASE).exists() {
        bail!(Usage(format!(
            "{} holds no {DATABASE}. A server on PostgreSQL is backed up with `pg_dump` and a copy of its key file",
            data.display()
        )));
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let staging = tempfile::Builder::new()
        .prefix(".slipway-backup-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot write into {}", parent.display()))?;
    let records = SqliteRecords::open(&data.join(DATABASE), SqliteOptions::default()).await?;
    records.backup(&staging.path().join(DATABASE)).await.context("cannot copy the database")?;
    for file in FILES.iter().filter(|file| data.join(file).exists()) {
        fs::copy(data.join(file), staging.path().join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    fs::rename(staging.keep(), to).with_context(|| format!("cannot make {}", to.display()))?;
    global.tell(
        &json!({"backup": to}),
        format!("Backed up database and key to {}. It can open every secret: keep it safe.", to.display()),
    );
    say("The bytes of packages and logs are in the object store; back it up with its own means.");
    Ok(())
}

fn restore(data: &Path, from: &Path, global: &Global) -> Result<()> {
    if !from.join(DATABASE).exists() {
        bail!(Usage(format!("{} is no backup: it holds no {DATABASE}", from.display())));
    }
    let directory = DataDirectory::open(data)?;
    if directory.path().join(DATABASE).exists() {
        bail!(Usage(format!("{} has a database already: move it away first", data.display())));
    }
    for file in FILES.iter().filter(|file| from.join(file).exists()) {
        fs::copy(from.join(file), directory.path().join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    // The database last: without it the directory is still empty to a server.
    let staged = directory.path().join(".slipway.db.restoring");
    fs::copy(from.join(DATABASE), &staged).context("cannot copy the database")?;
    fs::rename(staged, directory.path().join(DATABASE)).context("cannot put the database in place")?;
    global.tell(
        &json!({"data": data}),
        format!("Restored into {}. Start it: slipway serve --data {}", data.display(), data.display()),
    );
    Ok(())
}
