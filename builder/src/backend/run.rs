//! One command run in a finished image: what a back-end is handed, and how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use slipway_types::id::CheckId;
use slipway_types::{ApplicationName, Fault, ImageReference};
use tokio_util::sync::CancellationToken;

use super::BuildClock;
use crate::log::LogWriter;

/// One run handed to a back-end. It has no mounts, no privileges and no way to write but to `/tmp`.
pub struct ContainerRun<'a> {
    /// The check that it is for.
    pub check: CheckId,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The application that it is for.
    pub application: &'a ApplicationName,
    /// The image, by digest.
    pub image: &'a ImageReference,
    /// Program and arguments, in the place of the image's own.
    pub command: &'a [String],
    /// Variables beside the image's own.
    pub env: &'a BTreeMap<String, String>,
    /// How long it may run; `clock` is held against it.
    pub timeout: Duration,
    /// Where its output goes.
    pub log: &'a LogWriter,
    /// Whether another process may have begun this attempt.
    pub resumed: bool,
    /// Stands until the command runs.
    pub clock: &'a BuildClock,
    /// Fires when it is to stop.
    pub cancelled: CancellationToken,
    /// Fires before that when it is because this server stops: what goes on without it may.
    pub stopping: CancellationToken,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// By itself or by a signal.
    Exited {
        /// Its exit code; 128 and more: a signal.
        code: i64,
        /// Whether it was killed for using more memory than it may.
        out_of_memory: bool,
    },
    /// It could not begin: no such program, or one that cannot be executed.
    NotStarted {
        /// What the engine said.
        why: String,
    },
}

impl ContainerRun<'_> {
    /// The variables with those that tell of the proxy, unless it sets them itself.
    pub(crate) fn variables(&self, network: &slipway_network::Network) -> BTreeMap<String, String> {
        let own: Vec<String> = self.env.keys().map(|name| name.to_ascii_lowercase()).collect();
        let mut all = self.env.clone();
        let proxy = network.build_variables().into_iter();
        all.extend(proxy.filter(|(name, _)| !own.contains(&name.to_ascii_lowercase())));
        all
    }

    /// The digest that the image has.
    pub(crate) fn digest(&self) -> Result<slipway_types::Digest, Fault> {
        self.image.digest.ok_or_else(|| {
            Fault::bug("check_image", format!("the image {} of a check has no digest", self.image))
        })
    }
}
