//! The way from files to objects that both programs share.

use std::collections::BTreeSet;

use slipway_types::Violation;

use crate::cage::{Cage, Stopped};
use crate::error::{Findings, RenderError};
use crate::hooks::Sorted;
use crate::mask::Mask;
use crate::options::ChartOptions;
use crate::placement::Scopes;
use crate::rendered::{Note, ObjectName, Rendered, RenderedObject};
use crate::request::{FilesRequest, HelmRequest, KustomizeRequest, Request};
use crate::secrets::{self, KeptSecrets};
use crate::{files, helm, kustomize, leak};

/// Renders charts and kustomizations by foreign programs.
#[derive(Debug, Clone)]
pub struct Renderer {
    options: ChartOptions,
}

impl Renderer {
    /// A renderer with these limits.
    pub fn new(options: ChartOptions) -> Self {
        Self { options }
    }

    /// Renders a chart, twice. Of what it makes up anew each time, `kept` has the first.
    ///
    /// # Errors
    /// [`RenderError::Refused`] with all that is wrong with the chart or its values; anything else is this
    /// machine's fault. Nothing is kept unless it renders.
    pub async fn helm(
        &self,
        request: &HelmRequest<'_>,
        kept: &dyn KeptSecrets,
    ) -> Result<Rendered, RenderError> {
        masked(helm::render(&self.options, request, kept).await, &request.component)
    }

    /// Builds a kustomization.
    ///
    /// # Errors
    /// [`RenderError::Refused`] with all that is wrong with it; anything else is this machine's fault.
    pub async fn kustomize(&self, request: &KustomizeRequest<'_>) -> Result<Rendered, RenderError> {
        masked(kustomize::build(&self.options, request).await, &request.component)
    }

    /// Reads the objects that stand in files of the package, by the same rules.
    ///
    /// # Errors
    /// [`RenderError::Refused`] with all that is wrong with them.
    pub fn files(&self, request: &FilesRequest<'_>) -> Result<Rendered, RenderError> {
        masked(files::read(&self.options, request), &request.component)
    }

    /// What `helm` says its version is.
    pub async fn helm_version(&self) -> Result<String, RenderError> {
        let options = &self.options;
        version(options, &options.helm_program, "deploy.helm", &["version", "--short"]).await
    }

    /// What `kustomize` says its version is.
    pub async fn kustomize_version(&self) -> Result<String, RenderError> {
        let program = &self.options.kustomize_program;
        let args: &[&str] =
            if kustomize::is_kubectl(program) { &["version", "--client"] } else { &["version"] };
        version(&self.options, program, "deploy.kustomize", args).await
    }
}

/// Whatever is told, no secret of the request stands in it.
fn masked(result: Result<Rendered, RenderError>, request: &Request<'_>) -> Result<Rendered, RenderError> {
    let mask = Mask::new(request.secrets);
    match result {
        Ok(mut rendered) => {
            rendered.notes.iter_mut().for_each(|note| note.message = mask.apply(&note.message));
            Ok(rendered)
        }
        Err(RenderError::Refused(mut found)) => {
            for violation in &mut found {
                violation.message = mask.apply(&violation.message);
                violation.hint = violation.hint.take().map(|hint| mask.apply(&hint));
            }
            Err(RenderError::Refused(found))
        }
        Err(other) => Err(other),
    }
}

async fn version(
    options: &ChartOptions,
    program: &std::path::Path,
    option: &'static str,
    args: &[&str],
) -> Result<String, RenderError> {
    let nothing_told = || RenderError::Version { program: program.to_owned() };
    let cage = Cage::new(options)?;
    let finished = cage.run(program, option, args, None).await.map_err(|stopped| match stopped {
        Stopped::Failed(error) => error,
        Stopped::Limit(_) => nothing_told(),
    })?;
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    // `kubectl` tells its own version first.
    let line = lines.iter().find(|line| line.contains("Kustomize")).or(lines.first());
    let version = line.and_then(|line| line.split([' ', ':', '{', '}']).find(|word| is_version(word)));
    version.filter(|_| finished.success).map(str::to_owned).ok_or_else(nothing_told)
}

fn is_version(word: &str) -> bool {
    let plain = word.strip_prefix('v').unwrap_or(word);
    plain.starts_with(|c: char| c.is_ascii_digit()) && plain.contains('.') && word.len() <= 80
}

/// That the program broke a limit, in words.
pub(crate) fn limit_broken(request: &Request<'_>, options: &ChartOptions, limit: &'static str) -> Violation {
    let (what, hint) = match limit {
        "timeout_ms" => (
            format!("takes longer than {} ms", options.timeout_ms),
            "look for endless loops in its templates",
        ),
        "max_memory_bytes" => (
            format!("takes more than {} bytes of memory", options.max_memory_bytes),
            "look for templates that repeat much text",
        ),
        _ => (
            format!("prints more than {} bytes", options.max_output_bytes),
            "look for templates that repeat much text",
        ),
    };
    let message = format!("rendering {what} (`charts.{limit}`)");
    request.whole("render_limit", message).hint(format!("{hint}, or raise the limit"))
}

/// Gives objects their place and data of Secrets one form; tells which are in no namespace.
pub(crate) fn settle(
    objects: &mut [RenderedObject],
    request: &Request<'_>,
    findings: &mut Findings,
) -> BTreeSet<ObjectName> {
    for object in objects.iter_mut().filter(|object| object.is_secret()) {
        let what = object.described();
        if let Err(found) = secrets::gather(&mut object.object, &what, request.path) {
            findings.extend(found);
        }
    }
    let (cluster_scoped, found) = Scopes::of(objects, request).place(objects);
    findings.extend(found);
    findings.extend(secrets::conflicts(objects, request));
    findings.extend(leak::find(objects, request));
    cluster_scoped
}

/// Moves secrets out and gives the rest its final form.
pub(crate) fn finish(
    mut sorted: Sorted,
    cluster_scoped: BTreeSet<ObjectName>,
    mut notes: Vec<Note>,
    request: &Request<'_>,
    options: &ChartOptions,
) -> Result<Rendered, RenderError> {
    let every = all_of(&mut sorted).map(|it| &mut it.object);
    let mut secrets =
        secrets::extract_secrets(every, request.scope, request.path).map_err(RenderError::Refused)?;
    // A hook that runs before and after is there twice.
    let mut seen = BTreeSet::new();
    secrets.retain(|value| seen.insert(value.reference.clone()));
    let Sorted { crds, objects, hooks, notes: more, .. } = sorted;
    notes.extend(more);
    notes.sort();
    notes.dedup();
    notes.truncate(options.max_problems);
    let cluster_scoped = cluster_scoped.into_iter().collect();
    Ok(Rendered { crds, objects, hooks, cluster_scoped, notes, secrets })
}

/// Every object, to be changed.
pub(crate) fn all_of(sorted: &mut Sorted) -> impl Iterator<Item = &mut RenderedObject> {
    let Sorted { crds, objects, hooks, .. } = sorted;
    let hooks = hooks.before.iter_mut().chain(&mut hooks.after).chain(&mut hooks.apart);
    crds.iter_mut().chain(objects).chain(hooks.map(|hook| &mut hook.object))
}
