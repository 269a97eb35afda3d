//! Credentials for forges, handed to git by askpass: never in an address, an argument or a file.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

/// The user that forges take beside an access token.
const TOKEN_USER: &str = "x-access-token";

const ASKPASS: &str = "#!/bin/sh
case \"$1\" in
Username*) printf '%s\\n' \"$SLIPWAY_GIT_USERNAME\" ;;
*) printf '%s\\n' \"$SLIPWAY_GIT_PASSWORD\" ;;
esac
";

/// User and password, or an access token.
#[derive(Debug, Clone)]
pub struct Credential {
    username: String,
    password: SecretString,
}

impl Credential {
    /// Reads a secret's value: `user:password`, or a token alone.
    pub fn parse(value: &SecretString) -> Self {
        let value = value.expose_secret().trim();
        let (username, password) = value.split_once(':').unwrap_or((TOKEN_USER, value));
        Self { username: username.to_owned(), password: password.into() }
    }

    /// Makes `command` answer git's questions with this credential.
    pub(super) fn give_to(&self, command: &mut Command, askpass: &Path) {
        command
            .env("GIT_ASKPASS", askpass)
            .env("SLIPWAY_GIT_USERNAME", &self.username)
            .env("SLIPWAY_GIT_PASSWORD", self.password.expose_secret());
    }
}

/// Writes the program that git asks; it holds no secret.
pub(super) fn write_askpass(dir: &Path) -> std::io::Result<PathBuf> {
    let path = dir.join("askpass");
    let there = std::fs::read(&path).is_ok_and(|content| content == ASKPASS.as_bytes());
    if there && std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o700 {
        return Ok(path);
    }
    let mut file = tempfile::Builder::new().prefix(".askpass-").tempfile_in(dir)?;
    file.write_all(ASKPASS.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o700))?;
    // A descriptor that is open for writing would keep the program from being started.
    file.into_temp_path().persist(&path)?;
    Ok(path)
}
