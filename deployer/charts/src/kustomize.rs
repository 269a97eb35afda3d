//! Kustomizations, by `kustomize build` or `kubectl kustomize`.

mod references;

use std::path::Path;

use crate::cage::{Cage, Stopped};
use crate::error::{Findings, RenderError};
use crate::hooks::Sorted;
use crate::objects;
use crate::options::ChartOptions;
use crate::placement::repeated;
use crate::rendered::Rendered;
use crate::renderer::{finish, limit_broken, settle};
use crate::request::KustomizeRequest;

/// The longest complaint that is told, in characters.
const MAX_COMPLAINT_CHARS: usize = 600;

/// Whether the program is `kubectl`, which has kustomize within.
pub(crate) fn is_kubectl(program: &Path) -> bool {
    program.file_stem().is_some_and(|stem| stem == "kubectl")
}

pub(crate) async fn build(
    options: &ChartOptions,
    request: &KustomizeRequest<'_>,
) -> Result<Rendered, RenderError> {
    let component = &request.component;
    let mut findings = Findings::new(options.max_problems);
    findings.extend(component.check_target(options));
    findings.extend(component.check_files(options));
    findings.check()?;
    let mut findings = Findings::new(options.max_problems);
    findings.extend(references::check(request));
    findings.check()?;

    let output = run(options, request).await?;
    let mut built = objects::read(&output, component, options).map_err(RenderError::Refused)?;
    let mut findings = Findings::new(options.max_problems);
    let cluster_scoped = settle(&mut built, component, &mut findings);
    findings.extend(repeated(&built, component));
    findings.check()?;
    let sorted = Sorted { objects: built, ..Sorted::default() };
    finish(sorted, cluster_scoped, Vec::new(), component, options)
}

async fn run(options: &ChartOptions, request: &KustomizeRequest<'_>) -> Result<Vec<u8>, RenderError> {
    let component = &request.component;
    let cage = Cage::new(options)?;
    for (path, bytes) in component.files {
        cage.write(&Path::new("files").join(path), bytes).await?;
    }
    let directory = cage.path().join("files").join(request.directory);
    let verb = if is_kubectl(&options.kustomize_program) { "kustomize" } else { "build" };
    let args = [verb.as_ref(), directory.as_os_str()];
    let ran = cage.run(&options.kustomize_program, "deploy.kustomize", &args, None).await;
    let violation = match ran {
        Ok(finished) if finished.success => return Ok(finished.stdout),
        Ok(finished) => {
            let base = cage.path().join("files");
            let said = finished
                .stderr
                .replace(&format!("{}/", base.display()), "")
                .replace(&base.display().to_string(), ".");
            let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let plain = line.strip_prefix("Error: ").or(line.strip_prefix("error: ")).unwrap_or(&line);
            let shown: String = plain.chars().take(MAX_COMPLAINT_CHARS).collect();
            let message = format!("kustomize cannot build it: {shown}");
            component.whole("kustomize_failed", message).hint("try it with `kustomize build`")
        }
        Err(Stopped::Limit(limit)) => limit_broken(component, options, limit),
        Err(Stopped::Failed(error)) => return Err(error),
    };
    Err(RenderError::Refused(vec![violation]))
}
