//! The image configuration: what a base says, and what each instruction changes in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize};
use slipway_types::{Digest, Platform};

use crate::dockerfile::{CommandLine, Healthcheck, duration};

/// `PATH` of images that set none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Time of everything that is assembled.
const CREATED: &str = "1980-01-01T00:00:00Z";
/// `comment` of BuildKit's history entries.
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// An image configuration (OCI image specification, with Docker's additions).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// CPU architecture.
    #[serde(default)]
    pub architecture: String,
    /// CPU variant.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system.
    #[serde(rename = "os.features", default, skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
    /// How containers run.
    #[serde(default, deserialize_with = "nullable")]
    pub config: ContainerConfig,
    /// The layers' digests, uncompressed.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How it came about.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// The layers' digests, uncompressed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// From the lowest layer up.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// How containers of an image run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the keys are those of the OCI image specification")]
pub struct ContainerConfig {
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(default, with = "keys", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// Sets as Go writes them: an object whose values are all `{}`.
mod keys {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(set.len()))?;
        for key in set {
            map.serialize_entry(key, &serde_json::json!({}))?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

/// A health check; durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the keys are those of Docker's image specification")]
pub struct HealthConfig {
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
}

/// One step of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the keys are those of the OCI image specification")]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Go writes empty slices and maps as `null`.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl ImageConfig {
    /// The configuration of `FROM scratch`.
    pub(crate) fn scratch() -> Self {
        let config = ContainerConfig {
            working_dir: "/".to_owned(),
            env: vec![format!("PATH={DEFAULT_PATH}")],
            ..ContainerConfig::default()
        };
        Self { config, ..Self::default() }
    }

    /// A stage's own copy of its base: triggers are taken out, `PATH` is there.
    pub(crate) fn start_stage(&mut self) -> Vec<String> {
        self.created = None;
        if self.config.env_value("PATH").is_none() {
            self.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        std::mem::take(&mut self.config.on_build)
    }

    /// What the image is for, and when it counts as made.
    pub(crate) fn finish(&mut self, platform: &Platform, diff_ids: Vec<Digest>) {
        let same = self.os == platform.os && self.architecture == platform.architecture;
        self.os.clone_from(&platform.os);
        self.architecture.clone_from(&platform.architecture);
        if platform.variant.is_some() || !same {
            self.variant = platform.variant.clone().unwrap_or_default();
        }
        if !same {
            self.os_version = None;
        }
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("arm64", "8" | "v8") | ("amd64", "v1") => self.variant.clear(),
            ("arm", "" | "7") => "v7".clone_into(&mut self.variant),
            _ => {}
        }
        self.created = Some(CREATED.to_owned());
        self.rootfs = RootFs { diff_ids, ..RootFs::default() };
    }

    /// Records a step; `makes_layer` says whether it has a layer of its own.
    pub(crate) fn record(&mut self, created_by: String, makes_layer: bool) {
        self.history.push(History {
            created_by: Some(created_by),
            comment: Some(HISTORY_COMMENT.to_owned()),
            empty_layer: !makes_layer,
            ..History::default()
        });
    }

    /// The words of a command line: the shell form is given to the shell.
    pub(crate) fn words(&self, line: &CommandLine) -> Vec<String> {
        match line {
            CommandLine::Exec(words) => words.clone(),
            CommandLine::Shell(text) => {
                let mut words = self.config.shell.clone();
                if words.is_empty() {
                    words = vec!["/bin/sh".to_owned(), "-c".to_owned()];
                }
                words.push(text.clone());
                words
            }
        }
    }

    pub(crate) fn set_healthcheck(&mut self, check: &Healthcheck) {
        let shown = |nanos| duration::format(nanos);
        self.record(
            format!(
                "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
                check.test.join(" "),
                shown(check.interval),
                shown(check.timeout),
                shown(check.start_period),
                shown(check.start_interval),
                check.retries
            ),
            false,
        );
        self.config.healthcheck = Some(HealthConfig {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: u64::from(check.retries),
        });
    }
}

impl ContainerConfig {
    fn env_value(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, v)| v)
    }

    /// Sets a variable in its place, or at the end if it is new.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        match self.env.iter_mut().find(|held| held.split('=').next() == Some(name)) {
            Some(held) => *held = pair,
            None => self.env.push(pair),
        }
    }
}

/// A list of words as Go's `%q` prints it.
pub(crate) fn quoted(words: &[String]) -> String {
    let quote = |word: &String| {
        let mut text = String::from("\"");
        for c in word.chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c if c.is_control() => {
                    write!(text, "\\x{:02x}", u32::from(c)).expect("invariant: a String takes any text");
                }
                c => text.push(c),
            }
        }
        text.push('"');
        text
    };
    format!("[{}]", words.iter().map(quote).collect::<Vec<_>>().join(" "))
}

/// Ports of `EXPOSE` as the configuration names them: `8080/tcp`, ranges written out.
pub(crate) fn ports(specification: &str) -> Result<Vec<String>, String> {
    let invalid = || format!("invalid port: {specification:?}");
    // Addresses and host ports are accepted, and mean nothing here.
    let container = specification.rsplit(':').next().unwrap_or(specification);
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = protocol.to_ascii_lowercase();
    let protocol = match protocol.as_str() {
        "" => "tcp",
        known @ ("tcp" | "udp" | "sctp") => known,
        _ => return Err(format!("{}: unknown protocol", invalid())),
    };
    let (start, end) = range.split_once('-').unwrap_or((range, range));
    let start: u16 = start.parse().map_err(|_| invalid())?;
    let end: u16 = end.parse().map_err(|_| invalid())?;
    if end < start {
        return Err(invalid());
    }
    Ok((start..=end).map(|port| format!("{port}/{protocol}")).collect())
}

/// Whether Docker knows the signal: a number from 1 to 64 or a name.
pub(crate) fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 33] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
        "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
        "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    ];
    if let Ok(number) = text.parse::<u8>() {
        return number > 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = name
        .strip_prefix("RTMIN+")
        .or_else(|| name.strip_prefix("RTMAX-"))
        .is_some_and(|offset| offset.parse::<u8>().is_ok_and(|offset| offset <= 15));
    NAMES.contains(&name) || real_time || matches!(name, "XFSZ" | "RTMIN" | "RTMAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_docker_writes_them() {
        assert_eq!(ports("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(ports("8000-8002").unwrap(), ["8000/tcp", "8001/tcp", "8002/tcp"]);
        for bad in ["", "x", "70000", "2-1", "1/x", "/tcp"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals_are_checked() {
        for good in ["SIGTERM", "term", "9", "RTMIN+3", "SIGRTMAX-2"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "SIGNONE", "0", "-1"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }

    #[test]
    fn a_base_written_by_go_is_read_with_its_nulls() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Volumes":null,
            "ExposedPorts":{"80/tcp":{}},"Labels":null,"Unknown":1},"container_config":{},"history":null,
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let mut config: ImageConfig = serde_json::from_str(text).unwrap();
        config.start_stage();
        assert_eq!(config.config.cmd, ["sh"]);
        config.config.set_env("PATH", "/x");
        assert_eq!(config.config.env, ["PATH=/x"]);
    }
}
