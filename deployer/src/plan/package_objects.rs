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
use slipway_definitions::{
    Caused, ComponentRequest, ObjectKey, OutputSource, PackageObject, RenderedComponent, Verb, apply_traits,
};
use slipway_handoff::NodeName;
use slipway_plugins::Session;
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, ApplicationName, Fault, SecretReference, Violation};

use super::staging::{self, Origin, Renames};
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
    /// What objects are called in the stage, by the component or the node of the step they belong to.
    pub(super) renames: BTreeMap<String, Renames>,
}

/// The hooks of one component's chart.
#[derive(Default)]
pub(super) struct Hooked {
    pub(super) before: Vec<Hook>,
    pub(super) after: Vec<Hook>,
}

/// Whose the secrets are that charts of an application render in an environment.
pub(super) fn rendered_scope(application: &ApplicationName, environment: &EnvironmentName) -> SecretScope {
    SecretScope { application: application.path(), environment: environment.to_string() }
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
        let declared = chosen.merged.original_of(&component.name);
        let package = self.packages.iter().find(|package| package.member.component.as_str() == declared);
        let files = match package {
            Some(package) => package.files(&self.stage.blobs, &self.stage.options.packages).await?,
            None => ChartFiles::new(),
        };
        let mut objects = Vec::new();
        let mut release = None;
        for caused in verbs {
            release = self.release(component, &caused.verb).or(release);
            let came = self.render_verb(component, &caused.verb, &files, gathered).await?;
            objects.extend(came.into_iter().map(|object| PackageObject { object, phase: caused.phase }));
        }
        let origin = release.as_deref().map_or(Origin::Written, |release| Origin::Chart { release });
        gathered.settle(&component.name, &self.request.environment.address, origin, &mut objects);
        apply_traits(session, &chosen.render, component, rendered, objects)
            .await
            .map_err(|error| plugin_fault(&error))
    }

    /// The release of a chart, unique to the stage; `None`: it renders no chart.
    fn release(&self, component: &ComponentRequest, verb: &Verb) -> Option<String> {
        let Verb::ChartRender { release, .. } = verb else { return None };
        let suffix = staging::suffix(&self.request.environment.address);
        let own = format!("{}{suffix}", component.name);
        Some(match release {
            Some(given) if given.ends_with(&suffix) => given.clone(),
            Some(given) => format!("{given}{suffix}"),
            None => own,
        })
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
        let scope = rendered_scope(&self.request.application.name, &environment.name);
        let common = Request {
            path: &component.path,
            files,
            namespace: environment.address.namespace(),
            target: &target,
            scope: &scope,
            secrets: &[],
        };
        let rendered = match verb {
            Verb::ChartRender { values, .. } => {
                let release = self.release(component, verb).unwrap_or_default();
                let generated = generated(&component.properties);
                let request = HelmRequest {
                    component: common,
                    release: &release,
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
    /// Makes what a component's package holds the stage's own.
    fn settle(
        &mut self,
        component: &str,
        address: &Address,
        origin: Origin<'_>,
        objects: &mut [PackageObject],
    ) {
        let hooked = self.hooks.entry(component.to_owned()).or_default();
        let hooks = hooked.before.iter_mut().chain(&mut hooked.after).map(|hook| &mut hook.object.object);
        let mut all: Vec<&mut Value> =
            objects.iter_mut().map(|object| &mut object.object).chain(hooks).collect();
        let renames = staging::settle(address, origin, &mut all);
        self.renames.insert(component.to_owned(), renames);
    }

    /// The same of what a component type rendered itself: objects that operators wrote in place have
    /// names of their own.
    pub(super) fn settle_rendered(&mut self, address: &Address, rendered: &mut RenderedComponent) {
        let mut all: Vec<&mut Value> = rendered.objects.iter_mut().map(|found| &mut found.object).collect();
        let renames = staging::settle(address, Origin::Rendered, &mut all);
        self.renames.insert(rendered.name.clone(), renames);
    }

    /// Makes what a step applies the stage's own.
    pub(super) fn settle_step(&mut self, address: &Address, node: NodeName, verbs: &mut [Verb]) {
        let mut all: Vec<&mut Value> = verbs.iter_mut().filter_map(applied).collect();
        let renames = staging::settle(address, Origin::Rendered, &mut all);
        self.renames.insert(node, renames);
    }

    /// Lets every component, with the hooks of its chart, name objects as they are called in the stage, those
    /// of steps too.
    pub(super) fn follow_renames(&mut self, address: &Address, rendered: &mut [RenderedComponent]) {
        let namespace = address.namespace();
        let mut hooks = std::mem::take(&mut self.hooks);
        for (owner, hooked) in &mut hooks {
            for hook in hooked.before.iter_mut().chain(&mut hooked.after) {
                self.follow(owner, &mut hook.object.object, namespace);
            }
        }
        self.hooks = hooks;
        for component in &mut *rendered {
            let RenderedComponent { name, objects, verbs, outputs, .. } = component;
            for found in objects {
                self.follow(name, &mut found.object, namespace);
            }
            self.follow_verbs(name, namespace, verbs.iter_mut().map(|caused| &mut caused.verb));
            for source in outputs.values_mut() {
                if let OutputSource::Field { object, .. } = source {
                    self.rename(name, object);
                }
            }
        }
        self.note_old_names(namespace, rendered);
    }

    /// The same of what a step does itself.
    pub(super) fn follow_in_step(&mut self, address: &Address, node: &str, verbs: &mut [Verb]) {
        self.follow_verbs(node, address.namespace(), verbs.iter_mut());
        let objects: Vec<&Value> = verbs.iter_mut().filter_map(applied).map(|object| &*object).collect();
        let notes = self.all_renames().notes(node, address.namespace(), &objects);
        self.notes.extend(notes);
    }

    /// Tells what still names an object as it is called in the default stage.
    fn note_old_names(&mut self, namespace: &str, rendered: &[RenderedComponent]) {
        let renames = self.all_renames();
        for component in rendered {
            let hooked = self.hooks.get(&component.name).into_iter();
            let hooks = hooked.flat_map(|hooked| hooked.before.iter().chain(&hooked.after));
            let objects = component.objects.iter().map(|found| &found.object);
            let all: Vec<&Value> = objects.chain(hooks.map(|hook| &hook.object.object)).collect();
            let notes = renames.notes(&component.name, namespace, &all);
            self.notes.extend(notes);
        }
    }

    fn all_renames(&self) -> Renames {
        let mut all = Renames::default();
        for renames in self.renames.values() {
            all.extend(renames);
        }
        all
    }

    fn follow_verbs<'v>(&self, owner: &str, namespace: &str, verbs: impl Iterator<Item = &'v mut Verb>) {
        for verb in verbs {
            if let Verb::Wait { object, .. } = verb {
                self.rename(owner, object);
            } else if let Some(object) = applied(verb) {
                self.follow(owner, object, namespace);
            }
        }
    }

    /// Points what an object of `owner` names of others to the names in the stage.
    fn follow(&self, owner: &str, object: &mut Value, namespace: &str) {
        for (_, renames) in self.renames.iter().filter(|(name, _)| name.as_str() != owner) {
            renames.follow(object, namespace);
        }
    }

    /// Gives the object that `owner` means its name in the stage: its own objects come first.
    fn rename(&self, owner: &str, key: &mut ObjectKey) {
        let own = self.renames.get(owner);
        let others = self.renames.iter().filter(|(name, _)| name.as_str() != owner);
        let mut all = own.into_iter().chain(others.map(|(_, renames)| renames));
        if let Some(new) = all.find_map(|renames| renames.new_name(key)) {
            key.name = new.to_owned();
        }
    }

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

/// The object that a verb applies or runs.
fn applied(verb: &mut Verb) -> Option<&mut Value> {
    match verb {
        Verb::ObjectApply { object } | Verb::JobRun { object } => Some(object),
        _ => None,
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

#[cfg(test)]
mod tests;
