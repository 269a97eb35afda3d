//! The pages of one application, to go from one to another.

use slipway_types::ApplicationName;

use super::address;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Bundles,
    Packages,
    Runs,
}

/// An application's name and its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tabs {
    pub(super) name: String,
    pub(super) bundles: String,
    pub(super) packages: String,
    pub(super) runs: String,
    pub(super) on_bundles: bool,
    pub(super) on_packages: bool,
    pub(super) on_runs: bool,
}

impl Tabs {
    pub(super) fn new(name: &ApplicationName, tab: Tab) -> Self {
        Self {
            name: name.to_string(),
            bundles: address::application(name),
            packages: address::packages(name),
            runs: address::runs(name),
            on_bundles: tab == Tab::Bundles,
            on_packages: tab == Tab::Packages,
            on_runs: tab == Tab::Runs,
        }
    }
}

/// A text that leads to what has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) address: String,
}
