//! `container.run`: a container that is run to its end.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use slipway_types::SecretReference;

/// The longest name of a run, in characters: it is a part of names of Jobs.
pub const RUN_NAME_CHARS_MAX: usize = 12;
/// The most files of a run, and their bytes together: they are one ConfigMap, which may have 1 MiB.
pub const RUN_FILES_MAX: usize = 100;
/// See [`RUN_FILES_MAX`].
pub const RUN_FILES_BYTES_MAX: usize = 768 << 10;
/// The most variables of a run.
pub const RUN_VARIABLES_MAX: usize = 256;
/// The most outputs of a run.
pub const RUN_OUTPUTS_MAX: usize = 64;
/// The most seconds a run may be given, retries included: one day.
pub const RUN_SECONDS_MAX: u64 = 86_400;
/// The most times a run may begin anew by itself.
pub const RUN_RETRIES_MAX: u32 = 10;
/// The highest user: more the API server refuses (`IsValidUserID` of `k8s.io/apimachinery/pkg/util/validation`).
pub const RUN_USER_MAX: u32 = 2_147_483_647;
/// The longest name of an output, in characters.
const OUTPUT_CHARS_MAX: usize = 63;
/// The longest reference of an image, in characters.
const IMAGE_CHARS_MAX: usize = 512;
/// What stands below these of a container's directories is the run's own or the kernel's.
const TAKEN: [&str; 5] = ["/", "/tmp", "/dev", "/proc", "/sys"];

/// A container that is run to its end: what `container.run` was given. What is absent has the default that
/// its accessor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerRun {
    /// Tells it from other runs of the instance.
    pub name: String,
    /// The image, by tag or digest.
    pub image: String,
    /// Instead of the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Instead of the image's command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
    /// Files by their path below the working directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Where it works: an empty volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// How large that volume may become, as Kubernetes writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_size: Option<String>,
    /// How long it may take in all, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// How often it begins anew by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The ServiceAccount whose token it gets; without one it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// As whom it runs; 0 is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// Whether it may write beside its volumes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub writable_root: bool,
    /// Requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Secrets of the namespace that open the image's registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<String>,
    /// Keys of the JSON object that it leaves as its termination message: outputs of the instance.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub outputs: BTreeSet<String>,
    /// Any text; another one has it run again with nothing else changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    /// It stands there, for all who may look at pods.
    Plain(String),
    /// By reference, filled in where the run's own Secret is applied.
    Secret(SecretMark),
    /// A key of a Secret that the namespace has.
    Key(KeyOfSecret),
}

/// What `secret.ref` returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretMark {
    /// The reference.
    #[serde(rename = "$secret")]
    pub reference: SecretReference,
}

/// A key of a Secret of the namespace, as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyOfSecret {
    /// Which.
    #[serde(rename = "secretKeyRef")]
    pub secret_key_ref: SecretKey,
}

/// Which key of which Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Requests and limits of a container, by resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What is set aside for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What it may not exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

impl ContainerRun {
    /// Where it works; `/work` if nothing is said.
    pub fn workdir(&self) -> &str {
        self.workdir.as_deref().unwrap_or("/work")
    }

    /// How large its volume may become; 1 GiB if nothing is said.
    pub fn work_size(&self) -> &str {
        self.work_size.as_deref().unwrap_or("1Gi")
    }

    /// How long it may take in all, in seconds; 10 minutes if nothing is said.
    pub fn deadline_seconds(&self) -> u64 {
        self.deadline_seconds.unwrap_or(600)
    }

    /// How often it begins anew by itself; never if nothing is said.
    pub fn retries(&self) -> u32 {
        self.retries.unwrap_or(0)
    }

    /// As whom it runs; nobody in particular if nothing is said.
    pub fn user(&self) -> u32 {
        self.user.unwrap_or(65_532)
    }

    /// Its requests and limits; a tenth of a core and at most 512 MiB if nothing is said.
    pub fn resources(&self) -> Resources {
        let amounts = |pairs: [(&str, &str); 2]| {
            pairs.into_iter().map(|(name, amount)| (name.to_owned(), amount.to_owned())).collect()
        };
        self.resources.clone().unwrap_or_else(|| Resources {
            requests: amounts([("cpu", "100m"), ("memory", "128Mi")]),
            limits: amounts([("cpu", "1"), ("memory", "512Mi")]),
        })
    }

    /// The first thing that is wrong with it, in words; the field stands in front.
    pub fn fault(&self) -> Option<String> {
        let of_name = (!is_run_name(&self.name)).then(|| {
            format!("`name`: at most {RUN_NAME_CHARS_MAX} lower-case letters, digits and `-`, a letter first")
        });
        let image = &self.image;
        let is_image = !image.is_empty()
            && image.len() <= IMAGE_CHARS_MAX
            && !image.contains(|c: char| c.is_whitespace() || c.is_control());
        let of_image = (!is_image).then(|| "`image`: is no reference of an image".to_owned());
        of_name
            .or(of_image)
            .or_else(|| self.fault_of_variables())
            .or_else(|| self.fault_of_files())
            .or_else(|| self.fault_of_limits())
            .or_else(|| self.fault_of_outputs())
    }

    fn fault_of_variables(&self) -> Option<String> {
        if self.env.len() > RUN_VARIABLES_MAX {
            return Some(format!("`env`: at most {RUN_VARIABLES_MAX} variables"));
        }
        self.env.iter().find_map(|(name, value)| {
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name {
                return Some(format!("`env`: `{name}` is no name of a variable"));
            }
            // It would stand in the pod as it is.
            matches!(value, Variable::Plain(text) if text.starts_with("secret://")).then(|| {
                format!("`env`: `{name}` is a reference to a secret: give what `secret.ref` returns")
            })
        })
    }

    fn fault_of_files(&self) -> Option<String> {
        let workdir = self.workdir();
        let is_below = |taken: &&str| workdir == *taken || workdir.starts_with(&format!("{taken}/"));
        if !is_plain_path(workdir.strip_prefix('/').unwrap_or_default()) || TAKEN.iter().any(is_below) {
            return Some(format!("`workdir`: `{workdir}` must be a directory of its own, such as /work"));
        }
        let bytes: usize = self.files.values().map(String::len).sum();
        if self.files.len() > RUN_FILES_MAX || bytes > RUN_FILES_BYTES_MAX {
            return Some(format!(
                "`files`: at most {RUN_FILES_MAX} files of {RUN_FILES_BYTES_MAX} bytes together"
            ));
        }
        let wrong = self.files.keys().find(|path| !is_plain_path(path))?;
        Some(format!("`files`: `{wrong}` must be relative and stay inside the working directory"))
    }

    fn fault_of_limits(&self) -> Option<String> {
        if !(1..=RUN_SECONDS_MAX).contains(&self.deadline_seconds()) {
            return Some(format!("`deadline_seconds`: expected 1 to {RUN_SECONDS_MAX}"));
        }
        if self.user() > RUN_USER_MAX {
            return Some(format!("`user`: expected 0 to {RUN_USER_MAX}"));
        }
        (self.retries() > RUN_RETRIES_MAX).then(|| format!("`retries`: expected 0 to {RUN_RETRIES_MAX}"))
    }

    fn fault_of_outputs(&self) -> Option<String> {
        if self.outputs.len() > RUN_OUTPUTS_MAX {
            return Some(format!("`outputs`: at most {RUN_OUTPUTS_MAX}"));
        }
        let wrong = self.outputs.iter().find(|name| !is_output_name(name))?;
        Some(format!("`outputs`: `{wrong}` is no name: use letters, digits, `_` and `-`, a letter first"))
    }
}

fn is_run_name(name: &str) -> bool {
    name.len() <= RUN_NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_output_name(name: &str) -> bool {
    name.len() <= OUTPUT_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether a relative path names something below where it begins.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(|c: char| c.is_control() || c == '\\' || c == ':')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(more: &Value) -> ContainerRun {
        let mut given = json!({"name": "apply", "image": "i:1"});
        for (key, value) in more.as_object().unwrap() {
            given[key] = value.clone();
        }
        serde_json::from_value(given).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_field() {
        assert_eq!(run(&json!({})).fault(), None);
        let whole = json!({
            "env": {"A_1": "x", "T": {"$secret": "secret://builtin/t"},
                "K": {"secretKeyRef": {"name": "aws", "key": "id"}}},
            "files": {"main.tf": "", "modules/a/.hidden.tf": ""},
            "outputs": ["host", "read_only-host"],
            "workdir": "/srv/work",
        });
        assert_eq!(run(&whole).fault(), None);
        for (more, field) in [
            (json!({"name": "Apply"}), "`name`"),
            (json!({"name": "a".repeat(13)}), "`name`"),
            (json!({"image": "a b"}), "`image`"),
            (json!({"env": {"a-b": "x"}}), "`env`: `a-b`"),
            (json!({"env": {"T": "secret://builtin/t"}}), "`env`: `T` is a reference"),
            (json!({"files": {"../x": ""}}), "`files`: `../x`"),
            (json!({"files": {"/x": ""}}), "`files`: `/x`"),
            (json!({"files": {"x": "y".repeat(RUN_FILES_BYTES_MAX + 1)}}), "`files`: at most"),
            (json!({"workdir": "work"}), "`workdir`"),
            (json!({"workdir": "/tmp/a"}), "`workdir`"),
            (json!({"workdir": "/"}), "`workdir`"),
            (json!({"deadline_seconds": 0}), "`deadline_seconds`"),
            (json!({"retries": 11}), "`retries`"),
            (json!({"user": 2_147_483_648_u32}), "`user`"),
            (json!({"outputs": ["1st"]}), "`outputs`: `1st`"),
        ] {
            let fault = run(&more).fault().unwrap_or_default();
            assert!(fault.starts_with(field), "{more}: {fault}");
        }
    }

    #[test]
    fn defaults_are_not_written_down() {
        let plain = json!({"name": "apply", "image": "i:1"});
        assert_eq!(serde_json::to_value(run(&json!({}))).unwrap(), plain);
    }
}
