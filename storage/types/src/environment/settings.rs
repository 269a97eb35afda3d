//! What an environment demands and where its deployments go; how a cluster is reached.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::window::Window;
use crate::image::{Platform, RegistryPrefix};
use crate::label::{LabelKey, LabelOrigin};
use crate::name::{ApplicationName, ChannelName, CheckName, ClusterName, EnvironmentName, KeyName};
use crate::secret::SecretReference;
use crate::selection::{BranchName, LabelSelector, VersionRange};
use crate::signing::TrustedKeys;

/// An environment's settings, as people write them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EnvironmentSettings {
    /// The environment that a bundle runs in before it comes here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<EnvironmentName>,
    /// Who is handed the frozen revisions.
    pub receiver: ReceiverSettings,
    /// Where the cluster pulls images from; without it, from the server's own registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_registry: Option<PullRegistry>,
    /// What must hold before anything goes out.
    pub gates: Gates,
    /// Whose word each of this environment's checks is, by the check's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, CheckOwner>,
    /// Deploys by itself what matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// Whether its namespace is part of every revision.
    pub create_namespace: bool,
    /// How long a deployment may wait for its gates and for the end of a cordon, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_after_hours: Option<u32>,
    /// What the built-in core does about what others change of what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
    /// For selectors of policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What is done about what others change of what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftPolicy {
    /// It is told.
    #[default]
    Report,
    /// It is written again.
    Correct,
}

/// How long a deployment may wait for its gates and for the end of a cordon where nothing else is set, in hours.
pub const EXPIRE_AFTER_HOURS: u32 = 7 * 24;

/// Who is handed the frozen revisions of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields, rename_all = "camelCase")]
pub enum ReceiverSettings {
    /// An OCI artifact, for Flux, Argo CD or `kubectl`.
    #[serde(rename_all = "camelCase")]
    Oci {
        /// Which registry; without it, the server's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<RegistryPrefix>,
        /// What happens to Secrets.
        #[serde(default)]
        secrets: SecretHandling,
        /// Whether every object tells Argo CD its wave.
        #[serde(default)]
        argo_waves: bool,
    },
    /// A KubeVela `Application` in the environment's cluster.
    #[serde(rename_all = "camelCase")]
    Kubevela {
        /// Where the object lies; without it, in the environment's namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// What happens to Secrets.
        #[serde(default)]
        secrets: SecretHandling,
    },
    /// A service that takes signed JSON.
    #[serde(rename_all = "camelCase")]
    Http {
        /// Its base address.
        url: String,
        /// Which key signs.
        key_id: String,
        /// The key both sides sign with.
        key: SecretReference,
    },
    /// The built-in reconcile core.
    Core {},
}

/// What a receiver that resolves no secrets itself does with Secrets that refer to the secret store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretHandling {
    /// A revision with such Secrets is refused.
    #[default]
    Refuse,
    /// Such Secrets are left out: somebody else keeps them in the cluster under the same names.
    External,
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self::Oci { registry: None, secrets: SecretHandling::Refuse, argo_waves: false }
    }
}

/// Where a cluster pulls images from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PullRegistry {
    /// Host, and a path if repositories lie under one.
    pub prefix: RegistryPrefix,
    /// `USER:PASSWORD`; the namespace gets it as a pull secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<SecretReference>,
}

/// What must hold before a revision goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Gates {
    /// So many people must have said yes to exactly this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
    /// It is one of these times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// The bundle's labels match. Labels that developers wrote (`source/…`) do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSelector>,
    /// One of these channels names the bundle.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub channels: BTreeSet<ChannelName>,
    /// Each of these checks is green, reported by its owner.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub checks: BTreeSet<CheckName>,
    /// Each of these has signed the bundle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signer>,
    /// The same components have run upstream for so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
}

/// Whoever holds a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Signer {
    /// What people call it.
    pub name: KeyName,
    /// The public key; of several, whatever one of them signed counts.
    pub key: TrustedKeys,
}

/// The most keys that an environment may ask for.
const SIGNERS_MAX: usize = 16;

/// Approvals by distinct people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Approvals {
    /// How many.
    pub count: u32,
    /// Who may approve; none: everybody with the role operator.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub of: BTreeSet<String>,
    /// Whether those who made the deployment or pushed the commit may be among them.
    #[serde(default)]
    pub author_may: bool,
}

/// Time upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Soak {
    /// How long, in minutes.
    pub minutes: u32,
}

/// Whose word a check is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CheckOwner {
    /// The person or service whose report counts: the `person` of its token.
    pub by: String,
}

/// What deploys by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Follow {
    /// The applications it holds for; none: all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub applications: BTreeSet<String>,
    /// What this channel names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// What was published from this branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// What has these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What lies in this range of versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<VersionRange>,
    /// What runs in this environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<EnvironmentName>,
    /// How long it must have run there, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak_minutes: Option<u32>,
    /// When it may happen; none: always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

impl Follow {
    /// Whether it holds for an application. One of the default team may be named with it or without.
    pub fn concerns(&self, application: &ApplicationName) -> bool {
        self.applications.is_empty()
            || self.applications.contains(&application.to_string())
            || self.applications.contains(&application.path())
    }
}

/// What is wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSettings {
    /// Which field.
    pub field: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl EnvironmentSettings {
    /// What is wrong with these settings by themselves, all at once.
    pub fn check(&self, own: &EnvironmentName) -> Vec<InvalidSettings> {
        let mut found = Vec::new();
        let mut wrong = |field, message: String| found.push(InvalidSettings { field, message });
        if self.upstream.as_ref() == Some(own) {
            wrong("upstream", "names the environment itself".into());
        }
        let gates = &self.gates;
        if gates.approvals.as_ref().is_some_and(|approvals| approvals.count == 0) {
            wrong("gates.approvals.count", "is 0: leave `approvals` out to ask for none".into());
        }
        if let Some(approvals) = gates.approvals.as_ref()
            && !approvals.of.is_empty()
            && approvals.of.len() < approvals.count as usize
        {
            let message =
                format!("asks for {} approvals and names {} people", approvals.count, approvals.of.len());
            wrong("gates.approvals.of", message);
        }
        for check in &gates.checks {
            if check.is_source() {
                let message = format!("`{check}` is a check that developers declare: no gate can require it");
                wrong("gates.checks", message);
            } else if !self.checks.contains_key(check) {
                let message = format!("`{check}` has no owner: add it under `checks` with `by`");
                wrong("gates.checks", message);
            }
        }
        if let Some(key) = gates.labels.as_ref().and_then(first_source_key) {
            let message = format!("`{key}` is a label that developers write: no gate can require it");
            wrong("gates.labels", message);
        }
        if gates.signatures.len() > SIGNERS_MAX {
            wrong("gates.signatures", format!("names more than {SIGNERS_MAX} keys"));
        }
        for (place, signer) in gates.signatures.iter().enumerate() {
            let earlier = &gates.signatures[..place];
            if let Some(other) = earlier.iter().find(|other| other.name == signer.name) {
                let message = format!(
                    "names `{}` twice: write both keys into one `key`, if either will do",
                    other.name
                );
                wrong("gates.signatures", message);
            } else if let Some(other) = earlier.iter().find(|other| shares_key(other, signer)) {
                let message = format!(
                    "`{}` and `{}` hold the same key: one signature would count twice",
                    other.name, signer.name
                );
                wrong("gates.signatures", message);
            }
        }
        if gates.soak.is_some() && self.upstream.is_none() {
            wrong("gates.soak", "needs `upstream`: where else should it have run?".into());
        }
        if let Some(follow) = &self.follow {
            let names_something = follow.channel.is_some()
                || follow.branch.is_some()
                || follow.selector.is_some()
                || follow.range.is_some()
                || follow.from.is_some();
            if !names_something {
                wrong(
                    "follow",
                    "names nothing: give `channel`, `branch`, `selector`, `range` or `from`".into(),
                );
            }
            if follow.soak_minutes.is_some() && follow.from.is_none() {
                wrong("follow.soakMinutes", "needs `from`".into());
            }
            if follow.from.as_ref() == Some(own) {
                wrong("follow.from", "names the environment itself".into());
            }
        }
        if self.expire_after_hours == Some(0) {
            wrong("expireAfterHours", "is 0: it would expire at once".into());
        }
        found
    }

    /// How long a deployment may wait for its gates and for the end of a cordon, in hours since it was made.
    pub fn expire_after_hours(&self) -> u32 {
        self.expire_after_hours.unwrap_or(EXPIRE_AFTER_HOURS)
    }

    /// What the built-in core does about what others change of what runs.
    pub fn drift(&self) -> DriftPolicy {
        self.drift.unwrap_or_default()
    }
}

/// How a cluster is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClusterSettings {
    /// A kubeconfig in the secret store or a file; none: the cluster this server runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<SecretReference>,
    /// Context of the kubeconfig; none: its current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// For selectors of policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Why nothing new may go there, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordoned: Option<String>,
    /// How the built-in core hears what changes there.
    #[serde(skip_serializing_if = "Sensing::is_usual")]
    pub sensing: Sensing,
}

/// How the built-in core hears what changes in a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sensing {
    /// By a watch of each kind: at once, at the price of an open connection.
    #[default]
    Watch,
    /// By a list of each kind now and then: for clusters that are very many, or behind what ends long answers.
    Pull,
}

impl Sensing {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The word of it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Pull => "pull",
        }
    }
}

/// What a cluster says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Kubernetes version, e.g. `1.30`.
    pub version: String,
    /// The kinds it serves, `apiVersion/kind`.
    pub apis: BTreeSet<String>,
    /// Kinds of these that do not live in a namespace.
    pub cluster_scoped: BTreeSet<String>,
    /// Platforms of its nodes.
    pub platforms: BTreeSet<Platform>,
    /// How many nodes it has.
    pub nodes: usize,
}

/// A cluster's name and labels, as policies choose by.
pub type ClusterLabels = BTreeMap<ClusterName, BTreeMap<String, String>>;

/// The first key of a selector that developers write.
fn first_source_key(selector: &LabelSelector) -> Option<&LabelKey> {
    selector.rules().keys().find(|key| key.origin() == LabelOrigin::Source)
}

fn shares_key(one: &Signer, other: &Signer) -> bool {
    one.key.keys().iter().any(|key| other.key.keys().contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_names_an_application_with_its_team_or_in_the_default_one_without() {
        for (named, shop, other) in [
            (vec![], true, true),
            (vec!["shop"], true, false),
            (vec!["default/shop"], true, false),
            (vec!["commerce/shop"], false, true),
            (vec!["cart"], false, false),
        ] {
            let applications = named.iter().map(|name| (*name).to_owned()).collect();
            let follow = Follow { applications, ..Follow::default() };
            let concerns = ["shop", "commerce/shop"].map(|name| follow.concerns(&name.parse().unwrap()));
            assert_eq!(concerns, [shop, other], "{named:?}");
        }
    }
}
