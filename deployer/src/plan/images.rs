//! Images of packages: where the environment pulls them, and whether its nodes can run them.

use slipway_definitions::{ImageFacts, RenderedComponent};
use slipway_oam::overlay::Merged;
use slipway_types::Violation;
use slipway_types::environment::ClusterFacts;

use super::Ground;
use crate::packages::Package;

impl Ground<'_> {
    /// The images of a package as the environment pulls them.
    pub(super) fn images(&self, package: &Package) -> Vec<ImageFacts> {
        let pull = self.request.environment.settings.pull_registry.as_ref();
        let prefix = pull.map(|pull| &pull.prefix);
        package
            .member
            .images
            .iter()
            .map(|image| {
                let default = image.registry.as_ref().unwrap_or(&self.stage.options.pull_registry);
                let prefix = prefix.unwrap_or(default);
                ImageFacts {
                    name: package.member.component.to_string(),
                    reference: prefix.reference(&image.repository, Some(image.digest)).to_string(),
                    platforms: image.platforms.iter().map(|one| one.platform.to_string()).collect(),
                }
            })
            .collect()
    }

    /// Images that no node of the cluster can run.
    pub(super) fn platforms(&self, merged: &Merged, rendered: &[RenderedComponent]) -> Vec<Violation> {
        if self.facts.platforms.is_empty() {
            return Vec::new();
        }
        let deployed = |package: &&Package| {
            let name = package.member.component.as_str();
            rendered.iter().any(|component| merged.original_of(&component.name) == name)
        };
        let list = |platforms: &mut dyn Iterator<Item = String>| platforms.collect::<Vec<_>>().join(", ");
        self.packages
            .iter()
            .filter(deployed)
            .filter_map(|package| {
                let lacking =
                    package.member.images.iter().find(|image| {
                        !image.platforms.iter().any(|one| runs_on(&self.facts, &one.platform))
                    })?;
                let message = format!(
                    "its image is built for {}, the nodes of `{}` are {}",
                    list(&mut lacking.platforms.iter().map(|one| one.platform.to_string())),
                    self.request.environment.address.cluster(),
                    list(&mut self.facts.platforms.iter().map(ToString::to_string)),
                );
                let path = format!("components[{}]", package.member.component);
                Some(
                    Violation::new("platform_missing", path, message)
                        .hint("add the platform under `with.platforms` in slipway.yaml and build again"),
                )
            })
            .collect()
    }
}

/// Whether some node runs the platform; nodes do not tell their variant.
fn runs_on(facts: &ClusterFacts, platform: &slipway_types::Platform) -> bool {
    facts.platforms.iter().any(|node| node.os == platform.os && node.architecture == platform.architecture)
}
