//! What runs to its end.

use crate::fields::{Condition, Object};
use crate::object::Health;

/// A Job: it must complete. kstatus calls one current while it runs; what waits for a migration must not.
pub(super) fn job(object: &Object<'_>) -> Health {
    let holds = |name| object.condition(name).filter(Condition::is_true);
    if holds("Complete").is_some() {
        return Health::completed(format!("it completed: {} succeeded", object.count("/status/succeeded")));
    }
    if let Some(condition) = holds("Failed").or_else(|| holds("FailureTarget")) {
        return Health::failed(format!("it failed: {}", condition.words()));
    }
    if object.is_true("/spec/suspend") || holds("Suspended").is_some() {
        return Health::suspended("it is suspended: nothing runs while spec.suspend is true");
    }
    if object.text("/status/startTime").is_none() {
        return Health::in_progress("it has not started");
    }
    let count = |name: &str| object.count(&format!("/status/{name}"));
    let (succeeded, active, failed) = (count("succeeded"), count("active"), count("failed"));
    let of = object.number("/spec/completions").map(|wanted| format!(" of {wanted}")).unwrap_or_default();
    Health::in_progress(format!("it runs: {succeeded}{of} succeeded, {active} active, {failed} failed"))
}

/// A CronJob: its being there is all it is for; suspended is how it is wanted. Its Jobs are objects of
/// their own.
pub(super) fn cron_job(object: &Object<'_>) -> Health {
    Health::current(if object.is_true("/spec/suspend") { "it exists, suspended" } else { "it exists" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::cases::hold;
    use crate::object::ObjectState::{Completed, Current, Failed, InProgress, Suspended};

    fn job(spec: Value, status: Value) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generation": 1}, "spec": spec,
            "status": status})
    }

    #[test]
    fn a_job_must_complete() {
        let condition = |name: &str, status: &str| {
            json!([{"type": name, "status": status,
            "reason": "BackoffLimitExceeded", "message": "too often"}])
        };
        let started = "2026-01-02T03:04:05Z";
        hold([
            (job(json!({}), json!({})), InProgress, "has not started"),
            (
                job(json!({"completions": 3}), json!({"startTime": started, "active": 2, "succeeded": 1})),
                InProgress,
                "it runs: 1 of 3 succeeded, 2 active, 0 failed",
            ),
            (job(json!({}), json!({"startTime": started, "succeeded": 1})), InProgress, "1 succeeded"),
            (
                job(json!({}), json!({"succeeded": 1, "conditions": condition("Complete", "True")})),
                Completed,
                "it completed: 1 succeeded",
            ),
            (
                job(json!({}), json!({"startTime": started, "conditions": condition("Complete", "False")})),
                InProgress,
                "it runs",
            ),
            (
                job(json!({}), json!({"conditions": condition("Failed", "True")})),
                Failed,
                "it failed: BackoffLimitExceeded: too often",
            ),
            (job(json!({}), json!({"conditions": condition("FailureTarget", "True")})), Failed, "it failed"),
            (job(json!({"suspend": true}), json!({})), Suspended, "spec.suspend"),
            (
                job(json!({"suspend": true}), json!({"conditions": condition("Complete", "True")})),
                Completed,
                "it completed",
            ),
        ]);
    }

    #[test]
    fn a_cron_job_is_current_once_it_exists() {
        let cron = |spec: Value| json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec});
        hold([
            (cron(json!({})), Current, "it exists"),
            (cron(json!({"suspend": true})), Current, "suspended"),
        ]);
    }
}
