//! Access tokens, stored as hashes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::access::RepositoryGrant;
use slipway_types::id::{ApplicationId, EnvironmentId, TokenId};
use slipway_types::{Digest, Role};

use crate::Result;

/// A token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Identity.
    pub id: TokenId,
    /// Name, shown as the actor. Unique among tokens that are not revoked.
    pub name: String,
    /// Whose it is; unset: nobody's but its own.
    pub person: Option<String>,
    /// Role; unset for a build's token, which has grants instead, and for one that only pulls.
    pub role: Option<Role>,
    /// Whether it may go past closed gates.
    pub break_glass: bool,
    /// The one application it is limited to.
    pub application_id: Option<ApplicationId>,
    /// The environment whose nodes pull the application by it, and may do nothing else.
    pub pulls_for: Option<EnvironmentId>,
    /// A build token's repositories.
    pub grants: Vec<RepositoryGrant>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Name.
    pub name: String,
    /// SHA-256 of the token; tokens hold 256 random bits, so no slow hash is needed.
    pub hash: Digest,
    /// Whose it is.
    pub person: Option<String>,
    /// Role; kept only where it neither builds nor pulls for an environment.
    pub role: Option<Role>,
    /// Whether it may go past closed gates.
    pub break_glass: bool,
    /// The one application it is limited to.
    pub application_id: Option<ApplicationId>,
    /// The environment whose nodes pull the application by it, and may do nothing else.
    pub pulls_for: Option<EnvironmentId>,
    /// A build token's repositories.
    pub grants: Vec<RepositoryGrant>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Looking up tokens.
#[async_trait]
pub trait ReadTokens {
    /// The token with that hash, revoked and expired ones too.
    async fn token_by_hash(&mut self, hash: &Digest) -> Result<Option<TokenRow>>;
    /// One token, a revoked or expired one too.
    async fn token_get(&mut self, id: TokenId) -> Result<Option<TokenRow>>;
    /// The token of that name that was not revoked, an expired one too. In a transaction nobody else ends it before
    /// that is over.
    async fn token_live_by_name(&mut self, name: &str) -> Result<Option<TokenRow>>;
    /// The tokens that were not revoked and by which the nodes of an environment pull, by name.
    async fn pull_tokens_of_environment(&mut self, environment: EnvironmentId) -> Result<Vec<TokenRow>>;
    /// The same of one application, for all environments.
    async fn pull_tokens_of_application(&mut self, application: ApplicationId) -> Result<Vec<TokenRow>>;
    /// All tokens that people made, and those by which environments pull, by name.
    async fn token_list(&mut self) -> Result<Vec<TokenRow>>;
    /// A page of these, by name and id.
    async fn token_page(&mut self, page: &TokenPage) -> Result<Vec<TokenRow>>;
    /// Whether some of these let nobody in at that time: revoked ones, and those that ended.
    async fn token_any_ended(&mut self, at: DateTime<Utc>) -> Result<bool>;
}

/// Which page of the tokens that people made, and of those by which environments pull.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenPage {
    /// Those alone that let somebody in at that time; `None`: all.
    pub holding_at: Option<DateTime<Utc>>,
    /// Those that come after this name and id; `None`: from the first.
    pub after: Option<(String, TokenId)>,
    /// At most so many rows; adapters cap it at [`crate::PAGE_ROWS_MAX`].
    pub limit: u32,
}

/// Changing tokens.
#[async_trait]
pub trait WriteTokens {
    /// Makes a token. `Conflict` if the name is taken by a live one.
    async fn token_insert(&mut self, token: NewToken) -> Result<TokenRow>;
    /// Notes use, to the minute.
    async fn token_used(&mut self, id: TokenId, at: DateTime<Utc>) -> Result<()>;
    /// Ends a token; `false` if it had ended.
    async fn token_revoke(&mut self, id: TokenId, at: DateTime<Utc>) -> Result<bool>;
}
