//! Charts and kustomizations rendered to objects, at freeze.
//!
//! The programs `helm` and `kustomize` run in a cage: an empty directory, an environment of its own, limits of
//! time, memory and output, no credentials. A chart renders twice; what differs must be data of a Secret that
//! is declared as generated, and then what was kept of it takes its place. Data of Secrets leaves the objects
//! before anybody sees them.

mod cage;
mod compare;
mod error;
mod files;
mod helm;
mod hooks;
mod kustomize;
mod leak;
mod mask;
mod objects;
mod options;
mod placement;
mod rendered;
mod renderer;
mod request;
mod secrets;

pub use error::RenderError;
pub use hooks::{Hook, HookEvent, Hooks};
pub use options::ChartOptions;
pub use rendered::{Note, ObjectName, Rendered, RenderedObject};
pub use renderer::Renderer;
pub use request::{
    ChartFiles, FilesRequest, GeneratedSecret, HelmRequest, KustomizeRequest, Request, Target,
};
pub use secrets::{KeptSecrets, KeptSecretsError, SecretScope, SecretValue, extract_secrets};
