//! What is counted, as Prometheus reads it.

use std::fmt;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use slipway_records::QueueDepth;
use slipway_records::noticing::CountNotices;
use slipway_records::port::ClusterLoad;

use crate::problem::ApiError;
use crate::state::ServerState;

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    kind: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    kind: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobsLabels {
    cluster: String,
    state: String,
}

/// Everything counted. One for the whole process: workers feed [`Metrics::stage`].
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_times: Family<RouteLabels, Histogram>,
    stage_times: Family<StageLabels, Histogram>,
    queue: Family<QueueLabels, Gauge>,
    oldest_ready: Family<KindLabels, Gauge>,
    refused_hooks: Counter,
    gates_broken: Counter,
    notices: Family<NoticeLabels, Counter>,
    free_bytes: Gauge,
    cluster_up: Family<ClusterLabels, Gauge>,
    cluster_jobs: Family<JobsLabels, Gauge>,
    cluster_jobs_max: Family<ClusterLabels, Gauge>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}

fn request_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.5, 12))
}

fn stage_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.05, 2.5, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("slipway");
        let metrics = Self {
            requests: Family::default(),
            request_times: Family::new_with_constructor(request_histogram),
            stage_times: Family::new_with_constructor(stage_histogram),
            queue: Family::default(),
            oldest_ready: Family::default(),
            refused_hooks: Counter::default(),
            gates_broken: Counter::default(),
            notices: Family::default(),
            free_bytes: Gauge::default(),
            cluster_up: Family::default(),
            cluster_jobs: Family::default(),
            cluster_jobs_max: Family::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request",
            "Time to the answer's head",
            Unit::Seconds,
            metrics.request_times.clone(),
        );
        registry.register_with_unit(
            "stage",
            "Time of a stage of the pipeline",
            Unit::Seconds,
            metrics.stage_times.clone(),
        );
        registry.register("queue_jobs", "Jobs by kind and state", metrics.queue.clone());
        registry.register_with_unit(
            "queue_oldest_ready",
            "Age of the oldest job that is due",
            Unit::Seconds,
            metrics.oldest_ready.clone(),
        );
        registry.register(
            "hooks_refused",
            "Webhook requests that proved nothing",
            metrics.refused_hooks.clone(),
        );
        registry.register(
            "gates_broken",
            "Deployments that somebody let past closed gates",
            metrics.gates_broken.clone(),
        );
        registry.register(
            "notices",
            "Notices by the kind of their channel and what came of a try",
            metrics.notices.clone(),
        );
        metrics.register_surroundings(&mut registry);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    fn register_surroundings(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "data_free",
            "Free space where the data directory lies",
            Unit::Bytes,
            self.free_bytes.clone(),
        );
        registry.register("kaniko_cluster_up", "Whether the cluster answers", self.cluster_up.clone());
        registry.register("kaniko_jobs", "Jobs of builds by state", self.cluster_jobs.clone());
        registry.register("kaniko_jobs_max", "Most Jobs at once", self.cluster_jobs_max.clone());
    }

    /// Free bytes where the data directory lies.
    pub fn free(&self, bytes: u64) {
        self.free_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How a cluster that runs builds does.
    pub fn cluster(&self, load: &ClusterLoad) {
        let labels = ClusterLabels { cluster: load.name.clone() };
        self.cluster_up.get_or_create(&labels).set(i64::from(load.is_up));
        self.cluster_jobs_max.get_or_create(&labels).set(count(load.max));
        for (state, jobs) in [("waiting", load.waiting), ("running", load.running)] {
            let labels = JobsLabels { cluster: load.name.clone(), state: state.to_owned() };
            self.cluster_jobs.get_or_create(&labels).set(count(jobs));
        }
    }

    /// Counts a finished stage (`plan`, `build`, `push`, `package`, …) by its outcome
    /// (`done`, `failed`, `timed_out`, …).
    pub fn stage(&self, stage: &str, outcome: &str, took: Duration) {
        let labels = StageLabels { stage: stage.to_owned(), outcome: outcome.to_owned() };
        self.stage_times.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        let labels =
            RequestLabels { route: route.clone(), method: method.to_owned(), status: u32::from(status) };
        self.requests.get_or_create(&labels).inc();
        self.request_times.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn gates_broken(&self) {
        self.gates_broken.inc();
    }

    pub(crate) fn hook_refused(&self) {
        self.refused_hooks.inc();
    }

    fn queue(&self, depths: Vec<QueueDepth>) {
        self.queue.clear();
        self.oldest_ready.clear();
        let now = Utc::now();
        for depth in depths {
            if let Some(oldest) = depth.oldest_due {
                let labels = KindLabels { kind: depth.kind.clone() };
                self.oldest_ready.get_or_create(&labels).set((now - oldest).num_seconds().max(0));
            }
            let labels = QueueLabels { kind: depth.kind, state: depth.state };
            self.queue.get_or_create(&labels).set(i64::try_from(depth.count).unwrap_or(i64::MAX));
        }
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl CountNotices for Metrics {
    fn count(&self, kind: &'static str, outcome: &'static str, notices: usize) {
        let labels = NoticeLabels { kind: kind.to_owned(), outcome: outcome.to_owned() };
        self.notices.get_or_create(&labels).inc_by(notices as u64);
    }
}

/// `/metrics`.
pub(crate) async fn page(State(state): State<ServerState>) -> Result<Response, ApiError> {
    state.metrics.queue(state.records.queue().depth().await?);
    let text = state.metrics.text().map_err(|error| ApiError::internal(&error))?;
    Ok(([(CONTENT_TYPE, CONTENT)], text).into_response())
}
