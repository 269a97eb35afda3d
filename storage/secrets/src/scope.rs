//! What an application may name: built-in secrets of its own scopes, the narrowest first, and global
//! ones that are not the server's own.

use std::collections::BTreeMap;

use slipway_records::{Read, RecordsError, SealedSecret, SecretRow};
use slipway_types::environment::{EnvironmentSettings, ReceiverSettings};
use slipway_types::name::EnvironmentName;
use slipway_types::secret::SecretProvider;
use slipway_types::{ApplicationName, SecretReference, SecretScope};

use crate::provider::{Resolved, Result, SecretError, Secrets};

/// Global names below which the server keeps what is its own, and whose that is.
const OWN_PREFIXES: [(&str, &str); 4] = [
    ("kubeconfig/", "the credential of a cluster"),
    ("webhook/", "what proves webhooks of a source"),
    ("pull/", "what an environment pulls with"),
    ("rendered/", "what a chart rendered, and goes where that chart does"),
];

/// Who asks for a secret.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// An application: its builds, or its components.
    pub application: &'a ApplicationName,
    /// Where its components run; `None`: a build.
    pub environment: Option<&'a EnvironmentName>,
}

/// A secret as an application gets it.
#[derive(Debug, Clone)]
pub struct Scoped {
    /// Value and version.
    pub resolved: Resolved,
    /// Which scope had it.
    pub scope: SecretScope,
}

/// A stored secret with the scope that has it.
#[derive(Debug)]
pub struct Found {
    /// The scope.
    pub scope: SecretScope,
    /// The row, by its stored name.
    pub row: SecretRow,
    /// Its value.
    pub sealed: SealedSecret,
}

impl Secrets {
    /// The value that a reference of an application's builds or components names.
    ///
    /// # Errors
    ///
    /// `Missing` if no scope that it sees has the name; `NotAllowed` for what is the server's own, and for
    /// the server's variables and files.
    pub async fn resolve_for(&self, reference: &SecretReference, asker: Asker<'_>) -> Result<Scoped> {
        if reference.provider != SecretProvider::Builtin {
            let why =
                "only settings of the server name its variables and files; keep it as a built-in secret";
            return Err(SecretError::NotAllowed { reference: reference.clone(), why: why.to_owned() });
        }
        let mut read = self.0.records.read().await?;
        let found = self.find(read.as_mut(), reference, asker).await?;
        drop(read);
        let whole = self.opened(reference, &found.row, &found.sealed)?;
        Ok(Scoped { resolved: Self::part(reference, whole)?, scope: found.scope })
    }

    /// The value in exactly this scope, as a revision recorded it.
    pub async fn resolve_in(&self, reference: &SecretReference, scope: &SecretScope) -> Result<Resolved> {
        let found = self.0.records.read().await?.secret_get(&scope.key(&reference.path)).await?;
        let (row, sealed) = found.ok_or_else(|| SecretError::Missing { reference: reference.clone() })?;
        Self::part(reference, self.opened(reference, &row, &sealed)?)
    }

    /// The stored secret that an application gets for a name.
    pub async fn find(
        &self,
        read: &mut dyn Read,
        reference: &SecretReference,
        asker: Asker<'_>,
    ) -> Result<Found> {
        let name = reference.path.as_str();
        if self.check_name(name).is_err() {
            // Stored names say the scope before a `:`: such a name would be another scope's secret.
            return Err(SecretError::Missing { reference: reference.clone() });
        }
        for scope in SecretScope::seen_by(asker.application, asker.environment) {
            let Some((row, sealed)) = read.secret_get(&scope.key(name)).await? else { continue };
            if scope == SecretScope::Global
                && let Some(whose) = self.whose(read, name).await?
            {
                let why = format!("it is {whose}");
                return Err(SecretError::NotAllowed { reference: reference.clone(), why });
            }
            return Ok(Found { scope, row, sealed });
        }
        Err(SecretError::Missing { reference: reference.clone() })
    }

    /// What the server itself uses a global secret for: by its settings, or by the secret's name alone.
    pub async fn server_uses_of(&self, read: &mut dyn Read, name: &str) -> Result<Vec<String>, RecordsError> {
        let mut uses = server_uses(read).await?.remove(name).unwrap_or_default();
        if self.0.options.held.iter().any(|held| is_builtin(held, name)) {
            uses.push("a credential in the server's configuration".to_owned());
        }
        // Clusters are among the settings above, and what charts rendered is in revisions.
        let mut by_name = OWN_PREFIXES.iter().filter(|(prefix, _)| matches!(*prefix, "webhook/" | "pull/"));
        if let Some((_, what)) = by_name.find(|(prefix, _)| name.starts_with(prefix)) {
            uses.push((*what).to_owned());
        }
        Ok(uses)
    }

    /// Whose a global secret is, if it is not for applications.
    async fn whose(&self, read: &mut dyn Read, name: &str) -> Result<Option<String>> {
        if let Some((_, whose)) = OWN_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            return Ok(Some((*whose).to_owned()));
        }
        let is_held = |held: &SecretReference| is_builtin(held, name);
        if self.0.options.held.iter().any(is_held) {
            return Ok(Some("a credential of the server".to_owned()));
        }
        Ok(server_uses(read).await?.remove(name).and_then(|mut uses| uses.pop()))
    }
}

fn is_builtin(reference: &SecretReference, name: &str) -> bool {
    reference.provider == SecretProvider::Builtin && reference.path == name
}

/// What the server itself uses global built-in secrets for, by name: clusters, sources, environments.
pub async fn server_uses(read: &mut dyn Read) -> Result<BTreeMap<String, Vec<String>>, RecordsError> {
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |reference: Option<&SecretReference>, what: String| {
        if let Some(reference) = reference.filter(|found| found.provider == SecretProvider::Builtin) {
            uses.entry(reference.path.clone()).or_default().push(what);
        }
    };
    for cluster in read.cluster_list().await? {
        note(cluster.settings.kubeconfig.as_ref(), format!("the kubeconfig of the cluster {}", cluster.name));
    }
    for source in read.source_list().await? {
        note(source.credential.as_ref(), format!("the credential of the source {}", source.name));
    }
    for environment in read.environment_list().await? {
        let EnvironmentSettings { receiver, pull_registry, .. } = &environment.settings;
        let name = &environment.name;
        if let ReceiverSettings::Http { key, .. } = receiver {
            note(Some(key), format!("the key that the environment {name} signs with"));
        }
        let credential = pull_registry.as_ref().and_then(|pull| pull.credential.as_ref());
        note(credential, format!("the pull credential of the environment {name}"));
    }
    Ok(uses)
}

#[cfg(test)]
mod tests;
