//! From drafts to plans: base images resolved, secrets' versions looked up, back-ends chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slipway_git::GitStore;
use slipway_records::plan::{CheckImage, CheckPlan, ComponentPlan, ImagePlan, PlannedBase};
use slipway_records::worker::fault_of;
use slipway_records::{Application, Records};
use slipway_secrets::scope::{Asker, Found};
use slipway_secrets::{SecretError, Secrets};
use slipway_types::{
    ApplicationName, Class, CommitId, ComponentName, Fault, ImageReference, SecretReference, SecretScope,
};

use crate::backend::Backends;
use crate::backend::assemble::join;
use crate::bases::{Base, BaseResolver, Bases};
use crate::manifest::{Problem, Problems};
use crate::plan::{self, Draft, DraftCheck, DraftImage, Wanted};

/// Makes plans.
#[derive(Clone)]
pub struct Planner {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where commits are.
    pub git: GitStore,
    /// What tells where base images are.
    pub bases: BaseResolver,
    /// What can build.
    pub backends: Backends,
    /// Where secrets of builds are.
    pub secrets: Secrets,
    /// The largest context, in bytes.
    pub max_context_bytes: u64,
}

impl Planner {
    /// The plan of a commit, in the order of its `slipway.yaml`.
    pub async fn plan(
        &self,
        application: &Application,
        commit: &CommitId,
        only: Option<&ComponentName>,
    ) -> Result<Vec<ComponentPlan>, Fault> {
        let snapshot =
            self.git.snapshot(application.source_id, commit).await.map_err(|error| error.fault())?;
        let asked_by = application;
        let (application, only) = (application.clone(), only.cloned());
        let max_context_bytes = self.max_context_bytes;
        let drafts = tokio::task::spawn_blocking(move || {
            let wanted = Wanted {
                application: &application.name,
                path: &application.path,
                only: only.as_ref(),
                max_context_bytes,
            };
            plan::read(&snapshot, &wanted)
        })
        .await
        .map_err(|error| Fault::bug("plan", format!("planning ended badly: {error}")))??;
        let references = references(&drafts);
        for reference in &references {
            self.allow(asked_by, reference).await?;
        }
        let bases = self.bases.acting_for(&asked_by.name).resolve(references).await?;
        let mut plans = Vec::with_capacity(drafts.len());
        let mut problems = Vec::new();
        for draft in drafts {
            match self.complete(asked_by, draft, &bases).await {
                Ok(plan) => plans.push(plan),
                Err(Unplanned::Problem(problem)) => problems.push(*problem),
                Err(Unplanned::Fault(fault)) => return Err(fault),
            }
        }
        if problems.is_empty() { Ok(plans) } else { Err(plan::fault(Problems::new(problems, 100))) }
    }

    /// Refuses images of other teams' applications in the built-in registry: who may push here may not
    /// be allowed to read there, and a build must be no way around that. A team's applications share.
    async fn allow(&self, application: &Application, reference: &ImageReference) -> Result<(), Fault> {
        if !self.bases.images.is_own(reference) {
            return Ok(());
        }
        let Some(owner) = ApplicationName::owning(&reference.repository) else { return Ok(()) };
        if owner.team() == application.name.team() {
            return Ok(());
        }
        let fault = |error| slipway_records::worker::fault_of(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        if read.application_by_name(&owner).await.map_err(fault)?.is_none() {
            return Ok(());
        }
        let message = format!(
            "{reference} is not to be had: of this registry a build reads the repositories of its own \
             team, and those that belong to no application"
        );
        Err(Fault::permanent("image_not_found", message))
    }

    async fn complete(
        &self,
        application: &Application,
        draft: Draft,
        bases: &Bases,
    ) -> Result<ComponentPlan, Unplanned> {
        let Draft { mut plan, image, place, secrets, checks } = draft;
        plan.image = match image {
            None => None,
            Some(DraftImage::Pin { reference, platforms }) => {
                let Base { digest, note } = found(&reference, bases).map_err(|fault| at(&place, fault))?;
                Some(ImagePlan::Pin { reference, digest, platforms, note })
            }
            Some(DraftImage::Build { plan: mut build, requirements, bases: named }) => {
                for (line, reference) in named {
                    let Base { digest, note } = found(&reference, bases).map_err(|fault| {
                        // Of several components each has a Dockerfile.
                        let dockerfile = join(&plan.context, &build.dockerfile);
                        let message = format!("{dockerfile}:{line}: {}", fault.message);
                        at(&place, Fault { message, ..fault })
                    })?;
                    build.bases.push(PlannedBase { reference, digest, note });
                }
                build.secrets = self.secret_versions(application, &secrets, &place).await?;
                let chosen = self.backends.choose(&application.name, &requirements).await;
                let (backend, why) = chosen.map_err(|refused| {
                    let what = format!("no back-end can build {}: {}", build.dockerfile, refused.join("; "));
                    Unplanned::Problem(Box::new(place.problem(what)))
                })?;
                backend.name().clone_into(&mut build.backend);
                build.recipe = backend.recipe();
                build.backend_why = why;
                Some(ImagePlan::Build(build))
            }
        };
        for check in checks {
            let built_by = match &plan.image {
                Some(ImagePlan::Build(build)) => Some(build.backend.as_str()),
                _ => None,
            };
            let planned = self.complete_check(application, check, built_by, bases).await?;
            plan.checks.push(planned);
        }
        Ok(plan)
    }

    async fn complete_check(
        &self,
        application: &Application,
        draft: DraftCheck,
        built_by: Option<&str>,
        bases: &Bases,
    ) -> Result<CheckPlan, Unplanned> {
        let DraftCheck { mut plan, asked, place } = draft;
        if let CheckImage::Pinned(reference) = &plan.image {
            let base = found(reference, bases).map_err(|fault| at(&place, fault))?;
            plan.image = CheckImage::Pinned(reference.pinned(base.digest));
        }
        let chosen = self.backends.choose_runner(&application.name, asked, built_by).await;
        let (backend, why) = chosen.map_err(|refused| {
            let what = format!("no back-end can run the check `{}`: {}", plan.name, refused.join("; "));
            let problem = place.problem(what).hint("checks need the back-end docker or kaniko");
            Unplanned::Problem(Box::new(problem))
        })?;
        backend.name().clone_into(&mut plan.backend);
        plan.backend_why = why;
        Ok(plan)
    }

    /// The version of each secret that a build may see, as the application's scopes give them.
    async fn secret_versions(
        &self,
        application: &Application,
        names: &[String],
        place: &plan::Place,
    ) -> Result<BTreeMap<String, String>, Unplanned> {
        let mut versions = BTreeMap::new();
        if names.is_empty() {
            return Ok(versions);
        }
        let asker = Asker { application: &application.name, environment: None };
        let mut read = self.records.read().await.map_err(|error| Unplanned::Fault(fault_of(&error)))?;
        for name in names {
            let reference = SecretReference::builtin(name);
            let version = match self.secrets.find(read.as_mut(), &reference, asker).await {
                // Global ones are written as they were before there were scopes: fingerprints stay.
                Ok(Found { scope: SecretScope::Global, row, .. }) => row.version.to_string(),
                Ok(Found { scope, row, .. }) => format!("{} {}", scope.word(), row.version),
                Err(SecretError::Records(error)) => return Err(Unplanned::Fault(fault_of(&error))),
                Err(SecretError::Missing { .. }) => {
                    let problem = place.problem(format!("the secret `{name}` does not exist"));
                    let app = &application.name;
                    let problem =
                        problem.hint(format!("set it: slipway secret set {name} --app {app} < FILE"));
                    return Err(Unplanned::Problem(Box::new(problem)));
                }
                Err(error) => return Err(at(place, error.into())),
            };
            versions.insert(name.clone(), version);
        }
        Ok(versions)
    }
}

/// Every reference in the drafts.
fn references(drafts: &[Draft]) -> BTreeSet<ImageReference> {
    let mut all = BTreeSet::new();
    for draft in drafts {
        match &draft.image {
            Some(DraftImage::Build { bases, .. }) => {
                all.extend(bases.iter().map(|(_, reference)| reference.clone()));
            }
            Some(DraftImage::Pin { reference, .. }) => drop(all.insert(reference.clone())),
            None => {}
        }
        for check in &draft.checks {
            if let CheckImage::Pinned(reference) = &check.plan.image {
                all.insert(reference.clone());
            }
        }
    }
    all
}

fn found(reference: &ImageReference, bases: &Bases) -> Result<Base, Fault> {
    bases.get(reference).cloned().expect("invariant: every reference of a draft was asked for")
}

/// Why a component has no plan.
enum Unplanned {
    /// The file must change.
    Problem(Box<Problem>),
    /// Something else is the matter.
    Fault(Fault),
}

/// A fault that the file's author can cure is a problem of the file; others stay what they are.
fn at(place: &plan::Place, fault: Fault) -> Unplanned {
    if fault.class == Class::Permanent {
        let problem = place.problem(fault.message);
        Unplanned::Problem(Box::new(match fault.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }))
    } else {
        Unplanned::Fault(fault)
    }
}
