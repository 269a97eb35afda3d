//! Signatures of bundles. A signature says by itself whose it is and over what: anybody who may push may
//! add one, and no gate asks who did.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_oci::builtin::{Offered, RegistryError};
use slipway_oci::signature::Signature;
use slipway_records::{NewAuditEntry, PackageVersion, Read};
use slipway_types::environment::Signer;
use slipway_types::signing::{PublicKey, TrustedKeys};
use slipway_types::{ApplicationName, Role, Version};
use utoipa::ToSchema;

use super::following;
use super::list::List;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// How often a signature is put beside others that come in between.
const ATTEMPTS: usize = 8;
/// The most keys of environments that signatures are compared with, to name whose they are.
const KEYS_COMPARED_MAX: usize = 64;

/// What is offered as a signature of a bundle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignatureView {
    /// SHA-256 of the signature; absent: it cannot be one of this bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// SHA-256 of the public key (DER), where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// What environments call its key.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) names: BTreeSet<String>,
    /// What was signed, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// The signature in base64 of DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// Why it cannot be one of this bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unfit: Option<String>,
}

/// A signature made elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSignature {
    /// What was signed, in base64: the simple signing form, naming this bundle.
    payload: String,
    /// ECDSA P-256 over the payload, in base64 of DER.
    signature: String,
    /// The key that made it, as PEM.
    #[schema(value_type = String)]
    public_key: TrustedKeys,
}

#[cfg(test)]
impl SignatureView {
    /// One whose payload and bytes nobody looks at.
    pub(crate) fn bare(
        digest: Option<String>,
        key: Option<String>,
        names: BTreeSet<String>,
        unfit: Option<String>,
    ) -> Self {
        Self { digest, key, names, payload: None, signature: None, unfit }
    }
}

fn refused(error: RegistryError) -> ApiError {
    ApiError::of_fault(error.into())
}

fn view(offered: &Offered, signers: &[(Signer, PublicKey)]) -> SignatureView {
    let mut shown = SignatureView {
        digest: None,
        key: offered.key.map(|key| key.id().to_string()),
        names: BTreeSet::new(),
        payload: None,
        signature: None,
        unfit: None,
    };
    let signature = match &offered.signature {
        Ok(signature) => signature,
        Err(why) => {
            shown.unfit = Some(why.to_string());
            return shown;
        }
    };
    let is_theirs = |(_, key): &&(Signer, PublicKey)| offered.key.as_ref() == Some(key);
    shown.names.extend(signers.iter().filter(is_theirs).map(|(signer, _)| signer.name.to_string()));
    shown.digest = Some(signature.digest().to_string());
    shown.payload = Some(STANDARD.encode(signature.payload()));
    shown.signature = Some(signature.text());
    shown
}

/// The keys that environments ask for, each once.
async fn signers(read: &mut dyn Read) -> Result<Vec<(Signer, PublicKey)>, ApiError> {
    let mut found: Vec<(Signer, PublicKey)> = Vec::new();
    for environment in read.environment_list().await? {
        for signer in environment.settings.gates.signatures {
            for key in signer.key.keys() {
                let known = found.iter().any(|(other, one)| one == key && other.name == signer.name);
                if !known && found.len() < KEYS_COMPARED_MAX {
                    found.push((signer.clone(), *key));
                }
            }
        }
    }
    Ok(found)
}

/// What is offered as signatures of a bundle.
pub(crate) async fn of_bundle(
    state: &ServerState,
    application: &ApplicationName,
    bundle: &PackageVersion,
) -> Result<Vec<SignatureView>, ApiError> {
    let signers = signers(state.records.read().await?.as_mut()).await?;
    let wanted: Vec<PublicKey> = signers.iter().map(|(_, key)| *key).collect();
    let offered = state.registry.signatures(&application.path(), &bundle.digest, &wanted).await;
    let offered = offered.map_err(refused)?;
    Ok(offered.iter().map(|one| view(one, &signers)).collect())
}

/// The signatures of a bundle, with what was signed, to be verified by whoever asks.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}/signatures", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = List<SignatureView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version)): Path<(ApplicationName, Version)>,
) -> Result<Json<List<SignatureView>>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    let bundle = read.version_find(application.id, None, &version).await?;
    let bundle = bundle.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    drop(read);
    Ok(Json(List::whole(of_bundle(&state, &application.name, &bundle).await?)))
}

/// Adds a signature that was made elsewhere; one key signs a bundle once.
#[utoipa::path(post, path = "/api/v1/bundles/{application}/{version}/signatures", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path)), request_body = NewSignature,
    responses((status = 200, body = SignatureView), (status = 201, body = SignatureView)))]
pub(crate) async fn add(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version)): Path<(ApplicationName, Version)>,
    Body(body): Body<NewSignature>,
) -> Result<(StatusCode, Json<SignatureView>), ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Developer).await?;
    let bundle = read.version_find(application.id, None, &version).await?;
    let bundle = bundle.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    drop(read);
    let repository = application.name.path();
    let (signature, key) = checked(&body, &repository, &bundle)?;
    for _ in 0..ATTEMPTS {
        let offered =
            state.registry.signatures(&repository, &bundle.digest, &[key]).await.map_err(refused)?;
        let known = |one: &&Offered| one.key == Some(key);
        if let Some(known) = offered.iter().find(known) {
            return Ok((StatusCode::OK, Json(view(known, &[]))));
        }
        let prepared = state.registry.prepare_signature(&repository, &bundle.digest, &signature, &key).await;
        let prepared = prepared.map_err(refused)?;
        let mut tx = state.records.begin().await?;
        if !state.registry.put_signature_tx(tx.as_mut(), &prepared).await.map_err(refused)? {
            continue;
        }
        tx.audit(NewAuditEntry {
            actor: caller.name().to_owned(),
            action: "bundle.sign",
            subject: format!("bundle/{}/{version}", application.name),
            detail: json!({"digest": bundle.digest, "signature": signature.digest(), "key": key.id()}),
        })
        .await?;
        following::bundle_changed(tx.as_mut(), application.id, bundle.id).await?;
        tx.commit().await?;
        let made = Offered { signature: Ok(signature), key: Some(key) };
        return Ok((StatusCode::CREATED, Json(view(&made, &[]))));
    }
    Err(ApiError::conflict("signatures_moved", "others sign this bundle at the same time").hint("try again"))
}

/// A signature of this bundle by the key that is named with it.
fn checked(
    body: &NewSignature,
    repository: &str,
    bundle: &PackageVersion,
) -> Result<(Signature, PublicKey), ApiError> {
    let [key] = body.public_key.keys() else {
        return Err(ApiError::bad_request(
            "bad_body",
            "public_key: give the one key that made the signature",
        ));
    };
    let payload = STANDARD
        .decode(&body.payload)
        .map_err(|_| ApiError::bad_request("bad_body", "payload: it is not base64"))?;
    let unfit = |why: String| {
        let next = format!("sign {repository}@{} and nothing else", bundle.digest);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "signature_unfit", why).hint(next)
    };
    let signature = Signature::read(payload.into(), &body.signature, repository, &bundle.digest);
    let signature = signature.map_err(|why| unfit(format!("this is no signature of the bundle: {why}")))?;
    if !signature.is_by(key) {
        return Err(unfit(format!("the key {} did not make this signature", key.id())));
    }
    Ok((signature, *key))
}
