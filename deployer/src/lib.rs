//! The hand-off contract between the deploy stage and a reconcile core.
