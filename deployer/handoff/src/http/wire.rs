//! Bodies of requests and answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slipway_types::Digest;

use crate::event::Event;
use crate::manifests::ManifestSet;
use crate::submission::{Key, Submission};

/// A submission with its manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The submission.
    pub submission: Submission,
    /// The canonical JSON of each object as text, by the SHA-256 of that text.
    pub manifests: BTreeMap<String, String>,
}

impl SubmitRequest {
    /// A submission with the manifests of `set`; the digest of one that is no text if there is one.
    pub fn new(submission: Submission, set: &ManifestSet) -> Result<Self, Digest> {
        let manifests = set
            .iter()
            .map(|(digest, bytes)| {
                let text = std::str::from_utf8(bytes).map_err(|_| *digest)?;
                Ok((digest.to_string(), text.to_owned()))
            })
            .collect::<Result<_, Digest>>()?;
        Ok(Self { submission, manifests })
    }

    /// The manifests. Whoever reads one through [`crate::manifests::read`] finds those whose name and
    /// bytes differ missing.
    pub fn manifests(&self) -> ManifestSet {
        let mut set = ManifestSet::new();
        for text in self.manifests.values() {
            set.insert_bytes(text.clone().into());
        }
        set
    }
}

/// A question about what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserveRequest {
    /// To which key.
    pub key: Key,
    /// After which sequence number; 0: everything that is known.
    pub since: u64,
    /// The most events wanted.
    pub limit: usize,
}

/// What happened, oldest first: the answer to a question, or told by the receiver itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The events.
    pub events: Vec<Event>,
}
