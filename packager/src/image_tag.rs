//! Further tags of images, for people and programs that follow a branch.

use std::fmt;
use std::str::FromStr;

use slipway_records::Run;
use slipway_types::image::is_tag;
use slipway_types::version::branch_part;
use slipway_types::{GitRef, Version};

/// A tag with `{branch}` or `{commit}` in it, such as `{branch}` or `git-{commit}`. It moves with every bundle
/// of that branch or commit; the tags of versions never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTag(String);

/// A text that is no such tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no image tag: letters, digits, `_`, `.` and `-`, with {{branch}} or {{commit}} in it")]
pub struct InvalidImageTag(String);

impl ImageTag {
    /// The tag for a run; `None` if the run has none such: a tag push is on no branch.
    pub fn of(&self, run: &Run) -> Option<String> {
        let branch = match &run.git_ref {
            GitRef::Branch(name) => Some(branch_part(name)),
            GitRef::Tag(_) if self.0.contains("{branch}") => return None,
            GitRef::Tag(_) => None,
        };
        let tag = self.filled(branch.as_deref().unwrap_or_default(), run.commit.as_str());
        // A published version's tag is not to be taken by a branch of that name.
        (is_tag(&tag) && tag.parse::<Version>().is_err()).then_some(tag)
    }

    fn filled(&self, branch: &str, commit: &str) -> String {
        self.0.replace("{branch}", branch).replace("{commit}", commit)
    }
}

impl FromStr for ImageTag {
    type Err = InvalidImageTag;

    fn from_str(text: &str) -> Result<Self, InvalidImageTag> {
        let tag = Self(text.to_owned());
        let example = tag.filled("main", &"0".repeat(40));
        if example == text || !is_tag(&example) {
            return Err(InvalidImageTag(text.chars().take(80).collect()));
        }
        Ok(tag)
    }
}

impl fmt::Display for ImageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_must_follow_something_and_be_a_tag() {
        for good in ["{branch}", "git-{commit}", "{branch}-{commit}", "_{branch}"] {
            assert_eq!(good.parse::<ImageTag>().unwrap().to_string(), good);
        }
        for bad in ["latest", "", "{version}-{branch}", "{branch} x", "-{branch}", "a/{branch}"] {
            assert!(bad.parse::<ImageTag>().is_err(), "{bad}");
        }
    }
}
