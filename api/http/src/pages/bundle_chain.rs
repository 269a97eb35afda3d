//! Where a bundle comes from and where it went.

use slipway_records::detail::{BundleMember, ComposedFrom};
use slipway_records::{Build, Run};
use slipway_types::{ApplicationName, Digest};

use super::address;
use super::bundle_rows::{author_name, commit_link};
use super::chain::{Chain, Item};
use super::known_bundle::KnownBundle;
use super::log::log_address;
use super::log_of::LogOf;
use super::parts::Status;
use super::texts::Texts;

/// Commit (or composition), builds, images, packages, the bundle itself, deployments.
pub(super) fn of(t: &'static Texts, known: &KnownBundle) -> Chain {
    let name = &known.application.name;
    let members = &known.detail.members;
    let mut chain = Chain::new(t);
    chain = match (&known.detail.composed, &known.run) {
        (Some(composed), _) => chain.step(t, t.versions.composed, vec![composition(t, name, composed)]),
        (None, Some(run)) => chain
            .step(t, t.commit, commit(known, run))
            .step(t, t.run, vec![run_item(t, name, run)])
            .step(t, t.versions.builds, members.iter().map(|one| build(t, known, run, one)).collect()),
        (None, None) => chain,
    };
    let images = members.iter().flat_map(|member| member.images.iter().map(move |image| (member, image)));
    let images =
        images.map(|(member, image)| image_item(&image.digest).note(member.component.as_str())).collect();
    let packages = members.iter().map(|member| package(name, member)).collect();
    let here = Item::new(known.version.version.to_string()).note(known.version.digest.short());
    let deployments = known.deployments.iter().filter_map(|row| {
        let environment = known.environments.iter().find(|one| one.id == row.environment_id)?;
        let environment = environment.name.to_string();
        let address = address::deployments_in(name, &environment);
        Some(Item::new(environment).at(address).status(Status::of(t, row.state.word())))
    });
    chain.step(t, t.images, images).step(t, t.packages, packages).here(t, t.versions.bundle, here).step(
        t,
        t.versions.deployments_of,
        deployments.collect(),
    )
}

/// An image by its digest.
pub(super) fn image_item(digest: &Digest) -> Item {
    Item::new(digest.short())
}

fn composition(t: &Texts, name: &ApplicationName, composed: &ComposedFrom) -> Item {
    Item::new(composed.from.to_string())
        .at(address::bundle(name, &composed.from))
        .note(format!("{} {}", t.composed_by, composed.by))
}

fn commit(known: &KnownBundle, run: &Run) -> Vec<Item> {
    let link = commit_link(&known.application, known.surroundings.source(), &known.version);
    let item = link.map(|link| {
        Item::new(link.text).at(link.address).note(format!("{}: {}", author_name(&run.author), run.subject))
    });
    item.into_iter().collect()
}

/// A run by its number.
pub(super) fn run_item(t: &Texts, name: &ApplicationName, run: &Run) -> Item {
    Item::new(format!("#{}", run.number))
        .at(address::run(name, run.number))
        .status(Status::of(t, run.state.word()))
}

/// What a component's build came to: of a package that stands in, the version it was made for.
fn build(t: &Texts, known: &KnownBundle, run: &Run, member: &BundleMember) -> Item {
    let name = &known.application.name;
    if member.reused {
        return Item::new(format!("{} {}", member.component, member.built_as))
            .at(address::package(name, &member.component, &member.built_as))
            .status(Status::of(t, "reused"));
    }
    let build = known.builds.iter().find(|build| build.component == member.component);
    build.map_or_else(|| Item::new(member.component.as_str()), |build| build_item(t, name, run, build))
}

/// A build with its log.
pub(super) fn build_item(t: &Texts, name: &ApplicationName, run: &Run, build: &Build) -> Item {
    Item::new(build.component.as_str())
        .at(log_address(name, run.number, &LogOf::Build(build.component.clone())))
        .status(Status::of(t, build.state.word()))
}

fn package(name: &ApplicationName, member: &BundleMember) -> Item {
    Item::new(format!("{} {}", member.component, member.version))
        .at(address::package(name, &member.component, &member.version))
        .note(member.digest.short())
}
