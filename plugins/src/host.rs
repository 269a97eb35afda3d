//! How children are started.

use std::ffi::OsString;
use std::sync::Arc;

use crate::error::PluginError;
use crate::options::PluginOptions;
use crate::session::Session;

/// Starts sessions. Clones share what they know and are cheap.
#[derive(Debug, Clone)]
pub struct Host(Arc<Settings>);

/// What every child is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) command: Vec<OsString>,
    pub(crate) options: PluginOptions,
}

impl Host {
    /// A host whose children are `command`: a program that calls [`serve`](crate::serve()), and its
    /// arguments. A program that serves itself is best named `/proc/self/exe`: that is right even
    /// after its file was replaced.
    pub fn new(command: Vec<OsString>, options: PluginOptions) -> Self {
        Self(Arc::new(Settings { command, options }))
    }

    /// The limits.
    pub fn options(&self) -> &PluginOptions {
        &self.0.options
    }

    /// A session of its own child, which is started at once so that what is wrong with the host
    /// shows here.
    pub async fn session(&self) -> Result<Session, PluginError> {
        Session::start(self.0.clone()).await
    }
}
