//! Identifiers of rows: UUIDv7, so that they sort by creation; one type per kind of row, so that
//! they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $type:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Uuid);

        impl $type {
            /// A new identifier, later in order than those before it.
            #[expect(clippy::new_without_default, reason = "a default that differs every time misleads")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID itself.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $type {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

id!(
    /// An application.
    ApplicationId,
    /// A git source.
    SourceId,
    /// A received webhook event or push.
    DeliveryId,
    /// One pass of the pipeline over one commit.
    RunId,
    /// One component's build inside a run.
    BuildId,
    /// A published version of a component package or bundle.
    VersionId,
    /// One choice of a bundle for an environment.
    DeploymentId,
    /// What a person orders of the receiver of a deployment; that tells repetitions by it.
    OrderId,
    /// An environment.
    EnvironmentId,
    /// A registered cluster.
    ClusterId,
    /// A queued job.
    JobId,
    /// An access token.
    TokenId,
    /// A check that developers declare, of one bundle version.
    CheckId,
    /// An instance of an add-on.
    AddonId,
    /// An application that an add-on is bound to.
    AddonBindingId,
    /// A blob upload in progress.
    UploadId,
    /// One boot of one server process.
    InstanceId,
    /// An application that is not as wanted somewhere, or something else that people are told of once.
    IncidentId,
    /// One notice to one channel; who receives it tells repetitions by it.
    NoticeId,
);
