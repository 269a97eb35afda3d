//! Whose signatures over a bundle hold.

use std::collections::{BTreeMap, BTreeSet};

use slipway_oci::builtin::Offered;
use slipway_records::PackageVersion;
use slipway_types::environment::Signer;
use slipway_types::name::KeyName;
use slipway_types::signing::PublicKey;
use slipway_types::{ApplicationName, Digest, Fault};

use crate::stage::Stage;

/// How many reasons are told why signatures do not count.
const REASONS_MAX: usize = 3;

/// Signatures over one bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Signatures that hold, by whose they are: the SHA-256 of each.
    pub by: BTreeMap<KeyName, BTreeSet<Digest>>,
    /// Why others that are offered do not count, for people.
    pub unfit: Vec<String>,
    /// The command that signs this bundle.
    pub command: String,
}

impl Signatures {
    /// Judges what is offered by the keys that are wanted.
    pub fn judge(offered: &[Offered], wanted: &[Signer], command: String) -> Self {
        let mut by: BTreeMap<KeyName, BTreeSet<Digest>> = BTreeMap::new();
        let mut unfit: BTreeMap<String, usize> = BTreeMap::new();
        for one in offered {
            match &one.signature {
                Err(why) => *unfit.entry(why.to_string()).or_default() += 1,
                Ok(signature) => {
                    let holds = |signer: &&Signer| signer.key.keys().iter().any(|key| signature.is_by(key));
                    let Some(signer) = wanted.iter().find(holds) else {
                        *unfit.entry("it was made by another key".to_owned()).or_default() += 1;
                        continue;
                    };
                    by.entry(signer.name.clone()).or_default().insert(signature.digest());
                }
            }
        }
        let more = unfit.len().saturating_sub(REASONS_MAX);
        let mut unfit: Vec<String> = unfit
            .into_iter()
            .take(REASONS_MAX)
            .map(|(why, count)| format!("{count} offered: {why}"))
            .collect();
        if more > 0 {
            unfit.push(format!("and {more} more reasons"));
        }
        Self { by, unfit, command }
    }

    /// Every signature that holds.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.by.values().flatten().copied().collect()
    }
}

/// The command that signs a bundle.
pub(crate) fn command(application: &ApplicationName, bundle: &PackageVersion) -> String {
    format!("slipway bundle sign {application} {} --key-file KEY", bundle.version)
}

impl Stage {
    /// Whose signatures over a bundle hold, of those that are `wanted`.
    pub async fn signatures(
        &self,
        application: &ApplicationName,
        bundle: &PackageVersion,
        wanted: &[Signer],
    ) -> Result<Signatures, Fault> {
        if wanted.is_empty() {
            return Ok(Signatures::default());
        }
        let keys: Vec<PublicKey> = wanted.iter().flat_map(|signer| signer.key.keys()).copied().collect();
        let offered = self.registry.signatures(&application.path(), &bundle.digest, &keys).await?;
        Ok(Signatures::judge(&offered, wanted, command(application, bundle)))
    }
}
