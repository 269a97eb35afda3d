//! `Chart.yaml`: what a chart says of itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use slipway_types::{Place, Violation};
use slipway_yaml::{Dialect, Node, References, YamlOptions};

use crate::rendered::Note;
use crate::request::{ChartFiles, Request};

const CHART: &str = "Chart.yaml";
/// Where charts of Helm 2 say what they depend on.
const REQUIREMENTS: &str = "requirements.yaml";

/// What is known of a chart before it renders.
#[derive(Debug, Default)]
pub(crate) struct Chart {
    /// Its name, which its templates' paths begin with.
    pub(crate) name: String,
    deprecated: bool,
    dependencies: Vec<(String, Place)>,
}

impl Chart {
    /// Reads `Chart.yaml`, and tells all that is wrong with it.
    pub(crate) fn read(request: &Request<'_>) -> (Self, Vec<Violation>) {
        let mut reading = Reading { request, found: Vec::new(), chart: Self::default() };
        match document(request.files, CHART) {
            Ok(Some(node)) => reading.chart(&node),
            Ok(None) => reading.found.push(
                request
                    .whole("invalid_chart", "there is no Chart.yaml at the package's top")
                    .hint("the component's `context` must be the chart's own directory"),
            ),
            Err((message, place)) => reading.wrong(message, place),
        }
        match document(request.files, REQUIREMENTS) {
            Ok(Some(node)) => reading.dependencies(&node, REQUIREMENTS),
            Ok(None) => {}
            Err((message, place)) => reading.wrong(message, place),
        }
        (reading.chart, reading.found)
    }

    pub(crate) fn notes(&self) -> Vec<Note> {
        if !self.deprecated {
            return Vec::new();
        }
        let message = format!("the chart `{}` says that it is deprecated", self.name);
        vec![Note { at: Some(place(CHART, None)), code: "chart_deprecated".to_owned(), message }]
    }

    /// What must lie in `charts/` and does not: nothing is fetched. `files` are those of the chart, with
    /// archives unpacked.
    pub(crate) fn check_dependencies(
        &self,
        files: &BTreeMap<String, Cow<'_, [u8]>>,
        request: &Request<'_>,
    ) -> Vec<Violation> {
        let is_direct = |path: &str| {
            path.strip_prefix("charts/")
                .and_then(|rest| rest.strip_suffix("/Chart.yaml"))
                .is_some_and(|directory| !directory.contains('/'))
        };
        let charts = files.iter().filter(|(path, _)| is_direct(path));
        let names: Vec<String> = charts
            .filter_map(|(_, bytes)| slipway_yaml::read(bytes, &options(bytes)).ok())
            .filter_map(|documents| Some(documents.first()?.get("name")?.text()?.to_owned()))
            .collect();
        let missing = self.dependencies.iter().filter(|(name, _)| !names.contains(name));
        missing
            .map(|(name, at)| {
                request
                    .whole("chart_dependency_missing", format!("the chart `{name}` is not in charts/"))
                    .at(Some(at.clone()))
                    .hint("run `helm dependency build` and commit charts/: nothing is fetched here")
            })
            .collect()
    }
}

fn options(bytes: &[u8]) -> YamlOptions {
    YamlOptions {
        max_bytes: bytes.len(),
        references: References::Followed,
        dialect: Dialect::Kubernetes,
        ..YamlOptions::default()
    }
}

fn place(file: &str, node: Option<&Node>) -> Place {
    let (line, column) = node.map_or((1, 1), |node| (node.at.line, node.at.column));
    Place { file: file.to_owned(), line, column }
}

/// The one document of a file, if the file is there.
fn document(files: &ChartFiles, file: &str) -> Result<Option<Node>, (String, Place)> {
    let Some(bytes) = files.get(file) else { return Ok(None) };
    let mut documents = slipway_yaml::read(bytes, &options(bytes)).map_err(|errors| {
        let at = errors.first().map_or(slipway_yaml::Position::START, |error| error.at);
        let message = errors.into_iter().next().map_or_else(String::new, |error| error.message);
        (message, Place { file: file.to_owned(), line: at.line, column: at.column })
    })?;
    match documents.len() {
        1 => Ok(documents.pop()),
        _ => Err(("it must hold exactly one document".to_owned(), place(file, None))),
    }
}

struct Reading<'a> {
    request: &'a Request<'a>,
    found: Vec<Violation>,
    chart: Chart,
}

impl Reading<'_> {
    fn wrong(&mut self, message: impl Into<String>, at: Place) {
        let message = format!("{}: {}", at.file, message.into());
        self.found.push(self.request.whole("invalid_chart", message).at(Some(at)));
    }

    fn chart(&mut self, node: &Node) {
        let api_version = self.text(node, "apiVersion").unwrap_or_default();
        if !api_version.is_empty() && !matches!(api_version.as_str(), "v1" | "v2") {
            self.wrong("`apiVersion` must be v1 or v2", place(CHART, node.get("apiVersion")));
        }
        let name = self.text(node, "name").unwrap_or_default();
        let is_name =
            name.len() <= 250 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_name || name.starts_with('.') {
            self.wrong("`name` is not a chart name", place(CHART, node.get("name")));
        }
        if let Some(version) = self.text(node, "version").filter(|version| !is_version(version)) {
            let shown: String = version.chars().take(60).collect();
            self.wrong(format!("`{shown}` is not a SemVer version"), place(CHART, node.get("version")));
        }
        match node.get("type").map(|kind| (kind, kind.text())) {
            None | Some((_, Some("application"))) => {}
            Some((at, Some("library"))) => {
                self.wrong("a library chart renders nothing by itself", place(CHART, Some(at)));
            }
            Some((at, _)) => self.wrong("`type` must be application", place(CHART, Some(at))),
        }
        self.chart.name = name;
        self.chart.deprecated = node.get("deprecated").is_some_and(|it| it.to_json() == true);
        if api_version == "v2" {
            self.dependencies(node, CHART);
        }
    }

    fn dependencies(&mut self, node: &Node, file: &str) {
        for dependency in node.get("dependencies").map(Node::items).unwrap_or_default() {
            let at = place(file, Some(dependency));
            match dependency.get("name").and_then(Node::text) {
                Some(name) => self.chart.dependencies.push((name.to_owned(), at)),
                None => self.wrong("a dependency has no `name`", at),
            }
        }
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.get(key).and_then(Node::text).filter(|text| !text.is_empty());
        if text.is_none() {
            let message = match node.get(key) {
                Some(other) => format!("`{key}` must be text, found {}: put it in quotes", other.kind()),
                None => format!("`{key}` is missing"),
            };
            self.wrong(message, place(CHART, node.get(key)));
        }
        text.map(str::to_owned)
    }
}

/// Helm takes versions of fewer than three numbers, and a leading `v`.
fn is_version(text: &str) -> bool {
    let plain = text.strip_prefix('v').unwrap_or(text);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    numbers.split('.').count() <= 3
        && numbers.split('.').all(is_number)
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b))
}
