//! Who uses a secret: what runs and what is on its way by their frozen revisions, builds by their plans,
//! operators' configuration by its text, and the server by its settings.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use slipway_handoff::{Revision, SecretUse};
use slipway_records::deploying::{SecretName, SecretUser, SecretUserKind};
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::{
    Application, Deployment, DeploymentFilter, Environment, PAGE_ROWS_MAX, Page, Read, RecordsError,
    RunFilter,
};
use slipway_types::secret::SecretProvider;
use slipway_types::{Digest, Fault, SecretReference, SecretScope};

use crate::stage::Stage;

/// The largest revision that is read, in bytes.
const REVISION_BYTES_MAX: u64 = 256 << 20;
/// States of deployments that are frozen and not handed off.
const PENDING: [&str; 3] = ["frozen", "awaiting", "approved"];

/// Where in clusters a reference leads, of an environment in the cluster `own`.
fn in_cluster<'a>(
    reference: &'a SecretReference,
    own: Option<&'a str>,
) -> Option<(&'a str, &'a str, &'a str)> {
    let found = reference.kubernetes()?;
    Some((found.cluster.or(own)?, found.namespace, found.name))
}

/// Whether a revision's use is of this secret, in an environment in the cluster `own`.
fn is_use(used: &SecretUse, secret: &SecretName, own: Option<&str>) -> bool {
    let (has, wanted) = (&used.reference, &secret.reference);
    // One Secret has two names where the cluster is the environment's: with it and without.
    let same_place = || in_cluster(has, own).is_some_and(|place| in_cluster(wanted, own) == Some(place));
    let same = (has.provider == wanted.provider && has.path == wanted.path) || same_place();
    let scope = used.scope.clone().unwrap_or(SecretScope::Global);
    same && secret.scope.as_ref().is_none_or(|wanted| *wanted == scope)
}

/// Components whose nodes hold the objects that a secret goes into.
fn components(revision: &Revision, uses: &[&SecretUse]) -> Vec<String> {
    let places: BTreeSet<_> = uses.iter().flat_map(|used| &used.used_in).map(|place| &place.object).collect();
    let nodes = revision.graph.nodes().values();
    let holding = nodes.filter(|node| node.objects.iter().any(|object| places.contains(&object.object)));
    let names: BTreeSet<String> =
        holding.filter_map(|node| node.component.as_ref()).map(ToString::to_string).collect();
    names.into_iter().collect()
}

/// Whether an application sees a scope.
fn sees(application: &Application, scope: &SecretScope) -> bool {
    match scope {
        SecretScope::Global => true,
        SecretScope::Team(team) => team == application.name.team(),
        SecretScope::Application(name) | SecretScope::Environment(name, _) => *name == application.name,
    }
}

/// Whether a text names the secret, and not one whose name goes on.
fn mentions(text: &str, reference: &SecretReference) -> bool {
    let whole = SecretReference { key: None, ..reference.clone() }.to_string();
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    text.match_indices(&whole).any(|(at, _)| !text[at + whole.len()..].starts_with(goes_on))
}

/// A deployment that may use a secret, with what the records say of it.
struct Candidate {
    kind: SecretUserKind,
    deployment: Deployment,
    application: Option<Application>,
    environment: Option<Environment>,
}

impl Candidate {
    /// Whether it can use the secret at all: what it does not see it was never frozen with.
    fn may_use(&self, secret: &SecretName) -> bool {
        match (&self.application, &secret.scope) {
            (Some(application), Some(scope)) => sees(application, scope),
            _ => true,
        }
    }

    /// What its revision makes of it: a user, none, or one of which that is not known.
    fn user(&self, secret: &SecretName, revision: Result<Revision, String>) -> Option<SecretUser> {
        let deployment = &self.deployment;
        let (generation, state) = (deployment.generation, deployment.state.word());
        let user = SecretUser {
            environment: self.environment.as_ref().map(|environment| environment.name.clone()),
            generation: Some(generation),
            revision: deployment.revision,
            state: Some(state),
            ..user(
                self.kind,
                self.application.as_ref(),
                format!("generation {generation} of {}, {state}", deployment.bundle_version),
            )
        };
        let revision = match revision {
            Ok(revision) => revision,
            Err(problem) => return Some(SecretUser { problem: Some(problem), ..user }),
        };
        let cluster = self.environment.as_ref().map(|environment| environment.address.cluster());
        let uses: Vec<&SecretUse> =
            revision.secrets.iter().filter(|used| is_use(used, secret, cluster)).collect();
        let first = uses.first()?;
        let (components, version) = (components(&revision, &uses), Some(first.version.clone()));
        Some(SecretUser { components, version, ..user })
    }
}

/// Everything that a receiver has or that is on its way there.
async fn candidates(read: &mut dyn Read) -> Result<Vec<Candidate>, RecordsError> {
    let mut rows: Vec<(SecretUserKind, Deployment)> =
        read.deployments_out().await?.into_iter().map(|row| (SecretUserKind::Running, row)).collect();
    let filter = DeploymentFilter { states: PENDING.to_vec(), ..DeploymentFilter::default() };
    let mut page = Page::first(PAGE_ROWS_MAX);
    loop {
        let pending = read.deployment_list(&filter, page).await?;
        let last = pending.last().map(|row| row.id.as_uuid());
        let whole = pending.len() >= PAGE_ROWS_MAX as usize;
        rows.extend(pending.into_iter().map(|row| (SecretUserKind::Pending, row)));
        match last.filter(|_| whole) {
            Some(after) => page = Page { limit: PAGE_ROWS_MAX, after: Some(after) },
            None => break,
        }
    }
    let mut applications = BTreeMap::new();
    let mut environments = BTreeMap::new();
    for (_, row) in &rows {
        if let Entry::Vacant(place) = applications.entry(row.application_id) {
            place.insert(read.application_get(row.application_id).await?);
        }
        if let Entry::Vacant(place) = environments.entry(row.environment_id) {
            place.insert(read.environment_get(row.environment_id).await?);
        }
    }
    let candidate = |(kind, deployment): (SecretUserKind, Deployment)| Candidate {
        kind,
        application: applications.get(&deployment.application_id).cloned().flatten(),
        environment: environments.get(&deployment.environment_id).cloned().flatten(),
        deployment,
    };
    Ok(rows.into_iter().map(candidate).collect())
}

impl Stage {
    /// Everything that uses a secret. A deployment whose revision cannot be read is told as such, and keeps
    /// no other from being told.
    pub(crate) async fn users_of(&self, secret: &SecretName) -> Result<Vec<SecretUser>, Fault> {
        let fault = |error: RecordsError| crate::records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let candidates = candidates(read.as_mut()).await.map_err(fault)?;
        let recorded = self.recorded_users(read.as_mut(), secret).await.map_err(fault)?;
        // Nobody waits for the connection while the object store is asked.
        drop(read);
        let mut users = Vec::new();
        for candidate in &candidates {
            let Some(digest) = candidate.deployment.revision.filter(|_| candidate.may_use(secret)) else {
                continue;
            };
            users.extend(candidate.user(secret, self.readable(digest).await));
        }
        users.extend(recorded);
        Ok(users)
    }

    /// Users of which the records know: builds, configuration, the server.
    async fn recorded_users(
        &self,
        read: &mut dyn Read,
        secret: &SecretName,
    ) -> Result<Vec<SecretUser>, RecordsError> {
        let mut users = Vec::new();
        let mut applications = BTreeMap::new();
        for application in read.application_list().await? {
            if secret.scope.as_ref().is_none_or(|scope| sees(&application, scope)) {
                users.extend(build_user(read, secret, &application).await?);
                applications.insert(application.id, application);
            }
        }
        for row in read.configurations_in_force(None).await? {
            let Some(application) = applications.get(&row.application_id) else { continue };
            if mentions(&row.document, &secret.reference) {
                let detail = format!("{}, version {}", crate::configuration::shown(&row.level), row.version);
                users.push(user(SecretUserKind::Configuration, Some(application), detail));
            }
        }
        if secret.reference.provider == SecretProvider::Builtin && secret.scope == Some(SecretScope::Global) {
            let uses = self.secrets.server_uses_of(read, &secret.reference.path).await?;
            users.extend(uses.into_iter().map(|what| user(SecretUserKind::Server, None, what)));
        }
        Ok(users)
    }

    /// A kept revision, or why it cannot be read.
    async fn readable(&self, digest: Digest) -> Result<Revision, String> {
        let document = self.blobs.get(&digest, REVISION_BYTES_MAX).await;
        let document = document.map_err(|error| format!("the object store fails: {error}"))?;
        serde_json::from_slice(&document)
            .map_err(|_| format!("the kept revision {digest} cannot be read by this release"))
    }
}

fn user(kind: SecretUserKind, application: Option<&Application>, detail: String) -> SecretUser {
    SecretUser {
        kind,
        application: application.map(|application| application.name.clone()),
        environment: None,
        components: Vec::new(),
        version: None,
        generation: None,
        revision: None,
        state: None,
        problem: None,
        detail,
    }
}

/// The newest finished run of an application, if a build of it sees the secret.
async fn build_user(
    read: &mut dyn Read,
    secret: &SecretName,
    application: &Application,
) -> Result<Option<SecretUser>, RecordsError> {
    let Some(scope) = &secret.scope else { return Ok(None) };
    let filter =
        RunFilter { application: Some(application.id), git_ref: None, commit: None, states: vec!["done"] };
    let Some(run) = read.run_list(&filter, Page::first(1)).await?.into_iter().next() else { return Ok(None) };
    let mut components = Vec::new();
    let mut seen = None;
    for build in read.builds_of(run.id).await? {
        let Ok(plan) = serde_json::from_value::<ComponentPlan>(build.plan) else { continue };
        let Some(ImagePlan::Build(image)) = plan.image else { continue };
        let Some(version) = image.secrets.get(&secret.reference.path) else { continue };
        // As the planner writes it: a number alone counts globally.
        let (word, number) = version.split_once(' ').unwrap_or(("global", version));
        if word == scope.word() {
            components.push(plan.name.to_string());
            seen = Some(number.to_owned());
        }
    }
    Ok(seen.map(|version| SecretUser {
        components,
        version: Some(version),
        ..user(SecretUserKind::Build, Some(application), format!("run {}", run.number))
    }))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::Value;
    use slipway_records::{DeploymentCause, NewDeployment};
    use slipway_types::id::{ApplicationId, EnvironmentId, SourceId, VersionId};

    use super::*;

    fn named(reference: &str) -> SecretName {
        SecretName { reference: reference.parse().unwrap(), scope: None }
    }

    fn used(reference: &str) -> SecretUse {
        SecretUse {
            reference: reference.parse().unwrap(),
            scope: None,
            version: "1".into(),
            used_in: Vec::new(),
        }
    }

    #[test]
    fn a_secret_of_the_environments_cluster_is_one_under_both_names() {
        let (short, long) = ("secret://kubernetes/shop/db#user", "secret://kubernetes/kind/shop/db#user");
        for (has, wanted) in [(short, long), (long, short), (short, short), (long, long)] {
            assert!(is_use(&used(has), &named(wanted), Some("kind")), "{has} {wanted}");
        }
        assert!(!is_use(&used(short), &named(long), Some("other")));
        assert!(!is_use(&used(long), &named(short), Some("other")));
        assert!(!is_use(&used(short), &named("secret://kubernetes/kind/shop/x#user"), Some("kind")));
        assert!(!is_use(&used("secret://builtin/db"), &named(long), Some("kind")));
    }

    #[test]
    fn a_deployment_that_cannot_be_read_is_told_as_such() {
        let new = NewDeployment {
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            bundle_id: VersionId::new(),
            bundle_version: "1.2.3".parse().unwrap(),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: Value::Null,
            cause: DeploymentCause::Deploy,
            created_by: "ann".into(),
            document: None,
        };
        let shop = Application {
            id: new.application_id,
            name: "shop".parse().unwrap(),
            source_id: SourceId::new(),
            path: String::new(),
            created_at: Utc::now(),
        };
        let candidate = Candidate {
            kind: SecretUserKind::Running,
            deployment: new.draft(7, Utc::now()),
            application: Some(shop),
            environment: None,
        };
        let of = |name: &str| SecretName {
            reference: SecretReference::builtin("db"),
            scope: Some(SecretScope::Application(name.parse().unwrap())),
        };
        assert!(candidate.may_use(&of("shop")) && !candidate.may_use(&of("cart")));
        let told = candidate.user(&named("secret://kubernetes/shop/db#user"), Err("it is away".into()));
        let told = told.expect("it is told");
        assert_eq!((told.problem.as_deref(), told.generation), (Some("it is away"), Some(7)));
    }

    #[test]
    fn a_text_mentions_a_secret_by_its_whole_name() {
        let reference = "secret://builtin/db#user".parse().unwrap();
        for text in ["secret://builtin/db", "a: secret://builtin/db#password,", "\"secret://builtin/db\""] {
            assert!(mentions(text, &reference), "{text}");
        }
        for text in ["secret://builtin/db2", "secret://builtin/db/main", "secret://builtin/db-x", "db", ""] {
            assert!(!mentions(text, &reference), "{text}");
        }
    }
}
