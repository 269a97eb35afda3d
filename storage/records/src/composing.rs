//! The ports by which people compose bundles: what HTTP asks of the packager, and the packager of the
//! builder.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use slipway_types::label::Labels;
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, ComponentName, Fault, ImageReference, Version};

use crate::{Application, PackageVersion};

/// What takes the place of a component's package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// Another published version of the component.
    Version(Version),
    /// The same package with this image, by digest.
    Image(ImageReference),
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Image(image) => image.fmt(f),
        }
    }
}

/// A bundle to be composed.
#[derive(Debug, Clone)]
pub struct Composition {
    /// Whose.
    pub application: Application,
    /// The bundle that it begins with.
    pub from: Version,
    /// What is exchanged.
    pub set: BTreeMap<ComponentName, Replacement>,
    /// Its version; without one it gets the next `X.Y.Z-composed.N`.
    pub version: Option<Version>,
    /// Labels of people's at birth.
    pub labels: Labels,
    /// Who composes it: a person.
    pub by: String,
    /// By which token.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// What a composition led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The bundle.
    pub bundle: PackageVersion,
    /// Whether it was published now; else the same components were a bundle before.
    pub is_new: bool,
}

/// Composing bundles.
#[async_trait]
pub trait Composing: Send + Sync {
    /// Publishes the bundle, or finds the one that has the same components.
    async fn compose(&self, wanted: &Composition) -> Result<Composed, Fault>;
}

/// Bringing images into an application's repositories.
#[async_trait]
pub trait ImagePinning: Send + Sync {
    /// Copies an image, named by digest, to where the component's images lie.
    async fn pin_image(
        &self,
        application: &ApplicationName,
        component: &ComponentName,
        image: &ImageReference,
    ) -> Result<BuiltImage, Fault>;
}
