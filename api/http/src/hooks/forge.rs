//! Which forge sends, told by address and headers.

use axum::http::{HeaderMap, StatusCode};
use slipway_records::Origin;

use crate::problem::ApiError;

/// The last part of a webhook's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// GitHub; Gitea and Forgejo, which send its headers too, are told apart.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// A script of one's own.
    Generic,
}

impl Endpoint {
    pub(super) fn of_word(word: &str) -> Result<Self, ApiError> {
        match word {
            "github" => Ok(Self::Github),
            "gitlab" => Ok(Self::Gitlab),
            "gitea" | "forgejo" | "gogs" => Ok(Self::Gitea),
            "generic" => Ok(Self::Generic),
            "bitbucket" | "gitee" => {
                let detail = format!("webhooks of {word} come with a later release");
                Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "forge_not_supported", detail)
                    .hint("use the `generic` address, or let the sweep find new commits"))
            }
            other => {
                let other: String = other.chars().take(40).collect();
                Err(ApiError::not_found("forge", other).hint("known are github, gitlab, gitea and generic"))
            }
        }
    }

    /// Who really sends. Forgejo also sends Gitea's, Gogs' and GitHub's headers, Gitea the latter
    /// two: the most particular one decides.
    pub(super) fn origin(self, headers: &HeaderMap) -> Origin {
        match self {
            Self::Gitlab => Origin::Gitlab,
            Self::Generic => Origin::Generic,
            Self::Github | Self::Gitea => {
                if headers.contains_key("x-forgejo-event") {
                    Origin::Forgejo
                } else if headers.contains_key("x-gitea-event") || headers.contains_key("x-gogs-event") {
                    Origin::Gitea
                } else if headers.contains_key("x-github-event") {
                    Origin::Github
                } else if self == Self::Gitea {
                    Origin::Gitea
                } else {
                    Origin::Github
                }
            }
        }
    }
}

/// The first of `names` that the headers hold as text.
pub(super) fn first<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}
