//! How the built-in core hears what changes in a cluster, by the rights that its user has there.

use std::collections::BTreeSet;

use slipway_kubernetes::Followed;
use slipway_records::Cluster;
use slipway_records::deploying::{Heard, HeardKind};
use slipway_types::Fault;
use slipway_types::environment::{ReceiverSettings, Sensing};

use crate::clusters::fault_of;
use crate::stage::Stage;

/// The kinds that are asked about: those that most applications have.
const KINDS: [(&str, &str); 4] =
    [("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "Secret")];
/// So many namespaces are asked about where not all may be followed at once.
const NAMESPACES_MAX: usize = 10;

impl Stage {
    /// How changes of the kinds that most applications have are heard of in a cluster: in all namespaces, or where
    /// that is denied in those of its environments.
    pub(crate) async fn heard_kinds(&self, row: &Cluster) -> Result<Vec<HeardKind>, Fault> {
        let fault = |error| fault_of(row.name.as_str(), &error);
        let namespaces = self.namespaces_of(row).await?;
        let cluster = self.clusters.of(row).await?;
        let mut heard = Vec::new();
        for (api_version, kind) in KINDS {
            let anywhere = cluster.may_follow(api_version, kind, None).await.map_err(fault)?;
            if anywhere != Followed::Not || namespaces.is_empty() {
                let how = how(anywhere, row.settings.sensing);
                heard.push(HeardKind { kind: kind.to_owned(), namespace: None, how });
                continue;
            }
            for namespace in &namespaces {
                let there = cluster.may_follow(api_version, kind, Some(namespace)).await.map_err(fault)?;
                let how = how(there, row.settings.sensing);
                heard.push(HeardKind { kind: kind.to_owned(), namespace: Some(namespace.clone()), how });
            }
        }
        Ok(heard)
    }

    /// Namespaces of environments there that the core drives.
    async fn namespaces_of(&self, row: &Cluster) -> Result<BTreeSet<String>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let environments = read.environment_list().await.map_err(fault)?;
        let here = environments.iter().filter(|environment| {
            environment.address.cluster() == row.name.as_str()
                && matches!(environment.settings.receiver, ReceiverSettings::Core {})
        });
        let all: BTreeSet<String> =
            here.map(|environment| environment.address.namespace().to_owned()).collect();
        Ok(all.into_iter().take(NAMESPACES_MAX).collect())
    }
}

fn how(followed: Followed, sensing: Sensing) -> Heard {
    match (followed, sensing) {
        (Followed::Not, _) => Heard::Looked,
        (Followed::Watched, Sensing::Watch) => Heard::Watched,
        (Followed::Watched, Sensing::Pull) | (Followed::Listed, _) => Heard::Polled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_watched_is_unless_the_cluster_is_to_be_polled() {
        for (followed, sensing, expected) in [
            (Followed::Watched, Sensing::Watch, Heard::Watched),
            (Followed::Watched, Sensing::Pull, Heard::Polled),
            (Followed::Listed, Sensing::Watch, Heard::Polled),
            (Followed::Listed, Sensing::Pull, Heard::Polled),
            (Followed::Not, Sensing::Watch, Heard::Looked),
            (Followed::Not, Sensing::Pull, Heard::Looked),
        ] {
            assert_eq!(how(followed, sensing), expected, "{followed:?} {sensing:?}");
        }
    }
}
