//! What the HTTP side is told of channels.

use async_trait::async_trait;
use slipway_records::noticing::{NoticeChannel, Noticing};
use slipway_types::Fault;
use slipway_types::id::NoticeId;
use slipway_types::name::NoticeChannelName;

use crate::Notices;
use crate::channel::Channel;
use crate::message::{Content, Message, NoticeEvent};

#[async_trait]
impl Noticing for Notices {
    fn channels(&self) -> Vec<NoticeChannel> {
        self.channels.iter().map(shown).collect()
    }

    async fn test(&self, channel: &NoticeChannelName, by: &str) -> Option<Result<String, Fault>> {
        let channel = self.channel(channel)?;
        let message = Message { id: NoticeId::new(), content: Content::Test(by.to_owned()) };
        Some(self.send(channel, &message).await.map_err(|refusal| refusal.fault))
    }
}

fn shown(channel: &Channel) -> NoticeChannel {
    let audience = &channel.audience;
    let events = NoticeEvent::ALL.into_iter();
    let events = events.filter(|event| audience.events.is_empty() || audience.events.contains(event));
    NoticeChannel {
        name: channel.name.clone(),
        kind: channel.way.kind().word(),
        teams: audience.teams.iter().map(ToString::to_string).collect(),
        environments: audience.environments.iter().map(ToString::to_string).collect(),
        selector: audience.selector.to_string(),
        events: events.map(NoticeEvent::word).collect(),
    }
}
