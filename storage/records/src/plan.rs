//! What was planned for one component: written by the builder into [`crate::Build::plan`], read by
//! the packager.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slipway_types::label::Labels;
use slipway_types::name::CheckName;
use slipway_types::{ComponentName, Digest, ImageReference, Platform};

/// A component as planned at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentPlan {
    /// Its name.
    pub name: ComponentName,
    /// Its kit.
    pub kit: String,
    /// Digest of the kit: all of it that can change a result.
    pub kit_digest: Digest,
    /// Its context, from the repository root, without slashes at the ends.
    pub context: String,
    /// Components whose images it builds on.
    pub needs: Vec<ComponentName>,
    /// Its image, if it has one.
    pub image: Option<ImagePlan>,
    /// The files its package carries, sorted by path.
    pub files: Vec<PackedFile>,
    /// What the deploy side gets to know, as declared.
    pub workload: serde_json::Value,
    /// Labels declared in `slipway.yaml`, under `source/`.
    pub labels: Labels,
    /// Checks that run in its image, and the first component's also those in images of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckPlan>,
}

/// A check as planned: it runs once the bundle is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlan {
    /// `source/NAME`.
    pub name: CheckName,
    /// The image that it runs in.
    pub image: CheckImage,
    /// Program and arguments, in the place of the image's own; `${NAME.image}` stands for the image of a
    /// needed component, here and in `env`.
    pub command: Vec<String>,
    /// Variables beside the image's own.
    pub env: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout_seconds: u32,
    /// Components whose images it names.
    pub needs: Vec<ComponentName>,
    /// Back-end.
    pub backend: String,
    /// Why that back-end.
    pub backend_why: String,
}

/// The image of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckImage {
    /// What was built for the component.
    Component(ComponentName),
    /// An existing one, at the digest that it had when planned.
    Pinned(ImageReference),
}

impl ComponentPlan {
    /// What people should know of how it was planned, e.g. that a base's registry could not be reached.
    pub fn notes(&self) -> Vec<String> {
        match &self.image {
            Some(ImagePlan::Build(build)) => {
                build.bases.iter().filter_map(|base| base.note.clone()).collect()
            }
            Some(ImagePlan::Pin { note, .. }) => note.iter().cloned().collect(),
            None => Vec::new(),
        }
    }
}

/// How a component comes by its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ImagePlan {
    /// It is built from a Dockerfile.
    Build(BuildPlan),
    /// An existing image, pinned to the digest it had when planned.
    Pin {
        /// The reference as declared.
        reference: ImageReference,
        /// What it led to.
        digest: Digest,
        /// Wanted platforms; empty: all that it has.
        platforms: Vec<Platform>,
        /// Why the digest is one of earlier, if it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

/// An image to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// Git tree of the context.
    pub context_tree: String,
    /// Dockerfile, from the context.
    pub dockerfile: String,
    /// Stage to stop at.
    pub target: Option<String>,
    /// Build arguments as declared; `${NAME.image}` stands for a needed component's image.
    pub args: BTreeMap<String, String>,
    /// Platforms, at least one.
    pub platforms: Vec<Platform>,
    /// External images that the Dockerfile names, with the digest each led to.
    pub bases: Vec<PlannedBase>,
    /// Secrets its build may see, with the version each had when planned.
    pub secrets: BTreeMap<String, String>,
    /// Watched paths outside the context, with their git object ids.
    pub watched: BTreeMap<String, String>,
    /// Back-end.
    pub backend: String,
    /// Number that rises when that back-end's output changes.
    pub recipe: u32,
    /// Why that back-end.
    pub backend_why: String,
}

/// An external image that a build starts from or copies from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBase {
    /// The reference as written, arguments filled in.
    pub reference: ImageReference,
    /// The digest it led to when planned.
    pub digest: Digest,
    /// Why that is one of earlier, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A file of the commit that goes into the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFile {
    /// Path inside the package.
    pub path: String,
    /// Path from the repository root.
    pub source: String,
    /// Git blob id.
    pub object: String,
    /// Whether it is executable.
    pub executable: bool,
    /// Target, if it is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}
