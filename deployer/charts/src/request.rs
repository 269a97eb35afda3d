//! What is to be rendered, and for whom.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::Violation;

use crate::options::ChartOptions;
use crate::secrets::SecretScope;

/// Files of a component package by their path from its top.
pub type ChartFiles = BTreeMap<String, Vec<u8>>;

/// The cluster that a component is rendered for.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its version, e.g. `1.30.2`.
    pub version: String,
    /// What it has: `apps/v1` and `apps/v1/Deployment`.
    pub apis: BTreeSet<String>,
    /// Those of its kinds that are in no namespace, as `GROUP/VERSION/KIND`. Kinds of Kubernetes itself are
    /// known without.
    pub cluster_scoped: BTreeSet<String>,
}

/// What charts and kustomizations need alike.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The component's path in violations, e.g. `components[cache]`.
    pub path: &'a str,
    /// The files of its package.
    pub files: &'a ChartFiles,
    /// Where its objects belong.
    pub namespace: &'a str,
    /// The cluster.
    pub target: &'a Target,
    /// Whose secrets the data of rendered Secrets become.
    pub scope: &'a SecretScope,
    /// Values that no error, note or object may show.
    pub secrets: &'a [SecretString],
}

/// Data of a Secret that the chart makes up anew in each rendering, and of which the first is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedSecret {
    /// The name of the Secret.
    pub secret: String,
    /// The key in its data.
    pub key: String,
}

/// A chart to be rendered. `Chart.yaml` lies at the top of the files.
#[derive(Debug, Clone, Copy)]
pub struct HelmRequest<'a> {
    /// What kustomizations need as well.
    pub component: Request<'a>,
    /// The release's name.
    pub release: &'a str,
    /// The values over those of the chart, secrets in them resolved and named in `component.secrets`. They
    /// never stand in an argument or a file.
    pub values: &'a Value,
    /// The property `generatedSecrets`.
    pub generated_secrets: &'a [GeneratedSecret],
}

/// A kustomization to be built.
#[derive(Debug, Clone, Copy)]
pub struct KustomizeRequest<'a> {
    /// What charts need as well.
    pub component: Request<'a>,
    /// The directory of the kustomization; `""` is the package's top.
    pub directory: &'a str,
}

/// Objects that stand in files as they are.
#[derive(Debug, Clone, Copy)]
pub struct FilesRequest<'a> {
    /// What charts need as well.
    pub component: Request<'a>,
    /// The files, in the order of their objects. Each has YAML or JSON.
    pub paths: &'a [String],
}

impl Request<'_> {
    /// A violation of the component's property `property`.
    pub(crate) fn property(&self, code: &str, property: &str, message: impl Into<String>) -> Violation {
        Violation::new(code, format!("{}.properties.{property}", self.path), message)
    }

    /// A violation of the component as a whole.
    pub(crate) fn whole(&self, code: &str, message: impl Into<String>) -> Violation {
        Violation::new(code, self.path, message)
    }

    /// What forbids to unpack the files.
    pub(crate) fn check_files(&self, options: &ChartOptions) -> Vec<Violation> {
        let mut found = Vec::new();
        let bytes: usize = self.files.values().map(Vec::len).sum();
        if bytes > options.max_chart_bytes {
            let limit = options.max_chart_bytes;
            let message = format!("its files have {bytes} bytes together, `max_chart_bytes` is {limit}");
            found.push(self.whole("chart_too_large", message).hint("leave out what is not rendered"));
        }
        if self.files.len() > options.max_files {
            let (is, limit) = (self.files.len(), options.max_files);
            let message = format!("it has {is} files, `max_files` is {limit}");
            found.push(self.whole("chart_too_large", message).hint("leave out what is not rendered"));
        }
        for path in self.files.keys().filter(|path| !is_plain_path(path)).take(options.max_problems) {
            let message = format!("the file name {path:?} leads out of the package or is not portable");
            found.push(self.whole("invalid_file", message).hint("use plain relative paths"));
        }
        found
    }

    /// What forbids to name the target to a program.
    pub(crate) fn check_target(&self, options: &ChartOptions) -> Vec<Violation> {
        let mut found = Vec::new();
        let target = self.target;
        if !is_name(self.namespace, 63) {
            found.push(self.whole("invalid_namespace", format!("{:?} is not a namespace", self.namespace)));
        }
        if !is_kubernetes_version(&target.version) {
            let message = format!("the cluster's version {:?} is not one of Kubernetes", target.version);
            found
                .push(self.whole("invalid_target", message).hint("check the cluster again: `cluster check`"));
        }
        let odd = |api: &&String| {
            api.is_empty()
                || api.len() > 300
                || !api.bytes().all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b))
                || api.starts_with('-')
        };
        if target.apis.len() > options.max_apis {
            let (is, limit) = (target.apis.len(), options.max_apis);
            found.push(
                self.whole("invalid_target", format!("the cluster has {is} APIs, `max_apis` is {limit}")),
            );
        } else if let Some(api) = target.apis.iter().find(odd) {
            found.push(self.whole("invalid_target", format!("{api:?} is not an API of a cluster")));
        }
        found
    }
}

/// Relative, and nothing in it that some system understands otherwise.
fn is_plain_path(path: &str) -> bool {
    path.len() <= 1024
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
}

/// A DNS label, or several of them with dots if `max` allows for it.
pub(crate) fn is_name(name: &str, max: usize) -> bool {
    let is_part = |part: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && edge(part.bytes().next())
            && edge(part.bytes().last())
    };
    name.len() <= max && name.split('.').all(is_part)
}

fn is_kubernetes_version(version: &str) -> bool {
    let plain = version.strip_prefix('v').unwrap_or(version);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let parts: Vec<&str> = numbers.split('.').collect();
    (2..=3).contains(&parts.len())
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.len() <= 5 && part.bytes().all(|b| b.is_ascii_digit()))
        && rest.len() <= 100
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_clusters_are_told_from_arguments() {
        for good in ["1.30", "v1.20.2", "1.27.3-gke.100", "1.20.11-aliyun.1+abc"] {
            assert!(is_kubernetes_version(good), "{good}");
        }
        for bad in ["", "1", "--debug", "1.30 --post-renderer=x", "1.x", "1.2.3.4"] {
            assert!(!is_kubernetes_version(bad), "{bad}");
        }
    }

    #[test]
    fn paths_stay_inside() {
        for bad in ["../x", "/etc/x", "a//b", "a/./b", "a\\b", ""] {
            assert!(!is_plain_path(bad), "{bad}");
        }
        assert!(is_plain_path("charts/a/templates/_b.tpl"));
    }
}
