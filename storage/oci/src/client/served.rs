//! Which repository has served which blob.
//!
//! The object store is shared by all applications, so that a blob lies there is no reason to give it
//! away: a manifest anywhere may name the digest of what another application keeps secret. Stored bytes
//! stand in for a download only where this process has had the same download before.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use slipway_types::{Digest, ImageReference};

/// Forgetting costs a download, so a bound that is seldom met and a few MiB large.
const NOTED_MAX: usize = 20_000;

/// Downloads that went well.
#[derive(Debug, Default)]
pub(super) struct Served(Mutex<HashSet<(String, String, Digest)>>);

impl Served {
    /// Whether the repository of `image` has served the blob.
    pub(super) fn has(&self, image: &ImageReference, digest: &Digest) -> bool {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.contains(&(image.host.clone(), image.repository.clone(), *digest))
    }

    /// Notes that it has.
    pub(super) fn note(&self, image: &ImageReference, digest: Digest) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        noted.insert((image.host.clone(), image.repository.clone(), digest));
    }
}
