//! The plug-in host as its callers use it, with real children.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bombs;
mod calls;
mod garbage;
mod lives;

use serde_json::Value;
use slipway_plugins::{Host, PluginError, PluginOptions, Program, Session};

fn host_with(options: PluginOptions) -> Host {
    Host::new(vec![env!("CARGO_BIN_EXE_slipway-plugin-host").into()], options)
}

fn host() -> Host {
    host_with(PluginOptions::default())
}

async fn limited(options: PluginOptions) -> Session {
    host_with(options).session().await.unwrap()
}

async fn session() -> Session {
    limited(PluginOptions::default()).await
}

async fn run(text: &str, input: Value) -> Result<Value, PluginError> {
    session().await.call(&Program::single("main.star", text), "render", &input).await
}
