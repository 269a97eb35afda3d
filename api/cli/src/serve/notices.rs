//! Notices from their configuration.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use slipway_network::Network;
use slipway_notices::{Channel, IncidentHandler, NoticeHandler, NoticeOptions, Notices, channels};
use slipway_records::noticing::CountNotices;
use slipway_records::{Lane, Records};
use slipway_secrets::Secrets;

use crate::config::{Config, Mistakes};

/// Channels that are sent to at once: they wait for the network, not for this machine.
const SENDING_SLOTS: usize = 8;

/// The channels of a configuration.
fn configured(config: &Config) -> Result<Vec<Channel>> {
    let notices = &config.notices;
    channels(&notices.channels, notices.allow_plain).context("notices.channels")
}

/// Looks at what the configuration says by itself.
pub(super) fn check(config: &Config, mistakes: &mut Mistakes) {
    mistakes.of("notices.max_per_minute", max_per_minute(config));
    for text in &config.notices.allow_private_networks {
        mistakes.of("notices.allow_private_networks", private_network(text));
    }
    mistakes.of("notices.channels", configured(config));
}

fn max_per_minute(config: &Config) -> Result<u32> {
    match config.notices.max_per_minute {
        0 => bail!("notices.max_per_minute is 0: nothing would ever be sent; give 1 or more"),
        most => Ok(most),
    }
}

fn private_network(text: &str) -> Result<ipnet::IpNet> {
    text.parse().with_context(|| {
        format!("notices.allow_private_networks: `{text}` is not a network such as 10.1.0.0/16")
    })
}

fn options(config: &Config, network: &Network) -> Result<NoticeOptions> {
    let notices = &config.notices;
    let networks = notices.allow_private_networks.iter().map(|text| private_network(text));
    Ok(NoticeOptions {
        public_url: config.public_url(),
        grace_s: notices.grace_s,
        max_per_minute: max_per_minute(config)?,
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
    counts: Arc<dyn CountNotices>,
) -> Result<Notices> {
    Ok(Notices {
        records: Arc::clone(records),
        secrets: secrets.clone(),
        channels: Arc::new(configured(config)?),
        options: Arc::new(options(config, network)?),
        counts,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn checked(key: &str, value: &str) -> Result<()> {
        let variable = (format!("SLIPWAY__NOTICES__{key}"), value.to_owned());
        let (layered, mut mistakes) = config::read(None, std::iter::once(variable), vec![])?;
        check(&layered.config, &mut mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes.into()) }
    }

    #[test]
    fn channels_are_checked_with_the_configuration_and_their_secrets_are_the_servers_own() {
        checked("GRACE_S", "0").unwrap();
        let slack =
            r#"[{name = "ops", kind = "slack", url = "secret://builtin/notices/ops", events = ["failed"]}]"#;
        checked("CHANNELS", slack).unwrap();
        let variable = ("SLIPWAY__NOTICES__CHANNELS".to_owned(), slack.to_owned());
        let config = config::load(None, std::iter::once(variable), vec![]).unwrap().config;
        let held: Vec<String> = config.secrets_held().iter().map(ToString::to_string).collect();
        assert_eq!(held, ["secret://builtin/notices/ops"]);
        for (key, value, part) in [
            ("MAX_PER_MINUTE", "0", "notices.max_per_minute"),
            ("ALLOW_PRIVATE_NETWORKS", "10.0.0.0/99", "notices.allow_private_networks"),
            ("CHANNELS", r#"[{name = "ops", kind = "pigeon"}]"#, "notices.channels"),
            ("CHANNELS", r#"[{name = "ops", kind = "slack", channel = "x"}]"#, "channel"),
            ("CHANNELS", r#"[{name = "ops", kind = "slack", url = "https://t0ken"}]"#, "channel `ops`: url"),
        ] {
            let message = format!("{:#}", checked(key, value).unwrap_err());
            assert!(message.contains(part) && !message.contains("t0ken"), "{message}");
        }
    }
}
