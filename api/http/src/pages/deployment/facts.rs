//! What is known of a deployment beside its nodes, for people.

use chrono::{DateTime, TimeDelta, Utc};
use slipway_records::deploying::GateView;
use slipway_records::{Deployment, Environment, PackageVersion};
use slipway_types::ApplicationName;

use super::list;
use crate::pages::address;
use crate::pages::parts::{Moment, ShortDigest, Status, Tone};
use crate::pages::tabs::Link;
use crate::pages::texts::Texts;
use crate::rest::audit::AuditView;
use crate::rest::deployment_views::{ApprovalView, DeploymentDetail, ObservationView, OrderView};

/// What a deployment is of, and how it stands.
pub(super) struct Facts {
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) successor: Option<Successor>,
    pub(super) application: Link,
    /// Where else the application runs.
    pub(super) everywhere: String,
    pub(super) environment: Link,
    /// When the environment was removed; absent: it is there.
    pub(super) removed_at: Option<Moment>,
    pub(super) bundle: Link,
    pub(super) digest: ShortDigest,
    /// `main@0123abcd`, of what was built.
    pub(super) source: Option<String>,
    pub(super) cause: &'static str,
    /// What was said when it was asked for.
    pub(super) cause_reason: Option<String>,
    pub(super) created_by: String,
    pub(super) replaces: Option<ShortDigest>,
    /// What happened when, in order.
    pub(super) times: Vec<(&'static str, Moment)>,
    pub(super) explanation: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) violations: Vec<ViolationRow>,
}

/// What took its place.
pub(super) struct Successor {
    /// What that made of it.
    pub(super) word: &'static str,
    pub(super) newer: Link,
}

/// Something that stands against it.
pub(super) struct ViolationRow {
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

/// A gate.
pub(super) struct GateRow {
    pub(super) gate: &'static str,
    pub(super) status: Status,
    pub(super) detail: String,
    pub(super) opens: Option<String>,
}

/// An order that the receiver did not take, or not yet.
pub(super) struct OrderRow {
    pub(super) status: Status,
    pub(super) word: &'static str,
    pub(super) node: Option<String>,
    pub(super) person: String,
    pub(super) at: Moment,
    pub(super) reason: Option<String>,
    pub(super) why: Option<String>,
}

/// A person's word.
pub(super) struct ApprovalRow {
    pub(super) person: String,
    pub(super) token: String,
    pub(super) at: Moment,
    pub(super) reason: Option<String>,
    pub(super) word: &'static str,
}

/// What the receiver says of the whole.
pub(super) struct ReceiverRow {
    pub(super) run: String,
    pub(super) looked_at: Option<Moment>,
    pub(super) deadline: Option<String>,
    pub(super) trouble: Option<String>,
    pub(super) trouble_since: Option<Moment>,
}

/// An entry of the audit record.
pub(super) struct AuditRow {
    pub(super) at: Moment,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) reason: Option<String>,
}

/// What facts are made of.
pub(super) struct Known<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) bundle: Option<&'a PackageVersion>,
    pub(super) detail: &'a DeploymentDetail,
}

/// A time as it stands in the records.
fn exact(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl Known<'_> {
    pub(super) fn facts(
        &self,
        t: &'static Texts,
        (application, environment): (&ApplicationName, &Environment),
        now: DateTime<Utc>,
    ) -> Facts {
        let Self { deployment, detail, .. } = self;
        let state = &deployment.state;
        Facts {
            status: Status::of(t, state.word()),
            // That it failed before it was superseded is said beside what took its place.
            reason: state.failure().unwrap_or(state).reason(),
            successor: self.successor(t, (application, environment)),
            application: Link { text: application.to_string(), address: address::application(application) },
            everywhere: address::deployments(application),
            environment: place(environment),
            removed_at: environment.removed_at.map(|at| Moment::new(t, at, now)),
            bundle: Link {
                text: deployment.bundle_version.to_string(),
                address: address::bundle(application, &deployment.bundle_version),
            },
            digest: ShortDigest::new(t, &deployment.bundle_digest),
            source: self.bundle.and_then(source),
            cause: (t.deployment.cause)(deployment.cause.word()),
            cause_reason: detail.why["reason"].as_str().map(str::to_owned),
            created_by: deployment.created_by.clone(),
            replaces: deployment.predecessor.as_ref().map(|before| ShortDigest::new(t, before)),
            times: times(t, deployment, now),
            explanation: detail.explanation.clone(),
            notes: detail.notes.clone(),
            violations: detail
                .violations
                .iter()
                .map(|violation| ViolationRow { text: violation.to_string(), hint: violation.hint.clone() })
                .collect(),
        }
    }

    fn successor(
        &self,
        t: &'static Texts,
        (application, environment): (&ApplicationName, &Environment),
    ) -> Option<Successor> {
        let newer = self.detail.superseded_by.as_ref()?;
        let has_failed = self.deployment.state.failure().is_some();
        Some(Successor {
            word: if has_failed { t.deployment.failed_then_superseded } else { t.deployment.superseded_by },
            newer: Link {
                text: format!("{application}@{}#{}", environment.name, newer.generation),
                address: address::deployment(&newer.id),
            },
        })
    }
}

/// What runs in an environment; of one that was removed, what was deployed there.
fn place(environment: &Environment) -> Link {
    let name = environment.name.as_str();
    let address = match environment.removed_at {
        None => address::with_query("/deployments", [("environment", name)]),
        Some(_) => list::address_of(("", name), "", None),
    };
    Link { text: name.to_owned(), address }
}

fn source(bundle: &PackageVersion) -> Option<String> {
    let commit = bundle.source_commit()?;
    Some(format!("{}@{}", bundle.git_ref.short(), commit.short()))
}

fn times(t: &'static Texts, deployment: &Deployment, now: DateTime<Utc>) -> Vec<(&'static str, Moment)> {
    let d = t.deployment;
    let times = [
        (d.created, Some(deployment.created_at)),
        (d.frozen, deployment.frozen_at),
        (d.handed_off, deployment.handed_off_at),
        (d.live, deployment.live_at),
        (d.ended, deployment.finished_at),
    ];
    times.into_iter().filter_map(|(what, at)| Some((what, Moment::new(t, at?, now)))).collect()
}

pub(super) fn gate(t: &'static Texts, gate: &GateView) -> GateRow {
    let d = t.deployment;
    let status = match gate.open {
        true => Status::told(Tone::Good, d.gate_open),
        false => Status::told(Tone::Waiting, d.gate_closed),
    };
    let seconds = gate.opens_in_s.and_then(|seconds| i64::try_from(seconds).ok());
    let time = seconds.and_then(TimeDelta::try_seconds).map(|time| t.took(time));
    let opens = time.map(|time| (d.opens_in)(&time));
    GateRow { gate: gate.gate, status, detail: gate.detail.clone(), opens }
}

pub(super) fn approval(t: &'static Texts, approval: &ApprovalView, now: DateTime<Utc>) -> ApprovalRow {
    ApprovalRow {
        person: approval.person.clone(),
        token: approval.token.clone(),
        at: Moment::new(t, approval.at, now),
        reason: approval.reason.clone(),
        word: if approval.counts { t.deployment.counts } else { t.deployment.does_not_count },
    }
}

/// Orders since the last that the receiver took, newest first.
pub(super) fn orders(t: &'static Texts, orders: &[OrderView], now: DateTime<Utc>) -> Vec<OrderRow> {
    let open = orders.iter().take_while(|order| order.state != "told");
    open.map(|order| {
        let (tone, state) = match order.state {
            "pending" => (Tone::Waiting, t.deployment.order_pending),
            "overtaken" => (Tone::Off, t.deployment.order_overtaken),
            "expired" => (Tone::Bad, t.deployment.order_expired),
            _ => (Tone::Bad, t.deployment.order_refused),
        };
        OrderRow {
            status: Status::told(tone, state),
            word: order.word,
            node: order.node.clone(),
            person: order.person.clone(),
            at: Moment::new(t, order.given_at, now),
            reason: order.reason.clone(),
            why: order.why.clone(),
        }
    })
    .collect()
}

pub(super) fn receiver(t: &'static Texts, receiver: &ObservationView, now: DateTime<Utc>) -> ReceiverRow {
    let moment = |at: DateTime<Utc>| Moment::new(t, at, now);
    ReceiverRow {
        run: receiver.run.clone(),
        looked_at: receiver.looked_at.map(moment),
        deadline: receiver.deadline.map(exact),
        trouble: receiver.trouble.clone(),
        trouble_since: receiver.trouble_since.map(moment),
    }
}

pub(super) fn audited(t: &'static Texts, entry: AuditView, now: DateTime<Utc>) -> AuditRow {
    let reason = entry.detail["reason"].as_str().map(str::to_owned);
    AuditRow { at: Moment::new(t, entry.at, now), actor: entry.actor, action: entry.action, reason }
}
