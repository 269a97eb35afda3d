//! Objects that need no rendering.

use crate::error::{Findings, RenderError};
use crate::hooks::Sorted;
use crate::objects;
use crate::options::ChartOptions;
use crate::placement::repeated;
use crate::rendered::Rendered;
use crate::renderer::{finish, settle};
use crate::request::FilesRequest;

pub(crate) fn read(options: &ChartOptions, request: &FilesRequest<'_>) -> Result<Rendered, RenderError> {
    let component = &request.component;
    let mut findings = Findings::new(options.max_problems);
    findings.extend(component.check_target(options));
    findings.extend(component.check_files(options));
    findings.check()?;
    let mut findings = Findings::new(options.max_problems);
    let mut objects = Vec::new();
    // One limit for all files together.
    let mut left = options.clone();
    for (index, path) in request.paths.iter().enumerate() {
        let Some(bytes) = component.files.get(path) else {
            let message = format!("`{}` is not in the package", path.chars().take(200).collect::<String>());
            findings.push(component.property("invalid_property", &format!("paths[{index}]"), message));
            continue;
        };
        match objects::read_file(path, bytes, component, &left) {
            Ok(read) => objects.extend(read),
            Err(found) => findings.extend(found),
        }
        left.max_objects = options.max_objects.saturating_sub(objects.len());
    }
    let cluster_scoped = settle(&mut objects, component, &mut findings);
    findings.extend(repeated(&objects, component));
    findings.check()?;
    finish(Sorted { objects, ..Sorted::default() }, cluster_scoped, Vec::new(), component, options)
}
