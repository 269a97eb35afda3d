//! `helm`: a chart as it is; the package holds the chart's files less what `.helmignore` names.

mod ignore;

use serde::Deserialize;

use crate::context::has_file;
use crate::kit::{KitError, Planning};
use crate::verb::Verb;
use ignore::IgnoreRules;
use slipway_yaml::{Node, Position};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {}

const CHART: &str = "Chart.yaml";
const IGNORE: &str = ".helmignore";

pub(crate) fn plan(planning: &Planning<'_>) -> Result<Vec<Verb>, KitError> {
    let With {} = planning.with()?;
    if !has_file(planning.files, CHART) {
        return Err(planning.missing(CHART).hint("`context` must be the chart's own directory"));
    }
    let documents = planning.read_yaml(CHART)?;
    let [chart] = documents.as_slice() else {
        return Err(KitError::file(CHART, None, "must hold exactly one document"));
    };
    check_chart(chart)?;
    for dependency in chart.get("dependencies").map(Node::items).unwrap_or_default() {
        check_dependency(planning, dependency)?;
    }
    let rules = ignore_rules(planning)?;
    let kept: Vec<String> =
        planning.files.paths().iter().filter(|path| !rules.ignores(path)).cloned().collect();
    if !kept.iter().any(|path| path == CHART) {
        return Err(KitError::file(IGNORE, None, "its rules leave out Chart.yaml"));
    }
    Ok(vec![planning.pack(kept, None)?])
}

fn field<'a>(chart: &'a Node, key: &str) -> Result<(&'a str, Position), KitError> {
    let Some(node) = chart.get(key) else {
        return Err(KitError::file(CHART, chart.at, format!("missing key `{key}`")));
    };
    let text = node.text().filter(|text| !text.is_empty());
    text.map(|text| (text, node.at)).ok_or_else(|| {
        KitError::file(CHART, node.at, format!("`{key}` must be text, found {}", node.kind()))
            .hint("put it in quotes")
    })
}

fn check_chart(chart: &Node) -> Result<(), KitError> {
    let (api_version, at) = field(chart, "apiVersion")?;
    if api_version != "v2" {
        return Err(KitError::file(CHART, at, format!("`apiVersion` is `{api_version}`, expected `v2`"))
            .hint("charts of Helm 2 (`v1`) are not taken"));
    }
    let (name, at) = field(chart, "name")?;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(KitError::file(CHART, at, format!("`{name}` is not a chart name")));
    }
    let (version, at) = field(chart, "version")?;
    semver::Version::parse(version).map_err(|error| {
        KitError::file(CHART, at, format!("`{version}` is not a SemVer version: {error}"))
    })?;
    Ok(())
}

/// A dependency must lie in `charts/`: nothing is fetched, so that the commit alone decides.
fn check_dependency(planning: &Planning<'_>, dependency: &Node) -> Result<(), KitError> {
    let Some(name) = dependency.get("name").and_then(Node::text) else {
        return Err(KitError::file(CHART, dependency.at, "a dependency has no `name`"));
    };
    let unpacked = format!("charts/{name}/{CHART}");
    let archive = format!("charts/{name}-");
    // `redis-cluster-1.0.0.tgz` is not an archive of `redis`: a version begins with a digit.
    let is_archive = |path: &String| {
        path.strip_prefix(&archive).and_then(|rest| rest.strip_suffix(".tgz")).is_some_and(|version| {
            !version.contains('/') && version.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    if has_file(planning.files, &unpacked) || planning.files.paths().iter().any(is_archive) {
        return Ok(());
    }
    Err(KitError::file(CHART, dependency.at, format!("the dependency `{name}` is not in charts/"))
        .hint("run `helm dependency build` and commit charts/"))
}

fn ignore_rules(planning: &Planning<'_>) -> Result<IgnoreRules, KitError> {
    let text = if has_file(planning.files, IGNORE) { planning.read(IGNORE)? } else { Vec::new() };
    let text = String::from_utf8(text).map_err(|_| KitError::file(IGNORE, None, "is not UTF-8 text"))?;
    IgnoreRules::parse(&text)
        .map_err(|error| KitError::file(IGNORE, Position { line: error.line, column: 1 }, error.message))
}
