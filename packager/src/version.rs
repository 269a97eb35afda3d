//! Which version a run publishes.

use slipway_types::version::VersionTag;
use slipway_types::{GitRef, Version};

/// What a run's ref asks to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// A numbered build of a branch.
    Branch(String),
    /// Exactly this version of the whole application.
    Application(Version),
    /// Exactly this version of one component.
    Component(slipway_types::ComponentName, Version),
    /// A tag that names no version.
    None,
}

impl Release {
    /// Reads the ref.
    pub fn of(git_ref: &GitRef) -> Self {
        match git_ref {
            GitRef::Branch(name) => Self::Branch(name.clone()),
            GitRef::Tag(tag) => match VersionTag::parse(tag) {
                Some(VersionTag::Application(version)) => Self::Application(version),
                Some(VersionTag::Component(component, version)) => Self::Component(component, version),
                None => Self::None,
            },
        }
    }
}
