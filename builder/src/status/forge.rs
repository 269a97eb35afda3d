//! How each forge wants to be told.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use slipway_records::{Origin, Run};
use slipway_types::ApplicationName;
use slipway_types::state::RunState;
use url::Url;

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forge {
    Github,
    Gitlab,
    /// Gitea and Forgejo, which speak alike.
    Gitea,
}

impl Forge {
    /// The forge that sends webhooks of this origin.
    pub(super) fn of_origin(origin: Origin) -> Option<Self> {
        match origin {
            Origin::Github => Some(Self::Github),
            Origin::Gitlab => Some(Self::Gitlab),
            Origin::Gitea | Origin::Forgejo => Some(Self::Gitea),
            Origin::Push | Origin::Generic | Origin::Sweep | Origin::Manual => None,
        }
    }

    fn of_host(host: &str) -> Option<Self> {
        match host {
            "github.com" => Some(Self::Github),
            "gitlab.com" => Some(Self::Gitlab),
            "codeberg.org" => Some(Self::Gitea),
            _ => None,
        }
    }

    /// The longest description, in characters.
    fn description_chars_max(self) -> usize {
        match self {
            Self::Github => 140,
            Self::Gitlab | Self::Gitea => 255,
        }
    }

    fn word(self, state: &RunState) -> &'static str {
        match (state, self) {
            (
                RunState::Queued { .. }
                | RunState::Planning
                | RunState::Building
                | RunState::Packaging
                | RunState::Cancelling { .. },
                _,
            ) => "pending",
            (RunState::Done { .. } | RunState::Skipped { .. }, _) => "success",
            (RunState::Failed { .. } | RunState::TimedOut { .. }, Self::Gitlab) => "failed",
            (RunState::Failed { .. } | RunState::TimedOut { .. }, _) => "failure",
            (RunState::Cancelled { .. } | RunState::Superseded { .. }, Self::Gitlab) => "canceled",
            (RunState::Cancelled { .. } | RunState::Superseded { .. }, _) => "error",
        }
    }
}

/// The credential of a source: `user:password`, or a token alone.
pub(super) struct Token {
    pub(super) user: Option<String>,
    pub(super) secret: SecretString,
}

impl Token {
    pub(super) fn parse(value: &SecretString) -> Self {
        let value = value.expose_secret().trim();
        match value.split_once(':') {
            Some((user, secret)) => Self { user: Some(user.to_owned()), secret: secret.into() },
            None => Self { user: None, secret: value.into() },
        }
    }
}

/// A repository on a forge.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    forge: Forge,
    /// The address of the forge's API.
    api: Url,
    /// Owner, groups and name.
    path: Vec<String>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) forge: Forge,
    pub(super) url: Url,
    pub(super) body: Value,
}

impl Repository {
    /// The repository of a clone address, on the forge known by its webhooks or else by its host.
    pub(super) fn parse(clone_url: &str, by_webhook: Option<Forge>) -> Option<Self> {
        let url = Url::parse(clone_url).ok()?;
        let host = url.host_str()?.to_owned();
        let forge = by_webhook.or_else(|| Forge::of_host(&host))?;
        let path = url.path().trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        // Without one below another it is no repository; what needs escaping is no name on any forge.
        let plain = |part: &String| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~+".contains(&b))
        };
        if path.len() < 2 || !path.iter().all(plain) {
            return None;
        }
        let mut api = url;
        api.set_path(match forge {
            Forge::Github if host == "github.com" => "/",
            Forge::Github => "/api/v3",
            Forge::Gitlab => "/api/v4",
            Forge::Gitea => "/api/v1",
        });
        if forge == Forge::Github && host == "github.com" {
            api.set_host(Some("api.github.com")).ok()?;
        }
        Some(Self { forge, api, path })
    }

    /// Where the run stands, as the forge wants to hear it.
    pub(super) fn status(&self, run: &Run, application: &ApplicationName, target_url: &str) -> Status {
        let context = format!("slipway/{application}");
        let description = description(&run.state, self.forge.description_chars_max());
        let mut body = json!({
            "state": self.forge.word(&run.state),
            "target_url": target_url,
            "description": description,
            "context": context,
        });
        if self.forge == Forge::Gitlab {
            // Tells apart the pipelines of one commit.
            body["ref"] = run.git_ref.short().into();
        }
        Status { forge: self.forge, url: self.url(run.commit.as_str()), body }
    }

    fn url(&self, commit: &str) -> Url {
        let mut url = self.api.clone();
        let mut segments = url.path_segments_mut().expect("invariant: clone addresses have a host");
        segments.pop_if_empty();
        match self.forge {
            Forge::Gitlab => segments.extend(["projects", &self.path.join("/")]),
            Forge::Github | Forge::Gitea => {
                let owner_and_name = &self.path[self.path.len() - 2..];
                segments.push("repos").extend(owner_and_name)
            }
        };
        segments.extend(["statuses", commit]);
        drop(segments);
        url
    }
}

/// One line: the version, or the reason, or what is being done.
fn description(state: &RunState, chars_max: usize) -> String {
    let line = match (state, state.reason()) {
        (RunState::Done { version, .. }, _) => format!("published {version}"),
        (_, Some(reason)) => reason,
        (state, None) => state.word().replace('_', " "),
    };
    let line = line.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= chars_max {
        return line;
    }
    line.chars().take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(clone: &str, forge: Option<Forge>) -> Option<String> {
        Repository::parse(clone, forge).map(|repository| repository.url("abc").to_string())
    }

    #[test]
    fn each_forge_has_its_address() {
        for (clone, forge, expected) in [
            ("https://github.com/a/b.git", None, "https://api.github.com/repos/a/b/statuses/abc"),
            ("https://ghe.corp/a/b", Some(Forge::Github), "https://ghe.corp/api/v3/repos/a/b/statuses/abc"),
            (
                "https://gitlab.com/g/s/p.git",
                None,
                "https://gitlab.com/api/v4/projects/g%2Fs%2Fp/statuses/abc",
            ),
            ("https://codeberg.org/a/b.git/", None, "https://codeberg.org/api/v1/repos/a/b/statuses/abc"),
            (
                "https://git.corp:8443/a/b.git",
                Some(Forge::Gitea),
                "https://git.corp:8443/api/v1/repos/a/b/statuses/abc",
            ),
        ] {
            assert_eq!(url(clone, forge).as_deref(), Some(expected));
        }
        for (clone, forge) in [
            ("https://git.corp/a/b.git", None),
            ("https://github.com/b.git", None),
            ("https://github.com/a/%2e%2e/b.git", None),
            ("https://evilgithub.com/a/b", None),
        ] {
            assert_eq!(url(clone, forge), None, "{clone}");
        }
    }

    #[test]
    fn a_description_is_one_short_line() {
        let skipped = |why: &str| RunState::Skipped { why: why.into() };
        assert_eq!(description(&skipped("one\ntwo"), 140), "one");
        assert_eq!(description(&skipped(&"ü".repeat(141)), 140).chars().count(), 140);
        assert_eq!(description(&RunState::Planning, 140), "planning");
        assert_eq!(
            description(&RunState::Done { bundle: None, version: "1.2.3".parse().unwrap() }, 140),
            "published 1.2.3"
        );
    }
}
