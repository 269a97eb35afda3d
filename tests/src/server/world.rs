//! What servers stand on: the embedded default, or PostgreSQL and S3 that several share.

use std::env;
use std::path::Path;
use std::process::Command;

use slipway_objects::{Blobs, BlobsOptions};
use uuid::Uuid;

use super::ServerOptions;
use crate::services;

/// What servers stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// One server, SQLite, local disk.
    Embedded,
    /// Two servers, PostgreSQL, S3, no shared disk, connections alternating between them.
    Pair,
}

impl World {
    /// `SLIPWAY_TEST_WORLD`: `embedded` (if unset) or `pair`.
    pub fn of_environment() -> Self {
        match env::var("SLIPWAY_TEST_WORLD").as_deref() {
            Err(_) | Ok("" | "embedded") => Self::Embedded,
            Ok("pair") => Self::Pair,
            Ok(other) => panic!("SLIPWAY_TEST_WORLD is embedded or pair, not {other}"),
        }
    }
}

/// A PostgreSQL database of its own, gone when dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
}

impl Database {
    /// Makes an empty one.
    pub fn create() -> Self {
        let server = services::postgres();
        let name = format!("test_{}", Uuid::now_v7().simple());
        sql(&server, &format!("create database {name}")).expect("a database can be made");
        let url = format!("{}/{name}", server.rsplit_once('/').expect("the address names a database").0);
        Self { name, url }
    }

    /// `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs one statement and gives what it printed.
    pub fn sql(&self, statement: &str) -> String {
        sql(&self.url, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A failing test must not fail a second time here: the database goes with its server.
        drop(sql(&services::postgres(), &format!("drop database {} with (force)", self.name)));
    }
}

fn sql(url: &str, statement: &str) -> Result<String, String> {
    let psql = Command::new(services::tool("psql")).args([url, "-qtAc", statement]).output();
    let psql = psql.map_err(|error| error.to_string())?;
    if !psql.status.success() {
        return Err(String::from_utf8_lossy(&psql.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&psql.stdout).trim().to_owned())
}

/// Points servers at `database`, at a place of its own in the S3 bucket, and at a key that all share: the
/// first makes it in `directory`.
pub(super) fn share(options: &mut ServerOptions, database: &Database, directory: &Path) {
    let s3 = services::s3();
    let settings = [
        ("DATABASE__URL", database.url().to_owned()),
        ("DATABASE__MAX_CONNECTIONS", "8".to_owned()),
        ("STORAGE__URL", format!("s3://{}/{}", s3.bucket, database.name)),
        ("STORAGE__S3_ENDPOINT", s3.endpoint),
        ("STORAGE__S3_REGION", s3.region),
        ("STORAGE__S3_ACCESS_KEY", s3.access_key),
        ("STORAGE__S3_SECRET_KEY", "secret://env/SLIPWAY_SECRET_S3".to_owned()),
        ("STORAGE__S3_ALLOW_HTTP", "true".to_owned()),
        ("SECRETS__KEY_FILE", directory.join("shared-secret.key").display().to_string()),
    ];
    for (name, value) in settings {
        options.env.entry(format!("SLIPWAY__{name}")).or_insert(value);
    }
    options.env.insert("SLIPWAY_SECRET_S3".to_owned(), s3.secret_key);
}

/// Opens the blobs of servers that [`share`] `database`, or of the one that keeps them under `data`.
pub(super) async fn blobs(database: Option<&Database>, data: &Path, spool: &Path) -> Blobs {
    let options = match database {
        None => BlobsOptions::new(format!("file://{}", data.join("blobs").display()), spool),
        Some(database) => {
            // Another test of this process may have chosen it already.
            drop(rustls::crypto::ring::default_provider().install_default());
            let s3 = services::s3();
            let mut options = BlobsOptions::new(format!("s3://{}/{}", s3.bucket, database.name), spool);
            options.s3.endpoint = Some(s3.endpoint);
            options.s3.region = s3.region;
            options.s3.access_key = Some(s3.access_key.into());
            options.s3.secret_key = Some(s3.secret_key.into());
            options.s3.allow_http = true;
            options
        }
    };
    Blobs::open(options).await.expect("the object store opens")
}
