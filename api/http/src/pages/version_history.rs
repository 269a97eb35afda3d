//! What people did to a version: changes of its labels for all who see it, the audit record for those who may read that.

use chrono::{DateTime, Utc};
use slipway_records::{AuditEntry, LabelChanged, PackageVersion, Read};
use slipway_types::{ApplicationName, Role};

use super::parts::Moment;
use super::texts::Texts;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::rest::labels::subject_of;

/// Entries of each kind that are shown.
const ENTRIES_MAX: u32 = 30;

/// What people did to a version, newest first.
pub(super) struct History {
    pub(super) changes: Vec<ChangeRow>,
    /// Absent for those who may not read the audit record.
    pub(super) audit: Option<Vec<AuditRow>>,
}

/// A change of a label.
pub(super) struct ChangeRow {
    pub(super) key: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) at: Moment,
    pub(super) by: String,
    pub(super) reason: Option<String>,
}

/// An entry of the audit record.
pub(super) struct AuditRow {
    pub(super) at: Moment,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) detail: String,
}

impl History {
    pub(super) async fn look(
        read: &mut dyn Read,
        t: &Texts,
        caller: &Caller,
        application: &ApplicationName,
        version: &PackageVersion,
    ) -> Result<Self, ApiError> {
        let now = Utc::now();
        let changes = read.label_history(version.id, None, ENTRIES_MAX).await?;
        let audit = match caller.may(Role::Operator, None) {
            true => {
                let subject = subject_of(application, version);
                let entries = read.audit_list(Some(&subject), None, ENTRIES_MAX).await?;
                Some(entries.into_iter().map(|entry| audit_row(t, entry, now)).collect())
            }
            false => None,
        };
        Ok(Self { changes: changes.into_iter().map(|change| change_row(t, change, now)).collect(), audit })
    }
}

fn change_row(t: &Texts, change: LabelChanged, now: DateTime<Utc>) -> ChangeRow {
    ChangeRow {
        key: change.key.to_string(),
        from: change.from.map(|value| value.to_string()),
        to: change.to.map(|value| value.to_string()),
        at: Moment::new(t, change.at, now),
        by: change.by,
        reason: change.reason,
    }
}

fn audit_row(t: &Texts, entry: AuditEntry, now: DateTime<Utc>) -> AuditRow {
    AuditRow {
        at: Moment::new(t, entry.at, now),
        actor: entry.actor,
        action: entry.action,
        detail: entry.detail.to_string(),
    }
}
