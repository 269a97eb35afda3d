//! Whether a bundle may go to an environment, and why.

use slipway_records::deploying::GateView;

use crate::pages::parts::{Status, Tone};
use crate::pages::texts::DeployTexts;

/// The gate that no deployment passes: a version that the environment is pinned to.
const PIN: &str = "pin";

/// What stands for and against a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: Status,
    pub(super) reasons: Vec<Reason>,
    standing: Standing,
}

/// One gate, or what else stands against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) status: Status,
    /// In the server's words.
    pub(super) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It would go out at once.
    Ready,
    /// It would wait at a gate.
    Waits,
    /// It runs there.
    Runs,
    /// It would be refused.
    Refused,
}

/// A gate as a reason.
pub(super) fn reason(d: &'static DeployTexts, gate: &GateView) -> Reason {
    let tone = if gate.open { Tone::Good } else { Tone::Waiting };
    Reason { status: Status::told(tone, (d.words.gate)(gate.gate)), detail: gate.detail.clone() }
}

impl Verdict {
    /// By the checks that hold the bundle, and by the gates, or why they could not be asked.
    pub(super) fn new(
        d: &'static DeployTexts,
        is_running: bool,
        held: &[String],
        gates: Result<Vec<GateView>, String>,
    ) -> Self {
        let bad =
            |detail: &String| Reason { status: Status::told(Tone::Bad, d.against), detail: detail.clone() };
        let mut reasons: Vec<Reason> = held.iter().map(bad).collect();
        let (is_pinned, waits) = match &gates {
            Ok(gates) => {
                reasons.extend(gates.iter().map(|gate| reason(d, gate)));
                let is_pinned = gates.iter().any(|gate| gate.gate == PIN && !gate.open);
                (is_pinned, gates.iter().any(|gate| !gate.open))
            }
            Err(why) => {
                reasons.push(Reason { status: Status::told(Tone::Off, d.not_known), detail: why.clone() });
                (false, true)
            }
        };
        let standing = match (is_running, !held.is_empty() || is_pinned, waits) {
            (_, true, _) => Standing::Refused,
            (true, false, _) => Standing::Runs,
            (false, false, true) => Standing::Waits,
            (false, false, false) => Standing::Ready,
        };
        let status = match standing {
            Standing::Ready => Status::told(Tone::Good, d.may_go_at_once),
            Standing::Waits => Status::told(Tone::Waiting, d.would_wait),
            Standing::Runs => Status::told(Tone::Off, d.runs_here),
            Standing::Refused => Status::told(Tone::Bad, d.would_be_refused),
        };
        Self { status, reasons, standing }
    }

    /// Whether it makes sense to go on with it.
    pub(super) fn may_go(&self) -> bool {
        self.standing != Standing::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::ENGLISH;

    fn gate(gate: &'static str, open: bool) -> GateView {
        GateView { gate, open, detail: "why".to_owned(), opens_in_s: None }
    }

    #[test]
    fn a_bundle_goes_waits_or_is_refused() {
        let d = ENGLISH.deploying;
        for (is_running, held, gates, wanted) in [
            (false, vec![], Ok(vec![]), Standing::Ready),
            (false, vec![], Ok(vec![gate("soak", true)]), Standing::Ready),
            (false, vec![], Ok(vec![gate("soak", true), gate("approvals", false)]), Standing::Waits),
            (true, vec![], Ok(vec![gate("approvals", false)]), Standing::Runs),
            (false, vec![], Ok(vec![gate("pin", false)]), Standing::Refused),
            (true, vec!["source/unit".to_owned()], Ok(vec![]), Standing::Refused),
            (false, vec![], Err("away".to_owned()), Standing::Waits),
        ] {
            let reasons = held.len() + gates.as_ref().map_or(1, Vec::len);
            let verdict = Verdict::new(d, is_running, &held, gates);
            assert_eq!((verdict.standing, verdict.reasons.len()), (wanted, reasons));
            assert_eq!(verdict.may_go(), wanted != Standing::Refused);
        }
    }
}
