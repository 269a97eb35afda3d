//! Sources that hold operators' configuration and nothing to build.

use slipway_git::{GitError, Snapshot};
use slipway_records::{Application, Page, Read, Source, VersionFilter};

use crate::backend::assemble::join;
use crate::plan::FILE_NAME;

/// How the reason begins for which a delivery made no run.
const REASON: &str = "configuration only: ";

/// Whether one of these applications declares something in a commit, be it wrongly.
pub(crate) fn is_declared(snapshot: &Snapshot, applications: &[Application]) -> Result<bool, GitError> {
    for application in applications {
        if snapshot.entry(&join(&application.path, FILE_NAME))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why a commit in which nothing is declared makes no run: configuration is followed from its source, and no
/// application of that has ever published anything. Else somebody has lost a file, and is told by a run.
pub(crate) async fn reason(
    read: &mut dyn Read,
    source: &Source,
    applications: &[Application],
) -> slipway_records::Result<Option<String>> {
    if read.configuration_sources_of(source.id).await?.is_empty() {
        return Ok(None);
    }
    for application in applications {
        let filter = VersionFilter { application: Some(application.id), ..VersionFilter::default() };
        if !read.version_list(&filter, Page::first(1)).await?.is_empty() {
            return Ok(None);
        }
    }
    let name = &source.name;
    Ok(Some(format!("{REASON}operators follow the source {name}, and the commit has no {FILE_NAME}")))
}

/// Whether that is why a delivery was ignored.
pub(crate) fn is_reason(reason: &str) -> bool {
    reason.starts_with(REASON)
}
