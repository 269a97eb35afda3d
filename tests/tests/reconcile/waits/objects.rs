//! Objects that nobody makes ready.

use serde_json::json;

use super::case::{Case, hold, objects, overtake};
use super::widgets;

/// Objects that nobody makes ready.
fn never_ready() -> [Case; 3] {
    [
        Case::new("outside", &["balancer", "address"], |_| {
            objects(&json!([{
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "outside"},
                "spec": {"type": "LoadBalancer", "selector": {"app": "nobody"}, "ports": [{"port": 80, "protocol": "TCP"}]},
            }]))
        }),
        Case::new("claim", &["bound", "pending"], |_| {
            objects(&json!([{
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "disk"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }]))
        }),
        Case::new("halted", &["paused"], |seed| {
            let template = json!({
                "metadata": {"labels": {"app": "still"}},
                "spec": {"containers": [{"name": "main", "image": seed.image}]},
            });
            objects(&json!([{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "still"},
                "spec": {"paused": true, "selector": {"matchLabels": {"app": "still"}}, "template": template},
            }]))
        }),
    ]
}

#[test]
fn objects_that_nobody_makes_ready_end_by_their_deadline_and_a_fix_goes_through() {
    hold(&never_ready(), &[]);
}

#[test]
fn a_fix_goes_through_while_objects_that_nobody_makes_ready_are_waited_for() {
    overtake(&never_ready());
}

/// Kinds that nobody drives, that are taken already, or that went.
pub(super) fn nobody_serves() -> [Case; 3] {
    let silent = Case {
        before: widgets::define,
        clear: widgets::forget,
        ..Case::new("silent", &["status"], |seed| objects(&json!([widgets::widget(seed.space)])))
    };
    let rival = Case {
        before: widgets::define,
        clear: widgets::forget,
        ..Case::new("rival", &["accept", "establish", "conflict"], |seed| {
            objects(&json!([widgets::rival(seed.space)]))
        })
    };
    let unserved = Case {
        before: widgets::define,
        obstruct: widgets::withdraw,
        clear: widgets::forget,
        ..Case::new("gone", &["serve", "not found", "no kind", "no match"], |seed| {
            objects(&json!([widgets::widget(seed.space)]))
        })
    };
    [silent, rival, unserved]
}

#[test]
fn kinds_that_nobody_serves_end_by_their_deadline_and_a_fix_goes_through() {
    hold(&nobody_serves(), &[]);
}
