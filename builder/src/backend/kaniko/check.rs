//! The Secret and the Job of a check: one container of a finished image, which may do less than any build.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use slipway_records::NewToken;
use slipway_records::worker::fault_of;
use slipway_types::access::RepositoryGrant;
use slipway_types::{Fault, ImageReference};

use super::context::{TOKEN_BEYOND, base_repository};
use super::objects::{Attempt, BuildToken, CHECKER, EXPIRES, TOKEN, from};
use super::options::KanikoOptions;
use super::overlay::merge;
use super::phase::Phase;
use super::{Inner, options};
use crate::backend::{BuildError, ContainerRun, RunEnd};
use crate::pin::Pin;
use crate::target::{INTERNAL_HOST, ImageTarget};

/// What may be written below `/tmp`, which counts as memory.
const TMP_SIZE: &str = "512Mi";
/// What a pod template's overlay says of these concerns Kaniko alone.
const OF_KANIKO: [&str; 2] = ["containers", "initContainers"];

/// Where an image lies for those who pull it.
fn repository(run: &ContainerRun<'_>) -> String {
    if run.image.host == INTERNAL_HOST {
        return run.image.repository.clone();
    }
    base_repository(&format!("{}/i/check", run.application.path()))
}

impl Inner {
    /// The image as nodes pull it: from Slipway's own registry, so that no credential of another leaves
    /// the server.
    pub(super) async fn check_image(&self, run: &ContainerRun<'_>) -> Result<String, Fault> {
        let (repository, digest) = (repository(run), run.digest()?);
        let registry = self.options.pull_registry();
        if run.image.host == INTERNAL_HOST {
            return Ok(format!("{registry}/{repository}@{digest}"));
        }
        let pin = Pin {
            images: self.images.acting_for(run.application),
            target: Arc::new(ImageTarget::builtin(self.images.clone())),
        };
        let platforms = std::slice::from_ref(&self.options.platform);
        let pinned: ImageReference = run.image.pinned(digest);
        run.log.line(format!("slipway: fetching {pinned}")).await;
        let copy = pin.pin(&pinned, digest, platforms, &repository).await?;
        Ok(format!("{registry}/{repository}@{}", copy.digest))
    }

    /// A token for the attempt: it pulls this image's repository and nothing else.
    pub(super) async fn check_token(
        &self,
        attempt: &Attempt,
        run: &ContainerRun<'_>,
    ) -> Result<BuildToken, Fault> {
        let (plain, hash) = slipway_secrets::new_token();
        let lives = TimeDelta::milliseconds(i64::try_from(self.options.deadline_ms).unwrap_or(i64::MAX / 4));
        let expires_at = Utc::now() + lives + TOKEN_BEYOND;
        let token = NewToken {
            name: format!("{} {}", attempt.name(), &hash.hex()[..8]),
            hash,
            person: None,
            break_glass: false,
            role: None,
            application_id: None,
            pulls_for: None,
            grants: vec![RepositoryGrant { repository: repository(run), push: false }],
            expires_at: Some(expires_at),
        };
        let fault = |error| fault_of(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        let row = tx.token_insert(token).await.map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        Ok(BuildToken { id: row.id, plain, expires_at })
    }
}

/// The attempt's Secret: what its node pulls the image with. The container never sees it.
pub(super) fn secret(attempt: &Attempt, token: &BuildToken, options: &KanikoOptions) -> Secret {
    let auth = STANDARD.encode(format!("check:{}", token.plain.expose_secret()));
    let registry = options.pull_registry();
    let host = registry.split('/').next().unwrap_or(&registry);
    let login = json!({"auths": {host: {"auth": auth}}});
    from(json!({
        "metadata": {
            "name": attempt.name(),
            "labels": attempt.labels(options),
            "annotations": {EXPIRES: token.expires_at.to_rfc3339(), TOKEN: token.id.to_string()},
        },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": login.to_string()},
    }))
    .expect("invariant: a Secret made of constants")
}

/// The attempt's Job.
pub(super) fn job(
    attempt: &Attempt,
    run: &ContainerRun<'_>,
    image: &str,
    options: &KanikoOptions,
) -> Result<Job, Fault> {
    let labels = attempt.labels(options);
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "imagePullSecrets": [{"name": attempt.name()}],
            "nodeSelector": options.pod.node_selector,
            "tolerations": options.pod.tolerations,
            "containers": [container(run, image, options)],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP_SIZE}}],
        },
    });
    if let Some(class) = &options.pod.priority_class {
        template["spec"]["priorityClassName"] = json!(class);
    }
    if let Some(overlay) = &options.pod.overlay {
        merge(&mut template, &without_kaniko(overlay.clone()));
    }
    let longest = options.start_timeout_ms / 1000 + run.timeout.as_secs() + options::BACKSTOP_S;
    let job = json!({
        "metadata": {"name": attempt.name(), "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": longest,
            "ttlSecondsAfterFinished": options.ttl_s,
            "template": template,
        },
    });
    from(job).map_err(|error| {
        let message = format!("kaniko.pod_overlay does not fit a pod template: {error}");
        Fault::permanent("kaniko_overlay", message)
    })
}

fn without_kaniko(mut overlay: Value) -> Value {
    if let Some(spec) = overlay.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| !OF_KANIKO.contains(&key.as_str()));
    }
    overlay
}

fn container(run: &ContainerRun<'_>, image: &str, options: &KanikoOptions) -> Value {
    let env: BTreeMap<String, String> = run.variables(&options.network);
    // Kubernetes fills in `$(NAME)`; what developers wrote is meant as it stands.
    let literal = |text: &String| text.replace("$(", "$$(");
    let env: Vec<Value> =
        env.iter().map(|(name, value)| json!({"name": name, "value": literal(value)})).collect();
    let command: Vec<String> = run.command.iter().map(literal).collect();
    json!({
        "name": CHECKER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": env,
        "resources": {"requests": options.pod.requests, "limits": options.pod.limits},
        "securityContext": {
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    })
}

/// How the command ended, or what went wrong.
pub(super) fn verdict(end: Phase, run: &ContainerRun<'_>) -> Result<RunEnd, BuildError> {
    match end {
        Phase::Ended { reason, message, .. } if COULD_NOT_BEGIN.contains(&reason.as_str()) => {
            Ok(RunEnd::NotStarted { why: message })
        }
        Phase::Ended { exit_code, reason, .. } => {
            Ok(RunEnd::Exited { code: i64::from(exit_code), out_of_memory: reason == "OOMKilled" })
        }
        Phase::Deadline => {
            let limit = run.timeout.as_secs();
            Err(BuildError::TimedOut(format!("the Job ran longer than its deadline, beyond {limit} s")))
        }
        Phase::Lost(why) => Err(Fault::transient("pod_lost", why).into()),
        Phase::NotFetched { .. } | Phase::Waiting { .. } | Phase::Running { .. } => {
            Err(Fault::bug("kaniko", "a check's Job was judged before its end").into())
        }
    }
}

/// What runtimes call a program that is not there or cannot be executed.
const COULD_NOT_BEGIN: [&str; 3] = ["ContainerCannotRun", "StartError", "CreateContainerError"];

#[cfg(test)]
mod tests {
    use slipway_types::id::CheckId;
    use tokio_util::sync::CancellationToken;

    use super::super::objects::Purpose;
    use super::*;
    use crate::backend::BuildClock;
    use crate::log::LogWriter;

    #[test]
    fn a_pod_of_a_check_may_nothing_and_an_overlay_for_kaniko_changes_no_container_of_it() {
        let attempt = Attempt { purpose: Purpose::Check(CheckId::new()), number: 2 };
        let image = format!("{INTERNAL_HOST}/default/shop/i/api@{}", slipway_types::Digest::of("x"));
        let (application, image) = ("shop".parse().unwrap(), image.parse().unwrap());
        let log = LogWriter::nowhere();
        let run = ContainerRun {
            check: CheckId::new(),
            attempt: 2,
            application: &application,
            image: &image,
            command: &["/t".to_owned(), "$(HOME)".to_owned()],
            env: &BTreeMap::new(),
            timeout: std::time::Duration::from_secs(7),
            log: &log,
            resumed: false,
            clock: &BuildClock::default(),
            cancelled: CancellationToken::new(),
            stopping: CancellationToken::new(),
        };
        let overlay = json!({"spec": {"hostNetwork": false, "containers": [{"name": "kaniko"}]}});
        let mut options = KanikoOptions::default();
        options.pod.overlay = Some(overlay);
        let made = job(&attempt, &run, "r:1/x@sha256:1", &options).unwrap();
        let pod = serde_json::to_value(made.spec.unwrap().template.spec.unwrap()).unwrap();
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{pod:#}");
        let container = &pod["containers"][0];
        assert_eq!(container["command"], json!(["/t", "$$(HOME)"]));
        let security = &container["securityContext"];
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(
            (&security["readOnlyRootFilesystem"], &security["privileged"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(pod["automountServiceAccountToken"], json!(false));
        assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 1);
        assert_eq!(Attempt::of(made.metadata.labels.as_ref()), Some(attempt));
        assert!(attempt.name().starts_with("c-") && attempt.name().len() <= 63);
    }
}
