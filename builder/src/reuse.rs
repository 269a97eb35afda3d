//! Whether an earlier result may stand in for a build.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use slipway_records::worker::fault_of;
use slipway_records::{BuildResult, Records};
use slipway_types::id::ApplicationId;
use slipway_types::{ComponentName, Digest, Fault};

use crate::target::ImageTarget;

/// Looks for earlier results.
#[derive(Clone)]
pub struct Reuse {
    /// The records.
    pub records: Arc<dyn Records>,
    /// Where images lie; asked whether a result still exists.
    pub target: Arc<ImageTarget>,
    /// A result older than this does not stand in.
    pub age_max: TimeDelta,
}

/// What there is of earlier builds with the same inputs.
pub enum Earlier {
    /// This result may stand in.
    Stands(BuildResult),
    /// There is none.
    None,
    /// This one was made too long ago.
    TooOld(BuildResult),
    /// The images of this one are no longer where images go.
    Gone(BuildResult),
}

impl Reuse {
    /// Looks for a result of the component with this image fingerprint.
    pub async fn find(
        &self,
        application: ApplicationId,
        component: &ComponentName,
        fingerprint: &Digest,
    ) -> Result<Earlier, Fault> {
        let mut read = self.records.read().await.map_err(|error| fault_of(&error))?;
        let found = read.result_find(application, component, fingerprint).await;
        drop(read);
        let found = found.map_err(|error| fault_of(&error))?;
        let Some(result) = found else { return Ok(Earlier::None) };
        if Utc::now() - result.built_at > self.age_max {
            return Ok(Earlier::TooOld(result));
        }
        for image in &result.images {
            if !self.target.holds(image).await? {
                return Ok(Earlier::Gone(result));
            }
        }
        Ok(Earlier::Stands(result))
    }
}
