//! Which bundles the form of an application's page asks for.

use serde::Deserialize;
use slipway_records::{SelectionCursor, SelectionPage};
use slipway_types::Version;
use slipway_types::label::{LabelKey, LabelValue};
use slipway_types::selection::{CommitPrefix, LabelSelector, Prereleases, Selection, SelectionOrder};

use super::address;
use crate::problem::ApiError;

/// So many digits that look like a commit are one; fewer are one if a letter is among them.
const COMMIT_DIGITS: usize = 7;

/// What the form holds; empty fields ask for nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BundleFilter {
    pub(super) branch: String,
    pub(super) selector: String,
    pub(super) channel: String,
    /// A version or a range of versions, the beginning of a commit, or an author.
    pub(super) q: String,
    /// Where the page before ended.
    pub(super) after: String,
}

/// A value of the form, or the problem that names the field.
fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<Option<T>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<T>();
    parsed.map(Some).map_err(|error| ApiError::bad_request("bad_query", format!("{name}: {error}")))
}

impl BundleFilter {
    /// Whether it asks for all.
    pub(super) fn is_empty(&self) -> bool {
        [&self.branch, &self.selector, &self.channel, &self.q].iter().all(|text| text.trim().is_empty())
    }

    /// The selection asked for: pre-releases and held bundles take part, for a list leaves out nothing by itself.
    pub(super) fn selection(&self) -> Result<Selection, ApiError> {
        let selection = Selection {
            branch: field("branch", &self.branch)?,
            selector: field("selector", &self.selector)?.unwrap_or_default(),
            channel: field("channel", &self.channel)?,
            prerelease: Prereleases::Yes,
            held: true,
            ..Selection::default()
        };
        self.with_text(selection)
    }

    fn with_text(&self, selection: Selection) -> Result<Selection, ApiError> {
        let text = self.q.trim();
        if text.parse::<Version>().is_ok() {
            return Ok(Selection { range: field("q", &format!("={text}"))?, ..selection });
        }
        let is_commit = text.len() >= COMMIT_DIGITS || text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_commit && text.parse::<CommitPrefix>().is_ok() {
            return Ok(Selection { commit: field("q", text)?, ..selection });
        }
        if let Ok(range) = field("q", text) {
            return Ok(Selection { range, ..selection });
        }
        Ok(Selection { author: field("q", text)?, ..selection })
    }

    /// The page of it, the bundle published last first.
    pub(super) fn page(&self, limit: u32) -> Result<SelectionPage, ApiError> {
        let after: Option<SelectionCursor> = field("after", &self.after)?;
        Ok(SelectionPage { order: SelectionOrder::Newest, limit, after })
    }

    /// Its address below an application's page.
    pub(super) fn address(&self, page: &str) -> String {
        let pairs = [
            ("branch", self.branch.as_str()),
            ("selector", self.selector.as_str()),
            ("channel", self.channel.as_str()),
            ("q", self.q.as_str()),
            ("after", self.after.as_str()),
        ];
        address::with_query(page, pairs)
    }

    /// The same, but from the beginning.
    pub(super) fn first(&self) -> Self {
        Self { after: String::new(), ..self.clone() }
    }

    /// The same with one label more.
    pub(super) fn with_label(&self, key: &LabelKey, value: &LabelValue) -> Self {
        let now: LabelSelector = self.selector.trim().parse().unwrap_or_default();
        let more = now.with(key.clone(), value.clone());
        // One that has another value already cannot be met as well: the new one alone is asked for.
        let more = more.or_else(|_| LabelSelector::default().with(key.clone(), value.clone()));
        let selector = more.map_or_else(|_| self.selector.clone(), |selector| selector.to_string());
        Self { selector, ..self.first() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(q: &str) -> Selection {
        BundleFilter { q: q.to_owned(), ..BundleFilter::default() }.selection().unwrap()
    }

    #[test]
    fn a_text_is_a_version_a_commit_or_an_author() {
        assert_eq!(selection("0.1.0-main.3").range.unwrap().to_string(), "0.1.0-main.3");
        assert!(selection("^1.4").range.is_some());
        for commit in ["1234567", "abc1", &"0".repeat(40)] {
            assert!(selection(commit).commit.is_some(), "{commit}");
        }
        for author in ["ann", "Ann Lee <ann@example.com>", "ann@example.com"] {
            assert!(selection(author).author.is_some(), "{author}");
        }
        assert_eq!(selection(" "), BundleFilter::default().selection().unwrap());
    }

    #[test]
    fn a_wrong_field_is_named() {
        let filter = BundleFilter { branch: "..".to_owned(), ..BundleFilter::default() };
        assert!(filter.selection().unwrap_err().detail().starts_with("branch: "));
    }

    #[test]
    fn a_label_more_is_a_link() {
        let label =
            |key: &str, value: &str| (key.parse::<LabelKey>().unwrap(), value.parse::<LabelValue>().unwrap());
        let (key, value) = label("tier", "gold");
        let filter = BundleFilter { branch: "main".into(), after: "x".into(), ..BundleFilter::default() };
        let more = filter.with_label(&key, &value);
        assert_eq!(more.address("/a"), "/a?branch=main&selector=tier%3Dgold");
    }
}
