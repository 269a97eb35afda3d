//! A bundle: where it comes from, what it holds, where it went, and how to get it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use slipway_records::detail::BundleMember;
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, Role, Version};

use super::attestations::{Attestation, SignatureRow, attached};
use super::bundle_chain;
use super::bundle_filter::BundleFilter;
use super::bundle_rows::BundleRow;
use super::chain::Chain;
use super::failure::told;
use super::forms::Posted;
use super::frame::{Frame, Section, show_as};
use super::known_bundle::{CheckLine, DeploymentLine, KnownBundle};
use super::parts::{Command, ShortDigest, size};
use super::pull_commands::{PullCommand, bundle_reference, of_bundle, of_images};
use super::tabs::{Tab, Tabs};
use super::texts::{Texts, VersionTexts};
use super::version_channels::{self, AskedChannel, ChannelPart};
use super::version_history::History;
use super::version_labels::{self, Asked, LabelsPart, RefusedLabel};
use super::visitor::Member;
use super::{address, deploy};
use crate::extract::Path;
use crate::problem::ApiError;
use crate::rest::signatures;
use crate::state::ServerState;

/// A bundle.
#[derive(Template)]
#[template(path = "bundle.html")]
struct BundlePage {
    t: &'static Texts,
    v: &'static VersionTexts,
    frame: Frame,
    tabs: Tabs,
    row: BundleRow,
    composed_reason: Option<String>,
    lock: ShortDigest,
    reference: Command,
    chain: Chain,
    members: Vec<MemberRow>,
    checks: Vec<CheckLine>,
    deployments: Vec<DeploymentLine>,
    labels: LabelsPart,
    channel: Option<ChannelPart>,
    signatures: Vec<SignatureRow>,
    attestations: Vec<Attestation>,
    pulls: Vec<PullCommand>,
    /// Where it is deployed from here.
    deploy: Option<String>,
    compare: String,
    previous: Option<String>,
    history: History,
}

/// A component package in it.
struct MemberRow {
    component: String,
    version: String,
    address: String,
    /// The version it was first published as, if that is another.
    built_as: Option<String>,
    kit: String,
    size: String,
    reused: bool,
    digest: ShortDigest,
    images: Vec<ImageLine>,
}

/// An image of a component.
struct ImageLine {
    digest: ShortDigest,
    platforms: Vec<String>,
}

/// Forms of the page that were refused.
#[derive(Default)]
struct Refused {
    label: Option<RefusedLabel>,
    channel: AskedChannel,
}

/// The bundle as it stands.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Path((name, version)): Path<(ApplicationName, Version)>,
) -> Result<Response, ApiError> {
    answer(&state, &member, (&name, &version), StatusCode::OK, Refused::default()).await
}

async fn answer(
    state: &ServerState,
    member: &Member,
    (name, version): (&ApplicationName, &Version),
    status: StatusCode,
    refused: Refused,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let known = KnownBundle::look(state, t, caller, (name, version)).await?;
    let (application, bundle) = (&known.application, &known.version);
    let now = Utc::now();
    let signatures = signatures::of_bundle(state, &application.name, bundle).await?;
    let attestations = attached(state, t, &application.name.path(), &bundle.digest).await?;
    let reference = bundle_reference(state, &application.name, &bundle.digest);
    let mut pulls = of_bundle(t, &application.name, &bundle.version, &reference);
    pulls.extend(of_images(state, t, &known.detail.members));
    let here = address::bundle(&application.name, &bundle.version);
    let labels = LabelsPart::new(caller, application, bundle, &known.environments, format!("{here}/labels"));
    let channel = ChannelPart::new(
        caller,
        (application, bundle),
        (&known.channels, &known.environments),
        format!("{here}/channels"),
        &refused.channel,
    );
    let title = format!("{} {}", application.name, bundle.version);
    let page = BundlePage {
        t,
        v: t.versions,
        frame: Frame::new(&member.visitor, Section::Applications, title),
        tabs: Tabs::new(&application.name, Tab::Bundles),
        row: known.surroundings.row(t, bundle, &BundleFilter::default(), now)?,
        composed_reason: known.detail.composed.as_ref().and_then(|composed| composed.reason.clone()),
        lock: ShortDigest::new(t, &bundle.fingerprint),
        reference: Command::new(t, reference),
        chain: bundle_chain::of(t, &known),
        members: known.detail.members.iter().map(|row| member_row(t, &application.name, row)).collect(),
        checks: known.check_lines(t),
        deployments: known.deployment_lines(t, now),
        labels: labels.with(refused.label),
        channel,
        signatures: signatures.into_iter().map(|view| SignatureRow::new(t.versions, view)).collect(),
        attestations,
        pulls,
        deploy: caller
            .may(Role::Operator, Some(application.id))
            .then(|| deploy::address_of_bundle(&application.name, &bundle.version)),
        compare: address::compare_bundles(&application.name),
        previous: known.previous.as_ref().map(ToString::to_string),
        history: known.history,
    };
    show_as(status, &page)
}

fn member_row(t: &'static Texts, application: &ApplicationName, member: &BundleMember) -> MemberRow {
    MemberRow {
        component: member.component.to_string(),
        version: member.version.to_string(),
        address: address::package(application, &member.component, &member.version),
        built_as: (member.version != member.built_as)
            .then(|| (t.versions.built_as)(&member.built_as.to_string())),
        kit: member.kit.clone(),
        size: size(member.size),
        reused: member.reused,
        digest: ShortDigest::new(t, &member.digest),
        images: member.images.iter().map(|image| image_line(t, image)).collect(),
    }
}

fn image_line(t: &Texts, image: &BuiltImage) -> ImageLine {
    ImageLine {
        digest: ShortDigest::new(t, &image.digest),
        platforms: image.platforms.iter().map(|one| one.platform.to_string()).collect(),
    }
}

/// Changes a label, and leads back; or says what is wrong, beside it.
pub(super) async fn change_label(
    State(state): State<ServerState>,
    Path((name, version)): Path<(ApplicationName, Version)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (asked, member) = (Asked::of(&posted.fields), Member::from(posted));
    developer(&state, &member, &name).await?;
    let subject = (name.clone(), None, version.clone());
    match version_labels::change(&state, &member.session.caller, subject, &asked).await {
        Ok(()) => Ok(back(&name, &version, "labels")),
        Err(error) if error.status().is_client_error() => {
            let refused = Refused {
                label: Some(asked.refused(told(member.visitor.texts(), &error))),
                ..Refused::default()
            };
            answer(&state, &member, (&name, &version), error.status(), refused).await
        }
        Err(error) => Err(error),
    }
}

/// Puts the bundle on a channel, and leads back; or says what is wrong, beside the form.
pub(super) async fn put_on_channel(
    State(state): State<ServerState>,
    Path((name, version)): Path<(ApplicationName, Version)>,
    posted: Posted,
) -> Result<Response, ApiError> {
    let (asked, member) = (AskedChannel::of(&posted.fields), Member::from(posted));
    developer(&state, &member, &name).await?;
    let subject = (name.clone(), version.clone());
    match version_channels::put(&state, &member.session.caller, subject, &asked).await {
        Ok(()) => Ok(back(&name, &version, "channel")),
        Err(error) if error.status().is_client_error() => {
            let refused = Refused {
                channel: asked.refused(told(member.visitor.texts(), &error)),
                ..Refused::default()
            };
            answer(&state, &member, (&name, &version), error.status(), refused).await
        }
        Err(error) => Err(error),
    }
}

/// Refuses whoever sees no form: there is none beside which that could be told.
pub(super) async fn developer(
    state: &ServerState,
    member: &Member,
    name: &ApplicationName,
) -> Result<(), ApiError> {
    let mut read = state.records.read().await?;
    member.session.caller.application(read.as_mut(), name, Role::Developer).await?;
    Ok(())
}

fn back(name: &ApplicationName, version: &Version, part: &str) -> Response {
    Redirect::to(&format!("{}#{part}", address::bundle(name, version))).into_response()
}
