//! Bounded lists with keyset cursors.

use std::str::FromStr;

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
    pub(crate) next: Option<String>,
}

/// Which page.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Uuid>,
}

/// Which page of a list by name.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamePageQuery {
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A page of a list that is in order of its keys, which are names or begin with them.
#[derive(Debug, Clone)]
pub(crate) struct NamePage<K> {
    /// At most so many rows.
    pub(crate) limit: u32,
    /// Those behind this key; `None`: from the first.
    pub(crate) after: Option<K>,
}

/// The rows that are asked for, if they are neither none nor too many.
pub(crate) fn checked_limit(limit: Option<u32>) -> Result<u32, ApiError> {
    let limit = limit.unwrap_or(Page::default().limit);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit: {limit} is not between 1 and {LIMIT_MAX}");
    Err(ApiError::bad_request("bad_query", detail))
}

impl PageQuery {
    pub(crate) fn new(limit: Option<u32>, after: Option<Uuid>) -> Self {
        Self { limit, after }
    }

    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        Ok(Page { limit: checked_limit(self.limit)?, after: self.after })
    }
}

impl NamePageQuery {
    pub(crate) fn new(limit: Option<u32>, after: Option<String>) -> Self {
        Self { limit, after }
    }

    pub(crate) fn page<K: FromStr>(&self) -> Result<NamePage<K>, ApiError> {
        let limit = checked_limit(self.limit)?;
        let Some(after) = self.after.as_deref() else { return Ok(NamePage { limit, after: None }) };
        match after.parse() {
            // Databases take no NUL, and no key has one.
            Ok(key) if !after.contains('\0') => Ok(NamePage { limit, after: Some(key) }),
            _ => Err(ApiError::bad_request("bad_query", "after: give the `next` of the page before")),
        }
    }
}

impl<K: Ord + ToString> NamePage<K> {
    /// The page of rows that are all at hand, each with its key.
    pub(crate) fn cut<T>(&self, mut rows: Vec<(K, T)>) -> List<T> {
        rows.retain(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows.truncate(self.limit as usize);
        List::keyed(self.limit, rows)
    }
}

impl<T> List<T> {
    /// A whole list that is bounded by its nature: a test over the description of the API names which are, and by what.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page of `rows`, each with its identity; a full page may have a next one.
    pub(crate) fn page(page: &Page, rows: Vec<(Uuid, T)>) -> Self {
        Self::keyed(page.limit, rows)
    }

    /// At most `limit` rows, each with what the next page begins behind; a full page may have a next one.
    pub(crate) fn keyed<K: ToString>(limit: u32, rows: Vec<(K, T)>) -> Self {
        let full = rows.len() >= limit as usize;
        let next = rows.last().filter(|_| full).map(|(key, _)| key.to_string());
        Self { items: rows.into_iter().map(|(_, item)| item).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(limit: Option<u32>, after: Option<&str>) -> NamePageQuery {
        NamePageQuery::new(limit, after.map(str::to_owned))
    }

    #[test]
    fn pages_of_rows_at_hand_lead_through_all_of_them() {
        let rows = || ["c", "a", "d", "b"].map(|name| (name.to_owned(), name)).to_vec();
        let (mut seen, mut after): (Vec<&str>, Option<String>) = (Vec::new(), None);
        loop {
            let page = query(Some(3), after.as_deref()).page::<String>().unwrap();
            let list = page.cut(rows());
            seen.extend(list.items);
            after = list.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_page_that_cannot_be_is_refused_by_its_field() {
        for (limit, after, field) in
            [(Some(0), None, "limit"), (Some(501), None, "limit"), (None, Some("x"), "after")]
        {
            let refused = query(limit, after).page::<u32>().unwrap_err();
            assert!(refused.detail().starts_with(field), "{}", refused.detail());
        }
        assert!(query(None, Some("a\0b")).page::<String>().is_err());
        assert_eq!(query(None, Some("7")).page::<u32>().unwrap().after, Some(7));
        assert_eq!(query(None, None).page::<u32>().unwrap().limit, 50);
    }
}
