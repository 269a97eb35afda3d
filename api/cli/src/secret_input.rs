//! Reading what nobody else is to see: never from an argument, where every process of the machine could
//! read it, and never echoed.

use std::io::{IsTerminal, Read as _};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::client::Usage;
use crate::output::say;

/// Reads `what` from the file, else from standard input: one hidden line of a terminal, else all of it.
/// Line ends at its end are not part of it.
pub(crate) fn read(what: &str, file: Option<&Path>) -> Result<String> {
    let value = match file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            read.map_err(|error| Usage(format!("cannot read {}: {error}", path.display())))?
        }
        None if std::io::stdin().is_terminal() => {
            say(format!("Type or paste the {what}, then Enter; it is not shown:"));
            console::Term::stderr().read_secure_line().context("cannot read from the terminal")?
        }
        None => {
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value).context("cannot read standard input")?;
            value
        }
    };
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        bail!(Usage(match file {
            Some(path) => format!("the {what} in {} is empty", path.display()),
            None => {
                format!("the {what} is empty: give it on standard input, or name its file (see --help)")
            }
        }));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::exit_code;

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let error = read("token", Some(Path::new("/does/not/exist"))).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert!(error.to_string().contains("cannot read /does/not/exist"), "{error}");
    }
}
