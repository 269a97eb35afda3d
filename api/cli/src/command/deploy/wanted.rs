//! What is to be deployed where, as the options say it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::command::document;

/// An application, an environment and a choice of a bundle.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The application
    app: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
    #[command(flatten)]
    choice: Choice,
    /// Configuration for this deployment alone: an OAM Application (YAML); `-`: standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Which bundle; all that is given must hold.
#[derive(Debug, Default, Args)]
struct Choice {
    /// Exactly this version
    #[arg(
        long,
        value_name = "VERSION",
        conflicts_with_all = ["range", "selector", "branch", "channel", "commit", "author", "deployed_in", "prerelease"]
    )]
    bundle: Option<String>,
    /// The highest of a version in this range, e.g. ^1.4, ~1.4.2, ">=1.0.0 <2" or 1.x
    #[arg(long)]
    range: Option<String>,
    /// With such labels, e.g. "tier in (gold,silver),tested,!broken"
    #[arg(long)]
    selector: Option<String>,
    /// Published from this branch
    #[arg(long)]
    branch: Option<String>,
    /// Named by this channel
    #[arg(long)]
    channel: Option<String>,
    /// Published from a commit that begins so
    #[arg(long)]
    commit: Option<String>,
    /// Written or pushed by this person: name, mail address or login
    #[arg(long)]
    author: Option<String>,
    /// Run by this environment now
    #[arg(long, value_name = "ENVIRONMENT")]
    deployed_in: Option<String>,
    /// Whether pre-releases take part, which builds of branches are too; auto: if a branch, commit or
    /// channel is given, or the range names one
    #[arg(long, value_parser = ["auto", "yes", "no"])]
    prerelease: Option<String>,
}

impl Choice {
    /// The selection; `None` if nothing of it is given.
    fn selection(&self) -> Option<Value> {
        let given = [
            ("range", &self.range),
            ("selector", &self.selector),
            ("branch", &self.branch),
            ("channel", &self.channel),
            ("commit", &self.commit),
            ("author", &self.author),
            ("deployed_in", &self.deployed_in),
            ("prerelease", &self.prerelease),
        ];
        let given =
            given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())));
        let selection: serde_json::Map<String, Value> = given.collect();
        (!selection.is_empty()).then_some(Value::Object(selection))
    }
}

impl Wanted {
    /// The body of a request for it.
    pub(super) fn body(&self) -> Result<Value> {
        let mut body = json!({"application": self.app, "environment": self.env});
        if let Some(bundle) = &self.choice.bundle {
            body["bundle"] = bundle.as_str().into();
        }
        if let Some(selection) = self.choice.selection() {
            body["select"] = selection;
        }
        if let Some(file) = &self.file {
            body["document"] = document::read(file)?.into();
        }
        Ok(body)
    }

    /// The options that say the same to `slipway deploy create`.
    pub(super) fn again(&self) -> String {
        let mut words = vec![self.app.clone(), format!("--env {}", self.env)];
        words.extend(self.choice.bundle.iter().map(|bundle| format!("--bundle {bundle}")));
        for (key, value) in self.choice.selection().iter().filter_map(Value::as_object).flatten() {
            words.push(format!("--{} {}", key.replace('_', "-"), quoted(value.as_str().unwrap_or_default())));
        }
        words.extend(self.file.iter().map(|file| format!("-f {}", quoted(&file.display().to_string()))));
        words.join(" ")
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
        Wanted { app: "shop".into(), env: "prod".into(), choice, file: None }
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
            ..Choice::default()
        };
        let wanted = wanted(choice);
        assert_eq!(
            wanted.body().unwrap()["select"],
            json!({"range": ">=1.0.0 <2", "deployed_in": "staging"})
        );
        assert_eq!(wanted.again(), "shop --env prod --deployed-in staging --range '>=1.0.0 <2'");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them() {
        for (word, shown) in [("main", "main"), ("it's", r"'it'\''s'"), ("", "''"), ("^1.4", "'^1.4'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
