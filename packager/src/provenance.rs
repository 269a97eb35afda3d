//! Provenance: an in-toto statement (v1) with a SLSA provenance predicate (v1) for each package, attached
//! by `subject`. It names the run and its times, so it stands beside the package, never inside.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use slipway_records::Run;
use slipway_records::detail::BundleMember;
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_types::media_type::{IN_TOTO, OCI_MANIFEST};
use slipway_types::state::BuiltImage;
use slipway_types::{ApplicationName, Digest};

use crate::document::{Document, descriptor};

/// What built it, in SLSA's words: documents what `externalParameters` mean.
const BUILD_TYPE: &str = "https://slipway.dev/build/v1";

/// A statement and the manifest that attaches it.
#[derive(Debug)]
pub struct Provenance {
    /// The in-toto statement.
    pub statement: Document,
    /// The referring manifest.
    pub manifest: Document,
}

/// Writes the provenance of one package.
pub fn write(
    application: &ApplicationName,
    plan: &ComponentPlan,
    run: &Run,
    images: &[BuiltImage],
    package: &Document,
) -> Provenance {
    let digest = |digest: &Digest| json!({"sha256": digest.hex()});
    let mut subjects = vec![
        json!({"name": format!("{}/c/{}", application.path(), plan.name), "digest": digest(&package.digest)}),
    ];
    subjects.extend(
        images.iter().map(|image| json!({"name": image.repository, "digest": digest(&image.digest)})),
    );
    let statement = Document::json(
        IN_TOTO,
        &json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "application": application.path(),
                        "component": plan.name,
                        "ref": run.git_ref,
                        "kit": plan.kit,
                    },
                    "resolvedDependencies": dependencies(plan, run),
                },
                "runDetails": {
                    "builder": {"id": "https://slipway.dev/builder/v1"},
                    "metadata": {
                        "invocationId": run.id,
                        "startedOn": run.started_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
                    },
                },
            },
        }),
    );
    attached(statement, package)
}

/// What exchanged an image, in SLSA's words.
const EXCHANGE_TYPE: &str = "https://slipway.dev/exchange/v1";

/// Writes the provenance of a package that people made of another one by exchanging its image for one that
/// `reference` named.
pub fn of_exchange(
    application: &ApplicationName,
    before: &BundleMember,
    reference: &str,
    image: &BuiltImage,
    package: &Document,
) -> Provenance {
    let name = format!("{}/c/{}", application.path(), before.component);
    let statement = Document::json(
        IN_TOTO,
        &json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                {"name": name, "digest": {"sha256": package.digest.hex()}},
                {"name": image.repository, "digest": {"sha256": image.digest.hex()}},
            ],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": EXCHANGE_TYPE,
                    "externalParameters": {
                        "application": application.path(),
                        "component": before.component,
                        "package": before.built_as,
                        "image": reference,
                    },
                    "resolvedDependencies": [
                        {"name": name, "digest": {"sha256": before.digest.hex()}},
                        {"name": reference, "digest": {"sha256": image.digest.hex()}},
                    ],
                },
                "runDetails": {"builder": {"id": "https://slipway.dev/composer/v1"}},
            },
        }),
    );
    attached(statement, package)
}

/// The statement, attached to the package.
fn attached(statement: Document, package: &Document) -> Provenance {
    let mut layer = statement.descriptor();
    layer["annotations"] = json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"});
    let empty = Document::empty();
    let manifest = Document::json(
        OCI_MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": IN_TOTO,
            "config": empty.descriptor(),
            "layers": [layer],
            "subject": descriptor(OCI_MANIFEST, &package.digest, package.bytes.len() as u64),
        }),
    );
    Provenance { statement, manifest }
}

fn dependencies(plan: &ComponentPlan, run: &Run) -> Vec<Value> {
    let mut all = vec![json!({"name": "source", "digest": {"gitCommit": run.commit}})];
    match &plan.image {
        Some(ImagePlan::Build(build)) => all.extend(build.bases.iter().map(|base| {
            json!({"uri": format!("pkg:oci/{}/{}", base.reference.host, base.reference.repository),
                   "digest": {"sha256": base.digest.hex()}})
        })),
        Some(ImagePlan::Pin { reference, digest, .. }) => all.push(json!({
            "uri": format!("pkg:oci/{}/{}", reference.host, reference.repository),
            "digest": {"sha256": digest.hex()},
        })),
        None => {}
    }
    all
}
