//! What every receiver decides before it does anything, in one place and one order.

use std::collections::BTreeSet;

use slipway_types::{Digest, Violation};

use crate::CONTRACT_VERSION;
use crate::answer::{Answer, Capability};
use crate::manifests::Manifests;
use crate::receiver::ReceiverError;
use crate::revision::{Limits, Revision};
use crate::submission::{Mode, Submission};

/// The newest generation that a receiver has taken for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub generation: u64,
    /// Its revision.
    pub revision: Digest,
    /// Its run.
    pub run: String,
}

/// The answer to a submission that changes nothing; `None`: it is new and may be carried out, or is
/// the known one and the same run goes on.
pub fn admit(
    submission: &Submission,
    known: Option<&Known>,
    capabilities: &BTreeSet<Capability>,
    limits: &Limits,
) -> Option<Answer> {
    if submission.contract != CONTRACT_VERSION {
        return Some(Answer::Unsupported {
            capability: "contract".to_owned(),
            reason: format!(
                "contract version {} is not known here, {CONTRACT_VERSION} is",
                submission.contract
            ),
        });
    }
    let violations = violations(submission, limits);
    if !violations.is_empty() {
        return Some(Answer::Rejected { violations });
    }
    if let Some(known) = known {
        if known.generation > submission.generation {
            return Some(Answer::Stale { current: known.generation });
        }
        if known.generation == submission.generation && known.revision != submission.revision {
            return Some(Answer::Conflict { revision: known.revision });
        }
    }
    missing(submission, capabilities)
}

/// [`admit`], and a look at every object. `None` means what it means there.
pub async fn admit_objects(
    submission: &Submission,
    manifests: &dyn Manifests,
    limits: &Limits,
) -> Result<Option<Answer>, ReceiverError> {
    let violations = submission.document.object_violations(manifests, limits).await?;
    Ok((!violations.is_empty()).then_some(Answer::Rejected { violations }))
}

fn violations(submission: &Submission, limits: &Limits) -> Vec<Violation> {
    let document = &submission.document;
    let mut found = document.violations(limits);
    if document.digest() != submission.revision {
        let message = format!("the document's digest is {}", document.digest());
        found.push(
            Violation::new("revision_mismatch", "revision", message)
                .hint("hash the document's canonical JSON: sorted keys, no white space"),
        );
    }
    if document.application != submission.key.application
        || document.environment.address != submission.key.environment
    {
        let message = format!("the document was frozen for another key than {}", submission.key);
        found.push(Violation::new("key_mismatch", "key", message));
    }
    found
}

fn missing(submission: &Submission, capabilities: &BTreeSet<Capability>) -> Option<Answer> {
    let needs = needs(&submission.document, submission.mode);
    let adopts = (!submission.adopt.is_empty()).then_some(Capability::Adoption);
    let capability = needs.into_iter().chain(adopts).find(|wanted| !capabilities.contains(wanted))?;
    Some(Answer::unsupported(capability, wanting(capability)))
}

/// What a receiver must be able to do to carry out a revision in a mode.
pub fn needs(document: &Revision, mode: Mode) -> Vec<Capability> {
    match mode {
        Mode::Apply => document.requires().into_iter().collect(),
        // What is to be removed or tried out is not carried out.
        Mode::Delete => vec![Capability::Delete],
        Mode::DryRun => vec![Capability::DryRun],
    }
}

/// Why a revision needs a capability, and what to do where it is wanting.
pub fn wanting(capability: Capability) -> &'static str {
    match capability {
        Capability::Delete => "this receiver removes nothing: remove its objects where it keeps them",
        Capability::DryRun => "this receiver cannot try out",
        Capability::Secrets => {
            "the revision uses secrets and this receiver resolves none: provide them in the cluster and \
             set the receiver's `secrets: external`, or use another receiver"
        }
        Capability::Outputs => {
            "the revision passes outputs between nodes and this receiver reads none: use another receiver, \
             or give the values in the configuration"
        }
        Capability::Conditions => {
            "the revision has conditions in CEL and this receiver judges none: use another receiver, or leave \
             health policies and wait steps out"
        }
        Capability::Ownership => {
            "the revision sends fields once, or keeps or shares objects, and this receiver cannot: use another \
             receiver, or leave the policies apply-once, garbage-collect and shared-resource out"
        }
        Capability::Adoption => {
            "the deployment takes over objects that other tools made and this receiver cannot: deploy by the \
             built-in core, `receiver: {type: core}`"
        }
        Capability::Calls => "the revision makes HTTP requests and this receiver makes none",
        Capability::Workflow => {
            "the revision has steps with conditions, retries, approvals or canaries, and this receiver only \
             follows needs: use the receiver `core`, or leave them out"
        }
        Capability::Resume => "the revision holds at a step and this receiver cannot be told to go on",
        _ => "this receiver has no such thing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn answer(submission: &Submission, known: Option<&Known>) -> Option<Answer> {
        admit(submission, known, &BTreeSet::new(), &Limits::default())
    }

    fn known(generation: u64, revision: Digest) -> Known {
        Known { generation, revision, run: "r".into() }
    }

    #[test]
    fn generations_only_rise() {
        let submission = sample::submission(5, sample::plain().0);
        let other = Digest::of("other");
        assert_eq!(answer(&submission, None), None);
        assert_eq!(answer(&submission, Some(&known(4, other))), None);
        assert_eq!(answer(&submission, Some(&known(5, submission.revision))), None);
        assert_eq!(answer(&submission, Some(&known(5, other))), Some(Answer::Conflict { revision: other }));
        let newer = known(6, submission.revision);
        assert_eq!(answer(&submission, Some(&newer)), Some(Answer::Stale { current: 6 }));
    }

    #[test]
    fn what_is_not_what_it_says_is_rejected() {
        let mut submission = sample::submission(1, sample::plain().0);
        submission.revision = Digest::of("other");
        submission.key.environment = "eu/kind/other".parse().unwrap();
        let Some(Answer::Rejected { violations }) = answer(&submission, None) else { panic!("not rejected") };
        let codes: Vec<&str> = violations.iter().map(|violation| violation.code.as_str()).collect();
        assert_eq!(codes, ["revision_mismatch", "key_mismatch"]);
    }

    #[test]
    fn taking_over_needs_a_receiver_that_can() {
        let mut submission = sample::submission(1, sample::plain().0);
        let object = crate::ObjectRef::of(&sample::config_map("a")).unwrap();
        submission.adopt = vec![crate::Adoption { object, uid: "u".into() }];
        let refused = answer(&submission, None);
        assert!(matches!(refused, Some(Answer::Unsupported { capability, .. }) if capability == "adoption"));
        let can = BTreeSet::from([Capability::Adoption]);
        assert_eq!(admit(&submission, None, &can, &Limits::default()), None);
    }

    #[test]
    fn what_a_receiver_has_not_is_said_before_it_starts() {
        let mut submission = sample::submission(1, sample::plain().0);
        submission.contract = 2;
        assert!(
            matches!(answer(&submission, None), Some(Answer::Unsupported { capability, .. }) if capability == "contract")
        );
        submission.contract = 1;
        for (mode, wanted) in [(Mode::Delete, Capability::Delete), (Mode::DryRun, Capability::DryRun)] {
            submission.mode = mode;
            let none = answer(&submission, None);
            assert!(
                matches!(none, Some(Answer::Unsupported { capability, .. }) if capability == wanted.to_string())
            );
            let with = admit(&submission, None, &BTreeSet::from([wanted]), &Limits::default());
            assert_eq!(with, None);
        }
    }
}
