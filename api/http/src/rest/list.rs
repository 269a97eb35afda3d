//! Bounded lists with keyset cursors.

use serde::{Deserialize, Serialize};
use slipway_records::Page;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::problem::ApiError;

/// The largest page, in rows.
pub(crate) const LIMIT_MAX: u32 = 500;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub(crate) items: Vec<T>,
    /// Give this as `after` to get the rows that follow; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) next: Option<Uuid>,
}

/// Which page.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Uuid>,
}

impl PageQuery {
    pub(crate) fn new(limit: Option<u32>, after: Option<Uuid>) -> Self {
        Self { limit, after }
    }

    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        let limit = self.limit.unwrap_or(Page::default().limit);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit: {limit} is not between 1 and {LIMIT_MAX}");
            return Err(ApiError::bad_request("bad_query", detail));
        }
        Ok(Page { limit, after: self.after })
    }
}

impl<T> List<T> {
    /// A whole list that is bounded by its nature.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page of `rows`, each with its identity; a full page may have a next one.
    pub(crate) fn page(page: &Page, rows: Vec<(Uuid, T)>) -> Self {
        let full = rows.len() >= page.limit as usize;
        let next = rows.last().filter(|_| full).map(|(id, _)| *id);
        Self { items: rows.into_iter().map(|(_, item)| item).collect(), next }
    }
}
