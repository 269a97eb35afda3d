//! Charts of this directory, and how they are rendered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{env, fs};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use slipway_charts::{
    ChartFiles, ChartOptions, FilesRequest, GeneratedSecret, HelmRequest, KeptSecrets, KeptSecretsError,
    KustomizeRequest, RenderError, Rendered, Renderer, Request, SecretScope, Target,
};
use slipway_types::{SecretReference, Violation};

/// One component in one environment.
pub(crate) struct Rig {
    pub(crate) options: ChartOptions,
    pub(crate) files: ChartFiles,
    pub(crate) target: Target,
    pub(crate) values: Value,
    pub(crate) generated: Vec<GeneratedSecret>,
    pub(crate) secrets: Vec<SecretString>,
    pub(crate) store: Store,
}

impl Rig {
    /// The files below `tests/PATH`.
    pub(crate) fn new(path: &str, values: Value) -> Self {
        let program = |name: &str, default: &str| PathBuf::from(env::var_os(name).unwrap_or(default.into()));
        let options = ChartOptions {
            helm_program: program("SLIPWAY_TEST_HELM", "helm"),
            kustomize_program: program("SLIPWAY_TEST_KUSTOMIZE", "kubectl"),
            ..ChartOptions::default()
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
        let mut files = ChartFiles::new();
        collect(&root, &root, &mut files);
        let target = Target {
            version: "1.20.2".into(),
            apis: ["apps/v1", "apps/v1/Deployment", "monitoring.example/v1/Monitor"].map(String::from).into(),
            cluster_scoped: [].into(),
        };
        Self {
            options,
            files,
            target,
            values,
            generated: Vec::new(),
            secrets: Vec::new(),
            store: Store::default(),
        }
    }

    pub(crate) fn generated(mut self, names: &[(&str, &str)]) -> Self {
        let name =
            |(secret, key): &(&str, &str)| GeneratedSecret { secret: (*secret).into(), key: (*key).into() };
        self.generated = names.iter().map(name).collect();
        self
    }

    pub(crate) fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }

    fn scope() -> SecretScope {
        SecretScope { application: "shop/web".into(), environment: "prod".into() }
    }

    pub(crate) async fn helm(&self) -> Result<Rendered, RenderError> {
        let scope = Self::scope();
        let request = HelmRequest {
            component: self.component(&scope),
            release: "shop",
            values: &self.values,
            generated_secrets: &self.generated,
        };
        Renderer::new(self.options.clone()).helm(&request, &self.store).await
    }

    pub(crate) async fn kustomize(&self, directory: &str) -> Result<Rendered, RenderError> {
        let scope = Self::scope();
        let request = KustomizeRequest { component: self.component(&scope), directory };
        Renderer::new(self.options.clone()).kustomize(&request).await
    }

    pub(crate) fn objects(&self, paths: &[&str]) -> Result<Rendered, RenderError> {
        let (scope, paths) = (Self::scope(), paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        let request = FilesRequest { component: self.component(&scope), paths: &paths };
        Renderer::new(self.options.clone()).files(&request)
    }

    fn component<'a>(&'a self, scope: &'a SecretScope) -> Request<'a> {
        Request {
            path: "components[web]",
            files: &self.files,
            namespace: "prod",
            target: &self.target,
            scope,
            secrets: &self.secrets,
        }
    }

    /// What stands against the chart.
    pub(crate) async fn refused(&self) -> Vec<Violation> {
        match self.helm().await {
            Err(RenderError::Refused(violations)) => violations,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn collect(root: &Path, directory: &Path, files: &mut ChartFiles) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// `CODE PLACE: PATH: MESSAGE`, as people see violations.
pub(crate) fn lines(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{} {violation}", violation.code)).collect()
}

/// What would be in the server's store.
#[derive(Default)]
pub(crate) struct Store(Mutex<BTreeMap<(String, String), String>>);

impl Store {
    pub(crate) fn values(&self) -> Vec<String> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

fn reference(secret: &str, key: &str) -> SecretReference {
    SecretReference::builtin(format!("kept/{secret}/{}", key.to_lowercase()))
}

#[async_trait]
impl KeptSecrets for Store {
    async fn get(&self, secret: &str, key: &str) -> Result<Option<SecretReference>, KeptSecretsError> {
        let known = self.0.lock().unwrap().contains_key(&(secret.to_owned(), key.to_owned()));
        Ok(known.then(|| reference(secret, key)))
    }

    async fn put(
        &self,
        secret: &str,
        key: &str,
        base64: &SecretString,
    ) -> Result<SecretReference, KeptSecretsError> {
        let before = self
            .0
            .lock()
            .unwrap()
            .insert((secret.to_owned(), key.to_owned()), base64.expose_secret().to_owned());
        assert_eq!(before, None, "what is kept stays");
        Ok(reference(secret, key))
    }
}
