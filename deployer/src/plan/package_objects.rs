//! Components whose objects come from their package: charts, kustomizations, manifests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use globset::{GlobBuilder, GlobMatcher};
use secrecy::SecretString;
use serde_json::Value;
use slipway_charts::{
    ChartFiles, FilesRequest, GeneratedSecret, HelmRequest, Hook, HookEvent, KeptSecrets, KeptSecretsError,
    KustomizeRequest, RenderError, Rendered, Request, SecretScope, SecretValue, Target,
};
use slipway_definitions::{Caused, ComponentRequest, PackageObject, RenderedComponent, Verb, apply_traits};
use slipway_plugins::Session;
use slipway_types::{Fault, SecretReference, Violation};

use super::{Chosen, Ground, plugin_fault};
use crate::stage::Stage;

/// What rendering packages brought besides objects.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) violations: Vec<Violation>,
    pub(super) notes: Vec<String>,
    pub(super) secrets: Vec<SecretValue>,
    /// Hooks by component: each is a node of its own.
    pub(super) hooks: BTreeMap<String, Hooked>,
}

/// The hooks of one component's chart.
#[derive(Default)]
pub(super) struct Hooked {
    pub(super) before: Vec<Hook>,
    pub(super) after: Vec<Hook>,
}

/// What a property names of generated secrets.
fn generated(properties: &Value) -> Vec<GeneratedSecret> {
    serde_json::from_value(properties["generatedSecrets"].clone()).unwrap_or_default()
}

impl Ground<'_> {
    /// Renders a component's package and lets its traits act on what came of it.
    pub(super) async fn complete(
        &self,
        session: &mut Session,
        chosen: &Chosen,
        component: &ComponentRequest,
        rendered: &mut RenderedComponent,
        gathered: &mut Gathered,
    ) -> Result<(), Fault> {
        let verbs: Vec<Caused> =
            rendered.verbs.extract_if(.., |caused| caused.verb.renders_package()).collect();
        let package =
            self.packages.iter().find(|package| package.member.component.as_str() == component.name);
        let files = match package {
            Some(package) => package.files(&self.stage.blobs, &self.stage.options.packages).await?,
            None => ChartFiles::new(),
        };
        let mut objects = Vec::new();
        for caused in verbs {
            let came = self.render_verb(component, &caused.verb, &files, gathered).await?;
            objects.extend(came.into_iter().map(|object| PackageObject { object, phase: caused.phase }));
        }
        apply_traits(session, &chosen.render, component, rendered, objects)
            .await
            .map_err(|error| plugin_fault(&error))
    }

    async fn render_verb(
        &self,
        component: &ComponentRequest,
        verb: &Verb,
        files: &ChartFiles,
        gathered: &mut Gathered,
    ) -> Result<Vec<Value>, Fault> {
        let environment = &self.request.environment;
        let target = Target {
            version: self.facts.version.clone(),
            apis: self.facts.apis.clone(),
            cluster_scoped: self.facts.cluster_scoped.clone(),
        };
        let scope = SecretScope {
            application: self.request.application.name.path(),
            environment: environment.name.to_string(),
        };
        let common = Request {
            path: &component.path,
            files,
            namespace: environment.address.namespace(),
            target: &target,
            scope: &scope,
            secrets: &[],
        };
        let rendered = match verb {
            Verb::ChartRender { values, release } => {
                let default = component.object_name.clone().unwrap_or_else(|| {
                    let suffix = if environment.address.is_default_stage() {
                        String::new()
                    } else {
                        format!("-{}", environment.address.stage())
                    };
                    format!("{}-{}{suffix}", self.request.application.name.bare(), component.name)
                });
                let generated = generated(&component.properties);
                let request = HelmRequest {
                    component: common,
                    release: release.as_deref().unwrap_or(&default),
                    values,
                    generated_secrets: &generated,
                };
                let kept = Kept { stage: self.stage, scope: &scope, keep: self.request.keep };
                self.stage.charts.helm(&request, &kept).await
            }
            Verb::KustomizeBuild { path } => {
                self.stage.charts.kustomize(&KustomizeRequest { component: common, directory: path }).await
            }
            Verb::FilesObjects { paths } => {
                let wanted = manifests_under(files, paths);
                if wanted.is_empty() {
                    gathered.violations.push(no_manifest(component, paths));
                    return Ok(Vec::new());
                }
                self.stage.charts.files(&FilesRequest { component: common, paths: &wanted })
            }
            _ => return Ok(Vec::new()),
        };
        match rendered {
            Ok(rendered) => Ok(gathered.take(component, rendered)),
            Err(RenderError::Refused(violations)) => {
                gathered.violations.extend(violations);
                Ok(Vec::new())
            }
            Err(error @ (RenderError::ProgramMissing { .. } | RenderError::Version { .. })) => {
                Err(Fault::permanent("program_missing", error.to_string()))
            }
            Err(error) => Err(Fault::transient("rendering_failed", error.to_string())),
        }
    }
}

impl Gathered {
    fn take(&mut self, component: &ComponentRequest, rendered: Rendered) -> Vec<Value> {
        let name = &component.name;
        self.notes.extend(rendered.notes.into_iter().map(|note| format!("{name}: {}", note.message)));
        self.secrets.extend(rendered.secrets);
        let runs = |hook: &Hook, events: [HookEvent; 2]| events.iter().any(|event| hook.on.contains(event));
        let hooked = self.hooks.entry(name.clone()).or_default();
        let before = rendered.hooks.before.into_iter();
        hooked
            .before
            .extend(before.filter(|hook| runs(hook, [HookEvent::PreInstall, HookEvent::PreUpgrade])));
        let after = rendered.hooks.after.into_iter();
        hooked
            .after
            .extend(after.filter(|hook| runs(hook, [HookEvent::PostInstall, HookEvent::PostUpgrade])));
        rendered.crds.into_iter().chain(rendered.objects).map(|rendered| rendered.object).collect()
    }
}

/// The manifest files that lie at or below `wanted`, or match it as a pattern, in order of path; none
/// named means all.
fn manifests_under(files: &ChartFiles, wanted: &[String]) -> Vec<String> {
    let wanted: Vec<Wanted<'_>> = wanted.iter().map(|text| Wanted::of(text)).collect();
    let is_meant = |path: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted.means(path));
    let is_manifest = |path: &str| [".yaml", ".yml", ".json"].iter().any(|end| path.ends_with(end));
    files.keys().filter(|path| is_meant(path) && is_manifest(path)).cloned().collect()
}

/// What one entry of a list of files means.
enum Wanted<'a> {
    /// A file, or a directory with all below it.
    Path(&'a str),
    /// A pattern.
    Pattern(GlobMatcher),
}

impl<'a> Wanted<'a> {
    fn of(text: &'a str) -> Self {
        let text = text.trim_start_matches("./").trim_end_matches('/');
        if !text.contains(['*', '?', '[', '{']) {
            return Self::Path(text);
        }
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        // What is no pattern after all is a file's name.
        glob.map_or(Self::Path(text), |glob| Self::Pattern(glob.compile_matcher()))
    }

    fn means(&self, path: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_match(path),
            Self::Path(wanted) => {
                matches!(*wanted, "" | ".")
                    || path == *wanted
                    || path.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }
}

fn no_manifest(component: &ComponentRequest, wanted: &[String]) -> Violation {
    let message = format!("its package holds no manifest at or below `{}`", wanted.join("`, `"));
    Violation::new("package_mismatch", &component.path, message)
        .hint("name files or directories of the package")
}

/// Generated secrets in the built-in store.
struct Kept<'a> {
    stage: &'a Stage,
    scope: &'a SecretScope,
    /// Whether new ones are stored: only where a revision is frozen.
    keep: bool,
}

#[async_trait]
impl KeptSecrets for Kept<'_> {
    async fn get(&self, secret: &str, key: &str) -> Result<Option<SecretReference>, KeptSecretsError> {
        let reference = self.scope.reference(secret, key);
        let mut read = self.stage.records.read().await?;
        Ok(read.secret_get(&reference.path).await?.map(|_| reference))
    }

    async fn put(
        &self,
        secret: &str,
        key: &str,
        base64: &SecretString,
    ) -> Result<SecretReference, KeptSecretsError> {
        let reference = self.scope.reference(secret, key);
        if self.keep {
            self.stage.secrets.set(&reference.path, base64, super::secrets::KEEPER).await?;
        }
        Ok(reference)
    }
}
