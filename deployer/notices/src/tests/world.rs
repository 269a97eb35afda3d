//! Records with an application in an environment, a service that takes notices, and a mail server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use slipway_records::incident::follow;
use slipway_records::noticing::CountNotices;
use slipway_records::{
    Application, Deployment, DeploymentCause, Environment, Incident, IncidentFilter, NewSource,
    NoticeDelivery, Page, Records, SourceKind,
};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::{SecretOptions, Secrets};
use slipway_types::environment::EnvironmentSettings;
use slipway_types::id::{DeploymentId, VersionId};
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Fault};
use tempfile::TempDir;

use crate::settings::ChannelSettings;
use crate::{NoticeOptions, Notices, channels};

pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Channels of settings in JSON.
pub(super) fn settings(written: &Value) -> Vec<ChannelSettings> {
    serde_json::from_value(written.clone()).unwrap()
}

/// Options that let tests reach this machine and lose no time.
pub(super) fn here() -> NoticeOptions {
    NoticeOptions {
        public_url: "https://slipway.example.com".into(),
        grace_s: 0,
        retry_pause_ms: 0,
        allow_plain: true,
        allow_private_addresses: vec!["127.0.0.0/8".parse().unwrap()],
        ..NoticeOptions::default()
    }
}

/// What was counted, by kind and outcome.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<(&'static str, &'static str), usize>>);

impl Counts {
    pub(super) fn of(&self, kind: &'static str, outcome: &'static str) -> usize {
        self.0.lock().unwrap().get(&(kind, outcome)).copied().unwrap_or_default()
    }
}

impl CountNotices for Counts {
    fn count(&self, kind: &'static str, outcome: &'static str, notices: usize) {
        *self.0.lock().unwrap().entry((kind, outcome)).or_default() += notices;
    }
}

/// `commerce/shop` in `prod`.
pub(super) struct World {
    pub(super) notices: Notices,
    pub(super) application: Application,
    pub(super) environment: Environment,
    pub(super) counts: Arc<Counts>,
    _directory: TempDir,
}

impl World {
    pub(super) async fn new(written: Value, options: NoticeOptions) -> Self {
        // Another test may have installed it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("records.db");
        let records = SqliteRecords::open(&path, SqliteOptions::default()).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(records);
        let key_file = directory.path().join("secret.key");
        let secrets = SecretOptions { key_file, ..SecretOptions::default() };
        let secrets = Secrets::new(Arc::clone(&records), secrets).unwrap();
        secrets.set("key", &SecretString::from(KEY.to_owned()), "ann").await.unwrap();
        let mut tx = records.begin().await.unwrap();
        let source = NewSource {
            name: "shop".parse().unwrap(),
            kind: SourceKind::Builtin,
            credential: None,
            poll_interval_s: 300,
        };
        let source = tx.source_insert(source).await.unwrap();
        let application =
            tx.application_insert(&"commerce/shop".parse().unwrap(), source.id, "").await.unwrap();
        let settings_of = EnvironmentSettings {
            labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
            ..EnvironmentSettings::default()
        };
        let address = "eu/kind/shop".parse().unwrap();
        let environment =
            tx.environment_insert(&"prod".parse().unwrap(), &address, &settings_of, "ann").await.unwrap();
        tx.commit().await.unwrap();
        let counts = Arc::new(Counts::default());
        let notices = Notices {
            records,
            secrets,
            channels: Arc::new(channels(&settings(&written), options.allow_plain).unwrap()),
            options: Arc::new(options),
            counts: Arc::clone(&counts) as Arc<dyn CountNotices>,
        };
        Self { notices, application, environment, counts, _directory: directory }
    }

    /// A deployment that progresses.
    pub(super) fn deployment(&self, generation: u64) -> Deployment {
        Deployment {
            id: DeploymentId::new(),
            application_id: self.application.id,
            environment_id: self.environment.id,
            generation,
            bundle_id: VersionId::new(),
            bundle_version: "1.4.2".parse().unwrap(),
            bundle_digest: Digest::of("bundle"),
            lock: Digest::of("lock"),
            choice: json!({}),
            cause: DeploymentCause::Deploy,
            created_by: "ann".into(),
            document: None,
            revision: None,
            predecessor: None,
            violations: Vec::new(),
            notes: Vec::new(),
            state: DeploymentState::Progressing { blocker: None },
            row_version: 1,
            created_at: chrono::Utc::now(),
            frozen_at: None,
            handed_off_at: None,
            live_at: None,
            finished_at: None,
        }
    }

    /// Moves a deployment, and tells what is to be told of it.
    pub(super) async fn moves(&self, deployment: &mut Deployment, state: DeploymentState) {
        let was = std::mem::replace(&mut deployment.state, state);
        let mut tx = self.notices.records.begin().await.unwrap();
        follow(tx.as_mut(), &was, deployment).await.unwrap();
        tx.commit().await.unwrap();
        for incident in self.incidents().await {
            // What must last to be told is waited for.
            drop(self.notices.spread(incident.id, chrono::Utc::now()).await);
        }
    }

    /// A deployment that fails, in an incident of its own.
    pub(super) async fn failure(&self, generation: u64) {
        let mut deployment = self.deployment(generation);
        self.moves(&mut deployment, failed()).await;
        self.moves(&mut deployment, DeploymentState::Live).await;
    }

    pub(super) async fn incidents(&self) -> Vec<Incident> {
        let mut read = self.notices.records.read().await.unwrap();
        read.incident_list(&IncidentFilter::default(), Page::first(1000)).await.unwrap()
    }

    /// Every notice there is, those of older incidents first.
    pub(super) async fn told(&self) -> Vec<NoticeDelivery> {
        let mut told = Vec::new();
        for incident in self.incidents().await.iter().rev() {
            let mut read = self.notices.records.read().await.unwrap();
            told.extend(read.notices_of(incident.id).await.unwrap());
        }
        told
    }
}

pub(super) fn failed() -> DeploymentState {
    DeploymentState::Failed {
        node: Some("web".into()),
        fault: Fault::permanent("image", "web: no such image"),
    }
}

/// What a service was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A service in this process: answers one after the other, the last one for ever.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    pub(super) async fn start(answers: Vec<(u16, &'static str)>) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answers) = (Arc::clone(&kept), answers.clone());
            async move { take(request, &kept, &answers).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn take(request: Request, kept: &Mutex<Vec<Asked>>, answers: &[(u16, &'static str)]) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let count = {
        let mut kept = kept.lock().unwrap();
        kept.push(Asked { query, headers: parts.headers, body });
        kept.len()
    };
    let (status, text) = answers[(count - 1).min(answers.len() - 1)];
    (StatusCode::from_u16(status).unwrap(), text).into_response()
}
