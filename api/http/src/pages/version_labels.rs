//! Labels of a bundle or package: shown, and changed in place by those who may, with the reason why.

use slipway_records::{Application, Environment, PackageVersion};
use slipway_types::label::{LabelKey, LabelOrigin, LabelValue};
use slipway_types::{ApplicationName, ComponentName, Role, Version};

use super::address;
use super::bundle_filter::BundleFilter;
use super::forms::Fields;
use super::texts::Said;
use crate::auth::Caller;
use crate::problem::ApiError;
use crate::rest::following::role_of_label;
use crate::rest::labels::{self, Place, Wish};
use crate::rest::precondition::Precondition;
use crate::state::ServerState;

/// The labels of a version.
pub(super) struct LabelsPart {
    /// Where changes are sent.
    pub(super) action: String,
    pub(super) people: Vec<PeopleLabel>,
    /// Those of developers and of the server: they came with the version.
    pub(super) born: Vec<BornLabel>,
    pub(super) may_add: bool,
    /// A new label that was refused.
    pub(super) refused: Option<RefusedLabel>,
}

/// A label that people set.
pub(super) struct PeopleLabel {
    pub(super) key: String,
    pub(super) value: String,
    /// The bundles that have it.
    pub(super) address: Option<String>,
    pub(super) may_change: bool,
    /// A change of it that was refused.
    pub(super) refused: Option<RefusedLabel>,
}

/// A label that came with the version.
pub(super) struct BornLabel {
    pub(super) text: String,
    pub(super) address: Option<String>,
}

/// A change that was refused, with what was typed.
#[derive(Debug, Clone)]
pub(super) struct RefusedLabel {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) reason: String,
    pub(super) why: Said,
    is_new: bool,
}

/// What a form of labels asks for, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    key: String,
    value: String,
    reason: String,
    /// Whether there shall have been none.
    is_new: bool,
    /// Whether it shall go.
    removes: bool,
    /// The value that was seen.
    seen: String,
}

impl Asked {
    pub(super) fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        Self {
            key: text("key"),
            value: text("value"),
            reason: text("reason"),
            is_new: fields.text("new").is_some(),
            removes: fields.text("act") == Some("remove"),
            seen: fields.exact("seen").unwrap_or_default().to_owned(),
        }
    }

    /// The same, refused for that reason.
    pub(super) fn refused(self, why: Said) -> RefusedLabel {
        let Self { key, value, reason, is_new, .. } = self;
        RefusedLabel { key, value, reason, why, is_new }
    }

    fn wish(&self) -> Result<(LabelKey, Wish), ApiError> {
        let bad = |field: &str, why: &dyn std::fmt::Display| {
            ApiError::bad_request("bad_body", format!("{field}: {why}"))
        };
        let key: LabelKey = self.key.parse().map_err(|error| bad("key", &error))?;
        let value = match self.removes {
            true => None,
            false => Some(self.value.parse::<LabelValue>().map_err(|error| bad("value", &error))?),
        };
        let seen = match self.is_new {
            true => None,
            false => Some(self.seen.parse::<LabelValue>().map_err(|error| bad("seen", &error))?),
        };
        if self.reason.is_empty() {
            return Err(bad("reason", &"say why: it stays with the change"));
        }
        let reason = Some(self.reason.clone());
        Ok((key, Wish { value, reason, if_current: Precondition::Current(seen) }))
    }
}

/// Changes a label as the API does, if it still is what was seen.
pub(super) async fn change(
    state: &ServerState,
    caller: &Caller,
    (application, component, version): (ApplicationName, Option<ComponentName>, Version),
    asked: &Asked,
) -> Result<(), ApiError> {
    let (key, wish) = asked.wish()?;
    labels::change(state, caller, Place { application, component, version, key }, wish).await?;
    Ok(())
}

impl LabelsPart {
    pub(super) fn new(
        caller: &Caller,
        application: &Application,
        version: &PackageVersion,
        environments: &[Environment],
        action: String,
    ) -> Self {
        let mut part = Self {
            action,
            people: Vec::new(),
            born: Vec::new(),
            may_add: caller.may(Role::Developer, Some(application.id)),
            refused: None,
        };
        for (key, value) in &version.labels {
            let address = version.component.is_none().then(|| {
                BundleFilter::default()
                    .with_label(key, value)
                    .address(&address::application(&application.name))
            });
            if key.origin() == LabelOrigin::People {
                part.people.push(PeopleLabel {
                    key: key.to_string(),
                    value: value.to_string(),
                    address,
                    may_change: caller.may(role_of_label(environments, key), Some(application.id)),
                    refused: None,
                });
            } else {
                part.born.push(BornLabel { text: format!("{key}={value}"), address });
            }
        }
        part
    }

    /// The same with a change that was refused, beside the label it is about.
    #[must_use]
    pub(super) fn with(mut self, refused: Option<RefusedLabel>) -> Self {
        let Some(refused) = refused else { return self };
        let about = self.people.iter_mut().find(|label| !refused.is_new && label.key == refused.key);
        match about {
            Some(label) => label.refused = Some(refused),
            None => self.refused = Some(refused),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::*;

    fn asked(body: &str) -> Asked {
        Asked::of(&Fields::read(body))
    }

    #[test]
    fn a_form_says_what_it_saw() {
        let (key, wish) = asked("key=tier&value=gold&reason=paid&seen=+old").wish().unwrap();
        assert_eq!((key.as_str(), wish.value.unwrap().as_str()), ("tier", "gold"));
        assert_eq!(wish.if_current, Precondition::Current(Some(" old".parse().unwrap())));
        let (_, new) = asked("key=tier&value=&reason=x&new=yes").wish().unwrap();
        assert_eq!((new.value.unwrap().as_str(), new.if_current), ("", Precondition::Current(None)));
        let (_, gone) = asked("key=tier&value=x&reason=x&act=remove&seen=x").wish().unwrap();
        assert!(gone.value.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_what_was_typed_is_kept() {
        for (body, field) in [
            ("key=a+b&value=x&reason=x", "key: "),
            ("key=&value=x&reason=x", "key: "),
            ("key=a&value=x%0Ay&reason=x", "value: "),
            ("key=a&value=x&reason=+", "reason: "),
        ] {
            let asked = asked(body);
            let Err(error) = asked.wish() else { panic!("{body} is taken") };
            assert!(error.detail().starts_with(field), "{body}: {}", error.detail());
        }
        let refused = asked("key=<b>&value=\"&reason=why").refused(Said::own(Language::English, "no"));
        assert_eq!(
            (refused.key.as_str(), refused.value.as_str(), refused.reason.as_str()),
            ("<b>", "\"", "why")
        );
    }
}
