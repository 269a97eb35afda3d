//! The `package` job: from finished builds to published versions.
//!
//! Bytes first, rows last: blobs are content-addressed and may be written any number of times; every
//! version, label, tag and the run's end become visible in one transaction.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipway_git::GitStore;
use slipway_objects::Blobs;
use slipway_records::detail::{BundleDetail, BundleMember};
use slipway_records::fault_point;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::{Moved, WAIT_FALLBACK, ahead_in_packaging, run_move};
use slipway_records::plan::ComponentPlan;
use slipway_records::{
    Application, Build, Change, Handler, Job, JobContext, JobError, LogChunk, PackageVersion, Page, Records,
    Run, VersionFilter,
};
use slipway_types::state::{BuiltImage, RunEvent, RunState, Step};
use slipway_types::{ComponentName, Fault, GitRef, Version};

use crate::image_tag::ImageTag;
use crate::publish::{Draft, Member, Publication};
use crate::version::Release;

/// Limits of packaging.
#[derive(Debug, Clone)]
pub struct PackageOptions {
    /// One attempt's time, in all.
    pub package_timeout: Duration,
    /// The largest file that goes into a package, in bytes.
    pub max_file_bytes: u64,
    /// What images are tagged with besides their versions.
    pub image_tags: Vec<ImageTag>,
}

impl Default for PackageOptions {
    fn default() -> Self {
        Self {
            package_timeout: Duration::from_mins(10),
            max_file_bytes: 1024 * 1024 * 1024,
            image_tags: Vec::new(),
        }
    }
}

/// Does `package` jobs.
pub struct PackageHandler {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where packages go.
    pub blobs: Blobs,
    /// Where the commit's files are.
    pub git: GitStore,
    /// Limits.
    pub options: PackageOptions,
}

/// A component with what its build gave.
pub(crate) struct Component {
    pub plan: ComponentPlan,
    pub build: Build,
    pub images: Vec<BuiltImage>,
}

#[async_trait]
impl Handler for PackageHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let Some((mut run, application)) = self.load(job).await? else { return Ok(()) };
        if run.state != RunState::Packaging {
            return Ok(());
        }
        self.wait_for_turn(&run).await?;
        let limit = self.options.package_timeout;
        let publication = tokio::select! {
            made = tokio::time::timeout(limit, self.publication(&mut run, &application)) => made,
            () = context.cancelled.cancelled() => return Err(JobError::Stopped),
        };
        match publication {
            Ok(publication) => {
                let publication = publication?;
                fault_point::reach("package.written");
                self.publish(run.id, publication).await
            }
            Err(_) => {
                let which = format!("packaging took longer than package_timeout_ms = {}", limit.as_millis());
                self.end(run.id, RunEvent::TimeOut(Step::Package, which)).await
            }
        }
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        match job.payload {
            JobPayload::Package { run } => self.end(run, RunEvent::Fail(Step::Package, fault)).await,
            _ => Ok(()),
        }
    }
}

impl PackageHandler {
    async fn load(&self, job: &Job) -> Result<Option<(Run, Application)>, JobError> {
        let JobPayload::Package { run } = job.payload else { return Ok(None) };
        let mut read = self.records.read().await?;
        let Some(run) = read.run_get(run).await? else { return Ok(None) };
        let Some(application) = read.application_get(run.application_id).await? else { return Ok(None) };
        Ok(Some((run, application)))
    }

    async fn wait_for_turn(&self, run: &Run) -> Result<(), JobError> {
        let live = self.records.read().await?.runs_live(run.application_id).await?;
        match ahead_in_packaging(run, &live) {
            Some(other) => Err(JobError::Wait {
                why: format!("run #{} of the same branch publishes first", other.number),
                delay: WAIT_FALLBACK,
            }),
            None => Ok(()),
        }
    }

    /// Writes all bytes and gathers the rows to publish.
    async fn publication(&self, run: &mut Run, application: &Application) -> Result<Publication, JobError> {
        if let Release::Application(version) = Release::of(&run.git_ref)
            && let Some(bundle) = self.bundle_of_commit(run).await?
        {
            return Ok(Publication::of_published(run, application, version, &bundle)?);
        }
        let components = self.components(run).await?;
        let version = self.version(run, application).await?;
        let mut members = Vec::with_capacity(components.len());
        for component in components {
            members.push(self.member(run, application, component, &version).await?);
        }
        let draft = Draft { run, application, version, blobs: &self.blobs };
        Ok(match Release::of(&run.git_ref) {
            Release::Component(..) => draft.component_only(members),
            _ => draft.bundle(members).await?,
        })
    }

    /// The newest bundle of the run's commit: a version tag on it builds nothing.
    async fn bundle_of_commit(&self, run: &Run) -> Result<Option<PackageVersion>, JobError> {
        let filter = VersionFilter {
            application: Some(run.application_id),
            component: Some(None),
            commit: Some(run.commit.clone()),
            ..VersionFilter::default()
        };
        Ok(self.records.read().await?.version_list(&filter, Page::first(1)).await?.pop())
    }

    async fn components(&self, run: &Run) -> Result<Vec<Component>, JobError> {
        let builds = self.records.read().await?.builds_of(run.id).await?;
        let mut components: Vec<Component> = Vec::with_capacity(builds.len());
        for build in builds {
            let plan: ComponentPlan = serde_json::from_value(build.plan.clone()).map_err(|_| {
                Fault::bug("plan_unreadable", format!("the plan of {} cannot be read", build.component))
            })?;
            let images = build
                .state
                .images()
                .ok_or_else(|| Fault::bug("build_unfinished", format!("{} is not built", build.component)))?
                .to_vec();
            components.push(Component { plan, build, images });
        }
        components.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
        Ok(components)
    }

    /// The version to publish; a branch's number is reserved once and kept in the run's row.
    async fn version(&self, run: &mut Run, application: &Application) -> Result<Version, JobError> {
        match Release::of(&run.git_ref) {
            Release::Application(version) | Release::Component(_, version) => Ok(version),
            Release::None => {
                Err(Fault::bug("no_version", format!("{} names no version", run.git_ref)).into())
            }
            Release::Branch(branch) => {
                let base = self.git.highest_release(application.source_id, &run.commit).await;
                let base = base.map_err(|error| error.fault())?.map(|(version, _)| version);
                let number = self.reserve(run, &branch).await?;
                Ok(Version::of_branch(base.as_ref(), &branch, number))
            }
        }
    }

    async fn reserve(&self, run: &mut Run, branch: &str) -> Result<u64, JobError> {
        if let Some(number) = run.version_number {
            return Ok(number);
        }
        let mut tx = self.records.begin().await?;
        let number = tx.number_next(run.application_id, branch).await?;
        run.version_number = Some(number);
        if !tx.run_save(run).await? {
            return Err(Fault::transient("outrun", "the run was changed meanwhile; looking again").into());
        }
        tx.commit().await?;
        fault_point::reach("package.numbered");
        Ok(number)
    }

    /// The package of one component: the one it has, or a new one.
    async fn member(
        &self,
        run: &Run,
        application: &Application,
        component: Component,
        version: &Version,
    ) -> Result<Member, JobError> {
        let form = crate::component::Component {
            application: &application.name,
            plan: &component.plan,
            images: &component.images,
            image_fingerprint: component.build.image_fingerprint,
        };
        let fingerprint = form.fingerprint();
        let mut read = self.records.read().await?;
        let known =
            read.package_by_fingerprint(run.application_id, &component.plan.name, &fingerprint).await?;
        drop(read);
        if let Some(known) = known {
            let version = match run.git_ref {
                GitRef::Branch(_) => known.version.clone(),
                GitRef::Tag(_) => version.clone(),
            };
            let manifest_size = self.manifest_size(&known).await?;
            return Ok(Member::reused(&component, fingerprint, &known, version, manifest_size));
        }
        let snapshot = self.git.snapshot(application.source_id, &run.commit).await;
        let snapshot = snapshot.map_err(|error| error.fault())?;
        let limit = self.options.max_file_bytes;
        let content = crate::content::write_content(&self.blobs, snapshot, &component.plan, limit).await?;
        let package = form.package(version, &run.commit, run.committed_at, content.as_ref());
        let provenance = crate::provenance::write(
            &application.name,
            &component.plan,
            run,
            &component.images,
            &package.manifest,
        );
        for document in [&package.config, &package.manifest, &provenance.statement, &provenance.manifest] {
            crate::publish::put(&self.blobs, document).await?;
        }
        Ok(Member::new(&component, fingerprint, version.clone(), package, content, provenance))
    }

    async fn manifest_size(&self, known: &PackageVersion) -> Result<u64, JobError> {
        let size =
            self.blobs.head(&known.digest).await.map_err(|error| crate::publish::storage_fault(&error))?;
        Ok(size.ok_or_else(|| {
            Fault::bug(
                "package_missing",
                format!("the bytes of package {} are gone from the object store", known.digest),
            )
        })?)
    }

    async fn publish(&self, run: slipway_types::id::RunId, publication: Publication) -> Result<(), JobError> {
        let told = self.blobs.put(publication.told()).await;
        let told = told.map_err(|error| crate::publish::storage_fault(&error))?;
        let mut tx = self.records.begin().await?;
        let Some(mut run) = tx.run_get(run).await? else { return Ok(()) };
        if run.state != RunState::Packaging {
            return Ok(());
        }
        let event = publication.store(tx.as_mut(), &self.options.image_tags).await?;
        if run_move(tx.as_mut(), &mut run, event).await? != Moved::Stored {
            return Err(Fault::transient("outrun", "the run was changed meanwhile; looking again").into());
        }
        let log = run.id.as_uuid();
        let chunk =
            LogChunk { offset: tx.log_size(log).await?, length: told.size, digest: told.digest, mark: None };
        if !tx.log_append(log, &chunk).await? {
            return Err(Fault::transient("outrun", "the log was written meanwhile; looking again").into());
        }
        // Environments that follow may have something to do.
        let follow = JobPayload::Follow { application: run.application_id };
        tx.job_enqueue(NewJob::new(follow, Some(run.application_id))).await?;
        fault_point::reach("package.before_commit");
        tx.commit().await?;
        fault_point::reach("package.committed");
        self.records.changes().send(Change::Log(log));
        self.records.changes().send(Change::Run(run.id));
        Ok(())
    }

    async fn end(&self, id: slipway_types::id::RunId, event: RunEvent) -> Result<(), JobError> {
        let mut tx = self.records.begin().await?;
        let Some(mut run) = tx.run_get(id).await? else { return Ok(()) };
        if run_move(tx.as_mut(), &mut run, event).await? == Moved::Stored {
            tx.commit().await?;
            self.records.changes().send(Change::Run(id));
        }
        Ok(())
    }
}

/// The members of a published bundle.
pub(crate) fn members_of(bundle: &PackageVersion) -> Result<Vec<BundleMember>, Fault> {
    serde_json::from_value::<BundleDetail>(bundle.detail.clone()).map(|detail| detail.members).map_err(
        |error| {
            tracing::error!(version = %bundle.version, %error, "a bundle's detail cannot be read");
            Fault::bug("bundle_unreadable", format!("the record of bundle {} cannot be read", bundle.version))
        },
    )
}

/// The component a component tag names, if the run is one of those.
pub fn only_component(git_ref: &GitRef) -> Option<ComponentName> {
    match Release::of(git_ref) {
        Release::Component(component, _) => Some(component),
        _ => None,
    }
}
