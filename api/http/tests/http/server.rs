//! A server in a temporary directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use slipway_git::{GitOptions, GitStore};
use slipway_http::{HttpOptions, Metrics, ServerParts, ServerState, router};
use slipway_objects::{Blobs, BlobsOptions};
use slipway_oci::builtin::BuiltinRegistry;
use slipway_records::composing::{Composed, Composing, Composition};
use slipway_records::defining::{
    CheckedDefinition, Defining, DefinitionSource, KnownDefinition, KnownDefinitions,
};
use slipway_records::deploying::{
    ClusterLook, ComponentInForce, DeployPlan, DeployRequest, Deploying, DeploymentOrder, ExplainedKey,
    GateView, GraphNode, HeardKind, InForce, OrderRefused, OrderTold, ReportRefused, ReportTaken, SecretName,
    SecretUser,
};
use slipway_records::failure::FoundEvent;
use slipway_records::noticing::{NoticeChannel, Noticing};
use slipway_records::port::{
    BuildPlace, BuildPlaces, KnownKit, MachineCheck, MachineFinding, PlanView, Planning, SourceCheck,
    SourceFinding,
};
use slipway_records::{
    AddonInstance, AdoptPlan, AdoptRequest, Application, Cluster, Deployment, Environment, LiveObject,
    LiveObjects, LiveState, LiveWanted, NewToken, PackageVersion, Records, Source,
};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use slipway_secrets::{SecretOptions, Secrets};
use slipway_types::access::RepositoryGrant;
use slipway_types::environment::{ClusterSettings, EnvironmentSettings};
use slipway_types::id::ApplicationId;
use slipway_types::name::{DefinitionName, NoticeChannelName};
use slipway_types::{
    Address, CommitId, DefinitionKind, Digest, Fault, ImageReference, RegistryPrefix, Role, Version,
    Violation,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) blobs: Blobs,
    pub(crate) stopping: CancellationToken,
    /// An admin's token.
    pub(crate) admin: String,
    pub(crate) directory: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// A problem with that status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["request_id"].is_string(), "{problem}");
        problem
    }
}

struct NoPlanning;

#[async_trait]
impl Planning for NoPlanning {
    async fn plan(&self, _: &Application, _: &CommitId) -> Result<PlanView, Fault> {
        Err(Fault::permanent("no_slipway_yaml", "there is no slipway.yaml").hint("write one"))
    }

    fn kits(&self) -> Vec<KnownKit> {
        let target = json!({"type": "string", "description": "Where to <b>stop</b>."});
        vec![KnownKit {
            name: "dockerfile".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Builds an <b>image</b>.".to_owned(),
            origin: "builtin",
            verbs: vec!["image.build".to_owned()],
            recipe: 1,
            digest: Digest::of("dockerfile"),
            schema: json!({"type": "object", "properties": {"target": target}}),
            example: "components: [{name: web, kit: dockerfile}] # <b>\n".to_owned(),
        }]
    }
}

#[async_trait]
impl SourceCheck for NoPlanning {
    async fn check(&self, source: &Source, _: &[Application]) -> Vec<SourceFinding> {
        vec![SourceFinding { check: "address", ok: true, detail: source.name.to_string() }]
    }
}

#[async_trait]
impl BuildPlaces for NoPlanning {
    async fn look(&self) -> Vec<BuildPlace> {
        Vec::new()
    }
}

#[async_trait]
impl MachineCheck for NoPlanning {
    async fn look(&self) -> Vec<MachineFinding> {
        vec![MachineFinding { check: "disk", ok: false, needed: true, detail: "nothing is free".to_owned() }]
    }
}

#[async_trait]
impl Composing for NoPlanning {
    async fn compose(&self, wanted: &Composition) -> Result<Composed, Fault> {
        Err(Fault::permanent("bundle_missing", format!("there is no bundle {}", wanted.from)))
    }
}

#[async_trait]
impl Noticing for NoPlanning {
    fn channels(&self) -> Vec<NoticeChannel> {
        Vec::new()
    }

    async fn test(&self, _: &NoticeChannelName, _: &str) -> Option<Result<String, Fault>> {
        None
    }
}

/// No deploy stage at all: these tests are about what lies before it.
#[async_trait]
impl Deploying for NoPlanning {
    async fn plan(&self, wanted: &DeployRequest) -> Result<DeployPlan, Fault> {
        let document = wanted.document.as_deref().unwrap_or_default();
        if document.contains("replicas: 99") {
            let path = "components[api].traits[scaler].properties.replicas";
            let violation = Violation::new("property_invalid", path, "<b>99</b> is too many");
            return Ok(DeployPlan { violations: vec![violation], ..DeployPlan::default() });
        }
        Ok(DeployPlan { revision: Some(Digest::of(document)), ..DeployPlan::default() })
    }

    async fn in_force(&self, _: &DeployRequest) -> Result<Result<InForce, Vec<Violation>>, Fault> {
        let api = ComponentInForce {
            name: "api".to_owned(),
            kind: Some("webservice".to_owned()),
            properties: json!({"replicas": 2}),
            traits: Vec::new(),
            overridable: Some(vec!["replicas".to_owned()]),
        };
        Ok(Ok(InForce { components: vec![api], ..InForce::default() }))
    }

    async fn rollback_plan(&self, _: &DeployRequest, to: u64, was_live: bool) -> Result<DeployPlan, Fault> {
        let notes = vec![format!("back to {to}, was live: {was_live}")];
        Ok(DeployPlan { notes, ..DeployPlan::default() })
    }

    async fn adoption(&self, _: &AdoptRequest) -> Result<AdoptPlan, Fault> {
        Ok(AdoptPlan::default())
    }

    async fn gates(
        &self,
        _: &Deployment,
        _: &Environment,
        _: &PackageVersion,
    ) -> Result<Vec<GateView>, Fault> {
        Ok(Vec::new())
    }

    async fn gates_of_drafts(
        &self,
        drafts: &[(Deployment, &PackageVersion)],
        _: &Environment,
    ) -> Result<Vec<Result<Vec<GateView>, Fault>>, Fault> {
        Ok(drafts.iter().map(|_| Ok(Vec::new())).collect())
    }

    /// A node, and one that waits for it.
    async fn graph(&self, deployment: &Deployment) -> Result<Option<Vec<GraphNode>>, Fault> {
        let web = GraphNode {
            name: "web".to_owned(),
            component: Some("web".to_owned()),
            objects: vec!["apps/v1/Deployment shop/web".to_owned()],
            ..GraphNode::default()
        };
        let look = GraphNode {
            name: "step.look".to_owned(),
            needs: vec!["web".to_owned()],
            holds: true,
            message: Some("<b>look</b> at the shop".to_owned()),
            ..GraphNode::default()
        };
        Ok(deployment.revision.map(|_| vec![web, look]))
    }

    /// An object of `web` that is not ready, whatever was asked for.
    async fn live_objects(
        &self,
        deployment: &Deployment,
        _: &Application,
        _: &Environment,
        wanted: &LiveWanted,
    ) -> Result<Option<LiveObjects>, Fault> {
        if wanted.node.as_deref() == Some("away") {
            return Err(Fault::transient("cluster_unavailable", "there is no <b>cluster</b>"));
        }
        let event = FoundEvent {
            kind: "Warning".to_owned(),
            reason: "BackOff".to_owned(),
            message: "<b>again</b>".to_owned(),
            object: "Pod web-1".to_owned(),
            count: 3,
            ..FoundEvent::default()
        };
        let object = LiveObject {
            node: "web".to_owned(),
            object: "apps/v1/Deployment shop/web".to_owned(),
            state: LiveState::Progressing,
            why: "0 of <b>1</b> are available".to_owned(),
            created_at: Some(deployment.created_at),
            generation: Some(deployment.generation),
            events: vec![event],
        };
        let found = LiveObjects {
            asked_at: deployment.created_at,
            objects: vec![object],
            next: (wanted.from == 0).then_some(1),
            notes: vec!["a <b>note</b>".to_owned()],
        };
        Ok(deployment.revision.map(|_| found))
    }

    async fn explain(
        &self,
        _: &DeployRequest,
        _: &str,
    ) -> Result<Result<ExplainedKey, Vec<Violation>>, Fault> {
        Ok(Err(Vec::new()))
    }

    fn check_document(&self, _: &str) -> Vec<Violation> {
        Vec::new()
    }

    async fn level_notes(&self, _: &Application, _: &str) -> Result<Vec<String>, Fault> {
        Ok(vec!["no environment lies there".to_owned()])
    }

    fn check_settings(&self, _: &EnvironmentSettings) -> Vec<Violation> {
        Vec::new()
    }

    async fn look_at_cluster(&self, _: &str, _: &ClusterSettings) -> Result<ClusterLook, Fault> {
        Err(Fault::transient("cluster_unavailable", "there is no cluster"))
    }

    async fn heard_kinds(&self, _: &Cluster) -> Result<Vec<HeardKind>, Fault> {
        Err(Fault::transient("cluster_unavailable", "there is no cluster"))
    }

    async fn pull_objection(&self, _: &ClusterSettings, _: Option<&RegistryPrefix>) -> Option<String> {
        Some("nodes of this cluster cannot pull".to_owned())
    }

    async fn report(
        &self,
        address: &Address,
        _: &BTreeMap<String, String>,
        _: &[u8],
    ) -> Result<ReportTaken, ReportRefused> {
        if address.unit() == "away" {
            let fault = Fault::transient("records_unavailable", "the records cannot be used");
            return Err(ReportRefused::Unavailable(fault));
        }
        Err(ReportRefused::Unproven("nobody hands anything off".to_owned()))
    }

    /// The receiver answers nothing about the node `away`.
    async fn order(&self, order: &DeploymentOrder) -> Result<OrderTold, OrderRefused> {
        match order.node.as_deref() {
            Some("away") => Ok(OrderTold::Kept(Fault::transient("receiver_unavailable", "it is away"))),
            _ => Err(OrderRefused::WrongState("there is no deployment".to_owned())),
        }
    }

    async fn secret_users(&self, _: &SecretName) -> Result<Vec<SecretUser>, Fault> {
        Ok(Vec::new())
    }

    async fn check_addon(
        &self,
        draft: AddonInstance,
        version: Option<&Version>,
    ) -> Result<Result<AddonInstance, Vec<Violation>>, Fault> {
        if draft.definition.as_str() == "unknown" {
            return Ok(Err(vec![Violation::new(
                "unknown_definition",
                "definition",
                "there is no such add-on",
            )]));
        }
        let version = version.cloned().unwrap_or_else(|| Version::release(1, 0, 0));
        Ok(Ok(AddonInstance { version, ..draft }))
    }
}

#[async_trait]
impl Defining for NoPlanning {
    async fn known(&self) -> Result<KnownDefinitions, Fault> {
        let scaler = KnownDefinition {
            kind: DefinitionKind::Trait,
            name: "scaler".parse().unwrap(),
            version: Version::release(1, 0, 0),
            digest: Digest::of("scaler"),
            description: "Says how many <b>pods</b> run.".to_owned(),
            aliases: Vec::new(),
            source: DefinitionSource::Builtin,
        };
        Ok(KnownDefinitions { usable: vec![scaler], ..KnownDefinitions::default() })
    }

    async fn details(
        &self,
        _: DefinitionKind,
        name: &str,
        _: Option<&Version>,
    ) -> Result<Option<Value>, Fault> {
        let replicas = json!({"type": "integer", "minimum": 0, "title": "Replicas <b>"});
        let schema =
            json!({"type": "object", "properties": {"replicas": replicas}, "additionalProperties": false});
        let is_known = ["scaler", "webservice"].contains(&name);
        Ok(is_known.then(|| json!({"name": name, "description": "Says how many.", "schema": schema})))
    }

    async fn fetch(&self, _: &ImageReference) -> Result<Result<CheckedDefinition, Vec<Violation>>, Fault> {
        Ok(Err(Vec::new()))
    }

    async fn objection(
        &self,
        _: DefinitionKind,
        _: &DefinitionName,
        _: &Version,
    ) -> Result<Option<Violation>, Fault> {
        Ok(None)
    }

    fn named_by(&self, _: &str) -> Vec<(DefinitionKind, String)> {
        Vec::new()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut HttpOptions)) -> Self {
        Self::over(SqliteOptions::default(), change).await
    }

    /// A server whose records have such limits.
    pub(crate) async fn over(records: SqliteOptions, change: impl FnOnce(&mut HttpOptions)) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        let records = SqliteRecords::open(&at("slipway.db"), records).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(records);
        let url = format!("file://{}", at("objects").display());
        let blobs = Blobs::open(BlobsOptions::new(url, at("spool"))).await.unwrap();
        let git = GitStore::open(at("git"), blobs.clone(), records.clone(), GitOptions::default());
        let key_file = at("secret.key");
        let secrets = SecretOptions { key_file, ..SecretOptions::default() };
        let stopping = CancellationToken::new();
        let mut options = HttpOptions { start_wait_ms: 100, stream_poll_ms: 50, ..HttpOptions::default() };
        options.public_url = "https://slipway.example".parse().unwrap();
        change(&mut options);
        let parts = ServerParts {
            git: git.await.unwrap(),
            registry: BuiltinRegistry::new(records.clone(), blobs.clone()),
            external: None,
            secrets: Secrets::new(records.clone(), secrets).unwrap(),
            planning: Arc::new(NoPlanning),
            source_check: Arc::new(NoPlanning),
            places: Arc::new(NoPlanning),
            machine: Arc::new(NoPlanning),
            deploying: Arc::new(NoPlanning),
            composing: Arc::new(NoPlanning),
            defining: Arc::new(NoPlanning),
            noticing: Arc::new(NoPlanning),
            metrics: Arc::new(Metrics::default()),
            stopping: stopping.clone(),
            options,
            records: records.clone(),
            blobs: blobs.clone(),
        };
        let router = router(ServerState::new(parts));
        let mut server = Self { router, records, blobs, stopping, admin: String::new(), directory };
        server.admin = server.token("root", Some(Role::Admin), None, vec![]).await;
        server
    }

    pub(crate) async fn token(
        &self,
        name: &str,
        role: Option<Role>,
        application_id: Option<ApplicationId>,
        grants: Vec<RepositoryGrant>,
    ) -> String {
        let (plain, hash) = slipway_secrets::new_token();
        let mut tx = self.records.begin().await.unwrap();
        let name = name.to_owned();
        tx.token_insert(NewToken {
            name,
            hash,
            person: None,
            role,
            break_glass: false,
            application_id,
            pulls_for: None,
            grants,
            expires_at: None,
        })
        .await
        .unwrap();
        tx.commit().await.unwrap();
        plain.expose_secret().to_owned()
    }

    /// A token limited to one application.
    pub(crate) async fn token_for(&self, application: &str, role: Role) -> String {
        let id = self.application_id(application).await;
        self.token(&format!("{role} of {application}").replace('/', "-"), Some(role), Some(id), vec![]).await
    }

    pub(crate) async fn application_id(&self, name: &str) -> ApplicationId {
        let mut read = self.records.read().await.unwrap();
        read.application_by_name(&name.parse().unwrap()).await.unwrap().unwrap().id
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A call with a token and perhaps a JSON body.
    pub(crate) async fn call(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(&self.admin, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(&self.admin, Method::POST, path, Some(body)).await
    }

    /// Makes an application with Slipway's own git remote; gives what the call answered.
    pub(crate) async fn application(&self, name: &str) -> Value {
        self.post("/api/v1/applications", serde_json::json!({"name": name})).await.is(201).json()
    }
}
