//! Manifests as canonical JSON.

use serde_json::{Value, json};
use slipway_types::Digest;
use slipway_types::media_type::{OCI_EMPTY, OCI_MANIFEST};

/// Bytes with their digest and media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Media type.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Document {
    /// A JSON document: keys sorted, no white space, so that equal content has equal bytes.
    pub fn json(media_type: &'static str, value: &Value) -> Self {
        let bytes = serde_json::to_vec(value).expect("invariant: a JSON value serialises");
        Self { media_type, digest: Digest::of(&bytes), bytes }
    }

    /// The empty JSON object of the OCI image specification.
    pub fn empty() -> Self {
        Self::json(OCI_EMPTY, &json!({}))
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> Value {
        descriptor(self.media_type, &self.digest, self.bytes.len() as u64)
    }
}

/// A descriptor without annotations.
pub fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

/// An artifact's manifest. Without layers it carries the empty one, as the specification advises.
pub fn artifact(artifact_type: &str, config: &Value, layers: &[Value], annotations: &Value) -> Document {
    let empty = [Document::empty().descriptor()];
    let layers = if layers.is_empty() { &empty } else { layers };
    Document::json(
        OCI_MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": config,
            "layers": layers,
            "annotations": annotations,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_without_content_carries_the_empty_layer() {
        let document = artifact("application/x", &Document::empty().descriptor(), &[], &json!({}));
        let value: Value = serde_json::from_slice(&document.bytes).unwrap();
        assert_eq!(value["layers"][0]["mediaType"], OCI_EMPTY);
        assert_eq!(value["layers"][0]["size"], 2);
    }
}
