//! Orders to receivers. One is kept, with its audit entry, before its receiver hears of it, and settled by the same
//! identifier once it is known what came of it: nothing takes effect without a record, and who is killed between the
//! two leaves what tells it again.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::id::{DeploymentId, OrderId};

use crate::Result;
use crate::deploying::{DeploymentOrder, DeploymentWord};

/// So many orders of a deployment may wait for its receiver.
pub const ORDERS_PENDING_MAX: u32 = 16;

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Nobody knows yet: its receiver may have heard of it, or not.
    Pending,
    /// Its receiver took it.
    Told,
    /// Its receiver did not take it.
    Refused,
    /// Something newer took the place of what it was about.
    Overtaken,
    /// Its receiver gave no answer for too long.
    Expired,
}

/// A text that is no state of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of an order `{0}`: expected pending, told, refused, overtaken or expired")]
pub struct UnknownOrderState(String);

impl OrderState {
    /// The state's word, as stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Told => "told",
            Self::Refused => "refused",
            Self::Overtaken => "overtaken",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for OrderState {
    type Err = UnknownOrderState;

    fn from_str(text: &str) -> Result<Self, UnknownOrderState> {
        let all = [Self::Pending, Self::Told, Self::Refused, Self::Overtaken, Self::Expired];
        let found = all.into_iter().find(|state| state.word() == text);
        found.ok_or_else(|| UnknownOrderState(text.chars().take(40).collect()))
    }
}

/// A text that is no word to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word to a receiver `{0}`: expected suspend, resume, retry, terminate or promote")]
pub struct UnknownDeploymentWord(String);

impl DeploymentWord {
    /// The word, as stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Terminate => "terminate",
            Self::Promote => "promote",
        }
    }
}

impl FromStr for DeploymentWord {
    type Err = UnknownDeploymentWord;

    fn from_str(text: &str) -> Result<Self, UnknownDeploymentWord> {
        let all = [Self::Suspend, Self::Resume, Self::Retry, Self::Terminate, Self::Promote];
        let found = all.into_iter().find(|word| word.word() == text);
        found.ok_or_else(|| UnknownDeploymentWord(text.chars().take(40).collect()))
    }
}

/// An order that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// What its receiver tells repetitions by.
    pub id: OrderId,
    /// What was ordered, the node filled in where its word says which without naming it.
    pub order: DeploymentOrder,
    /// The number of the receiver's last word on the whole before the order; what has a higher one is newer.
    pub heard: Option<u64>,
    /// What came of it.
    pub state: OrderState,
    /// Why it waits, or was not taken.
    pub why: Option<String>,
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// When it was known what came of it.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Looking up orders.
#[async_trait]
pub trait ReadOrders {
    /// The order of that identity.
    async fn order_get(&mut self, id: OrderId) -> Result<Option<OrderRow>>;
    /// Those of a deployment of which it is not known what came, in the order in which they were given.
    async fn orders_pending(&mut self, deployment: DeploymentId) -> Result<Vec<OrderRow>>;
    /// Those of a deployment, newest first; at most `limit`, which is capped at [`crate::PAGE_ROWS_MAX`].
    async fn orders_of(&mut self, deployment: DeploymentId, limit: u32) -> Result<Vec<OrderRow>>;
}

/// Keeping orders.
#[async_trait]
pub trait WriteOrders {
    /// Keeps an order.
    async fn order_insert(&mut self, order: &OrderRow) -> Result<()>;
    /// Says why an order that is pending waits.
    async fn order_note(&mut self, order: &OrderRow, why: &str) -> Result<()>;
    /// Settles an order that is pending: as what, and why if it was not taken; `false` if it is settled already.
    async fn order_settle(&mut self, order: &OrderRow, state: OrderState, why: Option<&str>) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for state in ["pending", "told", "refused", "overtaken", "expired"] {
            assert_eq!(state.parse::<OrderState>().map(OrderState::word), Ok(state));
        }
        for word in ["suspend", "resume", "retry", "terminate", "promote"] {
            assert_eq!(word.parse::<DeploymentWord>().map(DeploymentWord::word), Ok(word));
        }
        assert!("lost".parse::<OrderState>().is_err() && "hurry".parse::<DeploymentWord>().is_err());
    }
}
