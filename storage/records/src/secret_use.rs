//! Which secrets revisions were frozen with: noted when they are frozen, so that who uses a secret is asked of
//! rows and not of revisions.

use async_trait::async_trait;
use slipway_types::{Digest, SecretReference, SecretScope};

use crate::{Deployment, Result};

/// A secret that a revision was frozen with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSecret {
    /// Where it is kept; a revision has each reference once.
    pub reference: SecretReference,
    /// Which scope had it, for a built-in one. Absent in revisions of before there were scopes: global.
    pub scope: Option<SecretScope>,
    /// The version that was frozen. It counts in its scope.
    pub version: String,
    /// The components that its value goes into, sorted.
    pub components: Vec<String>,
}

/// What the uses of a secret are found by: its reference without the key, and that of a Secret without the
/// cluster, which may be left out where it is the environment's own. So a Secret of another cluster may be found
/// too.
pub fn found_by(reference: &SecretReference) -> String {
    match reference.kubernetes() {
        Some(place) => format!("secret://kubernetes/{}/{}", place.namespace, place.name),
        None => SecretReference { key: None, ..reference.clone() }.to_string(),
    }
}

/// Looking up which revisions use a secret.
#[async_trait]
pub trait ReadSecretUses {
    /// Deployments that a receiver has, the newest of each application and environment, or that are frozen and on
    /// their way, and whose revision uses a secret with that name ([`found_by`]); by application, environment and
    /// generation.
    async fn deployments_with_secret(&mut self, found_by: &str) -> Result<Vec<Deployment>>;
    /// The same deployments whose revision's secrets are not noted: it was frozen by a release that noted none.
    async fn deployments_with_unnoted_secrets(&mut self) -> Result<Vec<Deployment>>;
    /// What revisions of such deployments, and perhaps of others, have of the secrets with that name, by revision
    /// and reference.
    async fn secret_uses(&mut self, found_by: &str) -> Result<Vec<(Digest, RevisionSecret)>>;
    /// All secrets that are noted of a revision, by reference; none also where nothing is noted.
    async fn revision_secrets(&mut self, revision: &Digest) -> Result<Vec<RevisionSecret>>;
}

/// Noting what revisions use.
#[async_trait]
pub trait WriteSecretUses {
    /// Notes all secrets of a revision; again the same changes nothing.
    async fn revision_secrets_note(&mut self, revision: &Digest, secrets: &[RevisionSecret]) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_whichever_field_of_it_is_read_and_however_its_cluster_is_named() {
        for (reference, expected) in [
            ("secret://builtin/db", "secret://builtin/db"),
            ("secret://builtin/db#user", "secret://builtin/db"),
            ("secret://builtin/a/b#user", "secret://builtin/a/b"),
            ("secret://kubernetes/shop/db#user", "secret://kubernetes/shop/db"),
            ("secret://kubernetes/kind/shop/db#user", "secret://kubernetes/shop/db"),
        ] {
            assert_eq!(found_by(&reference.parse().unwrap()), expected);
        }
    }
}
