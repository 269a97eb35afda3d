//! How each client gets a version, for a terminal. All name it by digest but Slipway's own, which checks the digest
//! itself.

use slipway_records::detail::BundleMember;
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, ComponentName, Digest, Version};

use super::parts::Command;
use super::texts::Texts;
use crate::rest::run_views::image_reference;
use crate::state::ServerState;

/// The kit whose packages are charts.
const HELM_KIT: &str = "helm";
/// Images whose commands are shown.
const IMAGES_MAX: usize = 20;

/// How a client gets it.
pub(super) struct PullCommand {
    pub(super) client: &'static str,
    pub(super) command: Command,
}

fn command(t: &Texts, client: &'static str, text: String) -> PullCommand {
    PullCommand { client, command: Command::new(t, text) }
}

/// A bundle with all it consists of.
pub(super) fn of_bundle(
    t: &Texts,
    application: &ApplicationName,
    version: &Version,
    reference: &str,
) -> Vec<PullCommand> {
    let to = format!("./{}-{version}", application.bare());
    vec![
        command(t, "slipway", format!("slipway bundle pull {application} {version} --to {to}")),
        command(t, "oras", format!("oras cp -r {reference} --to-oci-layout {to}:{version}")),
        command(t, "skopeo", format!("skopeo copy --all docker://{reference} oci:{to}:{version}")),
        command(t, "crane", format!("crane pull --format=oci {reference} {to}")),
    ]
}

/// A component package, and its images.
pub(super) fn of_package(
    state: &ServerState,
    t: &Texts,
    package: &Package<'_>,
    reference: &str,
) -> Vec<PullCommand> {
    let Package { application, component, version, built_as, kit, images } = package;
    let to = format!("./{component}-{version}");
    let mut commands = vec![
        command(t, "slipway", format!("slipway package pull {application} {component} {version} --to {to}")),
        command(t, "oras", format!("oras pull {reference} -o {to}")),
    ];
    if *kit == HELM_KIT {
        let archive = format!("{to}/{component}-{built_as}.tar.gz");
        let unpack = format!("mkdir -p {to}/chart && tar -xzf {archive} -C {to}/chart");
        commands.push(command(
            t,
            "helm",
            format!("oras pull {reference} -o {to}\n{unpack}\nhelm template {component} {to}/chart"),
        ));
    }
    let references = images.iter().map(|image| image_reference(state, image));
    commands.extend(of_references(t, references.take(IMAGES_MAX).collect()));
    commands
}

/// The images of a bundle.
pub(super) fn of_images(state: &ServerState, t: &Texts, members: &[BundleMember]) -> Vec<PullCommand> {
    let images = members.iter().flat_map(|member| &member.images).take(IMAGES_MAX);
    of_references(t, images.map(|image| image_reference(state, image)).collect())
}

/// How each client gets these images.
fn of_references(t: &Texts, references: Vec<String>) -> Vec<PullCommand> {
    if references.is_empty() {
        return Vec::new();
    }
    let pull = |client: &'static str, words: &str| {
        let lines: Vec<String> = references.iter().map(|image| format!("{words} {image}")).collect();
        command(t, client, lines.join("\n"))
    };
    vec![
        pull("docker", "docker pull"),
        pull("podman", "podman pull"),
        pull("containerd", "nerdctl pull"),
        // On a node of a cluster, where the kubelet looks for images.
        pull("Kubernetes", "crictl pull"),
    ]
}

/// Full reference of a bundle by digest.
pub(super) fn bundle_reference(
    state: &ServerState,
    application: &ApplicationName,
    digest: &Digest,
) -> String {
    format!("{}/{}@{digest}", state.registry_host(), application.path())
}

/// Which package.
pub(super) struct Package<'a> {
    pub(super) application: &'a ApplicationName,
    pub(super) component: &'a ComponentName,
    pub(super) version: &'a Version,
    pub(super) built_as: &'a Version,
    pub(super) kit: &'a str,
    pub(super) images: &'a [BuiltImage],
}

#[cfg(test)]
mod tests {
    use super::super::texts::ENGLISH;
    use super::*;

    #[test]
    fn images_are_pulled_by_each_client_and_none_by_none() {
        assert!(of_references(&ENGLISH, Vec::new()).is_empty());
        let images = vec!["slipway.example/a@sha256:1".to_owned(), "slipway.example/b@sha256:2".to_owned()];
        for one in of_references(&ENGLISH, images.clone()) {
            let text = one.command.to_string();
            assert!(images.iter().all(|image| text.contains(&format!("pull {image}"))), "{text}");
        }
    }

    #[test]
    fn a_bundle_is_pulled_by_digest() {
        let application: ApplicationName = "commerce/shop".parse().unwrap();
        let version: Version = "1.4.2".parse().unwrap();
        let reference = format!("slipway.example/commerce/shop@{}", Digest::of("x"));
        for one in of_bundle(&ENGLISH, &application, &version, &reference) {
            let text = one.command.to_string();
            let named = if one.client == "slipway" { "commerce/shop 1.4.2" } else { reference.as_str() };
            assert!(text.contains(named) && text.contains("./shop-1.4.2"), "{text}");
        }
    }
}
