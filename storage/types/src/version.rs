//! Versions: SemVer 2.0.0 without build metadata, at most 63 characters, so that a version is also
//! an OCI tag and a Kubernetes label value.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::name::ComponentName;

/// The longest version, in characters.
pub const VERSION_CHARS_MAX: usize = 63;
/// The longest branch part of a version, in characters, before a suffix is added.
pub const BRANCH_PART_CHARS_MAX: usize = 30;

/// A version of a package or bundle.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(semver::Version);

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a version: {why}")]
pub struct InvalidVersion {
    /// What was given, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub why: String,
}

impl Version {
    /// The version as a release, `X.Y.Z`, of a base.
    pub fn release(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// `X`, `Y`, `Z`.
    pub fn core(&self) -> (u64, u64, u64) {
        (self.0.major, self.0.minor, self.0.patch)
    }

    /// Whether it has a pre-release part.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version of the `n`th build of `branch` after release `base`: the next patch of the base,
    /// or `0.1.0` where nothing was released yet.
    pub fn of_branch(base: Option<&Version>, branch: &str, n: u64) -> Self {
        let (major, minor, patch) = match base {
            Some(base) => (base.0.major, base.0.minor, base.0.patch + 1),
            None => (0, 1, 0),
        };
        let pre = format!("{}.{n}", branch_part(branch));
        let mut version = semver::Version::new(major, minor, patch);
        version.pre = semver::Prerelease::new(&pre).expect("invariant: a branch part is a SemVer identifier");
        Self(version)
    }

    /// The version of the `n`th bundle that people composed, one that begins with `from`: a pre-release of
    /// the next patch, or of the release that `from` is a pre-release of.
    pub fn composed(from: &Version, n: u64) -> Self {
        let patch = if from.is_prerelease() { from.0.patch } else { from.0.patch + 1 };
        let mut version = semver::Version::new(from.0.major, from.0.minor, patch);
        version.pre = semver::Prerelease::new(&format!("composed.{n}"))
            .expect("invariant: a word and a number are SemVer identifiers");
        Self(version)
    }

    /// Compares by SemVer precedence.
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }

    /// A text below the sort keys of release `X.Y.Z` and all its pre-releases, and above those of every
    /// version before them.
    pub fn sort_floor(major: u64, minor: u64, patch: u64) -> String {
        let mut key = String::new();
        for part in [major, minor, patch] {
            sort_number(&mut key, &part.to_string());
        }
        key
    }

    /// A text above the version's sort key and below that of every version after it.
    pub fn sort_ceiling(&self) -> String {
        // No sort key begins with another one, so whatever follows the key sorts right after it.
        self.sort_key() + " "
    }

    /// A text whose byte order is SemVer precedence, so that a database can sort by it: numbers are
    /// prefixed by their length; a release sorts after its pre-releases.
    pub fn sort_key(&self) -> String {
        let mut key = Self::sort_floor(self.0.major, self.0.minor, self.0.patch);
        if self.0.pre.is_empty() {
            key.push('~');
            return key;
        }
        for identifier in self.0.pre.split('.') {
            // `!` ends before any identifier, so a shorter list sorts first; numbers sort before words.
            if identifier.bytes().all(|b| b.is_ascii_digit()) {
                key.push_str("\"0");
                sort_number(&mut key, identifier);
            } else {
                key.push_str("\"1");
                key.push_str(identifier);
            }
        }
        key.push('!');
        key
    }
}

fn sort_number(key: &mut String, digits: &str) {
    use std::fmt::Write as _;
    write!(key, "{:02}{digits}", digits.len()).expect("invariant: writing to a String succeeds");
}

/// The branch's name as one SemVer identifier: lower-cased, other runs of characters `-`, cut to 30;
/// if that altered the name, `-` and 4 hex digits of its SHA-256; a numeric one gets a `b` in front.
pub fn branch_part(branch: &str) -> String {
    let mut part = String::new();
    for c in branch.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            part.push(c);
        } else if !part.ends_with('-') {
            part.push('-');
        }
    }
    part.truncate(BRANCH_PART_CHARS_MAX);
    if part != branch {
        part.push('-');
        part.push_str(&Digest::of(branch).hex()[..4]);
    }
    if part.bytes().all(|b| b.is_ascii_digit()) {
        part.insert(0, 'b');
    }
    part
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = |why: String| InvalidVersion { found: text.chars().take(80).collect(), why };
        if text.len() > VERSION_CHARS_MAX {
            return Err(invalid(format!("longer than {VERSION_CHARS_MAX} characters")));
        }
        // What is no attempt at a version, such as a channel or a branch, is told what one is.
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(invalid("expected X.Y.Z or X.Y.Z-PRE, such as 1.4.2 or 0.1.0-main.3".into()));
        }
        let version = semver::Version::parse(text).map_err(|e| invalid(e.to_string()))?;
        if !version.build.is_empty() {
            return Err(invalid("build metadata (`+…`) is not used; the commit is an annotation".into()));
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a git tag says about versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionTag {
    /// `vX.Y.Z[-pre]`: the whole application.
    Application(Version),
    /// `component/vX.Y.Z[-pre]`: that component only.
    Component(ComponentName, Version),
}

impl VersionTag {
    /// Reads a tag's short name; `None` for a tag that names no version.
    pub fn parse(tag: &str) -> Option<Self> {
        let version = |text: &str| text.strip_prefix('v').and_then(|v| v.parse().ok());
        match tag.rsplit_once('/') {
            None => version(tag).map(Self::Application),
            Some((component, tag)) => Some(Self::Component(component.parse().ok()?, version(tag)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_branch_build_comes_after_its_base_release_and_before_the_next() {
        assert_eq!(Version::of_branch(None, "main", 1).to_string(), "0.1.0-main.1");
        let next = Version::of_branch(Some(&version("1.4.2")), "main", 12);
        assert_eq!(next.to_string(), "1.4.3-main.12");
        assert_eq!(next.precedence(&version("1.4.2")), Ordering::Greater);
        assert_eq!(next.precedence(&version("1.4.3")), Ordering::Less);
    }

    #[test]
    fn altered_branch_names_carry_a_digest_so_that_they_stay_apart() {
        assert_eq!(branch_part("main"), "main");
        assert_eq!(branch_part("123"), "b123");
        assert!(branch_part("Feature/X").starts_with("feature-x-"));
        assert_ne!(branch_part("a/b"), branch_part("a_b"));
        assert_ne!(branch_part("a/b"), branch_part("a-b"));
    }

    #[test]
    fn build_metadata_and_long_versions_are_refused() {
        for bad in ["1.2", "v1.2.3", "1.2.3+x", "01.2.3", &format!("1.2.3-{}", "a".repeat(60))] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_name_the_application_or_one_component() {
        assert_eq!(VersionTag::parse("v1.2.3-rc.1"), Some(VersionTag::Application(version("1.2.3-rc.1"))));
        assert_eq!(
            VersionTag::parse("api/v1.2.3"),
            Some(VersionTag::Component("api".parse().unwrap(), version("1.2.3")))
        );
        for none in ["1.2.3", "v1.2", "release", "a/b/v1.0.0", "Api/v1.0.0", "v1.0.0+x"] {
            assert_eq!(VersionTag::parse(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn every_branch_name_gives_a_valid_version(branch in "\\PC{1,200}", n in 1..u64::MAX) {
            let text = Version::of_branch(Some(&Version::release(9999, 9999, 9999)), &branch, n % 1_000_000).to_string();
            prop_assert!(text.parse::<Version>().is_ok(), "{text}");
            prop_assert!(crate::image::is_tag(&text));
        }

        #[test]
        fn sort_keys_order_as_precedence_does(
            a in "(0|[1-9][0-9]{0,3})\\.(0|[1-9])\\.(0|[1-9])(-((0|[1-9][0-9]{0,3}|[a-z][a-z0-9-]{0,4})(\\.(0|[1-9][0-9]{0,3}|[a-z][a-z0-9-]{0,4})){0,2}))?",
            b in "(0|[1-9][0-9]{0,3})\\.(0|[1-9])\\.(0|[1-9])(-((0|[1-9][0-9]{0,3}|[a-z][a-z0-9-]{0,4})(\\.(0|[1-9][0-9]{0,3}|[a-z][a-z0-9-]{0,4})){0,2}))?",
        ) {
            let (a, b) = (version(&a), version(&b));
            prop_assert_eq!(a.sort_key().cmp(&b.sort_key()), a.precedence(&b), "{} {}", a.sort_key(), b.sort_key());
            prop_assert_eq!(b.sort_key() >= a.sort_ceiling(), b.precedence(&a).is_gt(), "{} {}", a.sort_ceiling(), b.sort_key());
            let (major, minor, patch) = a.core();
            prop_assert_eq!(b.sort_key() >= Version::sort_floor(major, minor, patch), b.core() >= a.core());
        }
    }
}
