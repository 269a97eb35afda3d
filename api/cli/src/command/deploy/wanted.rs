//! What is to be deployed where, as the options say it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::choice::Choice;
use crate::command::document;

/// An application, an environment and a choice of a bundle.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The application
    app: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
    /// Exactly this version
    #[arg(long, value_name = "VERSION", conflicts_with = "Choice")]
    bundle: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// Configuration for this deployment alone: an OAM Application (YAML); `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Wanted {
    /// The body of a request for it.
    pub(super) fn body(&self) -> Result<Value> {
        let mut body = json!({"application": self.app, "environment": self.env});
        if let Some(bundle) = &self.bundle {
            body["bundle"] = bundle.as_str().into();
        }
        let given = self.choice.given();
        if !given.is_empty() {
            let given = given.into_iter().map(|(option, value)| (field(option).to_owned(), value.into()));
            body["select"] = Value::Object(given.collect());
        }
        if let Some(file) = &self.file {
            body["document"] = document::read(file)?.into();
        }
        Ok(body)
    }

    /// The options that say the same to `slipway deploy create`.
    pub(super) fn again(&self) -> String {
        let mut words = vec![self.app.clone(), format!("--env {}", self.env)];
        words.extend(self.bundle.iter().map(|bundle| format!("--bundle {bundle}")));
        for (option, value) in self.choice.given() {
            words.push(format!("--{} {}", option.replace('_', "-"), quoted(&value)));
        }
        words.extend(self.file.iter().map(|file| format!("-f {}", quoted(&file.display().to_string()))));
        words.join(" ")
    }
}

/// What a selection calls what an option says.
fn field(option: &'static str) -> &'static str {
    match option {
        "since" => "published_after",
        "until" => "published_before",
        same => same,
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(choice: Choice) -> Wanted {
        Wanted { app: "shop".into(), env: "prod".into(), bundle: None, choice, file: None }
    }

    #[test]
    fn nothing_given_asks_for_nothing() {
        let body = wanted(Choice::default()).body().unwrap();
        assert_eq!(body, json!({"application": "shop", "environment": "prod"}));
    }

    #[test]
    fn a_choice_is_said_to_the_server_and_to_people() {
        let choice = Choice {
            range: Some(">=1.0.0 <2".into()),
            deployed_in: Some("staging".into()),
            until: Some("2026-01-31T00:00:00Z".into()),
            ..Choice::default()
        };
        let wanted = wanted(choice);
        assert_eq!(
            wanted.body().unwrap()["select"],
            json!({"range": ">=1.0.0 <2", "published_before": "2026-01-31T00:00:00Z", "deployed_in": "staging"})
        );
        let again = "shop --env prod --range '>=1.0.0 <2' --until 2026-01-31T00:00:00Z --deployed-in staging";
        assert_eq!(wanted.again(), again);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them() {
        for (word, shown) in [("main", "main"), ("it's", r"'it'\''s'"), ("", "''"), ("^1.4", "'^1.4'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
