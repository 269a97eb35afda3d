//! Browsers in which somebody is signed in.
//!
//! A sign-in is no identity: it stands for the token that it was made with, and lets in for as long as that does.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::Digest;
use slipway_types::id::TokenId;

use crate::Result;

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// SHA-256 of what the browser keeps: 256 random bits, so no slow hash is needed.
    pub hash: Digest,
    /// The token it was made with.
    pub token_id: TokenId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, used or not.
    pub expires_at: DateTime<Utc>,
}

/// Looking up sign-ins.
#[async_trait]
pub trait ReadSignIns {
    /// The sign-in with that hash, an expired one too.
    async fn sign_in_get(&mut self, hash: &Digest) -> Result<Option<SignIn>>;
}

/// Making and ending sign-ins.
#[async_trait]
pub trait WriteSignIns {
    /// Keeps a sign-in. `Conflict` if its hash is taken.
    async fn sign_in_insert(&mut self, sign_in: &SignIn) -> Result<()>;
    /// Notes use, to the minute.
    async fn sign_in_seen(&mut self, hash: &Digest, at: DateTime<Utc>) -> Result<()>;
    /// Ends one; `false` if there was none.
    async fn sign_in_remove(&mut self, hash: &Digest) -> Result<bool>;
    /// Removes those that expired before then, at most `limit`; returns how many.
    async fn sign_ins_forget(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
}
