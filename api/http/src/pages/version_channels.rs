//! Putting a bundle on a channel, with the reason why.

use slipway_records::{Application, Channel, Environment, PackageVersion};
use slipway_types::name::ChannelName;
use slipway_types::{ApplicationName, Role, Version};

use super::forms::Fields;
use super::frame::Choice;
use super::texts::Said;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::rest::channels::{self, ChannelTarget};
use crate::rest::following::role_of_channel;
use crate::rest::precondition::Precondition;
use crate::state::ServerState;

/// The form.
pub(super) struct ChannelPart {
    pub(super) action: String,
    /// The channels that may be moved here, each with what it names now.
    pub(super) channels: Vec<Choice>,
    pub(super) new: String,
    pub(super) reason: String,
    pub(super) refusal: Option<Said>,
}

/// What the form asks for, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AskedChannel {
    /// `NAME=VERSION`: a channel, and what it was seen to name.
    channel: String,
    new: String,
    reason: String,
    /// Why it was refused.
    refusal: Option<Said>,
}

impl AskedChannel {
    pub(super) fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        Self { channel: text("channel"), new: text("new_channel"), reason: text("reason"), refusal: None }
    }

    /// The same, refused for that reason.
    #[must_use]
    pub(super) fn refused(self, why: Said) -> Self {
        Self { refusal: Some(why), ..self }
    }

    fn target(&self, version: Version) -> Result<(ChannelName, ChannelTarget), ApiError> {
        let bad = |field: &str, why: &dyn std::fmt::Display| {
            ApiError::bad_request("bad_body", format!("{field}: {why}"))
        };
        let (field, name, seen) = match self.channel.split_once('=') {
            Some((name, seen)) => ("channel", name, Some(seen)),
            None => ("new_channel", self.new.as_str(), None),
        };
        if seen.is_some() && !self.new.is_empty() {
            return Err(bad("new_channel", &"leave it empty to move a channel that there is"));
        }
        let name: ChannelName = name.parse().map_err(|error| bad(field, &error))?;
        let seen = seen.map(str::parse::<Version>).transpose().map_err(|error| bad(field, &error))?;
        if self.reason.is_empty() {
            return Err(bad("reason", &"say why: it stays in the channel's history"));
        }
        let reason = Some(self.reason.clone());
        Ok((name, ChannelTarget { version, if_current: Precondition::Current(seen), reason }))
    }
}

/// Moves or makes the channel as the API does, if it still names what was seen.
pub(super) async fn put(
    state: &ServerState,
    caller: &Caller,
    (application, version): (ApplicationName, Version),
    asked: &AskedChannel,
) -> Result<(), ApiError> {
    let (name, target) = asked.target(version)?;
    let state = axum::extract::State(state.clone());
    drop(channels::put(state, caller.clone(), Path((application, name)), Body(target)).await?);
    Ok(())
}

impl ChannelPart {
    /// The form, for those who may put the bundle anywhere.
    pub(super) fn new(
        caller: &Caller,
        (application, version): (&Application, &PackageVersion),
        (channels, environments): (&[Channel], &[Environment]),
        action: String,
        asked: &AskedChannel,
    ) -> Option<Self> {
        if !caller.may(Role::Developer, Some(application.id)) {
            return None;
        }
        let may = |channel: &&Channel| {
            channel.version_id != version.id
                && caller.may(role_of_channel(environments, &channel.name), Some(application.id))
        };
        let choice = |channel: &Channel| {
            let value = format!("{}={}", channel.name, channel.version);
            Choice {
                text: format!("{} ({})", channel.name, channel.version),
                chosen: value == asked.channel,
                value,
            }
        };
        Some(Self {
            action,
            channels: channels.iter().filter(may).map(choice).collect(),
            new: asked.new.clone(),
            reason: asked.reason.clone(),
            refusal: asked.refusal.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(body: &str) -> Result<(ChannelName, ChannelTarget), ApiError> {
        AskedChannel::of(&Fields::read(body)).target("1.4.2".parse().unwrap())
    }

    #[test]
    fn a_channel_is_moved_from_what_was_seen_and_a_new_one_from_nothing() {
        let (name, moved) = target("channel=stable%3D1.4.1&new_channel=&reason=tested").unwrap();
        assert_eq!((name.as_str(), moved.reason.as_deref()), ("stable", Some("tested")));
        assert_eq!(moved.if_current, Precondition::Current(Some("1.4.1".parse().unwrap())));
        let (name, made) = target("channel=&new_channel=edge&reason=x").unwrap();
        assert_eq!((name.as_str(), made.if_current), ("edge", Precondition::Current(None)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, field) in [
            ("channel=&new_channel=&reason=x", "new_channel: "),
            ("channel=&new_channel=No+Name&reason=x", "new_channel: "),
            ("channel=stable%3Dx&reason=x", "channel: "),
            ("channel=stable%3D1.0.0&new_channel=edge&reason=x", "new_channel: "),
            ("channel=stable%3D1.0.0&reason=", "reason: "),
        ] {
            let Err(error) = target(body) else { panic!("{body} is taken") };
            assert!(error.detail().starts_with(field), "{body}: {}", error.detail());
        }
    }
}
