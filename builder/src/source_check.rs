//! `source check`: address, credential, refs and `slipway.yaml`, one after the other.

use async_trait::async_trait;
use slipway_git::{GitStore, Notify, Wanted};
use slipway_records::port::{SourceCheck, SourceFinding};
use slipway_records::{Application, Source, SourceKind};
use slipway_secrets::Secrets;
use slipway_types::{CommitId, Fault, GitRef};

use crate::manifest::Manifest;
use crate::plan::FILE_NAME;
use crate::sweep::credential;

/// Looks at sources.
pub struct SourceChecker {
    /// Where commits are.
    pub git: GitStore,
    /// Where credentials are.
    pub secrets: Secrets,
    /// The records.
    pub records: std::sync::Arc<dyn slipway_records::Records>,
}

#[async_trait]
impl SourceCheck for SourceChecker {
    async fn check(&self, source: &Source, applications: &[Application]) -> Vec<SourceFinding> {
        let mut findings = Vec::new();
        if let SourceKind::Https { url } = &source.kind
            && !self.check_remote(source, url, &mut findings).await
        {
            return findings;
        }
        let head = match self.head(source).await {
            Ok(Some((name, commit))) => {
                findings.push(found("refs", format!("{name} is at {}", commit.short())));
                commit
            }
            Ok(None) => {
                findings.push(failed("refs", "there is no branch yet: push one".into()));
                return findings;
            }
            Err(fault) => {
                findings.push(failed("refs", fault.to_string()));
                return findings;
            }
        };
        for application in applications {
            findings.push(self.check_file(source, application, &head).await);
        }
        findings
    }
}

impl SourceChecker {
    async fn check_remote(&self, source: &Source, url: &str, findings: &mut Vec<SourceFinding>) -> bool {
        let credential = match credential(&self.secrets, source).await {
            Ok(credential) => credential,
            Err(fault) => {
                findings.push(failed("credential", fault.to_string()));
                return false;
            }
        };
        if let Some(reference) = &source.credential {
            findings.push(found("credential", format!("{reference} can be read")));
        }
        match self.git.fetch(source.id, url, credential.as_ref(), &Wanted::All, &Notify::None).await {
            Ok(fetched) => {
                findings.push(found(
                    "address",
                    format!("{url} answers with {} branches and tags", fetched.heads.len()),
                ));
                true
            }
            Err(fault) => {
                findings.push(failed("address", fault.to_string()));
                false
            }
        }
    }

    /// The branch that people mean if they name none.
    async fn head(&self, source: &Source) -> Result<Option<(String, CommitId)>, Fault> {
        let fault = |error| slipway_records::worker::fault_of(&error);
        let refs = self.records.read().await.map_err(fault)?.git_refs(source.id).await.map_err(fault)?;
        let branches = refs.into_iter().filter_map(|row| match row.name {
            GitRef::Branch(name) => Some((name, row.commit)),
            GitRef::Tag(_) => None,
        });
        Ok(branches.min_by_key(|(name, _)| match name.as_str() {
            "main" => 0,
            "master" => 1,
            _ => 2,
        }))
    }

    async fn check_file(
        &self,
        source: &Source,
        application: &Application,
        commit: &CommitId,
    ) -> SourceFinding {
        let file = crate::backend::assemble::join(&application.path, FILE_NAME);
        let read = async {
            let snapshot = self.git.snapshot(source.id, commit).await?;
            snapshot.read_file(&file, 16 << 20)
        };
        match read.await {
            Err(error) => failed("slipway.yaml", format!("{file}: {}", error.fault().message)),
            Ok(bytes) => match Manifest::parse(&bytes, &file) {
                Err(problems) => failed("slipway.yaml", problems.to_string()),
                Ok(manifest) if manifest.name.value != application.name => failed(
                    "slipway.yaml",
                    format!("{file} names application `{}`, not `{}`", manifest.name.value, application.name),
                ),
                Ok(manifest) => {
                    found("slipway.yaml", format!("{file} declares {} components", manifest.components.len()))
                }
            },
        }
    }
}

fn found(check: &'static str, detail: String) -> SourceFinding {
    SourceFinding { check, ok: true, detail }
}

fn failed(check: &'static str, detail: String) -> SourceFinding {
    SourceFinding { check, ok: false, detail }
}
