//! Notices from their configuration.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use slipway_network::Network;
use slipway_notices::{Channel, IncidentHandler, NoticeHandler, NoticeOptions, Notices, channels};
use slipway_records::{Lane, Records};
use slipway_secrets::Secrets;

use crate::config::Config;

/// Channels that are sent to at once: they wait for the network, not for this machine.
const SENDING_SLOTS: usize = 8;

/// The channels of a configuration.
fn configured(config: &Config) -> Result<Vec<Channel>> {
    let notices = &config.notices;
    channels(&notices.channels, notices.allow_plain).context("notices.channels")
}

/// Looks at what the configuration says by itself.
pub(super) fn check(config: &Config) -> Result<()> {
    options(config, &Network::default())?;
    configured(config).map(drop)
}

fn options(config: &Config, network: &Network) -> Result<NoticeOptions> {
    let notices = &config.notices;
    if notices.max_per_minute == 0 {
        bail!("notices.max_per_minute is 0: nothing would ever be sent; give 1 or more");
    }
    let networks = notices.allow_private_networks.iter().map(|text| {
        text.parse().with_context(|| {
            format!("notices.allow_private_networks: `{text}` is not a network such as 10.1.0.0/16")
        })
    });
    Ok(NoticeOptions {
        public_url: config.public_url(),
        grace_s: notices.grace_s,
        max_per_minute: notices.max_per_minute,
        allow_plain: notices.allow_plain,
        allow_private_addresses: networks.collect::<Result<_>>()?,
        network: network.clone(),
        ..NoticeOptions::default()
    })
}

/// The channels, ready to be sent to.
pub(super) fn open(
    config: &Config,
    records: &Arc<dyn Records>,
    secrets: &Secrets,
    network: &Network,
) -> Result<Notices> {
    Ok(Notices {
        records: Arc::clone(records),
        secrets: secrets.clone(),
        channels: Arc::new(configured(config)?),
        options: Arc::new(options(config, network)?),
    })
}

/// What works notices off.
pub(super) fn lanes(notices: &Notices) -> Vec<Lane> {
    vec![
        Lane {
            name: "incidents",
            handlers: vec![("incident", Arc::new(IncidentHandler { notices: notices.clone() }))],
            slots: 1,
        },
        Lane {
            name: "notices",
            handlers: vec![("notice", Arc::new(NoticeHandler { notices: notices.clone() }))],
            slots: SENDING_SLOTS,
        },
    ]
}
