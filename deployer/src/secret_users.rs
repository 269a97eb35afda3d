//! Who uses a secret: what runs and what is on its way by what was noted of their frozen revisions, builds by their
//! plans, operators' configuration by its text, and the server by its settings.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slipway_records::deploying::{SecretName, SecretUser, SecretUserKind};
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::secret_use::found_by;
use slipway_records::{
    Application, Deployment, Environment, Page, Read, RecordsError, RevisionSecret, RunFilter,
};
use slipway_types::secret::SecretProvider;
use slipway_types::{Digest, Fault, SecretReference, SecretScope};
use tokio::time::{Instant, timeout_at};

use crate::stage::Stage;

/// How long revisions whose secrets are not noted are read while somebody waits for who uses one.
const READING_WITHIN: Duration = Duration::from_secs(10);

/// Where in clusters a reference leads, of an environment in the cluster `own`.
fn in_cluster<'a>(
    reference: &'a SecretReference,
    own: Option<&'a str>,
) -> Option<(&'a str, &'a str, &'a str)> {
    let found = reference.kubernetes()?;
    Some((found.cluster.or(own)?, found.namespace, found.name))
}

/// Whether a revision's use is of this secret, in an environment in the cluster `own`.
fn is_use(used: &RevisionSecret, secret: &SecretName, own: Option<&str>) -> bool {
    let (has, wanted) = (&used.reference, &secret.reference);
    // One Secret has two names where the cluster is the environment's: with it and without.
    let same_place = || in_cluster(has, own).is_some_and(|place| in_cluster(wanted, own) == Some(place));
    let same = (has.provider == wanted.provider && has.path == wanted.path) || same_place();
    let scope = used.scope.clone().unwrap_or(SecretScope::Global);
    same && secret.scope.as_ref().is_none_or(|wanted| *wanted == scope)
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
pub(crate) struct Candidate {
    pub(crate) deployment: Deployment,
    pub(crate) application: Option<Application>,
    pub(crate) environment: Option<Environment>,
}

impl Candidate {
    /// Whether it can use the secret at all: what it does not see it was never frozen with.
    fn may_use(&self, secret: &SecretName) -> bool {
        match (&self.application, &secret.scope) {
            (Some(application), Some(scope)) => sees(application, scope),
            _ => true,
        }
    }

    /// Which of `noted` are uses of the secret.
    pub(crate) fn uses(&self, secret: &SecretName, noted: &[RevisionSecret]) -> Vec<RevisionSecret> {
        let cluster = self.environment.as_ref().map(|environment| environment.address.cluster());
        let is_use = |used: &&RevisionSecret| self.may_use(secret) && is_use(used, secret, cluster);
        noted.iter().filter(is_use).cloned().collect()
    }

    /// Whether a receiver has it.
    pub(crate) fn runs(&self) -> bool {
        !self.deployment.state.is_pending()
    }
}

/// A deployment that uses a secret, or of which that is not known.
pub(crate) struct DeployedUser {
    pub(crate) candidate: Candidate,
    /// Its uses, one at least; or why nobody knows.
    pub(crate) uses: Result<Vec<RevisionSecret>, Fault>,
}

impl DeployedUser {
    fn shown(&self) -> SecretUser {
        let Candidate { deployment, application, environment } = &self.candidate;
        let (generation, state) = (deployment.generation, deployment.state.word());
        let kind = if self.candidate.runs() { SecretUserKind::Running } else { SecretUserKind::Pending };
        let user = SecretUser {
            environment: environment.as_ref().map(|environment| environment.name.clone()),
            generation: Some(generation),
            revision: deployment.revision,
            state: Some(state),
            ..user(
                kind,
                application.as_ref(),
                format!("generation {generation} of {}, {state}", deployment.bundle_version),
            )
        };
        match &self.uses {
            Err(fault) => SecretUser { problem: Some(fault.message.clone()), ..user },
            Ok(uses) => {
                let components: BTreeSet<&String> = uses.iter().flat_map(|used| &used.components).collect();
                SecretUser {
                    components: components.into_iter().cloned().collect(),
                    version: uses.first().map(|used| used.version.clone()),
                    ..user
                }
            }
        }
    }
}

/// Deployments with what the records say of them.
async fn candidates(read: &mut dyn Read, rows: Vec<Deployment>) -> Result<Vec<Candidate>, RecordsError> {
    let mut applications = BTreeMap::new();
    let mut environments = BTreeMap::new();
    for row in &rows {
        if let Entry::Vacant(place) = applications.entry(row.application_id) {
            place.insert(read.application_get(row.application_id).await?);
        }
        if let Entry::Vacant(place) = environments.entry(row.environment_id) {
            place.insert(read.environment_get(row.environment_id).await?);
        }
    }
    let candidate = |deployment: Deployment| Candidate {
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
        let deployed = self.deployed_users(secret, Some(Instant::now() + READING_WITHIN)).await?;
        let mut users: Vec<SecretUser> = deployed.iter().map(DeployedUser::shown).collect();
        let mut read = self.records.read().await.map_err(fault)?;
        users.extend(self.recorded_users(read.as_mut(), secret).await.map_err(fault)?);
        Ok(users)
    }

    /// Deployments that use a secret, those that a receiver has first. Revisions of which nothing is noted are read,
    /// until `until` if that is said.
    pub(crate) async fn deployed_users(
        &self,
        secret: &SecretName,
        until: Option<Instant>,
    ) -> Result<Vec<DeployedUser>, Fault> {
        let fault = |error: RecordsError| crate::records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let rows = read.deployments_with_unnoted_secrets().await.map_err(fault)?;
        let unnoted = candidates(read.as_mut(), rows).await.map_err(fault)?;
        // Nobody waits for the connection while the object store is asked.
        drop(read);
        let unnoted = unnoted.into_iter().filter(|candidate| candidate.may_use(secret)).collect();
        let unknown = self.note_older(unnoted, until).await;
        let name = found_by(&secret.reference);
        let mut read = self.records.read().await.map_err(fault)?;
        let mut noted: BTreeMap<Digest, Vec<RevisionSecret>> = BTreeMap::new();
        for (revision, used) in read.secret_uses(&name).await.map_err(fault)? {
            noted.entry(revision).or_default().push(used);
        }
        let rows = read.deployments_with_secret(&name).await.map_err(fault)?;
        let candidates = candidates(read.as_mut(), rows).await.map_err(fault)?;
        let known = candidates.into_iter().filter_map(|candidate| {
            let noted = noted.get(&candidate.deployment.revision?)?;
            let uses = candidate.uses(secret, noted);
            (!uses.is_empty()).then_some(DeployedUser { candidate, uses: Ok(uses) })
        });
        let mut users: Vec<DeployedUser> = known.chain(unknown).collect();
        users.sort_by_key(|user| !user.candidate.runs());
        Ok(users)
    }

    /// Notes what revisions use that were frozen by a release that noted nothing; gives those of which that is still
    /// not known.
    async fn note_older(&self, unnoted: Vec<Candidate>, until: Option<Instant>) -> Vec<DeployedUser> {
        let mut read: BTreeMap<Digest, Option<Fault>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for candidate in unnoted {
            let Some(digest) = candidate.deployment.revision else { continue };
            let problem = if let Some(problem) = read.get(&digest) {
                problem.clone()
            } else {
                let problem = self.note_until(&digest, until).await.err();
                read.insert(digest, problem.clone());
                problem
            };
            unknown.extend(problem.map(|fault| DeployedUser { candidate, uses: Err(fault) }));
        }
        unknown
    }

    async fn note_until(&self, digest: &Digest, until: Option<Instant>) -> Result<(), Fault> {
        let Some(until) = until else { return self.note_secrets_of(digest).await };
        let too_late = || {
            Fault::transient(
                "revision_unread",
                "its revision was frozen by an earlier release and is not read yet: ask again",
            )
        };
        if Instant::now() >= until {
            return Err(too_late());
        }
        timeout_at(until, self.note_secrets_of(digest)).await.map_err(|_| too_late())?
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
    use slipway_types::state::DeploymentState;

    use super::*;

    fn named(reference: &str) -> SecretName {
        SecretName { reference: reference.parse().unwrap(), scope: None }
    }

    fn used(reference: &str, components: &[&str]) -> RevisionSecret {
        RevisionSecret {
            reference: reference.parse().unwrap(),
            scope: None,
            version: "1".into(),
            components: components.iter().copied().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn a_secret_of_the_environments_cluster_is_one_under_both_names() {
        let (short, long) = ("secret://kubernetes/shop/db#user", "secret://kubernetes/kind/shop/db#user");
        for (has, wanted) in [(short, long), (long, short), (short, short), (long, long)] {
            assert!(is_use(&used(has, &[]), &named(wanted), Some("kind")), "{has} {wanted}");
        }
        assert!(!is_use(&used(short, &[]), &named(long), Some("other")));
        assert!(!is_use(&used(long, &[]), &named(short), Some("other")));
        assert!(!is_use(&used(short, &[]), &named("secret://kubernetes/kind/shop/x#user"), Some("kind")));
        assert!(!is_use(&used("secret://builtin/db", &[]), &named(long), Some("kind")));
    }

    #[test]
    fn a_deployment_is_told_with_its_components_or_as_one_that_cannot_be_read() {
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
        let mut deployment = new.draft(7, Utc::now());
        deployment.state = DeploymentState::Live;
        let candidate = Candidate { deployment, application: Some(shop), environment: None };
        let of = |name: &str| SecretName {
            reference: SecretReference::builtin("db"),
            scope: Some(SecretScope::Application(name.parse().unwrap())),
        };
        assert!(candidate.may_use(&of("shop")) && !candidate.may_use(&of("cart")));
        let uses = [used("secret://builtin/db#a", &["web"]), used("secret://builtin/db#b", &["api", "web"])];
        assert!(candidate.uses(&of("shop"), &uses).is_empty(), "another scope gave it");
        let uses = candidate.uses(&named("secret://builtin/db"), &uses);
        let user = DeployedUser { candidate, uses: Ok(uses) };
        let told = user.shown();
        assert_eq!(
            (told.kind, told.components, told.problem),
            (SecretUserKind::Running, vec!["api".to_owned(), "web".to_owned()], None)
        );
        let away = Fault::transient("storage_unavailable", "it is away");
        let told = DeployedUser { uses: Err(away), ..user }.shown();
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
