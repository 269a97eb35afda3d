//! What the end of a Job means for its build.

use slipway_types::{Digest, Fault};

use super::options::KanikoOptions;
use super::phase::Phase;
use crate::backend::BuildError;

/// How Kaniko begins its last line when it is the registry that did not take what was built.
const NOT_PUSHED: [&str; 2] = ["error pushing image", "error checking push permissions"];

/// The digest that was pushed, or what went wrong.
pub(super) fn of(end: Phase, options: &KanikoOptions) -> Result<Digest, BuildError> {
    match end {
        Phase::Ended { exit_code: 0, message, .. } => message.parse().map_err(|_| {
            let message = format!("the executor ended well without a digest: `{message}`");
            Fault::permanent("kaniko_no_digest", message)
                .hint("The executor must write the image's digest to --digest-file.")
                .into()
        }),
        Phase::Ended { reason, .. } if reason == "OOMKilled" => {
            let message = "the executor was killed: it used more memory than its limit".to_owned();
            Err(Fault::permanent("build_failed", message).hint("Raise `memory` in kaniko.limits.").into())
        }
        Phase::Ended { exit_code, message, .. } => Err(ended_badly(exit_code, &message, options).into()),
        Phase::NotFetched { exit_code, message, .. } => {
            let address = &options.address;
            let message = format!(
                "the pod could not fetch its context from Slipway's registry at {address}: \
                 exit code {exit_code}: {message}"
            );
            let hint = "kaniko.address must be an address of this server that pods reach.";
            Err(Fault::transient("kaniko_context", message).hint(hint).into())
        }
        Phase::Deadline => Err(BuildError::TimedOut(format!(
            "the Job ran longer than its deadline of {} ms",
            options.deadline_ms
        ))),
        Phase::Lost(why) => Err(Fault::transient("pod_lost", why).into()),
        Phase::Waiting { .. } | Phase::Running { .. } => {
            Err(Fault::bug("kaniko", "a Job was judged before its end").into())
        }
    }
}

/// An executor that says itself, with the end of its log, what went wrong.
fn ended_badly(exit_code: i32, log_end: &str, options: &KanikoOptions) -> Fault {
    let lines: Vec<&str> = log_end.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.last().copied().unwrap_or_default();
    if NOT_PUSHED.iter().any(|words| last.starts_with(words)) {
        let message = format!("Slipway's registry at {} did not take the image: {last}", options.address);
        let hint = "The server's log says what it answered; `slipway run retry` builds again.";
        return Fault::transient("kaniko_push", message).hint(hint);
    }
    let shown = lines[lines.len().saturating_sub(options.failure_lines)..].join("\n");
    let mut message = format!("the executor ended with exit code {exit_code}");
    if !shown.is_empty() {
        message = format!("{message}\nthe last lines of its output:\n{shown}");
    }
    Fault::permanent("build_failed", message)
}

#[cfg(test)]
mod tests {
    use slipway_types::Class;

    use super::*;

    fn fault(exit_code: i32, log_end: &str) -> Fault {
        let message = log_end.to_owned();
        let end = Phase::Ended { pod: "p".into(), exit_code, message, reason: "Error".into() };
        match of(end, &KanikoOptions { failure_lines: 2, ..KanikoOptions::default() }) {
            Err(BuildError::Failed(fault)) => fault,
            _ => panic!("no fault"),
        }
    }

    #[test]
    fn a_command_that_fails_is_told_from_a_registry_that_does() {
        let command = fault(7, "one\ntwo\n\nit goes wrong\n");
        assert_eq!((command.class, &*command.code), (Class::Permanent, "build_failed"));
        let message =
            "the executor ended with exit code 7\nthe last lines of its output:\ntwo\nit goes wrong";
        assert_eq!(command.message, message);
        assert_eq!(fault(7, "").message, "the executor ended with exit code 7");
        // What a command prints is not what the executor says last.
        assert_eq!(fault(1, "error pushing image: x\nerror building image: y").code, "build_failed");
        let push = fault(1, "built\nerror pushing image: failed to push to destination r/i:t: 500");
        assert_eq!((push.class, &*push.code), (Class::Transient, "kaniko_push"));
        assert!(push.message.contains("127.0.0.1:7300") && push.message.ends_with(": 500"), "{push:?}");
    }
}
