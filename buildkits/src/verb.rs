//! What a kit may ask for: a fixed list of verbs that Slipway carries out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use slipway_types::image::{ImageReference, Platform};

/// The verbs' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VerbName {
    /// Build an image.
    #[serde(rename = "image.build")]
    ImageBuild,
    /// Pin an existing image to its digest.
    #[serde(rename = "image.pin")]
    ImagePin,
    /// Package a Helm chart as an OCI chart.
    #[serde(rename = "chart.package")]
    ChartPackage,
    /// Put files of the context into the component package.
    #[serde(rename = "files.pack")]
    FilesPack,
    /// Run a command in an image and hold the bundle until it ends well.
    #[serde(rename = "container.run")]
    ContainerRun,
}

impl fmt::Display for VerbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImageBuild => "image.build",
            Self::ImagePin => "image.pin",
            Self::ChartPackage => "chart.package",
            Self::FilesPack => "files.pack",
            Self::ContainerRun => "container.run",
        })
    }
}

/// One thing to be done for a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields)]
pub enum Verb {
    /// Build an image from a Dockerfile of the context.
    #[serde(rename = "image.build")]
    ImageBuild {
        /// The image's name: the component's.
        name: String,
        /// The Dockerfile, from the context's top.
        dockerfile: String,
        /// The stage to stop at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// Build arguments; a value may hold `${COMPONENT.image}` of a needed component.
        #[serde(default)]
        args: BTreeMap<String, String>,
        /// What to build for, never none.
        platforms: Vec<Platform>,
        /// The secrets its steps may mount.
        #[serde(default)]
        secrets: Vec<String>,
    },
    /// Resolve an existing image to its digest.
    #[serde(rename = "image.pin")]
    ImagePin {
        /// The image's name: the component's.
        name: String,
        /// The image.
        reference: ImageReference,
        /// The platforms wanted; none means every one it has.
        #[serde(default)]
        platforms: Vec<Platform>,
    },
    /// Package a chart. No built-in kit asks for it; charts travel as files.
    #[serde(rename = "chart.package")]
    ChartPackage {
        /// The chart's directory, from the context's top.
        root: String,
        /// The chart's name.
        name: String,
        /// The chart's own version.
        version: String,
    },
    /// Put files into the component package.
    #[serde(rename = "files.pack")]
    FilesPack {
        /// The directory the package shows as its top, from the context's top; `""` is the context.
        root: String,
        /// The files, relative to `root`: exact paths, sorted, each once.
        paths: Vec<String>,
        /// Where rendering starts inside the package, for kits that render.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entry: Option<String>,
    },
    /// Run a command in an image once the bundle is published; until it has ended well, the bundle is
    /// held.
    #[serde(rename = "container.run")]
    ContainerRun {
        /// The check's name, unique in the application.
        name: String,
        /// The component whose image it runs in.
        image: String,
        /// Program and arguments, never none; `${COMPONENT.image}` may stand in them and in `env`.
        command: Vec<String>,
        /// Variables beside the image's own.
        #[serde(default)]
        env: BTreeMap<String, String>,
        /// How long it may run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u32>,
        /// Components whose images it names.
        #[serde(default)]
        needs: Vec<String>,
    },
}

impl Verb {
    /// The verb's name.
    pub fn name(&self) -> VerbName {
        match self {
            Self::ImageBuild { .. } => VerbName::ImageBuild,
            Self::ImagePin { .. } => VerbName::ImagePin,
            Self::ChartPackage { .. } => VerbName::ChartPackage,
            Self::FilesPack { .. } => VerbName::FilesPack,
            Self::ContainerRun { .. } => VerbName::ContainerRun,
        }
    }
}
