//! What is attached to a bundle or package, and who signed a bundle.

use serde_json::Value;
use slipway_oci::manifest::Descriptor;
use slipway_oci::signature::SIGNATURE_ARTIFACT;
use slipway_types::Digest;
use slipway_types::media_type::IN_TOTO;

use super::parts::{ShortDigest, Status, Tone, size};
use super::texts::{Texts, VersionTexts};
use crate::package_contents::{held, json_blob, manifest};
use crate::problem::ApiError;
use crate::rest::signatures::SignatureView;
use crate::state::ServerState;

/// Attached artifacts that are shown.
const ATTACHED_MAX: usize = 20;
/// The largest statement that is read, in bytes.
const STATEMENT_BYTES_MAX: u64 = 256 * 1024;
/// Sources of a statement that are shown.
const SOURCES_MAX: usize = 50;

/// An artifact that says something about another one.
pub(super) struct Attestation {
    /// Media type of what it is.
    pub(super) kind: String,
    pub(super) digest: ShortDigest,
    pub(super) size: String,
    /// What it says, if it is an in-toto statement of provenance.
    pub(super) statement: Option<Statement>,
}

/// Provenance in SLSA's form (<https://slsa.dev/provenance/v1>).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) predicate: String,
    pub(super) builder: Option<String>,
    pub(super) sources: Vec<Source>,
}

/// Something it was made from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) digest: String,
}

/// What is offered as a signature of a bundle.
#[derive(Debug)]
pub(super) struct SignatureRow {
    /// Whether a key that an environment names made it.
    pub(super) status: Status,
    /// What environments call that key.
    pub(super) names: Vec<String>,
    /// Why it is not verified, where it may be a signature.
    pub(super) why: Option<&'static str>,
    /// Why it cannot be one of this bundle, in the server's words.
    pub(super) unfit: Option<String>,
    /// SHA-256 of the key that made it, where that is known.
    pub(super) key: Option<String>,
    pub(super) digest: Option<String>,
}

impl SignatureRow {
    pub(super) fn new(v: &VersionTexts, view: SignatureView) -> Self {
        let SignatureView { digest, key, names, unfit, .. } = view;
        let (status, why) = match (&unfit, &key, names.is_empty()) {
            (Some(_), _, _) => (Status::told(Tone::Bad, v.not_verified), None),
            (None, Some(_), false) => (Status::told(Tone::Good, v.verified_by), None),
            (None, Some(_), true) => (Status::told(Tone::Off, v.not_verified), Some(v.key_unnamed)),
            (None, None, _) => (Status::told(Tone::Off, v.not_verified), Some(v.key_unknown)),
        };
        Self { status, names: names.into_iter().collect(), why, unfit, key, digest }
    }
}

impl Statement {
    fn of(document: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let predicate = &document["predicate"];
        let sources = predicate["buildDefinition"]["resolvedDependencies"].as_array();
        let source = |value: &Value| {
            let name = text(&value["name"]).or_else(|| text(&value["uri"]))?;
            let (kind, digest) = value["digest"].as_object()?.iter().next()?;
            Some(Source { name, digest: format!("{kind}:{}", digest.as_str()?) })
        };
        Some(Self {
            predicate: text(&document["predicateType"])?,
            builder: text(&predicate["runDetails"]["builder"]["id"]),
            sources: sources.into_iter().flatten().filter_map(source).take(SOURCES_MAX).collect(),
        })
    }
}

/// What is attached to `digest` in a repository, signatures left out.
pub(super) async fn attached(
    state: &ServerState,
    t: &Texts,
    repository: &str,
    digest: &Digest,
) -> Result<Vec<Attestation>, ApiError> {
    let Some(index) = held(state.registry.referrers(repository, digest, None).await)? else {
        return Ok(Vec::new());
    };
    let is_shown = |one: &Descriptor| one.artifact_type.as_deref() != Some(SIGNATURE_ARTIFACT);
    let mut found = Vec::new();
    for one in index.manifests.into_iter().filter(is_shown).take(ATTACHED_MAX) {
        let statement = match one.artifact_type.as_deref() {
            Some(IN_TOTO) => statement(state, repository, &one.digest).await?,
            _ => None,
        };
        found.push(Attestation {
            digest: ShortDigest::new(t, &one.digest),
            size: size(one.size),
            kind: one.artifact_type.unwrap_or(one.media_type),
            statement,
        });
    }
    Ok(found)
}

async fn statement(
    state: &ServerState,
    repository: &str,
    digest: &Digest,
) -> Result<Option<Statement>, ApiError> {
    let Some(manifest) = manifest(state, repository, digest).await? else { return Ok(None) };
    let Some(layer) = manifest.layers.iter().find(|layer| layer.media_type == IN_TOTO) else {
        return Ok(None);
    };
    let document = json_blob(state, &layer.digest, STATEMENT_BYTES_MAX).await?;
    Ok(document.as_ref().and_then(Statement::of))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::texts::ENGLISH;

    #[test]
    fn a_signature_is_verified_by_keys_that_environments_name_alone() {
        let view = |value: Value| {
            let text = |name: &str| value[name].as_str().map(str::to_owned);
            let names = value["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names = names.map(str::to_owned).collect();
            SignatureView::bare(text("digest"), text("key"), names, text("unfit"))
        };
        for (value, is_verified, why) in [
            (json!({"digest": "d", "key": "k", "names": ["release"]}), true, None),
            (json!({"digest": "d", "key": "k"}), false, Some(ENGLISH.versions.key_unnamed)),
            (json!({"digest": "d"}), false, Some(ENGLISH.versions.key_unknown)),
            (json!({"unfit": "it is not base64", "names": ["release"]}), false, None),
        ] {
            let row = SignatureRow::new(ENGLISH.versions, view(value.clone()));
            let verified = Status::told(Tone::Good, ENGLISH.versions.verified_by);
            assert_eq!((row.status == verified, row.why), (is_verified, why), "{value}");
        }
    }

    #[test]
    fn a_statement_says_from_what_and_by_whom() {
        let document = json!({
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {"resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": "12ab"}},
                    {"uri": "pkg:oci/x", "digest": {"sha256": "34"}},
                    {"uri": 7}, "odd", {"name": "without digest"},
                ]},
                "runDetails": {"builder": {"id": "https://slipway.dev/builder/v1"}},
            },
        });
        let source = |name: &str, digest: &str| Source { name: name.to_owned(), digest: digest.to_owned() };
        let wanted = Statement {
            predicate: "https://slsa.dev/provenance/v1".to_owned(),
            builder: Some("https://slipway.dev/builder/v1".to_owned()),
            sources: vec![source("source", "gitCommit:12ab"), source("pkg:oci/x", "sha256:34")],
        };
        assert_eq!(Statement::of(&document), Some(wanted));
        for odd in [json!(null), json!([]), json!({"predicateType": 7})] {
            assert_eq!(Statement::of(&odd), None);
        }
    }
}
