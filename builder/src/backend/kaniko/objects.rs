//! The Secret and the Job of an attempt.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use slipway_types::id::{BuildId, CheckId, TokenId};
use slipway_types::{Digest, Fault};
use uuid::Uuid;

use super::super::context::DOCKERFILE;
use super::super::recipe::Prepared;
use super::options::KanikoOptions;
use super::overlay::merge;

/// Whose objects they are: [`KanikoOptions::owner`].
pub(super) const OWNER: &str = "slipway.dev/owner";
const BUILD: &str = "slipway.dev/build";
const CHECK: &str = "slipway.dev/check";
const ATTEMPT: &str = "slipway.dev/attempt";
/// When the Secret's token ends.
pub(super) const EXPIRES: &str = "slipway.dev/expires-at";
/// The token's id, to end it early.
pub(super) const TOKEN: &str = "slipway.dev/token-id";
/// The container whose log is the build's.
pub(super) const EXECUTOR: &str = "kaniko";
/// The container of a check.
pub(super) const CHECKER: &str = "check";
/// The init container.
pub(super) const FETCHER: &str = "fetch-context";

/// What a Job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Build(BuildId),
    Check(CheckId),
}

/// One attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) purpose: Purpose,
    pub(super) number: u32,
}

impl Attempt {
    /// The name of all its objects.
    pub(super) fn name(&self) -> String {
        match self.purpose {
            Purpose::Build(build) => format!("b-{build}-{}", self.number),
            Purpose::Check(check) => format!("c-{check}-{}", self.number),
        }
    }

    /// What its log is named by.
    pub(super) fn log(&self) -> Uuid {
        match self.purpose {
            Purpose::Build(build) => build.as_uuid(),
            Purpose::Check(check) => check.as_uuid(),
        }
    }

    /// The attempt that an object belongs to.
    pub(super) fn of(labels: Option<&BTreeMap<String, String>>) -> Option<Self> {
        let labels = labels?;
        let build = labels.get(BUILD).and_then(|id| id.parse().ok()).map(Purpose::Build);
        let check = || labels.get(CHECK).and_then(|id| id.parse().ok()).map(Purpose::Check);
        Some(Self { purpose: build.or_else(check)?, number: labels.get(ATTEMPT)?.parse().ok()? })
    }

    pub(super) fn labels(&self, options: &KanikoOptions) -> BTreeMap<String, String> {
        let mut labels = options.pod.labels.clone();
        let purpose = match self.purpose {
            Purpose::Build(build) => (BUILD.to_owned(), build.to_string()),
            Purpose::Check(check) => (CHECK.to_owned(), check.to_string()),
        };
        labels.extend([
            ("app.kubernetes.io/managed-by".to_owned(), "slipway".to_owned()),
            (OWNER.to_owned(), options.owner.clone()),
            purpose,
            (ATTEMPT.to_owned(), self.number.to_string()),
        ]);
        labels
    }
}

/// A build's own token.
pub(super) struct BuildToken {
    pub(super) id: TokenId,
    pub(super) plain: SecretString,
    pub(super) expires_at: DateTime<Utc>,
}

/// The attempt's Secret: what the executor logs in with, and the fetcher's token.
pub(super) fn secret(attempt: &Attempt, token: &BuildToken, options: &KanikoOptions) -> Secret {
    let plain = token.plain.expose_secret();
    let auth = STANDARD.encode(format!("build:{plain}"));
    let login = json!({"auths": {options.registry(): {"auth": auth}}});
    let mut data = BTreeMap::from([
        ("config.json".to_owned(), login.to_string()),
        ("token".to_owned(), plain.to_owned()),
    ]);
    if let Some(bundle) = &options.ca_bundle {
        data.insert("ca.pem".to_owned(), bundle.clone());
    }
    from(json!({
        "metadata": {
            "name": attempt.name(),
            "labels": attempt.labels(options),
            "annotations": {
                EXPIRES: token.expires_at.to_rfc3339(),
                TOKEN: token.id.to_string(),
            },
        },
        "type": "Opaque",
        "stringData": data,
    }))
    .expect("invariant: a Secret made of constants")
}

/// What a Job builds.
pub(super) struct Order<'a> {
    pub(super) attempt: &'a Attempt,
    /// Repository that it pushes to.
    pub(super) repository: &'a str,
    /// Repository of cached steps.
    pub(super) cache: String,
    /// Blob with the context, linked into `repository`.
    pub(super) context: Digest,
    pub(super) prepared: &'a Prepared,
}

/// The attempt's Job. An overlay that makes no Job of it is the operator's mistake.
pub(super) fn job(order: &Order<'_>, options: &KanikoOptions) -> Result<Job, Fault> {
    let labels = order.attempt.labels(options);
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": "Never",
            // An executor that is told to stop has nothing to save.
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "nodeSelector": options.pod.node_selector,
            "tolerations": options.pod.tolerations,
            "initContainers": [fetcher(order, options)],
            "containers": [executor(order, options)],
            "volumes": [
                {"name": "workspace", "emptyDir": {}},
                {"name": "login", "secret": {
                    "secretName": order.attempt.name(),
                    "items": login_files(options),
                }},
            ],
        },
    });
    if let Some(class) = &options.pod.priority_class {
        template["spec"]["priorityClassName"] = json!(class);
    }
    if let Some(overlay) = &options.pod.overlay {
        merge(&mut template, overlay);
    }
    let job = json!({
        "metadata": {"name": order.attempt.name(), "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": (options.deadline_ms / 1000).max(1),
            "ttlSecondsAfterFinished": options.ttl_s,
            "template": template,
        },
    });
    from(job).map_err(|error| {
        let message = format!("kaniko.pod_overlay does not fit a pod template: {error}");
        Fault::permanent("kaniko_overlay", message)
    })
}

fn login_files(options: &KanikoOptions) -> Value {
    let mut files = vec![json!({"key": "config.json", "path": "config.json"})];
    if options.ca_bundle.is_some() {
        files.push(json!({"key": "ca.pem", "path": "ca.pem"}));
    }
    Value::Array(files)
}

fn fetcher(order: &Order<'_>, options: &KanikoOptions) -> Value {
    let address = options.address.as_str().trim_end_matches('/');
    let from = format!("{address}/v2/{}/blobs/{}", order.repository, order.context);
    let mut command = vec!["slipway".to_owned(), "fetch-context".to_owned(), from];
    command.extend(["--to".to_owned(), "/workspace".to_owned()]);
    if options.ca_bundle.is_some() {
        command.extend(["--ca-bundle".to_owned(), "/login/ca.pem".to_owned()]);
    }
    json!({
        "name": FETCHER,
        "image": options.slipway_image,
        "command": command,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [
            {"name": "SLIPWAY_TOKEN", "valueFrom": {"secretKeyRef": {
                "name": order.attempt.name(), "key": "token",
            }}},
            // It gives up, and says why, before its time to start is over.
            {"name": "SLIPWAY_FETCH_WITHIN_MS", "value": (options.start_timeout_ms / 2).to_string()},
        ],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "workspace", "mountPath": "/workspace"},
            {"name": "login", "mountPath": "/login", "readOnly": true},
        ],
    })
}

fn executor(order: &Order<'_>, options: &KanikoOptions) -> Value {
    json!({
        "name": EXECUTOR,
        "image": options.image,
        "args": arguments(order, options),
        // The digest if it ends well, else the end of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": options.pod.requests, "limits": options.pod.limits},
        // What it takes to unpack an image and to run its commands as their users.
        "securityContext": {
            "runAsUser": 0,
            "allowPrivilegeEscalation": false,
            "capabilities": {
                "drop": ["ALL"],
                "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL"],
            },
        },
        "volumeMounts": [
            {"name": "workspace", "mountPath": "/workspace", "readOnly": true},
            {"name": "login", "mountPath": "/kaniko/.docker", "readOnly": true},
        ],
    })
}

fn arguments(order: &Order<'_>, options: &KanikoOptions) -> Vec<String> {
    let registry = options.registry();
    let mut arguments = vec![
        "--context=dir:///workspace".to_owned(),
        format!("--dockerfile=/workspace/{DOCKERFILE}"),
        format!("--destination={registry}/{}:{}", order.repository, order.attempt.name()),
        "--digest-file=/dev/termination-log".to_owned(),
        "--push-retry=3".to_owned(),
        "--image-download-retry=3".to_owned(),
        "--image-fs-extract-retry=2".to_owned(),
        "--snapshot-mode=redo".to_owned(),
        "--ignore-path=/product_uuid".to_owned(),
    ];
    if options.address.scheme() == "http" {
        arguments.push(format!("--insecure-registry={registry}"));
    }
    if options.ca_bundle.is_some() {
        arguments.push(format!("--registry-certificate={registry}=/kaniko/.docker/ca.pem"));
    }
    if let Some(days) = options.cache_days {
        arguments.push("--cache=true".to_owned());
        arguments.push(format!("--cache-ttl={}h", 24 * u64::from(days)));
        arguments.push(format!("--cache-repo={registry}/{}", order.cache));
        arguments.push("--compressed-caching=false".to_owned());
    }
    if let Some(target) = &order.prepared.parameters.target {
        arguments.push(format!("--target={target}"));
    }
    let given = order.prepared.arguments.iter();
    arguments.extend(given.map(|(name, value)| format!("--build-arg={name}={value}")));
    arguments.extend(options.flags.iter().cloned());
    arguments
}

pub(super) fn from<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}
