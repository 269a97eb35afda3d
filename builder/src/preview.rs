//! What a run of a commit would do, without doing it.

use async_trait::async_trait;
use slipway_buildkits::{Kit, Kits};
use slipway_records::Application;
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_records::port::{KnownKit, PlanView, PlannedComponent, Planning};
use slipway_types::{CommitId, Digest, Fault};

use crate::fingerprint;
use crate::planner::Planner;
use crate::reuse::{Earlier, Reuse};

/// Plans without building.
pub struct Preview {
    /// Makes the plan.
    pub planner: Planner,
    /// Tells what need not be built.
    pub reuse: Reuse,
}

/// What would become of a component's image.
struct Outlook {
    action: &'static str,
    why: String,
    fingerprint: Option<Digest>,
}

#[async_trait]
impl Planning for Preview {
    async fn plan(&self, application: &Application, commit: &CommitId) -> Result<PlanView, Fault> {
        let plans = self.planner.plan(application, commit, None).await?;
        let mut components = Vec::with_capacity(plans.len());
        for plan in &plans {
            let Outlook { action, why, fingerprint } = self.outlook(application, plan).await?;
            let backend = match &plan.image {
                Some(ImagePlan::Build(build)) => Some(build.backend.clone()),
                _ => None,
            };
            components.push(PlannedComponent {
                component: plan.name.to_string(),
                kit: plan.kit.clone(),
                action,
                why,
                backend,
                image_fingerprint: fingerprint.map(|fingerprint| fingerprint.to_string()),
                notes: plan.notes(),
            });
        }
        Ok(PlanView { application: application.name.to_string(), commit: commit.to_string(), components })
    }

    fn kits(&self) -> Vec<KnownKit> {
        Kits::builtin().all().map(known).collect()
    }
}

fn known(kit: &dyn Kit) -> KnownKit {
    let description = kit.description();
    KnownKit {
        name: description.name.clone(),
        version: description.version.to_string(),
        description: description.description.clone(),
        origin: "builtin",
        verbs: description.verbs.iter().map(ToString::to_string).collect(),
        recipe: description.recipe,
        digest: kit.digest(),
        schema: kit.schema().clone(),
        example: kit.example().to_owned(),
    }
}

impl Preview {
    async fn outlook(&self, application: &Application, plan: &ComponentPlan) -> Result<Outlook, Fault> {
        let undecided = |action, why: &str| Outlook { action, why: why.to_owned(), fingerprint: None };
        let Some(image) = &plan.image else { return Ok(undecided("pack", "the kit makes no image")) };
        if !plan.needs.is_empty() {
            return Ok(undecided("build", "decided when the components it needs are built"));
        }
        let fingerprint = fingerprint::image(image, &plan.kit_digest, &Default::default());
        let earlier = self.reuse.find(application.id, &plan.name, &fingerprint).await?;
        let (action, why) = match earlier {
            Earlier::Stands(result) => ("reuse", format!("same inputs as build {}", result.build_id)),
            Earlier::None => ("build", "its inputs were not built before".to_owned()),
            Earlier::TooOld(result) => {
                let days = self.reuse.age_max.num_days();
                ("build", format!("build {} made the same, but more than {days} days ago", result.build_id))
            }
            Earlier::Gone(result) => {
                ("build", format!("build {} made the same, but its image is gone", result.build_id))
            }
        };
        Ok(Outlook { action, why, fingerprint: Some(fingerprint) })
    }
}
