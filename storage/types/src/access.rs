//! Who acts, and what they may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ApplicationId, TokenId};

/// What a token may do. Each role holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See and pull.
    Reader,
    /// Push, start and cancel runs, set labels and channels.
    Developer,
    /// Deploy, approve, pin, write operator configuration, move what is protected.
    Operator,
    /// Everything: create applications, secrets, tokens.
    Admin,
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown role `{0}`: expected reader, developer, operator or admin")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "reader" => Ok(Self::Reader),
            "developer" => Ok(Self::Developer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            other => Err(UnknownRole(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Developer => "developer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// One right in the built-in registry, held by a build's own token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryGrant {
    /// Full repository path.
    pub repository: String,
    /// Whether it may push there; every grant may pull.
    pub push: bool,
}

/// Who makes a request, after authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A person or script with a token.
    Token {
        /// The token.
        id: TokenId,
        /// Its name, shown as the actor.
        name: String,
        /// Whose it is: who holds several tokens is one person.
        person: String,
        /// What it may do.
        role: Role,
        /// The one application it is limited to, if any.
        application: Option<ApplicationId>,
        /// Whether it may go past closed gates.
        break_glass: bool,
    },
    /// A running build: nothing but its repositories.
    Build {
        /// The token.
        id: TokenId,
        /// Its name, e.g. `build 0190…`.
        name: String,
        /// Where it may pull and push.
        grants: Vec<RepositoryGrant>,
    },
    /// The nodes of an environment: they pull the images and packages of one application, and do nothing else.
    Puller {
        /// The token.
        id: TokenId,
        /// Its name, e.g. `pull prod default shop`.
        name: String,
        /// What they pull.
        application: ApplicationId,
    },
}

impl Principal {
    /// The actor's name for records and pages.
    pub fn name(&self) -> &str {
        match self {
            Self::Token { name, .. } | Self::Build { name, .. } | Self::Puller { name, .. } => name,
        }
    }

    /// Whose word this is.
    pub fn person(&self) -> &str {
        match self {
            Self::Token { person, .. } => person,
            Self::Build { name, .. } | Self::Puller { name, .. } => name,
        }
    }

    /// Whether closed gates may be passed, which no role holds by itself.
    pub fn may_break_glass(&self) -> bool {
        matches!(self, Self::Token { break_glass: true, .. })
    }

    /// Whether this principal holds `role` for `application`; `None` asks for a right on the whole
    /// server, which a token limited to one application never has beyond reading.
    pub fn may(&self, wanted: Role, on: Option<ApplicationId>) -> bool {
        match self {
            Self::Token { role, application, .. } => {
                *role >= wanted && (application.is_none() || (on.is_some() && *application == on))
            }
            Self::Build { .. } | Self::Puller { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_limited_to_one_application_has_no_right_elsewhere() {
        let (mine, other) = (ApplicationId::new(), ApplicationId::new());
        let token = Principal::Token {
            id: TokenId::new(),
            name: "ci".into(),
            person: "ci".into(),
            role: Role::Developer,
            application: Some(mine),
            break_glass: false,
        };
        assert!(token.may(Role::Reader, Some(mine)) && token.may(Role::Developer, Some(mine)));
        assert!(!token.may(Role::Admin, Some(mine)));
        assert!(!token.may(Role::Reader, Some(other)) && !token.may(Role::Reader, None));
    }

    #[test]
    fn nodes_that_pull_an_application_hold_no_role_on_it() {
        let application = ApplicationId::new();
        let name = "pull prod default shop".to_owned();
        let nodes = Principal::Puller { id: TokenId::new(), name, application };
        assert!(!nodes.may(Role::Reader, Some(application)) && !nodes.may(Role::Reader, None));
        assert!(!nodes.may_break_glass());
    }
}
